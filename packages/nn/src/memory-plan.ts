/**
 * How much memory training will take, before any is taken. Nothing is estimated: the forward pass, the backward pass and
 * the optimiser's step run on a device that counts instead of computing (`planningDevice`), so a plan follows the code.
 * Left out: what the method adds (frozen references, sampling caches) and buffers that the pool keeps for reuse.
 */
import { type DType, key, mean, neg, planningDevice, type Tensor, valueAndGrad } from "@pact/tensor";
import { type TransformerConfig, validateConfig } from "./config.ts";
import { InputError } from "./errors.ts";
import { tokenLogProbs } from "./log-probs.ts";
import { type LoraOptions, lora, withLora } from "./lora.ts";
import { AdamW } from "./optim.ts";
import { packSequences } from "./pack.ts";
import { type Params, paramSpecs } from "./params.ts";
import type { ForwardOptions } from "./transformer.ts";

/** What is to be trained, and how. */
export type PlanOptions = ForwardOptions & {
  /** N, packed tokens per forward pass. */
  readonly tokens: number;
  /** Tokens whose log-probs are taken, default N − 1: each is a row [V] of logits. */
  readonly targets?: number;
  /** Type of the base's parameters, default f32; "f16" for a frozen base under adapters. */
  readonly dtype?: DType;
  /** Adapters on a frozen base; default all parameters are trained. */
  readonly lora?: Pick<LoraOptions, "rank" | "targets" | "dropout">;
};

/** Bytes on the device, and what they are. */
export type MemoryPlan = {
  /** The most at any time: `device.memory().peakBytes` of a step. */
  readonly peakBytes: number;
  /** The model's parameters, frozen or trained. */
  readonly parameterBytes: number;
  /** AdamW's moments, its mask, and the adapters where there are any. */
  readonly optimizerBytes: number;
  /** Gradients, what the passes keep and temporaries, at the peak. */
  readonly workingBytes: number;
  /** Numbers that are trained. */
  readonly trainable: number;
};

/**
 * Predicts the peak memory of a training step: forward and backward of the mean log-prob of `targets` tokens, then AdamW
 * with clipping. Nothing is allocated on a device.
 *
 * @throws InputError for sizes that are none; ConfigError if the configuration can not be used
 * @example
 * ```ts
 * const config = configFromJson({
 *   model_type: "gpt", activation_function: "gelu_tanh", vocab_size: 8, hidden_size: 4,
 *   num_hidden_layers: 2, num_attention_heads: 2, max_position_embeddings: 16,
 * });
 * const plan = planMemory(config, { tokens: 100 });
 * plan.parameterBytes; // → 2368
 * planMemory(config, { tokens: 100, checkpointBlocks: true }).peakBytes < plan.peakBytes; // → true
 * ```
 */
export function planMemory(config: TransformerConfig, options: PlanOptions): MemoryPlan {
  validateConfig(config);
  const { tokens, targets = tokens - 1, dtype = "f32", lora: adapted, ...forward } = options;
  if (!Number.isInteger(tokens) || tokens < 2)
    throw new InputError(
      `planMemory: tokens is ${tokens}, expected a whole number ≥ 2. Pass { tokens: 4096 }.`,
    );
  if (!Number.isInteger(targets) || targets < 1 || targets >= tokens)
    throw new InputError(
      `planMemory: targets is ${targets}, expected a whole number from 1 to ${tokens - 1}. Leave it out for all tokens.`,
    );
  const device = planningDevice();
  const live = () => device.memory().liveBytes;
  const base = Object.fromEntries(
    paramSpecs(config).map(({ name, shape }) => [name, device.empty(shape, dtype)]),
  );
  const parameterBytes = live();

  const adapters = adapted && lora(config, base, { ...adapted, key: key(0) });
  const trained = adapters?.weights ?? base;
  const trainable = Object.values(trained).reduce((sum, { size }) => sum + size, 0);
  const optimizer = new AdamW(trained);
  for (const copied of Object.values(trained)) copied.dispose();
  const optimizerBytes = live() - parameterBytes;

  // Positions that the model has; how tokens are cut into sequences takes no part in memory.
  const ids = Math.min(config.maxPositions, tokens);
  const lengths = Array.from({ length: Math.ceil(tokens / ids) }, (_, i) => Math.min(ids, tokens - i * ids));
  const packed = packSequences(lengths.map((length) => new Int32Array(length)));
  const rows = Int32Array.from({ length: tokens }, (_, i) => i).filter((i) => i % ids !== 0);
  const loss = (weights: Params): Tensor => {
    const training = { tokens, key: key(0) };
    const params = adapters ? withLora(base, { ...adapters, weights }, training) : weights;
    return neg(mean(tokenLogProbs(config, params, packed, rows.subarray(0, targets), forward)));
  };
  device.resetPeak();
  const { grads } = valueAndGrad(loss)(optimizer.params);
  optimizer.step(grads, 1e-3);
  const { peakBytes } = device.memory();
  device.destroy();
  return {
    peakBytes,
    parameterBytes,
    optimizerBytes,
    workingBytes: peakBytes - parameterBytes - optimizerBytes,
    trainable,
  };
}
