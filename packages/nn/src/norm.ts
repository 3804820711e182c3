/**
 * Normalisation before each branch of the decoder: LayerNorm (Ba et al., arXiv 1607.06450) for `gpt`, RMSNorm (Zhang &
 * Sennrich, arXiv 1910.07467 eq. 4) for the others, both over the last axis with eps inside the root.
 */
import { checkpoint, layerNorm, rmsNorm, type Tensor } from "@pact/tensor";
import type { TransformerConfig } from "./config.ts";
import { type Params, param } from "./params.ts";

/** Normalises `x` [..., size] with the parameters under `name`. */
export function norm(config: TransformerConfig, params: Params, name: string, x: Tensor): Tensor {
  const weight = param(params, `${name}.weight`);
  const eps = config.normEps;
  if (config.modelType === "gpt")
    return recomputedF16(x, layerNorm)(x, weight, param(params, `${name}.bias`), { eps });
  return recomputedF16(x, rmsNorm)(x, weight, { eps });
}

/**
 * `operation` as it is, or for `x` in f16 so that nothing of it is kept for the backward pass but arguments and result: it
 * is computed in f32, and its f32 inputs and outputs would take twice the memory that f16 saves. The same bits, once more.
 */
export function recomputedF16<A extends readonly unknown[]>(
  x: Tensor,
  operation: (...args: A) => Tensor,
): (...args: A) => Tensor {
  return x.dtype === "f16" ? checkpoint(operation) : operation;
}
