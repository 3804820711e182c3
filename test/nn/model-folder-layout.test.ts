/** What saveModel writes: the format's header, transformers' shards, index and JSON. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  initParams,
  loadModel,
  paramSpecs,
  readSafetensors,
  readSafetensorsMetadata,
  saveModel,
} from "@pact/nn";
import { createDevice, key, narrowBf16, widenBf16 } from "@pact/tensor";
import { afterAll, describe, expect, it } from "vitest";
import { llama, qwen3 } from "./models.ts";

const device = await createDevice({ device: "cpu" });
const root = mkdtempSync(join(tmpdir(), "pact-layout-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let made = 0;
const newFolder = () => join(root, String(made++));
const options = { device, dtype: "f64" } as const;

describe("the layout", () => {
  const params = initParams(qwen3, key(3), { device });

  it("is the format's: padded header with format pt, tensors by name, no gaps", async () => {
    const folder = newFolder();
    await saveModel(folder, { config: qwen3, params }, { dtype: "BF16" });
    const bytes = readFileSync(join(folder, "model.safetensors"));
    const length = Number(bytes.readBigUInt64LE(0));
    expect(length % 8).toBe(0);
    const text = bytes.subarray(8, 8 + length).toString();
    expect(
      text.startsWith(
        '{"__metadata__":{"format":"pt"},"model.embed_tokens.weight":{"dtype":"BF16","shape":[23,10],"data_offsets":[0,460]},',
      ),
    ).toBe(true);
    const { __metadata__: _, ...header } = JSON.parse(text);
    expect(Object.keys(header)).toEqual(Object.keys(header).sort());
    let end = 0;
    for (const { data_offsets: offsets } of Object.values<{ data_offsets: number[] }>(header)) {
      expect(offsets[0]).toBe(end);
      end = offsets[1];
    }
    expect(bytes.length).toBe(8 + length + end);
    // Rounded to nearest even, as narrowBf16 (which has tests of its own) says.
    const name = "model.layers.0.mlp.up_proj.weight";
    const exact = (await params[name].data()) as Float32Array;
    expect(readSafetensors(bytes).get(name)!.data).toEqual(widenBf16(narrowBf16(exact)));
  });

  it("shards as transformers does: in order, each below the limit, with an index", async () => {
    const folder = newFolder();
    await saveModel(folder, { config: qwen3, params }, { maxShardBytes: 4000, metadata: { step: "7" } });
    const names = readdirSync(folder).sort();
    const shards = names.filter((name) => /^model-\d{5}-of-\d{5}\.safetensors$/.test(name));
    expect(names).toEqual(["config.json", ...shards, "model.safetensors.index.json"]);
    expect(shards.length).toBeGreaterThan(2);
    const index = JSON.parse(readFileSync(join(folder, "model.safetensors.index.json"), "utf8"));
    const total = paramSpecs(qwen3).reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
    expect(index.metadata).toEqual({ total_parameters: total, total_size: 4 * total });
    expect(Object.keys(index.weight_map)).toEqual(
      paramSpecs(qwen3)
        .map(({ name }) => name)
        .sort(),
    );
    for (const shard of shards) {
      const bytes = readFileSync(join(folder, shard));
      expect(Object.fromEntries(readSafetensorsMetadata(bytes))).toEqual({ format: "pt", step: "7" });
      const entries = readSafetensors(bytes);
      for (const name of entries.keys()) expect(index.weight_map[name]).toBe(shard);
      const size = [...entries.values()].reduce((sum, { data }) => sum + data.byteLength, 0);
      expect(size <= 4000 || entries.size === 1).toBe(true);
    }
  });

  // Qwen3Config(vocab_size=23, hidden_size=12, intermediate_size=14, num_hidden_layers=2, num_attention_heads=6,
  // num_key_value_heads=3, head_dim=4, attention_bias=True) saved in f32 by save_pretrained(folder, max_shard_size="2KB") of
  // transformers 5.18.0: the tensors of each file.
  const transformersShards = [
    ["embed_tokens.weight"],
    [
      "0.self_attn.k_proj.bias",
      "0.self_attn.k_proj.weight",
      "0.self_attn.q_proj.bias",
      "0.self_attn.q_proj.weight",
    ],
    [
      ...["0.self_attn.k_norm.weight", "0.self_attn.o_proj.bias", "0.self_attn.o_proj.weight"],
      ...["0.self_attn.q_norm.weight", "0.self_attn.v_proj.bias", "0.self_attn.v_proj.weight"],
    ],
    ["0.mlp.gate_proj.weight", "0.mlp.up_proj.weight"],
    [
      ...["0.input_layernorm.weight", "0.mlp.down_proj.weight", "0.post_attention_layernorm.weight"],
      "1.self_attn.q_proj.weight",
    ],
    [
      ...["1.self_attn.k_proj.bias", "1.self_attn.k_proj.weight", "1.self_attn.q_proj.bias"],
      ...["1.self_attn.v_proj.bias", "1.self_attn.v_proj.weight"],
    ],
    [
      ...["1.mlp.gate_proj.weight", "1.self_attn.k_norm.weight", "1.self_attn.o_proj.bias"],
      ...["1.self_attn.o_proj.weight", "1.self_attn.q_norm.weight"],
    ],
    [
      ...["1.input_layernorm.weight", "1.mlp.down_proj.weight", "1.mlp.up_proj.weight"],
      ...["1.post_attention_layernorm.weight", "norm.weight"],
    ],
    ["lm_head.weight"],
  ];

  it("puts every tensor into the file that transformers puts it into", async () => {
    const folder = newFolder();
    const config = { ...qwen3, hiddenSize: 12, tieWordEmbeddings: false, attentionBias: true };
    await saveModel(
      folder,
      { config, params: initParams(config, key(3), { device }) },
      { maxShardBytes: 2000 },
    );
    const files = readdirSync(folder).filter((name) => /^model-.*safetensors$/.test(name));
    const held = files.sort().map((name) => [...readSafetensors(readFileSync(join(folder, name))).keys()]);
    const short = held.map((names) => names.map((name) => name.replace(/^model\.(layers\.)?/, "")));
    expect(short).toEqual(transformersShards);
  });

  it("writes floats of Python with a point, which older versions insist on", async () => {
    const folder = newFolder();
    const config = { ...llama, normEps: 1, ropeTheta: 500000 };
    const generationConfig = { temperature: 1, top_k: 20, stop: '"top_p": 1', note: { factor: -2 } };
    await saveModel(folder, { config, params: initParams(config, key(3), { device }), generationConfig });
    const lines = (name: string) => readFileSync(join(folder, name), "utf8").split("\n");
    const floats = ['    "factor": 8.0,', '    "low_freq_factor": 1.0,', '  "rope_theta": 500000.0,'];
    const whole = [
      '  "rms_norm_eps": 1.0,',
      '    "original_max_position_embeddings": 200,',
      '  "vocab_size": 23',
    ];
    expect(lines("config.json")).toEqual(expect.arrayContaining([...floats, ...whole]));
    expect(lines("generation_config.json")).toEqual([
      ...["{", '  "note": {', '    "factor": -2.0', "  },", '  "stop": "\\"top_p\\": 1",'],
      ...['  "temperature": 1.0,', '  "top_k": 20', "}", ""],
    ]);
    expect((await loadModel(folder, options)).generationConfig).toEqual(generationConfig);
  });

  it("keeps what config.json says beside the architecture, and says what dtype the weights have", async () => {
    const folder = newFolder();
    const configJson = {
      eos_token_id: 9,
      hidden_size: 1,
      dtype: "float32",
      rope_parameters: { rope_theta: 1 },
    };
    await saveModel(folder, { config: qwen3, params, configJson }, { dtype: "F16" });
    const json = JSON.parse(readFileSync(join(folder, "config.json"), "utf8"));
    expect(json).toMatchObject({
      eos_token_id: 9,
      hidden_size: 10,
      torch_dtype: "float16",
      rope_theta: 10000,
    });
    expect(json).not.toHaveProperty("rope_parameters");
    expect((await loadModel(folder, options)).configJson).toEqual(json);
  });
});
