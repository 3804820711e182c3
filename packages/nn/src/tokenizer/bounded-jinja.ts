// Runs a parsed Jinja template with limits: steps, length of texts, no functions but four harmless ones.
// The interpreter is that of @huggingface/jinja, which reaches nothing but the values it is given; every step passes
// through `evaluate`, where the limits are, and what Jinja2 does otherwise that templates rely on. Leaves out: time limits; one step may cost time in its input's size.

import * as jinja from "@huggingface/jinja";
import { type JinjaValue, printedText } from "./jinja-text.ts";

/** A parsed template; only the interpreter looks inside. */
export type JinjaProgram = object;

// The package's declarations import each other without file endings, which Node's resolution does not follow: what is
// used of it is declared here.
type Value = JinjaValue;
interface Environment {
  set(name: string, value: unknown): Value;
}
interface JinjaInterpreter {
  run(program: JinjaProgram): Value;
  evaluate(node: unknown, environment: unknown): Value;
}
const { Environment, Interpreter, Template } = jinja as unknown as {
  readonly Environment: new () => Environment;
  readonly Interpreter: new (environment: Environment) => JinjaInterpreter;
  readonly Template: new (source: string) => { readonly parsed: JinjaProgram };
};

/** @throws Error of the library if the source is not Jinja */
export function parseJinja(source: string): JinjaProgram {
  return new Template(source).parsed;
}

/** What a template may use at most. */
export interface JinjaLimits {
  /** Evaluated nodes of the template. */
  readonly steps: number;
  /** UTF-16 units of any text that it makes. */
  readonly length: number;
}

/** Why a template stopped: it went over a limit, called `raise_exception`, or wrote a variable that it was not given. */
export class JinjaStop extends Error {
  readonly kind: "limit" | "raised" | "missing";

  constructor(kind: JinjaStop["kind"], message: string) {
    super(message);
    this.kind = kind;
  }
}

/**
 * Text that a parsed template renders.
 *
 * @param values plain JSON values; strftime_now gives `now` in UTC
 * @throws JinjaStop, or an Error of the library
 */
export function runJinja(
  program: JinjaProgram,
  values: Readonly<Record<string, unknown>>,
  now: Date,
  limits: JinjaLimits,
): string {
  const environment = new Environment();
  for (const [name, value] of Object.entries({ ...globals(now), ...values })) environment.set(name, value);
  const text: unknown = new Bounded(environment, program, limits).run(program).value;
  return typeof text === "string" ? text : "";
}

class Bounded extends Interpreter {
  readonly #limits: JinjaLimits;
  readonly #marked: MarkedNodes;
  #steps = 0;

  constructor(environment: Environment, program: JinjaProgram, limits: JinjaLimits) {
    super(environment);
    this.#limits = limits;
    this.#marked = markNodes(program);
  }

  override evaluate(node: unknown, environment: unknown): Value {
    this.#count(1);
    let result = this.#strip(node, environment) ?? super.evaluate(node, environment);
    if (this.#marked.loopedOver.has(node)) {
      // As in Jinja2, an undefined list is an empty one.
      if (result.type === "UndefinedValue") return valueOf([]);
      // The rounds of a loop with an empty body pass through here only as the values that it runs over.
      if (Array.isArray(result.value)) this.#count(result.value.length);
    }
    if (this.#marked.printed.has(node)) {
      const text = printedText(result);
      if (text !== undefined) result = valueOf(text);
    }
    if (typeof result.value === "string" && result.value.length > this.#limits.length) {
      throw new JinjaStop("limit", `it makes a text of more than ${this.#limits.length} characters`);
    }
    if (result.type === "UndefinedValue" && this.#marked.names.has(node)) {
      throw new JinjaStop("missing", `it writes ${(node as { value?: string }).value}, which is not defined`);
    }
    return result;
  }

  /** `text.strip("\\n")` and its kin; the library would strip all white space. Undefined for every other node. */
  #strip(node: unknown, environment: unknown): Value | undefined {
    const call = this.#marked.strips.get(node);
    if (call === undefined) return undefined;
    const [text, set] = [
      this.evaluate(call.object, environment),
      this.evaluate(call.characters, environment),
    ];
    if (typeof text.value !== "string" || typeof set.value !== "string") return undefined;
    const characters = new Set(set.value);
    const units = [...text.value];
    let [start, end] = [0, units.length];
    if (call.method !== "rstrip") while (start < end && characters.has(units[start])) start++;
    if (call.method !== "lstrip") while (end > start && characters.has(units[end - 1])) end--;
    return valueOf(units.slice(start, end).join(""));
  }

  #count(steps: number): void {
    this.#steps += steps;
    if (this.#steps > this.#limits.steps) {
      throw new JinjaStop("limit", `it takes more than ${this.#limits.steps} steps`);
    }
  }
}

