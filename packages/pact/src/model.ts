/**
 * The model of a run: what is trained, what stays frozen, and which parameters a forward pass takes.
 *
 * Three readings of one model are kept apart. `Model.params` is what is trained: every parameter, or with LoRA (Hu et al.,
 * arXiv 2106.09685) the adapters alone. `forwardParams` is what a pass that is differentiated takes: the same, or base and
 * adapters. `samplingParams` is what rollouts and evaluations read: the same again, with `precision` f16 as copies in
 * f16 (Micikevicius et al., arXiv 1710.03740), which are made for them and given back after them.
 */
import {
  castBlocks,
  type ForwardOptions,
  type LoraSettings,
  lora,
  loraFromPeft,
  loraLayers,
  loraToPeft,
  type Params,
  paramSpecs,
  paramsFromSafetensors,
  paramsToSafetensors,
  type TransformerConfig,
  withLora,
} from "@pact/nn";
import { cast, type Device, foldIn, key, type Tensor } from "@pact/tensor";
import type { TrainConfig } from "./config.ts";
import { ConfigError } from "./errors.ts";
import type { Checkpoint } from "./run-sink.ts";

/** A model: its configuration and parameters, and how its forward passes are made. */
export interface Model {
  readonly config: TransformerConfig;
  /** What is trained: all parameters, or the weights of the adapters. */
  readonly params: Params;
  /** The frozen base that `params` are adapters of; without it `params` are all there is. */
  readonly adapted?: { readonly base: Params; readonly settings: LoraSettings };
  /** Recomputation and precision of forward passes; default none and that of the parameters. */
  readonly forward?: ForwardOptions;
}

/** Settings that decide what is trained and how. */
export type ModelSettings = Pick<
  TrainConfig,
  "seed" | "precision" | "activationCheckpointing" | "loraRank" | "loraAlpha" | "loraTargets"
>;

/** The random stream of fresh adapters under the run's seed; trainer.ts has the others. */
const adapterStream = 4;

/**
 * The parameters of a forward pass. Call it in a scope: scaled adapters are new tensors.
 *
 * @param trained stands for `model.params`, as the argument of a differentiated function does
 * @example
 * ```ts
 * const config = configFromJson({
 *   model_type: "qwen3", vocab_size: 16, hidden_size: 8, intermediate_size: 8, num_hidden_layers: 1,
 *   num_attention_heads: 1, num_key_value_heads: 1, head_dim: 8, max_position_embeddings: 32, tie_word_embeddings: true,
 * });
 * const base = initParams(config, key(0));
 * const { weights, settings } = lora(config, base, { rank: 2, targets: ["q_proj"], key: key(1) });
 * const model = { config, params: weights, adapted: { base, settings } };
 * Object.keys(forwardParams(model)).length - Object.keys(base).length; // → 2
 * ```
 */
export function forwardParams({ params, adapted }: Model, trained: Params = params): Params {
  return adapted ? withLora(adapted.base, { settings: adapted.settings, weights: trained }) : trained;
}

/** Parameters for sampling; `dispose` frees what was made for it and leaves the model's own. */
export interface SamplingParams {
  readonly params: Params;
  dispose(): void;
  [Symbol.dispose](): void;
}

/**
 * The parameters that rollouts and evaluations read, as they are now: those of a forward pass, in f16 where that computes
 * in f16. The embedding and the head of f32 masters stay f32 there as here, so sampler and training forward round alike.
 *
 * @example
 * ```ts
 * const config = configFromJson({
 *   model_type: "qwen3", vocab_size: 16, hidden_size: 8, intermediate_size: 8, num_hidden_layers: 1,
 *   num_attention_heads: 1, num_key_value_heads: 1, head_dim: 8, max_position_embeddings: 32, tie_word_embeddings: true,
 * });
 * const params = initParams(config, key(0));
 * using sampling = samplingParams({ config, params });
 * sampling.params === params; // → true
 * ```
 */
