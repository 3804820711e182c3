/**
 * Reverse-mode automatic differentiation, functional: `valueAndGrad(f)(params)` runs `f` while a tape notes each
 * operation that depends on the parameters (tape.ts), then walks the tape backwards through the records' derivatives.
 * The tape lives only inside the call. Derivatives are written with operations, so an outer gradient can record them:
 * gradients of gradients need nothing special. Left out: forward mode, derivatives across an `await`.
 */
import { ones } from "./create.ts";
import { AutodiffError } from "./errors.ts";
import { differentiable } from "./op.ts";
import { madeHere, scope } from "./scope.ts";
import { formatShape, sameShape } from "./shape.ts";
import { alias, pullback, recordRun, refusePromise, walkBack } from "./tape.ts";
import type { Tensor } from "./tensor.ts";
import {
  describe,
  isTensor,
  leavesOf,
  type MapTree,
  mapTree,
  matchTree,
  type OutputGradients,
  refill,
} from "./tree.ts";

/** The tensors of the parameter tree; throws with the path of what can not have a gradient. */
function parameters(caller: string, params: unknown): Tensor[] {
  const roots: Tensor[] = [];
  mapTree(params, (t, path) => {
    t.assertAlive(caller, `params${path.startsWith("[") || path === "" ? "" : "."}${path}`);
    if (!differentiable(t)) {
      throw new AutodiffError(
        `${caller}: the parameter${path ? ` at ${path}` : ""} is ${describe(t)}; only tensors of floats have gradients. ` +
          `Pass it as a further argument instead: ${caller}(f)(params, x).`,
      );
    }
    roots.push(t);
  });
  return roots;
}

