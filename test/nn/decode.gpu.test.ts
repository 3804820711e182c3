/** Decoding on WebGPU: as the full forward there, without a new pipeline for a new length. */
import { DecodeSession, forwardHidden, logits, packSequences } from "@pact/nn";
import { cast, logSoftmax } from "@pact/tensor";
import { describe, expect, it } from "vitest";
import { requireGpu } from "../helpers/require.ts";
import { models, randomParams } from "./models.ts";

const device = await requireGpu();
const half = device?.report.features.includes("shader-f16") ?? false;
if (device && !half) console.warn(`f16 part skipped: ${device.report.adapterName} lacks shader-f16`);

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

  it.skipIf(!half)("keeps its cache in f16 where the blocks are, and gives logits in f32", async () => {
    const params = randomParams(config, device!);
    const prompts = [[3, 1, 4, 1, 5, 9, 2]];
    const rows = [{ prompt: 0, capacity: 9 }];
    const halves = Object.fromEntries(Object.entries(params).map(([name, x]) => [name, cast(x, "f16")]));
    const outer = Object.keys(params).filter((name) => /emb|wte|lm_head/.test(name));
    const mixed = { ...halves, ...Object.fromEntries(outer.map((name) => [name, params[name]])) };
    const expected = await logSoftmax(
      logits(config, params, forwardHidden(config, params, packSequences([[...prompts[0], 8]]))),
    ).data();
    for (const own of [halves, mixed]) {
      const before = device!.memory().liveBytes;
      using session = new DecodeSession(config, own, { prompts, rows });
      const elements = 2 * config.numLayers * (7 + 9) * config.numKvHeads * config.headSize;
      expect(device!.memory().liveBytes - before).toBe(2 * elements);
      session.prefill().dispose();
      const scores = session.append([{ row: 0, ids: [8] }]);
      expect(scores.dtype).toBe("f32");
      // The f16 row of docs/numerics.md.
      (await logSoftmax(scores).data()).forEach((value, v) => {
        expect(Math.abs(value - expected[7 * V + v])).toBeLessThan(1e-2);
      });
    }
  });
});
