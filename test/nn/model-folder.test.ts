/** Model folders on disk: what is saved loads back, in the library's layout; faults are named, all of them. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import {
  CheckpointError,
  ConfigError,
  initParams,
  inspectModel,
  loadModel,
  loadTokenizer,
  type Model,
  ParameterError,
  paramSpecs,
  readFolderText,
  readSafetensors,
  saveModel,
  writeSafetensors,
} from "@pact/nn";
import { createDevice, key, tensor } from "@pact/tensor";
import { afterAll, describe, expect, it } from "vitest";
import { llama, models, qwen2, qwen3, randomParams } from "./models.ts";

const device = await createDevice({ device: "cpu" });
const root = mkdtempSync(join(tmpdir(), "pact-models-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let made = 0;
const newFolder = () => join(root, String(made++));
const options = { device, dtype: "f64" } as const;

async function valuesOf({ params }: Model): Promise<[string, number[]][]> {
  return Promise.all(
    Object.entries(params).map(
      async ([name, p]): Promise<[string, number[]]> => [name, Array.from(await p.data())],
    ),
  );
}

/** The message of what `load` throws, which must be an error of this class. */
async function messageOf(folder: string, kind: new (...args: never[]) => Error): Promise<string> {
  const error = await loadModel(folder, options).then(
    () => new Error("nothing was thrown"),
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(kind);
  return (error as Error).message.replaceAll(folder, "FOLDER");
}

describe.each(models)("$name", ({ config }) => {
  const params = randomParams(config, device);

  it("loads back as it was saved, in one file or in shards", async () => {
    const model: Model = { config, params, generationConfig: { eos_token_id: [1, 2], temperature: 0.6 } };
    for (const maxShardBytes of [5e9, 3000]) {
      const folder = newFolder();
      await saveModel(folder, model, { dtype: "F64", maxShardBytes });
      expect(readdirSync(folder).some((name) => name.endsWith("index.json"))).toBe(maxShardBytes === 3000);
      const back = await loadModel(folder, options);
      expect(back.config).toEqual(config);
      expect(back.generationConfig).toEqual(model.generationConfig);
      expect(Object.keys(back.params)).toEqual(paramSpecs(config).map(({ name }) => name));
      expect(await valuesOf(back)).toEqual(await valuesOf(model));
    }
  });

  it.each(["F32", "F16", "BF16"] as const)(
    "from %s and to it again is bit for bit the same",
    async (dtype) => {
      const [first, second] = [newFolder(), newFolder()];
      await saveModel(first, { config, params }, { dtype });
      await saveModel(second, await loadModel(first, { device }), { dtype });
      for (const name of ["model.safetensors", "config.json"])
        expect(readFileSync(join(second, name)).equals(readFileSync(join(first, name))), name).toBe(true);
    },
  );
});

describe("inspectModel", () => {
  it("says what loading will give, of one file or of shards", async () => {
    const params = randomParams(qwen2, device);
    for (const maxShardBytes of [5e9, 3000]) {
      const folder = newFolder();
      const generationConfig = { top_k: 20 };
      await saveModel(folder, { config: qwen2, params, generationConfig }, { dtype: "F16", maxShardBytes });
      const found = await inspectModel(folder);
      expect(found.config).toEqual(qwen2);
      expect(found.generationConfig).toEqual(generationConfig);
      for (const { name, shape } of paramSpecs(qwen2)) {
        const { dtype, bytes, shape: stored } = found.tensors.get(name)!;
        expect([name, dtype, stored, bytes]).toEqual([name, "F16", shape, 2 * params[name].size]);
      }
    }
  });

  it("refuses a model that does not fit its configuration, as loadModel does", async () => {
    const folder = newFolder();
    await saveModel(folder, { config: qwen3, params: initParams(qwen3, key(3), { device }) });
    const path = join(folder, "config.json");
    const json = JSON.parse(readFileSync(path, "utf8"));
    writeFileSync(path, JSON.stringify({ ...json, hidden_size: 2 * json.hidden_size }));
    const text = await messageOf(folder, ParameterError);
    await expect(inspectModel(folder)).rejects.toThrow(ParameterError);
    expect(
      (await inspectModel(folder).catch((e: Error) => e.message)).toString().replaceAll(folder, "FOLDER"),
    ).toBe(text);
  });
});

describe("saving", () => {
  it("replaces the weights of an earlier model and nothing else", async () => {
    const folder = newFolder();
    const model = { config: llama, params: randomParams(llama, device) };
    await saveModel(folder, { config: qwen2, params: randomParams(qwen2, device) }, { maxShardBytes: 2000 });
    writeFileSync(join(folder, "tokenizer.json"), "{}");
    await saveModel(folder, model);
    expect(readdirSync(folder).sort()).toEqual(["config.json", "model.safetensors", "tokenizer.json"]);
    await saveModel(folder, model, { maxShardBytes: 3000, dtype: "F64" });
    expect(readdirSync(folder)).not.toContain("model.safetensors");
    expect(await valuesOf(await loadModel(folder, options))).toEqual(await valuesOf(model));
  });

  it("refuses what could not be read back", async () => {
    const folder = newFolder();
    const model = { config: qwen3, params: initParams(qwen3, key(3), { device }) };
    for (const maxShardBytes of [0, -1, Number.NaN])
      await expect(saveModel(folder, model, { maxShardBytes })).rejects.toThrow(
        /maxShardBytes is .*, expected/,
      );
    const metadata = { step: 7 as unknown as string };
    await expect(saveModel(folder, model, { metadata })).rejects.toThrow(
      /"step" must be a string, received number/,
    );
    const generationConfig = [1] as unknown as Record<string, unknown>;
    await expect(saveModel(folder, { ...model, generationConfig })).rejects.toThrow(/must be an object/);
    expect(existsSync(folder) ? readdirSync(folder) : []).toEqual([]);
  });

  it("that fails leaves the folder as it was", async () => {
    const folder = newFolder();
    const params = randomParams(qwen3, device);
    await saveModel(folder, { config: qwen3, params });
    const before = readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), "hex")]);
    const large = { ...params, "model.norm.weight": tensor(new Float64Array(10).fill(65520), { device }) };
    await expect(saveModel(folder, { config: qwen3, params: large }, { dtype: "F16" })).rejects.toThrow(
      '"model.norm.weight" holds 65520, which F16 can not hold',
    );
    const onProgress = () => {
      throw new Error("stopped");
    };
    await expect(saveModel(folder, { config: qwen3, params }, { onProgress })).rejects.toThrow("stopped");
    const { "model.norm.weight": _, ...incomplete } = params;
    await expect(saveModel(folder, { config: qwen3, params: incomplete })).rejects.toThrow(ParameterError);
    expect(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), "hex")])).toEqual(
      before,
    );
    const unknown = { dtype: "bfloat16" as "BF16" };
    await expect(saveModel(folder, { config: qwen3, params }, unknown)).rejects.toThrow(
      'dtype is "bfloat16", expected "F32", "F64", "F16" or "BF16"',
    );
    const file = join(root, "a-file");
    writeFileSync(file, "");
    await expect(saveModel(file, { config: qwen3, params })).rejects.toThrow(CheckpointError);
  });

  it("writes no file through a link, and replaces the link", async () => {
    const [folder, outside] = [newFolder(), join(root, "outside")];
    mkdirSync(folder);
    writeFileSync(outside, "precious");
    symlinkSync(outside, join(folder, "model.safetensors"));
    await saveModel(folder, { config: qwen3, params: randomParams(qwen3, device) });
    expect(readFileSync(outside, "utf8")).toBe("precious");
    await loadModel(folder, options);
  });
});

