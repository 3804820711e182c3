/**
 * Cases for reductions, positions of extremes, running sums and top-k: any axes, sizes of 1 and 0, ties, and the whole
 * range of the integers.
 */
import * as t from "@pact/tensor";
import type { Draw } from "./draw.ts";
import { bools, floats, ints, type OpCase, type Operand } from "./problem.ts";

/** A random set of axes, as one number, a list, or nothing (all). */
export function someAxes(draw: Draw, rank: number): number | number[] | undefined {
  if (rank === 0 || draw.unit() < 0.2) return undefined;
  const axes = draw.shuffle(Array.from({ length: rank }, (_, i) => i)).slice(0, draw.int(1, rank));
  const signed = axes.map((a) => (draw.unit() < 0.5 ? a : a - rank));
  return signed.length === 1 && draw.unit() < 0.5 ? signed[0] : signed;
}

const coin = (draw: Draw) => draw.unit() < 0.5;
const someAxis = (draw: Draw, { shape }: Operand) => draw.int(-shape.length, shape.length - 1);

function reductionCase(name: string, f: (x: t.Tensor, options: t.ReduceOptions) => t.Tensor): OpCase {
  return {
    name,
    gradient: true,
    draw(draw) {
      const x = floats(draw, draw.shape(0, 3));
      const options = { axes: someAxes(draw, x.shape.length), keepDims: coin(draw) };
      return { operands: [x], run: ([x]) => f(x, options) };
    },
  };
}

/** `values` moved apart along their first axis, so that a deviation over it is far from 0, where it has a kink. */
function spread(x: Operand): Operand {
  const inner = x.values.length / x.shape[0];
  return { ...x, values: x.values.map((v, i) => Math.fround(v + 3 * Math.floor(i / inner))) };
}

function momentCase(name: string, f: typeof t.variance): OpCase {
  return {
    name,
    gradient: true,
    draw(draw) {
      const shape = [draw.pick([2, 3, 5, 7]), ...draw.shape(0, 2)];
      const others = shape.map((_, i) => i).filter((i) => i > 0 && coin(draw));
      const axes = draw.pick([draw.shuffle([0, ...others]), shape.length === 1 ? 0 : -shape.length]);
      const options = { axes, keepDims: coin(draw), correction: draw.pick([undefined, 0, 1, 0.5]) };
      return { operands: [spread(floats(draw, shape, { low: -1, high: 1 }))], run: ([x]) => f(x, options) };
    },
  };
}

function positionCase(name: string, f: typeof t.argmax): OpCase {
  return {
    name,
    gradient: false,
    draw(draw) {
      const x = { ...floats(draw, draw.shape(1, 3)) };
      // Few different numbers, so that the first of equals matters.
      if (coin(draw)) x.values = x.values.map((v) => Math.round(v));
      const axis = draw.unit() < 0.3 ? undefined : someAxis(draw, x);
      const options = { keepDims: coin(draw) };
      return { operands: [x], run: ([x]) => f(x, axis, options) };
    },
  };
}

function truthCase(name: string, f: typeof t.any): OpCase {
  return {
    name,
    gradient: false,
    draw(draw) {
      const x = bools(draw, draw.shuffle([...draw.shape(0, 2), draw.pick([0, 1, 2])]));
      const options = { axes: someAxes(draw, x.shape.length), keepDims: coin(draw) };
      return { operands: [x], run: ([x]) => f(x, options) };
    },
  };
}

const scanOptions = (draw: Draw) => ({ exclusive: coin(draw), reverse: coin(draw) });

/** k, an axis and a direction for `x`. */
function topkOf(draw: Draw, x: Operand): (x: t.Tensor) => { values: t.Tensor; indices: t.Tensor } {
  const axis = someAxis(draw, x);
  const k = draw.int(0, x.shape.at(axis)!);
  const largest = coin(draw);
  return (x) => t.topk(x, k, { axis, largest });
}

