/**
 * The tape: which operations ran on what, and the walk back through their derivatives. Everything that differentiates
 * (autodiff.ts, checkpoint.ts) stands on `recordRun` and `walkBack`; a tape lives only inside one such call.
 */

import { callerLine } from "./caller.ts";
import { zeros } from "./create.ts";
import { AutodiffError, DisposedError } from "./errors.ts";
import { differentiable } from "./op.ts";
import { add } from "./ops/arithmetic.ts";
import { expand, reshape } from "./ops/movement.ts";
import { sumTo } from "./ops/reduce.ts";
import { popRecorder, pushRecorder, type Recordable, type Recorder } from "./recording.ts";
import { holdScopes, madeHere, scope, scopesHeld } from "./scope.ts";
import { formatShape } from "./shape.ts";
import type { Tensor } from "./tensor.ts";
import { inDerivativeOf, type Origin, watchers } from "./watch.ts";

interface Node extends Origin {
  inputs: readonly Tensor[];
  outputs: readonly Tensor[];
  backward(dys: readonly (Tensor | null)[]): readonly (Tensor | null)[];
}

/** The operations that depend on a set of tensors, in the order they ran. */
export class Tape implements Recorder {
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
      line: watchers.size > 0 ? callerLine() : undefined,
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

/** The gradients of a node's inputs; a tensor that is gone is reported as the mistake it is. */
function derivative(node: Node, dys: readonly (Tensor | null)[]): readonly (Tensor | null)[] {
  try {
    return node.backward(dys);
  } catch (error) {
    const gone = (list: readonly Tensor[]) => list.findIndex((t) => t.disposed);
    const [input, output] = [gone(node.inputs), gone(node.outputs)];
    if (!(error instanceof DisposedError) || (input < 0 && output < 0)) throw error;
    const [what, t] = input >= 0 ? [`input ${input}`, node.inputs[input]] : ["output", node.outputs[output]];
    throw new DisposedError(
      `derivative of ${node.name}: its ${what}, ${t.dtype}${formatShape(t.shape)}, was disposed inside the differentiated function, ` +
        "expected it alive until the gradient is computed. Leave out dispose() and `using` there; valueAndGrad gives temporaries back itself.",
      { cause: error },
    );
  }
}

/** Gradients of `outputs` (weighted with `seeds`) with respect to `roots`. */
export function walkBack(
  tape: Tape,
  outputs: readonly Tensor[],
  seeds: readonly (Tensor | null)[],
  roots: readonly Tensor[],
): Tensor[] {
  const gradients = new Map<Tensor, Tensor>();
  const made = new Set<Tensor>(); // gradients that this walk made, and may give back
  const release = (g: Tensor | undefined) => {
    if (!g || scopesHeld() || !made.has(g) || [...gradients.values()].includes(g)) return;
    made.delete(g);
    g.dispose();
  };
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
    inDerivativeOf(node, () => {
      const inputs = node.inputs.filter((t) => tape.depends(t));
      const before = inputs.map((t) => gradients.get(t));
      // What the derivative makes on the way goes at once; of its results, those that are gradients now stay.
      scope(() => {
        const dxs = derivative(node, dys);
        node.inputs.forEach((t, i) => {
          const g = dxs[i];
          if (g && tape.depends(t)) accumulate(t, g);
        });
        const now = inputs.map((t) => gradients.get(t)).filter((g) => g !== undefined);
        for (const g of now) if (madeHere(g)) made.add(g);
        return now;
      });
      // An output that is itself a root keeps its gradient; the others are done with.
      for (const o of node.outputs) if (!roots.includes(o)) gradients.delete(o);
      for (const g of [...before, ...dys]) release(g ?? undefined);
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
export function alias(t: Tensor): Tensor {
  return t.contiguous ? reshape(t, t.shape) : expand(t, t.shape);
}

/** Runs `f` while a tape notes what depends on `roots`; until it returns, no scope disposes anything. */
export function recordRun<R>(where: string, roots: readonly Tensor[], f: () => R): { result: R; tape: Tape } {
  const tape = new Tape(roots);
  const release = holdScopes();
  pushRecorder(tape);
  try {
    const result = f();
    refusePromise(where, result);
    return { result, tape };
  } finally {
    popRecorder(tape);
    release();
  }
}

/** Throws if `result` is a promise: what runs after an `await` could not be recorded. */
export function refusePromise(where: string, result: unknown): void {
  if (!(result instanceof Promise)) return;
  // NOTE: the rest of the async function still runs, on tensors that are gone; its failure says nothing new.
  result.catch(() => undefined);
  throw new AutodiffError(
    `${where}: the function returned a promise, expected tensors; operations are only recorded until the first await. ` +
      "Make it synchronous: await data before it and pass it as a further argument, read results back after it.",
  );
}

/** `f(inputs)` and the gradients of its inputs for given gradients of its outputs, on flat lists. */
export function pullback(
  where: string,
  f: (inputs: Tensor[]) => readonly Tensor[],
  inputs: readonly Tensor[],
  dysOf: (outputs: readonly Tensor[]) => readonly (Tensor | null)[],
): { outputs: readonly Tensor[]; grads: Tensor[] } {
  return scope(() => {
    // NOTE: one tensor may be passed twice (attention of x with itself); aliases keep its two gradients apart.
    const roots = inputs.map(alias);
    const { result, tape } = recordRun(where, roots.filter(differentiable), () => f(roots));
    return { outputs: result, grads: walkBack(tape, result, dysOf(result), roots) };
  });
}
