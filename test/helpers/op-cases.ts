/**
 * Cases for the operations that are no elementwise records: products, movement, indexing; reductions are in
 * reduction-cases.ts. Each draws shapes (distinct primes, ones, zeros where allowed), arguments and layouts.
 */
import * as t from "@pact/tensor";
import type { Draw } from "./draw.ts";
import { bools, floats, ints, type OpCase, type Problem } from "./problem.ts";
import { integerReductionCases, reductionCases, someAxes } from "./reduction-cases.ts";

/** A product of a and b with the given core sizes, batch dimensions that broadcast, and either side transposed. */
function product(draw: Draw, [m, k, n]: readonly number[], batch: readonly number[]): Problem {
  const [transposeA, transposeB] = [draw.unit() < 0.5, draw.unit() < 0.5];
  const thin = () => {
    const shape = batch.map((d) => (draw.unit() < 0.3 ? 1 : d));
    return shape.slice(draw.unit() < 0.3 ? draw.int(0, shape.length) : 0);
  };
  // One side has the whole batch; which one varies.
  const [batchA, batchB] = draw.unit() < 0.5 ? [batch, thin()] : [thin(), batch];
  const a = floats(draw, [...batchA, ...(transposeA ? [k, m] : [m, k])]);
  const b = floats(draw, [...batchB, ...(transposeB ? [n, k] : [k, n])]);
  return { operands: [a, b], run: ([a, b]) => t.matmul(a, b, { transposeA, transposeB }) };
}

export const productCases: OpCase[] = [
  {
    name: "matmul",
    gradient: true,
    draw: (draw) =>
      product(draw, [draw.length(0, 9), draw.length(0, 9), draw.length(0, 9)], draw.shape(0, 2)),
  },
  {
    // Contiguous dimensions that are multiples of 4 take the vector kernels, each pair of layouts its own.
    name: "matmul of quads",
    tolerance: "matmul",
    gradient: true,
    draw(draw) {
      const problem = product(
        draw,
        [0, 1, 2].map(() => 4 * draw.int(1, 3)),
        draw.unit() < 0.5 ? [] : [draw.int(2, 3)],
      );
      return { ...problem, operands: problem.operands.map((o) => ({ ...o, layout: "plain" as const })) };
    },
  },
  {
    name: "matmul of a vector",
    tolerance: "matmul",
    gradient: true,
    draw(draw) {
      const [m, k] = [draw.size(), draw.size()];
      const vector = floats(draw, [k]);
      const batch = draw.shape(0, 1);
      if (draw.unit() < 0.5) {
        return { operands: [floats(draw, [...batch, m, k]), vector], run: ([a, b]) => t.matmul(a, b) };
      }
      return { operands: [vector, floats(draw, [...batch, k, m])], run: ([a, b]) => t.matmul(a, b) };
    },
  },
  {
    // A decoding step: few rows, which have kernels of their own, of all that divides sizes by lanes or not.
    name: "matmul of few rows",
    tolerance: "matmul",
    gradient: true,
    draw(draw) {
      const sizes = [draw.int(1, 9), draw.int(1, 45), draw.int(1, 70)];
      const quads = draw.unit() < 0.5;
      const [m, k, n] = sizes.map((size, i) => (quads && i > 0 ? 4 * Math.ceil(size / 4) : size));
      const problem = product(draw, [m, k, n], draw.unit() < 0.8 ? [] : [2]);
      return { ...problem, operands: problem.operands.map((o) => ({ ...o, layout: "plain" as const })) };
    },
  },
  {
    // A gradient that repeats along one batch dimension walks the batch unevenly.
    name: "matmul under a sum over its batch",
    gradient: true,
    draw(draw) {
      const [b, c, m, k, n] = [2, 3, draw.size(), draw.size(), draw.size()];
      const operands = [floats(draw, [b, c, m, k]), floats(draw, [b, c, k, n])];
      return { operands, run: ([x, y]) => t.scope(() => t.sum(t.matmul(x, y), { axes: 1 })) };
    },
  },
  {
    name: "linear",
    gradient: true,
    draw(draw) {
      const [rows, wide, out] = [draw.shape(1, 2), draw.size(), draw.size()];
      const operands = [floats(draw, [...rows, wide]), floats(draw, [out, wide])];
      if (draw.unit() < 0.5) operands.push(floats(draw, [out]));
      return { operands, run: ([x, w, b]) => t.linear(x, w, b) };
    },
  },
];

function movementCase(name: string, draw: (draw: Draw) => Problem): OpCase {
  return { name, tolerance: "movement", gradient: true, draw };
}

