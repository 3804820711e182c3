/**
 * Log-probabilities of chosen tokens of packed rows: what every loss of a policy begins with. A batch can be copied to the
 * device apart from its use (`placeTargets`), so that a captured training step takes each batch as an input.
 */
import {
  attentionSpans,
  cast,
  type Device,
  defaultDevice,
  linearLogProb,
  logProbGather,
  scope,
  type Tensor,
  take,
  tensor,
} from "@pact/tensor";
import type { TransformerConfig } from "./config.ts";
import { InputError } from "./errors.ts";
import { type Packed, predecessors } from "./pack.ts";
import { outerNames, type Params, param } from "./params.ts";
import {
  type ForwardOptions,
  hiddenOf,
  logits,
  type PlacedPacked,
  placePacked,
  tokenEmbedding,
  type WantedRows,
} from "./transformer.ts";

/** A packed row and the tokens to predict in it, on a device: what `placedLogProbs` takes. */
export type PlacedTargets = PlacedPacked & {
  /** The rows whose hidden states predict the targets, i32 [M]. */
  readonly rows: Tensor;
  /** Ids of the targets, i32 [M]. */
  readonly targetIds: Tensor;
};

/**
 * Copies a packed row and its targets to the device (default: that of the last `init()`). Rows of one length with equally
 * many targets share the recording of a captured step.
 *
 * @param targets rows of `packed` whose prediction is wanted [M]
 * @throws InputError if a target is the first token of a sequence, which nothing predicts, for an id outside the
 *   vocabulary or a position beyond `maxPositions`
 * @example
 * ```ts
 * const config = configFromJson({
 *   model_type: "gpt", activation_function: "gelu_tanh", vocab_size: 8, hidden_size: 4,
 *   num_hidden_layers: 1, num_attention_heads: 2, max_position_embeddings: 16,
 * });
 * const optimizer = new AdamW(initParams(config, key(0)));
 * const step = capture((batch: PlacedTargets) => {
 *   const loss = (p: Params) => neg(mean(placedLogProbs(config, p, batch)));
 *   const { value, grads } = valueAndGrad(loss)(optimizer.params);
 *   optimizer.step(grads, 1e-3);
 *   return value;
 * });
 * const batchOf = (ids: number[]) => placeTargets(config, packSequences([ids]), Int32Array.of(1, 2));
 * step(batchOf([5, 6, 7])); // → f32[]
 * step(batchOf([1, 2, 3])); // → f32[]
 * step.recordings; // → 1
 * ```
 */
export function placeTargets(
  config: TransformerConfig,
  packed: Packed,
  targets: Int32Array,
  { device = defaultDevice() }: { device?: Device } = {},
): PlacedTargets {
  const before = predecessors(packed);
  const rows = targets.map((target) => {
    if (before[target] >= 0) return before[target];
    throw new InputError(
      `Token ${target} of ${before.length} has no predecessor that predicts it. Leave the first token of each sequence out of targets.`,
    );
  });
  const placed = (values: Int32Array) => tensor(values, { dtype: "i32", device });
  const placedRows = placed(rows);
  return {
    ...placePacked(config, packed, device),
    rows: placedRows,
    targetIds: placed(targets.map((target) => packed.ids[target])),
    ...(8 * rows.length <= 7 * packed.ids.length && { wanted: wantedRows(packed, rows, placedRows) }),
  };
}

/** The rows that predict, for a last block that computes no others: worth its while where an eighth or more would be others. */
function wantedRows({ ids, positions, ranges }: Packed, rows: Int32Array, placed: Tensor): WantedRows {
  const { device } = placed;
  const ranged = new Int32Array(4 * rows.length);
  rows.forEach((row, i) => {
    ranged.set(ranges.subarray(4 * row, 4 * row + 4), 4 * i);
  });
  return {
    rows: placed,
    positions: tensor(
      rows.map((row) => positions[row]),
      { dtype: "i32", device },
    ),
    spans: attentionSpans(ranged, ids.length, { device }),
  };
}

/** The final hidden states [M, C] that predict the targets. */
function predicting(
  config: TransformerConfig,
  params: Params,
  placed: PlacedTargets,
  options: ForwardOptions,
): Tensor {
  return scope(() => {
    const hidden = hiddenOf(config, params, placed, options);
    return placed.wanted ? hidden : take(hidden, placed.rows, 0);
  });
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
  return scope(() => {
    const { device } = tokenEmbedding(config, params);
    const placed = placeTargets(config, packed, targets, { device });
    return logits(config, params, predicting(config, params, placed, options));
  });
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
  options: { temperature?: number } & ForwardOptions = {},
): Tensor {
  return scope(() => {
    const { device } = tokenEmbedding(config, params);
    return placedLogProbs(config, params, placeTargets(config, packed, targets, { device }), options);
  });
}

/**
 * `tokenLogProbs` of a row that is on the device.
 *
 * @param placed made by `placeTargets`
 * @returns [M], differentiable in the parameters
 * @example
 * ```ts
 * const config = configFromJson({
 *   model_type: "gpt", activation_function: "gelu_tanh", vocab_size: 8, hidden_size: 4,
 *   num_hidden_layers: 1, num_attention_heads: 2, max_position_embeddings: 16,
 * });
 * const batch = placeTargets(config, packSequences([[5, 6, 7]]), Int32Array.of(1, 2));
 * placedLogProbs(config, initParams(config, key(0)), batch); // → f32[2]
 * ```
 */
export function placedLogProbs(
  config: TransformerConfig,
  params: Params,
  placed: PlacedTargets,
  { temperature = 1, ...options }: { temperature?: number } & ForwardOptions = {},
): Tensor {
  return scope(() => {
    const hidden = predicting(config, params, placed, options); // [M, C]
    const head = param(params, `${outerNames(config).head}.weight`); // [V, C]
    if (placed.rows.size * config.vocabSize > logitsKept && head.dtype !== "f16")
      return linearLogProb(cast(hidden, head.dtype), head, placed.targetIds, { temperature });
    return logProbGather(logits(config, params, hidden), placed.targetIds, { temperature });
  });
}
