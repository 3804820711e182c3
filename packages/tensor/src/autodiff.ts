/**
 * Reverse-mode automatic differentiation, functional: `valueAndGrad(f)(params)` runs `f` while a tape notes each
 * operation that depends on the parameters, then walks the tape backwards through the records' derivatives. The tape
 * lives only inside the call. Derivatives are written with operations, so an outer gradient can record them: gradients
 * of gradients need nothing special.
 */

import { ones, zeros } from "./create.ts";
import { AutodiffError } from "./errors.ts";
import { differentiable, popRecorder, pushRecorder, type Recordable, type Recorder } from "./op.ts";
import { add } from "./ops/arithmetic.ts";
import { expand, reshape } from "./ops/movement.ts";
import { sumTo } from "./ops/reduce.ts";
import { holdScopes, scope } from "./scope.ts";
import { formatShape } from "./shape.ts";
import type { Tensor } from "./tensor.ts";
import { leavesOf, type MapTree, mapTree } from "./tree.ts";

interface Node {
  name: string;
  inputs: readonly Tensor[];
  outputs: readonly Tensor[];
  backward(dys: readonly (Tensor | null)[]): readonly (Tensor | null)[];
}

/** The operations that depend on a set of tensors, in the order they ran. */
class Tape implements Recorder {
  readonly nodes: Node[] = [];
  private readonly tracked: Set<Tensor>;

  constructor(roots: readonly Tensor[]) {
    this.tracked = new Set(roots);
  }

  record<A>(op: Recordable<A>, inputs: readonly Tensor[], outputs: readonly Tensor[], attrs: A): void {
    const needs = inputs.map((t) => this.tracked.has(t));
    if (!needs.includes(true) || !outputs.some(differentiable)) return;
    for (const o of outputs) if (differentiable(o)) this.tracked.add(o);
    this.nodes.push({
      name: op.name,
      inputs,
      outputs,
      backward: (dys) => {
        if (!op.vjp) {
          throw new AutodiffError(
            `${op.name} has no derivative. Wrap its result in stopGradient, or keep it out of the differentiated function.`,
          );
        }
        return op.vjp({ inputs, outputs, attrs, needs }, dys).map((g, i) => (needs[i] ? g : null));
      },
    });
  }

  depends(t: Tensor): boolean {
    return this.tracked.has(t);
  }
}

/** Gradients of `outputs` (weighted with `seeds`) with respect to `roots`. */
function backward(
  tape: Tape,
  outputs: readonly Tensor[],
  seeds: readonly (Tensor | null)[],
  roots: readonly Tensor[],
): Tensor[] {
  const gradients = new Map<Tensor, Tensor>();
  const accumulate = (t: Tensor, g: Tensor) => {
    const shaped = sumTo(g, t.shape);
    const sofar = gradients.get(t);
    gradients.set(t, sofar ? add(sofar, shaped) : shaped);
  };
  outputs.forEach((o, i) => {
    const seed = seeds[i];
    if (seed && tape.depends(o)) accumulate(o, seed);
  });
  for (let n = tape.nodes.length - 1; n >= 0; n--) {
    const node = tape.nodes[n];
    const dys = node.outputs.map((o) => gradients.get(o) ?? null);
    if (dys.every((d) => d === null)) continue;
    const dxs = node.backward(dys);
    // An output that is itself a root keeps its gradient; the others are done with.
    for (const o of node.outputs) if (!roots.includes(o)) gradients.delete(o);
    node.inputs.forEach((t, i) => {
      const g = dxs[i];
      if (g && tape.depends(t)) accumulate(t, g);
    });
  }
  const taken = new Set<Tensor>(seeds.filter((s) => s !== null));
  return roots.map((r) => {
    const g = gradients.get(r);
    if (!g) return zeros(r.shape, { dtype: r.dtype, device: r.device });
    // One tensor can be the gradient of several roots, or the seed; each root gets its own, to dispose of as it likes.
    const own = taken.has(g) ? alias(g) : g;
    taken.add(own);
    return own;
  });
}

/** Another tensor on the same elements. */
function alias(t: Tensor): Tensor {
  return t.contiguous ? reshape(t, t.shape) : expand(t, t.shape);
}

