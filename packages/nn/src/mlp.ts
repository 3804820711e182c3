/**
 * The feed-forward branch: GELU with the tanh formula (Hendrycks & Gimpel, arXiv 1606.08415) for `gpt`, SwiGLU
 * (Shazeer, arXiv 2002.05202 eq. 6) for `qwen3`.
 */
import { gelu, mul, silu, type Tensor } from "@pact/tensor";
import type { TransformerConfig } from "./config.ts";
import type { LayerNames, Params } from "./params.ts";
import { project } from "./projection.ts";

/** gpt: down(gelu(up(x))); qwen3: down(silu(gate(x)) · up(x)). `x` [N, C] → [N, C]. */
export function mlp(config: TransformerConfig, params: Params, names: LayerNames, x: Tensor): Tensor {
  const up = project(config, params, names.up, x); // [N, intermediate]
  const activated =
    config.modelType === "gpt"
      ? gelu(up, { approximate: "tanh" })
      : mul(silu(project(config, params, names.gate, x)), up);
  return project(config, params, names.down, activated);
}
