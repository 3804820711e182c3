/**
 * Initial parameters: GPT-2's scheme (Radford et al. 2019, §2.3). Weights and embeddings N(0, std²), weights that write
 * into the residual stream N(0, std²/2L) for L layers, gains 1, biases 0.
 */
import {
  type Device,
  type DType,
  defaultDevice,
  foldIn,
  type Key,
  ones,
  randomNormal,
  type Tensor,
  zeros,
} from "@pact/tensor";
import type { TransformerConfig } from "./config.ts";
import { validateConfig } from "./config.ts";
import { type ParamSpec, type Params, paramSpecs } from "./params.ts";

/** Options of `initParams`; every one has a default. */
export type InitOptions = {
  /** Standard deviation of weights; default 0.02. */
  readonly std?: number;
  /** Default f32; f64 on the cpu device. */
  readonly dtype?: DType;
  /** Default: the default device. */
  readonly device?: Device;
};

/**
 * Draws the parameters of a configuration. The same key gives the same values on every device; each parameter has a
 * random stream of its own, so adding a layer does not change the others' streams.
 *
 *   w ~ N(0, std²); into the residual stream N(0, std²/2L); gains 1; biases 0      (GPT-2's scheme)
 *
 * @returns one tensor per entry of `paramSpecs(config)`, by name
 * @throws ConfigError if the configuration can not be used
 * @example
 * ```ts
 * const config = configFromJson({
 *   model_type: "gpt", activation_function: "gelu_tanh", vocab_size: 8, hidden_size: 4,
 *   num_hidden_layers: 1, num_attention_heads: 2, max_position_embeddings: 16,
 * });
 * const params = initParams(config, key(0));
 * params["h.0.mlp.fc_in.weight"]; // → f32[16, 4]
 * await params["ln_f.weight"].data(); // → [1, 1, 1, 1]
 * ```
 */
export function initParams(config: TransformerConfig, key: Key, options: InitOptions = {}): Params {
  validateConfig(config);
  const { std = 0.02, dtype = "f32", device = defaultDevice() } = options;
  const scales = { normal: std, residual: std / Math.sqrt(2 * config.numLayers) };
  const draw = ({ shape, init }: ParamSpec, index: number): Tensor => {
    if (init === "ones") return ones(shape, { dtype, device });
    if (init === "zeros") return zeros(shape, { dtype, device });
    return randomNormal(foldIn(key, index), shape, { dtype, device, deviation: scales[init] });
  };
  return Object.fromEntries(paramSpecs(config).map((spec, index) => [spec.name, draw(spec, index)]));
}
