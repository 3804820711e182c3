/**
 * Scores of episodes: FTRL's Solve measures for every task, and the verdicts of the generated families. A verdict is a
 * function of the calls that were made and of the last reply, so it can be computed again from a record of the episode.
 */
import { canonicalJson } from "../json.ts";
import { match, type SolveScore, solveScore } from "../scoring.ts";
import { answersCorrectly } from "../toolhop/score.ts";
import type { Json, Message, StoreSetup, Task, ToolCall } from "../types.ts";
import { openStore } from "./store/store.ts";
import { wordsOf } from "./store/themes.ts";

/** What an episode did, as far as scoring needs it. */
export interface EpisodeRecord {
  /** Executed calls in order, with their observations. */
  readonly calls: readonly { readonly call: ToolCall; readonly output: string }[];
  /** The reply without a call that ended the episode: its answer, or its text where it had none. */
  readonly reply?: string;
  /** The observation right before that reply. */
  readonly before?: string;
}

/** Solve scores, with the verdicts that the task's family has. */
export interface EpisodeScore extends SolveScore {
  /** toolhop-like: the last reply, or the observation before it, holds the answer. */
  answerCorrect?: boolean;
  /** bfcl-like: the last state is the goal state. */
  stateEqual?: boolean;
  /** bfcl-like: every result that the request asks for was seen. */
  resultsSeen?: boolean;
}

/**
 * The score of an episode of any task of the `Task` type.
 *
 * @example
 * ```ts
 * const [task] = ftrlLike.generate({ seed: 1, split: "train", count: 1 });
 * scoreEpisode(task, { calls: [], reply: task.answer }).solveR; // → 0
 * ```
 */
export function scoreEpisode(task: Task, episode: EpisodeRecord): EpisodeScore {
  const { equivalents = {} } = task;
  const solve = solveScore(
    episode.calls.map(({ call: { function: called }, output }) => ({
      name: Object.hasOwn(equivalents, called.name) ? equivalents[called.name] : called.name,
      output,
    })),
    task.unsolved,
  );
  switch (task.setup.kind) {
    case "toolhop-like":
      return { ...solve, answerCorrect: isAnswerCorrect(task.answer, episode) };
    case "bfcl-like":
      return { ...solve, ...storeVerdict(task.setup, episode) };
    default:
      return solve;
  }
}

/**
 * Whether an episode counts as solved, and its measure in [0, 1]: Solve-F1 for FTRL and `ftrl-like`; 1 or 0 for the other
 * generated families.
 *
 * @example
 * ```ts
 * const [task] = ftrlLike.generate({ seed: 1, split: "train", count: 1 });
 * outcomeOf(scoreEpisode(task, { calls: [], reply: "" })).success; // → false
 * ```
 */
export function outcomeOf(score: EpisodeScore): { success: boolean; value: number } {
  const { answerCorrect, stateEqual, resultsSeen } = score;
  if (answerCorrect === undefined && stateEqual === undefined)
    return { success: score.solved === score.goldens, value: score.solveF1 };
  const success = answerCorrect ?? (stateEqual === true && resultsSeen === true);
  return { success, value: success ? 1 : 0 };
}

/** ToolHop's rule on the end of the conversation. */
function isAnswerCorrect(answer: string, { before, reply }: EpisodeRecord): boolean {
  const messages: Message[] = [];
  if (before !== undefined) messages.push({ role: "tool", content: before });
  if (reply !== undefined) messages.push({ role: "assistant", content: reply });
  return answersCorrectly(messages, answer);
}

/** BFCL's two checks: all calls are made again in a fresh store, whose state and results are compared with the goals. */
function storeVerdict(
  setup: StoreSetup,
  { calls }: EpisodeRecord,
): { stateEqual: boolean; resultsSeen: boolean } {
  const { noun } = wordsOf(setup);
  const store = openStore(setup);
  const read = new Set<Json>();
  for (const { call } of calls) {
    const { action, fields } = store.call(call);
    if (action === "read" && fields !== undefined) read.add(fields[noun]);
  }
  return {
    stateEqual: store.records.every(
      (record, i) => canonicalJson({ ...record }) === canonicalJson({ ...setup.goalState[i] }),
    ),
    resultsSeen: setup.goals.every((goal) => goal.kind !== "report" || read.has(goal.record)),
  };
}

/**
 * How many of the tasks' traces have an observation that contains the answer, as `match` sees it. Such a trace gives the
 * answer away when it stands in a context, although its final turn is left out.
 *
 * @returns counts, and their ratio (0 for no traces)
 * @example
 * ```ts
 * observedAnswers(ftrlLike.generate({ seed: 1, split: "train", count: 100 })).share; // → 1
 * ```
 */
export function observedAnswers(tasks: readonly Task[]): {
  traces: number;
  containing: number;
  share: number;
} {
  let traces = 0;
  let containing = 0;
  for (const { trace, answer } of tasks) {
    if (trace === undefined) continue;
    traces++;
    if (match(trace.turns.flatMap((turn) => turn.observations).join("\n"), answer)) containing++;
  }
  return { traces, containing, share: traces === 0 ? 0 : containing / traces };
}
