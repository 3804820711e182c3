/**
 * `pact eval`: plays the tasks of an environment with a model behind an OpenAI-compatible server and scores it.
 *
 * However it ends (done, Ctrl-C, a kill, a server that is gone), finished episodes are on the disk, and the same command
 * goes on from there. The server's key is taken out of the environment, so that no child process inherits it, and is given
 * to the client alone.
 */
import { createHash } from "node:crypto";
import { join, relative, resolve } from "node:path";
import {
  type ChatClient,
  chatPolicy,
  createChatClient,
  EndpointError,
  type EpisodeResult,
  openSuite,
  type Policy,
  runEpisodes,
  type Suite,
} from "@pact/tools-sim";
import { type EpisodeRecord, EvalFolder, type EvalSettings, episodeKey } from "./eval-folder.ts";
import { defaultKeyVariable, type EvalOptions, evalOptions } from "./eval-options.ts";
import { type EvalSummary, failureLines, summaryOf } from "./eval-summary.ts";
import { scoreTable } from "./eval-table.ts";
import { Interrupt, interruptedExitCode } from "./interrupt.ts";
import { parseOptions, UsageError } from "./options.ts";
import { createProgress, type Progress } from "./progress.ts";
import { defaultRunFolder } from "./run-folder.ts";
import { painter } from "./terminal.ts";

/** Skipped lines that are printed; summary.json has all. */
const shownLines = 20;

/**
 * Runs `pact eval`.
 *
 * @param args the arguments after `eval`
 * @returns 0 if every episode finished, 1 if some failed, 130 if Ctrl-C ended it
 * @throws UsageError for a wrong command line; typed errors for data, folder, or a server that refuses everything
 * @example process.exitCode = await evaluateModel(["--endpoint", "http://127.0.0.1:8000/v1", "--model", "small"]);
 */
export async function evaluateModel(args: readonly string[]): Promise<number> {
  const options = parseOptions("pact eval", evalOptions, args);
  const client = clientOf(options);
  if (options.resume && options.out === undefined)
    throw new UsageError("pact eval: --resume needs --out <path>, the folder to go on with.");
  const suite = openSuite(options.env, {
    data: options.data,
    seed: options.seed,
    count: options.tasks,
    category: options.category,
    maxTurns: options["max-turns"],
    skipInvalid: options["skip-invalid"],
  });
  const out = options.out ?? defaultRunFolder(`eval-${options.env}`, options.seed);
  using folder = EvalFolder.open(out, settingsOf(options, client, suite), options.resume);
  const stream = options.json ? process.stderr : process.stdout;
  const progress = createProgress(stream);
  try {
    const summary = await play(options, client, suite, folder, progress);
    progress.close();
    const shown = relative(process.cwd(), folder.path);
    const place = shown.startsWith("..") ? folder.path : shown;
    const lines = [...scoreTable(summary, painter(stream)), "", `  summary  ${join(place, "summary.json")}`];
    stream.write(`\n${[...lines, ...failureLines(summary)].join("\n")}\n`);
    if (options.json) process.stdout.write(`${JSON.stringify(summary)}\n`);
    if (summary.outcome === "stopped") return interruptedExitCode;
    return summary.episodes.failed > 0 ? 1 : 0;
  } finally {
    progress.close();
  }
}

function clientOf(options: EvalOptions): ChatClient {
  const { endpoint, model } = options;
  if (endpoint === undefined)
    throw new UsageError("pact eval: --endpoint <url> is missing, for example http://127.0.0.1:8000/v1.");
  if (model === undefined)
    throw new UsageError("pact eval: --model <name> is missing, the model to ask for.");
  return createChatClient({
    baseUrl: endpoint,
    model,
    apiKey: takeKey(options["api-key-env"]),
    insecure: options.insecure,
    stream: !options["no-stream"],
    timeoutMs: 1000 * options.timeout,
    retries: options.retries,
  });
}

