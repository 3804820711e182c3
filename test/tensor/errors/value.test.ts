/** Values outside their range: the message shows the value, the range and a value that works. */
import * as t from "@pact/tensor";
import { expect, test } from "vitest";
import { messageOf } from "../../helpers/error-message.ts";

const device = await t.createDevice({ device: "cpu" });
const make = (shape: number[], dtype: t.DType = "f32") => t.zeros(shape, { dtype, device });
const [x, index] = [make([2, 3]), make([2], "i32")];

function step(wrong: Partial<t.AdamWSettings>): void {
  const flat = () => make([2]);
  const state = {
    params: flat(),
    grads: flat(),
    m: flat(),
    v: flat(),
    decayMask: flat(),
    clipScale: make([]),
  };
  t.adamWStep(state, { lr: 1, beta1: 0.9, beta2: 0.9, eps: 1e-8, weightDecay: 0, step: 1, ...wrong });
}

test("a step of 0", () => {
  expect(messageOf(() => t.slice(x, [0, 0], [2, 3], [1, 0]))).toMatchInlineSnapshot(
    `"ValueError (value): slice: steps[1] is 0, expected a whole number other than 0. Pass 1 for every element, -1 to go backwards."`,
  );
});

test("an index outside", () => {
  expect(messageOf(() => t.take(x, t.tensor(Int32Array.of(2), { device })))).toMatchInlineSnapshot(
    `"ValueError (value): take: index holds 2 at position 0, expected 0 … 1 for an axis of size 2. Bound it: minimum(index, 1)."`,
  );
});

test("a negative index", () => {
  expect(
    messageOf(() => t.gather(x, 0, t.tensor(Int32Array.of(-1, 0, 0), { shape: [1, 3], device }))),
  ).toMatchInlineSnapshot(
    `"ValueError (value): gather: index holds -1 at position 0, expected 0 … 1 for an axis of size 2. Count from 0, or add the size: add(index, 2)."`,
  );
});

test("an id outside the vocabulary", () => {
  expect(
    messageOf(() => t.logProbGather(x, t.tensor(Int32Array.of(0, 3), { device }))),
  ).toMatchInlineSnapshot(
    `"ValueError (value): logProbGather: ids holds 3 at position 1, expected 0 … 2 for logits [2, 3]. Mask what does not count: where(mask, ids, 0)."`,
  );
});

test("clamp bounds in the wrong order", () => {
  expect(messageOf(() => t.clamp(x, { min: 1, max: 0 }))).toMatchInlineSnapshot(
    `"ValueError (value): clamp: min is 1, max is 0; expected min ≤ max. Swap them: clamp(x, { min: 0, max: 1 })."`,
  );
});

test("a count that is no whole number", () => {
  expect(messageOf(() => t.arange(2.5, { device }))).toMatchInlineSnapshot(
    `"ValueError (value): arange: n is 2.5, expected a whole number of at least 0. Scale the result instead: mul(arange(count), step)."`,
  );
});

test("a temperature of 0", () => {
  expect(messageOf(() => t.logProbGather(x, index, { temperature: 0 }))).toMatchInlineSnapshot(
    `"ValueError (value): logProbGather: temperature is 0, expected a finite number above 0. Pass { temperature: 1 }."`,
  );
});

test("an infinite temperature", () => {
  expect(
    messageOf(() => t.logProbGather(x, index, { temperature: Number.POSITIVE_INFINITY })),
  ).toMatchInlineSnapshot(
    `"ValueError (value): logProbGather: temperature is Infinity, expected a finite number above 0. Pass { temperature: 1 }."`,
  );
});

test("an eps below 0", () => {
  expect(messageOf(() => t.rmsNorm(x, make([3]), { eps: -1 }))).toMatchInlineSnapshot(
    `"ValueError (value): rmsNorm: eps is -1, expected a finite number of at least 0. Pass { eps: 0.000001 }."`,
  );
});

test("an eps that is no number", () => {
  expect(messageOf(() => t.layerNorm(x, make([3]), undefined, { eps: Number.NaN }))).toMatchInlineSnapshot(
    `"ValueError (value): layerNorm: eps is NaN, expected a finite number of at least 0. Pass { eps: 0.00001 }."`,
  );
});

test("theta and frequencies", () => {
  const both = { theta: 10000, frequencies: make([2]) };
  expect(messageOf(() => t.rope(make([2, 1, 4]), index, both))).toMatchInlineSnapshot(
    `"ValueError (value): rope: received theta and frequencies, expected one of them. Leave theta out: { frequencies }."`,
  );
});

