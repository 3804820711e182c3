/**
 * The scripted teacher of `bfcl-like`: finds every record that the request names, then acts on all of them at once; opens
 * what turns out to be closed and acts again; repeats what timed out, with another tool where one does the same.
 */
import { EnvironmentError } from "../../errors.ts";
import { makeCall } from "../../reasoning.ts";
import { Random } from "../../rng.ts";
import type {
  ExpertTrace,
  JsonObject,
  StoreAction,
  StoreGoal,
  StoreRecord,
  StoreSetup,
  TraceTurn,
} from "../../types.ts";
import { stepChunks } from "../chunks.ts";
import { openStore, type StoreResult } from "./store.ts";
import { wordsOf } from "./themes.ts";

/** A call that the teacher wants to make, by whichever tool does it. */
interface Wish {
  action: StoreAction;
  args: JsonObject;
  /** What it is for, in the reasoning. */
  need: string;
}

/** Tries of one wish: each of up to two tools may time out once. */
const maxTries = 3;

/**
 * Expert trace of a store's goals. Its last state is `setup.goalState`; it has seen every amount that is asked for.
 *
 * @param id - of the task; the wording depends on it
 * @throws EnvironmentError for goals that the tools can not meet
 * @example
 * ```ts
 * const [task] = bfclLike.generate({ seed: 1, split: "train", count: 1 });
 * const { setup } = task;
 * if (setup.kind !== "bfcl-like") throw new Error("Its tasks are stores.");
 * storeTrace(task.id, setup).final.answer === task.answer; // → true
 * ```
 */
export function storeTrace(id: string, setup: StoreSetup): ExpertTrace {
  const random = new Random("teacher", id);
  const store = openStore(setup);
  const { noun, units, link } = wordsOf(setup);
  const turns: TraceTurn[] = [];

  // From the names in the question along the links to the records that the goals are about.
  const targets = setup.goals.flatMap(goalRecords);
  const found = solve(
    targets.map((target) => {
      const { name } = anchorOf(setup, target);
      return { action: "find", args: { name }, need: `the ${noun} "${name}"` };
    }),
    undefined,
  );
  let ids = found.map((result) => Number(result.fields?.[noun]));
  for (let hop = 1; hop < setup.hops; hop++) {
    const linked = solve(
      ids.map((from) => ({ action: "link", args: { [noun]: from }, need: `the ${link} of ${from}` })),
      ids.join(" and "),
    );
    ids = linked.map((result) => Number(result.fields?.[link]));
  }

  const wishes = setup.goals.map((goal) => wishOf(setup, goal));
  const results = solve(wishes, ids.join(" and "));
  const refused = wishes.filter((_, i) => results[i].error !== undefined);
  if (refused.length > 0) {
    const isRefused = (id: number) => refused.some(({ args }) => Object.values(args).includes(id));
    const closed = targets.filter((target) => !recordOf(setup, target).isOpen && isRefused(target));
    const reasons = [...new Set(results.flatMap(({ error }) => error ?? []))].join(" and ");
    const opened = closed.map((target) => ({
      action: "open" as const,
      args: { [noun]: target },
      need: `${noun} ${target}`,
    }));
    solve(opened, undefined, reasons);
    for (const { error } of solve(refused, undefined))
      if (error !== undefined)
        throw new EnvironmentError(`storeTrace: task ${id} can not be solved: ${error}`);
  }
  const values = results.flatMap(({ fields }, i) =>
    setup.goals[i].kind === "report" ? [Number(fields?.[units])] : [],
  );
  const text = values.length === 0 ? "Every part is carried out." : `Got ${values.join(" and ")}.`;
  return {
    turns,
    final: { chunks: [{ type: "final_answer_grounding", text }], answer: storeAnswer(values) },
  };

  /** Makes the calls in one turn and those that timed out again in further turns; results in order of the wishes. */
  function solve(wanted: readonly Wish[], seen: string | undefined, failure?: string): StoreResult[] {
    const results: StoreResult[] = [];
    let open = wanted.map((_, i) => i);
    for (let attempt = 0; open.length > 0; attempt++) {
      if (attempt === maxTries)
        throw new EnvironmentError(`storeTrace: task ${id} can not be solved by its tools`);
      const calls = open.map((i) => makeCall(toolFor(wanted[i].action, attempt), wanted[i].args));
      const chunks = stepChunks(random, {
        need: open.map((i) => wanted[i].need).join(" and "),
        calls,
        seen,
        unused: Object.keys(setup.actions).filter((tool) => setup.actions[tool] === "none"),
        failure: attempt === 0 ? failure : "timeout",
        isFirst: turns.length === 0,
      });
      const answers = calls.map((call) => store.call(call));
      turns.push({ chunks, calls, observations: answers.map(({ content }) => content) });
      open.forEach((i, n) => {
        results[i] = answers[n];
      });
      open = open.filter((i) => results[i].error === "timeout");
    }
    return results;
  }

  /** A tool for an action; attempts take turns among those that do the same. */
  function toolFor(action: StoreAction, attempt: number): string {
    const tools = Object.keys(setup.actions).filter((tool) => setup.actions[tool] === action);
    return tools[attempt % tools.length];
  }
}

/** The answer of a task from the amounts that it asks for. */
export function storeAnswer(amounts: readonly number[]): string {
  return amounts.length === 0 ? "done" : amounts.join(", ");
}

/** The ids of the records that a goal is about. */
export function goalRecords(goal: StoreGoal): number[] {
  return goal.kind === "move" ? [goal.from, goal.to] : [goal.record];
}

/** The record from which `hops − 1` links lead to the one of that id: the one whose name the question gives. */
export function anchorOf(setup: Pick<StoreSetup, "records" | "hops">, id: number): StoreRecord {
  let record = recordOf(setup, id);
  for (let hop = 1; hop < setup.hops; hop++) {
    const target = record.id;
    record = setup.records.find(({ link }) => link === target) ?? record;
  }
  return record;
}

function recordOf(setup: Pick<StoreSetup, "records">, id: number): StoreRecord {
  const record = setup.records.find((candidate) => candidate.id === id);
  if (record === undefined)
    throw new EnvironmentError(`a goal is about record ${id}, which the store does not have`);
  return record;
}

function wishOf(setup: StoreSetup, goal: StoreGoal): Wish {
  const { noun, units, keeper, closed } = wordsOf(setup);
  switch (goal.kind) {
    case "report":
      return { action: "read", args: { [noun]: goal.record }, need: `the ${units} of ${goal.record}` };
    case "close":
      return { action: "close", args: { [noun]: goal.record }, need: `${goal.record} ${closed}` };
    case "assign":
      return {
        action: "assign",
        args: { [noun]: goal.record, [keeper]: goal.keeper },
        need: `a new ${keeper} of ${goal.record}`,
      };
    case "move":
      return {
        action: "move",
        args: { from: goal.from, to: goal.to, [units]: goal.amount },
        need: `${units} from ${goal.from} to ${goal.to}`,
      };
  }
}
