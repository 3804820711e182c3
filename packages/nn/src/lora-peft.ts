/**
 * Adapters as Hugging Face PEFT stores them: `adapter_model.safetensors`, whose names are those of the layers under
 * `base_model.model.`, and `adapter_config.json` (peft/tuners/lora/config.py). Left out: biases, DoRA, rsLoRA, adapters of
 * embeddings and heads, and ranks that differ by layer: they are refused by name.
 */
import { type Device, type DType, defaultDevice, tensor } from "@pact/tensor";
import { paramsToSafetensors } from "./checkpoint.ts";
import { isSize, type TransformerConfig } from "./config.ts";
import { lines, ParameterError } from "./errors.ts";
import { type Lora, linearNames } from "./lora.ts";
import { type Params, paramSpecs } from "./params.ts";
import { adapterNames } from "./projection.ts";
import { readSafetensors } from "./safetensors.ts";
import { list } from "./safetensors-header.ts";
import { isObject, quote } from "./safetensors-json.ts";

/** The two files of an adapter folder. */
export type PeftFiles = {
  /** The bytes of `adapter_model.safetensors`. */
  readonly "adapter_model.safetensors": Uint8Array;
  /** The object of `adapter_config.json`; write it with `JSON.stringify`. */
  readonly "adapter_config.json": Readonly<Record<string, unknown>>;
};

const prefix = "base_model.model.";

/** Settings that change what an adapter computes and are not built, with the values that leave it as it is. */
const plain: Readonly<Record<string, readonly unknown[]>> = {
  bias: ["none"],
  fan_in_fan_out: [false],
  use_dora: [false],
  use_rslora: [false],
  modules_to_save: [null],
  layers_to_transform: [null],
  layer_replication: [null],
  lora_bias: [false],
  use_qalora: [false],
  use_bdlora: [null, false],
  target_parameters: [null],
  trainable_token_indices: [null],
  alora_invocation_tokens: [null],
  arrow_config: [null],
  kasa_config: [null],
  monteclora_config: [null],
};

/**
 * Adapters as the two files that PEFT's `PeftModel.from_pretrained` reads.
 *
 * @param options where the base model is, for PEFT to find it; default ""
 * @example
 * ```ts
 * const weights = { "h.0.mlp.fc_in.lora_A.weight": ones([1, 2]), "h.0.mlp.fc_in.lora_B.weight": ones([3, 1]) };
 * const settings = { rank: 1, alpha: 2, dropout: 0, targets: ["h.0.mlp.fc_in"] };
 * const files = await loraToPeft({ settings, weights });
 * [...readSafetensors(files["adapter_model.safetensors"]).keys()][0]; // → "base_model.model.h.0.mlp.fc_in.lora_A.weight"
 * files["adapter_config.json"].lora_alpha; // → 2
 * ```
 */
export async function loraToPeft(
  { settings, weights }: Lora,
  { baseModel = "" }: { baseModel?: string } = {},
): Promise<PeftFiles> {
  const named = Object.entries(weights).map(([name, value]) => [`${prefix}${name}`, value] as const);
  const dtypes = { f64: "F64", f16: "F16" } as Readonly<Record<string, "F64" | "F16">>;
  const dtype = dtypes[Object.values(weights)[0].dtype] ?? "F32";
  return {
    "adapter_model.safetensors": await paramsToSafetensors(Object.fromEntries(named), { dtype }),
    "adapter_config.json": {
      peft_type: "LORA",
      task_type: "CAUSAL_LM",
      base_model_name_or_path: baseModel,
      r: settings.rank,
      lora_alpha: settings.alpha,
      lora_dropout: settings.dropout,
      // Full names: last names would also reach layers that have no adapter.
      target_modules: settings.targets,
      bias: "none",
      fan_in_fan_out: false,
      inference_mode: true,
      init_lora_weights: true,
      use_dora: false,
      use_rslora: false,
      modules_to_save: null,
      layers_to_transform: null,
      layers_pattern: null,
      rank_pattern: {},
      alpha_pattern: {},
    },
  };
}

