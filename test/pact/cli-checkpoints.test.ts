/** Whatever is interrupted while a checkpoint is written, what can be read back is a whole one. */
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, test } from "vitest";
import { readNewestCheckpoint, saveCheckpoint } from "../../packages/pact/src/cli/checkpoints.ts";
import { type Disk, disk, writeWhole } from "../../packages/pact/src/cli/disk.ts";
import type { Checkpoint } from "../../packages/pact/src/run-sink.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "pact-checkpoints-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const files = { config: '{"a":1}', tokenizer: "{}" };
const made = (step: number): Checkpoint => ({
  step,
  model: Uint8Array.of(step, 1, 2, 3),
  state: Uint8Array.of(step, 9),
});
const save = (step: number, use?: Disk) => saveCheckpoint(folder, made(step), files, use);
const newest = (notes: string[] = []) => readNewestCheckpoint(folder, (line) => notes.push(line));

/**
 * A disk that dies during its `last`-th step: a write or an append stops half-way, any other step does not happen, and
 * nothing works afterwards, clean-up included, as after SIGKILL.
 */
function dyingDisk(last: number): { disk: Disk; died: () => boolean } {
  let steps = 0;
  const step = <A extends unknown[]>(run: (...args: A) => void, half?: (...args: A) => void) => {
    return (...args: A): void => {
      steps++;
      if (steps === last) half?.(...args);
      if (steps >= last) throw new Error("killed");
      run(...args);
    };
  };
  const halved = (bytes: Uint8Array) => bytes.subarray(0, bytes.length >> 1);
  return {
    died: () => steps >= last,
    disk: {
      write: step(disk.write, (path, bytes) => disk.write(path, halved(bytes))),
      append: step(disk.append, (path, bytes) => disk.append(path, halved(bytes))),
      flush: step(disk.flush),
      rename: step(disk.rename),
      makeFolder: step(disk.makeFolder),
      remove: step(disk.remove),
    },
  };
}

describe("a checkpoint", () => {
  it("is a model folder with state and checksums, and latest names it", () => {
    save(40);
    expect(readdirSync(join(folder, "checkpoints"))).toEqual(["latest", "step-000040"]);
    expect(readdirSync(join(folder, "checkpoints", "step-000040")).sort()).toEqual([
      "config.json",
      "manifest.json",
      "model.safetensors",
      "state.safetensors",
      "tokenizer.json",
    ]);
    expect(readFileSync(join(folder, "checkpoints", "latest"), "utf8")).toBe("step-000040\n");
    expect(newest()).toMatchObject({
      name: "step-000040",
      model: Buffer.from([40, 1, 2, 3]),
      state: Buffer.from([40, 9]),
    });
  });

  it("of adapters has PEFT's files instead of the model, and is read back with its configuration", () => {
    const adapterConfig = { peft_type: "LORA", r: 2 };
    saveCheckpoint(folder, { ...made(3), adapterConfig }, { ...files, base: "ab12" });
    const place = join(folder, "checkpoints", "step-000003");
    // No config.json: transformers would take the folder for a whole model.
    expect(readdirSync(place).sort()).toEqual([
      "adapter_config.json",
      "adapter_model.safetensors",
      "base_config.json",
      "manifest.json",
      "state.safetensors",
      "tokenizer.json",
    ]);
    expect(JSON.parse(readFileSync(join(place, "manifest.json"), "utf8")).base).toBe("ab12");
    expect(newest()).toMatchObject({ model: Buffer.from([3, 1, 2, 3]), adapterConfig });
    for (const [name, text] of [
      ["base_config.json", "{}"],
      ["adapter_config.json", '{"r": 3}'],
    ]) {
      writeFileSync(join(place, name), text);
      const notes: string[] = [];
      expect(newest(notes)).toBeUndefined();
      expect(notes[0]).toContain(`${name} does not have its checksum`);
    }
  });

  it("of adapters from before base_config.json is read as ever", () => {
    saveCheckpoint(folder, { ...made(3), adapterConfig: { r: 2 } }, files);
    const place = join(folder, "checkpoints", "step-000003");
    renameSync(join(place, "base_config.json"), join(place, "config.json"));
    const manifest = readFileSync(join(place, "manifest.json"), "utf8").replace("base_config", "config");
    writeFileSync(join(place, "manifest.json"), manifest);
    expect(newest()).toMatchObject({ model: Buffer.from([3, 1, 2, 3]), adapterConfig: { r: 2 } });
    writeFileSync(join(place, "config.json"), "{}");
    expect(newest()).toBeUndefined();
  });

  it("has the model's small files, where there are some", () => {
    const companions = { "tokenizer_config.json": '{"chat_template": "x"}' };
    saveCheckpoint(folder, made(3), { ...files, companions });
    const path = join(folder, "checkpoints", "step-000003", "tokenizer_config.json");
    expect(readFileSync(path, "utf8")).toBe(companions["tokenizer_config.json"]);
    expect(newest()?.name).toBe("step-000003");
    writeFileSync(path, "{}");
    expect(newest()).toBeUndefined();
  });

  it("of one step is the same files whenever it is made", () => {
    save(2);
    const first = readFileSync(join(folder, "checkpoints", "step-000002", "manifest.json"), "utf8");
    save(2);
    expect(readFileSync(join(folder, "checkpoints", "step-000002", "manifest.json"), "utf8")).toBe(first);
  });

  it("survives a kill at every single step on the disk", () => {
    save(10);
    let kills = 0;
    for (let last = 1; ; last++) {
      const dying = dyingDisk(last);
      try {
        save(20, dying.disk);
      } catch {
        // The process is gone.
      }
      if (!dying.died()) break;
      kills++;
      const notes: string[] = [];
      const found = newest(notes);
      expect(found?.name, `kill at step ${last}`).toMatch(/^step-0000[12]0$/);
      expect(found?.model[0]).toBe(Number(found?.name.slice(-2)));
      // What is found is never half of one: the torn one has another name, so nothing had to be passed over.
      expect(notes).toEqual([]);
      // And the next attempt, in a new process, succeeds.
      save(20);
      expect(newest()?.name).toBe("step-000020");
      rmSync(join(folder, "checkpoints", "step-000020"), { recursive: true });
      writeFileSync(join(folder, "checkpoints", "latest"), "step-000010\n");
    }
    // Six files and the pointer, each written, flushed and renamed, and the folder's own steps.
    expect(kills).toBeGreaterThan(18);
  });

  it("of the greatest step is the newest, also past a million", () => {
    for (const step of [1_000_000, 999_999]) save(step);
    expect(newest()?.name).toBe("step-1000000");
  });

  it("leaves nothing half-written behind when the disk is full", () => {
    save(10);
    const full: Disk = {
      ...disk,
      write: (path, bytes) => {
        if (path.includes("state"))
          throw Object.assign(new Error("ENOSPC: no space left"), { code: "ENOSPC" });
        disk.write(path, bytes);
      },
    };
    expect(() => save(20, full)).toThrow("ENOSPC");
    expect(readdirSync(join(folder, "checkpoints"))).toEqual(["latest", "step-000010"]);
    expect(newest()?.name).toBe("step-000010");
  });
});

