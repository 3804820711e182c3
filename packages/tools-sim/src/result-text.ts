/**
 * The text of what a tool gave back, whatever that is: strings as they are, anything else as JSON with Python's spacing.
 * Tools are other people's code, so results are bounded in size and depth, may refer to themselves, hold things that JSON
 * has no form for, or throw when they are read. Differs from JSON.stringify where that loses data in silence: NaN,
 * infinities, Map and Set are refused, and bigints are written as numbers.
 */

/** Bounds on a result: characters of its text, nesting. */
export const resultLimits = { textLength: 100_000, depth: 100 } as const;

/** A value that has no JSON text; the message says what and where. */
export class ResultError extends Error {
  override readonly name = "ResultError";
}

/**
 * The text, cut after `resultLimits.textLength` characters with a note that says so.
 *
 * @throws ResultError for circular values and such that JSON can not hold, and whatever reading the value throws
 * @example
 * ```ts
 * resultText({ town: "Bavo", n: [1, 2] }); // → '{"town": "Bavo", "n": [1, 2]}'
 * ```
 */
export function resultText(value: unknown): string {
  if (typeof value === "string") return cutText(value);
  const writer = new Writer();
  writer.write(value, "result", 0);
  return cutText(writer.text);
}

function cutText(text: string, limit: number = resultLimits.textLength): string {
  return text.length <= limit ? text : `${text.slice(0, limit)}… (cut after ${limit} characters)`;
}

/** Writes until the text is long enough to be cut. */
class Writer {
  text = "";
  readonly #open = new Set<object>();

  get #isFull(): boolean {
    return this.text.length > resultLimits.textLength;
  }

  write(given: unknown, place: string, depth: number): void {
    if (this.#isFull) return;
    let value = given;
    if (
      typeof value === "object" &&
      value !== null &&
      "toJSON" in value &&
      typeof value.toJSON === "function"
    ) {
      value = (value.toJSON as () => unknown)();
    }
    if (value === null || value === undefined) this.text += "null";
    else if (typeof value === "string")
      this.text += JSON.stringify(value.slice(0, resultLimits.textLength + 1));
    else if (typeof value === "boolean" || typeof value === "bigint") this.text += String(value);
    else if (typeof value === "number") {
      if (!Number.isFinite(value)) throw new ResultError(`${place} is ${value}, which JSON can not hold`);
      this.text += JSON.stringify(value);
    } else if (typeof value === "object") this.#structure(value, place, depth);
    else throw new ResultError(`${place} is a ${typeof value}, which JSON can not hold`);
  }

  #structure(value: object, place: string, depth: number): void {
    if (this.#open.has(value)) throw new ResultError(`${place} contains itself`);
    if (depth === resultLimits.depth) throw new ResultError(`result is nested deeper than ${depth}`);
    if (value instanceof Map || value instanceof Set || value instanceof Promise) {
      throw new ResultError(`${place} is a ${value.constructor.name}, which JSON can not hold`);
    }
    this.#open.add(value);
    if (Array.isArray(value)) {
      this.text += "[";
      for (let i = 0; i < value.length && !this.#isFull; i++) {
        if (i > 0) this.text += ", ";
        this.write(value[i], `${place}[${i}]`, depth + 1);
      }
      this.text += "]";
    } else {
      this.text += "{";
      let first = true;
      for (const key of Object.keys(value)) {
        if (this.#isFull) break;
        const item: unknown = (value as Record<string, unknown>)[key];
        // Left out as by JSON.stringify: a member that is not there, and methods.
        if (item === undefined || typeof item === "function") continue;
        this.text += `${first ? "" : ", "}${JSON.stringify(key)}: `;
        first = false;
        this.write(item, `${place}.${key}`.slice(0, 200), depth + 1);
      }
      this.text += "}";
    }
    this.#open.delete(value);
  }
}

/** What a thrown value says, in at most 2,000 characters; never throws. */
export function errorText(error: unknown): string {
  try {
    const text =
      error instanceof Error ? error.message : typeof error === "string" ? error : resultText(error);
    return cutText(
      typeof text === "string" && text !== "" ? text : "the tool failed without a message",
      2000,
    );
  } catch {
    return "the tool failed with an error that can not be read";
  }
}
