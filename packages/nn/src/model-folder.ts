/**
 * Whole models to and from folders as Hugging Face lays them out: `config.json`, `generation_config.json`, and
 * `model.safetensors` or its shards with their index. Files larger than memory are fine: tensors go to the device one by
 * one, in pieces. This file names no module of Node, so the package can be imported in a browser; folder/read.ts and
 * folder/write.ts, which do, are imported when they are called for. Left out: tokenizer files (tokenizer/), downloading.
 */
import { type Device, defaultDevice } from "@pact/tensor";
import { fitProblems, requireFit } from "./checkpoint.ts";
import { oneOf, type TransformerConfig, validateConfig } from "./config.ts";
import { configFromJson, configToJson } from "./config-json.ts";
import { CheckpointError, ParameterError } from "./errors.ts";
import { jsonText } from "./folder/json-text.ts";
import { indexName, indexText, inModuleOrder, splitShards, weightsPattern } from "./folder/shards.ts";
import { loadTensor, type StoredDType, storedBytes, tensorBytes } from "./folder/transfer.ts";
import { type Params, paramSpecs } from "./params.ts";
import { type SafetensorsDType, writeHeader } from "./safetensors-header.ts";
import { isObject } from "./safetensors-json.ts";

/** A model as a folder holds it. */
export type Model = {
  readonly config: TransformerConfig;
  /** One tensor per entry of `paramSpecs(config)`, by name. */
  readonly params: Params;
  /** `generation_config.json`, as it is; absent if there is none. */
  readonly generationConfig?: Readonly<Record<string, unknown>>;
  /**
   * All of `config.json`, with what `config` leaves out (`bos_token_id` and the like). Where both say something, `config`
   * is right.
   */
  readonly configJson?: Readonly<Record<string, unknown>>;
};

/** What a folder says of its model before any weight is read: the files' JSON and the headers of its tensors. */
export type ModelHeaders = Omit<Model, "params"> & {
  /** One entry per parameter, by name: its type, shape and bytes in the file. */
  readonly tensors: ReadonlyMap<
    string,
    {
      readonly name: string;
      readonly dtype: SafetensorsDType;
      readonly shape: readonly number[];
      readonly bytes: number;
    }
  >;
};

/** How far loading or saving is: `bytes` of `totalBytes` in files, lately of tensor `name`. */
export type ModelProgress = { readonly name: string; readonly bytes: number; readonly totalBytes: number };

/** Options of `loadModel`; every one has a default. */
export type LoadModelOptions = {
  /** Of the parameters, whatever the file's; default f32. f64 on the cpu device, f16 where the adapter has it. */
  readonly dtype?: "f32" | "f64" | "f16";
  /** Default: the default device. */
  readonly device?: Device;
  /** Called after every piece that was read. */
  readonly onProgress?: (progress: ModelProgress) => void;
};

/** Options of `saveModel`; every one has a default. */
export type SaveModelOptions = {
  /** Of the weights in the file; default F32. */
  readonly dtype?: StoredDType;
  /** Largest file in bytes before weights are spread over several; default 5 · 10⁹, as in transformers 4. */
  readonly maxShardBytes?: number;
  /** Strings for `__metadata__` beside `format: "pt"`. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Called after every piece that was written. */
  readonly onProgress?: (progress: ModelProgress) => void;
};

/** Names of the element types in config.json. */
const torchDtypes = { F32: "float32", F64: "float64", F16: "float16", BF16: "bfloat16" } as const;

/**
 * Loads a model folder: Qwen3, Qwen2 / Qwen2.5, Llama, or this package's `gpt`, in f32, f64, f16 or bf16, sharded or not.
 *
 * Headers are checked against the configuration before any weight is read; then tensors are read in pieces of 16 MiB
 * (as f32), so the host needs little beside what it holds anyway. Works in Node; in a browser use `paramsFromSafetensors`.
 *
 * @throws CheckpointError listing missing, malformed, truncated or contradictory files; ConfigError listing everything in
 * `config.json` that can not be used; ParameterError listing missing, unexpected and wrongly shaped tensors, or naming a
 * number that `dtype` can not hold; DTypeError if the device lacks `dtype`
 * @example
 * ```ts
 * const json = { model_type: "qwen2", vocab_size: 8, hidden_size: 4, intermediate_size: 8, num_hidden_layers: 1 };
 * const config = configFromJson({ ...json, num_attention_heads: 2, max_position_embeddings: 16 });
 * const folder = `${(await import("node:os")).tmpdir()}/pact-example-load`;
 * await saveModel(folder, { config, params: initParams(config, key(0)) });
 * (await loadModel(folder)).params["lm_head.weight"]; // → f32[8, 4]
 * ```
 */
