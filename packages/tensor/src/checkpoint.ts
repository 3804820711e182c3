/**
 * Recomputation: less memory for more work. After Chen, Xu, Zhang, Guestrin, "Training deep nets with sublinear memory
 * cost" (arXiv 1604.06174): of a checkpointed function only inputs and outputs are kept until the backward pass, which
 * runs it again. Choosing what to checkpoint is left to the caller.
 */
import { asOnePiece } from "./custom-vjp.ts";
import { AutodiffError } from "./errors.ts";
import { pullback } from "./tape.ts";
import type { Tensor } from "./tensor.ts";
import { leavesOf, refill } from "./tree.ts";

/**
 * `f`, recomputed in the backward pass instead of remembered. The value is the same; of a gradient's memory only the
 * arguments and results of each call remain between forward and backward. N layers in √N groups need memory for about
 * 2√N layers instead of N, at the price of a second forward.
 *
 * Arguments and results are tensors or trees of them (arrays, plain records); other arguments are passed through. `f`
 * must compute the same when it runs again: randomness comes from keys, so it does as long as its key is an argument or a
 * constant and it reads no state that changes. Tensors to differentiate must be arguments: a captured one would lose its
 * gradient and is refused. Gradients have the same bits as without `checkpoint` where each tensor is used inside one call
 * only; a tensor shared by several calls gets the same terms, added call by call. Calls nest, and can be differentiated
 * again (a second derivative keeps what the recomputation makes).
 *
 * @throws AutodiffError if `f` captures a tensor that is being differentiated, returns a promise, or returns other
 *   outputs when it runs again.
 * @example
 * ```ts
 * const layer = checkpoint((w: Tensor, x: Tensor) => tanh(mul(w, x)));
 * const f = (w: Tensor) => sum(layer(w, layer(w, tensor([1, 2]))));
 * await grad(f)(tensor(0)).data(); // → [0]
 * ```
 */
export function checkpoint<A extends readonly unknown[], R>(f: (...args: A) => R): (...args: A) => R {
  const name = f.name ? `checkpoint(${f.name})` : "checkpoint";
  return asOnePiece(name, f, (args, outputs, inputs, dys, needs) => {
    // Frozen arguments stay what they are: a gradient for each would cost the memory that this is to save.
    const merge = <T>(chosen: readonly T[], rest: (i: number) => T): T[] => {
      let next = 0;
      return needs.map((need, i) => (need ? chosen[next++] : rest(i)));
    };
    const { grads } = pullback(
      name,
      (roots) =>
        leavesOf(
          f(
            ...refill(
              args,
              merge(roots, (i) => inputs[i]),
            ),
          ),
        ),
      inputs.filter((_, i) => needs[i]),
      (remade) => {
        if (remade.length !== leavesOf(outputs).length) {
          throw new AutodiffError(
            `${name}: the function returned ${remade.length} tensors when it ran again, ${leavesOf(outputs).length} before. ` +
              "Keep it free of state: pass what changes as an argument.",
          );
        }
        return dys;
      },
    );
    return merge<Tensor | null>(grads, () => null);
  });
}
