/** Cases for the operations of networks and losses: softmax family, norms, rope, attention, log-probabilities. */
import * as t from "@pact/tensor";
import type { Draw } from "./draw.ts";
import { layouts } from "./layouts.ts";
import { bools, floats, ints, type OpCase, type Problem } from "./problem.ts";

function alongAxis(name: string, f: (x: t.Tensor, axis: number) => t.Tensor): OpCase {
  return {
    name,
    gradient: true,
    draw(draw) {
      const x = floats(draw, draw.shape(1, 3), { low: -4, high: 4 });
      const axis = draw.int(-x.shape.length, x.shape.length - 1);
      return { operands: [x], run: ([x]) => f(x, axis) };
    },
  };
}

function unaryCase(name: string, f: (x: t.Tensor) => t.Tensor, low = -4, high = 4): OpCase {
  return {
    name,
    gradient: true,
    draw: (draw) => ({
      operands: [floats(draw, draw.shape(0, 2), { low, high, layout: draw.pick(layouts) })],
      run: ([x]) => f(x),
    }),
  };
}

export const activationCases: OpCase[] = [
  unaryCase("gelu", (x) => t.gelu(x)),
  unaryCase("logSigmoid", t.logSigmoid),
  unaryCase("reciprocal", t.reciprocal, 0.2, 3),
  alongAxis("softmax", t.softmax),
  alongAxis("logSoftmax", t.logSoftmax),
  {
    name: "entropy",
    gradient: true,
    draw: (draw) => ({
      operands: [floats(draw, [...draw.shape(0, 2), draw.length(2, 7)], { low: -4, high: 4 })],
      run: ([x]) => t.entropy(x),
    }),
  },
];

export const normCases: OpCase[] = [
  {
    name: "layerNorm",
    gradient: true,
    draw(draw) {
      const width = draw.length(3, 9);
      const operands = [floats(draw, [...draw.shape(0, 2), width]), floats(draw, [width])];
      if (draw.unit() < 0.7) operands.push(floats(draw, [width]));
      return { operands, run: ([x, w, b]) => t.layerNorm(x, w, b, { eps: 1e-2 }) };
    },
  },
  {
    name: "rmsNorm",
    gradient: true,
    draw(draw) {
      const width = draw.length(1, 9);
      const operands = [floats(draw, [...draw.shape(0, 2), width]), floats(draw, [width])];
      return { operands, run: ([x, w]) => t.rmsNorm(x, w, { eps: 1e-2 }) };
    },
  },
  {
    name: "rope",
    gradient: true,
    draw(draw) {
      const [rows, heads, size] = [draw.length(0, 7), draw.length(1, 3), 2 * draw.length(1, 5)];
      const operands = [floats(draw, [rows, heads, size]), ints(draw, [rows], 0, 40)];
      const theta = draw.pick([100, 10000, 1e6]);
      return { operands, run: ([x, positions]) => t.rope(x, positions, { theta }) };
    },
  },
  {
    name: "rope with frequencies",
    tolerance: "rope",
    gradient: true,
    draw(draw) {
      const [rows, heads, size] = [draw.length(0, 7), draw.length(1, 3), 2 * draw.length(1, 5)];
      const frequencies = floats(draw, [size / 2], { low: 0, high: 1 });
      const operands = [floats(draw, [rows, heads, size]), ints(draw, [rows], 0, 4), frequencies];
      return { operands, run: ([x, positions, f]) => t.rope(x, positions, { frequencies: f }) };
    },
  },
];

/** What a query may see, by pattern: rows (r0, r1, r2, r3) of `attentionSpans`. */
export const spanPatterns: Record<
  string,
  (draw: Draw) => { queries: number; keys: number; ranges: number[] }
> = {
  causal(draw) {
    const n = draw.length(1, 7);
    return { queries: n, keys: n, ranges: Array.from({ length: n }, (_, i) => [0, 0, 0, i + 1]).flat() };
  },
  packed(draw) {
    const lengths = Array.from({ length: draw.int(2, 3) }, () => draw.int(1, 4));
    const ranges: number[] = [];
    let start = 0;
    for (const length of lengths) {
      for (let i = 0; i < length; i++) ranges.push(0, 0, start, start + i + 1);
      start += length;
    }
    return { queries: start, keys: start, ranges };
  },
  "prefix tree"(draw) {
    const prefix = draw.int(1, 4);
    const ranges = Array.from({ length: prefix }, (_, i) => [0, 0, 0, i + 1]).flat();
    let start = prefix;
    for (let branch = 0; branch < 2; branch++) {
      const length = draw.int(1, 3);
      for (let i = 0; i < length; i++) ranges.push(0, prefix, start, start + i + 1);
      start += length;
    }
    return { queries: start, keys: start, ranges };
  },
  "decoding from a cache"(draw) {
    // Few queries, many keys, some of which nobody sees; a prompt shared by the rows.
    const [queries, prompt] = [draw.int(1, 3), draw.int(1, 4)];
    const keys = prompt + 2 + 5 * queries;
    const ranges = Array.from({ length: queries }, (_, r) => {
      const own = prompt + 2 + 5 * r;
      return [0, prompt, own, own + draw.int(1, 5)];
    }).flat();
    return { queries, keys, ranges };
  },
};

