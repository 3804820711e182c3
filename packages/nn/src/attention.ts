/**
 * The attention branch: projections, per-head norm and rotary positions (`qwen3`), then attention over whatever keys
 * the caller decides. Training attends inside the packed row, decoding over a cache; both go through the same code, so
 * they agree. Grouped queries: Ainslie et al., arXiv 2305.13245; rotary: Su et al., arXiv 2104.09864 (rotate half).
 */
import { reshape, rope, type Tensor } from "@pact/tensor";
import type { TransformerConfig } from "./config.ts";
import { norm } from "./norm.ts";
import type { LayerNames, Params } from "./params.ts";
import { project } from "./projection.ts";

/** Attends with q [N, H, D], k and v [N, Hkv, D] of one layer; returns [N, H, D]. */
export type Attend = (query: Tensor, key: Tensor, value: Tensor, layer: number) => Tensor;

/** `x` [N, C] and `positions` [N] → [N, C]. */
export function selfAttention(
  config: TransformerConfig,
  params: Params,
  names: LayerNames,
  x: Tensor,
  positions: Tensor,
  attend: (query: Tensor, key: Tensor, value: Tensor) => Tensor,
): Tensor {
  const { numHeads, numKvHeads, headSize } = config;
  const tokens = x.shape[0];
  const heads = (name: string, count: number) =>
    reshape(project(config, params, name, x), [tokens, count, headSize]); // [N, H, D]
  let query = heads(names.query, numHeads);
  let key = heads(names.key, numKvHeads);
  const value = heads(names.value, numKvHeads);
  if (config.modelType === "qwen3") {
    const theta = config.ropeTheta;
    query = rope(norm(config, params, names.queryNorm, query), positions, { theta });
    key = rope(norm(config, params, names.keyNorm, key), positions, { theta });
  }
  const mixed = attend(query, key, value); // [N, H, D]
  return project(config, params, names.attentionOut, reshape(mixed, [tokens, numHeads * headSize]));
}
