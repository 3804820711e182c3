/**
 * The attention branch: projections, per-head norm (`qwen3`), rotary positions (all but `gpt`), then attention over whatever keys
 * the caller decides. Training attends inside the packed row, decoding over a cache; both go through the same code, so
 * they agree. Grouped queries: Ainslie et al., arXiv 2305.13245; rotary: Su et al., arXiv 2104.09864 (rotate half).
 */
import { reshape, rope, type Tensor, tensor } from "@pact/tensor";
import { biasesOf, type TransformerConfig } from "./config.ts";
import { norm, recomputedF16 } from "./norm.ts";
import type { LayerNames, Params } from "./params.ts";
import { project } from "./projection.ts";
import { ropeFrequencies } from "./rope-scaling.ts";

/** Attends with q [N, H, D], k and v [N, Hkv, D] of one layer; returns [N, H, D]. */
export type Attend = (query: Tensor, key: Tensor, value: Tensor, layer: number) => Tensor;

/** Turns queries or keys [N, heads, D] to their positions. */
export type Turn = (x: Tensor) => Tensor;

/** The turn of N tokens, made once for all layers; none in `gpt`. `positions` [N] decide the device, `like` the dtype. */
export function turnTo(config: TransformerConfig, positions: Tensor, like: Tensor): Turn {
  if (config.modelType === "gpt") return (x) => x;
  const turned = recomputedF16(like, rope);
  if (config.ropeScaling === undefined) return (x) => turned(x, positions, { theta: config.ropeTheta });
  // Angles need more than f16: position 4,000 would be known to 2 radians.
  const dtype = like.dtype === "f64" ? "f64" : "f32";
  const frequencies = tensor(ropeFrequencies(config), { dtype, device: positions.device }); // [D/2]
  return (x) => turned(x, positions, { frequencies });
}

/** What attends, and to what: the same tokens, unless only the hidden states of some are wanted. */
export interface Attended {
  /** Tokens that are seen [N, C], and the turn to their positions. */
  readonly seen: Tensor;
  readonly turn: Turn;
  /** Tokens that see [M, C], with their turn; default those that are seen. */
  readonly seeing?: { readonly x: Tensor; readonly turn: Turn };
}

/** [N, C] → [M, C], with queries and keys turned to their positions. */
export function selfAttention(
  config: TransformerConfig,
  params: Params,
  names: LayerNames,
  { seen, turn, seeing = { x: seen, turn } }: Attended,
  attend: (query: Tensor, key: Tensor, value: Tensor) => Tensor,
): Tensor {
  const { numHeads, numKvHeads, headSize } = config;
  const bias = biasesOf(config);
  const heads = (name: string, x: Tensor, count: number) =>
    reshape(project(params, name, x, bias.inputs), [x.shape[0], count, headSize]); // [N, H, D]
  let query = heads(names.query, seeing.x, numHeads);
  let key = heads(names.key, seen, numKvHeads);
  const value = heads(names.value, seen, numKvHeads);
  if (config.modelType === "qwen3") {
    query = norm(config, params, names.queryNorm, query);
    key = norm(config, params, names.keyNorm, key);
  }
  const mixed = attend(seeing.turn(query), turn(key), value); // [M, H, D]
  const rows = reshape(mixed, [mixed.shape[0], numHeads * headSize]);
  return project(params, names.attentionOut, rows, bias.output);
}
