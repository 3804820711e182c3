/** The scripted teacher of `toolhop-like`: one call a turn along the chain, another way round where a tool timed out. */
import { EnvironmentError } from "../../errors.ts";
import { finalChunks, makeCall } from "../../reasoning.ts";
import { Random } from "../../rng.ts";
import type { ChainSetup, ExpertTrace, ToolCall, TraceTurn } from "../../types.ts";
import { relationOf } from "../../world.ts";
import { stepChunks } from "../chunks.ts";
import { argumentKey, chainRunner } from "./runner.ts";
import { transformOf } from "./transforms.ts";

/** Tries of one step: each of up to two tools may time out once. */
const maxTries = 3;

/**
 * Expert trace of a chain: a turn per hop and one more for every timeout. After a timeout it takes the other tool that does
 * the same, where one is listed, else the same tool again.
 *
 * @param id - of the task; the wording depends on it
 * @throws EnvironmentError for a chain that its tools can not follow
 * @example
 * ```ts
 * const [task] = toolHopLike.generate({ seed: 1, split: "train", count: 1 });
 * const { setup } = task;
 * if (setup.kind !== "toolhop-like") throw new Error("Its tasks are chains.");
 * chainTrace(task.id, setup).final.answer === task.answer; // → true
 * ```
 */
export function chainTrace(id: string, setup: ChainSetup): ExpertTrace {
  const random = new Random("teacher", id);
  const run = chainRunner(setup);
  const turns: TraceTurn[] = [];
  const unused = Object.keys(setup.functions).filter((tool) => !setup.steps.includes(setup.functions[tool]));
  let at: string | number = setup.entity;
  setup.steps.forEach((step, hop) => {
    let value: string | number | undefined;
    for (let attempt = 0; value === undefined; attempt++) {
      if (attempt === maxTries)
        throw new EnvironmentError(`chainTrace: task ${id} can not be solved by its tools`);
      const call = stepCall(setup, step, at, attempt);
      const result = run(call);
      const chunks = stepChunks(random, {
        need: needOf(step, at),
        calls: [call],
        seen: hop === 0 ? undefined : quoted(at),
        unused,
        failure: attempt === 0 ? undefined : "timeout",
        isFirst: hop === 0,
      });
      turns.push({ chunks, calls: [call], observations: [result.content] });
      value = result.value;
    }
    at = value;
  });
  return { turns, final: { chunks: finalChunks([at], "full"), answer: String(at) } };
}

/** The call of a step; attempts take turns among the tools that do it. */
function stepCall(setup: ChainSetup, step: string, at: string | number, attempt: number): ToolCall {
  const tools = Object.keys(setup.functions).filter((tool) => setup.functions[tool] === step);
  return makeCall(tools[attempt % tools.length], { [argumentKey(step) as string]: at });
}

function needOf(step: string, at: string | number): string {
  if (relationOf(step) !== undefined) return `the ${step} of ${quoted(at)}`;
  return transformOf(step)?.phrases[0].replace("P", () => quoted(at)) ?? step;
}

function quoted(value: string | number): string {
  return typeof value === "number" ? String(value) : `"${value}"`;
}
