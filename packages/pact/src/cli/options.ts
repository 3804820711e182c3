/**
 * Command-line options: one table per command, from which parsing, checking and `--help` all follow.
 *
 * A table is a record `name → option`; `parseOptions` hands back a record with the same names and the right types.
 * Parsing is `parseArgs` of `node:util` in strict mode; on top of it come ranges, choices and errors that name the
 * nearest option. Leaves out: short aliases and environment variables.
 */
import { parseArgs } from "node:util";

/** A wrong command line: printed as one line, exit code 2. Its message ends with the command that helps. */
export class UsageError extends Error {
  override readonly name = "UsageError";
  readonly code = "ERR_PACT_USAGE";
}

interface Described {
  /** One sentence, lower case, for `--help`. */
  readonly help: string;
}
/** `--name`: false unless given. */
export interface FlagOption extends Described {
  readonly kind: "flag";
}
/** `--name value`, where the value is one of `choices`. */
export interface ChoiceOption<C extends string = string> extends Described {
  readonly kind: "choice";
  readonly choices: readonly C[];
  readonly default: C;
}
/**
 * `--name n`, a whole number in [min, max], counted in `unit`. Without a default it is undefined when not given, which
 * `defaultText` explains.
 */
export interface IntegerOption<D extends number | undefined = number | undefined> extends Described {
  readonly kind: "integer";
  readonly min: number;
  readonly max: number;
  readonly default: D;
  readonly defaultText?: string;
  readonly unit?: string;
}
/** `--name x`, a decimal number in [min, max]. Without a default as `IntegerOption`. */
export interface NumberOption<D extends number | undefined = number | undefined> extends Described {
  readonly kind: "number";
  readonly min: number;
  readonly max: number;
  readonly default: D;
  readonly defaultText?: string;
}
/** `--name text`, not empty, called `unit` in `--help`; undefined when not given, which `defaultText` explains. */
export interface TextOption extends Described {
  readonly kind: "text";
  readonly unit: string;
  readonly defaultText: string;
}
/** `--name path`; undefined when not given, which `defaultText` explains. */
export interface PathOption extends Described {
  readonly kind: "path";
  readonly defaultText: string;
}
/** `--name text`, any number of times; empty when not given. */
export interface ListOption extends Described {
  readonly kind: "list";
  readonly unit: string;
}
/** One row of a command's table. */
export type Option =
  | FlagOption
  | ChoiceOption
  | IntegerOption
  | NumberOption
  | TextOption
  | PathOption
  | ListOption;
/** A command's options by name, without the leading dashes. */
export type OptionTable = Readonly<Record<string, Option>>;

type ValueOf<O extends Option> = O extends FlagOption
  ? boolean
  : O extends ChoiceOption<infer C>
    ? C
    : O extends IntegerOption<infer D>
      ? number | D
      : O extends NumberOption<infer D>
        ? number | D
        : O extends ListOption
          ? readonly string[]
          : string | undefined;
/** The parsed values of a table. */
export type OptionValues<T extends OptionTable> = { readonly [N in keyof T]: ValueOf<T[N]> };

/** A word that follows a command's name. */
export interface Positional extends Described {
  readonly name: string;
  /** Left out: any word. */
  readonly choices?: readonly string[];
}

/**
 * Takes the positional word off the front of a command's arguments; it comes before the options.
 *
 * @returns the word (undefined if there is none, as before `--help`) and the remaining arguments
 * @throws UsageError for a word that is none of the choices, naming the nearest
 * @example takePositional("pact play", { name: "env", help: "…", choices: ["ftrl-like"] }, ["ftrl-like", "--seed", "2"]).word // "ftrl-like"
 */
export function takePositional(
  command: string,
  { name, choices }: Positional,
  args: readonly string[],
): { word: string | undefined; rest: readonly string[] } {
  const [word, ...rest] = args;
  if (word === undefined || word.startsWith("-")) return { word: undefined, rest: args };
  if (choices === undefined || choices.includes(word)) return { word, rest };
  const guess = nearest(word, choices);
  throw new UsageError(
    `${command}: <${name}> must be one of ${choices.join(", ")}; received ${quote(word)}.` +
      (guess === undefined ? "" : ` Did you mean ${guess}?`),
  );
}

/** The option every command has. */
export const helpOption: FlagOption = { kind: "flag", help: "show this help and do nothing else" };

/**
 * The candidate nearest to `word` by edit distance, if it is near enough to be what was meant
 * (at most 2 edits, or 40 % of the longer word).
 *
 * @example nearest("stpes", ["steps", "seed"]) // "steps"
 */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const scored = candidates.map((candidate) => ({ candidate, distance: editDistance(word, candidate) }));
  scored.sort((a, b) => a.distance - b.distance);
  // A word that is part of one candidate alone means that one: "gpu" is "webgpu", not "cpu".
  const holding = word.length > 2 ? candidates.filter((candidate) => candidate.includes(word)) : [];
  if (holding.length === 1) return holding[0];
  const best = scored[0];
  if (best === undefined) return undefined;
  const longer = Math.max(word.length, best.candidate.length);
  return best.distance <= Math.max(2, 0.4 * longer) && best.distance < longer ? best.candidate : undefined;
}