export async function loadModel(folder: string, options: LoadModelOptions = {}): Promise<Model> {
  const { dtype = "f32", device = defaultDevice(), onProgress = () => {} } = options;
  const { TensorReader } = await import("./folder/read.ts");
  const { config, configJson, generationConfig, tensors } = await readFolder(folder);

  const specs = paramSpecs(config);
  const wanted = new Set(specs.map(({ name }) => name));
  const sources = [...tensors.values()].filter(({ name }) => wanted.has(name));
  const totalBytes = sources.reduce((sum, { bytes }) => sum + bytes, 0);
  const loaded: Params = {};
  const reader = new TensorReader(folder);
  let bytes = 0;
  try {
    for (const source of sources) {
      loaded[source.name] = await loadTensor(reader, source, { dtype, device }, (more) => {
        bytes += more;
        onProgress({ name: source.name, bytes, totalBytes });
      });
    }
  } catch (error) {
    for (const parameter of Object.values(loaded)) parameter.dispose();
    throw error;
  } finally {
    await reader.close();
  }
  device.trim(); // the buffers of the pieces
  const params = Object.fromEntries(specs.map(({ name }) => [name, loaded[name]]));
  return { config, params, configJson, ...(generationConfig && { generationConfig }) };
}

/**
 * Reads what a model folder says of itself, without its weights: enough to know its sizes and that it can be loaded.
 *
 * @throws CheckpointError, ConfigError and ParameterError as `loadModel`
 * @example
 * ```ts
 * const json = { model_type: "qwen2", vocab_size: 8, hidden_size: 4, intermediate_size: 8, num_hidden_layers: 1 };
 * const config = configFromJson({ ...json, num_attention_heads: 2, max_position_embeddings: 16 });
 * const folder = `${(await import("node:os")).tmpdir()}/pact-example-inspect`;
 * await saveModel(folder, { config, params: initParams(config, key(0)) }, { dtype: "BF16" });
 * const { tensors } = await inspectModel(folder);
 * tensors.get("lm_head.weight")?.bytes; // → 64
 * ```
 */
export async function inspectModel(folder: string): Promise<ModelHeaders> {
  return readFolder(folder);
}

/**
 * The text of a small file beside the weights, such as a chat template; undefined if there is no such file. A model folder
 * may come from anywhere: what is no file of it, a link to another place for one, is not read.
 *
 * @throws CheckpointError if it is no plain file, a link out of the folder, or has more than 100 MB
 * @example
 * ```ts
 * const json = { model_type: "qwen2", vocab_size: 8, hidden_size: 4, intermediate_size: 8, num_hidden_layers: 1 };
 * const config = configFromJson({ ...json, num_attention_heads: 2, max_position_embeddings: 16 });
 * const folder = `${(await import("node:os")).tmpdir()}/pact-example-text`;
 * await saveModel(folder, { config, params: initParams(config, key(0)), generationConfig: { eos_token_id: 7 } });
 * await readFolderText(folder, "generation_config.json"); // → "{\n  \"eos_token_id\": 7\n}\n"
 * await readFolderText(folder, "chat_template.jinja"); // → undefined
 * ```
 */
export async function readFolderText(folder: string, name: string): Promise<string | undefined> {
  const { readText } = await import("./folder/read.ts");
  try {
    return await readText(folder, name);
  } catch (error) {
    throw new CheckpointError(folder, [`${name}: ${(error as Error).message}`], { cause: error });
  }
}

async function readFolder(folder: string) {
  const { readHeaders, readJson } = await import("./folder/read.ts");
  const problems: string[] = [];
  const configJson = await readJson(folder, "config.json", problems);
  if (configJson === undefined && problems.length === 0) problems.push("config.json is missing");
  const generationConfig = await readJson(folder, "generation_config.json", problems);
  const tensors = await readHeaders(folder, problems);
  if (problems.length > 0) throw new CheckpointError(folder, problems);
  const config = configFromJson(configJson);
  requireFit(fitProblems(config, tensors));
  return { config, configJson, tensors, ...(generationConfig && { generationConfig }) };
}

