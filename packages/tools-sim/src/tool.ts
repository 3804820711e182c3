/**
 * Tools that users define: `{ description, inputSchema, execute }` keyed by name, the shape of the AI SDK's `tool()`,
 * whose tools can be used as they are. Arguments are checked before `execute` runs; whatever goes wrong in a tool becomes
 * an observation.
 *
 * Source of the shape: AI SDK 7, `Tool` and `ToolExecutionOptions` (vercel/ai, Apache-2.0); its types are reproduced in
 * part. Left out: approval, streaming to a user (of an async iterable the last value counts), tools that a provider runs.
 * NOTE: tools run in this process. A tool that never yields (`while (true)`) can not be stopped by a time limit, and one
 * that throws from a timer of its own is not caught: run code you do not trust elsewhere.
 */
import { OptionError, SchemaError } from "./errors.ts";
import { spacedJson } from "./json.ts";
import { errorText, resultText } from "./result-text.ts";
import { type CheckedInput, type InputSchema, readSchema, type StandardSchema } from "./schema.ts";
import type { Observation } from "./tools.ts";
import type { JsonObject, JsonSchema, ToolCall, ToolDefinition } from "./types.ts";

/** What `execute` gets beside its input. All but `signal` is there for tools written for the AI SDK. */
export interface ToolContext {
  /** Aborted at the time limit, and when the episode is cancelled. */
  signal: AbortSignal;
  /** The same signal. */
  abortSignal: AbortSignal;
  /** The call's id, or an empty string. */
  toolCallId: string;
  /** Empty: tools see no conversation. */
  messages: never[];
  /** Empty. */
  context: Record<string, never>;
}

/** What execution gets from a schema: a Standard Schema's output, otherwise any JSON object. */
export type InputOf<S> = S extends StandardSchema<infer _, infer Output> ? Output : JsonObject;

/** A tool with the types of its schema. */
export interface Tool<S extends object = object, Output = unknown> {
  /** Shown to the policy. */
  description?: string;
  /** Standard Schema (Zod, Valibot, ArkType …), JSON Schema or an AI SDK schema; of type object. */
  inputSchema: S;
  /** What the policy is shown instead of the schema's own JSON Schema; needed where a schema gives none (Valibot). */
  jsonSchema?: object;
  /** A string is the observation as it is; anything else becomes JSON. */
  execute(input: InputOf<S>, context: ToolContext): Output | PromiseLike<Output> | AsyncIterable<Output>;
}

/** Any tool, those of the AI SDK included. */
export interface AnyTool {
  description?: string | ((options: never) => string);
  inputSchema: object;
  jsonSchema?: object;
  execute?(input: never, context: ToolContext): unknown;
}

/** Tools by name. */
export type Tools = Readonly<Record<string, AnyTool>>;

/**
 * The tool itself; `execute`'s input gets its type from the schema.
 *
 * @example
 * ```ts
 * const inputSchema = z.object({ a: z.number(), b: z.number() });
 * const add = tool({ description: "Adds.", inputSchema, execute: ({ a, b }) => ({ sum: a + b }) });
 * ```
 */
export function tool<S extends object, Output>(definition: Tool<S, Output>): Tool<S, Output> {
  return definition;
}

/** Schemas are read once per tool. */
const schemas = new WeakMap<AnyTool, InputSchema>();

function schemaOf(name: string, tool: AnyTool): InputSchema {
  let schema = schemas.get(tool);
  if (schema === undefined) {
    schema = readSchema(tool.inputSchema, tool.jsonSchema, name);
    schemas.set(tool, schema);
  }
  return schema;
}

/**
 * The tools as the policy sees them: OpenAI's `tools`.
 *
 * @throws SchemaError if a name is none that models can call, a tool has no `execute`, or its schema can not be used
 * @example
 * ```ts
 * toolDefinitions({ add })[0].function.name; // "add"
 * ```
 */
export function toolDefinitions(tools: Tools): ToolDefinition[] {
  return Object.entries(tools).map(([name, tool]) => {
    const fail = (problem: string): never => {
      throw new SchemaError(`tool ${JSON.stringify(name)}: ${problem}`);
    };
    if (!/^[\w.-]{1,64}$/.test(name) || name === "__proto__") {
      fail("a name has 1 to 64 letters, digits, underscores, dots or hyphens");
    }
    if (typeof tool?.execute !== "function") fail("execute(input, { signal }) is missing");
    const given: unknown = tool.description ?? "";
    const description: unknown = typeof given === "function" ? given({ context: {} }) : given;
    if (typeof description !== "string") return fail("description must be a string");
    // Which draft a schema is of is nothing that a policy needs to read.
    const { $schema, ...parameters }: JsonSchema = structuredClone(schemaOf(name, tool).jsonSchema);
    return { type: "function", function: { name, description, parameters } };
  });
}

