/**
 * Random functions of tensors: graphs of elementwise operations, casts, views, copies and reductions over operands of
 * broadcasting shapes in any layout, some of whose intermediate values are results too; windows at odd places before
 * operations that read four elements at once; sums with column totals. Made for fusion.
 */
import * as t from "@pact/tensor";
import { Draw } from "./draw.ts";

/** A function of `inputs`, the same operations at each call. */
export interface RandomFunction {
  readonly inputs: readonly t.Tensor[];
  run(inputs: readonly t.Tensor[]): t.Tensor[];
}

/** Draws a function with its inputs on `device`. */
export function randomFunction(draw: Draw, device: t.Device, dtype: t.DType = "f32"): RandomFunction {
  return draw.unit() < 0.15 ? randomColumns(draw, device, dtype) : randomGraph(draw, device, dtype);
}

function randomGraph(draw: Draw, device: t.Device, dtype: t.DType): RandomFunction {
  // Multiples of four take the kernels that compute four elements at once, long ones split reductions.
  const even = draw.unit() < 0.4;
  const full = Array.from({ length: draw.int(1, 3) }, () =>
    draw.pick(even ? [4, 8, 12] : [1, 2, 3, 5, 7, 40]),
  );
  if (draw.unit() < 0.3) full[0] = draw.pick([300, 520]);
  const inputs = Array.from({ length: draw.int(1, 4) }, () => operand(draw, full, device, dtype));
  const seeds = Array.from({ length: draw.int(2, 14) }, () => draw.int(0, 1e9));
  const run = (given: readonly t.Tensor[]) => {
    const pool = [...given];
    const results: t.Tensor[] = [];
    for (const seed of seeds) {
      const own = new Draw(seed);
      const pick = () => (own.unit() < 0.5 ? pool[pool.length - 1] : own.pick(pool));
      const y = step(own, pick(), pick());
      pool.push(y.size > 20_000 ? t.mean(y) : y);
      if (own.unit() < 0.25) results.push(pool[pool.length - 1]);
    }
    return [...results, pool[pool.length - 1]];
  };
  return { inputs, run };
}

/** A sum or a product of some of up to six matrices, one of them often twice, and the column totals of others. */
function randomColumns(draw: Draw, device: t.Device, dtype: t.DType): RandomFunction {
  const shape = [draw.int(2, 40), draw.pick([4, 7, 12])];
  const inputs = Array.from({ length: draw.pick([2, 3, 5, 6, 6]) }, () =>
    t.tensor(Float32Array.from(draw.floats(shape[0] * shape[1])), { shape, device, dtype }),
  );
  const product = draw.unit() < 0.4;
  const [first, ...more] = draw.shuffle([...inputs.keys()]).slice(0, product ? 2 : draw.int(2, 3));
  if (draw.unit() < 0.6) more[more.length - 1] = first;
  const own = draw.unit() < 0.4;
  const totalled = inputs.map((_, k) => k === inputs.length - 1 || draw.unit() < 0.9);
  const run = (given: readonly t.Tensor[]) => {
    const [x, ...others] = [first, ...more].map((k) => given[k]);
    const made = product ? t.mul(x, others[0]) : others.reduce((a, b) => t.add(a, b), x);
    const summed = given.filter((_, k) => totalled[k]);
    return [made, t.concat((own ? [made, ...summed] : summed).map((x) => t.sum(x, { axes: [0] })))];
  };
  return { inputs, run };
}

/** An operand that broadcasts to `full`: plain, transposed, or a window of something larger. */
function operand(draw: Draw, full: readonly number[], device: t.Device, dtype: t.DType): t.Tensor {
  const stretched = full.map((d) => (draw.unit() < 0.25 ? 1 : d));
  const shape = draw.unit() < 0.2 ? stretched.slice(draw.int(0, full.length)) : stretched;
  const filled = (sizes: readonly number[]) =>
    t.tensor(Float32Array.from(draw.floats(sizes.reduce((a, b) => a * b, 1))), {
      shape: sizes,
      device,
      dtype,
    });
  const layout = draw.pick(["plain", "plain", "transposed", "window"]);
  if (layout === "transposed" && shape.length >= 2) {
    const [m, n] = shape.slice(-2);
    return t.transpose(filled([...shape.slice(0, -2), n, m]));
  }
  if (layout === "window" && shape.length >= 1) {
    const [first, ...rest] = shape;
    return t.slice(filled([first + 2, ...rest]), [1, ...rest.map(() => 0)], [first + 1, ...rest]);
  }
  return filled(shape);
}

