/** The exact functions of `toolhop-like` and how its tasks are scored. */
import {
  applyTransform,
  assistantText,
  createEnvironment,
  type EpisodeScore,
  scoreEpisode,
  type Task,
  type ToolCall,
  toolHopLike,
} from "@pact/tools-sim";
import { describe, expect, it } from "vitest";

describe("applyTransform", () => {
  it.each([
    ["reverseText", "Bavo", "ovab"],
    ["countLetters", "Kilota", 6],
    ["sumPlaces", "Bavo", 2 + 1 + 22 + 15],
    ["sumDigits", 1974, 21],
    ["doubleNumber", 51, 102],
    ["reverseDigits", 1974, "4791"],
    ["reverseDigits", 10, "01"],
    ["takeYear", "1974-03-02", 1974],
    ["nextDay", "1999-12-31", "2000-01-01"],
    ["nextDay", "1900-02-28", "1900-03-01"],
    ["nextDay", "2000-02-28", "2000-02-29"],
    ["sortLetters", "Bavo", "abov"],
    ["countVowels", "Kilota", 3],
    ["firstPlace", "Bavo", 2],
    ["largestDigit", 1974, 9],
    ["tripleNumber", 33, 99],
    ["sortDigits", 4791, "1479"],
    ["takeMonth", "1974-03-02", 3],
    ["weekLater", "1974-12-28", "1975-01-04"],
  ])("%s of %o is %o", (name, value, expected) => {
    expect(applyTransform(name, value)).toBe(expected);
  });

  it.each([
    ["reverseText", 7],
    ["reverseText", "two words"],
    ["reverseText", ""],
    ["reverseText", "a".repeat(101)],
    ["sumDigits", "1974"],
    ["sumDigits", -1],
    ["sumDigits", 1.5],
    ["sumDigits", Number.NaN],
    ["sumDigits", 1e10],
    ["takeYear", "1974-3-2"],
    ["takeYear", "1974-02-30"],
    ["takeYear", null],
    ["toString", "Bavo"],
  ])("%s does not take %o", (name, value) => {
    expect(applyTransform(name, value)).toBeUndefined();
  });
});

async function play(task: Task, turns: readonly { calls: ToolCall[] }[], reply: string) {
  const environment = createEnvironment(task, { maxTurns: 50 });
  environment.reset();
  for (const { calls } of turns) await environment.step(assistantText({ calls, chunks: [] }));
  await environment.step(reply);
  return { ...(environment.score() as EpisodeScore), ...environment.outcome() };
}

describe("toolhop-like", () => {
  const calm = { failureRate: 0 };

  it("chains lookups and ends in one or two transforms of the split", () => {
    for (const split of ["train", "heldout"] as const)
      for (const task of toolHopLike.generate({
        seed: 1,
        split,
        count: 100,
        dials: { ...calm, maxHops: 7 },
      })) {
        if (task.setup.kind !== "toolhop-like") continue;
        const numTransforms = task.setup.steps.filter((step) => /[A-Z]/.test(step)).length;
        expect([1, 2]).toContain(numTransforms);
        expect(task.setup.steps.slice(-numTransforms).every((step) => /[A-Z]/.test(step))).toBe(true);
        expect(Object.values(task.unsolved).flat()).toHaveLength(task.setup.steps.length);
        expect(["text", "number", "date"]).toContain(task.category);
      }
  });

  it("scores answers by the reply or the observation before it, beside Solve", async () => {
    const [task] = toolHopLike.generate({ seed: 2, split: "train", count: 1, dials: calm });
    const { turns } = task.trace!;
    const right = `<answer>${task.answer}</answer>`;
    expect(await play(task, turns, right)).toMatchObject({ success: true, value: 1, solveF1: 1 });
    expect(await play(task, turns, "no idea")).toMatchObject({ success: true, solveF1: 1 });
    expect(await play(task, turns, "")).toMatchObject({ success: false, value: 0, solveR: 1 });
    expect(await play(task, turns.slice(0, -1), "no idea")).toMatchObject({ success: false });
    expect(await play(task, turns.slice(0, -1), right)).toMatchObject({ success: true, answerCorrect: true });
    expect(await play(task, [], right)).toMatchObject({ success: true, solveR: 0 });
    // A call that can not be parsed stands between the right observation and the reply.
    const environment = createEnvironment(task, { maxTurns: 50 });
    environment.reset();
    for (const { calls } of turns) await environment.step(assistantText({ calls, chunks: [] }));
    await environment.step("<tool_call>{</tool_call>");
    await environment.step("no idea");
    expect(environment.outcome()).toEqual({ success: false, value: 0 });
  });

  it("is not solved before it was answered", () => {
    const [task] = toolHopLike.generate({ seed: 2, split: "train", count: 1, dials: calm });
    const calls = task.trace!.turns.map(({ calls: [call], observations: [output] }) => ({ call, output }));
    const before = calls[calls.length - 1].output;
    expect(scoreEpisode(task, { calls, before }).answerCorrect).toBe(false);
    expect(scoreEpisode(task, { calls, before, reply: "?" }).answerCorrect).toBe(true);
    expect(scoreEpisode(task, { calls, reply: "?" }).answerCorrect).toBe(false);
  });

  it("accepts the second tool of every hop", async () => {
    const dials = { ...calm, alternatives: 1 };
    for (const task of toolHopLike.generate({ seed: 3, split: "heldout", count: 40, dials })) {
      const second = new Map(Object.entries(task.equivalents!).map(([other, first]) => [first, other]));
      const turns = task.trace!.turns.map(({ calls }) => ({
        calls: calls.map(({ function: { name, arguments: args } }) => ({
          type: "function" as const,
          function: { name: second.get(name) as string, arguments: args },
        })),
      }));
      expect(await play(task, turns, task.answer)).toMatchObject({ success: true, solveF1: 1 });
    }
  });

  it("takes the other tool after a timeout where there is one", () => {
    const dials = { failureRate: 1, alternatives: 1 };
    for (const task of toolHopLike.generate({ seed: 4, split: "train", count: 20, dials })) {
      const { turns } = task.trace!;
      const names = turns.map(({ calls }) => calls[0].function.name);
      for (let t = 0; t < names.length; t += 3) {
        expect(task.equivalents![names[t + 1]]).toBe(names[t]);
        expect(names[t + 2]).toBe(names[t]);
        expect(turns[t + 2].observations[0]).not.toContain("timeout");
      }
    }
  });
});
