/**
 * The feed-forward branch: GELU with the tanh formula (Hendrycks & Gimpel, arXiv 1606.08415) for `gpt`, SwiGLU
 * (Shazeer, arXiv 2002.05202 eq. 6) for the others.
 */
import { gelu, mul, silu, type Tensor } from "@pact/tensor";
import { biasesOf, type TransformerConfig } from "./config.ts";
import type { LayerNames, Params } from "./params.ts";
import { project } from "./projection.ts";

/** gpt: down(gelu(up(x))); the others: down(silu(gate(x)) · up(x)). `x` [N, C] → [N, C]. */
export function mlp(config: TransformerConfig, params: Params, names: LayerNames, x: Tensor): Tensor {
  const { mlp: bias } = biasesOf(config);
  const up = project(params, names.up, x, bias); // [N, intermediate]
  const activated =
    config.modelType === "gpt"
      ? gelu(up, { approximate: "tanh" })
      : mul(silu(project(params, names.gate, x, bias)), up);
  return project(params, names.down, activated, bias);
}
