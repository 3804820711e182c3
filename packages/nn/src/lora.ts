/**
 * LoRA (Hu et al., arXiv 2106.09685): a linear layer keeps its weight W and learns a low-rank correction beside it,
 *
 *   y = x Wᵀ + (alpha/rank) · x Aᵀ Bᵀ,   A [rank, in], B [out, rank]
 *
 * A starts Kaiming uniform and B at 0, so training starts at the model as it is. The adapters are a record of their own:
 * differentiate and optimise that, and the base has neither gradients nor optimiser state. lora-peft.ts has the files.
 */
import {
  add,
  cast,
  dropout,
  foldIn,
  type Key,
  matmul,
  mul,
  ones,
  randomUniform,
  scope,
  sub,
  type Tensor,
  zeros,
} from "@pact/tensor";
import type { TransformerConfig } from "./config.ts";
import { ParameterError } from "./errors.ts";
import { layerNames, type Params, param } from "./params.ts";
import { adapterNames } from "./projection.ts";

/** Which linear layers have adapters, and of which kind. */
export type LoraSettings = {
  /** Width of the low-rank product. */
  readonly rank: number;
  /** Its weight: the product counts alpha/rank times. */
  readonly alpha: number;
  /** Share of the adapters' inputs dropped in training. */
  readonly dropout: number;
  /** Full names of the layers, e.g. `model.layers.0.self_attn.q_proj`, in the model's order. */
  readonly targets: readonly string[];
};

/** Adapters: settings and weights, `<layer>.lora_A.weight` [rank, in] and `<layer>.lora_B.weight` [out, rank]. */
export type Lora = { readonly settings: LoraSettings; readonly weights: Params };

/** Options of `lora`. */
export type LoraOptions = {
  /** Width of the low-rank product, at least 1; above a layer's smaller side it adds weights and nothing that can be learned. */
  readonly rank: number;
  /** Default: the rank, so that the product counts once. */
  readonly alpha?: number;
  /** Layers by last or full name (`"q_proj"`), or a predicate of the full name; default every linear layer of the blocks. */
  readonly targets?: readonly string[] | ((name: string) => boolean);
  /** Share of the adapters' inputs dropped in training (`withLora`); default 0. */
  readonly dropout?: number;
  /** Random stream of A. */
  readonly key: Key;
};

/** Full names of the linear layers of all blocks, which can have adapters. */
export function linearNames(config: TransformerConfig): string[] {
  return Array.from({ length: config.numLayers }, (_, layer) => {
    const { query, key, value, attentionOut, gate, up, down } = layerNames(config, layer);
    return [query, key, value, attentionOut, ...(config.modelType === "gpt" ? [] : [gate]), up, down];
  }).flat();
}

/**
 * Adapters for linear layers of a model: A ~ U(−1/√in, 1/√in) (Kaiming uniform with a = √5, as PEFT draws it), B = 0.
 *
 * @param params the base, whose shapes and device they take; it is not changed. Adapters of a base in f16 are f32
 * @throws ParameterError if a target names no linear layer of the blocks, or rank, alpha or dropout make no sense
 * @example
 * ```ts
 * const config = configFromJson({
 *   model_type: "gpt", activation_function: "gelu_tanh", vocab_size: 8, hidden_size: 4,
 *   num_hidden_layers: 1, num_attention_heads: 2, max_position_embeddings: 16,
 * });
 * const base = initParams(config, key(0));
 * const adapters = lora(config, base, { rank: 2, alpha: 4, targets: ["q_proj", "v_proj"], key: key(1) });
 * adapters.weights["h.0.attn.q_proj.lora_A.weight"]; // → f32[2, 4]
 * const packed = packSequences([[1, 2, 3]]);
 * const loss = (weights: Params) =>
 *   neg(sum(tokenLogProbs(config, withLora(base, { ...adapters, weights }), packed, Int32Array.of(1, 2))));
 * Object.keys(valueAndGrad(loss)(adapters.weights).grads).length; // → 4
 * lora(config, base, { rank: 2, targets: ["k"], key: key(1) }); // → throws ParameterError
 * ```
 */
