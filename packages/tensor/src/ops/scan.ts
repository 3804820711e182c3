/**
 * Running sums along an axis. The order of additions is fixed by the shape. Leaves out running products and maxima.
 */
import { requireOptions, requireTensors } from "../arguments.ts";
import { bufferType, type KernelCall, u32Params } from "../backends/webgpu/kernel.ts";
import { isFloat } from "../dtype.ts";
import { DTypeError } from "../errors.ts";
import { apply, type Op } from "../op.ts";
import { formatSpec, normalizeAxis, type Shape, sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";

/** Options of `cumsum`. */
export interface ScanOptions {
  /** Leave each element out of its own sum, so that the first is 0; default false. */
  exclusive?: boolean;
  /** Sum from the end; default false. */
  reverse?: boolean;
}

interface ScanAttrs {
  axis: number;
  exclusive: boolean;
  reverse: boolean;
}

/** How to walk line `l` of a contiguous tensor: it starts at ⌊l / inner⌋·n·inner + l mod inner + shift. */
function linesOf(shape: Shape, { axis, reverse }: ScanAttrs) {
  const n = shape[axis];
  const inner = sizeOf(shape.slice(axis + 1));
  return {
    n,
    inner,
    lines: sizeOf(shape) / n,
    shift: reverse ? (n - 1) * inner : 0,
    step: reverse ? -inner : inner,
  };
}

/** y_j = Σ_{k ≤ j} x_k (exclusive: k < j; reverse: k ≥ j, k > j);  dx = cumsum(dy) in the other direction */
export const cumsumOp: Op<ScanAttrs> = {
  name: "cumsum",
  infer([x]) {
    if (x.dtype === "bool")
      throw new DTypeError(`cumsum: x is ${formatSpec(x)}, expected numbers. Convert it: cast(x, "i32").`);
    return [{ shape: x.shape, dtype: x.dtype }];
  },
  cpu([x], [y], attrs) {
    const { n, inner, lines, shift, step } = linesOf(x.shape, attrs);
    const whole = !isFloat(x.dtype);
    for (let line = 0; line < lines; line++) {
      let at = Math.floor(line / inner) * n * inner + (line % inner) + shift;
      let total = 0;
      for (let k = 0; k < n; k++, at += step) {
        const next = total + x.data[x.offset + at];
        y.data[at] = attrs.exclusive ? total : next;
        // Integers wrap at 32 bits before doubles lose any.
        total = whole ? next | 0 : next;
      }
    }
  },
  webgpu([x], [y], attrs) {
    const { n, lines } = linesOf(x.shape, attrs);
    if (lines >= 512 || n < 2048) return [scanCall(x, x, y, attrs, n)];
    // About √n parts of √n elements: each of the n / chunk invocations adds as many totals as elements.
    const chunk = Math.ceil(Math.sqrt(n));
    const totals = x.device.empty([lines, Math.ceil(n / chunk)], x.dtype);
    const calls = [totalsCall(x, totals, attrs, chunk), scanCall(x, totals, y, attrs, chunk)];
    totals.dispose();
    return calls;
  },
  vjp: ({ attrs }, [dy]) => [dy && apply(cumsumOp, [dy], { ...attrs, reverse: !attrs.reverse })],
};

const lineParams = u32Params("offset", "n", "inner", "chunk", "shift", "step");

/** WGSL for the place of the first element of this invocation's chunk; an invocation has one chunk of one line. */
const chunkStart = `let chunks = (p.n + p.chunk - 1u) / p.chunk;
let line = i / chunks;
let part = i % chunks;
let stop = min(p.n, (part + 1u) * p.chunk);
var at = (line / p.inner) * p.n * p.inner + line % p.inner + p.shift + part * p.chunk * p.step;`;

function lineValues(x: Tensor, attrs: ScanAttrs, chunk: number): number[] {
  const { n, inner, shift, step } = linesOf(x.shape, attrs);
  return [x.offset, n, inner, chunk, shift, step];
}

/** The sum of each chunk. */
function totalsCall(x: Tensor, totals: Tensor, attrs: ScanAttrs, chunk: number): KernelCall {
  const type = bufferType(x.dtype);
  return {
    key: `cumsum:totals:${x.dtype}`,
    source: () => ({
      buffers: [
        { name: "x", type },
        { name: "totals", type, write: true },
      ],
      params: lineParams,
      main: `${chunkStart}
var total = ${type}(0);
for (var k = part * p.chunk; k < stop; k++) { total += x[p.offset + at]; at += p.step; }
totals[i] = total;`,
    }),
    buffers: [x, totals],
    params: lineValues(x, attrs, chunk),
    count: totals.size,
  };
}

/** Each chunk's running sums, begun with the totals of the chunks before it. With one chunk, `totals` is not read. */
function scanCall(x: Tensor, totals: Tensor, y: Tensor, attrs: ScanAttrs, chunk: number): KernelCall {
  const { n, lines } = linesOf(x.shape, attrs);
  const type = bufferType(x.dtype);
  return {
    key: `cumsum:${x.dtype}`,
    source: () => ({
      buffers: [
        { name: "x", type },
        { name: "totals", type },
        { name: "y", type, write: true },
      ],
      params: [...lineParams, ...u32Params("exclusive")],
      main: `${chunkStart}
var total = ${type}(0);
for (var k = i - part; k < i; k++) { total += totals[k]; }
for (var k = part * p.chunk; k < stop; k++) {
  let next = total + x[p.offset + at];
  y[at] = select(next, total, p.exclusive == 1u);
  total = next;
  at += p.step;
}`,
    }),
    buffers: [x, totals, y],
    params: [...lineValues(x, attrs, chunk), Number(attrs.exclusive)],
    count: lines * Math.ceil(n / chunk),
  };
}

/**
 * Running sum along `axis`: y_j = x_0 + … + x_j. With `exclusive` without x_j itself, with `reverse` from the end.
 * Integers wrap at 32 bits. The gradient is the running sum of dy in the other direction. As in PyTorch and JAX.
 *
 * @throws AxisError for an axis that `x` does not have, DTypeError for bools.
 * @example
 * ```ts
 * const x = tensor([1, 2, 3]);
 * await cumsum(x, 0).data(); // → [1, 3, 6]
 * await cumsum(x, 0, { exclusive: true }).data(); // → [0, 1, 3]
 * await cumsum(x, 0, { reverse: true }).data(); // → [6, 5, 3]
 * ```
 */
export function cumsum(x: Tensor, axis: number, options: ScanOptions = {}): Tensor {
  requireTensors("cumsum", ["x"], [x]);
  requireOptions("cumsum", options, ["exclusive", "reverse"]);
  const { exclusive = false, reverse = false } = options;
  return apply(cumsumOp, [x], { axis: normalizeAxis("cumsum", axis, x.rank), exclusive, reverse });
}
