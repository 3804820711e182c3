/** What generation must do on any device: log-probs of the full forward under the options' distribution, no neighbours. */
import {
  DecodeSession,
  forwardHidden,
  type GenerateOptions,
  generate,
  logits,
  type Params,
  packSequences,
  type TransformerConfig,
} from "@pact/nn";
import { foldIn, key, logProbGather, sampleTokens, scope } from "@pact/tensor";
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

/** What is drawn, also where rows end, are the bits of one step after another, each read before the next begins. */
export async function equalsStepByStep(config: TransformerConfig, params: Params) {
  const many = [...prompts, ...prompts];
  const options = { maxTokens: 12, stopTokens: [2, 5, 7, 11, 13], temperature: 0.9 };
  const keys = many.map((_, row) => foldIn(key(6), row));
  const drawn = await generate({ config, params }, many, { ...options, keys });

  using session = new DecodeSession(config, params, {
    prompts: many,
    rows: many.map((_, prompt) => ({ prompt, capacity: options.maxTokens })),
  });
  const rows = many.map(() => ({
    ids: [] as number[],
    logProbs: [] as number[],
    modelLogProbs: [] as number[],
  }));
  let live = many.map((_, row) => row);
  for (let step = 0; step < options.maxTokens && live.length > 0; step++) {
    const words = Uint32Array.from(live.flatMap((row) => foldIn(keys[row], step)));
    const column = scope(() => {
      const entries = live.map((row) => ({ row, ids: rows[row].ids.slice(-1) }));
      const scores = step === 0 ? session.prefill() : session.append(entries);
      const { ids, logProbs } = sampleTokens(scores, words, { temperature: options.temperature });
      return [ids, logProbs, logProbGather(scores, ids)];
    });
    const [ids, logProbs, modelLogProbs] = await Promise.all(column.map((values) => values.data()));
    for (const values of column) values.dispose();
    for (const [i, row] of live.entries()) {
      rows[row].ids.push(Number(ids[i]));
      rows[row].logProbs.push(Number(logProbs[i]));
      rows[row].modelLogProbs.push(Number(modelLogProbs[i]));
    }
    live = live.filter((row) => !options.stopTokens.includes(rows[row].ids[step]));
  }
  expect(new Set(rows.map(({ ids }) => ids.length)).size).toBeGreaterThan(1);
  expect(drawn.map(({ ids, logProbs, modelLogProbs }) => ({ ids, logProbs, modelLogProbs }))).toEqual(rows);
}