/** The part of a result that a case compares; the other is disposed of. */
function only(run: (x: t.Tensor) => { values: t.Tensor; indices: t.Tensor }, part: "values" | "indices") {
  return ([x]: t.Tensor[]) => t.scope(() => run(x)[part]);
}

export const reductionCases: OpCase[] = [
  reductionCase("sum", t.sum),
  reductionCase("mean", t.mean),
  reductionCase("max", t.max),
  reductionCase("min", t.min),
  reductionCase("logSumExp", t.logSumExp),
  momentCase("variance", t.variance),
  momentCase("std", t.std),
  positionCase("argmax", t.argmax),
  positionCase("argmin", t.argmin),
  truthCase("any", t.any),
  truthCase("all", t.all),
  {
    name: "cumsum",
    tolerance: "sum",
    gradient: true,
    draw(draw) {
      const x = floats(draw, draw.unit() < 0.1 ? [draw.size(), 0] : draw.shape(1, 3));
      const [axis, options] = [someAxis(draw, x), scanOptions(draw)];
      return { operands: [x], run: ([x]) => t.cumsum(x, axis, options) };
    },
  },
  {
    name: "topk",
    gradient: true,
    draw(draw) {
      const x = floats(draw, draw.shape(1, 3));
      return { operands: [x], run: only(topkOf(draw, x), "values") };
    },
  },
  {
    name: "topk indices, with ties",
    gradient: false,
    draw(draw) {
      const x = floats(draw, draw.shape(1, 3));
      const tied = { ...x, values: x.values.map((v) => Math.round(v)) };
      return { operands: [tied], run: only(topkOf(draw, tied), "indices") };
    },
  },
  {
    name: "sum of nothing",
    tolerance: "sum",
    gradient: true,
    draw(draw) {
      const shape = draw.shuffle([0, draw.size(), draw.size()]);
      const axes = someAxes(draw, 3);
      return { operands: [floats(draw, shape)], run: ([x]) => t.sum(x, { axes }) };
    },
  },
];

/** Integer reductions are exact and the same on both devices, also at the ends of the range. */
export const integerReductionCases: OpCase[] = (["i32", "u32"] as const).flatMap((dtype) => {
  const [low, high] = dtype === "i32" ? [-(2 ** 31), 2 ** 31 - 1] : [0, 2 ** 32 - 1];
  const whole = (draw: Draw, lowest = 1): Operand => {
    const x = { ...ints(draw, draw.shape(lowest, 3), low, high), dtype };
    return { ...x, values: x.values.map((v) => draw.pick([v, v, v, low, high, 0])) };
  };
  const integerCase = (name: string, run: (draw: Draw, x: Operand) => (x: t.Tensor) => t.Tensor): OpCase => ({
    name: `${name} of ${dtype}`,
    gradient: false,
    draw(draw) {
      const x = whole(draw);
      const of = run(draw, x);
      return { operands: [x], run: ([x]) => of(x) };
    },
  });
  const overAxes =
    (f: typeof t.sum) =>
    (draw: Draw, { shape }: Operand) => {
      const options = { axes: someAxes(draw, shape.length), keepDims: coin(draw) };
      return (x: t.Tensor) => f(x, options);
    };
  const alongAxis = (f: typeof t.argmax) => (draw: Draw, operand: Operand) => {
    const axis = someAxis(draw, operand);
    return (x: t.Tensor) => f(x, axis);
  };
  return [
    integerCase("sum", overAxes(t.sum)),
    integerCase("max", overAxes(t.max)),
    integerCase("min", overAxes(t.min)),
    integerCase("argmax", alongAxis(t.argmax)),
    integerCase("argmin", alongAxis(t.argmin)),
    integerCase("cumsum", (draw, operand) => {
      const [axis, options] = [someAxis(draw, operand), scanOptions(draw)];
      return (x) => t.cumsum(x, axis, options);
    }),
    integerCase("topk", (draw, operand) => {
      const run = topkOf(draw, operand);
      return (x) => only(run, "values")([x]);
    }),
  ];
});