/** Levenshtein distance by the two-row dynamic programme; words are cut at 64 characters. */
function editDistance(a: string, b: string): number {
  const left = a.slice(0, 64);
  const right = b.slice(0, 64);
  let above = Array.from({ length: right.length + 1 }, (_, j) => j);
  for (let i = 1; i <= left.length; i++) {
    const row = [i];
    for (let j = 1; j <= right.length; j++) {
      const substitution = above[j - 1] + (left[i - 1] === right[j - 1] ? 0 : 1);
      row.push(Math.min(substitution, above[j] + 1, row[j - 1] + 1));
    }
    above = row;
  }
  return above[right.length];
}

/**
 * Parses the arguments of one command by its table.
 *
 * @param command name shown in errors, e.g. `pact train`
 * @throws UsageError for an unknown option (naming the nearest), a missing or bad value, or a stray argument
 * @example parseOptions("pact train", { steps: { kind: "integer", min: 1, max: 9, default: 3, help: "…" } }, ["--steps", "5"]).steps // 5
 */
export function parseOptions<T extends OptionTable>(
  command: string,
  table: T,
  args: readonly string[],
): OptionValues<T> {
  const raw = parseStrictly(command, table, args);
  const values: Record<string, Value> = {};
  for (const [name, option] of Object.entries(table))
    values[name] = readValue(command, name, option, raw[name]);
  return values as OptionValues<T>;
}

/** What parsing gives for one option. */
type Value = string | number | boolean | readonly string[] | undefined;

/**
 * The names of the options that a command line gives, whatever their values.
 *
 * @example givenOptions(["--steps", "5", "--json"]) // Set { "steps", "json" }
 */
export function givenOptions(args: readonly string[]): ReadonlySet<string> {
  const { tokens } = parseArgs({ args: [...args], strict: false, tokens: true });
  return new Set(tokens.flatMap((token) => (token.kind === "option" ? [token.name] : [])));
}

function parseStrictly(
  command: string,
  table: OptionTable,
  args: readonly string[],
): Record<string, string | boolean | (string | boolean)[] | undefined> {
  const options = Object.fromEntries(
    Object.entries(table).map(([name, option]) => [
      name,
      {
        type: option.kind === "flag" ? ("boolean" as const) : ("string" as const),
        multiple: option.kind === "list",
      },
    ]),
  );
  try {
    return parseArgs({ args: [...args], options, strict: true, allowPositionals: false }).values;
  } catch (error) {
    const hint = `See \`${command} --help\`.`;
    const { tokens } = parseArgs({ args: [...args], options, strict: false, tokens: true });
    for (const token of tokens) {
      if (token.kind === "positional")
        throw new UsageError(`${command}: unexpected argument ${quote(token.value)}. ${hint}`);
      if (token.kind === "option" && !Object.hasOwn(table, token.name))
        throw new UsageError(
          `${command}: unknown option ${token.rawName}.${didYouMean(token.name, table)} ${hint}`,
        );
      if (
        token.kind === "option" &&
        table[token.name].kind !== "flag" &&
        isMissing(token.value, token.inlineValue)
      )
        throw new UsageError(`${command}: ${token.rawName} needs a value. ${hint}`);
      if (token.kind === "option" && table[token.name].kind === "flag" && token.value !== undefined)
        throw new UsageError(
          `${command}: ${token.rawName} takes no value, received ${quote(token.value)}. ${hint}`,
        );
    }
    throw new UsageError(`${command}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Strict `parseArgs` refuses `--steps --json`: a value that looks like an option must be written `--steps=--json`. */
function isMissing(value: string | undefined, inline: boolean | undefined): boolean {
  return value === undefined || (inline !== true && value.startsWith("-"));
}

function didYouMean(name: string, table: OptionTable): string {
  const guess = nearest(name, Object.keys(table));
  return guess === undefined ? "" : ` Did you mean --${guess}?`;
}

function readValue(
  command: string,
  name: string,
  option: Option,
  raw: string | boolean | readonly (string | boolean)[] | undefined,
): Value {
  if (option.kind === "flag") return raw === true;
  if (option.kind === "list") return Array.isArray(raw) ? raw.map(String) : [];
  if (raw === undefined) return "default" in option ? option.default : undefined;
  const text = String(raw);
  if (option.kind === "text") {
    if (text === "") throw new UsageError(`${command}: --${name} needs a text, received an empty one.`);
    return text;
  }
  if (option.kind === "path") {
    if (text === "") throw new UsageError(`${command}: --${name} needs a path, received an empty one.`);
    return text;
  }
  if (option.kind === "choice") {
    if (option.choices.includes(text)) return text;
    const guess = nearest(text, option.choices);
    throw new UsageError(
      `${command}: --${name} must be one of ${option.choices.join(", ")}; received ${quote(text)}.` +
        (guess === undefined ? "" : ` Did you mean --${name} ${guess}?`),
    );
  }
  const [form, kind] =
    option.kind === "integer"
      ? [/^[0-9]{1,15}$/, "whole number"]
      : [/^-?[0-9]{1,15}(\.[0-9]{1,15})?$/, "number"];
  const value = form.test(text) ? Number(text) : Number.NaN;
  if (!(value >= option.min && value <= option.max))
    throw new UsageError(
      `${command}: --${name} must be a ${kind} from ${option.min} to ${option.max}; received ${quote(text)}.`,
    );
  return value;
}

/** Quotes an argument for an error, cut short and without control characters. */
function quote(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 57)}...` : text);
}
