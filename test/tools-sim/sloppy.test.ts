import {
  defaultHabits,
  ftrlLike,
  meanSolveScore,
  OptionError,
  pretrainingDocument,
  Random,
  type SloppyHabits,
  sloppyEpisode,
  teacherTrace,
} from "@pact/tools-sim";
import { describe, expect, it } from "vitest";
import { replay } from "./helpers.ts";

const tasks = ftrlLike.generate({ seed: 6, split: "train", count: 1200 });
const noSlips: Partial<SloppyHabits> = {
  wrongTool: 0,
  wrongArgument: 0,
  stopsAtOnce: 0,
  leavesRest: 0,
  givesUp: 0,
};

async function meanF1(habits: Partial<SloppyHabits>): Promise<number> {
  const scores = [];
  for (const task of tasks)
    scores.push((await replay(task, sloppyEpisode(task, new Random("sloppy", task.id), habits))).score);
  return meanSolveScore(scores).solveF1;
}

describe("sloppyEpisode", () => {
  it("has a Solve-F1 near 0.3 with the default habits, better with full reasoning, and the teacher's without slips", async () => {
    const usual = await meanF1({});
    const reasoned = await meanF1({ fullReasoning: 1, shortReasoning: 0 });
    console.log(
      `sloppy policy: Solve-F1 ${usual.toFixed(3)}, always with full reasoning ${reasoned.toFixed(3)}`,
    );
    expect(usual).toBeGreaterThan(0.28);
    expect(usual).toBeLessThan(0.38);
    // Three standard errors of a difference of two means over 1,200 tasks.
    expect(reasoned).toBeGreaterThan(usual + 0.05);
    let teacher = 0;
    for (const task of tasks)
      teacher += (await replay(task, teacherTrace(task))).score.solveF1 / tasks.length;
    expect(await meanF1(noSlips)).toBeCloseTo(teacher, 10);
  });

  it("gets the same observations from an environment, and is reproducible", async () => {
    for (const task of tasks.slice(0, 100)) {
      const episode = sloppyEpisode(task, new Random("again", task.id));
      expect(sloppyEpisode(task, new Random("again", task.id))).toEqual(episode);
      const { observations, stopReason } = await replay(task, episode);
      expect(observations).toEqual(episode.turns.map((turn) => turn.observations));
      expect(stopReason).toBe("answer");
    }
  });

  it("calls only listed tools, and reasons as often as its habits say", () => {
    let turns = 0;
    let silent = 0;
    for (const task of tasks) {
      const names = task.tools.map((tool) => tool.function.name);
      for (const turn of sloppyEpisode(task, new Random("shares", task.id)).turns) {
        turns++;
        if (turn.chunks.length === 0) silent++;
        for (const call of turn.calls) expect(names).toContain(call.function.name);
      }
    }
    expect(silent / turns).toBeCloseTo(1 - defaultHabits.fullReasoning - defaultHabits.shortReasoning, 1);
  });

  it("refuses rates outside [0, 1] and unknown habits", () => {
    const random = new Random(1);
    expect(() => sloppyEpisode(tasks[0], random, { wrongTool: -0.1 })).toThrow(OptionError);
    expect(() => sloppyEpisode(tasks[0], random, { laziness: 0.1 } as Partial<SloppyHabits>)).toThrow(
      /laziness/,
    );
    expect(() => sloppyEpisode(tasks[0], random, { fullReasoning: 0.8, shortReasoning: 0.8 })).toThrow(
      /exceed 1/,
    );
  });
});

describe("pretrainingDocument", () => {
  it("mixes expert contexts and clean episodes at the given shares", () => {
    const documents = tasks.map((task) =>
      pretrainingDocument(task, new Random("documents", task.id), {
        contextShare: 0.4,
        cleanShare: 0.6,
        habits: { stopsAtOnce: 1 },
      }),
    );
    const withContext = documents.filter((document) => document.context !== undefined);
    for (const { task, context } of withContext) expect(context).toEqual(task.trace?.turns);
    const clean = documents.filter(({ task, episode }) => episode.final.answer === task.answer);
    expect(withContext.length / tasks.length).toBeCloseTo(0.4, 1);
    expect(clean.length / tasks.length).toBeCloseTo(0.6, 1);
  });
});
