import {
  CapacityError,
  type DecodeEntry,
  DecodeSession,
  forwardHidden,
  InputError,
  logits,
  packSequences,
} from "@pact/nn";
import { createDevice } from "@pact/tensor";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { models as configurations, randomParams } from "./models.ts";

const device = await createDevice({ device: "cpu" });
const models = configurations.map((model) => ({ ...model, params: randomParams(model.config, device) }));

const ids = (maxLength: number) => fc.array(fc.nat(22), { minLength: 1, maxLength });

/** Prompts, the prompt of each row, and rounds of appends to some of the rows. */
const scenario = fc.record({
  prompts: fc.array(ids(5), { minLength: 1, maxLength: 3 }),
  promptOfRow: fc.array(fc.nat(2), { minLength: 1, maxLength: 4 }),
  rounds: fc.array(
    fc.uniqueArray(fc.record({ row: fc.nat(3), ids: ids(4) }), { selector: (e) => e.row, minLength: 1 }),
    {
      maxLength: 4,
    },
  ),
});

describe.each(models)("DecodeSession with $name", ({ config, params }) => {
  const V = config.vocabSize;
  const lastLogits = async (sequence: number[]) => {
    const all = await logits(config, params, forwardHidden(config, params, packSequences([sequence]))).data();
    return Array.from(all).slice(-V);
  };

  it("gives the logits of the full forward at every step, whatever the neighbours", async () => {
    await fc.assert(
      fc.asyncProperty(scenario, async ({ prompts, promptOfRow, rounds }) => {
        const rows = promptOfRow.map((p) => ({ prompt: p % prompts.length, capacity: 16 }));
        using session = new DecodeSession(config, params, { prompts, rows });
        const sequences = rows.map(({ prompt }) => [...prompts[prompt]]);
        await compare(await session.prefill().data(), sequences);
        for (const round of rounds) {
          const entries: DecodeEntry[] = round.filter(({ row }) => row < rows.length);
          if (entries.length === 0) continue;
          for (const entry of entries) sequences[entry.row].push(...Array.from(entry.ids));
          const scores = await session.append(entries).data();
          await compare(
            scores,
            entries.map(({ row }) => sequences[row]),
          );
        }
        sequences.forEach((sequence, row) => {
          expect(session.length(row)).toBe(sequence.length - prompts[rows[row].prompt].length);
          expect(session.remaining(row)).toBe(16 - session.length(row));
        });
      }),
      { numRuns: 25 },
    );
  });

  async function compare(actual: ArrayLike<number>, sequences: number[][]): Promise<void> {
    expect(actual.length).toBe(sequences.length * V);
    for (const [i, sequence] of sequences.entries()) {
      const expected = await lastLogits(sequence);
      expected.forEach((value, v) => {
        expect(Math.abs(actual[i * V + v] - value)).toBeLessThan(1e-12 * Math.max(1, Math.abs(value)));
      });
    }
  }

  it("gives back its memory", () => {
    const before = device.memory().liveTensors;
    const session = new DecodeSession(config, params, {
      prompts: [[1, 2]],
      rows: [{ prompt: 0, capacity: 3 }],
    });
    session.prefill().dispose();
    session.append([{ row: 0, ids: [5] }]).dispose();
    session.dispose();
    expect(device.memory().liveTensors).toBe(before);
  });
});

describe("DecodeSession", () => {
  const { config, params } = models[1];
  const open = () =>
    new DecodeSession(config, params, {
      prompts: [[1, 2], [3]],
      rows: [0, 1].map((prompt) => ({ prompt, capacity: 3 })),
    });

  it("gives the same bits however the tokens are cut into passes", async () => {
    const prompts = [5, 1, 7].map((length, p) => Array.from({ length }, (_, i) => (i * i + p) % 23));
    const rows = prompts.map((_, prompt) => ({ prompt, capacity: 9 }));
    const scores = async (tokensPerPass: number) => {
      using session = new DecodeSession(config, params, { prompts, rows, tokensPerPass });
      const first = await session.prefill().data();
      return [...first, ...(await session.append([2, 0].map((row) => ({ row, ids: [4, 5, 6, 7] }))).data())];
    };
    const whole = await scores(100);
    for (const tokensPerPass of [1, 2, 5, 8]) expect(await scores(tokensPerPass)).toEqual(whole);
  });

  it("refuses tokens it has no room for, and then is as before", async () => {
    using session = open();
    session.prefill();
    session.append([{ row: 0, ids: [1, 2] }]);
    const tooMany = () =>
      session.append([
        { row: 1, ids: [4] },
        { row: 0, ids: [5, 6] },
      ]);
    expect(tooMany).toThrow(CapacityError);
    expect(tooMany).toThrowErrorMatchingInlineSnapshot(
      `[CapacityError: DecodeSession.append: row 0 has room for 1 more tokens, received 2. Stop the row or reserve a larger capacity.]`,
    );
    expect([session.length(0), session.length(1)]).toEqual([2, 0]);
    using fresh = open();
    fresh.prefill();
    fresh.append([{ row: 0, ids: [1, 2] }]);
    expect(await session.append([{ row: 0, ids: [5] }]).data()).toEqual(
      await fresh.append([{ row: 0, ids: [5] }]).data(),
    );
  });

  it("refuses what makes no sense, by name", () => {
    const make = (prompts: number[][], rows: { prompt: number; capacity: number }[]) => () =>
      new DecodeSession(config, params, { prompts, rows });
    expect(make([[]], [])).toThrow(/prompt 0 is empty/);
    expect(make([[1]], [{ prompt: 1, capacity: 1 }])).toThrow(/row 0 continues prompt 1 of 1/);
    expect(make([[1]], [{ prompt: 0, capacity: 64 }])).toThrow(/asks for 64 tokens.*64 positions leave 63/);
    expect(make([[1]], [{ prompt: 0, capacity: 1.5 }])).toThrow(CapacityError);
    using session = open();
    expect(() => session.append([{ row: 0, ids: [1] }])).toThrow(/call prefill\(\) first/);
    session.prefill();
    expect(() => session.prefill()).toThrow(InputError);
    expect(() => session.append([{ row: 2, ids: [1] }])).toThrow(/row 2 does not exist \(there are 2\)/);
    expect(() => session.append([{ row: 0, ids: [] }])).toThrow(/row 0 has no tokens/);
    const twice = [
      { row: 0, ids: [1] },
      { row: 0, ids: [2] },
    ];
    expect(() => session.append(twice)).toThrow(/row 0 is given twice/);
  });
});
