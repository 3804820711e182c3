/**
 * Reads BFCL v4 multi-turn as it is published: task files `BFCL_v4_multi_turn_<category>.json` (JSON lines), joined on
 * `id` with `possible_answer/`, the function documents in `multi_turn_func_doc/`, and beside them `derived/` with the
 * tables that the documents do not contain. Every line is checked; errors name file, line and field.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { TaskFileError } from "../errors.ts";
import { type Row, readLines, readText, type SourceLine, toRow } from "../jsonl.ts";
import { PySyntaxError } from "../python/expression.ts";
import { JsonTextError, loads } from "../python/json.ts";
import { type PyDict, PyObject, type PyValue } from "../python/values.ts";
import type { Json, JsonSchema, ToolDefinition } from "../types.ts";
import { classFiles, isClassName, type SimulatorClassName } from "./classes/index.ts";
import { parseCall, type Signature } from "./simulator.ts";

/** The four categories of the multi-turn set. */
export const bfclCategories = ["base", "miss_func", "miss_param", "long_context"] as const;
/** One of `bfclCategories`. */
export type BfclCategory = (typeof bfclCategories)[number];

/** One task. */
export interface BfclTask {
  id: string;
  category: BfclCategory;
  /** The user's text of each turn; null in a turn that only grants functions. */
  turns: readonly (string | null)[];
  classes: readonly SimulatorClassName[];
  /** Configuration by class. */
  config: PyDict;
  /** Functions that are offered from a turn on, by turn. */
  granted: ReadonlyMap<number, readonly string[]>;
  /** The ground truth: calls of each turn. */
  truth: readonly (readonly string[])[];
}

/** A function of a class: how Python binds its arguments, and how a model sees it. */
export interface BfclFunction {
  signature: Signature;
  definition: ToolDefinition;
}

/** What every task of a folder shares. */
export interface BfclResources {
  functions: ReadonlyMap<SimulatorClassName, ReadonlyMap<string, BfclFunction>>;
  /** Default states and lookup tables by class. */
  tables: PyDict;
  filler: PyDict;
}

/** A whole folder. */
export interface BfclData {
  tasks: BfclTask[];
  resources: BfclResources;
  /** Lines left out, with the reason; only with `skipInvalid`. */
  skipped: string[];
}

/**
 * Reads a folder. Categories whose file is absent are left out; there must be one.
 *
 * @param options.skipInvalid - leave out malformed lines and list them instead of failing at the first
 * @throws TaskFileError naming file, line and field
 * @example
 * ```ts
 * const { tasks } = loadBfcl("data/bfcl", { categories: ["base"] });
 * ```
 */
export function loadBfcl(
  folder: string,
  options: { categories?: readonly BfclCategory[]; skipInvalid?: boolean } = {},
): BfclData {
  const resources: BfclResources = {
    functions: new Map(
      Object.entries(classFiles).map(([name, { document }]) => [
        name as SimulatorClassName,
        readFunctions(join(folder, "multi_turn_func_doc", document)),
      ]),
    ),
    tables: readDict(join(folder, "derived", "simulator_tables.json")),
    filler: readDict(join(folder, "derived", "long_context_constants.json")),
  };
  const tasks: BfclTask[] = [];
  const skipped: string[] = [];
  const seen = new Set<string>();
  const attempt = (read: () => void) => {
    try {
      read();
    } catch (error) {
      if (!options.skipInvalid || !(error instanceof TaskFileError)) throw error;
      skipped.push(error.message);
    }
  };
  let files = 0;
  for (const category of options.categories ?? bfclCategories) {
    const name = `BFCL_v4_multi_turn_${category}.json`;
    if (!existsSync(join(folder, name))) continue;
    files++;
    const answers = new Map<string, Answer>();
    for (const line of readLines(join(folder, "possible_answer", name))) {
      attempt(() => {
        const row = toRow(line);
        const id = row.string("id");
        if (answers.has(id)) throw row.error("id", `${JSON.stringify(id)} occurs twice`);
        answers.set(id, { row, truth: readTruth(row) });
      });
    }
    for (const line of readLines(join(folder, name))) {
      attempt(() => {
        const task = readTask(line, category, answers, resources);
        if (seen.has(task.id)) throw toRow(line).error("id", `${JSON.stringify(task.id)} occurs twice`);
        seen.add(task.id);
        tasks.push(task);
      });
    }
  }
  if (files === 0) {
    throw new TaskFileError(
      `${folder}: no file BFCL_v4_multi_turn_<category>.json for ${(options.categories ?? bfclCategories).join(", ")}. Give the folder of the published multi-turn files.`,
    );
  }
  return { tasks, resources, skipped };
}