test("a theta of 0", () => {
  expect(messageOf(() => t.rope(make([2, 1, 4]), index, { theta: 0 }))).toMatchInlineSnapshot(
    `"ValueError (value): rope: theta is 0, expected a finite number above 0. Pass { theta: 10000 }."`,
  );
});

test("a span outside the keys", () => {
  expect(messageOf(() => t.attentionSpans(Int32Array.of(0, 0, 0, 2), 1, { device }))).toMatchInlineSnapshot(
    `"ValueError (value): attentionSpans: ranges of query 0 are [0, 0) and [0, 2), expected ranges inside 0 … 1 keys that do not overlap and hold at least one key. For causal attention: Int32Array.of(0, 0, 0, 1)."`,
  );
});

test("a span that is empty", () => {
  expect(messageOf(() => t.attentionSpans(Int32Array.of(0, 0, 0, 0), 1, { device }))).toMatchInlineSnapshot(
    `"ValueError (value): attentionSpans: ranges of query 0 are [0, 0) and [0, 0), expected ranges inside 0 … 1 keys that do not overlap and hold at least one key. For causal attention: Int32Array.of(0, 0, 0, 1)."`,
  );
});

test("spans that overlap", () => {
  expect(messageOf(() => t.attentionSpans(Int32Array.of(0, 2, 1, 3), 3, { device }))).toMatchInlineSnapshot(
    `"ValueError (value): attentionSpans: ranges of query 0 are [0, 2) and [1, 3), expected ranges inside 0 … 3 keys that do not overlap and hold at least one key. For causal attention: Int32Array.of(0, 0, 0, 1)."`,
  );
});

test("spans that are no rows of four", () => {
  expect(messageOf(() => t.attentionSpans(Int32Array.of(0, 0, 0), 1, { device }))).toMatchInlineSnapshot(
    `"ValueError (value): attentionSpans: ranges has 3 numbers, expected four per query. Pass (r0, r1, r2, r3) for each: Int32Array.of(0, 0, start, i + 1)."`,
  );
});

test("a key count that is no whole number", () => {
  expect(messageOf(() => t.attentionSpans(Int32Array.of(0, 0, 0, 1), 1.5, { device }))).toMatchInlineSnapshot(
    `"ValueError (value): attentionSpans: keyCount is 1.5, expected a whole number of at least 0. Pass the first size of k: k.shape[0]."`,
  );
});

test("a row named twice", () => {
  expect(messageOf(() => t.assignRows(x, Int32Array.of(1, 1), make([2, 3])))).toMatchInlineSnapshot(
    `"ValueError (value): assignRows: rows name 1 twice, expected each row at most once. Leave out all but the last: [...new Set(rows)]."`,
  );
});

test("a row outside", () => {
  expect(messageOf(() => t.assignRows(x, Int32Array.of(2), make([1, 3])))).toMatchInlineSnapshot(
    `"ValueError (value): assignRows: rows name 2, expected 0 … 1 for target [2, 3]. Make the target taller: zeros([3, …])."`,
  );
});

test("a reduction that is not known", () => {
  expect(messageOf(() => t.crossEntropy(x, index, { reduction: "total" as "sum" }))).toMatchInlineSnapshot(
    `"ValueError (value): crossEntropy: reduction is "total", expected "mean", "sum", "none". For the mean leave it out: crossEntropy(logits, targets)."`,
  );
});

test("a step count of 0", () => {
  expect(messageOf(() => step({ step: 0 }))).toMatchInlineSnapshot(
    `"ValueError (value): adamWStep: step is 0, expected a whole number of at least 1. Count the step being taken: { step: taken + 1 }."`,
  );
});

test("a learning rate that is no number", () => {
  expect(messageOf(() => step({ lr: Number.NaN }))).toMatchInlineSnapshot(
    `"ValueError (value): adamWStep: lr is NaN, expected a finite number. Pass all settings: { lr, beta1, beta2, eps, weightDecay, step }."`,
  );
});

test("more of the largest than there are", () => {
  expect(messageOf(() => t.topk(x, 4))).toMatchInlineSnapshot(
    `"ValueError (value): topk: k is 4, expected a whole number from 0 to 3, the size of axis 1 of x [2, 3]. Take all of them: topk(x, 3)."`,
  );
});

test("a count of repetitions below 0", () => {
  expect(messageOf(() => t.repeat(x, [1, -1]))).toMatchInlineSnapshot(
    `"ValueError (value): repeat: counts[1] is -1, expected a whole number of at least 0. Pass 1 to leave the axis as it is."`,
  );
});

