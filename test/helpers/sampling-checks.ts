/** What truncated sampling must do on any device: the support and the log-probs of the definition, its frequencies. */
import { type Device, foldIn, key, sampleTokens, tensor } from "@pact/tensor";
import { expect } from "vitest";
import { Draw } from "./draw.ts";
import { chiSquare } from "./statistics.ts";
import { type Truncated, truncatedLogProbs } from "./truncated.ts";

/** One key per row, from one seed. */
function rowKeys(seed: number, rows: number): Uint32Array {
  return Uint32Array.from(Array.from({ length: rows }, (_, r) => foldIn(key(seed), r)).flat());
}

/** `rows` draws from one row of logits: ids and log-probs. */
export async function draws(device: Device, logits: readonly number[], rows: number, options: Truncated) {
  const data = Float64Array.from({ length: rows * logits.length }, (_, i) => logits[i % logits.length]);
  const x = tensor(data, { shape: [rows, logits.length], dtype: "f32", device });
  const drawn = sampleTokens(x, rowKeys(3, rows), options);
  const result = { ids: [...(await drawn.ids.data())], logProbs: [...(await drawn.logProbs.data())] };
  for (const t of [x, drawn.ids, drawn.logProbs]) t.dispose();
  return result;
}

export const truncations: readonly Truncated[] = [
  { temperature: 1, topK: 3 },
  { temperature: 0.7, topK: 1 },
  { temperature: 1, topP: 0.8 },
  { temperature: 1.5, topP: 0.3 },
  { temperature: 1, topP: 1e-9 },
  { temperature: 0.5, minP: 0.05 },
  { temperature: 1, minP: 1 },
  { temperature: 1.3, topK: 6, topP: 0.75, minP: 0.02 },
  { temperature: 2, topK: 100, topP: 1, minP: 0 },
];

/** Ties on the boundaries of every truncation, and an id that is forbidden. */
export const tied = [2, 0.5, 2, -1, 1, 0.5, 1, -3, -Infinity, 1, 0];

/** Draws only what the definition keeps, all of it, as often as it says, with its log-probs. */
export async function followsDefinition(device: Device, options: Truncated, tolerance: number) {
  const rows = 4000;
  const { ids, logProbs } = await draws(device, tied, rows, options);
  const expected = truncatedLogProbs(tied, options);
  const counts = tied.map(() => 0);
  ids.forEach((id, r) => {
    counts[id]++;
    expect(Math.abs(logProbs[r] - expected[id])).toBeLessThan(tolerance);
  });
  const support = expected.flatMap((p, id) => (p > -Infinity ? [id] : []));
  const often = support.filter((id) => rows * Math.exp(expected[id]) >= 5);
  expect(ids.every((id) => support.includes(id))).toBe(true);
  const frequency = (list: readonly number[]) => often.map((id) => list[id]);
  const limits = [0, 10.9, 13.9, 16.3, 18.5, 20.6, 22.5, 24.4, 26.2, 27.9, 29.6]; // p = 0.001 by degrees of freedom
  const statistic = chiSquare(frequency(counts), frequency(expected.map((p) => rows * Math.exp(p))));
  expect(statistic).toBeLessThan(limits[often.length - 1] + 1e-9);
}

/** Long rows of distinct logits: every draw has the log-prob of the definition, so the support is its. */
export async function followsDefinitionOnLongRows(device: Device, size: number, tolerance: number) {
  const draw = new Draw(11);
  const values = [...new Float32Array(draw.floats(size, -6, 6))];
  for (const options of truncations) {
    const expected = truncatedLogProbs(values, options);
    const { ids, logProbs } = await draws(device, values, 40, options);
    ids.forEach((id, r) => {
      expect(Math.abs(logProbs[r] - expected[id])).toBeLessThan(tolerance);
    });
  }
}

/** NaN beside numbers is not drawn and shows in the log-prob; a row of −∞ gives id 0. */
export async function survivesBrokenRows(device: Device) {
  for (const options of [{ temperature: 1 }, { temperature: 0 }, { temperature: 1, topK: 2, topP: 0.9 }]) {
    const { ids, logProbs } = await draws(device, [Number.NaN, 1, Number.NaN, 2, 0], 50, options);
    expect(ids.every((id) => id !== 0 && id !== 2)).toBe(true);
    expect(logProbs.every(Number.isNaN)).toBe(true);
    const nothing = await draws(device, [-Infinity, -Infinity], 3, options);
    expect(nothing.ids).toEqual([0, 0, 0]);
  }
}

/** A bias counts as part of the logits, for all rows or each its own. */
export async function addsBias(device: Device) {
  const logits = tensor([0, 1, 2, 3, 2, 1], { shape: [2, 3], device });
  const take = async (bias: number[], shape: number[]) => {
    const options = { temperature: 1, topK: 1, bias: tensor(bias, { shape, device }) };
    const { ids, logProbs } = sampleTokens(logits, rowKeys(1, 2), options);
    return [...(await ids.data()), ...(await logProbs.data())];
  };
  expect(await take([5, 0, -Infinity], [3])).toEqual([0, 0, 0, 0]);
  expect(await take([-5, 0, -5, -5, -5, 0], [2, 3])).toEqual([1, 2, 0, 0]);
}