/** A line of `possible_answer/`. */
interface Answer {
  row: Row;
  truth: string[][];
}

function readTask(
  line: SourceLine,
  category: BfclCategory,
  answers: ReadonlyMap<string, Answer>,
  { functions }: BfclResources,
): BfclTask {
  const row = toRow(line);
  const id = row.string("id");
  const classes = strings(row, "involved_classes").map((name) => {
    if (!isClassName(name)) {
      throw row.error(
        "involved_classes",
        `names the unknown class ${JSON.stringify(name)}; there are ${Object.keys(classFiles).join(", ")}`,
      );
    }
    return name;
  });
  const question = row.get("question");
  if (!Array.isArray(question)) throw row.error("question", "must be a list of turns");
  const turns = question.map((turn, i) => userText(row, turn, i));
  const answer = answers.get(id);
  if (!answer) throw row.error("id", `${JSON.stringify(id)} has no line in possible_answer/`);
  const { truth } = answer;
  if (truth.length !== turns.length) {
    throw row.error("question", `has ${turns.length} turns, its ground truth ${truth.length}`);
  }
  const offered = new Set(classes.flatMap((name) => [...(functions.get(name)?.keys() ?? [])]));
  checkTruth(answer, offered);
  const granted = new Map<number, readonly string[]>();
  if (row.has("missed_function")) {
    for (const [turn, names] of Object.entries(row.object("missed_function"))) {
      const list = Array.isArray(names) ? names.filter((n): n is string => typeof n === "string") : [];
      const unknown = list.find((n) => !offered.has(n));
      if (!/^\d+$/.test(turn) || Number(turn) >= turns.length) {
        throw row.error("missed_function", `names turn ${JSON.stringify(turn)}, there are ${turns.length}`);
      }
      if (unknown !== undefined || list.length === 0) {
        throw row.error("missed_function", `names the unknown function ${JSON.stringify(unknown ?? null)}`);
      }
      granted.set(Number(turn), list);
    }
  }
  const config = parse(line).get("initial_config");
  if (!(config instanceof Map)) throw row.error("initial_config", "must be an object");
  for (const name of classes) {
    const own = config.get(name);
    if (own !== undefined && !(own instanceof Map))
      throw row.error("initial_config", `: ${name} must be an object`);
  }
  return { id, category, turns, classes, config, granted, truth };
}

function userText(row: Row, turn: Json, i: number): string | null {
  if (!Array.isArray(turn) || turn.length > 1)
    throw row.error(`question[${i}]`, "must be a list of one message or none");
  if (turn.length === 0) return null;
  const message = turn[0];
  const content =
    typeof message === "object" && message !== null && !Array.isArray(message) ? message.content : undefined;
  if (typeof content !== "string") throw row.error(`question[${i}]`, "must hold a message with text");
  return content;
}

function readTruth(row: Row): string[][] {
  const turns = row.get("ground_truth");
  if (!Array.isArray(turns)) throw row.error("ground_truth", "must be a list of turns");
  return turns.map((calls, i) => {
    if (!Array.isArray(calls) || !calls.every((call) => typeof call === "string")) {
      throw row.error(`ground_truth[${i}]`, "must be a list of calls as text");
    }
    return calls as string[];
  });
}

