/** The linear layers of the decoder: y = x Wᵀ + b with W [out, in]; which have biases says `biasesOf` in config.ts. */
import { linear, type Tensor } from "@pact/tensor";
import { type Params, param } from "./params.ts";

/** Applies the linear layer under `name` to `x` [N, in], giving [N, out]. */
export function project(params: Params, name: string, x: Tensor, bias: boolean): Tensor {
  const weight = param(params, `${name}.weight`);
  return bias ? linear(x, weight, param(params, `${name}.bias`)) : linear(x, weight);
}