/** The key, which is then no longer in the environment of this process and its children. */
function takeKey(variable: string | undefined): string | undefined {
  const name = variable ?? defaultKeyVariable;
  const key = process.env[name];
  if (variable !== undefined && (key === undefined || key === ""))
    throw new UsageError(
      `pact eval: the environment variable ${JSON.stringify(name.slice(0, 60))} of --api-key-env is not set.`,
    );
  delete process.env[name];
  return key;
}

function settingsOf(options: EvalOptions, client: ChatClient, { tasks }: Suite): EvalSettings {
  const ids = createHash("sha256");
  for (const { taskId } of tasks) ids.update(`${taskId}\n`);
  return {
    version: 1,
    env: options.env,
    data: options.data === undefined ? null : resolve(options.data),
    tasks: tasks.length,
    taskIds: ids.digest("hex").slice(0, 16),
    category: options.category ?? null,
    attempts: options.attempts,
    endpoint: client.url,
    model: client.model,
    temperature: options.temperature,
    maxTurns: options["max-turns"] ?? null,
    maxTokens: options["max-tokens"] ?? null,
    seed: options.seed,
  };
}

/** Plays what is missing, and whatever happens leaves a summary behind. */
async function play(
  options: EvalOptions,
  client: ChatClient,
  suite: Suite,
  folder: EvalFolder,
  progress: Progress,
): Promise<EvalSummary> {
  const began = performance.now();
  const summarise = (outcome: EvalSummary["outcome"], error?: string): EvalSummary => {
    const summary = {
      outcome,
      ...(error === undefined ? {} : { error }),
      ...summaryOf(options, suite, folder),
      seconds: Math.round(performance.now() - began) / 1000,
    };
    folder.writeSummary(summary);
    return summary;
  };
  announce(options, client, suite, progress);
  using interrupt = new Interrupt(() =>
    progress.line(
      "stopping; finished episodes are kept, the same command goes on; Ctrl-C again stops at once",
    ),
  );
  try {
    await playMissing(options, client, suite, folder, progress, interrupt.signal);
    return summarise("done");
  } catch (error) {
    if (interrupt.signal.aborted) return summarise("stopped");
    summarise("failed", error instanceof Error ? error.message : String(error));
    throw error;
  }
}

function announce(options: EvalOptions, client: ChatClient, suite: Suite, progress: Progress): void {
  progress.line(`${suite.tasks.length} tasks of ${suite.id}, ${client.model} at ${client.url}`);
  if (options.attempts > 1 && options.temperature === 0)
    progress.line("note: attempts at temperature 0 are mostly alike; pass@k wants --temperature above 0");
  const count = suite.skipped.length;
  if (count > 0) progress.line(`left out ${count} malformed ${count === 1 ? "line" : "lines"} of the data:`);
  for (const line of suite.skipped.slice(0, shownLines)) progress.line(`  ${line}`);
  if (suite.skipped.length > shownLines) progress.line("  … all of them are in summary.json");
}