export const movementCases: OpCase[] = [
  movementCase("reshape", (draw) => {
    const x = floats(draw, draw.shape(0, 3));
    const shape = draw.shuffle([...x.shape, 1]);
    const guess = draw.int(0, shape.length);
    const target = shape.map((d, i) => (i === guess ? -1 : d));
    return { operands: [x], run: ([x]) => t.reshape(x, target) };
  }),
  movementCase("permute", (draw) => {
    const x = floats(draw, draw.shape(1, 4));
    const axes = draw.shuffle(x.shape.map((_, i) => i));
    return { operands: [x], run: ([x]) => t.permute(x, axes) };
  }),
  movementCase("transpose", (draw) => {
    const x = floats(draw, draw.shape(2, 3));
    const [a, b] = [draw.int(-2, 1), draw.int(-2, 1)];
    return { operands: [x], run: ([x]) => t.transpose(x, a, b) };
  }),
  movementCase("slice", (draw) => {
    const x = floats(draw, draw.shape(1, 3));
    const steps = x.shape.map(() => draw.pick([-3, -2, -1, 1, 2, 3]));
    // Mostly from one end to the other: a slice of one element says nothing about its steps.
    const starts = x.shape.map((d, i) => {
      if (draw.unit() < 0.3) return draw.int(0, d - 1);
      return steps[i] > 0 ? 0 : d - 1;
    });
    const stops = x.shape.map((d, i) => {
      if (draw.unit() < 0.7) return steps[i] > 0 ? d : -d - 1;
      return steps[i] > 0 ? draw.int(starts[i] + 1, d) : draw.int(-d - 1, -1);
    });
    if (draw.unit() < 0.3) {
      // Bounds anywhere, clipped, negative, in the wrong order: often an empty slice.
      const axis = draw.int(0, x.shape.length - 1);
      const d = x.shape[axis];
      [starts[axis], stops[axis]] = [draw.int(-d - 2, d + 2), draw.int(-d - 2, d + 2)];
    }
    return { operands: [x], run: ([x]) => t.slice(x, starts, stops, steps) };
  }),
  movementCase("expand", (draw) => {
    const full = draw.shape(1, 3);
    const shape = full.map((d) => (draw.unit() < 0.5 ? 1 : d)).slice(draw.int(0, 1));
    return { operands: [floats(draw, shape)], run: ([x]) => t.expand(x, full) };
  }),
  movementCase("squeeze and unsqueeze", (draw) => {
    const x = floats(draw, draw.shape(0, 2));
    const axis = draw.int(-x.shape.length - 1, x.shape.length);
    return { operands: [x], run: ([x]) => t.scope(() => t.squeeze(t.unsqueeze(x, axis), axis)) };
  }),
  movementCase("concat", (draw) => {
    const shape = draw.shape(1, 3);
    const axis = draw.int(0, shape.length - 1);
    const operands = Array.from({ length: draw.int(1, 4) }, () =>
      floats(
        draw,
        shape.map((d, i) => (i === axis ? draw.length(0, 3) : d)),
      ),
    );
    return { operands, run: (xs) => t.concat(xs, axis) };
  }),
  movementCase("stack", (draw) => {
    const shape = draw.shape(0, 2);
    const axis = draw.int(-shape.length - 1, shape.length);
    const operands = Array.from({ length: draw.int(1, 3) }, () => floats(draw, shape));
    return { operands, run: (xs) => t.stack(xs, axis) };
  }),
  movementCase("pad", (draw) => {
    const x = floats(draw, draw.shape(0, 3));
    const pads = x.shape.map((): [number, number] => [draw.int(0, 2), draw.int(0, 2)]);
    return { operands: [x], run: ([x]) => t.pad(x, pads, 0.25) };
  }),
  movementCase("split", (draw) => {
    // Put together again in reverse order, so that each part's gradient counts.
    const shape = draw.shape(1, 3);
    const axis = draw.int(-shape.length, shape.length - 1);
    const sizes = Array.from({ length: draw.int(1, 4) }, () => draw.int(0, 3));
    const equal = draw.unit() < 0.5;
    const whole = equal ? 2 * sizes.length : sizes.reduce((sum, size) => sum + size, 0);
    const x = floats(draw, shape.with(axis, whole));
    return {
      operands: [x],
      run: ([x]) => t.scope(() => t.concat(t.split(x, equal ? sizes.length : sizes, axis).reverse(), axis)),
    };
  }),
  movementCase("flip", (draw) => {
    const x = floats(draw, draw.shape(0, 3));
    const axes = someAxes(draw, x.shape.length);
    return { operands: [x], run: ([x]) => t.flip(x, axes) };
  }),
  movementCase("repeat", (draw) => {
    const x = floats(draw, draw.shape(0, 2));
    const counts = Array.from({ length: x.shape.length + draw.int(0, 1) }, () => draw.int(0, 3));
    return { operands: [x], run: ([x]) => t.repeat(x, counts) };
  }),
];

/** An index with many repeats, so that sums over equal indices are exercised. */
const indices = (draw: Draw, shape: readonly number[], size: number) => ints(draw, shape, 0, size - 1);

