/** Large folders: the memory that loading takes, and offsets beyond 2³¹. */
import { execFileSync } from "node:child_process";
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { configToJson, loadModel, paramSpecs, type TransformerConfig } from "@pact/nn";
import { createDevice } from "@pact/tensor";
import { afterAll, describe, expect, it } from "vitest";
import { qwen3 } from "./models.ts";

const root = mkdtempSync(join(tmpdir(), "pact-large-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const mebibyte = 2 ** 20;

type Entry = { name: string; shape: readonly number[]; bytes: number };

/** The start of a safetensors file, made by hand: length, header, tensors one after the other. */
function head(dtype: string, entries: readonly Entry[]): Buffer {
  let end = 0;
  const fields = entries.map(({ name, shape, bytes }) => {
    end += bytes;
    return [name, { dtype, shape, data_offsets: [end - bytes, end] }];
  });
  const text = Buffer.from(JSON.stringify(Object.fromEntries(fields)));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text]);
}

const entriesOf = (config: TransformerConfig, bytesPerElement: number): Entry[] =>
  paramSpecs(config).map(({ name, shape }) => ({
    name,
    shape,
    bytes: bytesPerElement * shape.reduce((a, b) => a * b, 1),
  }));

describe("a folder of 304 MiB in two shards", () => {
  it("takes the parameters, the largest tensor and less than 256 MiB", () => {
    const folder = join(root, "sharded");
    mkdirSync(folder);
    const config: TransformerConfig = {
      ...qwen3,
      vocabSize: 65536,
      hiddenSize: 1024,
      numHeads: 8,
      numKvHeads: 4,
      headSize: 128,
      intermediateSize: 3072,
      numLayers: 2,
      tieWordEmbeddings: false,
    };
    writeFileSync(join(folder, "config.json"), JSON.stringify(configToJson(config)));
    const entries = entriesOf(config, 2);
    const half = entries.findIndex(({ name }) => name.startsWith("model.layers.1."));
    const weightMap: Record<string, string> = {};
    const block = Buffer.from(
      Uint16Array.from({ length: 8 * mebibyte }, (_, i) => 0x3f80 + (i % 128)).buffer,
    );
    [entries.slice(0, half), entries.slice(half)].forEach((list, i) => {
      const name = `model-0000${i + 1}-of-00002.safetensors`;
      const file = openSync(join(folder, name), "w");
      writeSync(file, head("BF16", list));
      for (let left = list.reduce((sum, { bytes }) => sum + bytes, 0); left > 0; left -= block.length)
        writeSync(file, block, 0, Math.min(left, block.length));
      closeSync(file);
      for (const entry of list) weightMap[entry.name] = name;
    });
    writeFileSync(join(folder, "model.safetensors.index.json"), JSON.stringify({ weight_map: weightMap }));

    const child = fileURLToPath(new URL("./model-folder-child.ts", import.meta.url));
    const output = execFileSync(process.execPath, ["--import", "tsx", "--conditions=source", child, folder], {
      encoding: "utf8",
    });
    const { beyond, parameters, sample, seconds } = JSON.parse(output);
    const total = entries.reduce((sum, { bytes }) => sum + 2 * bytes, 0);
    expect(parameters).toBe(total);
    expect(sample).toBeGreaterThanOrEqual(1);
    const largest = Math.max(...entries.map(({ bytes }) => bytes));
    // On the cpu device the parameters are host memory; what loading itself takes is the rest.
    const own = beyond - parameters;
    console.log(
      `loading took ${Math.round(own / mebibyte)} MiB beyond its parameters' ${Math.round(parameters / mebibyte)} MiB, ${seconds.toFixed(1)} s`,
    );
    expect(own).toBeLessThan(largest + 256 * mebibyte);
  });
});

describe("a file of more than 2 GiB", () => {
  it("is read at offsets beyond 2³¹", async () => {
    const folder = join(root, "long");
    mkdirSync(folder);
    const vocabSize = 2 ** 20;
    const config: TransformerConfig = { ...qwen3, hiddenSize: 16, numLayers: 1 };
    writeFileSync(join(folder, "config.json"), JSON.stringify(configToJson(config)));
    // A stored copy of the tied head is known and not read: 2.5 GiB of hole, which takes no space on disk.
    const hole = { name: "lm_head.weight", shape: [vocabSize, 640], bytes: 4 * 640 * vocabSize };
    const entries = entriesOf(config, 4);
    const file = openSync(join(folder, "model.safetensors"), "w");
    const start = head("F32", [hole, ...entries]);
    writeSync(file, start);
    let position = start.length + hole.bytes;
    ftruncateSync(file, position);
    let next = 0;
    for (const { bytes } of entries) {
      const values = Float32Array.from({ length: bytes / 4 }, () => next++);
      writeSync(file, new Uint8Array(values.buffer), 0, bytes, position);
      position += bytes;
    }
    closeSync(file);
    expect(position).toBeGreaterThan(2.5 * 2 ** 30);

    const device = await createDevice({ device: "cpu" });
    const { params } = await loadModel(folder, { device });
    const expected = entries.reduce((sum, { bytes }) => sum + bytes / 4, 0);
    let seen = 0;
    for (const { name } of entries) for (const value of await params[name].data()) expect(value).toBe(seen++);
    expect(seen).toBe(expected);
  });
});
