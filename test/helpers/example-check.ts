/**
 * What a documentation example compares: the value of a line with the literal after its `// →`. Called from the modules
 * that examples.ts writes.
 */
import { Tensor } from "@pact/tensor";

/** Tensors are compared by dtype and shape, written `f32[2, 3]`. */
function described(value: unknown): unknown {
  if (!(value instanceof Tensor)) return value;
  return `${value.dtype}[${value.shape.join(", ")}]`;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

const isList = (value: unknown): value is ArrayLike<unknown> =>
  Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));

/** Deep equality; numbers within 1e-6 · max(1, |expected|), typed arrays like arrays, tensors by dtype and shape. */
export function matches(received: unknown, expected: unknown): boolean {
  const actual = described(received);
  if (typeof actual === "number" && typeof expected === "number") {
    if (Object.is(actual, expected) || actual === expected) return true;
    return Math.abs(actual - expected) <= 1e-6 * Math.max(1, Math.abs(expected));
  }
  if (isList(actual) && isList(expected)) {
    return actual.length === expected.length && Array.from(expected).every((e, i) => matches(actual[i], e));
  }
  if (isRecord(actual) && isRecord(expected) && !isList(actual) && !isList(expected)) {
    const [own, wanted] = [Object.keys(actual), Object.keys(expected)];
    return (
      own.length === wanted.length && wanted.every((k) => k in actual && matches(actual[k], expected[k]))
    );
  }
  return Object.is(actual, expected);
}

function shown(value: unknown): string {
  const plain = (_: string, inner: unknown): unknown => {
    const known = described(inner);
    if (typeof known === "number" && !Number.isFinite(known)) return String(known);
    if (typeof known === "bigint") return `${known}n`;
    return isList(known) ? Array.from(known) : known;
  };
  return JSON.stringify(value, plain) ?? String(value);
}

/** Throws unless `run` gives `expected`; `where` is the example's file and line. */
export async function check(where: string, run: () => unknown, expected: unknown): Promise<void> {
  const received = await run();
  if (!matches(received, expected)) {
    throw new Error(`${where}: received ${shown(received)}, the example says ${shown(expected)}`);
  }
}

/** Throws unless `run` throws an error of the class called `name`. */
export async function checkThrows(where: string, run: () => unknown, name: string): Promise<void> {
  let received: unknown;
  try {
    received = await run();
  } catch (error) {
    if (error instanceof Error && error.name === name) return;
    throw new Error(`${where}: the example says ${name}, but it threw ${String(error)}`, { cause: error });
  }
  throw new Error(`${where}: the example says ${name}, but the line gave ${shown(received)}`);
}
