/** Mistakes in the tape and in the derivatives of reductions, products, movement and indexing. */
import { elementwise, golden, inFile, type Mutant, named, operation, second } from "./mutant.ts";

const autodiff = named("test/tensor/autodiff.test.ts", /./);

export const structureMutants: readonly Mutant[] = [
  ...inFile("tape.ts", [
    ["tape: a second use overwrites the first", "sofar ? add(sofar, shaped) : shaped", "shaped", autodiff],
    [
      "tape: walked forwards",
      "for (let n = tape.nodes.length - 1; n >= 0; n--) {\n    const node = tape.nodes[n];",
      "for (let n = 0; n < tape.nodes.length; n++) {\n    const node = tape.nodes[n];",
      autodiff,
    ],
  ]),
  ...inFile("ops/reduce.ts", [
    [
      "broadcasting: leading axes not summed",
      "(i) => i < shift || (shape[i - shift] === 1 && x.shape[i] !== 1)",
      "(i) => i >= shift && shape[i - shift] === 1 && x.shape[i] !== 1",
      elementwise("add"),
    ],
    ["broadcasting: stretched axes not summed", "x.shape[i] !== 1)", "x.shape[i] === 1)", golden],
    [
      "sum: dy not spread, but halved",
      "[dy && expand(dy, x.shape)]",
      "[dy && expand(mul(dy, 0.5), x.shape)]",
      operation("sum"),
    ],
    [
      "max: ties all get dy",
      "[mul(hits, div(dy, apply(sumOp, [hits], { axes })))]",
      "[mul(hits, dy)]",
      golden,
    ],
    [
      "max: dy everywhere",
      "[mul(hits, div(dy, apply(sumOp, [hits], { axes })))]",
      "[expand(dy, x.shape)]",
      operation("max"),
    ],
    [
      "min: gradient of the maximum",
      "cast(equal(x, y), x.dtype)",
      "cast(equal(x, apply(maxOp, [x], { axes })), x.dtype)",
      golden,
    ],
  ]),
  ...inFile("composed.ts", [
    [
      "mean: divided by all elements",
      "div(total, sizeOf(axes.map((a) => x.shape[a])))",
      "div(total, x.size)",
      golden,
    ],
    [
      "variance: centred by the sum",
      "const centred = sub(wide, mean(wide, { axes, keepDims: true }));",
      "const centred = sub(wide, sum(wide, { axes, keepDims: true }));",
      golden,
    ],
    [
      "variance: mean held constant",
      "sub(wide, mean(wide, { axes, keepDims: true }))",
      "sub(wide, stopGradient(mul(mean(wide, { axes, keepDims: true }), 0.5)))",
      golden,
    ],
    ["variance: correction forgotten", "count - correction);", "count);", golden],
    [
      "std: slope at 0 not guarded",
      "sqrt(where(flat, 1, squared))",
      "sqrt(squared)",
      named("test/tensor/reductions.test.ts", /std/),
    ],
    [
      "stopGradient: lets it through",
      "return unrecorded(() => reshape(x, x.shape));",
      "return reshape(x, x.shape);",
      autodiff,
    ],
  ]),
  ...inFile("losses.ts", [
    ["crossEntropy: ignored targets count", "mul(where(counted, losses, 0), weights)", "losses", golden],
    [
      "crossEntropy: weights not averaged over",
      "const total = sum(weights);",
      "const total = sum(ones);",
      named("test/tensor/special.test.ts", /./),
    ],
    ["klDivergence: p squared", "const p = exp(logP);", "const p = exp(mul(logP, 2));", golden],
    [
      "klDivergence: sign",
      "sum(mul(p, difference), { axes: -1 })",
      "sum(sub(0, mul(p, difference)), { axes: -1 })",
      golden,
    ],
  ]),
  ...inFile("ops/scan.ts", [
    [
      "cumsum: summed in the same direction",
      "{ ...attrs, reverse: !attrs.reverse }",
      "attrs",
      operation("cumsum"),
    ],
    [
      "cumsum: exclusive forgotten backward",
      "{ ...attrs, reverse: !attrs.reverse }",
      "{ ...attrs, exclusive: false, reverse: !attrs.reverse }",
      operation("cumsum"),
    ],
  ]),
  ...inFile("ops/topk.ts", [
    [
      "topk: put back onto x",
      "scatterAdd(zeros(x.shape, { dtype: x.dtype, device: x.device }), -1, indices, dvalues)",
      "scatterAdd(x, -1, indices, dvalues)",
      operation("topk"),
    ],
    [
      "topk: gradient at the first place",
      "-1, indices, dvalues)",
      '-1, zeros(indices.shape, { dtype: "i32", device: x.device }), dvalues)',
      operation("topk"),
    ],
  ]),
  ...inFile("ops/dropout.ts", [
    [
      "dropout: survivors not scaled",
      "where(kept, mul(x, 1 / (1 - rate)), 0)",
      "where(kept, x, 0)",
      named("test/tensor/draws.test.ts", /dropout/),
    ],
    [
      "dropout: gradient scaled once more",
      "where(kept, mul(x, 1 / (1 - rate)), 0)",
      "where(kept, mul(x, rate / (1 - rate)), 0)",
      named("test/tensor/draws.test.ts", /dropout/),
    ],
  ]),
  ...inFile("custom-vjp.ts", [
    [
      "customVjp: gradients of arguments in reverse",
      "backward(args, result, inputs, dys, needs).map((g, i) => (needs[i] ? g : null));",
      "backward(args, result, inputs, dys, needs).map((g, i) => (needs[i] ? null : g));",
      named("test/tensor/autodiff-custom.test.ts", /./),
    ],
  ]),
  ...inFile("ops/matmul.ts", [
    [
      "matmul: da without the transpose",
      "needs[0] ? batched(dy, transpose(b)) : null",
      "needs[0] ? reshape(batched(dy, b), a.shape) : null",
      operation("matmul"),
    ],
    [
      "matmul: db without the transpose of a",
      ": batched(transpose(a), dy);",
      ": reshape(batched(a, dy), b.shape);",
      operation("matmul"),
    ],
    [
      "matmul: db of a transposed b not transposed back",
      "transpose(batched(transpose(dy), a))",
      "reshape(batched(transpose(dy), a), b.shape)",
      operation("linear"),
    ],
    [
      "matmul: db from the wrong order",
      ": batched(transpose(a), dy);",
      ": transpose(batched(transpose(a), dy));",
      operation("matmul"),
    ],
  ]),
  ...inFile("ops/movement.ts", [
    [
      "permute: the permutation again, not its inverse",
      "axes.map((_, i) => axes.indexOf(i)),",
      "axes,",
      golden,
    ],
    [
      "expand: no gradient",
      "return { shape, strides, offset: x.offset };\n  },\n  vjp: (_c, [dy]) => [dy],",
      "return { shape, strides, offset: x.offset };\n  },\n  vjp: (_c, [dy]) => [dy && null],",
      operation("expand"),
    ],
    [
      "slice: put back one step late",
      "[dy && apply(unsliceOp, [dy], { ...attrs, full: x.shape })]",
      "[dy && apply(unsliceOp, [dy], { ...attrs, starts: x.shape.map(() => 0), full: x.shape })]",
      operation("slice"),
    ],
    [
      "slice: steps lose their sign",
      "[dy && apply(unsliceOp, [dy], { ...attrs, full: x.shape })]",
      "[dy && apply(unsliceOp, [dy], { ...attrs, steps: attrs.steps.map(() => 1), full: x.shape })]",
      golden,
    ],
    [
      "unslice: dy whole",
      "vjp: ({ attrs }, [dy]) => [dy && apply(sliceOp, [dy], attrs)],",
      "vjp: ({ attrs }, [dy]) => [dy && apply(sliceOp, [dy], { ...attrs, starts: attrs.starts.map(() => 0) })],",
      second("slice"),
    ],
  ]),
  ...inFile("ops/concat.ts", [
    ["concat: every part from the start", "(i === axis ? from : 0)", "0", operation("concat")],
  ]),
  ...inFile("ops/indexing.ts", [
    [
      "take: gradient off by 1",
      "[dy && apply(addRowsOp, [dy, index], { rows: x.shape[0] }), null]",
      "[dy && add(apply(addRowsOp, [dy, index], { rows: x.shape[0] }), 1), null]",
      operation("take"),
    ],
    [
      "take: repeated indices keep the last",
      "y.data[to + c] += x.data[x.offset + i * width + c];",
      "y.data[to + c] = x.data[x.offset + i * width + c];",
      operation("embedding"),
    ],
    [
      "indexAdd: the source's gradient off by 1",
      "[dy && apply(takeRowsOp, [dy, index], null), null]",
      "[dy && add(apply(takeRowsOp, [dy, index], null), 1), null]",
      operation("indexAdd"),
    ],
  ]),
  ...inFile("ops/gather.ts", [
    [
      "gather: added to x instead of zeros",
      "apply(scatterLastOp, [zeros(x.shape, { dtype: x.dtype, device: x.device }), index, dy], null)",
      "apply(scatterLastOp, [x, index, dy], null)",
      operation("gather"),
    ],
    [
      "scatterAdd: no gradient of x",
      "[dy, null, dy && apply(gatherLastOp, [dy, index], null)]",
      "[null, null, dy && apply(gatherLastOp, [dy, index], null)]",
      operation("scatterAdd"),
    ],
    [
      "scatterAdd: no gradient of the source",
      "[dy, null, dy && apply(gatherLastOp, [dy, index], null)]",
      "[dy, null, null]",
      operation("scatterAdd"),
    ],
  ]),
];