describe("numbers that are none", () => {
  it("keep their bits in 16-bit formats: infinities, NaN, zeros of both signs, subnormals", async () => {
    const [first, second] = [newFolder(), newFolder()];
    const params = randomParams(qwen3, device);
    await saveModel(first, { config: qwen3, params });
    const path = join(first, "model.safetensors");
    for (const dtype of ["BF16", "F16"] as const) {
      const entries = readSafetensors(readFileSync(path));
      for (const [name, { shape, data }] of entries) entries.set(name, { dtype, shape, data });
      const edges = Float32Array.of(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0, 0);
      const odd = Float32Array.of(...edges, 2 ** -24, -(2 ** -14), 65504, 2 ** -20, 1);
      entries.set("model.norm.weight", { dtype, shape: [10], data: odd });
      writeFileSync(path, writeSafetensors(entries, { format: "pt" }));
      await saveModel(second, await loadModel(first, { device }), { dtype });
      expect(readFileSync(join(second, "model.safetensors")).equals(readFileSync(path))).toBe(true);
    }
  });
});

describe("loading", () => {
  async function saved(maxShardBytes = 5e9): Promise<string> {
    const folder = newFolder();
    await saveModel(folder, { config: qwen3, params: randomParams(qwen3, device) }, { maxShardBytes });
    return folder;
  }
  const edit = (folder: string, name: string, change: (json: Record<string, never>) => unknown) => {
    const path = join(folder, name);
    writeFileSync(path, JSON.stringify(change(JSON.parse(readFileSync(path, "utf8")))));
  };
  const shard = (n: number) => `model-0000${n}-of-00003.safetensors`;

  it("reports progress to the last byte, and leaves nothing behind when it is stopped", async () => {
    const folder = await saved(4000);
    const seen: number[] = [];
    await loadModel(folder, {
      device,
      onProgress: ({ bytes, totalBytes }) => seen.push(bytes / totalBytes),
    });
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    expect(seen.at(-1)).toBe(1);
    const before = device.memory().liveTensors;
    const stop = () => {
      throw new Error("stopped");
    };
    await expect(loadModel(folder, { device, onProgress: stop })).rejects.toThrow("stopped");
    expect(device.memory().liveTensors).toBe(before);
  });

  it("takes a folder of the Hugging Face cache, where every file is a link to a blob", async () => {
    const [cache, folder] = [newFolder(), await saved()];
    const snapshot = join(cache, "snapshots", "0a1b");
    mkdirSync(snapshot, { recursive: true });
    mkdirSync(join(cache, "blobs"));
    for (const name of readdirSync(folder)) {
      renameSync(join(folder, name), join(cache, "blobs", name));
      symlinkSync(join("..", "..", "blobs", name), join(snapshot, name));
    }
    expect((await loadModel(snapshot, options)).config).toEqual(qwen3);
  });

  it("lists every missing file, and says what to do with other formats", async () => {
    expect(await messageOf(newFolder(), CheckpointError)).toMatchInlineSnapshot(`
      "The model folder "FOLDER" can not be used:
        - config.json is missing
        - neither model.safetensors nor model.safetensors.index.json is there; save weights in another format as safetensors first: model.save_pretrained(folder)"
    `);
  });

  it("lists every fault of shards and index", async () => {
    const folder = await saved(4000);
    rmSync(join(folder, shard(1)));
    truncateSync(join(folder, shard(2)), 3000);
    writeFileSync(
      join(folder, shard(3)),
      writeSafetensors([["extra", { dtype: "F32", shape: [1], data: Float32Array.of(1) }]]),
    );
    edit(folder, "model.safetensors.index.json", ({ weight_map: map }) => ({
      weight_map: {
        ...(map as object),
        up: "../model.safetensors",
        root: "/etc/passwd",
        windows: "C:\\model.safetensors",
        number: 3,
      },
    }));
    const message = await messageOf(folder, CheckpointError);
    expect(message.replace(/\d+ bytes|\d{3,4}/g, "#")).toMatchInlineSnapshot(`
      "The model folder "FOLDER" can not be used:
        - model.safetensors.index.json: "up" is in "../model.safetensors", expected the name of a .safetensors file in the folder
        - model.safetensors.index.json: "root" is in "/etc/passwd", expected the name of a .safetensors file in the folder
        - model.safetensors.index.json: "windows" is in "C:\\\\model.safetensors", expected the name of a .safetensors file in the folder
        - model.safetensors.index.json: "number" is in number, expected the name of a .safetensors file in the folder
        - model-#1-of-#3.safetensors: the index names it, it is missing
        - model-#2-of-#3.safetensors: Tensor "model.layers.1.self_attn.k_proj.weight" ends at #, but the file holds # of data: it is truncated.
        - model-#3-of-#3.safetensors: "extra" is not in the index
        - model-#3-of-#3.safetensors: the index says it holds "model.layers.1.input_layernorm.weight", it does not
        - model-#3-of-#3.safetensors: the index says it holds "model.layers.1.mlp.down_proj.weight", it does not
        - model-#3-of-#3.safetensors: the index says it holds "model.layers.1.mlp.gate_proj.weight", it does not
        - model-#3-of-#3.safetensors: the index says it holds "model.layers.1.mlp.up_proj.weight", it does not
        - model-#3-of-#3.safetensors: the index says it holds "model.layers.1.post_attention_layernorm.weight", it does not
        - model-#3-of-#3.safetensors: the index says it holds "model.layers.1.self_attn.k_norm.weight", it does not
        - model-#3-of-#3.safetensors: the index says it holds "model.layers.1.self_attn.o_proj.weight", it does not
        - model-#3-of-#3.safetensors: the index says it holds "model.layers.1.self_attn.q_norm.weight", it does not
        - model-#3-of-#3.safetensors: the index says it holds "model.norm.weight", it does not"
    `);
  });

  it("names tensors that are in two shards, or in another than the index says", async () => {
    const folder = await saved(4000);
    const [a, b] = [shard(1), shard(2)].map((name) => join(folder, name));
    const [first, second] = [a, b].map((path) => [...readSafetensors(readFileSync(path))]);
    writeFileSync(a, writeSafetensors(first.slice(1)));
    writeFileSync(b, writeSafetensors([...second, ...first.slice(0, 2)]));
    expect(await messageOf(folder, CheckpointError)).toMatchInlineSnapshot(`
      "The model folder "FOLDER" can not be used:
        - model-00002-of-00003.safetensors: "model.embed_tokens.weight" is in model-00001-of-00003.safetensors according to the index
        - model-00002-of-00003.safetensors: "model.layers.0.self_attn.k_norm.weight" is in model-00001-of-00003.safetensors too"
    `);
  });

  it("lists everything between configuration and tensors at once", async () => {
    const folder = await saved();
    edit(folder, "config.json", (json) => ({
      ...json,
      vocab_size: 24,
      tie_word_embeddings: false,
      head_dim: 8,
    }));
    const path = join(folder, "model.safetensors");
    const entries = readSafetensors(readFileSync(path));
    entries.set("extra", { dtype: "F32", shape: [1], data: Float32Array.of(1) });
    entries.set("model.norm.weight", { dtype: "I32", shape: [10], data: new Int32Array(10) });
    writeFileSync(path, writeSafetensors(entries));
    const message = await messageOf(folder, ParameterError);
    for (const part of [
      'unexpected "extra"',
      'missing "lm_head.weight" [24,10]',
      '"model.embed_tokens.weight" has shape [23,10], expected [24,10]',
      '"model.layers.1.self_attn.q_norm.weight" has shape [4], expected [8]',
      '"model.norm.weight" has dtype I32, expected F32, F64, F16 or BF16',
    ])
      expect(message).toContain(part);
    edit(folder, "config.json", (json) => ({ ...json, model_type: "mamba" }));
    expect(await messageOf(folder, ConfigError)).toContain('"gpt", "qwen3", "qwen2" or "llama"');
    edit(folder, "config.json", (json) => ({ ...json, model_type: "qwen3", num_hidden_layers: 2 ** 52 }));
    expect(await messageOf(folder, ParameterError)).toContain("4503599627370496 layers");
  });

  it("follows no link out of the folder, and reads plain files only", async () => {
    const folder = await saved();
    const outside = newFolder();
    renameSync(join(folder, "model.safetensors"), outside);
    symlinkSync(outside, join(folder, "model.safetensors"));
    rmSync(join(folder, "config.json"));
    mkdirSync(join(folder, "config.json"));
    symlinkSync("nowhere", join(folder, "generation_config.json"));
    const secret = newFolder();
    writeFileSync(secret, "secret");
    symlinkSync(secret, join(folder, "chat_template.jinja"));
    for (const name of ["chat_template.jinja", `../${basename(secret)}`])
      await expect(readFolderText(folder, name)).rejects.toThrow(/link out of the folder/);
    writeFileSync(join(folder, "tokenizer.json"), "{}");
    await expect(loadTokenizer(folder)).rejects.toThrow(
      /chat_template\.jinja can not be read \(it is a symbolic/,
    );
    expect(await messageOf(folder, CheckpointError)).toMatchInlineSnapshot(`
      "The model folder "FOLDER" can not be used:
        - config.json: it is no plain file
        - model.safetensors: it is a symbolic link out of the folder. Copy the file it means into the folder, or give the folder that holds it"
    `);
  });

  it("ignores what an exporter may add: a copy of the tied head, frequencies of old Llamas", async () => {
    const folder = newFolder();
    await saveModel(folder, { config: llama, params: randomParams(llama, device) });
    const path = join(folder, "model.safetensors");
    const entries = readSafetensors(readFileSync(path));
    entries.set("lm_head.weight", entries.get("model.embed_tokens.weight")!);
    const frequencies = { dtype: "F32", shape: [3], data: new Float32Array(3) } as const;
    entries.set("model.layers.0.self_attn.rotary_emb.inv_freq", frequencies);
    writeFileSync(path, writeSafetensors(entries));
    expect(Object.keys((await loadModel(folder, options)).params)).toHaveLength(paramSpecs(llama).length);
  });
});
