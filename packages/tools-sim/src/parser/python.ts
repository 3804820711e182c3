/**
 * A Python list of calls, `[f(a=1), g('x')]`, as the calls that every other syntax gives: arguments are JSON, by name.
 * Positional arguments get the names of the tool's parameters in their order, so they need its definition.
 * Left out: calls as arguments of calls, sets and non-finite numbers, which JSON can not hold (typed errors).
 */
import { parsePythonCalls } from "../python/calls.ts";
import type { PyCall, PyExpression } from "../python/expression.ts";
import { dumps } from "../python/json.ts";
import type { PyValue } from "../python/values.ts";
import type { Json, ToolCall, ToolDefinition } from "../types.ts";
import { type CallDefect, checkedCall, isDefect, type ParsedBlock } from "./shapes.ts";

/** The blocks of a reply; none if it does not start like a call or a list of calls. */
export function readPythonReply(text: string, tools: readonly ToolDefinition[] = []): ParsedBlock[] {
  return parsePythonCalls(text).blocks.map((block): ParsedBlock => {
    if (block.call === undefined) return { error: { kind: "invalid_syntax", ...block.error } };
    const result = toToolCall(block.call, tools);
    return isDefect(result) ? { error: { ...result, at: block.at } } : { call: result };
  });
}

function toToolCall(
  { name, positional, named }: PyCall,
  tools: readonly ToolDefinition[],
): ToolCall | CallDefect {
  const args: [string, PyExpression][] = [];
  if (positional.length > 0) {
    const tool = tools.find((candidate) => candidate.function.name === name);
    const parameters = Object.keys(tool?.function.parameters.properties ?? {});
    if (positional.length > parameters.length) {
      const message = tool
        ? `${positional.length} positional arguments for ${parameters.length} parameters`
        : "positional arguments of an unknown tool";
      return { kind: "invalid_shape", message };
    }
    for (const [i, value] of positional.entries()) args.push([parameters[i], value]);
  }
  const given = new Set(args.map(([key]) => key));
  if (named.some((argument) => given.has(argument.name)))
    return { kind: "invalid_shape", message: "an argument is given by position and by name" };
  for (const argument of named) args.push([argument.name, argument.value]);
  const values: [string, Json][] = [];
  const texts: string[] = [];
  for (const [key, expression] of args) {
    const read = jsonOf(expression);
    if (read === undefined)
      return {
        kind: "invalid_shape",
        message: "an argument is no JSON: a call, a set or a number out of range",
      };
    values.push([key, read.value]);
    texts.push(`${JSON.stringify(key)}: ${read.text}`);
  }
  // fromEntries makes own members whatever their names; `__proto__` is refused by the check.
  return checkedCall(name, Object.fromEntries(values), `{${texts.join(", ")}}`);
}

/** An expression as JSON: its value and its text, in which 10 and 10.0 differ; undefined if it is none. */
export function jsonOf(expression: PyExpression): { value: Json; text: string } | undefined {
  const python = pythonValue(expression);
  const value = python === undefined ? undefined : jsonValue(python);
  const text = python === undefined ? undefined : dumps(python);
  return value === undefined || text === undefined ? undefined : { value, text };
}

function pythonValue(expression: PyExpression): PyValue | undefined {
  if (expression.kind === "value") return expression.value;
  if (expression.kind === "list") {
    const items = expression.items.map(pythonValue);
    return items.every((item) => item !== undefined) ? items : undefined;
  }
  if (expression.kind !== "dict") return undefined;
  const entries = new Map<string | bigint, PyValue>();
  for (const [key, item] of expression.entries) {
    const value = pythonValue(item);
    if (value === undefined) return undefined;
    entries.set(key, value);
  }
  return entries;
}

function jsonValue(value: PyValue): Json | undefined {
  if (typeof value === "bigint" || typeof value === "number") {
    return Number.isFinite(Number(value)) ? Number(value) : undefined;
  }
  if (value === null || typeof value !== "object") return value;
  if (Array.isArray(value)) {
    const items = value.map(jsonValue);
    return items.every((item) => item !== undefined) ? items : undefined;
  }
  if (!(value instanceof Map)) return undefined;
  const entries: [string, Json][] = [];
  for (const [key, item] of value) {
    const json = jsonValue(item);
    if (json === undefined) return undefined;
    entries.push([String(key), json]);
  }
  return Object.fromEntries(entries);
}
