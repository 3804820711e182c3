/**
 * Noise in observations: fields and sentences that have nothing to do with the question, before and after the fields that
 * do. They hold no digit and no two syllables that could be a name, so that they match no golden by accident.
 */
import { spacedJson } from "../json.ts";
import { Random } from "../rng.ts";
import type { JsonObject } from "../types.ts";

/** The irrelevant fields; a tool's own keys are none of these. */
export const noiseFields: Readonly<JsonObject> = {
  source: "archive",
  quality: "high",
  comment: "Checked twice by the staff.",
  hint: "Ask again next week.",
  origin: "print",
  layout: "short",
};

/** Most irrelevant fields of an observation. */
export const maxNoise = 4;

/**
 * JSON text of an observation with irrelevant fields around the others: the same for the same labels.
 *
 * @param noise - how many, 0 to `maxNoise`
 * @example
 * ```ts
 * JSON.parse(noisyJson({ mayor: "Bavo" }, 2, "seed", "call")).mayor; // → "Bavo"
 * ```
 */
export function noisyJson(fields: JsonObject, noise: number, ...labels: (string | number)[]): string {
  if (noise === 0) return spacedJson(fields);
  const random = new Random("noise", ...labels);
  const chosen = random.shuffle(Object.entries(noiseFields)).slice(0, noise);
  // Half of them, at least one, stand before the value: reading the first field is not enough.
  const before = Math.ceil(noise / 2);
  return spacedJson({
    ...Object.fromEntries(chosen.slice(0, before)),
    ...fields,
    ...Object.fromEntries(chosen.slice(before)),
  });
}
