/**
 * Normalisation before each branch of the decoder: LayerNorm (Ba et al., arXiv 1607.06450) for `gpt`, RMSNorm (Zhang &
 * Sennrich, arXiv 1910.07467 eq. 4) for the others, both over the last axis with eps inside the root.
 */
import { layerNorm, rmsNorm, type Tensor } from "@pact/tensor";
import type { TransformerConfig } from "./config.ts";
import { type Params, param } from "./params.ts";

/** Normalises `x` [..., size] with the parameters under `name`. */
export function norm(config: TransformerConfig, params: Params, name: string, x: Tensor): Tensor {
  const weight = param(params, `${name}.weight`);
  const eps = config.normEps;
  return config.modelType === "gpt"
    ? layerNorm(x, weight, param(params, `${name}.bias`), { eps })
    : rmsNorm(x, weight, { eps });
}
