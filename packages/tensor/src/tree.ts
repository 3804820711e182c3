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

/** Gradients in the structure of outputs: each like its tensor, or null where the output does not count. */
export type OutputGradients<R> = R extends Tensor
  ? Tensor | null
  : { readonly [K in keyof R]: OutputGradients<R[K]> };

export function isTensor(value: unknown): value is Tensor {
  return value instanceof Tensor;
}

/** True for plain records, not for objects of a class. */
export function isRecord(value: unknown): value is Record<string, unknown> {
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
      `parameters${at ? ` at ${at}` : ""}: expected a tensor, an array or a plain record, received ${describe(value)}. ` +
        "Keep settings out of the parameter tree; pass them as further arguments.",
    );
  };
  return walk(tree, path) as MapTree<P, T>;
}

/** `tree` with each tensor replaced by `f(tensor)`; anything that is no tensor, array or plain record stays. */
export function replaceLeaves<P>(tree: P, f: (leaf: Tensor) => Tensor | null): P {
  const walk = (value: unknown): unknown => {
    if (isTensor(value)) return f(value);
    if (Array.isArray(value)) return value.map(walk);
    if (isRecord(value)) return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, walk(v)]));
    return value;
  };
  return walk(tree) as P;
}

/** `tree` with its tensors replaced by `leaves`, in order. */
export function refill<P>(tree: P, leaves: readonly Tensor[]): P {
  let i = 0;
  return replaceLeaves(tree, () => leaves[i++]);
}

/**
 * `values` (gradients in the structure of `tree`) as a list: one entry per tensor of `tree`, with the tensor and its
 * path. Null or undefined in place of a tensor or of a whole branch means null for all of it.
 *
 * @throws AutodiffError if the structures differ.
 */
export function matchTree(
  where: string,
  tree: unknown,
  values: unknown,
  path: string,
): { leaf: Tensor; value: Tensor | null; path: string }[] {
  const absent = values === null || values === undefined;
  const mismatch = (expected: string) =>
    new AutodiffError(
      `${where}: ${path} is ${describe(values)}, expected ${expected} or null. Give one gradient per tensor, in the structure of the tensors.`,
    );
  if (isTensor(tree)) {
    if (!absent && !isTensor(values)) throw mismatch(`a tensor like ${describe(tree)}`);
    return [{ leaf: tree, value: absent ? null : (values as Tensor), path }];
  }
  if (Array.isArray(tree)) {
    if (!absent && !(Array.isArray(values) && values.length === tree.length)) {
      throw mismatch(`an array of ${tree.length}`);
    }
    return tree.flatMap((t, i) => matchTree(where, t, absent ? null : values[i], `${path}[${i}]`));
  }
  if (isRecord(tree)) {
    const names = Object.keys(tree);
    const record = isRecord(values) ? values : {};
    if (!absent && (!isRecord(values) || Object.keys(values).some((k) => !names.includes(k)))) {
      throw mismatch(`a record of ${names.join(", ")}`);
    }
    return names.flatMap((k) => matchTree(where, tree[k], record[k], `${path}.${k}`));
  }
  return [];
}

/** What a value that should have been a tensor is, for messages. */
export function describe(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (isTensor(value)) return `${value.dtype}[${value.shape.join(", ")}]`;
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (isRecord(value)) return `a record of ${Object.keys(value).join(", ") || "nothing"}`;
  return typeof value === "object" ? `an object of class ${value.constructor.name}` : `a ${typeof value}`;
}
