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

/** `x` [N, C] → [N, C], with queries and keys turned by `turn`. */
export function selfAttention(
  config: TransformerConfig,
  params: Params,
  names: LayerNames,
  x: Tensor,
  turn: Turn,
  attend: (query: Tensor, key: Tensor, value: Tensor) => Tensor,
): Tensor {
  const { numHeads, numKvHeads, headSize } = config;
  const bias = biasesOf(config);
  const tokens = x.shape[0];
  const heads = (name: string, count: number) =>
    reshape(project(params, name, x, bias.inputs), [tokens, count, headSize]); // [N, H, D]
  let query = heads(names.query, numHeads);
  let key = heads(names.key, numKvHeads);
  const value = heads(names.value, numKvHeads);
  if (config.modelType === "qwen3") {
    query = norm(config, params, names.queryNorm, query);
    key = norm(config, params, names.keyNorm, key);
  }
  const mixed = attend(turn(query), turn(key), value); // [N, H, D]
  return project(params, names.attentionOut, reshape(mixed, [tokens, numHeads * headSize]), bias.output);
}
