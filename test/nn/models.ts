/** Small models that the tests of this folder share; every size its own number, so that a swapped axis shows. */
import { initParams, type Params, type TransformerConfig } from "@pact/nn";
import { type Device, key } from "@pact/tensor";

/** Grouped query heads, and a head size that is not hiddenSize / numHeads. */
export const qwen3: TransformerConfig = {
  modelType: "qwen3",
  vocabSize: 23,
  hiddenSize: 10,
  numLayers: 2,
  numHeads: 6,
  numKvHeads: 3,
  headSize: 4,
  intermediateSize: 14,
  maxPositions: 64,
  normEps: 1e-6,
  ropeTheta: 10000,
  tieWordEmbeddings: true,
};

export const gpt: TransformerConfig = {
  ...qwen3,
  modelType: "gpt",
  hiddenSize: 15,
  numHeads: 3,
  numKvHeads: 3,
  headSize: 5,
  normEps: 1e-5,
};

export const untied: TransformerConfig = { ...qwen3, tieWordEmbeddings: false };

/** Weights large enough (0.3) that attention is far from uniform: with 0.02 a wrong mask would hardly show. */
export function randomParams(config: TransformerConfig, device: Device): Params {
  return initParams(config, key(7), { device, std: 0.3, dtype: device.kind === "cpu" ? "f64" : "f32" });
}
