/**
 * Functions with a derivative of their own: what happens inside is not recorded, only that it happened. `customVjp` takes
 * the derivative from the user; checkpoint.ts computes it by running the function again.
 */
import { AutodiffError, DeviceError, DTypeError, ShapeError } from "./errors.ts";
import { type Recordable, type Recorder, recordAll, unrecorded } from "./recording.ts";
import { scope, suspendHolds } from "./scope.ts";
import { formatShape, sameShape } from "./shape.ts";
import { alias, refusePromise } from "./tape.ts";
import type { Tensor } from "./tensor.ts";
import { describe, leavesOf, matchTree, type OutputGradients, refill, replaceLeaves } from "./tree.ts";

/**
 * Stands in for the recording gradients while a function runs as one piece: nothing it does is recorded, and a tensor
 * that a gradient flows through must have come in as an argument (those arrive as aliases, which nobody tracks).
 */
class CaptureGuard implements Recorder {
  private readonly where: string;
  private readonly enclosing: readonly Recorder[];

  constructor(where: string, enclosing: readonly Recorder[]) {
    this.where = where;
    this.enclosing = enclosing;
  }

  depends(t: Tensor): boolean {
    return this.enclosing.some((r) => r.depends(t));
  }

  record<A>(op: Recordable<A>, inputs: readonly Tensor[]): void {
    inputs.forEach((t, i) => {
      if (this.depends(t)) throw this.captured(`${op.name} inside used (as its input ${i})`, t);
    });
  }

  captured(how: string, t: Tensor): AutodiffError {
    return new AutodiffError(
      `${this.where}: ${how} ${t.dtype}${formatShape(t.shape)}, which is being differentiated outside and was not passed in; its gradient would be lost. ` +
        "Pass it as an argument and use that: f(x, w); or use stopGradient(w) inside if no gradient is meant to flow.",
    );
  }
}

/** One flat list of gradients per flat list of inputs; `needs` says which of them will be used. */
type FlatBackward<A, R> = (
  args: A,
  outputs: R,
  inputs: readonly Tensor[],
  dys: readonly (Tensor | null)[],
  needs: readonly boolean[],
) => readonly (Tensor | null)[];

/** `forward` as one recorded piece whose derivative is `backward`; temporaries of `forward` are disposed at once. */
export function asOnePiece<A extends readonly unknown[], R>(
  name: string,
  forward: (...args: A) => R,
  backward: FlatBackward<A, R>,
): (...args: A) => R {
  return (...args) => {
    const inputs = leavesOf(args);
    for (const t of inputs) t.assertAlive(name);
    const run = (own: readonly Tensor[], guard: CaptureGuard | undefined): R => {
      const result = forward(...refill(args, own));
      refusePromise(name, result);
      const made = leavesOf(result);
      for (const t of made) {
        t.assertAlive(name, "output");
        if (guard?.depends(t)) throw guard.captured("the function returned", t);
      }
      // Each output its own tensor, even if the function returned an argument or one tensor twice.
      return refill(result, made.map(alias));
    };
    const resume = suspendHolds();
    let result: R;
    try {
      result = scope(() => {
        const own = unrecorded(() => inputs.map(alias));
        let guard: CaptureGuard | undefined;
        return unrecorded(
          () => run(own, guard),
          (enclosing) => {
            guard = new CaptureGuard(name, enclosing);
            return guard;
          },
        );
      });
    } finally {
      resume();
    }
    const vjp: Recordable<null>["vjp"] = ({ needs }, dys) =>
      backward(args, result, inputs, dys, needs).map((g, i) => (needs[i] ? g : null));
    recordAll({ name, vjp }, inputs, leavesOf(result), null);
    return result;
  };
}

/** What a derivative given by the user may use, in the structure it was given in. */
export interface CustomContext<A, R> {
  /** The arguments of the call. */
  inputs: A;
  /** What `forward` returned for them. */
  outputs: R;
}

/** Gradients of outputs as a derivative receives them: one output always has one, of several some may be null. */
export type UpstreamGradients<R> = R extends Tensor ? Tensor : OutputGradients<R>;

/** One gradient per argument, in its structure; null where none flows (also for arguments without tensors). */
export type InputGradients<A extends readonly unknown[]> = {
  readonly [K in keyof A]: OutputGradients<A[K]> | null;
};

/**
 * A function that computes `forward` without recording what happens inside and takes its derivative from `backward`.
 *
 * Arguments and results are tensors or trees of them (arrays, plain records); other arguments are passed through.
 * `backward({ inputs, outputs }, dys)` gets the gradients of the results in their structure (with several, null for those
 * that do not count) and returns an array with one gradient per argument: dxₖ = Σᵢ (∂yᵢ/∂xₖ)ᵀ dyᵢ of the argument's
 * shape, dtype and device, or null. Write it with operations: then it can be differentiated again. Temporaries of
 * `forward` are disposed at once, also while a gradient is recorded. Tensors to differentiate must be arguments: a
 * captured one would lose its gradient and is refused.
 *
 * As jax.custom_vjp; PyTorch's torch.autograd.Function.
 *
 * @throws AutodiffError if `forward` captures a tensor that is being differentiated or returns a promise, or `backward`
 *   does not return one gradient per argument; ShapeError, DTypeError, DeviceError if a gradient does not fit.
 * @example
 * ```ts
 * // ln(1 + eˣ), with a slope that does not overflow
 * const softplus = customVjp((x: Tensor) => log1p(exp(x)), ({ inputs: [x] }, dy) => [mul(dy, sigmoid(x))]);
 * await grad((x: Tensor) => sum(softplus(x)))(tensor([0, 100])).data(); // → [0.5, 1]
 * ```
 */
export function customVjp<A extends readonly unknown[], R>(
  forward: (...args: A) => R,
  backward: (context: CustomContext<A, R>, dys: UpstreamGradients<R>) => InputGradients<A>,
): (...args: A) => R {
  const name = forward.name ? `customVjp(${forward.name})` : "customVjp";
  return asOnePiece(name, forward, (inputs, outputs, _leaves, dys) => {
    let i = 0;
    const upstream = replaceLeaves(outputs, () => dys[i++]) as unknown as UpstreamGradients<R>;
    const grads = backward({ inputs, outputs }, upstream);
    if (!Array.isArray(grads) || grads.length !== inputs.length) {
      throw new AutodiffError(
        `${name}: backward returned ${describe(grads)}, expected an array of ${inputs.length}: one gradient (or null) per argument. ` +
          "Return it as a list: return [dx].",
      );
    }
    return inputs.flatMap((arg, k) => checkedGradients(name, arg, grads[k], `the gradient of argument ${k}`));
  });
}

function checkedGradients(name: string, arg: unknown, grad: unknown, at: string): (Tensor | null)[] {
  return matchTree(name, arg, grad, at).map(({ leaf, value, path }) => {
    if (value === null) return null;
    value.assertAlive(name, "dx");
    const message = (what: string, fix: string) =>
      `${name}: ${path} is ${describe(value)} on ${value.device.kind}, expected the argument's ${what}: ${describe(leaf)} on ${leaf.device.kind}. ${fix}`;
    if (!sameShape(value.shape, leaf.shape)) {
      throw new ShapeError(
        message("shape", "Sum over what was broadcast: sum(dx, { axes }), or reshape it."),
      );
    }
    if (value.dtype !== leaf.dtype) throw new DTypeError(message("dtype", "Convert it: cast(dx, x.dtype)."));
    if (value.device !== leaf.device) {
      throw new DeviceError(message("device", "Make constants there: tensor(data, { device: x.device })."));
    }
    return value;
  });
}