/**
 * Reads adapters that PEFT or `loraToPeft` wrote, checked against the model they are for.
 *
 * @param options dtype (default f32) and device (default: the default device)
 * @throws ParameterError listing what the configuration asks for that is not built, and missing, unexpected and wrongly
 *   shaped weights; SafetensorsError if the file is malformed
 * @example
 * ```ts
 * const config = configFromJson({
 *   model_type: "gpt", activation_function: "gelu_tanh", vocab_size: 8, hidden_size: 4,
 *   num_hidden_layers: 1, num_attention_heads: 2, max_position_embeddings: 16,
 * });
 * const adapters = lora(config, initParams(config, key(0)), { rank: 2, targets: ["fc_in"], key: key(1) });
 * const files = await loraToPeft(adapters);
 * loraFromPeft(config, files).weights["h.0.mlp.fc_in.lora_B.weight"]; // → f32[16, 2]
 * loraFromPeft({ ...config, intermediateSize: 8 }, files); // → throws ParameterError
 * ```
 */
export function loraFromPeft(
  config: TransformerConfig,
  files: PeftFiles,
  { dtype = "f32", device = defaultDevice() }: { dtype?: DType; device?: Device } = {},
): Lora {
  const json = files["adapter_config.json"];
  if (!isObject(json))
    throw new ParameterError(
      "adapter_config.json must be a JSON object; parse the file with JSON.parse first.",
    );
  const { r, lora_alpha: alpha = 8, lora_dropout: dropout = 0 } = json;
  const problems: string[] = [];
  const expect = (holds: boolean, problem: string) => {
    if (!holds) problems.push(problem);
  };
  const shown = (value: unknown) => (JSON.stringify(value) ?? "nothing").slice(0, 200);
  expect(json.peft_type === "LORA", `peft_type: expected "LORA", received ${shown(json.peft_type)}`);
  expect(isSize(r), `r: expected a whole number ≥ 1, received ${shown(r)}`);
  const rank = isSize(r) ? r : 1; // so that the checks of shapes still make sense
  expect(Number.isFinite(alpha), `lora_alpha: expected a number, received ${shown(alpha)}`);
  const isRate = typeof dropout === "number" && dropout >= 0 && dropout < 1;
  expect(isRate, `lora_dropout: expected a number from 0 to below 1, received ${shown(dropout)}`);
  for (const [name, allowed] of Object.entries(plain))
    expect(
      json[name] === undefined || allowed.includes(json[name]),
      `${name}: expected ${shown(allowed[0])}, received ${shown(json[name])}`,
    );
  for (const name of ["rank_pattern", "alpha_pattern"])
    expect(Object.keys(json[name] ?? {}).length === 0, `${name}: expected {}, received ${shown(json[name])}`);

  const entries = readSafetensors(files["adapter_model.safetensors"]);
  const shapes = new Map(paramSpecs(config).map((spec) => [spec.name, spec.shape]));
  const known = new Set<string>();
  const weights: [string, string, readonly number[]][] = []; // stored name, name, shape
  const targets = linearNames(config).filter((name) => {
    const { a, b } = adapterNames(name);
    const stored = [a, b].map((part) => `${prefix}${part}`);
    if (!stored.some((part) => entries.has(part))) return false;
    const [out, input] = shapes.get(`${name}.weight`) ?? [];
    for (const [part, own, shape] of [
      [stored[0], a, [rank, input]],
      [stored[1], b, [out, rank]],
    ] as [string, string, number[]][]) {
      known.add(part);
      const entry = entries.get(part);
      expect(entry !== undefined, `missing "${part}" [${shape}]`);
      if (entry && entry.shape.join() !== shape.join())
        problems.push(`"${part}" has shape ${list(entry.shape)}, expected [${shape}]`);
      else if (entry && !/^(F32|F64|F16|BF16)$/.test(entry.dtype))
        problems.push(`"${part}" has dtype ${entry.dtype}, expected F32, F64, F16 or BF16`);
      weights.push([part, own, shape]);
    }
    return true;
  });
  for (const name of entries.keys()) if (!known.has(name)) problems.push(`unexpected ${quote(name)}`);
  if (targets.length === 0) problems.push("no adapter for any linear layer of this model");
  if (problems.length > 0)
    throw new ParameterError(
      `The adapter does not fit the model (was it trained on this configuration?):\n${lines(problems)}`,
    );
  const loaded: Params = {};
  for (const [part, name, shape] of weights) {
    const data = entries.get(part)?.data as Float32Array | Float64Array;
    loaded[name] = tensor(data, { shape, dtype, device });
  }
  const settings = { rank, alpha: alpha as number, dropout: dropout as number, targets };
  return { settings, weights: loaded };
}