/** One operation, or two, on `a`, and on `b` where the shapes broadcast. */
function step(draw: Draw, a: t.Tensor, b: t.Tensor): t.Tensor {
  const axes = () => draw.shuffle([...a.shape.keys()]).slice(0, draw.int(1, a.rank));
  const unary: readonly (() => t.Tensor)[] = [
    // Means keep values near 1, so that rounding stays near 1e-7.
    () => t.mean(a),
    () => t.mean(a, a.rank > 0 ? { axes: axes(), keepDims: draw.unit() < 0.5 } : {}),
    () => t.max(a, a.rank > 0 ? { axes: axes(), keepDims: true } : {}),
    () => (a.rank >= 2 ? t.transpose(a) : t.neg(a)),
    () => t.tanh(a),
    () => t.clamp(a, { min: -0.5 - draw.unit(), max: 0.7 }),
    () => t.mul(a, 0.5 + draw.unit()),
    () => t.reshape(a, [-1]),
    () => t.cast(t.cast(t.mul(a, 3), "i32"), a.dtype),
    () => (a.rank >= 1 ? t.concat([a, t.neg(a)]) : t.abs(a)),
  ];
  const binary: readonly (() => t.Tensor)[] = [
    () => t.where(t.less(a, b), a, b),
    () => t.add(a, b),
    () => t.maximum(a, b),
    () => t.mul(t.sub(a, b), 0.5),
  ];
  if (a.size >= 24 && b.size >= 24 && draw.unit() < 0.15) return inRows(draw, a, b);
  return draw.pick(broadcast(a.shape, b.shape) ? [...unary, ...binary] : unary)();
}

/** Operations on rows of four or eight that lie at any place of `a`, or of products with two parts of `b`. */
function inRows(draw: Draw, a: t.Tensor, b: t.Tensor): t.Tensor {
  const { device, dtype } = a;
  const window = (x: t.Tensor, width: number, start: number) => {
    const rows = Math.min(9, Math.floor((x.size - start) / width));
    return t.reshape(t.slice(t.reshape(x, [-1]), [start], [start + rows * width]), [rows, width]);
  };
  const counted = (n: number) =>
    t.tensor(
      Int32Array.from({ length: n }, (_, i) => i % 4),
      { device },
    );
  const heads = (x: t.Tensor) => t.reshape(x, [x.shape[0], x.shape[1] / 4, 4]);
  const turned = (x: t.Tensor) => t.rope(heads(x), counted(x.shape[0]));
  const attended = (q: t.Tensor, k: t.Tensor) => {
    const rows = Math.min(q.shape[0], k.shape[0]);
    const ranges = Int32Array.from({ length: 4 * rows }, (_, i) => (i % 4 === 3 ? (i >> 2) + 1 : 0));
    const [few, keys] = [q, k].map((x) => t.slice(x, [0, 0, 0], [rows, ...x.shape.slice(1)]));
    return t.attention(few, keys, keys, t.attentionSpans(ranges, rows, { device }));
  };
  const products = () => {
    const [x, w] = [window(t.mul(a, 0.4), 5, 0), window(b, 5, 0)];
    const half = draw.int(1, Math.floor(w.shape[0] / 2));
    return [0, half].map((row) => t.linear(x, t.slice(w, [row, 0], [row + half, 5])));
  };
  const width = draw.pick([4, 8]);
  const x = window(draw.unit() < 0.7 ? t.mul(a, 0.9) : a, width, draw.pick([0, 1, 1, 2, 3]));
  return draw.pick([
    () => t.reshape(turned(x), x.shape),
    () => t.add(turned(x), heads(x)),
    () => {
      const q = turned(x);
      return attended(q, q);
    },
    () => t.softmax(x),
    () => t.mul(t.logProbGather(x, counted(x.shape[0])), 0.3),
    () => t.rmsNorm(t.add(x, 3), t.slice(t.reshape(b, [-1]), [1], [1 + width])),
    () => products().reduce((y, z) => t.add(y, z)),
    () => {
      const [q, k] = products().map((y) =>
        y.size < 4 ? t.zeros([1, 4], { device, dtype }) : window(y, 4, 0),
      );
      return attended(heads(q), heads(k));
    },
  ])();
}

function broadcast(a: readonly number[], b: readonly number[]): boolean {
  const shared = Math.min(a.length, b.length);
  const [x, y] = [a.slice(a.length - shared), b.slice(b.length - shared)];
  return x.every((d, i) => d === y[i] || d === 1 || y[i] === 1);
}