export function samplingParams(model: Model): SamplingParams {
  const { config, adapted, params, forward = {} } = model;
  const own = new Set<Tensor>([...Object.values(params), ...Object.values(adapted?.base ?? {})]);
  const { computeDtype } = forward;
  const together = forwardParams(model);
  // A base under adapters is in that type already.
  const used = computeDtype && !adapted ? castBlocks(config, together, computeDtype) : together;
  const dispose = () => {
    for (const value of Object.values(used)) if (!own.has(value)) value.dispose();
  };
  return { params: used, dispose, [Symbol.dispose]: dispose };
}

/** How forward passes are made under the settings. */
export function forwardOf({
  precision,
  activationCheckpointing,
}: Pick<TrainConfig, "precision" | "activationCheckpointing">): ForwardOptions {
  return {
    checkpointBlocks: activationCheckpointing,
    ...(precision === "f16" ? { computeDtype: "f16" } : {}),
  };
}

/** What a run starts from. */
export interface StartModel {
  /** Its `params` are what the optimiser copies. */
  readonly model: Model;
  /** The frozen model of the KL term: with adapters the base without them. */
  readonly reference: Model;
  /** Fresh adapters, to be disposed once they are copied. */
  readonly fresh: Params;
  /** Copies of the base in f16, to be disposed when the run ends. */
  readonly copies: Params;
}

/**
 * The model that a run trains: all of it in f32, or adapters beside it. With adapters a base in another precision than the
 * setting's is copied; give it in that to have it once.
 *
 * @param params of the start; with adapters they are used as they are and must live as long as the run
 * @param resumed weights of `Model.params` of a run that goes on
 * @throws ConfigError if the device has no f16 that the settings ask for, or the rank is too large for a layer;
 *   ParameterError for a target that is no layer
 */
export function startModel(
  config: TransformerConfig,
  params: Params,
  settings: ModelSettings,
  resumed?: Params,
): StartModel {
  const { device } = Object.values(params)[0];
  requirePrecision(settings, device);
  if (resumed === undefined) requireRank(config, settings);
  const { seed, precision, loraRank: rank, loraAlpha: alpha } = settings;
  const forward = forwardOf(settings);
  const reference = { config, params, forward };
  if (rank === 0) {
    return { model: { config, params: resumed ?? params, forward }, reference, fresh: {}, copies: {} };
  }
  const copies: Params = {};
  const base = Object.fromEntries(
    Object.entries(params).map(([name, value]) => {
      const used = precision === "f16" ? cast(value, "f16") : value;
      if (used !== value) copies[name] = used;
      return [name, used];
    }),
  );
  const targets = targetsOf(settings);
  const adapters = lora(config, base, { rank, alpha, targets, key: foldIn(key(seed), adapterStream) });
  const adapted = { base, settings: adapters.settings };
  return {
    model: { config, params: resumed ?? adapters.weights, adapted, forward },
    reference: { ...reference, params: base },
    fresh: adapters.weights,
    copies,
  };
}

/**
 * The type in which a run holds its initial parameters: what is trained stays in f32; the frozen base of adapters is needed
 * in the type of its passes alone.
 *
 * @example
 * ```ts
 * [startDtype(trainConfig({ precision: "f16" })), startDtype(trainConfig({ precision: "f16", loraRank: 8 }))]; // → ["f32", "f16"]
 * ```
 */
export function startDtype({
  loraRank,
  precision,
}: Pick<TrainConfig, "loraRank" | "precision">): TrainConfig["precision"] {
  return loraRank > 0 ? precision : "f32";
}

/**
 * Whether a run reads its initial parameters again: as the frozen base of adapters, or as the reference of a KL term. If
 * not, they can be given back once the optimiser has copied them.
 *
 * @example
 * ```ts
 * [keepsStart(trainConfig()), keepsStart(trainConfig({ loraRank: 8 }))]; // → [false, true]
 * ```
 */
