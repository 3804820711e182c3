/**
 * The decoder-only transformer as pure functions of (config, params) on packed tokens: embedding, pre-norm blocks, final
 * norm, output head. Pre-norm: Xiong et al., arXiv 2002.04745; the families are described in config.ts.
 * Left out: dropout, and activations of a batch dimension (sequences are packed, pack.ts).
 */

import type { DType, Tensor } from "@pact/tensor";
import {
  add,
  attention,
  attentionSpans,
  cast,
  checkpoint,
  embedding,
  linearLogProb,
  logProbGather,
  matmul,
  scope,
  take,
  tensor,
} from "@pact/tensor";
import { type Attend, selfAttention, turnTo } from "./attention.ts";
import type { TransformerConfig } from "./config.ts";
import { InputError } from "./errors.ts";
import { mlp } from "./mlp.ts";
import { norm } from "./norm.ts";
import { type Packed, predecessors } from "./pack.ts";
import { layerNames, layerPrefix, outerNames, type Params, param } from "./params.ts";

/** How a forward pass trades work and precision for memory; every option has a default. */
export type ForwardOptions = {
  /**
   * Keeps only each block's input until the backward pass, which computes the block again (Chen et al., arXiv 1604.06174);
   * default false. Values and gradients have the same bits.
   */
  readonly checkpointBlocks?: boolean;
  /**
   * Type that parameters are converted to for this pass, "f16" where the device has it; default their own. Gradients have
   * the parameters' type, so f32 masters are trained by f16 passes. Of memory it halves what `checkpointBlocks` keeps, and
   * most of what a block keeps; beside that are converted weights and what attention computes in f32 (`planMemory` tells).
   */
  readonly computeDtype?: DType;
};

/**
 * Final hidden states of packed tokens, after the last norm. With x the embeddings (plus positions in `gpt`), each layer
 *
 *   x ← x + Attention(Norm(x));   x ← x + MLP(Norm(x))
 *
 * @param packed ids, positions and ranges of N tokens (`packSequences`, `packTree`)
 * @returns [N, C]
 * @throws InputError for an id outside the vocabulary or a position beyond `maxPositions`
 * @example
 * ```ts
 * const config = configFromJson({
 *   model_type: "gpt", activation_function: "gelu_tanh", vocab_size: 8, hidden_size: 4,
 *   num_hidden_layers: 1, num_attention_heads: 2, max_position_embeddings: 16,
 * });
 * forwardHidden(config, initParams(config, key(0)), packSequences([[1, 2, 3]])); // → f32[3, 4]
 * ```
 */
export function forwardHidden(
  config: TransformerConfig,
  params: Params,
  packed: Packed,
  options: ForwardOptions = {},
): Tensor {
  return scope(() => {
    const device = tokenEmbedding(config, params).device;
    const spans = attentionSpans(packed.ranges, packed.ids.length, { device });
    const attend: Attend = (q, k, v) => attention(q, k, v, spans);
    return runDecoder(config, params, packed.ids, packed.positions, attend, options);
  });
}

/**
 * Next-token logits of hidden states: hidden · headᵀ, with the token embedding as head if tied. Log-probs need more than
 * f16's three digits: hidden states are converted to the head's type, and what a head in f16 gives is f32, not rounded.
 *
 * @param hidden [M, C]
 * @returns [M, V]
 * @throws ParameterError if the parameters lack the head
 * @example
 * ```ts
 * const config = configFromJson({
 *   model_type: "gpt", activation_function: "gelu_tanh", vocab_size: 8, hidden_size: 4,
 *   num_hidden_layers: 1, num_attention_heads: 2, max_position_embeddings: 16,
 * });
 * logits(config, initParams(config, key(0)), zeros([3, 4])); // → f32[3, 8]
 * ```
 */
export function logits(config: TransformerConfig, params: Params, hidden: Tensor): Tensor {
  const head = param(params, `${outerNames(config).head}.weight`);
  return scope(() => matmul(cast(hidden, head.dtype), head, { transposeB: true, wide: true }));
}

/**
 * Logits that predict chosen tokens of a packed row. Only their rows go through the head: with a large vocabulary the
 * head is most of the work, and most tokens (prompts, observations) need no prediction.
 *
 * @param targets rows of `packed` whose prediction is wanted [M]
 * @returns [M, V]; row m predicts token `targets[m]`
 * @throws InputError if a target is the first token of a sequence, which nothing predicts
 * @example
 * ```ts
 * const config = configFromJson({
 *   model_type: "gpt", activation_function: "gelu_tanh", vocab_size: 8, hidden_size: 4,
 *   num_hidden_layers: 1, num_attention_heads: 2, max_position_embeddings: 16,
 * });
 * const packed = packTree({ prefix: [5, 6], branches: [[7, 1]] });
 * targetLogits(config, initParams(config, key(0)), packed, Int32Array.of(2, 3)); // → f32[2, 8]
 * ```
 */
export function targetLogits(
  config: TransformerConfig,
  params: Params,
  packed: Packed,
  targets: Int32Array,
  options: ForwardOptions = {},
): Tensor {
  return scope(() => logits(config, params, targetHidden(config, params, packed, targets, options)));
}

/** The final hidden states [M, C] that predict `targets`. */
function targetHidden(
  config: TransformerConfig,
  params: Params,
  packed: Packed,
  targets: Int32Array,
  options: ForwardOptions,
): Tensor {
  const before = predecessors(packed);
  const rows = targets.map((target) => {
    if (before[target] >= 0) return before[target];
    throw new InputError(
      `Token ${target} of ${before.length} has no predecessor that predicts it. Leave the first token of each sequence out of targets.`,
    );
  });
  const hidden = forwardHidden(config, params, packed, options);
  return take(hidden, tensor(rows, { dtype: "i32", device: hidden.device }), 0);
}

