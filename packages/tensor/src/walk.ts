/**
 * Walking the elements of tensors of any layout: an odometer on the host, coordinates from an invocation's index in WGSL.
 */
import type { HostView } from "./op.ts";
import { broadcastStrides, coalesce, type Shape, sizeOf } from "./shape.ts";

/** Calls `visit(flat output index, operand positions)` for each element of `shape`, operands broadcast to it. */
export function walk(
  shape: Shape,
  inputs: readonly HostView[],
  visit: (index: number, at: readonly number[]) => void,
): void {
  const merged = coalesce(
    shape,
    inputs.map((x) => broadcastStrides(x.shape, x.strides, shape)),
  );
  const rank = merged.shape.length;
  const counter = new Array<number>(rank).fill(0);
  const at = inputs.map((x) => x.offset);
  const total = sizeOf(shape);
  for (let index = 0; index < total; index++) {
    visit(index, at);
    // Odometer: advance the last dimension, carry to the left.
    for (let d = rank - 1; d >= 0; d--) {
      counter[d]++;
      for (let k = 0; k < at.length; k++) at[k] += merged.strides[k][d];
      if (counter[d] < merged.shape[d]) break;
      for (let k = 0; k < at.length; k++) at[k] -= merged.strides[k][d] * merged.shape[d];
      counter[d] = 0;
    }
  }
}

/** WGSL that splits `i` into coordinates c0 … of dimensions p.d0 …. */
export function coordinates(rank: number): string {
  const lines = ["var rest = i;"];
  for (let d = rank - 1; d > 0; d--) lines.push(`let c${d} = rest % p.d${d};`, `rest = rest / p.d${d};`);
  lines.push("let c0 = rest;");
  return lines.join("\n");
}
