/**
 * The model and the data of W3 to W8: the GPT of the comparison with other engines (V 128, D 128, H 4, L 4, F 512; with
 * 128 positions 842,496 parameters), seeded weights and batches of made-up tokens.
 */
import { configFromJson, type TransformerConfig } from "@pact/nn";

/** Parameters of the model with 128 positions. */
export const parameterCount = 842_496;

/** Learning rate of every training step. */
export const learningRate = 1e-3;

/** AdamW as every engine runs it: no clipping, so that all compute the same. */
export const adamW = {
  beta1: 0.9,
  beta2: 0.95,
  eps: 1e-8,
  weightDecay: 0.1,
  clipNorm: Number.POSITIVE_INFINITY,
};

/** The GPT with room for `positions`. */
export function gpt(positions = 128): TransformerConfig {
  return configFromJson({
    model_type: "gpt",
    vocab_size: 128,
    hidden_size: 128,
    num_hidden_layers: 4,
    num_attention_heads: 4,
    intermediate_size: 512,
    max_position_embeddings: positions,
    activation_function: "gelu_tanh",
    layer_norm_eps: 1e-5,
    tie_word_embeddings: false,
  });
}

/** Eight rows of `length` tokens; each predicts all of its tokens but the first. */
export function batch(length = 128): number[][] {
  return Array.from({ length: 8 }, (_, row) => madeUpTokens(length, row));
}

/** Tokens that follow a rule a model can learn, another one for every `row`. */
export function madeUpTokens(length: number, row: number): number[] {
  return Array.from({ length }, (_, t) => (7 * row + t * t) % 128);
}

/** The 16 lengths of W4, evenly from 64 to 128. */
export const raggedLengths = Array.from({ length: 16 }, (_, i) => Math.round(64 + (64 * i) / 15));

/** What is continued, and by how many tokens. */
export interface Decoding {
  readonly prompts: readonly number[][];
  readonly newTokens: number;
}

/** W5: prompts of 16 tokens, continued greedily. */
export const decoding: Decoding = { prompts: batch(16), newTokens: 64 };