export const indexingCases: OpCase[] = [
  {
    name: "take",
    gradient: true,
    draw(draw) {
      const x = floats(draw, draw.shape(1, 3));
      const axis = draw.int(-x.shape.length, x.shape.length - 1);
      const index = indices(draw, [draw.length(0, 7)], x.shape.at(axis)!);
      return { operands: [x, index], run: ([x, index]) => t.take(x, index, axis) };
    },
  },
  {
    name: "embedding",
    tolerance: "take",
    gradient: true,
    draw(draw) {
      const [rows, wide] = [draw.size(), draw.size()];
      const ids = indices(draw, draw.shape(0, 2), rows);
      return { operands: [floats(draw, [rows, wide]), ids], run: ([w, ids]) => t.embedding(w, ids) };
    },
  },
  {
    name: "gather",
    gradient: true,
    draw(draw) {
      const x = floats(draw, draw.shape(1, 3));
      const axis = draw.int(0, x.shape.length - 1);
      const shape = x.shape.map((d, i) => (i === axis ? draw.length(0, 5) : d));
      return {
        operands: [x, indices(draw, shape, x.shape[axis])],
        run: ([x, i]) => t.gather(x, axis, i),
      };
    },
  },
  {
    name: "scatterAdd",
    gradient: true,
    draw(draw) {
      const x = floats(draw, draw.shape(1, 3));
      const axis = draw.int(0, x.shape.length - 1);
      const shape = x.shape.map((d, i) => (i === axis ? draw.length(0, 5) : d));
      const operands = [x, indices(draw, shape, x.shape[axis]), floats(draw, shape)];
      return { operands, run: ([x, i, source]) => t.scatterAdd(x, axis, i, source) };
    },
  },
  {
    name: "indexAdd",
    gradient: true,
    draw(draw) {
      const x = floats(draw, draw.shape(1, 3));
      const axis = draw.int(0, x.shape.length - 1);
      const count = draw.length(0, 7);
      const source = floats(
        draw,
        x.shape.map((d, i) => (i === axis ? count : d)),
      );
      const operands = [x, indices(draw, [count], x.shape[axis]), source];
      return { operands, run: ([x, i, source]) => t.indexAdd(x, axis, i, source) };
    },
  },
  {
    name: "maskedFill",
    tolerance: "where",
    gradient: true,
    draw(draw) {
      const x = floats(draw, draw.shape(0, 3));
      return { operands: [x, bools(draw, x.shape)], run: ([x, mask]) => t.maskedFill(x, mask, -7) };
    },
  },
  {
    name: "dropout",
    gradient: true,
    draw(draw) {
      const x = floats(draw, draw.shape(0, 3));
      const [rate, seed] = [0.9 * draw.unit(), draw.int(0, 1000)];
      return { operands: [x], run: ([x]) => t.dropout(x, rate, t.key(seed)) };
    },
  },
  {
    name: "oneHot",
    tolerance: "gather",
    gradient: false,
    draw(draw) {
      const classes = draw.size();
      const ids = indices(draw, draw.shape(0, 2), classes);
      return { operands: [ids], run: ([ids]) => t.oneHot(ids, classes) };
    },
  },
];

/** Integer gathers and scatters are exact and the same on both devices. */
const integerIndexingCases: OpCase[] = (["i32", "u32"] as const).flatMap((dtype) => {
  const whole = (draw: Draw, shape: readonly number[]) => ({
    ...ints(draw, shape, 0, 2 ** 31 - 1),
    dtype,
  });
  return [
    {
      name: `take of ${dtype}`,
      gradient: false,
      draw(draw: Draw) {
        const shape = draw.shape(1, 2);
        const operands = [whole(draw, shape), indices(draw, [5], shape[0])];
        return { operands, run: ([x, i]) => t.take(x, i) };
      },
    },
    {
      name: `indexAdd of ${dtype}`,
      gradient: false,
      draw(draw: Draw) {
        const shape = [draw.size(), draw.size()];
        const source = [6, shape[1]];
        const operands = [whole(draw, shape), indices(draw, [6], shape[0]), whole(draw, source)];
        return { operands, run: ([x, i, s]) => t.indexAdd(x, 0, i, s) };
      },
    },
    {
      name: `scatterAdd of ${dtype}`,
      gradient: false,
      draw(draw: Draw) {
        const shape = [draw.size(), draw.size()];
        const index = indices(draw, [shape[0], 4], shape[1]);
        const operands = [whole(draw, shape), index, whole(draw, index.shape as number[])];
        return { operands, run: ([x, i, s]) => t.scatterAdd(x, 1, i, s) };
      },
    },
    {
      name: `concat of ${dtype}`,
      gradient: false,
      draw(draw: Draw) {
        const shape = draw.shape(1, 2);
        return {
          operands: [whole(draw, shape), whole(draw, shape)],
          run: (xs) => t.concat(xs, -1),
        };
      },
    },
  ] satisfies OpCase[];
});

/** Every case about integers. */
export const integerCases: OpCase[] = [...integerReductionCases, ...integerIndexingCases];

/** Every case that is about floats. */
export const opCases: OpCase[] = [...reductionCases, ...productCases, ...movementCases, ...indexingCases];
