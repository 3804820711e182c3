import { describe, expect, it } from "vitest";
import { answerF1 } from "../../packages/pact/src/rewards.ts";
import type { Rollout, RolloutTurn } from "../../packages/pact/src/rollout.ts";
import { trainingRewards } from "../../packages/pact/src/training-rewards.ts";
import { scriptedRollouts } from "./batches.ts";
import { task } from "./tasks.ts";

const turn = (given: Partial<RolloutTurn>): RolloutTurn => ({
  start: 0,
  end: 1,
  text: "",
  calls: [],
  outputs: [],
  answer: null,
  malformedCalls: 0,
  failedCalls: 0,
  complete: true,
  ...given,
});
const call = (name: string, town: string) => ({ name, arguments: { town } });
const reward = (turns: RolloutTurn[], name: "outcome" | "ftrl" | "toolrl", given = task) =>
  trainingRewards({ turns } as unknown as Rollout, given, { reward: name, unmatchedCallPenalty: 0 });

describe("training rewards", () => {
  it("rollouts keep the output of every call, in order", async () => {
    const rollouts = await scriptedRollouts();
    expect(rollouts[0].turns.map(({ calls, outputs }) => [calls.length, outputs])).toEqual([
      [1, ["Mira"]],
      [0, []],
    ]);
    for (const { turns } of rollouts)
      for (const { calls, outputs } of turns) expect(outputs.length).toBe(calls.length);
  });

  it("outcome is the answer's F1 at the turn that answers, whatever was called", () => {
    const turns = [
      turn({ calls: [call("find_mayor", "Bavo")], outputs: ["Mira"] }),
      turn({ answer: "Mira Tal" }),
    ];
    expect(reward(turns, "outcome")).toEqual({ perTurn: [0, answerF1("Mira Tal", "Mira")], total: 2 / 3 });
    expect(reward([turn({})], "outcome").total).toBe(0);
  });

  it("ftrl rewards each turn by the goldens it newly solves: 2s/(c + 1)", () => {
    const once = { calls: [call("find_mayor", "Bavo")], outputs: ["Mira"], text: "<tool_call>" };
    expect(reward([turn(once)], "ftrl").perTurn).toEqual([1]);
    // The golden is solved once; a second time brings nothing.
    expect(reward([turn(once), turn(once)], "ftrl").perTurn).toEqual([1, 0]);
    const failed = { ...once, outputs: ["timeout"] };
    expect(reward([turn(failed), turn(once)], "ftrl").perTurn).toEqual([0, 1]);
    const two = { ...once, calls: [once.calls[0], once.calls[0]], outputs: ["timeout", "Mira"] };
    expect(reward([turn(two)], "ftrl").perTurn).toEqual([2 / 3]);
  });

  it("ftrl judges a text without calls by its place in the episode", () => {
    const once = turn({ calls: [call("find_mayor", "Bavo")], outputs: ["Mira"], text: "<tool_call>" });
    const said = (text: string) => turn({ text });
    expect(reward([said("It is Mira.")], "ftrl").total).toBe(1 / 2);
    expect(reward([once, said("It is Mira.")], "ftrl").perTurn[1]).toBe(1);
    expect(reward([once, said("done")], "ftrl").perTurn[1]).toBe(0.5);
    expect(reward([said("done")], "ftrl").total).toBe(0);
    expect(reward([said("")], "ftrl").total).toBe(-0.5);
    expect(reward([said("<tool_call>{")], "ftrl").total).toBe(-0.3);
  });

  it("ftrl scores an equivalent tool by the goldens of the listed one, and no prototype name", () => {
    const given = { ...task, equivalents: { mayor_of: "find_mayor" } };
    const other = turn({ calls: [call("mayor_of", "Bavo")], outputs: ["Mira"], text: "<tool_call>" });
    expect(reward([other], "ftrl", given).perTurn).toEqual([1]);
    expect(reward([other], "ftrl").perTurn).toEqual([0]);
    const odd = turn({
      calls: [call("__proto__", "x"), call("toString", "x")],
      outputs: ["", ""],
      text: "x",
    });
    expect(reward([odd], "ftrl").perTurn).toEqual([0]);
  });

  it("toolrl compares all calls at the last turn; 3 for the expert's own, 0 for none", () => {
    const expert = task.trace!.turns.map((own) =>
      turn({
        calls: own.calls.map(({ function: { name, arguments: args } }) => ({
          name,
          arguments: args,
        })) as never,
      }),
    );
    expect(reward([...expert, turn({ answer: "x" })], "toolrl")).toEqual({ perTurn: [0, 0, 3], total: 3 });
    expect(reward([turn({ answer: "Mira" })], "toolrl").total).toBe(0);
    expect(reward([turn({ calls: [call("other", "x")] })], "toolrl").total).toBe(-3);
    expect(() => reward([turn({})], "toolrl", { ...task, trace: undefined })).toThrow(/no expert trace/);
  });
});
