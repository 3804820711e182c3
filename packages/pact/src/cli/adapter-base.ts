/**
 * Whether adapters belong to the model they are put beside: by the checksum of its weights where a run noted it, else by the
 * name that PEFT keeps. That their layers have its shapes, `loraFromPeft` checks.
 */
import { existsSync, realpathSync } from "node:fs";
import { basename, resolve, sep } from "node:path";
import { AdapterFolderError, adapterBase } from "./adapter-folder.ts";
import { digestOf } from "./base-policy.ts";

/**
 * Refuses adapters that were trained beside other weights.
 *
 * @param config their `adapter_config.json`
 * @param model a model folder whose files are whole
 * @param note receives a line where nothing tells whether they belong together
 * @throws AdapterFolderError with both checksums, and the model that the adapters name
 * @example await requireBase("runs/lora/checkpoints/step-000030", adapterConfig, "models/qwen3", console.error);
 */
export async function requireBase(
  adapter: string,
  config: Readonly<Record<string, unknown>>,
  model: string,
  note: (line: string) => void,
): Promise<void> {
  const named = nameIn(config);
  const expected = adapterBase(adapter);
  if (expected !== undefined) {
    const found = await digestOf(model);
    if (found === expected) return;
    throw new AdapterFolderError(
      `the adapters in ${adapter} belong to another model than ${model}: the weights they were trained beside have the SHA-256 ` +
        `${short(expected)}, these ${short(found)}. Give their model with --model <path>${
          named === undefined ? "" : `; adapter_config.json names ${JSON.stringify(named)}`
        }.`,
    );
  }
  if (named === undefined)
    note(`the adapters in ${adapter} name no model: their shapes fit ${model}, more is not known`);
  else if (!isNamed(named, model))
    note(
      `the adapters in ${adapter} name the model ${JSON.stringify(named)}, this is ${model}: their shapes fit, more is not known`,
    );
}

/** The model that an `adapter_config.json` names: a folder, or an id on the Hugging Face hub. */
export function nameIn(config: Readonly<Record<string, unknown>>): string | undefined {
  const { base_model_name_or_path: named } = config;
  return typeof named === "string" && named !== "" ? named.slice(0, 1000) : undefined;
}

/** Whether a folder is, or is called, what adapters name: `Qwen/Qwen3-0.6B` is `models/Qwen3-0.6B`, and so is its cache. */
function isNamed(named: string, model: string): boolean {
  const folder = realpathSync(model);
  if (existsSync(named)) return realpathSync(named) === folder;
  const isSame = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase();
  const cached = `models--${named.replaceAll("/", "--")}`;
  return (
    isSame(basename(named), basename(resolve(model))) ||
    folder.split(sep).some((part) => isSame(part, cached))
  );
}

function short(digest: string): string {
  return `${digest.slice(0, 12)}…`;
}
