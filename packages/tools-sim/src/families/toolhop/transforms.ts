/**
 * The exact functions that end a `toolhop-like` chain, after those in ToolHop's questions (arXiv 2501.02506): text turned
 * round, letters counted, digits summed, dates moved. Train and held-out tasks use different ones.
 */
import type { Split } from "../../types.ts";

/** What a transform takes or gives; `digits` is a text of digits, which nothing takes. */
export type ValueKind = "text" | "number" | "date" | "digits";

/** An exact function of one value. */
export type Transform = {
  /** Tool names begin with it. */
  name: string;
  to: ValueKind;
  /** Wordings with P for the phrase of the argument; the first is the plain one. */
  phrases: readonly [string, string];
  /** Takes few values on made-up names, so that its answer is easily guessed: drawn a quarter as often. */
  isNarrow?: boolean;
} & (
  | { from: "number"; apply(value: number): string | number }
  | { from: "text" | "date"; apply(value: string): string | number }
);

function place(letter: string): number {
  return letter.toLowerCase().charCodeAt(0) - 96;
}

function total(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}

function daysLater(date: string, days: number): string {
  return new Date(Date.parse(`${date}T00:00:00Z`) + days * 86_400_000).toISOString().slice(0, 10);
}

const train: readonly Transform[] = [
  {
    name: "reverseText",
    from: "text",
    to: "text",
    phrases: ["the reverse of P", "P spelt backwards"],
    apply: (text) => [...text.toLowerCase()].reverse().join(""),
  },
  {
    name: "countLetters",
    from: "text",
    to: "number",
    phrases: ["the number of letters in P", "the count of letters in P"],
    isNarrow: true,
    apply: (text) => text.length,
  },
  {
    name: "sumPlaces",
    from: "text",
    to: "number",
    phrases: ["the sum of the alphabet places of P", "the total of the places in the alphabet of P"],
    apply: (text) => total([...text].map(place)),
  },
  {
    name: "sumDigits",
    from: "number",
    to: "number",
    phrases: ["the sum of the digits of P", "the digit sum of P"],
    apply: (number) => total([...String(number)].map(Number)),
  },
  {
    name: "doubleNumber",
    from: "number",
    to: "number",
    phrases: ["twice P", "the double of P"],
    apply: (number) => 2 * number,
  },
  {
    name: "reverseDigits",
    from: "number",
    to: "digits",
    phrases: ["the reverse order of P", "P written backwards"],
    apply: (number) => [...String(number)].reverse().join(""),
  },
  {
    name: "takeYear",
    from: "date",
    to: "number",
    phrases: ["the year of P", "the year that holds P"],
    apply: (date) => Number(date.slice(0, 4)),
  },
  {
    name: "nextDay",
    from: "date",
    to: "date",
    phrases: ["the day after P", "the date one day past P"],
    apply: (date) => daysLater(date, 1),
  },
];

const heldout: readonly Transform[] = [
  {
    name: "sortLetters",
    from: "text",
    to: "text",
    phrases: ["the alphabetic order of P", "the letter-sorted form of P"],
    apply: (text) => [...text.toLowerCase()].sort().join(""),
  },
  {
    name: "countVowels",
    from: "text",
    to: "number",
    phrases: ["the number of vowels in P", "the count of vowels in P"],
    isNarrow: true,
    apply: (text) => text.replace(/[^aeiou]/gi, "").length,
  },
  {
    name: "firstPlace",
    from: "text",
    to: "number",
    phrases: ["the alphabet place of the first letter of P", "the place in the alphabet of the start of P"],
    apply: (text) => place(text),
  },
  {
    name: "largestDigit",
    from: "number",
    to: "number",
    phrases: ["the largest digit of P", "the highest digit in P"],
    apply: (number) => Math.max(...[...String(number)].map(Number)),
  },
  {
    name: "tripleNumber",
    from: "number",
    to: "number",
    phrases: ["three times P", "the triple of P"],
    apply: (number) => 3 * number,
  },
  {
    name: "sortDigits",
    from: "number",
    to: "digits",
    phrases: ["the rising digit order of P", "the digit-sorted form of P"],
    apply: (number) => [...String(number)].sort().join(""),
  },
  {
    name: "takeMonth",
    from: "date",
    to: "number",
    phrases: ["the month number of P", "the number of the month of P"],
    apply: (date) => Number(date.slice(5, 7)),
  },
  {
    name: "weekLater",
    from: "date",
    to: "date",
    phrases: ["the day one week after P", "the date a week past P"],
    apply: (date) => daysLater(date, 7),
  },
];

/** The transforms of each split; no name is in both. */
export const transforms: Readonly<Record<Split, readonly Transform[]>> = { train, heldout };

const byName = new Map([...train, ...heldout].map((transform) => [transform.name, transform]));

/** The transform of that name, or undefined. */
export function transformOf(name: string): Transform | undefined {
  return byName.get(name);
}

/**
 * Applies a transform to what a model passed: undefined for an unknown transform or an argument that it does not take
 * (a text of up to 100 letters, a whole number from 0 to 10⁹, a date as YYYY-MM-DD).
 *
 * @example
 * ```ts
 * applyTransform("reverseDigits", 1974); // → "4791"
 * ```
 */
export function applyTransform(name: string, value: unknown): string | number | undefined {
  const transform = transformOf(name);
  if (transform === undefined) return undefined;
  if (transform.from === "number") {
    const isTaken = typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= 1e9;
    return isTaken ? transform.apply(value) : undefined;
  }
  if (typeof value !== "string") return undefined;
  const isTaken = transform.from === "date" ? isDate(value) : /^[a-z]{1,100}$/i.test(value);
  return isTaken ? transform.apply(value) : undefined;
}

function isDate(text: string): boolean {
  if (!/^\d{4}-\d\d-\d\d$/.test(text)) return false;
  const time = Date.parse(`${text}T00:00:00Z`);
  // Date.parse may roll a day that does not exist over into the next month.
  return (
    !Number.isNaN(time) &&
    new Date(time).toISOString().slice(0, 10) === text &&
    text < "9999" &&
    text > "1000"
  );
}
