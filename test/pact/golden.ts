/** Cases of the committed reference data, typed as far as these tests need. */
import { readFileSync } from "node:fs";

/** A tensor in the golden files: row-major, flat. */
export interface GoldenTensor {
  dtype: string;
  shape: number[];
  data: number[];
}

export interface GoldenCase {
  name: string;
  kind: string;
  attrs: Record<string, number | string | boolean | null>;
  inputs: Record<string, unknown>;
  outputs: Record<string, unknown>;
  grads?: Record<string, GoldenTensor>;
  gradOutput?: GoldenTensor;
}

/** All cases of a kind; at least one, so that a renamed kind can not pass silently. */
export function goldenCases(file: "rewards.json" | "rl_losses.json", kind: string): GoldenCase[] {
  const text = readFileSync(new URL(`../golden/${file}`, import.meta.url), "utf8");
  const cases = (JSON.parse(text).cases as GoldenCase[]).filter((entry) => entry.kind === kind);
  if (cases.length === 0) throw new Error(`no case of kind ${kind} in ${file}`);
  return cases;
}

/** Rows of a two-dimensional golden tensor. */
export function rowsOf(tensor: GoldenTensor): number[][] {
  const [rows, columns] = tensor.shape;
  return Array.from({ length: rows }, (_, row) => tensor.data.slice(row * columns, (row + 1) * columns));
}
