/**
 * rewards.json: call matching, turn rewards, answer F1, solve metrics, FTRL's and ToolRL's rewards, through the public API of @pact/pact and
 * @pact/tools-sim, in f64 on the host. Tolerance 1e-12, assignments exact.
 */
import {
  answerF1,
  type Call,
  extractAnswer,
  ftrlReward,
  greedyAssignment,
  optimalAssignment,
  type RewardTurn,
  similarityMatrix,
  toolRlCallReward,
  toolRlReward,
  turnRewards,
} from "@pact/pact";
import { parseAssistant, solveScore } from "@pact/tools-sim";
import { compare, type Outcome, readJson, relative, runCase, Unsupported } from "./format.ts";

type ReferenceCall = { readonly name: string; readonly parameters: Call["arguments"] };

/** Inputs of all kinds; each kind has some of them. */
type Inputs = {
  readonly predicted: Call[];
  readonly reference: ReferenceCall[];
  readonly similarity: number[][];
  readonly turns: RewardTurn[];
  readonly answer: string;
  readonly response: string;
  readonly feedback: string[];
  readonly unsolved: Record<string, string[]>;
  readonly solveRate: number;
  readonly groundTruth: string;
};

/** Expected outputs: numbers, lists of numbers, matrices, and assignments that may hold null. */
type Outputs = Readonly<Record<string, unknown>>;
type RewardCase = {
  readonly name: string;
  readonly kind: string;
  readonly inputs: Inputs;
  readonly outputs: Outputs;
};

/** Checks every case of rewards.json. */
export async function checkRewards(folder: string): Promise<Outcome[]> {
  const { cases } = await readJson<{ cases: RewardCase[] }>(folder, "rewards.json");
  const outcomes: Outcome[] = [];
  for (const { name, kind, inputs, outputs } of cases) {
    outcomes.push(
      await runCase(`rewards/${kind}/${name}`, () => {
        if (!Object.hasOwn(table, kind)) throw new Unsupported(`no kind "${kind}"`);
        return compareAll(table[kind](inputs), outputs);
      }),
    );
  }
  return outcomes;
}

const references = (calls: readonly ReferenceCall[]): Call[] =>
  calls.map(({ name, parameters }) => ({ name, arguments: parameters }));

/** Both assignments of a similarity matrix, under the file's names. */
function assignments(similarity: number[][]): Record<string, unknown> {
  const optimal = optimalAssignment(similarity);
  const greedy = greedyAssignment(similarity);
  return {
    optimalValue: optimal.value,
    optimalAssignment: optimal.columns,
    greedyAssignment: greedy.columns,
    greedyValue: greedy.value,
  };
}

const table: Record<string, (inputs: Inputs) => Record<string, unknown>> = {
  assignment: ({ similarity }) => assignments(similarity),

  matching({ predicted, reference }) {
    const similarity = similarityMatrix(predicted, references(reference));
    // One call a turn, so that the reward of a turn is the reward of its call.
    const turns = predicted.map((call) => ({ calls: [call], answer: null }));
    const rewards = (assignment: "optimal" | "greedy", unmatchedPenalty: number) =>
      turnRewards(turns, references(reference), "", { assignment, unmatchedPenalty }).perTurn;
    return {
      similarity,
      ...assignments(similarity),
      greedyRewards: rewards("greedy", 0),
      greedyRewardsPenaltyHalf: rewards("greedy", 0.5),
      optimalRewards: rewards("optimal", 0),
    };
  },

  turn_rewards({ turns, reference, answer }) {
    const calls = turns.flatMap((turn) => (turn.answer === null ? turn.calls : []));
    const greedy = turnRewards(turns, references(reference), answer, { assignment: "greedy" });
    const optimal = turnRewards(turns, references(reference), answer, { assignment: "optimal" });
    return {
      ...assignments(similarityMatrix(calls, references(reference))),
      turnRewards: greedy.perTurn,
      trajectoryReward: greedy.total,
      turnRewardsOptimal: optimal.perTurn,
    };
  },

  answer_f1({ response, answer }) {
    const given = extractAnswer(response);
    return { f1: given === null ? 0 : answerF1(given, answer) };
  },

  ftrl({ response, feedback, unsolved, solveRate, answer }) {
    const step = { response, calls: executed(response, feedback), unsolved, solveRate, answer };
    const variants = ["f1", "precisionRecall", "rate", "precision"] as const;
    return Object.fromEntries(variants.map((variant) => [variant, ftrlReward(step, variant)]));
  },

  solve_metrics({ response, feedback, unsolved }) {
    const { solveP, solveR, solveF1 } = solveScore(executed(response, feedback), unsolved);
    return { solveP, solveR, solveF1 };
  },

  toolrl: ({ response, groundTruth }) => ({ ...toolRlReward(response, groundTruth) }),

  toolrl_matchtir: ({ predicted, reference }) => ({
    score: toolRlCallReward(predicted, references(reference)),
  }),
};

/** The calls of a response with the outputs that the file gives them. */
function executed(response: string, feedback: readonly string[]): { name: string; output: string }[] {
  return parseAssistant(response).calls.map((call, i) => ({ name: call.function.name, output: feedback[i] }));
}

/** Compares what was computed with the outputs of the same name; a null output (not unique) is not compared. */
function compareAll(actual: Record<string, unknown>, expected: Outputs): string[] {
  const problems: string[] = [];
  for (const [name, value] of Object.entries(expected)) {
    if (value === null || name === "optimalUnique") continue;
    if (!Object.hasOwn(actual, name)) throw new Unsupported(`no output "${name}"`);
    const tolerance = name.endsWith("Assignment") ? () => 0 : relative(1e-12);
    problems.push(...compare(name, flatten(actual[name]), flatten(value), tolerance));
  }
  return problems;
}

/** Numbers of a scalar, list or matrix; an unmatched row (null) as −1. */
function flatten(value: unknown): number[] {
  if (Array.isArray(value)) return value.flatMap(flatten);
  return [value === null ? -1 : Number(value)];
}
