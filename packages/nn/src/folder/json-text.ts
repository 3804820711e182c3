/**
 * JSON files of a model folder as Python writes them: keys sorted, two spaces, a newline at the end, and numbers that are
 * floats there with a point, for transformers refuses or complains of some where they look like integers. Touches no files.
 */
import { isObject } from "../safetensors-json.ts";

/** Fields of config.json and generation_config.json that are floats in transformers, also where their value is whole. */
const floats = [
  ...["attention_dropout", "initializer_range", "rms_norm_eps", "layer_norm_eps", "rope_theta"],
  ...["factor", "low_freq_factor", "high_freq_factor"],
  ...["temperature", "top_p", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff"],
  ...["repetition_penalty", "length_penalty", "diversity_penalty"],
];
/** Python's integers have no largest: transformers marks a tokenizer without limit by 10³⁰. */
const longInteger = /^( *"model_max_length": )(\d[\d.]*e\+\d+)(,?)$/gm;
// With an indent every field has a line of its own, and no text has a line break in it.
const wholeFloat = new RegExp(`^( *"(?:${floats.join("|")})": -?\\d+)(,?)$`, "gm");

/** The text of a JSON object. */
export function jsonText(value: unknown): string {
  const sorted = (_: string, inner: unknown) =>
    isObject(inner) ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1))) : inner;
  const text = JSON.stringify(value, sorted, 2).replace(wholeFloat, "$1.0$2");
  return `${text.replace(longInteger, (_, name: string, number: string, end: string) => name + BigInt(Number(number)) + end)}\n`;
}
