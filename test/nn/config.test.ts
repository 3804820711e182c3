import { readFile } from "node:fs/promises";
import { ConfigError, configFromJson, configToJson, validateConfig } from "@pact/nn";
import { describe, expect, it } from "vitest";

const read = async (path: string) =>
  JSON.parse(await readFile(new URL(`../golden/${path}/config.json`, import.meta.url), "utf8"));

function problemsOf(json: unknown): readonly string[] {
  try {
    configFromJson(json);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

describe("configFromJson", () => {
  it("reads qwen3 with a head size of its own", async () => {
    expect(configFromJson(await read("qwen3/f32"))).toEqual({
      modelType: "qwen3",
      vocabSize: 101,
      hiddenSize: 40,
      numLayers: 3,
      numHeads: 4,
      numKvHeads: 2,
      headSize: 12,
      intermediateSize: 56,
      maxPositions: 128,
      normEps: 1e-6,
      ropeTheta: 1000000,
      tieWordEmbeddings: true,
    });
  });

  it("reads gpt with its defaults", async () => {
    const { intermediate_size: _, layer_norm_eps: __, ...json } = await read("gpt");
    expect(configFromJson(json)).toMatchObject({
      headSize: 7,
      numKvHeads: 4,
      intermediateSize: 112,
      normEps: 1e-5,
    });
  });

  it("reads back what configToJson wrote", async () => {
    for (const path of ["gpt", "qwen3/f32"]) {
      const config = configFromJson(await read(path));
      expect(configFromJson(JSON.parse(JSON.stringify(configToJson(config))))).toEqual(config);
    }
  });

  it("reads rope_parameters, where newer exporters put theta", async () => {
    const { rope_theta: _, ...json } = await read("qwen3/f32");
    const nested = { ...json, rope_parameters: { rope_type: "default", rope_theta: 5000 } };
    expect(configFromJson(nested).ropeTheta).toBe(5000);
    expect(problemsOf({ ...json, rope_parameters: { rope_type: "yarn" } })).toEqual([
      'rope_parameters.rope_type: expected "default", "linear" or "llama3", received "yarn"',
    ]);
  });

  it("lists everything that is wrong, not only the first", async () => {
    const json = {
      ...(await read("qwen3/f32")),
      vocab_size: 0,
      hidden_act: "gelu",
      rope_scaling: { factor: 2 },
      use_sliding_window: true,
      quantization_config: { bits: 4 },
      architectures: ["Qwen3ForSequenceClassification"],
      rms_norm_eps: "small",
      tie_word_embeddings: 1,
    };
    expect(problemsOf(json)).toEqual([
      'quantization_config: expected null or absent, received {"bits":4}',
      'architectures: expected ["Qwen3ForCausalLM"], received ["Qwen3ForSequenceClassification"]',
      'hidden_act: expected "silu" or absent, received "gelu"',
      "use_sliding_window: expected false or null or absent, received true",
      "vocab_size: expected a whole number ≥ 1, received 0",
      'rms_norm_eps: expected a number > 0, received "small"',
      'rope_scaling.rope_type: expected "default", "linear" or "llama3", received nothing',
      "tie_word_embeddings: expected true or false, received 1",
    ]);
  });

  it("refuses other models and other JSON", () => {
    expect(problemsOf({ model_type: "mistral" })).toEqual([
      'model_type: expected "gpt", "qwen3", "qwen2" or "llama", received "mistral"',
    ]);
    expect(problemsOf([])).toHaveLength(1);
    expect(problemsOf(null)).toHaveLength(1);
    expect(problemsOf(JSON.parse('{"__proto__": {"model_type": "gpt"}}'))).toEqual([
      'model_type: expected "gpt", "qwen3", "qwen2" or "llama", received nothing',
    ]);
  });

  it("checks what the sizes say together", async () => {
    const config = configFromJson(await read("qwen3/f32"));
    expect(() =>
      validateConfig({ ...config, numKvHeads: 3, headSize: 5 }),
    ).toThrowErrorMatchingInlineSnapshot(`
      [ConfigError: The model configuration can not be used:
        - numKvHeads (3) must divide numHeads (4)
        - headSize must be even for rotary positions, received 5]
    `);
    const gpt = configFromJson(await read("gpt"));
    expect(() => validateConfig({ ...gpt, headSize: 8 })).toThrow(/gpt needs numKvHeads = numHeads/);
  });
});
