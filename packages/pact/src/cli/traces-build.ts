/**
 * `pact traces build`: tasks → episodes of a teacher → verified, segmented traces in a file.
 *
 * While it works, every result is a line of `<out>.partial`, whose first line holds the settings; an interrupted build is
 * taken up from there. The trace file itself appears whole, at the end.
 */
import { existsSync, rmSync } from "node:fs";
import {
  type Annotator,
  type BuiltTrace,
  buildTraces,
  type ChatClient,
  chatPolicy,
  createChatClient,
  type DroppedTrace,
  openSuite,
  type SuiteTask,
  scriptedTeacher,
  summariseTraces,
  type Teacher,
  type TraceRecord,
  traceLine,
} from "@pact/tools-sim";
import { appendLine, writeWhole } from "./disk.ts";
import { Interrupt, interruptedExitCode } from "./interrupt.ts";
import { parseOptions, UsageError } from "./options.ts";
import { createProgress, type Progress } from "./progress.ts";
import { painter, printable, type TextStream } from "./terminal.ts";
import { type BuildOptions, buildOptions } from "./traces-options.ts";
import { readPartial } from "./traces-partial.ts";
import { summaryLines } from "./traces-summary.ts";

const command = "pact traces build";
/** A served teacher that fails this often in a row ends the build: the server is gone, not the task hard. */
const failuresInARow = 5;

/** Where output goes; tests bring their own. */
export interface BuildStreams {
  readonly out: TextStream;
  readonly error: TextStream;
}

/** Runs `pact traces build`; resolves to the exit code. */
export async function buildCommand(
  args: readonly string[],
  streams: BuildStreams = { out: process.stdout, error: process.stderr },
): Promise<number> {
  const options = parseOptions(command, buildOptions, args);
  const out = options.out ?? "traces.jsonl";
  const partial = `${out}.partial`;
  refuseCollisions(out, partial, options.resume);
  const generated = options.env.endsWith("-like");
  const { tasks, skipped } = openSuite(options.env, {
    data: options.data,
    count: options.tasks,
    ...(generated ? { seed: options.seed, split: options.split } : { skipInvalid: options["skip-invalid"] }),
  });
  const teacher = teacherOf(options, tasks);
  const annotator = annotatorOf(options);
  const settings = settingsOf(options, teacher.name);
  const done = options.resume ? readPartial(partial, settings) : [];
  if (!options.resume) appendLine(partial, { settings });

  const stream = options.json ? streams.error : streams.out;
  const progress = createProgress(stream);
  for (const line of skipped) progress.line(`left out: ${printable(line)}`);
  using interrupt = new Interrupt(() => progress.line("stopping; press Ctrl-C again to stop at once"));
  const work = { tasks, teacher, annotator, partial, progress, signal: interrupt.signal };
  try {
    const results = await buildAll(done, work, {
      environment: options.env,
      concurrency: options.concurrency,
    });
    const kept = results.flatMap((result) => result.kept ?? []);
    const dropped = results.flatMap((result) => result.dropped ?? []);
    progress.close();
    if (kept.length === 0)
      throw new BuildError(`no episode became a trace (${partial} lists why): ${reasonsOf(dropped)}`);
    writeWhole(out, kept.map((trace) => `${traceLine(trace)}\n`).join(""));
    rmSync(partial);
    report(kept, dropped, { out, skipped, json: options.json, stream, streams });
    return 0;
  } catch (error) {
    if (!interrupt.signal.aborted) throw error;
    progress.close();
    streams.error.write(
      `Stopped. What is done lies in ${partial}; the same command with --resume goes on.\n`,
    );
    return interruptedExitCode;
  } finally {
    progress.close();
  }
}

/** A build that can not go on. Its message says what is left. */
export class BuildError extends Error {
  override readonly name = "BuildError";
  readonly code = "ERR_PACT_TRACES";
}

