/**
 * Parameters to and from safetensors under Hugging Face names. What is loaded is checked against the configuration:
 * every parameter present, none unknown, every shape right. Left out: files on disk (model-folder.ts).
 */
import { type Device, type DType, defaultDevice, tensor } from "@pact/tensor";
import type { TransformerConfig } from "./config.ts";
import { lines, ParameterError } from "./errors.ts";
import { type Params, paramSpecs } from "./params.ts";
import { readSafetensors, type SafetensorsEntry, writeSafetensors } from "./safetensors.ts";
import { list } from "./safetensors-header.ts";
import { quote } from "./safetensors-json.ts";

/**
 * Loads the parameters of a configuration from a `model.safetensors` (f32, f64, f16 or bf16).
 *
 * @param options dtype (default f32; f64 on the cpu device) and device (default: the default device)
 * @throws SafetensorsError if the file is malformed
 * @throws ParameterError listing missing, unexpected and wrongly shaped parameters
 * @example
 * ```ts
 * const config = configFromJson({
 *   model_type: "gpt", activation_function: "gelu_tanh", vocab_size: 8, hidden_size: 4,
 *   num_hidden_layers: 1, num_attention_heads: 2, max_position_embeddings: 16,
 * });
 * const bytes = await paramsToSafetensors(initParams(config, key(0)));
 * paramsFromSafetensors(config, bytes)["wte.weight"]; // → f32[8, 4]
 * paramsFromSafetensors({ ...config, vocabSize: 9 }, bytes); // → throws ParameterError
 * ```
 */
export function paramsFromSafetensors(
  config: TransformerConfig,
  bytes: Uint8Array,
  { dtype = "f32", device = defaultDevice() }: { dtype?: DType; device?: Device } = {},
): Params {
  const entries = readSafetensors(bytes);
  requireFit(fitProblems(config, entries));
  return Object.fromEntries(
    paramSpecs(config).map(({ name, shape }) => {
      const data = entries.get(name)!.data as Float32Array | Float64Array;
      return [name, tensor(data, { shape, dtype, device })];
    }),
  );
}

/**
 * Writes parameters as safetensors, f32 by default; `BF16` and `F16` halve the file and round to nearest.
 *
 * @param options stored dtype (default F32) and `__metadata__` strings (default `{ format: "pt" }`, which they extend)
 * @returns the bytes of the file
 * @example
 * ```ts
 * const bytes = await paramsToSafetensors({ w: tensor([1, 2.003]) }, { dtype: "BF16" });
 * readSafetensors(bytes).get("w")?.data; // → [1, 2]
 * readSafetensorsMetadata(bytes).get("format"); // → "pt"
 * ```
 */
export async function paramsToSafetensors(
  params: Params,
  {
    dtype = "F32",
    metadata = {},
  }: { dtype?: "F32" | "F64" | "F16" | "BF16"; metadata?: Record<string, string> } = {},
): Promise<Uint8Array> {
  const entries: [string, SafetensorsEntry][] = [];
  for (const [name, parameter] of Object.entries(params)) {
    const values = await parameter.data();
    const data = dtype === "F64" ? new Float64Array(values) : new Float32Array(values);
    entries.push([name, { dtype, shape: parameter.shape, data }]);
  }
  return writeSafetensors(entries, { format: "pt", ...metadata });
}

/** What does not fit between a configuration and tensors by name: one line each. */
export function fitProblems(
  config: TransformerConfig,
  tensors: ReadonlyMap<string, Pick<SafetensorsEntry, "dtype" | "shape">>,
): string[] {
  // A config.json may claim any number of layers; the list of what they need must not be longer than memory.
  if (config.numLayers > Math.max(1000, tensors.size))
    return [`the configuration has ${config.numLayers} layers, the checkpoint ${tensors.size} tensors`];
  const specs = paramSpecs(config);
  const known = new Set(specs.map((spec) => spec.name));
  // Some exporters store a tied head beside the embedding it equals; it carries nothing of its own.
  if (config.tieWordEmbeddings) known.add("lm_head.weight");
  const problems = [...tensors.keys()]
    // Files of the first Llamas hold the rotary frequencies, which follow from the configuration.
    .filter((name) => !known.has(name) && !/^model\.layers\.\d+\.self_attn\.rotary_emb\.inv_freq$/.test(name))
    .map((name) => `unexpected ${quote(name)}`);
  for (const { name, shape } of specs) {
    const entry = tensors.get(name);
    if (!entry) problems.push(`missing "${name}" [${shape}]`);
    else if (entry.shape.join() !== shape.join())
      problems.push(`"${name}" has shape ${list(entry.shape)}, expected [${shape}]`);
    else if (!/^(F32|F64|F16|BF16)$/.test(entry.dtype))
      problems.push(`"${name}" has dtype ${entry.dtype}, expected F32, F64, F16 or BF16`);
  }
  return problems;
}

/** @throws ParameterError listing the problems, if there are any */
export function requireFit(problems: readonly string[]): void {
  if (problems.length === 0) return;
  throw new ParameterError(
    `The checkpoint does not fit the configuration (is the config.json beside it?):\n${lines(problems)}`,
  );
}
