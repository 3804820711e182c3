/** Small models that the tests of this folder share; every size its own number, so that a swapped axis shows. */
import { initParams, type Params, type TransformerConfig } from "@pact/nn";
import { type Device, foldIn, key, randomNormal } from "@pact/tensor";

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

export const qwen2: TransformerConfig = { ...qwen3, modelType: "qwen2", tieWordEmbeddings: false };

/** Scaled so that of the three pairs of a head one keeps its frequency, one is in between, one is divided. */
export const llama: TransformerConfig = {
  ...qwen3,
  modelType: "llama",
  hiddenSize: 12, // transformers wants a multiple of numHeads, and yet takes another headSize
  headSize: 6,
  ropeScaling: {
    type: "llama3",
    factor: 8,
    lowFreqFactor: 1,
    highFreqFactor: 4,
    originalMaxPositions: 200,
  },
};

export const llamaBiased: TransformerConfig = {
  ...llama,
  ropeScaling: { type: "linear", factor: 2.5 },
  tieWordEmbeddings: false,
  attentionBias: true,
  mlpBias: true,
};

/** One model of each shape that a checkpoint can have. */
export const models = [
  { name: "gpt", config: gpt },
  { name: "qwen3", config: qwen3 },
  { name: "qwen3 with a head of its own and biases", config: { ...untied, attentionBias: true } },
  { name: "qwen2", config: qwen2 },
  { name: "llama with llama3 scaling", config: llama },
  { name: "llama with biases and linear scaling", config: llamaBiased },
];

/**
 * Weights large enough (0.3) that attention is far from uniform: with 0.02 a wrong mask would hardly show. Biases are
 * drawn too, because zeros could be added anywhere.
 */
export function randomParams(config: TransformerConfig, device: Device): Params {
  const dtype = device.kind === "cpu" ? "f64" : "f32";
  const params = initParams(config, key(7), { device, std: 0.3, dtype });
  Object.keys(params).forEach((name, i) => {
    if (!name.endsWith(".bias")) return;
    const { shape } = params[name];
    params[name].dispose();
    params[name] = randomNormal(foldIn(key(8), i), shape, { device, dtype });
  });
  return params;
}