/** Attention of one pattern; `size` is the head size (one pipeline each). */
export function attentionProblem(draw: Draw, pattern: string, size: number): Problem {
  const { queries, keys, ranges } = spanPatterns[pattern](draw);
  const [kvHeads, group] = [draw.int(1, 2), draw.int(1, 3)];
  const operands = [
    floats(draw, [queries, kvHeads * group, size]),
    floats(draw, [keys, kvHeads, size]),
    floats(draw, [keys, kvHeads, size]),
  ];
  return {
    operands,
    run: ([q, k, v]) =>
      t.scope(() =>
        t.attention(q, k, v, t.attentionSpans(Int32Array.from(ranges), keys, { device: q.device })),
      ),
  };
}

export const attentionCases: OpCase[] = Object.keys(spanPatterns).map((pattern) => ({
  name: `attention, ${pattern}`,
  tolerance: "attention",
  gradient: true,
  draw: (draw) => attentionProblem(draw, pattern, draw.pick([3, 8])),
}));

export const lossCases: OpCase[] = [
  {
    name: "logProbGather",
    gradient: true,
    draw(draw) {
      const [shape, vocabulary] = [draw.shape(0, 2), draw.length(1, 9)];
      const operands = [
        floats(draw, [...shape, vocabulary], { low: -4, high: 4 }),
        ints(draw, shape, 0, vocabulary - 1),
      ];
      const temperature = draw.pick([0.7, 1, 1.3]);
      return { operands, run: ([x, ids]) => t.logProbGather(x, ids, { temperature }) };
    },
  },
  {
    name: "linearLogProb",
    tolerance: "logProbGather",
    gradient: true,
    draw(draw) {
      const [rows, width, vocabulary] = [draw.length(0, 7), draw.length(1, 5), draw.length(1, 9)];
      const operands = [
        floats(draw, [rows, width]),
        // A frozen head has no gradient.
        { ...floats(draw, [vocabulary, width]), constant: draw.unit() < 0.3 },
        ints(draw, [rows], 0, vocabulary - 1),
      ];
      const options = { temperature: draw.pick([0.7, 1, 1.3]), chunk: draw.int(1, 10) };
      return { operands, run: ([h, w, ids]) => t.linearLogProb(h, w, ids, options) };
    },
  },
  {
    name: "crossEntropy",
    gradient: true,
    draw(draw) {
      const [shape, vocabulary] = [[...draw.shape(0, 1), draw.length(2, 7)], draw.length(2, 9)];
      const targets = ints(draw, shape, 0, vocabulary - 1);
      // Some targets are ignored, never all.
      targets.values = targets.values.map((v, i) => (i % 3 === 2 ? -100 : v));
      targets.layout = "plain";
      const operands = [floats(draw, [...shape, vocabulary], { low: -4, high: 4 }), targets];
      const reduction = draw.pick(["mean", "sum", "none"] as const);
      return { operands, run: ([x, targets]) => t.crossEntropy(x, targets, { reduction }) };
    },
  },
  {
    name: "crossEntropy with mask",
    tolerance: "crossEntropy",
    gradient: true,
    draw(draw) {
      const [shape, vocabulary] = [draw.shape(0, 2), draw.int(2, 9)];
      const mask = draw.unit() < 0.5 ? bools(draw, shape) : floats(draw, shape, { low: -1, high: 1 });
      // Half of the weights are 0, often all of them; what lies under a 0 counts nothing, even where it is no class.
      mask.values = mask.values.map((v) => Math.max(v, 0));
      mask.layout = "plain";
      const targets = ints(draw, shape, 0, vocabulary - 1);
      targets.values = targets.values.map((v, i) => (mask.values[i] === 0 ? 99 : v));
      targets.layout = "plain";
      const x = floats(draw, [...shape, vocabulary], { low: -4, high: 4 });
      const reduction = draw.pick(["mean", "sum", "none"] as const);
      return {
        operands: [x, targets, { ...mask, constant: true }],
        run: ([x, targets, mask]) => t.crossEntropy(x, targets, { mask, reduction }),
      };
    },
  },
  {
    name: "klDivergence",
    gradient: true,
    draw(draw) {
      const shape = [...draw.shape(0, 2), draw.int(1, 9)];
      const operands = [0, 1].map(() => floats(draw, shape, { low: -3, high: 3 }));
      return { operands, run: ([p, q]) => t.klDivergence(p, q) };
    },
  },
];

/** Every case of this file. */
export const networkCases: OpCase[] = [...activationCases, ...normCases, ...attentionCases, ...lossCases];
