/** The store of `bfcl-like`: what calls do, what they refuse, and how its tasks are scored. */
import {
  assistantText,
  bfclLike,
  createEnvironment,
  type EpisodeScore,
  openStore,
  type StoreSetup,
  type Task,
  type ToolCall,
  type TraceTurn,
} from "@pact/tools-sim";
import { describe, expect, it } from "vitest";

const setup: StoreSetup = {
  kind: "bfcl-like",
  split: "train",
  theme: "account",
  actions: {
    findAccount: "find",
    traceBackup: "link",
    readAccount: "read",
    unlockAccount: "open",
    lockAccount: "close",
    sendCoins: "move",
    signOwner: "assign",
    findTank: "none",
  },
  records: [
    { id: 1001, name: "Bavo", keeper: "Rita", amount: 100, isOpen: true, link: 1002 },
    { id: 1002, name: "Node", keeper: "Fike", amount: 200, isOpen: false, link: 1003 },
    { id: 1003, name: "Vabi", keeper: "Roba", amount: 300, isOpen: true, link: 1001 },
  ],
  goals: [],
  goalState: [],
  hops: 1,
  failureRate: 0,
  failureSeed: 1,
  noise: 0,
};

function call(name: string, args: ToolCall["function"]["arguments"]): ToolCall {
  return { type: "function", function: { name, arguments: args } };
}

describe("openStore", () => {
  it.each([
    ["findAccount", { name: "Bavo" }, '{"account": 1001}', {}],
    ["traceBackup", { account: 1001 }, '{"backup": 1002}', {}],
    [
      "readAccount",
      { account: 1002 },
      '{"account": 1002, "coins": 200, "owner": "Fike", "state": "locked"}',
      {},
    ],
    ["unlockAccount", { account: 1002 }, '{"account": 1002, "state": "unlocked"}', { 1: { isOpen: true } }],
    ["lockAccount", { account: 1003 }, '{"account": 1003, "state": "locked"}', { 2: { isOpen: false } }],
    [
      "sendCoins",
      { from: 1001, to: 1003, coins: 100 },
      '{"from": 1001, "to": 1003, "coins": 100}',
      { 0: { amount: 0 }, 2: { amount: 400 } },
    ],
    [
      "signOwner",
      { account: 1001, owner: "Dike" },
      '{"account": 1001, "owner": "Dike"}',
      { 0: { keeper: "Dike" } },
    ],
  ] as const)("%s %o gives %s", (name, args, content, changes) => {
    const store = openStore(setup);
    expect(store.call(call(name, args)).content).toBe(content);
    const expected = setup.records.map((record, i) => ({
      ...record,
      ...(changes as Record<number, object>)[i],
    }));
    expect(store.records).toEqual(expected);
  });

  it.each([
    ["sendCoins", { from: 1002, to: 1001, coins: 1 }, "from is locked"],
    ["sendCoins", { from: 1001, to: 1002, coins: 1 }, "to is locked"],
    ["sendCoins", { from: 1001, to: 1003, coins: 101 }, "not enough coins"],
    ["sendCoins", { from: 1001, to: 1001, coins: 1 }, "bad arguments"],
    ["sendCoins", { from: 1001, to: 1003, coins: 0 }, "bad arguments"],
    ["sendCoins", { from: 1001, to: 1003, coins: 1.5 }, "bad arguments"],
    ["sendCoins", { from: 1001, to: 1003, coins: "1" }, "bad arguments"],
    ["sendCoins", { from: 1001, to: 1004, coins: 1 }, "not found"],
    ["sendCoins", { from: 1001, to: 1003 }, "bad arguments"],
    ["signOwner", { account: 1002, owner: "Dike" }, "account is locked"],
    ["signOwner", { account: 1001, owner: 7 }, "bad arguments"],
    ["unlockAccount", { account: 1001 }, "already unlocked"],
    ["lockAccount", { account: 1002 }, "already locked"],
    ["lockAccount", { account: "1001" }, "not found"],
    ["lockAccount", { account: 1001, force: true }, "bad arguments"],
    ["findAccount", { name: "Nobody" }, "not found"],
    ["findTank", { name: "Bavo" }, "not found"],
    ["closeAccount", { account: 1001 }, "unknown tool"],
  ])("refuses %s %o: %s, and changes nothing", (name, args, error) => {
    const store = openStore(setup);
    expect(store.call(call(name, args))).toMatchObject({ content: `{"error": "${error}"}`, error });
    expect(store.records).toEqual(setup.records);
  });

  it("changes nothing when a call times out, and carries it out the second time", () => {
    const store = openStore({ ...setup, failureRate: 1 });
    const lock = call("lockAccount", { account: 1001 });
    expect(store.call(lock).error).toBe("timeout");
    expect(store.records).toEqual(setup.records);
    expect(store.call(lock).error).toBeUndefined();
    expect(store.records[0].isOpen).toBe(false);
  });
});

