/** Drawing for rows that the host steers, on WebGPU: what is begun ahead changes nothing that is drawn. */
import { type DecodeEntry, DecodeSession, initParams, TokenDraws } from "@pact/nn";
import { foldIn, key, sampleTogether, sampleTokens, tensor } from "@pact/tensor";
import { describe, expect, it } from "vitest";
import { requireGpu } from "../helpers/require.ts";
import { qwen3 } from "./models.ts";

const device = (await requireGpu())!;
const prompts = [[1, 2, 3], [4]];
const rows = [0, 0, 1, 1].map((prompt) => ({ prompt, capacity: 30 }));

/** Keys of the token that each row has at `step`, or `later` steps on. */
function keysOf(of: readonly number[], step: number, later = 0): Uint32Array {
  return Uint32Array.from(of.flatMap((row) => foldIn(foldIn(key(5), row), step + later)));
}

type Step = { readonly row: number; readonly more?: readonly number[]; readonly instead?: number }[];
const together: Step = rows.map((_, row) => ({ row }));
const steps: readonly Step[] = [
  together,
  together,
  // An observation behind row 2's token, and other orders.
  [{ row: 3 }, { row: 2, more: [7, 8, 9] }, { row: 0 }, { row: 1 }],
  [{ row: 0 }, { row: 2 }, { row: 1 }, { row: 3 }],
  // Row 1 ends; row 0 is given another token than it drew.
  [{ row: 0, instead: 11 }, { row: 2 }, { row: 3 }],
  [{ row: 0 }, { row: 2 }, { row: 3, more: [1] }],
  // Row 1 was only paused: it goes on behind what it had.
  [{ row: 1 }, { row: 3 }],
  [{ row: 1 }, { row: 3 }],
  [{ row: 3 }],
];

async function drawn(ahead: boolean) {
  using session = new DecodeSession(qwen3, initParams(qwen3, key(3), { device }), { prompts, rows });
  const draws = new TokenDraws(session, { temperature: 1, modelLogProbs: true });
  const following = (of: readonly number[], step: number) => (ahead ? keysOf(of, step) : undefined);
  const all = rows.map((_, row) => row);
  const last = new Map<number, number>();
  const said: number[][] = [];
  let { ids, logProbs, modelLogProbs } = await draws.first(4, keysOf(all, 0), following(all, 1));
  let now: readonly number[] = all;
  for (const [n, step] of steps.entries()) {
    for (const [i, row] of now.entries()) last.set(row, ids[i]);
    said.push([...now, ...ids, ...logProbs, ...modelLogProbs]);
    const entries = step.map(({ row, more = [], instead }): DecodeEntry => {
      return { row, ids: [instead ?? Number(last.get(row)), ...more] };
    });
    now = step.map(({ row }) => row);
    // At one step the caller changes its mind about the keys.
    const keys = keysOf(now, n + 1, n === 3 ? 50 : 0);
    ({ ids, logProbs, modelLogProbs } = await draws.next(entries, keys, following(now, n + 2)));
  }
  const lengths = all.map((row) => session.length(row));
  await draws.dispose();
  return { said, lengths };
}

describe.skipIf(!device)("TokenDraws on webgpu", () => {
  it("draws the same, begun ahead or not, for rows that go on, are told something, end or pause", async () => {
    const [plain, ahead] = [await drawn(false), await drawn(true)];
    ahead.said.forEach((values, n) => {
      expect(values.length).toBe(plain.said[n].length);
      values.forEach((value, i) => {
        expect(Math.abs(value - plain.said[n][i])).toBeLessThan(5e-6);
      });
    });
    // Rows of the last step may have grown by what was begun and then taken back.
    expect(ahead.lengths.slice(0, 3)).toEqual(plain.lengths.slice(0, 3));
  });

  it("submits once a step and reads one tensor, and leaves nothing behind", async () => {
    const before = device.memory().liveTensors;
    const params = initParams(qwen3, key(3), { device });
    const session = new DecodeSession(qwen3, params, { prompts, rows });
    const draws = new TokenDraws(session, { temperature: 1 });
    const all = rows.map((_, row) => row);
    let { ids } = await draws.first(4, keysOf(all, 0), keysOf(all, 1));
    const { submits } = device.stats();
    for (let step = 1; step < 9; step++) {
      const entries = all.map((row) => ({ row, ids: [ids[row]] }));
      ({ ids } = await draws.next(entries, keysOf(all, step), keysOf(all, step + 1)));
    }
    expect(device.stats().submits - submits).toBe(8);
    await draws.dispose();
    session.dispose();
    for (const value of Object.values(params)) value.dispose();
    expect(device.memory().liveTensors).toBe(before);
  });

  it("leaves everything as it was where a call is refused, and goes on with the right one", async () => {
    using session = new DecodeSession(qwen3, initParams(qwen3, key(3), { device }), {
      prompts: [[1, 2, 3]],
      rows: [0, 0].map((prompt) => ({ prompt, capacity: 3 })),
    });
    const draws = new TokenDraws(session, { temperature: 1 });
    const { ids } = await draws.first(2, keysOf([0, 1], 0), keysOf([0, 1], 1));
    const next = (...entries: DecodeEntry[]) => draws.next(entries, keysOf([0, 1], 1));
    const own = { row: 0, ids: [ids[0]] };
    await expect(next(own, { row: 1, ids: [ids[1], 1, 2, 3] })).rejects.toThrow(/room for 3 .* received 4/);
    await expect(next(own, { row: 1, ids: [ids[1], 99] })).rejects.toThrow(/has id 99/);
    await expect(next(own, own)).rejects.toThrow(/row 0 is given twice/);
    const fresh = new TokenDraws(session, { temperature: 1 });
    const found = await next(own, { row: 1, ids: [ids[1], 1, 2] });
    expect([0, 1].map((row) => session.length(row))).toEqual([1, 3]);
    for (const row of [0, 1]) session.rewind(row, 0);
    const entries = [own, { row: 1, ids: [ids[1], 1, 2] }];
    const { ids: expected } = await fresh.next(entries, keysOf([0, 1], 1));
    expect(found.ids).toEqual(expected);
    await Promise.all([draws.dispose(), fresh.dispose()]);
  });

  it("has ids and log-probs in one tensor", async () => {
    const logits = tensor(
      [
        [1, 2, 3],
        [0, 5, 1],
      ],
      { device },
    );
    const keys = keysOf([0, 1], 0);
    const one = sampleTokens(logits, keys, { temperature: 0.8 });
    const { ids, both } = sampleTogether(logits, keys, { temperature: 0.8 });
    expect(both.shape).toEqual([2, 2]);
    expect(await ids.data()).toEqual(await one.ids.data());
    expect([...(await both.data())]).toEqual([...(await ids.data()), ...(await one.logProbs.data())]);
  });
});
