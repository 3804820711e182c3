/**
 * One episode of a task: `reset` once, then `step` with the assistant's texts until a typed stop reason. Tools
 * run in the order of the calls; unknown tools, bad arguments and malformed calls become observations.
 * Environments of one task start alike and fail alike, so the rollouts of a group are comparable.
 *
 * Departure from FTRL's harness: there a reply whose calls all fail to parse ends the episode as text; here it
 * gets error observations and the episode goes on (`malformed: "end"` gives FTRL's rule).
 */
import { EnvironmentError, OptionError } from "./errors.ts";
import { spacedJson } from "./json.ts";
import { type ParsedAssistant, parseAssistant } from "./parser.ts";
import { type SolveScore, solveScore } from "./scoring.ts";
import { createRunner, type Observation, type ToolRunner } from "./tools.ts";
import type { Message, Task, ToolDefinition } from "./types.ts";

/**
 * Why an episode ended. `answer`: an `<answer>` and no call; `no_call`: a reply with neither; `malformed`: only
 * with `malformed: "end"`; `turn_limit`: the last allowed turn made calls.
 */
export type StopReason = "answer" | "no_call" | "malformed" | "turn_limit";

/** What a step returns. */
export interface StepResult {
  /** One per call, broken calls included, in the order of the text. */
  observations: Observation[];
  /** What was parsed out of the assistant's text. */
  parsed: ParsedAssistant;
  done: boolean;
  /** Given exactly when `done`. */
  stopReason?: StopReason;
}

/** A single-use episode. */
export interface Environment {
  readonly task: Task;
  /** Observations are recorded outputs, not executions. */
  readonly replayed: boolean;
  reset(): { messages: Message[]; tools: ToolDefinition[] };
  step(assistantText: string): Promise<StepResult>;
  /** FTRL's Solve-P, Solve-R and Solve-F1 of the calls executed so far. */
  score(): SolveScore;
}

/** Options of an episode. */
export interface EnvironmentOptions {
  /** Assistant turns before the episode is cut (10, the interaction limit of arXiv 2606.16215). */
  maxTurns?: number;
  /** What a reply does whose calls are all malformed: get error observations (default) or end the episode. */
  malformed?: "observe" | "end";
}

/**
 * A fresh environment of a task.
 *
 * @throws OptionError for a turn limit that is not a positive integer
 * @throws EnvironmentError from `reset` and `step` when called out of order
 * @example
 * const environment = createEnvironment(task);
 * const { messages, tools } = environment.reset();
 * const { observations, done } = await environment.step(text);
 */
export function createEnvironment(task: Task, options: EnvironmentOptions = {}): Environment {
  const { maxTurns = 10, malformed = "observe" } = options;
  if (!Number.isInteger(maxTurns) || maxTurns < 1)
    throw new OptionError(`createEnvironment: maxTurns must be a positive integer, got ${maxTurns}`);
  let state: "new" | "running" | "done" = "new";
  let run: ToolRunner;
  let numTurns = 0;
  const executed: { name: string; output: string }[] = [];

  return {
    task,
    replayed: task.setup.kind === "ftrl",
    reset() {
      if (state !== "new")
        throw new EnvironmentError(
          `environment of ${task.id} was already reset: it is single-use, call createEnvironment(task) again`,
        );
      state = "running";
      run = createRunner(task);
      return { messages: structuredClone(task.messages), tools: structuredClone(task.tools) };
    },
    async step(assistantText) {
      if (state !== "running") {
        const hint =
          state === "new" ? "call reset() first" : "the episode has ended: call createEnvironment(task)";
        throw new EnvironmentError(`environment of ${task.id} can not step: ${hint}`);
      }
      numTurns++;
      const parsed = parseAssistant(assistantText);
      const observations: Observation[] = [];
      const allBroken = parsed.blocks.length > 0 && parsed.calls.length === 0;
      if (!(allBroken && malformed === "end"))
        for (const block of parsed.blocks) {
          if (block.call === undefined) observations.push(malformedObservation(block.error.message));
          else {
            const observation = run(block.call);
            executed.push({ name: observation.name, output: observation.content });
            observations.push(observation);
          }
        }
      const stopReason = stopReasonOf(parsed, allBroken && malformed === "end", numTurns >= maxTurns);
      if (stopReason !== undefined) state = "done";
      return { observations, parsed, done: stopReason !== undefined, stopReason };
    },
    score: () => solveScore(executed, task.unsolved),
  };
}

function stopReasonOf(
  parsed: ParsedAssistant,
  endsMalformed: boolean,
  isLast: boolean,
): StopReason | undefined {
  if (endsMalformed) return "malformed";
  if (parsed.blocks.length === 0) return parsed.answer === undefined ? "no_call" : "answer";
  return isLast ? "turn_limit" : undefined;
}

function malformedObservation(message: string): Observation {
  return { name: "", content: spacedJson({ error: message }), error: true, source: "simulated" };
}