test("padding below 0", () => {
  expect(
    messageOf(() =>
      t.pad(x, [
        [0, 0],
        [-1, 0],
      ]),
    ),
  ).toMatchInlineSnapshot(
    `"ValueError (value): pad: pads[1] is [-1, 0], expected whole numbers of at least 0, received -1. To cut elements off, use slice(x, starts, stops)."`,
  );
});

test("no classes", () => {
  expect(messageOf(() => t.oneHot(index, 0))).toMatchInlineSnapshot(
    `"ValueError (value): oneHot: classes is 0, expected a whole number of at least 1. Pass one more than the largest id: oneHot(ids, 10)."`,
  );
});

test("a rate of 1", () => {
  expect(messageOf(() => t.dropout(x, 1, t.key(0)))).toMatchInlineSnapshot(
    `"ValueError (value): dropout: rate is 1, expected a number of at least 0 and below 1. To drop everything use mul(x, 0)."`,
  );
});

test("bounds of random numbers in the wrong order", () => {
  expect(messageOf(() => t.randomUniform(t.key(0), [1], { low: 1, high: 0, device }))).toMatchInlineSnapshot(
    `"ValueError (value): randomUniform: low is 1, high is 0; expected low < high. Name both: { low: 0, high: 1 }."`,
  );
});

test("a seed that is no whole number", () => {
  expect(messageOf(() => t.key(0.5))).toMatchInlineSnapshot(
    `"ValueError (value): key: seed is 0.5, expected a whole number (number or bigint). Round it: key(Math.floor(seed))."`,
  );
});

test("a number below 0 folded into a key", () => {
  expect(messageOf(() => t.foldIn(t.key(0), -1))).toMatchInlineSnapshot(
    `"ValueError (value): foldIn: n is -1, expected a whole number of at least 0. Count steps or rows from 0: foldIn(k, 0)."`,
  );
});

test("a temperature below 0", () => {
  expect(messageOf(() => t.sampleTokens(x, new Uint32Array(4), { temperature: -1 }))).toMatchInlineSnapshot(
    `"ValueError (value): sampleTokens: temperature is -1, expected at least 0. For the likeliest token pass { temperature: 0 }."`,
  );
});

test("keys for another number of rows", () => {
  expect(messageOf(() => t.sampleTokens(x, new Uint32Array(2), { temperature: 1 }))).toMatchInlineSnapshot(
    `"ValueError (value): sampleTokens: keys has 2 words, expected 4 for 2 rows of logits, two each. Fold the row into a key: Uint32Array.from(rows.flatMap((row) => foldIn(k, row)))."`,
  );
});

test("a correction as large as the sample", () => {
  expect(messageOf(() => t.variance(make([1])))).toMatchInlineSnapshot(
    `"ValueError (value): variance: correction is 1, expected a number below 1, the elements that each result is made of. Divide by their number: variance(x, { correction: 0 })."`,
  );
});

test("bounds of a slice that are no whole numbers", () => {
  expect(messageOf(() => t.slice(x, [0.5, 0], [2, 3]))).toMatchInlineSnapshot(
    `"ValueError (value): slice: starts[0] is 0.5, expected a whole number or ±Infinity. Round it: Math.floor(starts[0])."`,
  );
  expect(messageOf(() => t.slice(x, [0, 0], [2, Number.NaN]))).toMatchInlineSnapshot(
    `"ValueError (value): slice: stops[1] is NaN, expected a whole number or ±Infinity. Round it: Math.floor(stops[1])."`,
  );
});

test("infinite bounds of a slice end where the elements do", () => {
  expect(t.slice(x, [1, -Infinity], [Infinity, Infinity]).shape).toEqual([1, 3]);
});

test("a seed where a key belongs", () => {
  const seed = 3 as unknown as t.Key;
  expect(messageOf(() => t.randomNormal(seed, [2], { device }))).toMatchInlineSnapshot(
    `"ValueError (value): randomNormal: the key is the number 3, expected two words. Make one of a seed: key(3)."`,
  );
  for (const use of [
    () => t.randomUniform(seed, [2], { device }),
    () => t.randomBits(seed, [2], { device }),
    () => t.randomPermutation(seed, 2, { device }),
    () => t.randomCategorical(seed, x),
    () => t.dropout(x, 0.5, seed),
    () => t.foldIn(seed, 1),
  ]) {
    expect(use).toThrow("the key is the number 3, expected two words. Make one of a seed: key(3).");
  }
  expect(messageOf(() => t.key("a" as unknown as number))).toMatchInlineSnapshot(
    `"ValueError (value): key: seed is the string "a", expected a whole number (number or bigint). Any will do: key(5)."`,
  );
});
