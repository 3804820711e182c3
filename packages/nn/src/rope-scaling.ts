/**
 * Frequencies of rotary positions, and how models with a stretched context scale them: `linear` (position
 * interpolation, arXiv 2306.15595) and `llama3` (the Llama 3.1 release; `_compute_llama3_parameters` in transformers'
 * modeling_rope_utils.py). Left out: dynamic, yarn, longrope; a config.json that asks for them is refused.
 */
import type { TransformerConfig } from "./config.ts";

/** How rotary frequencies are scaled; lengths in tokens. Formulas at `ropeFrequencies`. */
export type RopeScaling =
  | {
      readonly type: "linear";
      /** By how much every frequency is divided. */
      readonly factor: number;
    }
  | {
      readonly type: "llama3";
      /** By how much low frequencies are divided. */
      readonly factor: number;
      /** Waves longer than originalMaxPositions / lowFreqFactor are low frequencies. */
      readonly lowFreqFactor: number;
      /** Waves shorter than originalMaxPositions / highFreqFactor are not scaled. */
      readonly highFreqFactor: number;
      /** Context length before it was stretched. */
      readonly originalMaxPositions: number;
    };

/** Names of the known kinds of scaling, as in config.json. */
export const ropeTypes: readonly string[] = ["default", "linear", "llama3"];

/**
 * The angle per position of each pair of dimensions, in radians, for `rope`'s `frequencies`. With fᵢ = theta^(−2i/D):
 *
 *   none:    fᵢ
 *   linear:  fᵢ / factor
 *   llama3:  with s = (originalMaxPositions · fᵢ / 2π − low) / (high − low), cut to [0, 1]:  (1 − s) · fᵢ / factor + s · fᵢ
 *
 * @returns [D/2] in double precision
 * @example
 * ```ts
 * const config = configFromJson({
 *   model_type: "llama", vocab_size: 8, hidden_size: 4, intermediate_size: 8, num_hidden_layers: 1,
 *   num_attention_heads: 1, max_position_embeddings: 64, rope_scaling: { rope_type: "linear", factor: 4 },
 * });
 * ropeFrequencies(config); // → [0.25, 0.0025]
 * ```
 */
export function ropeFrequencies({
  headSize,
  ropeTheta,
  ropeScaling: scaling,
}: TransformerConfig): Float64Array {
  return Float64Array.from({ length: headSize / 2 }, (_, i) => {
    const frequency = ropeTheta ** ((-2 * i) / headSize);
    if (scaling === undefined) return frequency;
    if (scaling.type === "linear") return frequency / scaling.factor;
    const { factor, lowFreqFactor: low, highFreqFactor: high, originalMaxPositions } = scaling;
    const waves = (originalMaxPositions * frequency) / (2 * Math.PI); // that fit into the original context
    const kept = Math.min(1, Math.max(0, (waves - low) / (high - low)));
    return ((1 - kept) * frequency) / factor + kept * frequency;
  });
}

/** What is wrong with a scaling, one line each. */
export function ropeScalingProblems(scaling: RopeScaling): string[] {
  const known = ropeTypes.includes(scaling.type) && (scaling.type as string) !== "default";
  if (!known)
    return [
      `ropeScaling.type: expected "linear" or "llama3", received ${JSON.stringify(scaling.type)}; leave ropeScaling out for none`,
    ];
  const { type, ...numbers } = scaling;
  const names =
    type === "linear" ? ["factor"] : ["factor", "lowFreqFactor", "highFreqFactor", "originalMaxPositions"];
  const given = numbers as Record<string, unknown>;
  const problems = names
    .filter((name) => !(typeof given[name] === "number" && given[name] > 0 && Number.isFinite(given[name])))
    .map((name) => `ropeScaling.${name}: expected a number > 0, received ${given[name]}`);
  if (scaling.type === "llama3" && scaling.highFreqFactor <= scaling.lowFreqFactor)
    problems.push(
      `ropeScaling.highFreqFactor (${scaling.highFreqFactor}) must be above lowFreqFactor (${scaling.lowFreqFactor})`,
    );
  return problems;
}
