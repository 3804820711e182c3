/**
 * `pact plan`: what a run of `pact train` would take of the device's memory, what would not fit, and what would take less.
 * Nothing is allocated and no weights are read. Left out: the host's memory, and the time that a run takes.
 */
import { type AdapterReport, acquireAdapter } from "@pact/tensor";
import { planTraining, type TrainingPlan, type TrainingPlanOptions } from "../plan.ts";
import { rememberingDialect } from "../plan-dialect.ts";
import { type PlanSuggestion, planSuggestions, possibleChanges } from "../plan-suggestions.ts";
import { inspectModelFolder } from "./base-policy.ts";
import { bytesText, parseBytes } from "./bytes.ts";
import { givenOptions, parseOptions, UsageError } from "./options.ts";
import { type PlanOptions, planOptions } from "./plan-options.ts";
import { optionsOf, planLines } from "./plan-table.ts";
import { createProgress } from "./progress.ts";
import { describeSettings } from "./settings.ts";
import { runTasks } from "./tasks.ts";
import { painter } from "./terminal.ts";
import { requestOf, type TrainRequest } from "./train-request.ts";

/** Whether a run fits into a memory: `tight` where its tensors do, but not with the buffers that the pool keeps. */
export type Fit = "yes" | "tight" | "no";

/** What one binding of the adapter takes; null without an adapter. */
export interface Bindings {
  readonly limitBytes: number | null;
  readonly fits: boolean | null;
}

/** What `pact plan` says. */
export interface PlanReport {
  readonly model: string;
  readonly settings: string;
  readonly adapter: { readonly name: string; readonly driver: string };
  readonly plan: TrainingPlan;
  /** Sampled tokens of every rollout. */
  readonly rolloutTokens: number;
  /** The same run with rollouts like the experts', and with all at their limit; null where it has no rollouts. */
  readonly expert: TrainingPlan | null;
  readonly longest: TrainingPlan | null;
  readonly bindings: Bindings;
  readonly memory: { readonly bytes: number; readonly fits: Fit } | null;
  /** Features that the settings need and this adapter lacks. */
  readonly missing: readonly string[];
  readonly suggestions: readonly PlanSuggestion[];
}

/**
 * Runs `pact plan`.
 *
 * @param args the arguments after `plan`
 * @returns 0, also where the run would not fit, because the question was answered
 * @throws UsageError for what can not be run; errors of the model folder and of task files
 * @example process.exitCode = await plan(["--tokens", "2048"]);
 */
export async function plan(args: readonly string[]): Promise<number> {
  const options = parseOptions("pact plan", planOptions, args);
  const memory = memoryOf(options.memory);
  const request = await requestLike(options, givenOptions(args));
  const progress = createProgress(process.stderr);
  try {
    const report = await planReport(request, options["rollout-tokens"], memory, (done, count) => {
      if (done === 0) progress.stage("plan", "run", count);
      progress.advance(done);
    });
    progress.close();
    if (options.json) process.stdout.write(`${JSON.stringify(jsonOf(report))}\n`);
    else process.stdout.write(`${planLines(report, painter(process.stdout)).join("\n")}\n`);
    return 0;
  } finally {
    progress.close();
  }
}

function memoryOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const bytes = parseBytes(text);
  if (bytes !== undefined && bytes < 2 ** 20)
    throw new UsageError(
      `pact plan: --memory ${text} is ${bytesText(bytes)}, less than any device has. Give a unit, e.g. --memory 24GiB.`,
    );
  if (bytes !== undefined) return bytes;
  throw new UsageError(
    `pact plan: --memory must be a number of bytes or a size like 24GiB, 16GB or 512MiB; received ${JSON.stringify(text.slice(0, 60))}.`,
  );
}

const passed = [
  "model",
  "method",
  "config",
  "env",
  "data",
  "traces",
  "seed",
  "steps",
  "eval-tasks",
  "eval-rollouts",
] as const;

/** The run that `pact train` would make of the same options. */
async function requestLike(options: PlanOptions, given: ReadonlySet<string>): Promise<TrainRequest> {
  const { tokens, set } = options;
  if (tokens !== undefined && options["no-pack"])
    throw new UsageError(
      "pact plan: --tokens says how much is packed into a pass, and --no-pack packs nothing. Leave one out.",
    );
  if (tokens !== undefined && set.some((pair) => pair.startsWith("tokenBudget=")))
    throw new UsageError(
      "pact plan: --tokens and --set tokenBudget give two values for one setting. Leave one out.",
    );
  const pairs = [...set, ...(tokens === undefined ? [] : [`tokenBudget=${tokens}`])];
  try {
    return await requestOf([
      ...passed.flatMap((name) => (given.has(name) ? [`--${name}=${options[name]}`] : [])),
      ...(options["no-pack"] ? ["--no-pack"] : []),
      ...pairs.map((pair) => `--set=${pair}`),
    ]);
  } catch (error) {
    if (error instanceof UsageError)
      throw new UsageError(error.message.replaceAll("pact train", "pact plan"), { cause: error.cause });
    throw error;
  }
}