export function keepsStart({
  loraRank,
  klCoefficient,
}: Pick<TrainConfig, "loraRank" | "klCoefficient">): boolean {
  return loraRank > 0 || klCoefficient > 0;
}

/**
 * What was trained as a checkpoint holds it: the model, or with adapters PEFT's two files.
 *
 * @param baseModel where the base of adapters is
 */
export async function storedWeights(
  { adapted, params }: Model,
  baseModel?: string,
): Promise<Pick<Checkpoint, "model" | "adapterConfig">> {
  if (!adapted) return { model: await paramsToSafetensors(params) };
  const files = await loraToPeft({ settings: adapted.settings, weights: params }, { baseModel });
  return { model: files["adapter_model.safetensors"], adapterConfig: files["adapter_config.json"] };
}

/**
 * The weights of a checkpoint on the default device, as a run that goes on takes them: of the model, or of adapters.
 *
 * @throws ParameterError if they are of another model; SafetensorsError if the file is malformed
 */
export function weightsOfCheckpoint(
  config: TransformerConfig,
  { model, adapterConfig }: Pick<Checkpoint, "model" | "adapterConfig">,
): Params {
  if (!adapterConfig) return paramsFromSafetensors(config, model);
  const files = { "adapter_model.safetensors": model, "adapter_config.json": adapterConfig };
  return loraFromPeft(config, files).weights;
}

/**
 * Refuses settings that the device can not compute in.
 *
 * @throws ConfigError naming the setting to change
 * @example requirePrecision({ precision: "f32" }, device); // any device will do
 */
export function requirePrecision({ precision }: Pick<TrainConfig, "precision">, device: Device): void {
  if (precision === "f32" || device.report.features.includes("shader-f16")) return;
  const { kind, report } = device;
  throw new ConfigError(
    `precision is f16, and this ${kind} device (${report.adapterName}) does not compute in it. ` +
      "Set precision f32, or run on a GPU whose adapter has shader-f16: `pact doctor` lists what is there.",
  );
}

/** The settings' layers as nn takes them. */
function targetsOf({ loraTargets }: Pick<TrainConfig, "loraTargets">): readonly string[] | undefined {
  return loraTargets.length > 0 ? loraTargets : undefined;
}

/**
 * The linear layer with the smallest side of those that have adapters: its side bounds the rank of what can be learned.
 *
 * @throws ParameterError for a target that is no layer
 */
export function narrowestLayer(
  config: TransformerConfig,
  settings: Pick<TrainConfig, "loraTargets">,
): { readonly name: string; readonly shape: readonly number[]; readonly side: number } {
  const shapes = new Map(paramSpecs(config).map(({ name, shape }) => [name, shape]));
  const layers = loraLayers(config, targetsOf(settings)).map((name) => {
    const shape = shapes.get(`${name}.weight`) ?? [];
    return { name, shape, side: Math.min(...shape) };
  });
  return layers.reduce((narrowest, layer) => (layer.side < narrowest.side ? layer : narrowest));
}

/**
 * Refuses adapters that are wider than a layer: their product has no higher rank than its smaller side.
 *
 * @throws ConfigError naming the layer; ParameterError for a target that is no layer
 * @example requireRank(model, { loraRank: 8, loraTargets: ["q_proj"] });
 */
export function requireRank(
  config: TransformerConfig,
  settings: Pick<TrainConfig, "loraRank" | "loraTargets">,
): void {
  const { loraRank: rank } = settings;
  if (rank === 0) return;
  const { name, shape, side } = narrowestLayer(config, settings);
  if (rank <= side) return;
  throw new ConfigError(
    `loraRank is ${rank}, more than the smaller side of ${name} [${shape}], beyond which nothing more can be learned. ` +
      `Set loraRank ${side} at most, or leave that layer out of loraTargets.`,
  );
}
