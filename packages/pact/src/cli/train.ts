/**
 * `pact train`, the main job: base policy → evaluation → training → evaluation → checkpoint and report.
 *
 * However a run ends (done, Ctrl-C, an error), its folder holds what was done: metrics, checkpoint, summary, report.
 * A run that was stopped or killed goes on with `--resume` (resume.ts).
 */
import { existsSync, rmdirSync, rmSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import type { Params } from "@pact/nn";
import { init } from "@pact/tensor";
import type { TrainConfig } from "../config.ts";
import { contextTokens } from "../contexts.ts";
import { type EvaluateOptions, evaluate } from "../evaluate.ts";
import {
  forwardOf,
  keepsStart,
  type Model,
  requirePrecision,
  requireRank,
  samplingParams,
  weightsOfCheckpoint,
} from "../model.ts";
import { runReport } from "../report/report.ts";
import type { EvaluationResult, RunConfig } from "../run-sink.ts";
import { Trainer } from "../trainer.ts";
import { disposeParams } from "../update.ts";
import { type ModelFolder, readModelFolder } from "./base-policy.ts";
import { bytesText } from "./bytes.ts";
import { describeRun } from "./describe-run.ts";
import { writeWhole } from "./disk.ts";
import { explainFailure } from "./failures.ts";
import { FolderSink } from "./folder-sink.ts";
import { Interrupt, interruptedExitCode, turnEventLoop } from "./interrupt.ts";
import { goOnWithKernels, kernelsOf, notedKernels, useKernelTable } from "./kernel-table.ts";
import { createProgress, type Progress } from "./progress.ts";
import {
  deviceNotes,
  isFinished,
  prepareResume,
  type ResumePoint,
  readRunConfig,
  readSummary,
  requireSame,
  standing,
} from "./resume.ts";
import { claimRunFolder, defaultRunFolder } from "./run-folder.ts";
import { describeSettings } from "./settings.ts";
import { type RunResult, scoresOf, successTable, summaryTable } from "./summary.ts";
import { type RunTasks, runTasks } from "./tasks.ts";
import { painter } from "./terminal.ts";
import { loadParams, splitNote } from "./train-parts.ts";
import { requestOf, type TrainRequest } from "./train-request.ts";

/** What a run knows while it lasts; evaluations are added as they are measured. */
interface Run {
  readonly config: TrainConfig;
  readonly base: ModelFolder;
  readonly params: Params;
  readonly tasks: RunTasks;
  readonly sink: FolderSink;
  readonly progress: Progress;
  readonly stop: AbortSignal;
  readonly evaluation: RunConfig["evaluation"];
  /** Evaluations that are done, in order. */
  readonly evaluations: EvaluationResult[];
  /** Where a run that goes on stands. */
  resume?: ResumePoint;
  steps: number;
  /** Work done in training: tokens sampled + tokens trained on, so that one of a rollout counts in both. */
  tokens: number;
}

/**
 * Runs `pact train`.
 *
 * @param args the arguments after `train`
 * @returns 0, or 130 if Ctrl-C ended it
 * @throws UsageError for a wrong command line; typed errors of the packages for what fails
 * @example process.exitCode = await train(["--steps", "2", "--device", "cpu"]);
 */
export async function train(args: readonly string[]): Promise<number> {
  const { options, config } = await requestOf(args);
  const folder = options.resume
    ? resolve(options["run-dir"] ?? "")
    : claimRunFolder(options["run-dir"] ?? defaultRunFolder(config.method, config.seed));
  const stream = options.json ? process.stderr : process.stdout;
  const progress = createProgress(stream);
  try {
    const { result, stopped, evaluations, peakBytes } = await runIn(folder, { options, config }, progress);
    progress.close();
    const shown = relative(process.cwd(), folder).startsWith("..") ? folder : relative(process.cwd(), folder);
    const paint = painter(stream);
    const tables = [...summaryTable(result, paint), ...successTable(evaluations, paint)];
    const memory = `  memory    ${bytesText(peakBytes)} of tensors at the peak`;
    const lines = [...tables, memory, `  report    ${join(shown, "report.html")}`];
    if (stopped) lines.push(`  go on     pact train --resume --run-dir ${shown}`);
    stream.write(`\n${lines.join("\n")}\n`);
    if (options.json) process.stdout.write(`${JSON.stringify(result)}\n`);
    return stopped ? interruptedExitCode : 0;
  } finally {
    progress.close();
    removeIfEmpty(folder);
  }
}

/**
 * The whole run: sets it up, runs its stages, and whatever happens leaves summary and report behind.
 *
 * @param folder claimed for a new run, or that of a run to go on with (`options.resume`)
 * @example await runIn(claimRunFolder("runs/1"), await requestOf(["--steps", "2"]), createProgress(process.stderr));
 */
export async function runIn(
  folder: string,
  { options, config }: TrainRequest,
  progress: Progress,
): Promise<{
  result: RunResult;
  stopped: boolean;
  evaluations: readonly EvaluationResult[];
  peakBytes: number;
}> {
  const began = performance.now();
  const count = options["eval-tasks"];
  const tasks = runTasks(options, config.seed);
  const base = await readModelFolder(options.model);
  for (const note of base.notes) progress.line(note);
  // What its template can not hold is said before anything is evaluated.
  contextTokens(base.dialect, tasks.training[0], config);
  if (!options.resume) requireRank(base.config, config);
  progress.line(describeSettings(config));
  if (tasks.heldOut.length < count)
    progress.line(`evaluating on ${tasks.heldOut.length} tasks: the data has no more with an expert trace`);
  using interrupt = new Interrupt(() =>
    progress.line("stopping after this step and saving; press Ctrl-C again to stop at once"),
  );
  const device = await init({
    device: options.device,
    log: (line) => progress.line(line),
    onPipeline: (built, asked) => progress.compiled(built, asked),
  });
  using _device = { [Symbol.dispose]: () => device.destroy() };
  useKernelTable(device, (line) => progress.line(line));
  requirePrecision(config, device);
  const params = await loadParams(base, config, progress);
  const sink = new FolderSink(folder, { ...base.files, kernels: () => kernelsOf(device), base: base.digest });
  const run: Run = {
    config,
    base,
    params,
    tasks,
    sink,
    progress,
    stop: interrupt.signal,
    evaluation: { every: options["eval-every"], rollouts: options["eval-rollouts"] },
    evaluations: [],
    steps: 0,
    tokens: 0,
  };
  const result = (): RunResult => ({
    device: device.kind,
    driver: device.report.driver,
    seed: config.seed,
    steps: run.steps,
    seconds: Math.round(performance.now() - began) / 1000,
    tokens: run.evaluations.reduce((sum, { tokens }) => sum + tokens, run.tokens),
    before: scoresOf(evaluationAt(run, 0)),
    after: scoresOf(evaluationAt(run, config.steps)),
    runDir: folder,
  });
  const finish = async (outcome: "done" | "stopped" | "failed", error?: string): Promise<RunResult> => {
    const last = result();
    writeWhole(join(folder, "summary.json"), `${JSON.stringify({ outcome, error, ...last }, null, 2)}\n`);
    writeWhole(join(folder, "report.html"), await runReport(folder));
    return last;
  };
  /** Of a finished run: what its summary says stays, unless it was killed before it could write one. */
  const ended = async (): Promise<RunResult> => {
    const { outcome, seconds, tokens } = readSummary(folder);
    if (outcome !== "done") return finish("done");
    return {
      ...result(),
      ...(seconds !== undefined && { seconds }),
      ...(tokens !== undefined && { tokens }),
    };
  };
  try {
    const described = describeRun(run, options, device);
    if (options.resume) {
      const earlier = readRunConfig(folder);
      requireSame(folder, earlier, described);
      for (const line of deviceNotes(earlier, described)) progress.line(line);
      run.resume = prepareResume(folder, (line) => progress.line(line));
      progress.line(standing(folder, run.resume, config.steps));
      if (isFinished(run.resume, config.steps)) {
        run.evaluations.push(...run.resume.evaluations);
        run.steps = config.steps;
        const { evaluations } = run;
        return { result: await ended(), stopped: false, evaluations, peakBytes: device.memory().peakBytes };
      }
      const noted = run.resume.weights?.kernels ?? notedKernels(earlier.device?.kernels);
      goOnWithKernels(folder, device, noted, (line) => progress.line(line));
      // Of the invocation before: the run is going on again.
      rmSync(join(folder, "summary.json"), { force: true });
    } else await sink.config(described);
    await stages(run);
    const stopped = interrupt.signal.aborted;
    return {
      result: await finish(stopped ? "stopped" : "done"),
      stopped,
      evaluations: run.evaluations,
      peakBytes: device.memory().peakBytes,
    };
  } catch (error) {
    // What went wrong first is what counts, also if the folder can not be written any more.
    const failure = explainFailure(folder, error);
    const text = failure instanceof Error ? failure.message : String(failure);
    // A folder that was deleted is not made anew.
    if (existsSync(folder)) await finish("failed", text).catch(() => undefined);
    throw failure;
  }
}

/** Evaluation, training with evaluations, evaluation; what follows is skipped once the run is to stop. */
async function stages(run: Run): Promise<void> {
  const { config, base, params, tasks, sink } = run;
  const { state, weights, lines, evaluations = [] } = run.resume ?? {};
  run.evaluations.push(...evaluations);
  await evaluateOnce(run, "evaluate before", { config: base.config, params, forward: forwardOf(config) });
  if (run.stop.aborted) return;
  const resumed = weights && weightsOfCheckpoint(base.config, weights);
  const trainer = new Trainer({
    config,
    model: base.config,
    params,
    baseModel: resolve(base.folder),
    dialect: base.dialect,
    tasks: tasks.training,
    sink,
    resume: state && resumed && { state, params: resumed, lines },
    onTokens: (tokens) => run.progress.sampled(tokens),
  });
  for (const copied of Object.values(resumed ?? {})) copied.dispose();
  if (!keepsStart(config)) disposeParams(params);
  run.steps = trainer.result.stepsDone;
  run.tokens = trainer.result.sampledTokens + trainer.result.trainedTokens;
  try {
    await training(run, trainer);
    if (!run.stop.aborted) await evaluateOnce(run, "evaluate after", trainer.model);
  } finally {
    trainer.dispose();
  }
}

/** Runs the steps and the evaluations between them, shows them, and ends after the current one when the run is to stop. */
async function training(run: Run, trainer: Trainer): Promise<void> {
  const { config, progress, stop } = run;
  const begin = (): void => progress.stage(`train ${config.method}`, "step", config.steps, run.steps);
  const isDue = (): boolean =>
    run.evaluation.every > 0 && run.steps % run.evaluation.every === 0 && run.steps < config.steps;
  // A run can be killed between the checkpoint of a step and its evaluation.
  if (run.steps > 0 && isDue()) await evaluateOnce(run, `evaluate at step ${run.steps}`, trainer.model);
  if (stop.aborted || run.steps >= config.steps) return;
  begin();
  let last = performance.now();
  let saysSplits = true;
  for await (const event of trainer.steps()) {
    await turnEventLoop();
    const note: string | undefined =
      event.kind === "rollouts" && saysSplits ? splitNote(event.step, event.rollouts) : undefined;
    if (note !== undefined) progress.line(`${note}; "splits" in rollouts.jsonl has all of them`);
    saysSplits &&= note === undefined;
    if (event.kind === "step") {
      const { stepsDone, sampledTokens, trainedTokens } = trainer.result;
      const tokens = sampledTokens + trainedTokens;
      const now = performance.now();
      const value = (name: string): number | undefined => event.metrics.values[name] ?? undefined;
      progress.advance(stepsDone, {
        reward: value("reward/mean"),
        solveF1: value("solve/f1"),
        loss: value("loss/total"),
        tokensPerSecond: (1000 * (tokens - run.tokens)) / (now - last),
      });
      for (const warning of event.metrics.health ?? []) progress.line(`step ${stepsDone}: ${warning}`);
      run.steps = stepsDone;
      run.tokens = tokens;
      if (isDue() && !stop.aborted) {
        await evaluateOnce(run, `evaluate at step ${stepsDone}`, trainer.model);
        if (!stop.aborted) begin();
      }
      last = performance.now();
      if (stop.aborted) break;
    }
  }
}

function evaluationAt({ evaluations }: Pick<Run, "evaluations">, step: number): EvaluationResult | undefined {
  return evaluations.find((result) => result.step === step);
}

/** The evaluation of the current step with its progress, unless there is one already; Ctrl-C ends it without a result. */
async function evaluateOnce(run: Run, name: string, model: Model): Promise<void> {
  const { config, base, tasks, sink, progress, stop } = run;
  if (evaluationAt(run, run.steps) !== undefined) return;
  progress.stage(name, "episode", (run.evaluation.rollouts + 1) * tasks.heldOut.length);
  using sampling = samplingParams(model);
  const options: EvaluateOptions = {
    ...config,
    model: base.config,
    params: sampling.params,
    dialect: base.dialect,
    tasks: tasks.heldOut,
    rollouts: run.evaluation.rollouts,
    step: run.steps,
    sink,
    signal: stop,
    onTokens: (tokens) => progress.sampled(tokens),
    onProgress: (finished, _total, { solveF1, success }) => progress.advance(finished, { solveF1, success }),
  };
  try {
    run.evaluations.push(await evaluate(options));
  } catch (error) {
    if (stop.aborted && error === stop.reason) return;
    throw error;
  }
}

/** A run that failed before it wrote anything leaves no empty folder. */
function removeIfEmpty(folder: string): void {
  try {
    rmdirSync(folder);
  } catch {
    // It holds the run.
  }
}