function assertValue(caller: string, value: unknown, roots: readonly Tensor[]): asserts value is Tensor {
  if (!isTensor(value)) {
    throw new AutodiffError(
      `${caller}: the function returned ${describe(value)}, expected a tensor with one element. ` +
        "Return the loss itself; other results go beside it: return [loss, aux] with valueAndGrad(f, { aux: true }).",
    );
  }
  value.assertAlive(caller, "value");
  if (value.size !== 1) {
    throw new AutodiffError(
      `${caller}: the function must return one number, received shape ${formatShape(value.shape)}. ` +
        "Reduce it with sum or mean, or use vjp for other outputs.",
    );
  }
  if (!differentiable(value)) {
    throw new AutodiffError(
      `${caller}: the function returned ${describe(value)}, expected a float. Cast what it is computed from: cast(x, "f32").`,
    );
  }
  if (!madeHere(value) && !roots.includes(value)) {
    throw new AutodiffError(
      `${caller}: the function returned a tensor that was made outside it, so nothing in it depends on the parameters. ` +
        "Compute the value inside the function, from its arguments.",
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
 * `params` is a tensor or any nesting of arrays and plain records of tensors, empty ones too; `grads` has the same
 * structure. A parameter that the value does not depend on gets zeros; a tensor that stands in several places gets its
 * full gradient in each. Gradients may share memory with each other, and the value with a parameter: copy what is changed in
 * place, `mul(grads.a, 1)`. With `{ aux: true }`, `f` returns `[scalar, aux]` and `aux` (any tree of tensors) is handed
 * through. Temporaries are disposed: what `f` made and did not return is gone afterwards. Calls nest: the gradient of a
 * gradient is a second derivative.
 *
 * @throws AutodiffError if the value is no scalar, was made outside `f` or is a promise, if a parameter is no float, or
 *   if an operation has no derivative; `DisposedError` if `f` disposed what its derivative needs.
 * @example
 * ```ts
 * const f = valueAndGrad((x: Tensor) => sum(mul(x, x)));
 * const { value, grads } = f(tensor([1, 2, 3]));
 * await value.item(); // → 14
 * await grads.data(); // → [2, 4, 6]
 * ```
 */
export function valueAndGrad<P = Tensor, R extends readonly unknown[] = []>(
  f: (params: P, ...rest: R) => Tensor,
): (params: P, ...rest: R) => ValueAndGrad<P>;
export function valueAndGrad<P, R extends readonly unknown[], X>(
  f: (params: P, ...rest: R) => readonly [Tensor, X],
  options: { aux: true },
): (params: P, ...rest: R) => ValueAndGrad<P> & { aux: X };
export function valueAndGrad<P, R extends readonly unknown[], X>(
  f: (params: P, ...rest: R) => Tensor | readonly [Tensor, X],
): (params: P, ...rest: R) => ValueAndGrad<P> & { aux?: X } {
  return differentiated("valueAndGrad", f);
}

/** `valueAndGrad`, whose errors name the function that the user called. */
function differentiated<P, R extends readonly unknown[], X>(
  caller: string,
  f: (params: P, ...rest: R) => Tensor | readonly [Tensor, X],
): (params: P, ...rest: R) => ValueAndGrad<P> & { aux?: X } {
  return (params, ...rest) =>
    scope(() => {
      const roots = parameters(caller, params);
      const { result, tape } = recordRun(caller, roots, () => f(params, ...rest));
      const [value, aux] = isPair(result) ? result : [result, undefined];
      assertValue(caller, value, roots);
      const seed = ones(value.shape, { dtype: value.dtype, device: value.device });
      const list = walkBack(tape, [value], [seed], roots);
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

/**
 * Like `valueAndGrad`, returning the gradients alone, in the structure of `params`.
 *
 * @throws AutodiffError as `valueAndGrad` does.
 * @example
 * ```ts
 * await grad((x: Tensor) => sum(mul(x, x)))(tensor([1, 2, 3])).data(); // → [2, 4, 6]
 * ```
 */
export function grad<P = Tensor, R extends readonly unknown[] = []>(
  f: (params: P, ...rest: R) => Tensor,
): (params: P, ...rest: R) => MapTree<P, Tensor> {
  const both = differentiated("grad", f);
  return (params, ...rest) =>
    // NOTE: an enclosing gradient may still need the value; the scope disposes it when nothing does.
    scope(() => both(params, ...rest).grads);
}

/**
 * Vector–Jacobian product: runs `f(...inputs)` and contracts the gradients `dys` of its outputs with its Jacobian,
 * dxₖ = Σᵢ (∂yᵢ/∂xₖ)ᵀ dyᵢ.
 *
 * Inputs and outputs are tensors or trees of them (arrays, plain records); `dys` has the structure of the outputs, each
 * a tensor of the output's shape and dtype or null, `grads` that of `inputs`. A tensor passed twice gets its two
 * gradients apart. An input that no output depends on, and one that is no float, gets zeros of its own dtype. Other
 * values among the inputs are passed through to `f` and to `grads`. Gradients may share memory with each other and with `dys`.
 *
 * @throws AutodiffError if `f` returns a promise, or a gradient in `dys` does not fit its output.
 * @example
 * ```ts
 * const x = tensor([1, 2]);
 * const { outputs, grads } = vjp((x) => [mul(x, x), sum(x)], [x], [tensor([1, 10]), tensor(100)]);
 * await outputs[0].data(); // → [1, 4]
 * await grads[0].data(); // → [102, 140]
 * ```
 */
export function vjp<A extends readonly unknown[], R>(
  f: (...inputs: A) => R,
  inputs: readonly [...A],
  dys: OutputGradients<NoInfer<R>>,
): { outputs: R; grads: MapTree<A, Tensor> } {
  const list: unknown = inputs;
  if (!Array.isArray(list)) {
    throw new AutodiffError(
      `vjp: inputs is ${describe(list)}, expected an array of what the function takes. Put brackets around it: vjp(f, [x], dys).`,
    );
  }
  let result: R | undefined;
  const { grads } = pullback(
    "vjp",
    (roots) => {
      result = f(...refill(inputs, roots));
      refusePromise("vjp", result);
      return leavesOf(result);
    },
    leavesOf(inputs),
    () => fittingGradients(result, dys),
  );
  // NOTE: pullback ran f, or threw.
  return { outputs: result as R, grads: refill(inputs, grads) as unknown as MapTree<A, Tensor> };
}

function fittingGradients(outputs: unknown, dys: unknown): (Tensor | null)[] {
  return matchTree("vjp", outputs, dys, "dys").map(({ leaf, value, path }) => {
    if (value && (!sameShape(value.shape, leaf.shape) || value.dtype !== leaf.dtype)) {
      throw new AutodiffError(
        `vjp: ${path} is ${describe(value)}, its output is ${describe(leaf)}; expected the same shape and dtype. ` +
          "Shape it like the output: expand(dy, y.shape), cast(dy, y.dtype).",
      );
    }
    return value;
  });
}
