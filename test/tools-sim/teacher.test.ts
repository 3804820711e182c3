import { chunkTypes, contextTurns, EnvironmentError, ftrlLike, match, teacherTrace } from "@pact/tools-sim";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { countTimeouts, replay } from "./helpers.ts";

const seeds = fc.nat(100_000);
const splits = fc.constantFrom("train" as const, "heldout" as const);

describe("teacherTrace", () => {
  it("solves every golden, and an environment gives the same observations", async () => {
    await fc.assert(
      fc.asyncProperty(seeds, splits, async (seed, split) => {
        for (const task of ftrlLike.generate({ seed, split, count: 4 })) {
          const trace = teacherTrace(task);
          expect(trace).toEqual(task.trace);
          const { observations, score, stopReason } = await replay(task, trace);
          expect(observations).toEqual(trace.turns.map((turn) => turn.observations));
          expect(stopReason).toBe("answer");
          expect(trace.final.answer).toBe(task.answer);
          const timeouts = countTimeouts(trace);
          expect(score.solveR).toBe(1);
          expect(score.calls).toBe(score.goldens + timeouts);
          expect(score.solveF1).toBeCloseTo((2 * score.goldens) / (2 * score.goldens + timeouts), 12);
        }
      }),
      { numRuns: 40 },
    );
  });

  it("reaches F1 = 1 on every task without failures", async () => {
    const tasks = ftrlLike.generate({ seed: 9, split: "heldout", count: 100, dials: { failureRate: 0 } });
    for (const task of tasks) expect((await replay(task, teacherTrace(task))).score.solveF1).toBe(1);
  });

  it("recovers from failures in a turn that says so, even when every first call fails", async () => {
    const tasks = ftrlLike.generate({ seed: 9, split: "train", count: 40, dials: { failureRate: 1 } });
    for (const task of tasks) {
      const trace = teacherTrace(task);
      const { score } = await replay(task, trace);
      expect(score.solveR).toBe(1);
      expect(score.solveP).toBe(0.5);
      for (let t = 1; t < trace.turns.length; t += 2)
        expect(trace.turns[t].chunks.map((chunk) => chunk.type)).toEqual([
          "failure_reflection",
          "fallback_plan",
        ]);
    }
  });

  it("labels its reasoning with known chunk types, joined by nothing but their own spaces", () => {
    const types = new Set<string>();
    for (const task of ftrlLike.generate({ seed: 1, split: "train", count: 400 })) {
      for (const turn of teacherTrace(task).turns) {
        expect(turn.calls).toHaveLength(turn.observations.length);
        expect(turn.chunks.length).toBeGreaterThanOrEqual(2);
        turn.chunks.forEach((chunk, i) => {
          types.add(chunk.type);
          expect(chunk.text).toMatch(i === 0 ? /^\S/ : /^ \S/);
        });
      }
    }
    expect(chunkTypes).toEqual(expect.arrayContaining([...types]));
    expect(types.size).toBe(8);
  });

  it("keeps the final turn out of the context, whose observations hold every answer", () => {
    const tasks = ftrlLike.generate({ seed: 1, split: "train", count: 400 });
    let containing = 0;
    for (const task of tasks) {
      const trace = teacherTrace(task);
      const context = contextTurns(trace);
      expect(context.flatMap((turn) => turn.chunks).some((c) => c.type === "final_answer_grounding")).toBe(
        false,
      );
      expect(context.every((turn) => turn.calls.length > 0)).toBe(true);
      const observed = context.flatMap((turn) => turn.observations).join("\n");
      if (match(observed, task.answer)) containing++;
    }
    console.log(`answers contained in the trace's observations: ${containing} of ${tasks.length}`);
    // Every value is looked up or added by a tool, so nothing but observations can be its source.
    expect(containing).toBe(tasks.length);
  });

  it("refuses recorded tasks", () => {
    const [task] = ftrlLike.generate({ seed: 1, split: "train", count: 1 });
    expect(() => teacherTrace({ ...task, setup: { kind: "ftrl", calls: [] } })).toThrow(EnvironmentError);
  });
});