/** Settings of a call. */
export interface ExecuteOptions {
  /** Longest wait for the check of the arguments and the tool together (10,000, FTRL's limit). */
  timeLimitMs?: number;
  /** Stops waiting; the observation then says that the call was cancelled. */
  signal?: AbortSignal;
}

/**
 * Runs a call. Unknown tools, arguments that do not fit, thrown errors, rejected promises, tools that hang and results
 * without text all give an observation with `error: true`; nothing a tool or a model does makes it throw.
 *
 * @throws OptionError (rejects) for a time limit that is not positive
 * @throws SchemaError (rejects) for a schema that can not be used; `toolDefinitions` finds all of these beforehand
 * @example
 * ```ts
 * const call = { type: "function", function: { name: "add", arguments: { a: 1, b: 2 } } } as const;
 * (await executeTool({ add }, call)).content; // '{"sum": 3}'
 * ```
 */
export async function executeTool(
  tools: Tools,
  call: ToolCall,
  options: ExecuteOptions = {},
): Promise<Observation> {
  const { timeLimitMs = 10_000, signal } = options;
  // Longer waits overflow the timer, which then fires at once.
  if (!(timeLimitMs > 0 && timeLimitMs < 2 ** 31)) {
    throw new OptionError(`executeTool: timeLimitMs must be positive and below 2^31, got ${timeLimitMs}`);
  }
  const { name, arguments: given } = call.function;
  const observe = (content: string, error: boolean): Observation => ({
    name,
    content,
    error,
    source: "simulated",
    ...(call.id === undefined ? {} : { callId: call.id }),
  });
  const fail = (problem: string) => observe(spacedJson({ error: problem }), true);
  const tool = Object.hasOwn(tools, name) ? tools[name] : undefined;
  if (tool?.execute === undefined) {
    return fail(`unknown tool; the tools are ${Object.keys(tools).slice(0, 50).join(", ")}`);
  }
  const schema = schemaOf(name, tool);

  const controller = new AbortController();
  const { signal: toolSignal } = controller;
  const context: ToolContext = {
    signal: toolSignal,
    abortSignal: toolSignal,
    toolCallId: call.id ?? "",
    messages: [],
    context: {},
  };
  const run = async (): Promise<Observation> => {
    let checked: CheckedInput;
    try {
      // A copy, since a schema or a tool may change what it is given.
      checked = await schema.check(structuredClone(given));
    } catch (error) {
      return fail(`the arguments can not be checked: ${errorText(error)}`);
    }
    if (checked.problems) return fail(`bad arguments: ${problemText(checked.problems)}`);
    if (toolSignal.aborted) return fail("cancelled");
    try {
      return observe(
        resultText(await lastValue(tool.execute?.(checked.value as never, context), toolSignal)),
        false,
      );
    } catch (error) {
      return fail(errorText(error));
    }
  };
  let stop: (observation: Observation) => void = () => {};
  const stopped = new Promise<Observation>((resolve) => {
    stop = resolve;
  });
  const end = (problem: string, reason: unknown) => {
    stop(fail(problem));
    controller.abort(reason);
  };
  const cancel = () => end("cancelled", signal?.reason);
  const problem = `timeout: no result within ${timeLimitMs} ms`;
  const timer = setTimeout(() => end(problem, new DOMException(problem, "TimeoutError")), timeLimitMs);
  if (signal?.aborted) cancel();
  else signal?.addEventListener("abort", cancel, { once: true });
  try {
    return await Promise.race([stopped, run()]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", cancel);
  }
}

/** The first problems, in bounded length. */
function problemText(problems: readonly string[]): string {
  const shown = problems.slice(0, 5).map((problem) => problem.slice(0, 300));
  const rest = problems.length - shown.length;
  return shown.join("; ") + (rest > 0 ? `; and ${rest} more` : "");
}

/** A result, or the last one of a stream. */
async function lastValue(result: unknown, signal: AbortSignal): Promise<unknown> {
  const value = await result;
  if (typeof value !== "object" || value === null || !(Symbol.asyncIterator in value)) return value;
  let last: unknown;
  for await (const item of value as AsyncIterable<unknown>) {
    if (signal.aborted) break;
    last = item;
  }
  return last;
}