/** Logits that are kept for the backward pass: 16 MiB of f32. Of more, pieces are computed twice instead (`linearLogProb`). */
const logitsKept = 2 ** 22;

/**
 * log p(token | what it sees) of chosen tokens of a packed row, at `temperature` (default 1):
 *
 *   log softmax(logits / temperature)[token]
 *
 * @param targets rows of `packed` [M]
 * @returns [M], differentiable in the parameters
 * @throws InputError as `targetLogits`
 * @example
 * ```ts
 * const config = configFromJson({
 *   model_type: "gpt", activation_function: "gelu_tanh", vocab_size: 8, hidden_size: 4,
 *   num_hidden_layers: 1, num_attention_heads: 2, max_position_embeddings: 16,
 * });
 * const packed = packTree({ prefix: [5, 6], branches: [[7, 1]] });
 * const params = initParams(config, key(0));
 * tokenLogProbs(config, params, packed, Int32Array.of(2, 3)); // → f32[2]
 * tokenLogProbs(config, params, packed, Int32Array.of(0)); // → throws InputError
 * ```
 */
export function tokenLogProbs(
  config: TransformerConfig,
  params: Params,
  packed: Packed,
  targets: Int32Array,
  { temperature = 1, ...options }: { temperature?: number } & ForwardOptions = {},
): Tensor {
  return scope(() => {
    const hidden = targetHidden(config, params, packed, targets, options); // [M, C]
    const own = targets.map((target) => packed.ids[target]);
    const ids = tensor(own, { dtype: "i32", device: hidden.device });
    const head = param(params, `${outerNames(config).head}.weight`); // [V, C]
    if (targets.length * config.vocabSize > logitsKept && head.dtype !== "f16")
      return linearLogProb(cast(hidden, head.dtype), head, ids, { temperature });
    return logProbGather(logits(config, params, hidden), ids, { temperature });
  });
}

/**
 * The decoder without its head, with attention left to `attend`: `forwardHidden` attends inside the packed row,
 * `DecodeSession` over its cache.
 *
 * @param ids token ids [N]
 * @param positions [N]
 * @returns [N, C]
 */
export function runDecoder(
  config: TransformerConfig,
  params: Params,
  ids: Int32Array,
  positions: Int32Array,
  attend: Attend,
  { checkpointBlocks = false, computeDtype }: ForwardOptions = {},
): Tensor {
  checkTokens(config, ids, positions);
  const compute = computeDtype ?? blockType(config, params);
  const own = (name: string) => cast(param(params, name), compute);
  const device = tokenEmbedding(config, params).device;
  const names = outerNames(config);
  const at = tensor(positions, { dtype: "i32", device }); // [N]
  const tokens = tensor(ids, { dtype: "i32", device }); // [N]
  // Few rows are taken of the embedding, so they are converted, not the table.
  let x = cast(embedding(tokenEmbedding(config, params), tokens), compute); // [N, C]
  if (config.modelType === "gpt") x = add(x, embedding(own(`${names.positions}.weight`), at));
  const turn = turnTo(config, at, x);
  for (let layer = 0; layer < config.numLayers; layer++) {
    const parts = layerNames(config, layer);
    const block = (given: Params, input: Tensor): Tensor => {
      const theta = convertedParams(given, computeDtype);
      const attended = selfAttention(
        config,
        theta,
        parts,
        norm(config, theta, parts.attentionNorm, input),
        turn,
        (q, k, v) => attend(q, k, v, layer),
      );
      const middle = add(input, attended);
      return add(middle, mlp(config, theta, parts, norm(config, theta, parts.mlpNorm, middle)));
    };
    const theta = withPrefix(params, layerPrefix(config, layer));
    // Where nothing is differentiated, a block's temporaries are given back before the next block begins.
    x = checkpointBlocks ? checkpoint(block)(theta, x) : scope(() => block(theta, x));
  }
  const final = withPrefix(params, names.finalNorm);
  return norm(config, convertedParams(final, computeDtype), names.finalNorm, x);
}

/**
 * Type of the blocks' weights, in which their activations and the cache of keys and values are: a model in f16 may keep
 * its embedding and head in f32.
 */
export function blockType(config: TransformerConfig, params: Params): DType {
  return param(params, `${layerNames(config, 0).query}.weight`).dtype;
}

function convertedParams(params: Params, dtype: DType | undefined): Params {
  if (dtype === undefined) return params;
  return Object.fromEntries(Object.entries(params).map(([name, value]) => [name, cast(value, dtype)]));
}

/** The parameters whose names continue `prefix`. */
function withPrefix(params: Params, prefix: string): Params {
  return Object.fromEntries(Object.entries(params).filter(([name]) => name.startsWith(`${prefix}.`)));
}

/** The token embedding [V, C]; its device is the model's. */
export function tokenEmbedding(config: TransformerConfig, params: Params): Tensor {
  return param(params, `${outerNames(config).embedding}.weight`);
}

function checkTokens(config: TransformerConfig, ids: Int32Array, positions: Int32Array): void {
  for (let i = 0; i < ids.length; i++) {
    if (ids[i] < 0 || ids[i] >= config.vocabSize)
      throw new InputError(
        `Token ${i} has id ${ids[i]}, the vocabulary ${config.vocabSize} ids. Encode with the model's own tokenizer.`,
      );
    if (positions[i] < 0 || positions[i] >= config.maxPositions)
      throw new InputError(
        `Token ${i} is at position ${positions[i]}, the model takes ${config.maxPositions} positions. Shorten the sequence or use a model with a larger maxPositions.`,
      );
  }
}
