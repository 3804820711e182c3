/**
 * What every part of the golden checker shares: the tensor format of the JSON files, comparing with a tolerance, and
 * outcomes with their summary.
 */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Device, type DType, type Tensor, tensor } from "@pact/tensor";

/** Where and in which precision tensors are computed. */
export type Context = { readonly device: Device; readonly dtype: "f32" | "f64" };

/** A tensor as the files hold it: row-major; `"inf"`, `"-inf"` and `"nan"` stand for what JSON can not say. */
export type GoldenTensor = {
  readonly dtype: "float64" | "int64" | "bool";
  readonly shape: readonly number[];
  readonly data: readonly (number | string)[];
  readonly requiresGrad?: boolean;
};

/** What became of one case. */
export type Outcome = {
  readonly name: string;
  readonly status: "passed" | "failed" | "unsupported";
  readonly reason: string;
};

/** The printed result. */
export type Report = {
  readonly passed: number;
  readonly failed: number;
  readonly unsupported: number;
  readonly failures: { name: string; reason: string }[];
};

/** The folder to check can not be read. */
export class GoldenFolderError extends Error {}

/** Thrown by a case that this build has no function for; it counts as unsupported, not as failed. */
export class Unsupported extends Error {}

/** Files of a golden folder, and its subfolders that hold a model. */
export async function listFolder(folder: string): Promise<{ files: Set<string>; models: string[] }> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    const files = new Set(entries.filter((entry) => entry.isFile()).map((entry) => entry.name));
    const models: string[] = [];
    for (const entry of entries) {
      if (entry.isDirectory() && (await readdir(join(folder, entry.name))).includes("reference.json"))
        models.push(entry.name);
    }
    return { files, models: models.sort() };
  } catch (error) {
    throw new GoldenFolderError(
      `Can not read the golden folder: ${(error as Error).message}. Pass one with --dir.`,
    );
  }
}

/** Parses one JSON file of the folder. */
export async function readJson<T>(...path: string[]): Promise<T> {
  return JSON.parse(await readFile(join(...path), "utf8"));
}

/** Runs one case; `check` returns what is wrong with it (empty: passed). */
export async function runCase(name: string, check: () => string[] | Promise<string[]>): Promise<Outcome> {
  try {
    const problems = await check();
    if (problems.length === 0) return { name, status: "passed", reason: "" };
    return { name, status: "failed", reason: problems.slice(0, 5).join("; ") };
  } catch (error) {
    const status = error instanceof Unsupported ? "unsupported" : "failed";
    return { name, status, reason: error instanceof Error ? error.message : String(error) };
  }
}

/** Counts outcomes. */
export function summarise(outcomes: readonly Outcome[]): Report {
  const count = (status: Outcome["status"]) => outcomes.filter((outcome) => outcome.status === status).length;
  return {
    passed: count("passed"),
    failed: count("failed"),
    unsupported: count("unsupported"),
    failures: outcomes.filter((o) => o.status === "failed").map(({ name, reason }) => ({ name, reason })),
  };
}

/** Numbers of a golden tensor. */
export function numbers({ data }: Pick<GoldenTensor, "data">): number[] {
  return data.map((value) => {
    if (typeof value === "number") return value;
    return (
      { inf: Number.POSITIVE_INFINITY, "-inf": Number.NEGATIVE_INFINITY, nan: Number.NaN }[value] ??
      Number.NaN
    );
  });
}

/** A golden tensor on the device: float64 in the context's dtype, int64 as i32. */
export function toTensor({ device, dtype }: Context, golden: GoldenTensor): Tensor {
  const types: Record<GoldenTensor["dtype"], DType> = { float64: dtype, int64: "i32", bool: "bool" };
  const data =
    golden.dtype === "float64" ? Float64Array.from(numbers(golden)) : Int32Array.from(numbers(golden));
  return tensor(data, { shape: golden.shape, dtype: types[golden.dtype], device });
}

/** What differs between `actual` and `expected`, if anything, as a list of at most one sentence. */
export function compare(
  what: string,
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: (reference: number) => number,
): string[] {
  if (actual.length !== expected.length)
    return [`${what}: ${actual.length} values, expected ${expected.length}`];
  for (let i = 0; i < expected.length; i++) {
    const [a, e] = [actual[i], expected[i]];
    const same = Object.is(a, e) || Math.abs(a - e) <= tolerance(e); // Object.is: NaN and infinities that must be met
    if (!same)
      return [
        `${what}[${i}] is ${a}, expected ${e} (difference ${Math.abs(a - e)}, allowed ${tolerance(e)})`,
      ];
  }
  return [];
}

/** As `compare`, for a device tensor; the shape must agree too. */
export async function compareTensor(
  what: string,
  actual: Tensor,
  expected: Pick<GoldenTensor, "shape" | "data">,
  tolerance: (reference: number) => number,
): Promise<string[]> {
  if (actual.shape.join() !== expected.shape.join())
    return [`${what} has shape [${actual.shape}], expected [${expected.shape}]`];
  return compare(what, await actual.data(), numbers(expected), tolerance);
}

/** `bound` · max(1, |reference|), the golden files' usual tolerance. */
export function relative(bound: number): (reference: number) => number {
  return (reference) => bound * Math.max(1, Math.abs(reference));
}
