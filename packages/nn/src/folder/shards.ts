/**
 * Which file of a model folder holds which tensor: `model.safetensors`, or shards named by
 * `model.safetensors.index.json` = `{metadata: {total_size}, weight_map: {tensor: file}}`, as transformers reads and
 * writes them. Touches no files.
 */
import { inFileOrder, type TensorSpec } from "../safetensors-header.ts";
import { isObject, quote } from "../safetensors-json.ts";
import { jsonText } from "./json-text.ts";

/** The one file of a model that is not sharded. */
export const singleName = "model.safetensors";
/** The index of one that is. */
export const indexName = "model.safetensors.index.json";
/** Weights that this package or the official library may have left in a folder. */
export const weightsPattern = /^model(-\d{5,}-of-\d{5,})?\.safetensors(\.index\.json)?$/;

/** File of each tensor, from a parsed index; what is wrong with it is added to `problems`. */
export function readIndex(index: object, problems: string[]): Map<string, string> {
  const files = new Map<string, string>();
  const { weight_map: map } = index as { weight_map?: unknown };
  if (!isObject(map)) {
    problems.push(`${indexName}: expected an object weight_map from tensors to files`);
    return files;
  }
  for (const [tensor, file] of Object.entries(map)) {
    if (isFileName(file)) files.set(tensor, file);
    else
      problems.push(
        `${indexName}: ${quote(tensor)} is in ${typeof file === "string" ? quote(file) : typeof file}, expected the name of a .safetensors file in the folder`,
      );
  }
  if (files.size === 0 && problems.length === 0) problems.push(`${indexName}: weight_map names no tensors`);
  return files;
}

/** A plain name, as libraries write them: no separator of any system and no drive, so it can not leave the folder. */
function isFileName(file: unknown): file is string {
  return typeof file === "string" && /^[\w.+ -]+\.safetensors$/.test(file) && file.length <= 255;
}

/** Order of a layer's parts in transformers' modules; those of this package's `gpt` keep the order they have. */
const modules = ["q_proj", "k_proj", "v_proj", "o_proj", "q_norm", "k_norm", "mlp", "input_layernorm"];

/** Tensors in `paramSpecs` order in the order of transformers' modules, where a layer's norms are last: shards follow it. */
export function inModuleOrder<T extends { readonly name: string }>(tensors: readonly T[]): T[] {
  const groups = new Map<string, T[]>(); // layer, or the name of what is in none → its tensors
  for (const tensor of tensors) {
    const group = /^model\.layers\.\d+/.exec(tensor.name)?.[0] ?? tensor.name;
    groups.set(group, [...(groups.get(group) ?? []), tensor]);
  }
  const rank = ({ name }: T) => {
    const at = modules.findIndex((part) => name.includes(`.${part}.`));
    return at < 0 ? modules.length : at;
  };
  return [...groups.values()].flatMap((group) => group.sort((a, b) => rank(a) - rank(b)));
}

/** Tensors that one file will hold, in the order of its data. */
export type Shard<T> = { readonly name: string; readonly tensors: readonly T[] };

/**
 * Fills shards with tensors in the given order, as transformers does: a new one is begun where the next tensor would not
 * fit, and a tensor larger than `maxBytes` gets one of its own.
 */
export function splitShards<T extends TensorSpec & { readonly bytes: number }>(
  tensors: readonly T[],
  maxBytes: number,
): Shard<T>[] {
  const groups: T[][] = [[]];
  let filled = 0;
  for (const tensor of tensors) {
    if (filled > 0 && filled + tensor.bytes > maxBytes) {
      groups.push([]);
      filled = 0;
    }
    groups[groups.length - 1].push(tensor);
    filled += tensor.bytes;
  }
  const five = (n: number) => String(n).padStart(5, "0");
  return groups.map((group, i) => ({
    name: groups.length === 1 ? singleName : `model-${five(i + 1)}-of-${five(groups.length)}.safetensors`,
    tensors: inFileOrder(group),
  }));
}

/** The index of several shards, as the library writes it. */
export function indexText(shards: readonly Shard<TensorSpec & { readonly bytes: number }>[]): string {
  const tensors = shards.flatMap(({ name: file, tensors }) => tensors.map((tensor) => ({ ...tensor, file })));
  const size = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);
  return jsonText({
    metadata: {
      total_parameters: tensors.reduce((sum, { shape }) => sum + size(shape), 0),
      total_size: tensors.reduce((sum, { bytes }) => sum + bytes, 0),
    },
    weight_map: Object.fromEntries(tensors.map(({ name, file }) => [name, file])),
  });
}
