/** Decoding on WebGPU: as the full forward there, without a new pipeline for a new length. */
import { DecodeSession, forwardHidden, logits, packSequences } from "@pact/nn";
import { logSoftmax } from "@pact/tensor";
import { describe, expect, it } from "vitest";
import { requireGpu } from "../helpers/require.ts";
import { models, randomParams } from "./models.ts";

const device = await requireGpu();

describe.skipIf(!device).each(models)("DecodeSession with $name on webgpu", ({ config }) => {
  const V = config.vocabSize;

  it("gives the log-probs of the full forward and builds pipelines only once", async () => {
    const params = randomParams(config, device!);
    const prompts = [
      [3, 1, 4, 1, 5],
      [9, 2],
    ];
    const rows = [0, 0, 1].map((prompt) => ({ prompt, capacity: 20 }));
    const sequences = rows.map(({ prompt }) => [...prompts[prompt]]);
    using session = new DecodeSession(config, params, { prompts, rows });
    const check = async (scores: ReturnType<typeof session.prefill>, of: number[]) => {
      const actual = await logSoftmax(scores).data();
      for (const [i, row] of of.entries()) {
        const full = logits(config, params, forwardHidden(config, params, packSequences([sequences[row]])));
        const expected = (await logSoftmax(full).data()).slice(-V);
        expected.forEach((value, v) => {
          expect(Math.abs(actual[i * V + v] - value)).toBeLessThan(2e-5);
        });
      }
    };
    await check(session.prefill(), [0, 1, 2]);

    const rounds = [
      [{ row: 1, ids: [6, 5, 3] }],
      [0, 1, 2].map((row) => ({ row, ids: [row + 8] })),
      [
        { row: 2, ids: [1, 2, 3, 4, 5, 6, 7] },
        { row: 0, ids: [11, 12] },
      ],
      [{ row: 2, ids: [20] }],
    ];
    let pipelines = 0;
    for (const [index, round] of rounds.entries()) {
      for (const { row, ids } of round) sequences[row].push(...ids);
      const scores = session.append(round);
      if (index === 0) pipelines = device!.stats().pipelines;
      else expect(device!.stats().pipelines).toBe(pipelines);
      await check(
        scores,
        round.map(({ row }) => row),
      );
      pipelines = device!.stats().pipelines; // the check's own, longer forwards may be the first of their kind
    }
  });
});