export function lora(config: TransformerConfig, params: Params, options: LoraOptions): Lora {
  const { rank, alpha = rank, dropout: rate = 0 } = options;
  if (!Number.isInteger(rank) || rank < 1)
    throw new ParameterError(`lora: rank is ${rank}, expected a whole number ≥ 1. Pass { rank: 8 }.`);
  if (!Number.isFinite(alpha))
    throw new ParameterError(`lora: alpha is ${alpha}, expected a finite number. Pass { alpha: ${rank} }.`);
  if (!(rate >= 0 && rate < 1))
    throw new ParameterError(
      `lora: dropout is ${rate}, expected a number from 0 to below 1. Pass { dropout: 0.1 }.`,
    );
  const targets = loraLayers(config, options.targets);
  const weights: Params = {};
  targets.forEach((name, index) => {
    const { shape, dtype: own, device } = param(params, `${name}.weight`);
    const [out, input] = shape;
    const dtype = own === "f64" ? own : "f32"; // f16 would round small steps away
    const { a, b } = adapterNames(name);
    weights[a] = scope(() => {
      const unit = randomUniform(foldIn(options.key, index), [rank, input], { dtype, device }); // [0, 1)
      return mul(sub(mul(unit, 2), 1), 1 / Math.sqrt(input));
    });
    weights[b] = zeros([out, rank], { dtype, device });
  });
  return { settings: { rank, alpha, dropout: rate, targets }, weights };
}

/**
 * The layers that `lora` puts adapters beside, known before there are weights.
 *
 * @param targets as in `LoraOptions`; default every linear layer of the blocks
 * @returns full names, in the model's order
 * @throws ParameterError if a target names no linear layer of the blocks
 * @example
 * ```ts
 * const config = configFromJson({
 *   model_type: "gpt", activation_function: "gelu_tanh", vocab_size: 8, hidden_size: 4,
 *   num_hidden_layers: 2, num_attention_heads: 2, max_position_embeddings: 16,
 * });
 * loraLayers(config, ["fc_in"]); // → ["h.0.mlp.fc_in", "h.1.mlp.fc_in"]
 * loraLayers(config).length; // → 12
 * loraLayers(config, ["k"]); // → throws ParameterError
 * ```
 */
export function loraLayers(config: TransformerConfig, targets?: LoraOptions["targets"]): string[] {
  const all = linearNames(config);
  if (targets === undefined) return all;
  const selects = (target: string, name: string) => name === target || name.endsWith(`.${target}`);
  const wanted = typeof targets === "function" ? all.filter(targets) : undefined;
  const lost =
    typeof targets === "function" ? [] : targets.filter((t) => !all.some((name) => selects(t, name)));
  const names = wanted ?? all.filter((name) => (targets as readonly string[]).some((t) => selects(t, name)));
  if (lost.length > 0 || names.length === 0) {
    const last = [...new Set(all.map((name) => name.split(".").at(-1)))].join(", ");
    throw new ParameterError(
      `lora: targets ${lost.length > 0 ? `${JSON.stringify(lost)} name` : "select"} no linear layer of the blocks. Choose among ${last}, or full names such as "${all[0]}".`,
    );
  }
  return names;
}

/**
 * The parameters of the model with its adapters, for every function that takes parameters: the base's tensors and the
 * adapters' A and (alpha/rank)·B. Call it inside the differentiated function, with the weights that are its argument; the
 * layers' own weights are frozen beside them (differentiating both throws an AutodiffError).
 *
 * @param training tokens N of the pass and a key of its own, for dropout; left out, nothing is dropped
 * @returns a new record; the scaled B (and masks) are new tensors, the others those given
 * @example
 * ```ts
 * const config = configFromJson({
 *   model_type: "gpt", activation_function: "gelu_tanh", vocab_size: 8, hidden_size: 4,
 *   num_hidden_layers: 1, num_attention_heads: 2, max_position_embeddings: 16,
 * });
 * const base = initParams(config, key(0));
 * const adapters = lora(config, base, { rank: 2, dropout: 0.5, key: key(1) });
 * const packed = packSequences([[1, 2, 3]]);
 * forwardHidden(config, withLora(base, adapters, { tokens: 3, key: key(2) }), packed); // → f32[3, 4]
 * ```
 */
