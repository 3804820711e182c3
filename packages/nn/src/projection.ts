/** The linear layers of the decoder: y = x Wᵀ + b with W [out, in]; biases in `gpt` only. */
import { linear, type Tensor } from "@pact/tensor";
import type { TransformerConfig } from "./config.ts";
import { type Params, param } from "./params.ts";

/** Applies the linear layer under `name` to `x` [N, in], giving [N, out]. */
export function project(config: TransformerConfig, params: Params, name: string, x: Tensor): Tensor {
  const weight = param(params, `${name}.weight`);
  return config.modelType === "gpt" ? linear(x, weight, param(params, `${name}.bias`)) : linear(x, weight);
}