/** Records `f` and returns its result with the tape; the caller must keep scopes held meanwhile. */
function recordRun<R>(roots: readonly Tensor[], f: () => R): { result: R; tape: Tape } {
  for (const r of roots) {
    r.assertAlive("valueAndGrad");
    if (!differentiable(r)) {
      throw new AutodiffError(
        `valueAndGrad: a parameter has dtype ${r.dtype}; only f32 and f64 tensors have gradients. ` +
          "Pass it as a further argument instead.",
      );
    }
  }
  const tape = new Tape(roots);
  pushRecorder(tape);
  try {
    return { result: f(), tape };
  } finally {
    popRecorder(tape);
  }
}

function assertScalar(value: Tensor): void {
  if (value.size !== 1) {
    throw new AutodiffError(
      `valueAndGrad: the function must return one number, received shape ${formatShape(value.shape)}. ` +
        "Reduce it with sum or mean, or use vjp for other outputs.",
    );
  }
}

/** A value with the gradients of all parameters, in the parameters' structure. */
export interface ValueAndGrad<P> {
  value: Tensor;
  grads: MapTree<P, Tensor>;
}

/**
 * Turns `f(params, ...rest) → scalar` into a function that also returns ∂value/∂params.
 *
 * `params` is a tensor or any nesting of arrays and plain records of tensors; `grads` has the same structure. A
 * parameter that the value does not depend on gets zeros. With `{ aux: true }`, `f` returns `[scalar, aux]` and `aux`
 * (any tree of tensors) is handed through. Temporaries are disposed.
 *
 * @throws AutodiffError if the value is no scalar, a parameter is no float, or an operation has no derivative.
 * @example
 * ```ts
 * const f = valueAndGrad((x: Tensor) => sum(mul(x, x)));
 * const { value, grads } = f(tensor([1, 2, 3])); // 14, [2, 4, 6]
 * ```
 */
export function valueAndGrad<P, R extends readonly unknown[]>(
  f: (params: P, ...rest: R) => Tensor,
): (params: P, ...rest: R) => ValueAndGrad<P>;
export function valueAndGrad<P, R extends readonly unknown[], X>(
  f: (params: P, ...rest: R) => readonly [Tensor, X],
  options: { aux: true },
): (params: P, ...rest: R) => ValueAndGrad<P> & { aux: X };
export function valueAndGrad<P, R extends readonly unknown[], X>(
  f: (params: P, ...rest: R) => Tensor | readonly [Tensor, X],
): (params: P, ...rest: R) => ValueAndGrad<P> & { aux?: X } {
  return (params, ...rest) =>
    scope(() => {
      const roots = leavesOf(params);
      const release = holdScopes();
      let run: { result: Tensor | readonly [Tensor, X]; tape: Tape };
      try {
        run = recordRun(roots, () => f(params, ...rest));
      } finally {
        release();
      }
      const [value, aux] = isPair(run.result) ? run.result : [run.result, undefined];
      assertScalar(value);
      const seed = ones(value.shape, { dtype: value.dtype, device: value.device });
      const list = backward(run.tape, [value], [seed], roots);
      let i = 0;
      return {
        value: roots.includes(value) ? alias(value) : value,
        aux,
        grads: mapTree(params, () => list[i++]),
      };
    });
}

function isPair<X>(result: Tensor | readonly [Tensor, X]): result is readonly [Tensor, X] {
  return Array.isArray(result);
}

/** Like `valueAndGrad`, returning the gradients alone. */
export function grad<P, R extends readonly unknown[]>(
  f: (params: P, ...rest: R) => Tensor,
): (params: P, ...rest: R) => MapTree<P, Tensor> {
  const both = valueAndGrad(f);
  return (params, ...rest) =>
    // NOTE: an enclosing gradient may still need the value; the scope disposes it when nothing does.
    scope(() => both(params, ...rest).grads);
}

/**
 * Vector–Jacobian product: runs `f(inputs)` and contracts the given output gradients with its Jacobian.
 * Returns the outputs and the gradients of the inputs.
 */
export function vjp(
  f: (...inputs: Tensor[]) => readonly Tensor[],
  inputs: readonly Tensor[],
  dys: readonly (Tensor | null)[],
): { outputs: readonly Tensor[]; grads: Tensor[] } {
  return scope(() => {
    // NOTE: one tensor may be passed twice (attention of x with itself); aliases keep its two gradients apart.
    const roots = inputs.map(alias);
    const release = holdScopes();
    let run: { result: readonly Tensor[]; tape: Tape };
    try {
      run = recordRun(roots.filter(differentiable), () => f(...roots));
    } finally {
      release();
    }
    return { outputs: run.result, grads: backward(run.tape, run.result, dys, roots) };
  });
}
