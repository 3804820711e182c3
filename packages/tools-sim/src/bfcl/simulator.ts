/**
 * What the eight simulated API classes of BFCL v4 multi-turn share: how a class is described, how Python arguments are
 * bound to a function of the published documents, and how results become the text that the benchmark compares.
 *
 * Source: Berkeley Function-Calling Leaderboard v4, multi-turn (Patil et al., ICML 2025; Apache-2.0): function documents
 * and executed ground truth. The simulators are written from those. Names, order and defaults of parameters are read from
 * the documents, so that a class only says what its functions do.
 */
import { evaluate, type PyCall, PyReader, PySyntaxError } from "../python/expression.ts";
import { dumps } from "../python/json.ts";
import { type PyDict, PyError, type PyValue, repr, str } from "../python/values.ts";

/** Arguments by parameter name, defaults filled in. */
export type Arguments = Readonly<Record<string, PyValue>>;

/** One instance of a class. */
export interface Simulator {
  /** The public attributes, live: what the state check compares. */
  readonly state: PyDict;
  readonly functions: Readonly<Record<string, (args: Arguments) => PyValue>>;
}

/** What a class is made from besides its configuration. */
export interface SimulatorContext {
  /** True in the category `long_context`, where answers are padded with filler. */
  readonly longContext: boolean;
  /** The class's default state and lookup tables. */
  readonly tables: PyDict;
  /** Filler texts and lists by name. */
  readonly filler: PyDict;
}

/** Makes an instance from the task's configuration. */
export type SimulatorClass = (config: PyDict, context: SimulatorContext) => Simulator;

/** A function as its document describes it. */
export interface Signature {
  readonly name: string;
  readonly parameters: readonly { name: string; required: boolean; default: PyValue }[];
}

/** Names that the benchmark's harness refuses to run. */
const refused = new Set(["kill", "exit", "quit", "remove", "unlink", "popen", "Popen", "run"]);

/** A class instance with the documents of its functions. */
export interface Instance {
  readonly className: string;
  readonly simulator: Simulator;
  readonly signatures: ReadonlyMap<string, Signature>;
}

/**
 * Runs one call, text or parsed, and returns the text of its result: a string as it is, a dict as JSON with Python's
 * spacing, anything else as Python prints it; an exception becomes `Error during execution: <message>`.
 *
 * @example
 * ```ts
 * executeCall([files], "ls(a=True)"); // '{"current_directory_content": ["workspace"]}'
 * ```
 */
export function executeCall(instances: readonly Instance[], call: string | PyCall): string {
  try {
    const parsed = typeof call === "string" ? parseCall(call) : call;
    return resultText(run(instances, parsed));
  } catch (error) {
    if (error instanceof PyError || error instanceof PySyntaxError) {
      return `Error during execution: ${error.message}`;
    }
    throw error;
  }
}

/** A call as text. @throws PySyntaxError if it is none */
export function parseCall(text: string): PyCall {
  const reader = new PyReader(text);
  const call = reader.call();
  if (reader.at < text.length) reader.fail("the end of the call");
  return call;
}

function run(instances: readonly Instance[], call: PyCall): PyValue {
  if (refused.has(call.name)) throw new PyError(`Function call ${call.name} is not allowed.`);
  // A dotted name gives class and function; the class is only checked.
  const dot = call.name.lastIndexOf(".");
  const [owner, name] =
    dot < 0 ? [undefined, call.name] : [call.name.slice(0, dot), call.name.slice(dot + 1)];
  for (const instance of instances) {
    const signature = instance.signatures.get(name);
    const implementation = signature && own(instance.simulator.functions, name);
    if (!signature || !implementation || (owner !== undefined && owner !== instance.className)) continue;
    const value = (expression: PyCall["positional"][number]) =>
      evaluate(expression, (inner) => run(instances, inner));
    const positional = call.positional.map(value);
    const named = call.named.map((argument) => [argument.name, value(argument.value)] as const);
    return implementation(bind(`${instance.className}.${name}()`, signature, positional, named));
  }
  throw new PyError(`name '${call.name}' is not defined`);
}

function own<T>(record: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined;
}

/** Python's rules and messages for binding arguments to parameters. */
function bind(
  label: string,
  { parameters }: Signature,
  positional: readonly PyValue[],
  named: readonly (readonly [string, PyValue])[],
): Arguments {
  if (positional.length > parameters.length) {
    // The instance itself counts as an argument.
    const optional = parameters.filter((p) => !p.required).length;
    const most = parameters.length + 1;
    const takes = optional > 0 ? `from ${most - optional} to ${most}` : String(most);
    const noun = most === 1 ? "argument" : "arguments";
    throw new PyError(`${label} takes ${takes} positional ${noun} but ${positional.length + 1} were given`);
  }
  const bound = new Map<string, PyValue>();
  positional.forEach((value, i) => {
    bound.set(parameters[i].name, value);
  });
  for (const [name, value] of named) {
    if (!parameters.some((p) => p.name === name)) {
      throw new PyError(`${label} got an unexpected keyword argument '${name}'`);
    }
    if (bound.has(name)) throw new PyError(`${label} got multiple values for argument '${name}'`);
    bound.set(name, value);
  }
  const missing = parameters.filter((p) => p.required && !bound.has(p.name)).map((p) => repr(p.name));
  if (missing.length > 0) {
    const list =
      missing.length < 3
        ? missing.join(" and ")
        : `${missing.slice(0, -1).join(", ")}, and ${missing.at(-1)}`;
    const noun = missing.length === 1 ? "argument" : "arguments";
    throw new PyError(`${label} missing ${missing.length} required positional ${noun}: ${list}`);
  }
  return Object.fromEntries(
    parameters.map((p) => [p.name, bound.has(p.name) ? bound.get(p.name)! : p.default]),
  );
}

/** The text of a result, as the benchmark compares it. */
function resultText(value: PyValue): string {
  const json = value instanceof Map ? dumps(value) : undefined;
  return json ?? str(value);
}
