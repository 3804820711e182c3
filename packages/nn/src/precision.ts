/**
 * A model's parameters in another type, where only the blocks need it. Left out: forward passes that convert as they go
 * (`ForwardOptions.computeDtype` in transformer.ts).
 */
import { cast, type DType } from "@pact/tensor";
import type { TransformerConfig } from "./config.ts";
import { outerNames, type Params } from "./params.ts";

/**
 * The parameters with those of the blocks in `dtype`, and the embedding and head as they are: what sampling takes of f32
 * masters to round as a forward pass with `computeDtype` does.
 *
 * @returns a new record; parameters that change their type are new tensors, the others those given
 * @example
 * ```ts
 * const config = configFromJson({
 *   model_type: "gpt", activation_function: "gelu_tanh", vocab_size: 8, hidden_size: 4,
 *   num_hidden_layers: 1, num_attention_heads: 2, max_position_embeddings: 16,
 * });
 * const params = initParams(config, key(0));
 * const same = castBlocks(config, params, "f32");
 * same["wte.weight"] === params["wte.weight"]; // → true
 * ```
 */
export function castBlocks(config: TransformerConfig, params: Params, dtype: DType): Params {
  const { embedding, head } = outerNames(config);
  const isOuter = (name: string) => name === `${embedding}.weight` || name === `${head}.weight`;
  return Object.fromEntries(
    Object.entries(params).map(([name, value]) => [name, isOuter(name) ? value : cast(value, dtype)]),
  );
}