async function playMissing(
  options: EvalOptions,
  client: ChatClient,
  suite: Suite,
  folder: EvalFolder,
  progress: Progress,
  stop: AbortSignal,
): Promise<void> {
  const isFinished = (taskId: string, attempt: number): boolean => {
    const record = folder.records.get(episodeKey(taskId, attempt));
    return record !== undefined && record.error === undefined;
  };
  const total = suite.tasks.length * options.attempts;
  let kept = 0;
  for (const { taskId } of suite.tasks)
    for (let attempt = 0; attempt < options.attempts; attempt++) if (isFinished(taskId, attempt)) kept++;
  if (kept > 0) progress.line(`going on: ${kept} of ${total} episodes are finished`);
  if (kept === total) return;

  const categories = new Map(suite.tasks.map(({ taskId, category }) => [taskId, category]));
  const refused = new AbortController();
  const { policy, tokensOf, tokens } = countingPolicy(client, options, refused);
  let [done, successes, failed] = [0, 0, 0];
  progress.stage("evaluate", "episode", total - kept);
  const numbers = () => ({
    ...(done > failed ? { success: successes / (done - failed) } : {}),
    failed,
    tokens: tokens(),
  });
  const ticker = setInterval(() => progress.advance(done, numbers()), 500).unref();
  try {
    for await (const result of runEpisodes(suite.tasks, policy, {
      attempts: options.attempts,
      concurrency: options.concurrency,
      order: "finished",
      skip: isFinished,
      signal: AbortSignal.any([stop, refused.signal]),
    })) {
      const { taskId, attempt, error, outcome } = result;
      folder.append({
        taskId,
        attempt,
        category: categories.get(taskId) ?? "",
        ...outcome,
        ...measuresOf(result),
        stopReason: result.stopReason,
        turns: result.turns,
        ...tokensOf(taskId, attempt),
        ...(error === undefined ? {} : { error }),
        score: result.score,
        messages: result.messages,
      });
      done++;
      if (error !== undefined) failed++;
      else if (outcome.success) successes++;
      progress.advance(done, numbers());
    }
  } finally {
    clearInterval(ticker);
  }
}

/**
 * The model as a policy that counts tokens. A server that refuses even the first request for good (wrong key, model or
 * URL) ends the evaluation, and so does one that is gone: no episode could go better.
 */
function countingPolicy(client: ChatClient, options: EvalOptions, refused: AbortController) {
  const used = new Map<string, { promptTokens: number; completionTokens: number }>();
  const none = { promptTokens: 0, completionTokens: 0 };
  let all = 0;
  let isAnswered = false;
  /** Episodes in a row that failed for want of a connection, after all retries. */
  let unreached = 0;
  const ask = chatPolicy(client, {
    temperature: options.temperature,
    maxTokens: options["max-tokens"],
    seed: options.seed,
    onCompletion({ taskId, attempt }, { usage = none }) {
      isAnswered = true;
      unreached = 0;
      const key = episodeKey(taskId, attempt);
      const before = used.get(key) ?? none;
      used.set(key, {
        promptTokens: before.promptTokens + usage.promptTokens,
        completionTokens: before.completionTokens + usage.completionTokens,
      });
      all += usage.promptTokens + usage.completionTokens;
    },
  });
  const policy: Policy = async (context) => {
    try {
      return await ask(context);
    } catch (error) {
      if (error instanceof EndpointError) {
        if (error.kind === "network") unreached++;
        if ((!isAnswered && error.isLasting) || unreached > 2 * options.concurrency) refused.abort(error);
      }
      throw error;
    }
  };
  /** Tokens of an episode that has ended; asked once. */
  const tokensOf = (taskId: string, attempt: number) => {
    const key = episodeKey(taskId, attempt);
    const tokens = used.get(key) ?? none;
    used.delete(key);
    return tokens;
  };
  return { policy, tokensOf, tokens: () => all };
}

/** What a family's score has beside success and value: Solve measures, further verdicts, counts of calls. */
function measuresOf({ score }: EpisodeResult): Pick<EpisodeRecord, "solve" | "verdicts" | "calls"> {
  if (typeof score !== "object" || score === null) return {};
  const { solveP, solveR, solveF1, calls: made, callErrors: failed } = score as Record<string, unknown>;
  const solved = typeof solveP === "number" && typeof solveR === "number" && typeof solveF1 === "number";
  const verdicts = Object.entries(score).filter(
    (entry): entry is [string, boolean] => typeof entry[1] === "boolean",
  );
  return {
    ...(solved ? { solve: { solveP, solveR, solveF1 } } : {}),
    ...(verdicts.length > 0 ? { verdicts: Object.fromEntries(verdicts) } : {}),
    ...(typeof made === "number" && typeof failed === "number" ? { calls: { made, failed } } : {}),
  };
}
