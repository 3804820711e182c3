/**
 * Shapes of one number of elements seen as one: their common refinement, and strides carried over to it. So a step on
 * [1024, 128] and one on [1024, 4, 32] walk the axes [1024, 4, 32].
 */
import type { Shape } from "../shape.ts";

/** A shape and the strides of its tensors without the axes of size 1. */
export function withoutOnes(shape: Shape, ...strides: readonly Shape[]): { shape: Shape; strides: Shape[] } {
  const kept = [...shape.keys()].filter((d) => shape[d] !== 1);
  return { shape: kept.map((d) => shape[d]), strides: strides.map((s) => kept.map((d) => s[d])) };
}

/** The coarsest shape that splits the axes of each of `shapes` (of equal sizes); null if there is none. */
export function refined(shapes: readonly Shape[]): number[] | null {
  const steps = new Set<number>();
  for (const shape of shapes) {
    let step = 1;
    for (let d = shape.length - 1; d >= 0; d--) {
      step *= shape[d];
      steps.add(step);
    }
  }
  const sizes: number[] = [];
  let below = 1;
  for (const step of [...steps].sort((a, b) => a - b)) {
    if (step % below !== 0) return null;
    if (step > below) sizes.unshift(step / below);
    below = step;
  }
  return sizes;
}

/** Strides over `shape` as strides over a refinement of it; null if `fine` is none. */
export function splitStrides(shape: Shape, strides: Shape, fine: Shape): number[] | null {
  const result = new Array<number>(fine.length).fill(0);
  let at = fine.length - 1;
  for (let d = shape.length - 1; d >= 0; d--) {
    let step = 1;
    while (step < shape[d]) {
      if (at < 0) return null;
      result[at] = strides[d] * step;
      step *= fine[at];
      at--;
    }
    if (step !== shape[d]) return null;
  }
  return at < 0 ? result : null;
}

/** Strides over the axes that `has` flags, as strides over all, 0 elsewhere. */
export function spread(strides: Shape, has: readonly boolean[]): number[] {
  let next = 0;
  return has.map((flag) => (flag ? strides[next++] : 0));
}