describe("a damaged checkpoint", () => {
  const place = (file: string, step = "step-000020") => join(folder, "checkpoints", step, file);

  test.each<[string, () => void, RegExp]>([
    [
      "is torn",
      () => truncateSync(place("model.safetensors"), 2),
      /model\.safetensors does not have its checksum/,
    ],
    [
      "is changed",
      () => writeFileSync(place("state.safetensors"), Uint8Array.of(21, 9)),
      /state\.safetensors does not/,
    ],
    ["lacks a file", () => rmSync(place("tokenizer.json")), /tokenizer\.json can not be read/],
    ["lacks its manifest", () => rmSync(place("manifest.json")), /manifest\.json is missing/],
    [
      "has a manifest that is none",
      () => writeFileSync(place("manifest.json"), "{"),
      /manifest\.json is no JSON/,
    ],
    [
      "is of another format",
      () => writeFileSync(place("manifest.json"), '{"formatVersion": 9}'),
      /format version 9, expected 1/,
    ],
    [
      "names a hostile sum",
      () => writeFileSync(place("manifest.json"), '{"formatVersion": 1, "sha256": {"__proto__": "x"}}'),
      /model\.safetensors does not have its checksum/,
    ],
  ])("%s: the one before is used, saying so", (_name, damage, reason) => {
    save(10);
    save(20);
    damage();
    const notes: string[] = [];
    expect(newest(notes)?.name).toBe("step-000010");
    expect(notes).toHaveLength(1);
    expect(notes[0]).toMatch(/^checkpoint step-000020 is not usable/);
    expect(notes[0]).toMatch(reason);
  });

  it("alone is no checkpoint", () => {
    save(20);
    rmSync(place("manifest.json"));
    expect(newest()).toBeUndefined();
    expect(readNewestCheckpoint(join(folder, "nowhere"), () => {})).toBeUndefined();
  });

  it("is not confused with other folders, or with a pointer to nothing", () => {
    save(10);
    mkdirSync(join(folder, "checkpoints", "step-000099.tmp"));
    mkdirSync(join(folder, "checkpoints", "notes"));
    renameSync(join(folder, "checkpoints", "latest"), join(folder, "checkpoints", "old"));
    writeWhole(join(folder, "checkpoints", "latest"), "step-000077\n");
    const notes: string[] = [];
    expect(newest(notes)?.name).toBe("step-000010");
    expect(notes[0]).toContain('latest names "step-000077", which is not there');
  });
});
