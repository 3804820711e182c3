/**
 * The kernels of the norms: one invocation walks a row, and where rows and offsets are whole quads it reads and writes four
 * neighbours at once. Sums are taken element by element all the same, so the two have the same bits.
 */
import { type KernelCall, u32Params } from "../backends/webgpu/kernel.ts";
import type { Tensor } from "../tensor.ts";
import { Rows } from "./rows-wgsl.ts";

/** Attributes of a norm. */
export interface NormAttrs {
  eps: number;
  /** Subtract the mean (layer norm) or not (RMS norm). */
  centred: boolean;
}

/** A matrix whose rows are added up before they are normalised: `step` elements from row to row, 0 for one row to all. */
export interface Term {
  readonly x: Tensor;
  readonly step: number;
}

/** The buffers of one start by name; those from `writes` on are written. */
interface Buffers {
  readonly tensors: Readonly<Record<string, Tensor>>;
  readonly writes: number;
  /** From row to row of the terms. */
  readonly steps?: readonly number[];
}

/** Mean `m` of the row at `x0`, and its scale `r`. `added` is what a first walk computes as `a`, the row's elements. */
function statistics(rows: Rows, added?: string): string {
  const mean = added
    ? `${rows.each(`${added} x[x0 + j] = a; ${rows.total("m", "a")}`)}
m = select(0.0, m / f32(p.n), p.centred == 1u);`
    : `if (p.centred == 1u) {
  ${rows.each(`let a = x[x0 + j]; ${rows.total("m", "a")}`)}
  m = m / f32(p.n);
}`;
  return `let q = p.n / ${rows.width}u;
let x0 = p.ox + i * q;
var m = 0.0;
${mean}
var v = 0.0;
${rows.each(`let c = x[x0 + j] - m; let s = c * c; ${rows.total("v", "s")}`)}
let r = inverseSqrt(v / f32(p.n) + p.eps);`;
}

const normalized = (bias: boolean) => `(x[x0 + j] - m) * r * w[p.ow + j]${bias ? " + b[p.ob + j]" : ""}`;

/** y = x̂·w (+ b) of each row. */
export function normCall(
  x: Tensor,
  w: Tensor,
  b: Tensor | undefined,
  y: Tensor,
  attrs: NormAttrs,
): KernelCall {
  const tensors: Record<string, Tensor> = b ? { x, w, b, y } : { x, w, y };
  return call(`norm${b ? ":bias" : ""}`, { tensors, writes: 1 }, attrs, (rows) =>
    [statistics(rows), rows.each(`put(p.oy + i * q + j, ${normalized(b !== undefined)});`)].join("\n"),
  );
}

/** x = the sum of two or three terms in order, y = x̂·w (+ b). The sum is written as it is read for the mean. */
export function residualNormCall(
  terms: readonly Term[],
  w: Tensor,
  b: Tensor | undefined,
  x: Tensor,
  y: Tensor,
  attrs: NormAttrs,
): KernelCall {
  const [t0, t1, t2 = t1] = terms;
  const tensors: Record<string, Tensor> = { t0: t0.x, t1: t1.x, t2: t2.x, w, ...(b && { b }), x, y };
  const steps = [terms.length, t0.step, t1.step, t2.step];
  const at = (k: number) => `t${k}[p.ot${k} + i * p.s${k} + j]`;
  const added = `var a = ${at(0)} + ${at(1)}; if (p.terms > 2u) { a += ${at(2)}; }`;
  return call(`norm:residual${b ? ":bias" : ""}`, { tensors, writes: 2, steps }, attrs, (rows) =>
    [statistics(rows, added), rows.each(`y[p.oy + i * q + j] = ${normalized(b !== undefined)};`)].join("\n"),
  );
}

/** With g = w·dy: dx = r·(g − mean(g·x̂)·x̂ − [centred] mean(g)) (+ past), and dy·x̂ for dw. */
export function normBackwardCall(
  [x, w, dy, past]: readonly Tensor[],
  [dx, dwRows]: readonly Tensor[],
  attrs: NormAttrs,
): KernelCall {
  const tensors: Record<string, Tensor> = { x, w, dy, ...(past && { past }), dx, dwRows };
  return call(`normBackward${past ? ":past" : ""}`, { tensors, writes: 2 }, attrs, (rows) =>
    [
      statistics(rows),
      "let d0 = p.ody + i * q;\nvar meanG = 0.0;\nvar meanGX = 0.0;",
      rows.each(
        `let g = w[p.ow + j] * dy[d0 + j]; let h = g * (x[x0 + j] - m) * r; ${rows.total("meanG", "g")} ${rows.total("meanGX", "h")}`,
      ),
      "meanG = select(0.0, meanG / f32(p.n), p.centred == 1u);\nmeanGX = meanGX / f32(p.n);",
      rows.each(`let xhat = (x[x0 + j] - m) * r;
  let d = dy[d0 + j];
  dx[p.odx + i * q + j] = r * (w[p.ow + j] * d - meanGX * xhat - meanG)${past ? " + past[p.opast + i * q + j]" : ""};
  dwRows[p.odwRows + i * q + j] = d * xhat;`),
    ].join("\n"),
  );
}

function call(
  key: string,
  { tensors, writes, steps }: Buffers,
  { eps, centred }: NormAttrs,
  main: (rows: Rows) => string,
): KernelCall {
  const names = Object.keys(tensors);
  const buffers = Object.values(tensors);
  const { x, w } = tensors;
  const quads = [w.size, ...buffers.map((t) => t.offset), ...(steps?.slice(1) ?? [])].every(
    (k) => k % 4 === 0,
  );
  const rows = new Rows(quads ? 4 : 1);
  const { type, width } = rows;
  const [terms = 0, ...between] = steps ?? [];
  const last = names[names.length - 1];
  return {
    key: `${key}${quads ? ":quad" : ""}`,
    source: () => ({
      buffers: names.map((name, k) => ({ name, type, write: k >= names.length - writes })),
      params: [
        ...u32Params("n", "centred", ...names.map((name) => `o${name}`)),
        ...(steps ? u32Params("terms", "s0", "s1", "s2") : []),
        { name: "eps", type: "f32" },
      ],
      put: writes === 1 ? `fn put(at: u32, value: ${type}) { ${last}[at] = value; }` : undefined,
      main: main(rows),
    }),
    buffers,
    params: [
      w.size,
      centred ? 1 : 0,
      ...buffers.map((t) => t.offset / width),
      ...(steps ? [terms, ...between.map((k) => k / width)] : []),
      eps,
    ],
    count: x.size / w.size,
  };
}
