/** The kernel of reductions, which the matrix product and fusion use too; their records are in reduce.ts. */
import { bufferType, type KernelCall, u32Params, valueType } from "../backends/webgpu/kernel.ts";
import { coalesce, sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";

/** What a reduction starts with, and how it takes one element more: on the host and as WGSL. */
export interface Reduction {
  name: string;
  start: number;
  step(total: number, x: number): number;
  wgslStart: string;
  wgslStep(total: string, x: string): string;
  /** True if totals of integers wrap at 32 bits. */
  wraps?: boolean;
  /** True if it takes and gives bools; otherwise it takes numbers. */
  logical?: boolean;
}

/**
 * One invocation per output and part; it walks its share of the reduced elements in order. With `split` > 1 the
 * output has shape [split, outputs].
 */
export function reduceCall(
  r: Reduction,
  x: Tensor,
  out: Tensor,
  axes: readonly number[],
  split: number,
): KernelCall {
  const keep = x.shape.map((_, i) => i).filter((i) => !axes.includes(i));
  const outer = coalesce(
    keep.map((i) => x.shape[i]),
    [keep.map((i) => x.strides[i])],
  );
  const inner = coalesce(
    axes.map((i) => x.shape[i]),
    [axes.map((i) => x.strides[i])],
  );
  const [rank, depth] = [outer.shape.length, inner.shape.length];
  const length = sizeOf(inner.shape);
  // f16 is added up in f32 and rounded once.
  const type = valueType(x.dtype);
  return {
    key: `${r.name}:${x.dtype}>${out.dtype}:${rank}:${depth}`,
    source: () => ({
      buffers: [
        { name: "x", type: bufferType(x.dtype) },
        { name: "out", type: bufferType(out.dtype), write: true },
      ],
      params: u32Params(
        "offset",
        "offsetOut",
        "length",
        "outputs",
        "chunk",
        ...outer.shape.flatMap((_, d) => [`d${d}`, `s${d}`]),
        ...inner.shape.flatMap((_, d) => [`e${d}`, `t${d}`]),
      ),
      put: `fn put(at: u32, value: ${type}) { out[p.offsetOut + at] = ${bufferType(out.dtype)}(value); }`,
      helpers: `fn element(at: u32) -> ${type} { return ${type}(x[at]); }`,
      main: `var rest = i % p.outputs;
let part = i / p.outputs;
var base = p.offset;
${outer.shape
  .map((_, d) => rank - 1 - d)
  .map((d) => (d > 0 ? `base += (rest % p.d${d}) * p.s${d}; rest = rest / p.d${d};` : "base += rest * p.s0;"))
  .join("\n")}
let stop = min(p.length, (part + 1u) * p.chunk);
var total: ${type} = ${r.wgslStart};
for (var j = part * p.chunk; j < stop; j++) {
  ${depth === 1 ? "let at = base + j * p.t0;" : innerIndex(depth)}
  total = ${r.wgslStep("total", "element(at)")};
}
put(i, total);`,
    }),
    buffers: [x, out],
    params: [
      x.offset,
      out.offset,
      length,
      out.size / split,
      Math.ceil(length / split),
      ...outer.shape.flatMap((d, i) => [d, outer.strides[0][i]]),
      ...inner.shape.flatMap((d, i) => [d, inner.strides[0][i]]),
    ],
    count: out.size,
  };
}

function innerIndex(depth: number): string {
  const lines = ["var left = j;", "var at = base;"];
  for (let d = depth - 1; d > 0; d--)
    lines.push(`at += (left % p.e${d}) * p.t${d};`, `left = left / p.e${d};`);
  lines.push("at += left * p.t0;");
  return lines.join(" ");
}

/** The kernel of sums; the matrix product adds its parts with it. */
export const sumKernel: Reduction = {
  name: "sum",
  start: 0,
  step: (t, x) => t + x,
  wraps: true,
  wgslStart: "0",
  wgslStep: (t, x) => `${t} + ${x}`,
};

/** y = Σ x;  dx = dy spread over the summed elements */