export function withLora(
  params: Params,
  { settings, weights }: Lora,
  training?: { readonly tokens: number; readonly key: Key },
): Params {
  const together: Params = { ...params };
  settings.targets.forEach((name, index) => {
    const { a, b, mask } = adapterNames(name);
    together[a] = param(weights, a);
    together[b] = mul(param(weights, b), settings.alpha / settings.rank);
    if (training === undefined || settings.dropout === 0) return;
    const { shape, dtype, device } = together[a];
    const all = ones([training.tokens, shape[1]], { dtype, device });
    together[mask] = scope(() => dropout(all, settings.dropout, foldIn(training.key, index)));
    all.dispose();
  });
  return together;
}

/**
 * The base with the adapters worked in, W + (alpha/rank)·B A: a plain model of the same speed and size as the base.
 *
 * @returns a new record; layers with adapters have new tensors, the others those given
 * @throws ParameterError if the adapters belong to another model
 * @example
 * ```ts
 * const base = { "h.0.mlp.fc_in.weight": zeros([1, 2]) };
 * const weights = { "h.0.mlp.fc_in.lora_A.weight": tensor([[1, 2]]), "h.0.mlp.fc_in.lora_B.weight": tensor([[3]]) };
 * const settings = { rank: 1, alpha: 2, dropout: 0, targets: ["h.0.mlp.fc_in"] };
 * const merged = mergeLora(base, { settings, weights });
 * await merged["h.0.mlp.fc_in.weight"].data(); // → [6, 12]
 * ```
 */
export function mergeLora(params: Params, adapters: Lora): Params {
  return corrected(params, adapters, add);
}

/**
 * Takes the adapters out again, W − (alpha/rank)·B A: what was merged, to rounding.
 *
 * @returns a new record; layers with adapters have new tensors, the others those given
 * @throws ParameterError if the adapters belong to another model
 * @example
 * ```ts
 * const merged = { "h.0.mlp.fc_in.weight": tensor([[6, 12]]) };
 * const weights = { "h.0.mlp.fc_in.lora_A.weight": tensor([[1, 2]]), "h.0.mlp.fc_in.lora_B.weight": tensor([[3]]) };
 * const settings = { rank: 1, alpha: 2, dropout: 0, targets: ["h.0.mlp.fc_in"] };
 * await unmergeLora(merged, { settings, weights })["h.0.mlp.fc_in.weight"].data(); // → [0, 0]
 * ```
 */
export function unmergeLora(params: Params, adapters: Lora): Params {
  return corrected(params, adapters, sub);
}

function corrected(
  params: Params,
  { settings, weights }: Lora,
  combine: (weight: Tensor, delta: Tensor) => Tensor,
): Params {
  const result: Params = { ...params };
  for (const name of settings.targets) {
    const { a, b } = adapterNames(name);
    const [weight, low, high] = [param(params, `${name}.weight`), param(weights, a), param(weights, b)];
    if (high.shape[0] !== weight.shape[0] || low.shape[1] !== weight.shape[1])
      throw new ParameterError(
        `lora: "${name}" is [${weight.shape}], its adapter makes [${high.shape[0]},${low.shape[1]}]. Use the model that it was trained on.`,
      );
    result[`${name}.weight`] = scope(() =>
      combine(weight, cast(mul(matmul(high, low), settings.alpha / settings.rank), weight.dtype)),
    );
  }
  return result;
}
