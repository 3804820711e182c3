/**
 * The recipe of the base policy: sizes, vocabulary and the phases of pre-training. Found by trying about thirty others on the
 * way (docs/log.md); every number here is part of what `npm run base` reproduces.
 */
import type { DocumentOptions } from "@pact/tools-sim";

/** Sizes of the model in the fields of a Qwen3 config.json; the tokenizer adds `vocab_size`. */
export const modelSizes = {
  model_type: "qwen3",
  hidden_size: 64,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 4,
  head_dim: 16,
  intermediate_size: 160,
  max_position_embeddings: 8192,
  rms_norm_eps: 1e-6,
  rope_theta: 10000,
  tie_word_embeddings: true,
  attention_bias: false,
  hidden_act: "silu",
};

/** Token ids, control tokens and the 256 bytes included. */
export const vocabSize = 512;

/** Tasks whose text the tokenizer learns its merges from. */
export const tokenizerTasks = 2000;

/** One stretch of pre-training. */
export interface Phase extends Partial<DocumentOptions> {
  readonly name: string;
  /** Tokens of the whole phase, context included. */
  readonly tokens: number;
  /** Tokens of one optimiser step, at least. */
  readonly batchTokens: number;
  /** First and last learning rate, linear in between. */
  readonly learningRate: readonly [number, number];
  /** Weight in the loss of tokens that the episode's author did not write. */
  readonly contextWeight: number;
}

export const phases: readonly Phase[] = [
  {
    name: "clean",
    tokens: 2.4e6,
    batchTokens: 2048,
    learningRate: [3e-3, 1.5e-3],
    contextWeight: 0,
    cleanShare: 1,
    contextShare: 0.1,
  },
  {
    name: "sloppy",
    tokens: 1e6,
    batchTokens: 2048,
    learningRate: [1.5e-3, 3e-4],
    contextWeight: 0,
    cleanShare: 0.2,
    contextShare: 0.3,
  },
];
