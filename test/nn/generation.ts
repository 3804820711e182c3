/** What generation must do on any device: log-probs of the full forward under the options' distribution, no neighbours. */
import {
  forwardHidden,
  type GenerateOptions,
  generate,
  logits,
  type Params,
  packSequences,
  type TransformerConfig,
} from "@pact/nn";
import { foldIn, key } from "@pact/tensor";
import { expect } from "vitest";
import { truncatedLogProbs } from "../helpers/truncated.ts";

export const prompts = [[3, 1, 4, 1, 5], [9, 2], [6]];

export const distributions: readonly Partial<GenerateOptions>[] = [
  { temperature: 1 },
  { temperature: 0.7, topK: 5 },
  { temperature: 1.2, topP: 0.8 },
  { temperature: 1, minP: 0.1, logitBias: { 3: 2, 7: -Infinity } },
  { temperature: 1.5, topK: 12, topP: 0.9, minP: 0.02 },
  { temperature: 0 },
];

/** Logits after `sequence` from a forward of its own. */
async function nextLogits(config: TransformerConfig, params: Params, sequence: readonly number[]) {
  const all = logits(config, params, forwardHidden(config, params, packSequences([sequence])));
  const values = [...(await all.data())];
  all.dispose();
  return values.slice(-config.vocabSize);
}

/** Every token's two log-probs are those of the full forward over what comes before it. */
export async function equalsFullForward(
  config: TransformerConfig,
  params: Params,
  options: Partial<GenerateOptions>,
  tolerance: number,
) {
  const rows = await generate({ config, params }, prompts, {
    maxTokens: 6,
    samples: 2,
    key: key(5),
    ...options,
  });
  expect(rows.map(({ prompt }) => prompt)).toEqual([0, 0, 1, 1, 2, 2]);
  const { temperature = 1, topK, topP, minP, logitBias = {} } = options;
  for (const row of rows) {
    const sequence = [...prompts[row.prompt]];
    for (const [n, id] of row.ids.entries()) {
      const scores = await nextLogits(config, params, sequence);
      const biased = scores.map((score, j) => score + (logitBias[j] ?? 0));
      const greedy = { temperature: 1 };
      const drawn = truncatedLogProbs(biased, temperature === 0 ? greedy : { temperature, topK, topP, minP });
      expect(Math.abs(row.logProbs[n] - drawn[id])).toBeLessThan(tolerance);
      expect(Math.abs(row.modelLogProbs[n] - truncatedLogProbs(scores, greedy)[id])).toBeLessThan(tolerance);
      if (temperature === 0) expect(biased[id]).toBeCloseTo(Math.max(...biased), 4);
      sequence.push(id);
    }
  }
}

/** A row alone says what it says in company, if its key is the same. */
export async function dependsOnItsKeyAlone(config: TransformerConfig, params: Params, tolerance: number) {
  const model = { config, params };
  const options = { maxTokens: 8, topP: 0.9 };
  const company = await generate(model, prompts, { ...options, samples: 3, key: key(2) });
  const own = foldIn(foldIn(key(2), 1), 2);
  const [alone] = await generate(model, [prompts[1]], { ...options, keys: [own] });
  expect(alone.ids).toEqual(company[5].ids);
  alone.logProbs.forEach((p, n) => {
    expect(Math.abs(p - company[5].logProbs[n])).toBeLessThan(tolerance);
  });
  expect(company[3].ids).not.toEqual(company[4].ids);
}
