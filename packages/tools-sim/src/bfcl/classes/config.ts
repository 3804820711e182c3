/** Reading a class's configuration: attributes from the task, else from the table of defaults; and typed arguments. */
import { deepCopy, type PyDict, PyError, type PyValue, typeName } from "../../python/values.ts";
import type { SimulatorContext } from "../simulator.ts";

/**
 * The attributes `names` from the task's configuration or else from the class's default state, as a fresh dict.
 *
 * @example
 * ```ts
 * const config = new Map([["username", "ada"]]);
 * const context = { longContext: false, tables: new Map(), filler: new Map() };
 * attributes(["username", "tweets"], config, context).get("username"); // → "ada"
 * ```
 */
export function attributes(names: readonly string[], config: PyDict, { tables }: SimulatorContext): PyDict {
  const defaults = dictOf(tables.get("default_state") ?? new Map());
  return new Map(
    names.map((name) => [
      name,
      deepCopy(config.get(name) ?? (config.has(name) ? null : (defaults.get(name) ?? null))),
    ]),
  );
}

/** The value as a dict. @throws PyError for anything else */
export function dictOf(value: PyValue | undefined): PyDict {
  if (value instanceof Map) return value;
  throw new PyError(`expected a dict, received ${typeName(value ?? null)}`);
}

/** The value as a list. @throws PyError for anything else */
export function listOf(value: PyValue | undefined): PyValue[] {
  if (Array.isArray(value)) return value;
  throw new PyError(`expected a list, received ${typeName(value ?? null)}`);
}

/** The value as text. @throws PyError for anything else */
export function textOf(value: PyValue | undefined): string {
  if (typeof value === "string") return value;
  throw new PyError(`expected a str, received ${typeName(value ?? null)}`);
}

/** The value as an int; a whole bool counts. @throws PyError for anything else */
export function intOf(value: PyValue | undefined): bigint {
  if (typeof value === "bigint" || typeof value === "boolean") return BigInt(value);
  throw new PyError(`expected an int, received ${typeName(value ?? null)}`);
}

/** The same dict with keys that are written as whole numbers turned into integers, as the simulators keep ids. */
export function integerKeys(value: PyDict): PyDict {
  return new Map(
    [...value].map(([key, entry]) => [
      typeof key === "string" && /^-?\d+$/.test(key) ? BigInt(key) : key,
      entry,
    ]),
  );
}
