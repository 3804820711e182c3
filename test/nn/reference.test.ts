/** The models against the same models written a second time (reference.ts), and frequencies against published ones. */
import {
  configFromJson,
  configToJson,
  forwardHidden,
  logits,
  packSequences,
  ropeFrequencies,
} from "@pact/nn";
import { createDevice } from "@pact/tensor";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { models, randomParams } from "./models.ts";
import { invFreq, type Json, referenceLogits } from "./reference.ts";

const device = await createDevice({ device: "cpu" });

describe.each(models.filter(({ name }) => name !== "gpt"))("$name", ({ config }) => {
  it("gives the logits of the reference in double precision", async () => {
    const params = randomParams(config, device);
    const weights = new Map<string, ArrayLike<number>>();
    for (const [name, parameter] of Object.entries(params)) weights.set(name, await parameter.data());
    const json = configToJson(config) as Json;
    const tokens = fc.array(fc.nat(config.vocabSize - 1), { minLength: 1, maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(tokens, async (ids) => {
        const expected = referenceLogits(json, weights, ids).flat();
        const actual = await logits(
          config,
          params,
          forwardHidden(config, params, packSequences([ids])),
        ).data();
        expect(actual.length).toBe(expected.length);
        expected.forEach((value, i) => {
          expect(Math.abs(actual[i] - value)).toBeLessThan(1e-11 * Math.max(1, Math.abs(value)));
        });
      }),
      { numRuns: 10 },
    );
  });
});

/** The config.json of meta-llama/Llama-3.2-1B and Qwen/Qwen2.5-0.5B, as published. */
const llama32 = {
  architectures: ["LlamaForCausalLM"],
  attention_bias: false,
  attention_dropout: 0.0,
  bos_token_id: 128000,
  eos_token_id: 128001,
  head_dim: 64,
  hidden_act: "silu",
  hidden_size: 2048,
  initializer_range: 0.02,
  intermediate_size: 8192,
  max_position_embeddings: 131072,
  mlp_bias: false,
  model_type: "llama",
  num_attention_heads: 32,
  num_hidden_layers: 16,
  num_key_value_heads: 8,
  pretraining_tp: 1,
  rms_norm_eps: 1e-5,
  rope_scaling: {
    factor: 32.0,
    high_freq_factor: 4.0,
    low_freq_factor: 1.0,
    original_max_position_embeddings: 8192,
    rope_type: "llama3",
  },
  rope_theta: 500000.0,
  tie_word_embeddings: true,
  torch_dtype: "bfloat16",
  transformers_version: "4.45.0.dev0",
  use_cache: true,
  vocab_size: 128256,
};
const qwen25 = {
  architectures: ["Qwen2ForCausalLM"],
  attention_dropout: 0.0,
  bos_token_id: 151643,
  eos_token_id: 151643,
  hidden_act: "silu",
  hidden_size: 896,
  initializer_range: 0.02,
  intermediate_size: 4864,
  max_position_embeddings: 32768,
  max_window_layers: 24,
  model_type: "qwen2",
  num_attention_heads: 14,
  num_hidden_layers: 24,
  num_key_value_heads: 2,
  rms_norm_eps: 1e-6,
  rope_theta: 1000000.0,
  sliding_window: 32768,
  tie_word_embeddings: true,
  torch_dtype: "bfloat16",
  transformers_version: "4.40.1",
  use_cache: true,
  use_mrope: false,
  use_sliding_window: false,
  vocab_size: 151936,
};

describe("published configurations", () => {
  it("Llama 3.2 1B", () => {
    const config = configFromJson(llama32);
    expect(config).toEqual({
      modelType: "llama",
      vocabSize: 128256,
      hiddenSize: 2048,
      numLayers: 16,
      numHeads: 32,
      numKvHeads: 8,
      headSize: 64,
      intermediateSize: 8192,
      maxPositions: 131072,
      normEps: 1e-5,
      ropeTheta: 500000,
      ropeScaling: {
        type: "llama3",
        factor: 32,
        lowFreqFactor: 1,
        highFreqFactor: 4,
        originalMaxPositions: 8192,
      },
      tieWordEmbeddings: true,
    });
    const frequencies = ropeFrequencies(config);
    const expected = invFreq(llama32, 64);
    expect(frequencies).toHaveLength(32);
    frequencies.forEach((value, i) => {
      expect(Math.abs(value / expected[i] - 1)).toBeLessThan(1e-14);
    });
    // All three kinds occur: kept, in between, divided by 32.
    const ratios = Array.from(frequencies, (value, i) => value * 500000 ** (i / 32));
    expect([ratios[0], ratios[31]].map((r) => r.toFixed(6))).toEqual(["1.000000", "0.031250"]);
    expect(ratios.filter((r) => r > 0.04 && r < 0.99).length).toBeGreaterThan(2);
  });

  it("Qwen2.5 0.5B", () => {
    expect(configFromJson(qwen25)).toEqual({
      modelType: "qwen2",
      vocabSize: 151936,
      hiddenSize: 896,
      numLayers: 24,
      numHeads: 14,
      numKvHeads: 2,
      headSize: 64,
      intermediateSize: 4864,
      maxPositions: 32768,
      normEps: 1e-6,
      ropeTheta: 1000000,
      tieWordEmbeddings: true,
    });
  });

  it("older and newer spellings of the scaling mean the same", () => {
    const { rope_scaling, rope_theta, ...rest } = llama32;
    const newer = { ...rest, rope_parameters: { ...rope_scaling, rope_theta } };
    expect(configFromJson(newer)).toEqual(configFromJson(llama32));
    // Theta beside the newer field, inside of the older one, and in both: as transformers 5.18 reads them.
    const thetas = [
      { rope_theta: 7, rope_parameters: { rope_type: "default" } },
      { rope_theta: 7, rope_parameters: { rope_type: "default", rope_theta: null } },
      { rope_theta: 8, rope_parameters: { rope_type: "default", rope_theta: 7 } },
      { rope_theta: undefined, rope_scaling: { rope_type: "default", rope_theta: 7 } },
    ];
    for (const fields of thetas) expect(configFromJson({ ...llama32, ...fields }).ropeTheta).toBe(7);
    const linear = { ...llama32, rope_scaling: { type: "linear", factor: 2 } };
    expect(configFromJson(linear).ropeScaling).toEqual({ type: "linear", factor: 2 });
    expect(configFromJson({ ...llama32, rope_scaling: { rope_type: "default" } }).ropeScaling).toBe(
      undefined,
    );
    expect(configFromJson({ ...llama32, rope_scaling: null }).ropeScaling).toBe(undefined);
  });

  it.each(models)("$name: written and read back", ({ config }) => {
    expect(configFromJson(JSON.parse(JSON.stringify(configToJson(config))))).toEqual(config);
  });
});