/** Every call of the truth is one, of a function that the task has. */
function checkTruth({ row, truth }: Answer, offered: ReadonlySet<string>): void {
  for (const [turn, calls] of truth.entries()) {
    for (const [k, text] of calls.entries()) {
      const field = `ground_truth[${turn}][${k}]`;
      let name: string;
      try {
        ({ name } = parseCall(text));
      } catch (error) {
        if (error instanceof PySyntaxError) throw row.error(field, `is no call: ${error.message}`);
        throw error;
      }
      if (!offered.has(name.slice(name.lastIndexOf(".") + 1)))
        throw row.error(
          field,
          `calls the unknown function ${JSON.stringify(name)}, which is of no involved class`,
        );
    }
  }
}

function strings(row: Row, field: string): string[] {
  const value = row.get(field);
  if (!Array.isArray(value) || !value.every((item) => typeof item === "string")) {
    throw row.error(field, "must be a list of strings");
  }
  return value as string[];
}

function parse({ where, text }: { where: string; text: string }): PyDict {
  try {
    const value = loads(text);
    if (value instanceof Map) return value;
    throw new TaskFileError(`${where}: expected a JSON object`);
  } catch (error) {
    if (error instanceof JsonTextError) throw new TaskFileError(`${where}: not valid JSON: ${error.message}`);
    throw error;
  }
}

function readDict(path: string): PyDict {
  return withoutMarkers(parse({ where: path, text: readText(path) })) as PyDict;
}

/** Python's literal `...`, which one of the filler lists holds. */
const ellipsis = new PyObject("Ellipsis");

/** The derived files write what JSON lacks as one-key objects: a set as `__set__`, a literal `...` as `__python__`. */
export function withoutMarkers(value: PyValue): PyValue {
  if (Array.isArray(value)) return value.map(withoutMarkers);
  if (!(value instanceof Map)) return value;
  if (value.size === 1) {
    const members = value.get("__set__");
    if (Array.isArray(members)) return new Set(members);
    if (value.get("__python__") === "Ellipsis") return ellipsis;
  }
  return new Map([...value].map(([key, entry]) => [key, withoutMarkers(entry)]));
}

function readFunctions(path: string): Map<string, BfclFunction> {
  const functions = new Map<string, BfclFunction>();
  for (const line of readLines(path)) {
    const row = toRow(line);
    const name = row.string("name");
    const parameters = row.child("parameters");
    const properties = parameters.object("properties");
    const required = strings(parameters, "required");
    const document = parse(line);
    const defaults = ((document.get("parameters") as PyDict).get("properties") as PyDict) ?? new Map();
    functions.set(name, {
      signature: {
        name,
        parameters: Object.keys(properties).map((parameter) => ({
          name: parameter,
          required: required.includes(parameter),
          default: defaultOf(defaults.get(parameter)),
        })),
      },
      definition: {
        type: "function",
        function: {
          name,
          description: row.string("description"),
          parameters: jsonSchema({ type: "dict", properties, required } as Json) as JsonSchema,
        },
      },
    });
  }
  return functions;
}

/** The documents write Python's None as the text "None". */
function defaultOf(property: PyValue | undefined): PyValue {
  const value = property instanceof Map ? (property.get("default") ?? null) : null;
  return value === "None" ? null : value;
}

/** The documents' type names as JSON Schema's. */
const schemaTypes: Readonly<Record<string, string>> = { dict: "object", float: "number", tuple: "array" };

/** A document's schema as JSON Schema. */
function jsonSchema(value: Json): Json {
  if (Array.isArray(value)) return value.map(jsonSchema);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, entry]) =>
      key === "type" && typeof entry === "string"
        ? [key, Object.hasOwn(schemaTypes, entry) ? schemaTypes[entry] : entry]
        : [key, jsonSchema(entry)],
    ),
  );
}