/**
 * Plans a run, its longest rollouts, and what would take less.
 *
 * @param rolloutTokens sampled tokens of every rollout; default those of one turn at its limit
 * @param memory bytes of the device, if known
 * @param onPlan called as plans are done, with how many are and may become
 */
export async function planReport(
  { options, config }: TrainRequest,
  rolloutTokens: number | undefined,
  memory: number | undefined,
  onPlan: (done: number, count: number) => void = () => {},
): Promise<PlanReport> {
  if (rolloutTokens !== undefined && rolloutTokens > config.maxRolloutTokens)
    throw new UsageError(
      `pact plan: --rollout-tokens is ${rolloutTokens}, but rollouts end at maxRolloutTokens ${config.maxRolloutTokens}. ` +
        `Raise it: --set maxRolloutTokens=${rolloutTokens}.`,
    );
  const tokens = rolloutTokens ?? Math.min(config.maxTurnTokens, config.maxRolloutTokens);
  const { config: model, dialect } = await inspectModelFolder(options.model);
  const tasks = runTasks(options, config.seed);
  const { report: adapter } = await acquireAdapter();
  const asked: TrainingPlanOptions = {
    config,
    model,
    dialect: rememberingDialect(dialect),
    tasks: tasks.training,
    heldOut: tasks.heldOut,
    evaluationRollouts: options["eval-rollouts"],
    rolloutTokens: tokens,
  };
  const hasHalf = adapter.driver === "none" || adapter.features.includes("shader-f16");
  const changes = possibleChanges(asked, hasHalf);
  const total = changes.length + 4;
  let done = 0;
  onPlan(done, total);
  const count = (): void => onPlan(++done, total);
  const planned = await planTraining(asked);
  count();
  const hasRollouts = planned.phases.some(({ phase }) => phase === "rollouts");
  const other = async (length: number | "expert"): Promise<TrainingPlan | null> => {
    const found = hasRollouts ? await planTraining({ ...asked, rolloutTokens: length }) : null;
    count();
    return found;
  };
  const expert = await other("expert");
  const longest = await other(config.maxRolloutTokens);
  const suggestions = await planSuggestions(asked, planned, changes, count);
  return {
    model: options.model ?? "the shipped base",
    settings: `method ${config.method}; ${describeSettings(config)}`,
    adapter: { name: adapter.adapterName || "none; the cpu device", driver: adapter.driver },
    plan: planned,
    rolloutTokens: tokens,
    expert,
    longest,
    bindings: bindingsOf(adapter, planned),
    memory: memory === undefined ? null : { bytes: memory, fits: fitOf(planned, memory) },
    missing: config.precision === "f16" && !hasHalf ? ["shader-f16"] : [],
    suggestions,
  };
}

function bindingsOf({ driver, limits }: AdapterReport, { largestTensor }: TrainingPlan): Bindings {
  if (driver === "none") return { limitBytes: null, fits: null };
  const limitBytes = Math.min(limits.maxStorageBufferBindingSize, limits.maxBufferSize);
  return { limitBytes, fits: largestTensor.bytes <= limitBytes };
}

function fitOf({ peakBytes, pooledPeakBytes }: TrainingPlan, memory: number): Fit {
  if (peakBytes > memory) return "no";
  return pooledPeakBytes > memory ? "tight" : "yes";
}

/** The report as `--json` gives it: suggestions with their command-line options and peaks alone. */
function jsonOf({ plan: planned, expert, longest, suggestions, memory, ...report }: PlanReport): object {
  const peaksOf = (one: TrainingPlan | null) =>
    one && { peakBytes: one.peakBytes, pooledPeakBytes: one.pooledPeakBytes };
  return {
    ...report,
    ...planned,
    expert: peaksOf(expert),
    longest: peaksOf(longest),
    memory,
    suggestions: suggestions.map((suggestion) => ({
      options: optionsOf(suggestion),
      peakBytes: suggestion.plan.peakBytes,
      pooledPeakBytes: suggestion.plan.pooledPeakBytes,
      peakPhase: suggestion.plan.peakPhase,
      ...(memory ? { fits: fitOf(suggestion.plan, memory.bytes) } : {}),
    })),
  };
}