interface MarkedNodes {
  /** `{{ expression }}`: expressions in a list of statements. */
  readonly printed: Set<unknown>;
  /** `{{ name }}`, of these. */
  readonly names: Set<unknown>;
  /** What a `for` runs over. */
  readonly loopedOver: Set<unknown>;
  /** `object.strip(characters)`, lstrip and rstrip. */
  readonly strips: Map<unknown, { method: string; object: unknown; characters: unknown }>;
}

/** The interpreter's value of a JavaScript one. */
function valueOf(value: unknown): Value {
  return new Environment().set("value", value);
}

/** Statements that are no expressions. */
const STATEMENTS: ReadonlySet<unknown> = new Set(
  "Program If For Break Continue Set Macro Comment FilterStatement CallStatement".split(" "),
);
const STRIPS = new Set(["strip", "lstrip", "rstrip"]);

/** A member expression, as far as it is looked at. */
interface Member {
  readonly object?: unknown;
  readonly property?: { readonly value?: string };
}

function markNodes(program: JinjaProgram): MarkedNodes {
  const marked: MarkedNodes = {
    printed: new Set(),
    names: new Set(),
    loopedOver: new Set(),
    strips: new Map(),
  };
  const visit = (node: unknown): void => {
    if (typeof node !== "object" || node === null) return;
    const { type, callee, args } = node as { type?: string; callee?: Member; args?: unknown[] };
    const method = callee?.property?.value;
    if (type === "CallExpression" && args?.length === 1 && method !== undefined && STRIPS.has(method)) {
      marked.strips.set(node, { method, object: callee?.object, characters: args[0] });
    }
    for (const [field, child] of Object.entries(node)) {
      const isBlock = field === "body" || field === "alternate" || field === "defaultBlock";
      if (isBlock && Array.isArray(child)) {
        for (const statement of child) {
          if (!STATEMENTS.has(statement?.type)) marked.printed.add(statement);
          if (statement?.type === "Identifier") marked.names.add(statement);
        }
      }
      // `for x in list if test` has its list one level down.
      if (field === "iterable") marked.loopedOver.add(child?.type === "SelectExpression" ? child.lhs : child);
      visit(child);
    }
  };
  visit(program);
  return marked;
}

const LARGEST_RANGE = 10_000;

function globals(now: Date): Record<string, unknown> {
  return {
    true: true,
    false: false,
    none: null,
    True: true,
    False: false,
    None: null,
    raise_exception: (message: unknown) => {
      throw new JinjaStop("raised", String(message));
    },
    range,
    strftime_now: (format: unknown) => formatDate(now, String(format)),
  };
}

/** Python's `range`, bounded. */
function range(...bounds: unknown[]): number[] {
  const [first = 0, second, step = 1] = bounds.filter((bound) => typeof bound === "number");
  const [start, stop] = second === undefined ? [0, first] : [first, second];
  const count = Math.max(0, Math.ceil((stop - start) / step));
  if (!(count <= LARGEST_RANGE)) {
    throw new JinjaStop("limit", `range gives ${count} numbers, more than ${LARGEST_RANGE}`);
  }
  return Array.from({ length: count }, (_, index) => start + index * step);
}

const MONTHS = "January February March April May June July August September October November December".split(
  " ",
);
const DAYS = "Sunday Monday Tuesday Wednesday Thursday Friday Saturday".split(" ");

/** The formats of `strftime` that chat templates use, in English and UTC. */
function formatDate(date: Date, format: string): string {
  const two = (value: number): string => String(value).padStart(2, "0");
  const month = MONTHS[date.getUTCMonth()];
  const day = DAYS[date.getUTCDay()];
  const parts: Readonly<Record<string, string>> = {
    Y: String(date.getUTCFullYear()),
    m: two(date.getUTCMonth() + 1),
    d: two(date.getUTCDate()),
    B: month,
    b: month.slice(0, 3),
    A: day,
    a: day.slice(0, 3),
    H: two(date.getUTCHours()),
    M: two(date.getUTCMinutes()),
    S: two(date.getUTCSeconds()),
    "%": "%",
  };
  return format.replace(/%([YmdBbAaHMS%])/g, (_, letter: string) => parts[letter]);
}
