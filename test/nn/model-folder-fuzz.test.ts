/**
 * Model folders from strangers: files that are missing, cut, mutated or of another model end in a typed error, or in a
 * model whose parameters fit its configuration.
 */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadModel, paramSpecs, saveModel } from "@pact/nn";
import { createDevice, PactError } from "@pact/tensor";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { llama, randomParams } from "./models.ts";

const device = await createDevice({ device: "cpu" });
const root = mkdtempSync(join(tmpdir(), "pact-hostile-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const intact = join(root, "intact");
const model = { config: llama, params: randomParams(llama, device), generationConfig: { eos_token_id: 2 } };
await saveModel(intact, model, { maxShardBytes: 4000 });
const names = readdirSync(intact).sort();

/** Loads a folder made of these files. */
async function loadOrRefuse(files: ReadonlyMap<string, Uint8Array | string>): Promise<void> {
  const folder = mkdtempSync(join(root, "f-"));
  for (const [name, bytes] of files) writeFileSync(join(folder, name), bytes);
  const before = device.memory().liveTensors;
  try {
    const { config, params } = await loadModel(folder, { device });
    for (const { name, shape } of paramSpecs(config)) {
      expect(params[name].shape).toEqual(shape);
      params[name].dispose();
    }
  } catch (error) {
    expect(error).toBeInstanceOf(PactError);
    expect((error as Error).message.length).toBeLessThan(100_000);
  } finally {
    rmSync(folder, { recursive: true });
  }
  expect(device.memory().liveTensors).toBe(before);
}

const read = () => new Map<string, Uint8Array | string>(names.map((n) => [n, readFileSync(join(intact, n))]));
const name = fc.constantFrom(...names);
const odd = fc.oneof(
  fc.constantFrom<unknown>(-1, 0, 0.5, 2 ** 40, 2 ** 53, 1e308, null, true, "", "../x.safetensors", [], {}, [
    [0],
  ]),
  fc.constantFrom<unknown>("llama", "qwen2", "qwen3", "gpt", { rope_type: "yarn" }, { rope_type: "linear" }),
  fc.constantFrom<unknown>(...names),
  fc.nat(64),
);

describe("a folder of strangers ends in a typed error or a whole model:", () => {
  it("the intact one loads", async () => {
    expect(names).toHaveLength(names.filter((n) => /^model-/.test(n)).length + 3);
    const copy = join(root, "copy");
    cpSync(intact, copy, { recursive: true });
    expect((await loadModel(copy, { device })).config).toEqual(llama);
  });

  it("files missing, cut, exchanged, bytes changed", async () => {
    const change = fc.record({
      kind: fc.constantFrom("remove", "cut", "byte", "exchange"),
      name,
      other: name,
      at: fc.nat(),
      value: fc.nat(255),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 3 }), async (changes) => {
        const files = read();
        for (const { kind, name, other, at, value } of changes) {
          const bytes = Buffer.from(files.get(name) ?? "");
          if (kind === "remove") files.delete(name);
          else if (kind === "cut") files.set(name, bytes.subarray(0, at % (bytes.length + 1)));
          else if (kind === "exchange") files.set(name, files.get(other) ?? "");
          else if (bytes.length > 0) {
            // Headers are where it matters: half of the changes go to the first 600 bytes.
            const changed = Buffer.from(bytes);
            changed[at % (at % 2 ? bytes.length : Math.min(600, bytes.length))] = value;
            files.set(name, changed);
          }
        }
        await loadOrRefuse(files);
      }),
      { numRuns: 300 },
    );
  });

  it("fields of config.json and the index changed", async () => {
    const json = (file: string) => JSON.parse(readFileSync(join(intact, file), "utf8"));
    const config = json("config.json");
    const index = json("model.safetensors.index.json");
    const places = [
      ...Object.keys(config).map((key) => ["config.json", key] as const),
      ...Object.keys(config.rope_scaling).map((key) => ["config.json", "rope_scaling", key] as const),
      ...["metadata", "weight_map", "__proto__"].map((key) => ["model.safetensors.index.json", key] as const),
      ...Object.keys(index.weight_map)
        .slice(0, 4)
        .map((key) => ["model.safetensors.index.json", "weight_map", key] as const),
      ["model.safetensors.index.json", "weight_map", "more"] as const,
      ["generation_config.json", "eos_token_id"] as const,
    ];
    const changes = fc.array(fc.tuple(fc.constantFrom(...places), odd), { minLength: 1, maxLength: 3 });
    await fc.assert(
      fc.asyncProperty(changes, async (list) => {
        const files = read();
        for (const [[file, ...path], value] of list) {
          const whole = JSON.parse(String(Buffer.from(files.get(file) as Uint8Array)));
          let inner = whole;
          for (const key of path.slice(0, -1)) inner = inner?.[key];
          if (typeof inner !== "object" || inner === null) continue;
          inner[path.at(-1)!] = value;
          files.set(file, Buffer.from(JSON.stringify(whole)));
        }
        await loadOrRefuse(files);
      }),
      { numRuns: 400 },
    );
  });

  it("any JSON, or none, in place of a file", async () => {
    const text = fc.oneof(fc.json({ maxDepth: 4 }), fc.string(), fc.constant("[".repeat(100_000)));
    await fc.assert(
      fc.asyncProperty(name, text, (name, content) => loadOrRefuse(read().set(name, content))),
      { numRuns: 150 },
    );
  });
});