/**
 * Saves a model folder that `loadModel` and transformers' `from_pretrained` load: `config.json`, `model.safetensors` or
 * shards with an index, and `generation_config.json` if there is one. Layout and order are the official library's; f16
 * and bf16 round to nearest, ties to even, so what was loaded from a dtype is saved to it bit for bit.
 *
 * Files are written aside and renamed at the end, so an error leaves the folder as it was; weights of an earlier model in
 * the folder are then removed. Other files (tokenizer, chat template) stay. Works in Node.
 *
 * @throws ConfigError if the configuration can not be used; ParameterError if parameters do not fit it, or a number does
 * not fit `dtype`; CheckpointError if the folder can not be written
 * @example
 * ```ts
 * const json = { model_type: "llama", vocab_size: 8, hidden_size: 4, intermediate_size: 8, num_hidden_layers: 1 };
 * const config = configFromJson({ ...json, num_attention_heads: 2, max_position_embeddings: 16 });
 * const folder = `${(await import("node:os")).tmpdir()}/pact-example-save`;
 * const model = { config, params: initParams(config, key(0)), generationConfig: { eos_token_id: 7 } };
 * await saveModel(folder, model, { dtype: "BF16", maxShardBytes: 200 });
 * (await loadModel(folder)).generationConfig; // → { eos_token_id: 7 }
 * ```
 */
export async function saveModel(folder: string, model: Model, options: SaveModelOptions = {}): Promise<void> {
  const { dtype = "F32", maxShardBytes = 5e9, metadata = {}, onProgress = () => {} } = options;
  const { params, generationConfig } = model;
  const config = validateConfig(model.config);
  if (!Object.hasOwn(torchDtypes, dtype))
    throw new ParameterError(
      `saveModel: dtype is ${JSON.stringify(dtype)}, expected ${oneOf(Object.keys(torchDtypes))}. Leave it out for F32.`,
    );
  if (!(maxShardBytes > 0))
    throw new ParameterError(
      `saveModel: maxShardBytes is ${maxShardBytes}, expected a number above 0. Leave it out for 5e9, pass Infinity for one file.`,
    );
  if (generationConfig !== undefined && !isObject(generationConfig))
    throw new ParameterError("saveModel: generationConfig must be an object; leave it out for none.");
  const tensors = new Map(
    Object.entries(params).map(([name, { shape, size }]) => {
      return [name, { name, dtype, shape, bytes: storedBytes(size, dtype) }];
    }),
  );
  requireFit(fitProblems(config, tensors));
  const ordered = paramSpecs(config).map(({ name }) => tensors.get(name)!);
  const shards = splitShards(inModuleOrder(ordered), maxShardBytes);
  const totalBytes = ordered.reduce((sum, { bytes }) => sum + bytes, 0);
  let bytes = 0;
  async function* contents(shard: (typeof shards)[number]): AsyncGenerator<Uint8Array> {
    yield writeHeader(shard.tensors, { format: "pt", ...metadata });
    for (const { name } of shard.tensors) {
      for await (const piece of tensorBytes(name, params[name], dtype)) {
        yield piece;
        bytes += piece.length;
        onProgress({ name, bytes, totalBytes });
      }
    }
  }

  const { FolderWriter } = await import("./folder/write.ts");
  await FolderWriter.using(folder, async (writer) => {
    for (const shard of shards) await writer.write(shard.name, contents(shard));
    if (shards.length > 1) await writer.write(indexName, [text(indexText(shards))]);
    if (generationConfig) await writer.write("generation_config.json", [text(jsonText(generationConfig))]);
    await writer.write("config.json", [text(jsonText(wholeConfig(model, dtype)))]);
    await writer.commit((name) => weightsPattern.test(name));
  });
}

/** What `config` says, and of the rest of `configJson` what does not say the same in other words. */
function wholeConfig({ config, configJson = {} }: Model, dtype: StoredDType): Record<string, unknown> {
  const { rope_parameters, rope_scaling, dtype: newer, ...rest } = configJson;
  return { ...rest, ...configToJson(config), torch_dtype: torchDtypes[dtype] };
}

function text(content: string): Uint8Array {
  return new TextEncoder().encode(content);
}
