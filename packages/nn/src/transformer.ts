/**
 * The decoder-only transformer as pure functions of (config, params) on packed tokens: embedding, pre-norm blocks, final
 * norm, output head. Pre-norm: Xiong et al., arXiv 2002.04745; the families are described in config.ts.
 * Left out: dropout, and activations of a batch dimension (sequences are packed, pack.ts).
 */

import type { AttentionSpans, Device, DType } from "@pact/tensor";
import {
  add,
  attention,
  attentionSpans,
  cast,
  checkpoint,
  embedding,
  matmul,
  scope,
  type Tensor,
  take,
  tensor,
} from "@pact/tensor";
import { type Attend, selfAttention, turnTo } from "./attention.ts";
import type { TransformerConfig } from "./config.ts";
import { InputError } from "./errors.ts";
import { mlp } from "./mlp.ts";
import { norm } from "./norm.ts";
import type { Packed } from "./pack.ts";
import { layerNames, layerPrefix, outerNames, type Params, param } from "./params.ts";
import { withMasksOf } from "./projection.ts";

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
    const { device } = tokenEmbedding(config, params);
    return hiddenOf(config, params, placePacked(config, packed, device), options);
  });
}

/** Packed tokens on a device: what a forward pass reads of them. */
export type PlacedPacked = PlacedTokens & {
  /** What each token sees. */
  readonly spans: AttentionSpans;
  /** The tokens whose hidden states are wanted, where that is not all of them. */
  readonly wanted?: WantedRows;
};

/**
 * M of N tokens whose hidden states are wanted: the last block computes keys and values of all, and everything else of these
 * alone.
 */
export type WantedRows = {
  /** Their places, i32 [M]; one may come twice. */
  readonly rows: Tensor;
  /** i32 [M] */
  readonly positions: Tensor;
  /** What each of them sees of all N. */
  readonly spans: AttentionSpans;
};

/** Copies packed tokens to `device`. */
export function placePacked(config: TransformerConfig, packed: Packed, device: Device): PlacedPacked {
  const tokens = placeTokens(config, packed.ids, packed.positions, device);
  return { ...tokens, spans: attentionSpans(packed.ranges, packed.ids.length, { device }) };
}

/** `forwardHidden` of tokens that are on the device: [N, C], or [M, C] of those that are wanted. */
export function hiddenOf(
  config: TransformerConfig,
  params: Params,
  placed: PlacedPacked,
  options: ForwardOptions = {},
): Tensor {
  const { spans, wanted } = placed;
  const attend: Attend = (q, k, v, layer) =>
    attention(q, k, v, wanted && layer === config.numLayers - 1 ? wanted.spans : spans);
  return scope(() => runDecoder(config, params, placed, attend, options));
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

/** Token ids and their positions on a device, i32 [N] each. */
export type PlacedTokens = { readonly ids: Tensor; readonly positions: Tensor };

/** What the decoder runs: tokens, and which of them the last block is for; default all. */
export type DecoderTokens = PlacedTokens & { readonly wanted?: Pick<WantedRows, "rows" | "positions"> };

/**
 * Copies token ids and positions [N] to `device`.
 *
 * @throws InputError for an id outside the vocabulary or a position beyond `maxPositions`
 */
export function placeTokens(
  config: TransformerConfig,
  ids: Int32Array,
  positions: Int32Array,
  device: Device,
): PlacedTokens {
  checkTokens(config, ids, positions);
  const placed = (values: Int32Array) => tensor(values, { dtype: "i32", device });
  return { ids: placed(ids), positions: placed(positions) };
}

/**
 * The decoder without its head, with attention left to `attend`: `forwardHidden` attends inside the packed row,
 * `DecodeSession` over its cache.
 *
 * @returns [N, C], or [M, C] of the tokens that are wanted
 */
export function runDecoder(
  config: TransformerConfig,
  params: Params,
  { ids, positions, wanted }: DecoderTokens,
  attend: Attend,
  { checkpointBlocks = false, computeDtype }: ForwardOptions = {},
): Tensor {
  const compute = computeDtype ?? blockType(config, params);
  const own = (name: string) => cast(param(params, name), compute);
  const names = outerNames(config);
  // Few rows are taken of the embedding, so they are converted, not the table.
  let x = cast(embedding(tokenEmbedding(config, params), ids), compute); // [N, C]
  if (config.modelType === "gpt") x = add(x, embedding(own(`${names.positions}.weight`), positions));
  const turn = turnTo(config, positions, x);
  for (let layer = 0; layer < config.numLayers; layer++) {
    const parts = layerNames(config, layer);
    const few = layer === config.numLayers - 1 ? wanted : undefined;
    const block = (given: Params, all: Tensor): Tensor => {
      const converted = convertedParams(given, computeDtype);
      const theta = few ? withMasksOf(few.rows, converted, [parts.key, parts.value]) : converted;
      const normed = (input: Tensor) => norm(config, theta, parts.attentionNorm, input);
      const input = few ? take(all, few.rows) : all; // [M, C]
      const seeing = few && { x: normed(input), turn: turnTo(config, few.positions, input) };
      const attended = selfAttention(config, theta, parts, { seen: normed(all), turn, seeing }, (q, k, v) =>
        attend(q, k, v, layer),
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

/** @throws InputError for an id outside the vocabulary */
export function checkIds({ vocabSize }: TransformerConfig, ids: ArrayLike<number>): void {
  for (let i = 0; i < ids.length; i++) {
    if (ids[i] < 0 || ids[i] >= vocabSize)
      throw new InputError(
        `Token ${i} has id ${ids[i]}, the vocabulary ${vocabSize} ids. Encode with the model's own tokenizer.`,
      );
  }
}

function checkTokens(config: TransformerConfig, ids: Int32Array, positions: Int32Array): void {
  checkIds(config, ids);
  for (let i = 0; i < positions.length; i++) {
    if (positions[i] < 0 || positions[i] >= config.maxPositions)
      throw new InputError(
        `Token ${i} is at position ${positions[i]}, the model takes ${config.maxPositions} positions. Shorten the sequence or use a model with a larger maxPositions.`,
      );
  }
}
