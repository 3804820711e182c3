/**
 * Trees of tensors: a tensor, or arrays and plain records of trees, to any depth. Parameters, gradients and scope
 * results are trees. Leaves are visited in the order of the structure (record keys in insertion order).
 */
import { AutodiffError } from "./errors.ts";
import { Tensor } from "./tensor.ts";

/** A tensor or a nesting of arrays and records of tensors. */
export type Tree = Tensor | readonly Tree[] | { readonly [name: string]: Tree };

/** The same structure with every tensor replaced by a `T`. */
export type MapTree<P, T> = P extends Tensor ? T : { [K in keyof P]: MapTree<P[K], T> };

export function isTensor(value: unknown): value is Tensor {
  return value instanceof Tensor;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** Every tensor inside `value`; anything that is no tensor, array or plain record is passed over. */
export function leavesOf(value: unknown): Tensor[] {
  if (isTensor(value)) return [value];
  if (Array.isArray(value)) return value.flatMap(leavesOf);
  if (isRecord(value)) return Object.values(value).flatMap(leavesOf);
  return [];
}

/** The structure of `tree` with each tensor replaced by `f(tensor, path)`. */
export function mapTree<P, T>(tree: P, f: (leaf: Tensor, path: string) => T, path = ""): MapTree<P, T> {
  const walk = (value: unknown, at: string): unknown => {
    if (isTensor(value)) return f(value, at);
    if (Array.isArray(value)) return value.map((v, i) => walk(v, `${at}[${i}]`));
    if (isRecord(value)) {
      return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, walk(v, at ? `${at}.${k}` : k)]));
    }
    throw new AutodiffError(
      `parameters${at ? ` at ${at}` : ""}: expected a tensor, an array or a plain record, received ${typeof value}. ` +
        "Keep settings out of the parameter tree; pass them as further arguments.",
    );
  };
  return walk(tree, path) as MapTree<P, T>;
}