interface Work {
  readonly tasks: readonly SuiteTask[];
  readonly teacher: Teacher;
  readonly annotator: Annotator | undefined;
  readonly partial: string;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

/** Plays the tasks that are not done yet; results in the order of the tasks. */
async function buildAll(
  done: readonly BuiltTrace[],
  { tasks, teacher, annotator, partial, progress, signal }: Work,
  options: { environment: string; concurrency: number },
): Promise<BuiltTrace[]> {
  const results = new Map(done.map((result) => [(result.kept ?? result.dropped).id, result]));
  const open = tasks.filter(({ taskId }) => !results.has(taskId));
  if (done.length > 0) progress.line(`${done.length} tasks are done already`);
  progress.stage("traces", "task", tasks.length);
  progress.advance(results.size);
  let failures = 0;
  for await (const result of buildTraces(open, { ...options, teacher, annotator, signal })) {
    results.set((result.kept ?? result.dropped).id, result);
    // A failed teacher says nothing about the task: it is asked again when the build is resumed.
    const failed = result.dropped?.reason === "teacher_failed";
    if (!failed) appendLine(partial, result);
    failures = failed && !teacher.scripted ? failures + 1 : 0;
    if (failures === failuresInARow)
      throw new BuildError(
        `the teacher failed ${failures} times in a row (${result.dropped?.detail}). ` +
          `What is done lies in ${partial}; the same command with --resume goes on`,
      );
    progress.advance(results.size);
  }
  return tasks.flatMap(({ taskId }) => results.get(taskId) ?? []);
}

function refuseCollisions(out: string, partial: string, resume: boolean): void {
  if (existsSync(out))
    throw new UsageError(
      `${command}: ${out} exists and is never overwritten; choose another with --out <path>.`,
    );
  if (resume && !existsSync(partial))
    throw new UsageError(`${command}: there is no ${partial} to resume; leave --resume out to begin.`);
  if (!resume && existsSync(partial))
    throw new UsageError(
      `${command}: ${partial} is left from an interrupted build; go on with --resume, or remove it.`,
    );
}

function teacherOf(options: BuildOptions, tasks: readonly SuiteTask[]): Teacher {
  if (options.teacher === "scripted") return scriptedTeacher(tasks);
  const { endpoint, model } = options;
  if (endpoint === undefined || model === undefined)
    throw new UsageError(`${command}: --teacher endpoint needs --endpoint <url> and --model <name>.`);
  return { name: model, policy: chatPolicy(clientOf(endpoint, model, options)) };
}

function annotatorOf(options: BuildOptions): Annotator | undefined {
  if (options.annotator === "none") return undefined;
  const endpoint = options["annotator-endpoint"] ?? options.endpoint;
  const model = options["annotator-model"] ?? options.model;
  if (endpoint === undefined || model === undefined)
    throw new UsageError(
      `${command}: --annotator endpoint needs --annotator-endpoint <url> and --annotator-model <name>, or those of the teacher.`,
    );
  const client = clientOf(endpoint, model, options);
  return async (messages, signal) =>
    (await client.complete({ messages, temperature: 0, signal })).message.content;
}

function clientOf(baseUrl: string, model: string, options: BuildOptions): ChatClient {
  const variable = options["api-key-env"];
  const apiKey = variable === undefined ? undefined : process.env[variable];
  if (variable !== undefined && (apiKey === undefined || apiKey === ""))
    throw new UsageError(
      `${command}: the environment variable ${printable(variable)} of --api-key-env is not set.`,
    );
  return createChatClient({ baseUrl, model, apiKey });
}

/** What must be the same for a build to be resumed. */
function settingsOf(options: BuildOptions, teacher: string): Record<string, string | number> {
  const { env, data = "", tasks = 0, seed, split, annotator } = options;
  return { env, data, tasks, seed, split, teacher, annotator };
}

function reasonsOf(dropped: readonly DroppedTrace[]): string {
  const counts = countReasons(dropped).map(([reason, count]) => `${count} ${reason}`);
  return `${counts.join(", ")}; the first: ${dropped[0]?.id}: ${printable(dropped[0]?.detail ?? "").slice(0, 300)}`;
}

function countReasons(dropped: readonly DroppedTrace[]): [string, number][] {
  const counts = new Map<string, number>();
  for (const { reason } of dropped) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  return [...counts];
}

function report(
  kept: readonly TraceRecord[],
  dropped: readonly DroppedTrace[],
  {
    out,
    skipped,
    json,
    stream,
    streams,
  }: { out: string; skipped: readonly string[]; json: boolean; stream: TextStream; streams: BuildStreams },
): void {
  const summary = summariseTraces(kept);
  const reasons = Object.fromEntries(countReasons(dropped));
  const droppedLines = Object.entries(reasons).map(([reason, count]) => `  dropped   ${count} ${reason}`);
  stream.write(
    `${[...summaryLines(summary, painter(stream)), ...droppedLines, `  file      ${out}`].join("\n")}\n`,
  );
  if (json)
    streams.out.write(`${JSON.stringify({ out, ...summary, droppedByReason: reasons, dropped, skipped })}\n`);
}
