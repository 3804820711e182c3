/**
 * Reads JSON-lines files from outside: bounded, every field checked, errors that name file, line and field.
 */
import { readFileSync, statSync } from "node:fs";
import { TaskFileError } from "./errors.ts";
import { isObject } from "./json.ts";
import type { Json, JsonObject } from "./types.ts";

/** Larger files are refused: these sets have a few megabytes. */
const maxFileBytes = 256 * 2 ** 20;

/** One line of a file, with checked access to its fields. */
export class Row {
  readonly #where: string;
  readonly #value: JsonObject;

  constructor(where: string, value: JsonObject) {
    this.#where = where;
    this.#value = value;
  }

  /** A TaskFileError that names this row and a field. */
  error(field: string, problem: string): TaskFileError {
    return new TaskFileError(`${this.#where}: field "${field}" ${problem}`);
  }

  /** True if the field is there. */
  has(field: string): boolean {
    return Object.hasOwn(this.#value, field);
  }

  /** The field's value; throws where it is absent. */
  get(field: string): Json {
    if (!Object.hasOwn(this.#value, field)) throw this.error(field, "is missing");
    return this.#value[field];
  }

  string(field: string): string {
    const value = this.get(field);
    if (typeof value !== "string") throw this.error(field, `must be a string, got ${describe(value)}`);
    return value;
  }

  boolean(field: string): boolean {
    const value = this.get(field);
    if (typeof value !== "boolean") throw this.error(field, `must be true or false, got ${describe(value)}`);
    return value;
  }

  object(field: string): JsonObject {
    const value = this.get(field);
    if (!isObject(value)) throw this.error(field, `must be an object, got ${describe(value)}`);
    return value;
  }

  /** A nested object as a row: `row.child("probes", "f")` is the object at probes.f. */
  child(...path: string[]): Row {
    let row: Row = this;
    for (const field of path) row = new Row(`${row.#where}, ${field}`, row.object(field));
    return row;
  }

  /** A list of objects as rows. */
  rows(field: string): Row[] {
    return this.#rowsOf(field, this.get(field));
  }

  /** A string that holds JSON. */
  parsed(field: string): Json {
    try {
      return JSON.parse(this.string(field)) as Json;
    } catch (error) {
      if (error instanceof SyntaxError) throw this.error(field, `is not valid JSON: ${error.message}`);
      throw error;
    }
  }

  /** A string that holds a JSON object. */
  parsedObject(field: string): JsonObject {
    const value = this.parsed(field);
    if (!isObject(value)) throw this.error(field, `must hold a JSON object, got ${describe(value)}`);
    return value;
  }

  /** A string that holds a JSON list of objects. */
  parsedRows(field: string): Row[] {
    return this.#rowsOf(field, this.parsed(field));
  }

  /** A list of objects as rows, given as such or as JSON in a string (both are published). */
  rowsOrParsed(field: string): Row[] {
    return typeof this.get(field) === "string" ? this.parsedRows(field) : this.rows(field);
  }

  #rowsOf(field: string, value: Json): Row[] {
    if (!Array.isArray(value)) throw this.error(field, `must be a list, got ${describe(value)}`);
    return value.map((item, i) => {
      if (!isObject(item)) throw this.error(`${field}[${i}]`, `must be an object, got ${describe(item)}`);
      return new Row(`${this.#where}, ${field}[${i}]`, item);
    });
  }
}

function describe(value: Json): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "a list" : typeof value;
}

/** A line of a file that is not blank, with the place that errors name. */
export interface SourceLine {
  where: string;
  text: string;
  /** Why the line could not be read; `toRow` throws it. */
  problem?: string;
}

/**
 * The lines of a text file, blank ones skipped; a line that is not UTF-8 is given with its problem.
 *
 * @throws TaskFileError for a file that is absent or too large
 */
export function readLines(path: string): SourceLine[] {
  const bytes = readBytes(path);
  const lines: SourceLine[] = [];
  for (let start = 0, number = 1; start < bytes.length; number++) {
    const found = bytes.indexOf(lineFeed, start);
    const end = found < 0 ? bytes.length : found;
    const text = decode(bytes.subarray(start, end));
    const where = `${path}:${number}`;
    if (text === undefined) lines.push({ where, text: "", problem: "is not UTF-8" });
    else if (text.trim() !== "") lines.push({ where, text });
    start = end + 1;
  }
  return lines;
}

/**
 * A whole text file.
 *
 * @throws TaskFileError for a file that is absent, too large or not UTF-8
 */
export function readText(path: string): string {
  const text = decode(readBytes(path));
  if (text === undefined) throw new TaskFileError(`${path}: is not UTF-8`);
  return text;
}

const lineFeed = 10;

function readBytes(path: string): Buffer {
  try {
    const { size } = statSync(path);
    if (size > maxFileBytes)
      throw new TaskFileError(`${path}: ${size} bytes, at most ${maxFileBytes} are read`);
    return readFileSync(path);
  } catch (error) {
    if (error instanceof TaskFileError) throw error;
    throw new TaskFileError(`${path}: can not be read (${(error as Error).message})`);
  }
}

/** The text, or undefined if the bytes are not UTF-8. */
function decode(bytes: Buffer): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

/**
 * A line as a row.
 *
 * @throws TaskFileError if it could not be read or is no JSON object
 */
export function toRow({ where, text, problem }: SourceLine): Row {
  if (problem !== undefined) throw new TaskFileError(`${where}: ${problem}`);
  let value: Json;
  try {
    value = JSON.parse(text) as Json;
  } catch (error) {
    throw new TaskFileError(`${where}: not valid JSON: ${(error as Error).message}`);
  }
  if (!isObject(value)) throw new TaskFileError(`${where}: expected a JSON object, got ${describe(value)}`);
  return new Row(where, value);
}

/**
 * The rows of a JSON-lines file; blank lines are skipped.
 *
 * @throws TaskFileError for a file that is absent or too large, or has a line that is not UTF-8 or no JSON object
 */
export function readRows(path: string): Row[] {
  return readLines(path).map(toRow);
}
