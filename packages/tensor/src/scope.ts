/**
 * Scopes give back the memory of temporaries: every tensor made inside `scope(f)` is disposed when `f` returns, except
 * those in the tree it returns, which move to the enclosing scope. While a gradient is being recorded nothing is
 * disposed early, because the backward pass still needs it: the tensors move outwards instead.
 *
 * Scopes are synchronous: JavaScript can not tell which of two interleaved async functions made a tensor. Read back
 * with `await` outside.
 */
import { ValueError } from "./errors.ts";
import type { Tensor } from "./tensor.ts";
import { isTensor, leavesOf } from "./tree.ts";

const scopes: Set<Tensor>[] = [];
let holds = 0;

/** Called by each new tensor. */
export function register(tensor: Tensor): void {
  scopes[scopes.length - 1]?.add(tensor);
}

/** While held (a gradient is recorded), ending a scope disposes nothing. Returns the release function. */
export function holdScopes(): () => void {
  holds++;
  return () => {
    holds--;
  };
}

/** Lets scopes dispose again although a gradient is recorded; for what is computed anew in the backward pass. */
export function suspendHolds(): () => void {
  const saved = holds;
  holds = 0;
  return () => {
    holds = saved;
  };
}

/** True while scopes dispose nothing. */
export function scopesHeld(): boolean {
  return holds > 0;
}

/** True if `tensor` was made inside the innermost scope. */
export function madeHere(tensor: Tensor): boolean {
  return scopes[scopes.length - 1]?.has(tensor) ?? false;
}

/** Runs `f`; the tensors it makes belong to no scope. */
export function outsideScopes<R>(f: () => R): R {
  const saved = scopes.splice(0);
  try {
    return f();
  } finally {
    scopes.splice(0, scopes.length, ...saved);
  }
}

/**
 * Runs `f` and disposes every tensor it made except those in its result (a tensor, or arrays and records of them), which
 * belong to the enclosing scope, if any. While a gradient is recorded nothing is disposed early.
 *
 * @throws ValueError if `f` returns a promise: read back after the scope.
 * @example
 * ```ts
 * const x = tensor([1, 2]);
 * const y = scope(() => mul(add(x, 1), 2)); // the sum is given back, y stays
 * await y.data(); // → [4, 6]
 * scope(async () => y.data()); // → throws ValueError
 * ```
 */
export function scope<R>(f: () => R): R {
  const made = new Set<Tensor>();
  scopes.push(made);
  let result: R | undefined;
  try {
    result = f();
    if (result instanceof Promise) {
      // NOTE: the rest of the async function still runs, on tensors that are gone; its failure says nothing new.
      result.catch(() => undefined);
      throw new ValueError(
        "scope: f returned a promise, expected a synchronous function. Read back after the scope: await scope(f).data().",
      );
    }
    return result;
  } finally {
    scopes.pop();
    const outer = scopes[scopes.length - 1];
    if (holds > 0) {
      for (const t of made) outer?.add(t);
    } else {
      for (const t of leavesOf(result)) {
        if (isTensor(t) && made.delete(t)) outer?.add(t);
      }
      // NOTE: last made, first freed: the pool then hands a repeated computation the same buffers in the same order,
      // and the bind groups made for them are found again.
      for (const t of [...made].reverse()) t.dispose();
    }
  }
}