/** Plays turns of calls and an answer. */
async function play(task: Task, turns: readonly Pick<TraceTurn, "calls">[], answer = task.answer) {
  const environment = createEnvironment(task, { maxTurns: 100 });
  environment.reset();
  for (const { calls } of turns) await environment.step(assistantText({ calls, chunks: [] }));
  await environment.step(`<answer>${answer}</answer>`);
  const { stateEqual, resultsSeen, solveF1 } = environment.score() as EpisodeScore;
  return { ...environment.outcome(), stateEqual, resultsSeen, solveF1 };
}

const solved = { success: true, value: 1, stateEqual: true, resultsSeen: true };
const calm = { failureRate: 0, goals: 3 };
const actionOf = (task: Task, { function: { name } }: ToolCall) =>
  task.setup.kind === "bfcl-like" ? task.setup.actions[name] : undefined;

describe("the score of bfcl-like", () => {
  it("accepts any order of the goals, one call a turn", async () => {
    const tasks = bfclLike.generate({
      seed: 1,
      split: "train",
      count: 40,
      dials: { ...calm, recoveries: 0 },
    });
    for (const task of tasks) {
      const calls = task.trace!.turns.flatMap((turn) => turn.calls);
      expect(
        await play(
          task,
          calls.reverse().map((one) => ({ calls: [one] })),
        ),
      ).toEqual({
        ...solved,
        solveF1: 1,
      });
    }
  });

  it("accepts that closed records are opened before anything is refused", async () => {
    const tasks = bfclLike.generate({
      seed: 2,
      split: "train",
      count: 60,
      dials: { ...calm, recoveries: 1 },
    });
    const recovering = tasks.filter(({ category }) => category === "recovery");
    expect(recovering.length).toBeGreaterThan(30);
    for (const task of recovering) {
      const { turns } = task.trace!;
      const calls = turns.flatMap((turn) => turn.calls);
      const opening = calls.filter((one) => actionOf(task, one) === "open");
      expect(opening.length).toBeGreaterThan(0);
      // The last turn repeats what was refused, the one before it opens.
      const rest = turns
        .slice(0, -2)
        .flatMap((turn, t) => turn.calls.filter((_, i) => !turns[t].observations[i].startsWith('{"error"')));
      const again = turns[turns.length - 1].calls;
      expect(await play(task, [{ calls: [...opening, ...rest, ...again] }])).toEqual({
        ...solved,
        solveF1: 1,
      });
    }
  });

  it("accepts the second tool of an action", async () => {
    const dials = { ...calm, alternatives: 1, recoveries: 0.5 };
    for (const task of bfclLike.generate({ seed: 3, split: "heldout", count: 40, dials })) {
      const second = new Map(Object.entries(task.equivalents!).map(([other, first]) => [first, other]));
      const turns = task.trace!.turns.map(({ calls }) => ({
        calls: calls.map((one) => call(second.get(one.function.name) as string, one.function.arguments)),
      }));
      expect(await play(task, turns)).toMatchObject(solved);
      expect((await play(task, turns)).solveF1).toBe((await play(task, task.trace!.turns)).solveF1);
    }
  });

  it("fails a task when any change is left out, and sees which result was not looked at", async () => {
    for (const task of bfclLike.generate({
      seed: 4,
      split: "train",
      count: 60,
      dials: { ...calm, recoveries: 0 },
    })) {
      const calls = task.trace!.turns.flatMap((turn) => turn.calls);
      for (const left of calls) {
        const action = actionOf(task, left);
        if (action === "find") continue;
        const result = await play(task, [{ calls: calls.filter((one) => one !== left) }]);
        expect(result).toMatchObject({
          success: false,
          value: 0,
          stateEqual: action === "read",
          resultsSeen: action !== "read",
        });
      }
    }
  });

  it("fails a task when something else is changed", async () => {
    const dials = { ...calm, recoveries: 0, distractors: 8 };
    let spoilt = 0;
    for (const task of bfclLike.generate({ seed: 5, split: "train", count: 40, dials })) {
      if (task.setup.kind !== "bfcl-like") continue;
      const { records, goalState, actions } = task.setup;
      const other = records.find(
        (record, i) => record.isOpen && JSON.stringify(record) === JSON.stringify(goalState[i]),
      );
      const close = Object.keys(actions).find((tool) => actions[tool] === "close");
      if (other === undefined || close === undefined) continue;
      spoilt++;
      const extra = { calls: [call(close, { [task.setup.theme]: other.id })] };
      expect(await play(task, [...task.trace!.turns, extra])).toMatchObject({
        success: false,
        stateEqual: false,
        resultsSeen: true,
      });
    }
    expect(spoilt).toBeGreaterThan(10);
  });

  it("has a recovery in the trace wherever a needed record is closed", () => {
    const tasks = bfclLike.generate({
      seed: 6,
      split: "train",
      count: 100,
      dials: { ...calm, recoveries: 1 },
    });
    for (const task of tasks) {
      const refused = task.trace!.turns.findIndex(({ observations }) =>
        observations.some((text) => text.includes("is locked")),
      );
      expect(refused >= 0).toBe(task.category === "recovery");
      if (refused < 0) continue;
      const next = task.trace!.turns[refused + 1];
      expect(next.chunks.map(({ type }) => type)).toEqual(["failure_reflection", "fallback_plan"]);
      expect(next.calls.every((one) => actionOf(task, one) === "open")).toBe(true);
    }
  });
});
