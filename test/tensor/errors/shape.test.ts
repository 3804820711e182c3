/** Shapes that do not fit: the message shows every shape by its argument, what was expected, and the call that fits. */
import * as t from "@pact/tensor";
import { expect, test } from "vitest";
import { messageOf } from "../../helpers/error-message.ts";

const device = await t.createDevice({ device: "cpu" });
const make = (shape: number[], dtype: t.DType = "f32") => t.zeros(shape, { dtype, device });
const [x, y, index] = [make([2, 3]), make([4, 3]), make([2], "i32")];
const spans = (keys: number) => t.attentionSpans(Int32Array.of(0, 0, 0, 1), keys, { device });

function step(wrong: Partial<t.AdamWState>): void {
  const flat = () => make([2]);
  const state = {
    params: flat(),
    grads: flat(),
    m: flat(),
    v: flat(),
    decayMask: flat(),
    clipScale: make([]),
  };
  t.adamWStep({ ...state, ...wrong }, { lr: 1, beta1: 0.9, beta2: 0.9, eps: 1e-8, weightDecay: 0, step: 1 });
}

test("rows of different lengths", () => {
  expect(messageOf(() => t.tensor([[1, 2], [3]], { device }))).toMatchInlineSnapshot(
    `"ShapeError (shape): tensor: rows of data differ at depth 1: expected 2 entries, received 1. Pad the rows to one length: tensor([[1, 2], [3, 0]])."`,
  );
});

test("a number beside a row", () => {
  expect(messageOf(() => t.tensor([[1, 2], 3], { device }))).toMatchInlineSnapshot(
    `"ShapeError (shape): tensor: rows of data differ at depth 1: expected 2 entries, received the number 3. Pad the rows to one length: tensor([[1, 2], [3, 0]])."`,
  );
});

test("a row beside a number", () => {
  expect(messageOf(() => t.tensor([1, [2]], { device }))).toMatchInlineSnapshot(
    `"ShapeError (shape): tensor: data holds a plain array at depth 1, expected a number. Nest every row equally deep: tensor([[1, 2], [3, 4]])."`,
  );
});

test("data that does not fill the shape", () => {
  expect(messageOf(() => t.tensor(new Float32Array(5), { shape: [2, 3], device }))).toMatchInlineSnapshot(
    `"ShapeError (shape): tensor: data has 5 elements, expected 6 for shape [2, 3]. Pass a shape whose product is 5: { shape: [5] }."`,
  );
});

test("a negative size", () => {
  expect(messageOf(() => t.zeros([2, -1], { device }))).toMatchInlineSnapshot(
    `"ShapeError (shape): zeros: shape is [2, -1], expected whole numbers of at least 0. Name each size: zeros([2, 3])."`,
  );
});

test("a size that is no number", () => {
  expect(messageOf(() => t.zeros([Number.NaN], { device }))).toMatchInlineSnapshot(
    `"ShapeError (shape): zeros: shape is [NaN], expected whole numbers of at least 0. Name each size: zeros([2, 3])."`,
  );
});

test("shapes that do not broadcast", () => {
  expect(messageOf(() => t.add(x, y))).toMatchInlineSnapshot(
    `"ShapeError (shape): add: shapes do not broadcast: a is [2, 3], b is [4, 3]; counted from the right, expected equal sizes or a 1 along axis -2, received 2 and 4. Put a 1 where a size should stretch, for example unsqueeze(b, 0), or reshape(b, shape)."`,
  );
});

test("one number per row, without the axis that makes it stretch", () => {
  expect(messageOf(() => t.mul(x, make([2])))).toMatchInlineSnapshot(
    `"ShapeError (shape): mul: shapes do not broadcast: a is [2, 3], b is [2]; counted from the right, expected equal sizes or a 1 along axis -1, received 3 and 2. Add the missing last axis: unsqueeze(b, -1)."`,
  );
});

test("three shapes that do not broadcast", () => {
  expect(messageOf(() => t.where(make([2, 1], "bool"), make([3, 1]), make([3])))).toMatchInlineSnapshot(
    `"ShapeError (shape): where: shapes do not broadcast: condition is [2, 1], a is [3, 1], b is [3]; counted from the right, expected equal sizes or a 1 along axis -2, received 2 and 3. Put a 1 where a size should stretch, for example unsqueeze(b, 0), or reshape(b, shape)."`,
  );
});

test("inner dimensions of a product, b transposed", () => {
  expect(messageOf(() => t.matmul(x, y))).toMatchInlineSnapshot(
    `"ShapeError (shape): matmul: inner dimensions differ: a is f32[2, 3], b is f32[4, 3]; expected a's last (3) = b's second last (4). Transpose one: matmul(a, b, { transposeB: true })."`,
  );
});

test("inner dimensions of a product, a transposed", () => {
  expect(messageOf(() => t.matmul(x, make([2, 5])))).toMatchInlineSnapshot(
    `"ShapeError (shape): matmul: inner dimensions differ: a is f32[2, 3], b is f32[2, 5]; expected a's last (3) = b's second last (2). Transpose one: matmul(a, b, { transposeA: true })."`,
  );
});

test("inner dimensions of a product that no transposition fits", () => {
  expect(messageOf(() => t.matmul(x, make([6, 2])))).toMatchInlineSnapshot(
    `"ShapeError (shape): matmul: inner dimensions differ: a is f32[2, 3], b is f32[6, 2]; expected a's last (3) = b's second last (6). Reshape one, for example matmul(a, reshape(b, [3, -1]))."`,
  );
});

test("a product of scalars", () => {
  expect(messageOf(() => t.matmul(make([]), x))).toMatchInlineSnapshot(
    `"ShapeError (shape): matmul: a is f32[], b is f32[2, 3]; expected at least one axis each. Multiply by a scalar with mul(a, b)."`,
  );
});

test("batches of a product", () => {
  expect(messageOf(() => t.matmul(make([2, 3, 4]), make([5, 4, 3])))).toMatchInlineSnapshot(
    `"ShapeError (shape): matmul: shapes do not broadcast: the batch of a is [2], the batch of b is [5]; counted from the right, expected equal sizes or a 1 along axis -1, received 2 and 5. Put a 1 where a size should stretch, for example unsqueeze(the batch of b, 0), or reshape(the batch of b, shape)."`,
  );
});

test("a linear weight [in, out]", () => {
  expect(messageOf(() => t.linear(x, make([3, 4])))).toMatchInlineSnapshot(
    `"ShapeError (shape): linear: x is f32[2, 3], weight is f32[3, 4]; expected x [..., in] and weight [out, in]. Transpose a weight [in, out]: linear(x, transpose(weight))."`,
  );
});

test("a linear bias of another size", () => {
  expect(messageOf(() => t.linear(x, y, make([3])))).toMatchInlineSnapshot(
    `"ShapeError (shape): linear: bias is f32[3], weight is f32[4, 3]; expected bias [4]. Make one: zeros([4])."`,
  );
});

test("a reshape to another size", () => {
  expect(messageOf(() => t.reshape(x, [4]))).toMatchInlineSnapshot(
    `"ShapeError (shape): reshape: x is [2, 3] with 6 elements, shape is [4]; expected sizes whose product is 6, at most one of them -1. Flatten it with reshape(x, [-1]), or take part of it with slice first."`,
  );
});

test("a reshape with two gaps", () => {
  expect(messageOf(() => t.reshape(x, [-1, -1]))).toMatchInlineSnapshot(
    `"ShapeError (shape): reshape: x is [2, 3] with 6 elements, shape is [-1, -1]; expected sizes whose product is 6, at most one of them -1. Flatten it with reshape(x, [-1]), or take part of it with slice first."`,
  );
});

test("a reshape of nothing with a gap", () => {
  expect(messageOf(() => t.reshape(make([0, 3]), [0, -1]))).toMatchInlineSnapshot(
    `"ShapeError (shape): reshape: x is [0, 3] with 0 elements, shape is [0, -1]; expected sizes whose product is 0, at most one of them -1. Flatten it with reshape(x, [-1]), or take part of it with slice first."`,
  );
});

test("a permutation that misses an axis", () => {
  expect(messageOf(() => t.permute(x, [0, 0]))).toMatchInlineSnapshot(
    `"ShapeError (shape): permute: axes are [0, 0], expected each of the 2 axes of x [2, 3] once. To swap two axes, use transpose(x, 0, 1)."`,
  );
});

test("an expansion of a size that is not 1", () => {
  expect(messageOf(() => t.expand(x, [2, 6]))).toMatchInlineSnapshot(
    `"ShapeError (shape): expand: x is [2, 3], shape is [2, 6]; expected sizes that differ only where x has a 1 or at new leading axes. Add an axis of size 1 where it should stretch: expand(unsqueeze(x, -1), shape)."`,
  );
});

test("a slice of another rank", () => {
  expect(messageOf(() => t.slice(x, [0], [1]))).toMatchInlineSnapshot(
    `"ShapeError (shape): slice: x is [2, 3], expected 2 starts, stops and steps, one for each axis; received 1 starts, 1 stops, no steps. All of x is slice(x, [0, 0], [2, 3])."`,
  );
});

test("a squeeze of a size that is not 1", () => {
  expect(messageOf(() => t.squeeze(x, 0))).toMatchInlineSnapshot(
    `"ShapeError (shape): squeeze: x is [2, 3], expected size 1 along axis 0, received 2. Reduce it: sum(x, { axes: 0 }), or take one entry with slice."`,
  );
});

test("a concat of other shapes", () => {
  expect(messageOf(() => t.concat([x, make([2, 4])]))).toMatchInlineSnapshot(
    `"ShapeError (shape): concat: xs[0] is f32[2, 3], xs[1] is f32[2, 4]; expected equal sizes except along axis 0. Name the axis where they differ: concat(xs, 1)."`,
  );
});

test("a concat of nothing", () => {
  expect(messageOf(() => t.concat([]))).toMatchInlineSnapshot(
    `"ShapeError (shape): concat: xs is an empty array, expected an array of at least one tensor. Put them in brackets: concat([a, b])."`,
  );
});

test("a pad of another rank", () => {
  expect(messageOf(() => t.pad(x, [[1, 1]]))).toMatchInlineSnapshot(
    `"ShapeError (shape): pad: pads is [[1,1]], expected 2 pairs [before, after] for x f32[2, 3]. Name both sides of every axis: pad(x, [[0,1],[0,1]])."`,
  );
});

test("a maximum of nothing", () => {
  expect(messageOf(() => t.max(make([0, 3]), { axes: 0 }))).toMatchInlineSnapshot(
    `"ShapeError (shape): max: x is [0, 3], expected at least one element along axes [0]. Give it a floor: max(concat([x, full(shape, lowest)]))."`,
  );
});

test("an argmax of nothing", () => {
  expect(messageOf(() => t.argmax(make([2, 0])))).toMatchInlineSnapshot(
    `"ShapeError (shape): argmax: x is [2, 0], expected at least one element. Name an axis that has some: argmax(x, 0)."`,
  );
});

test("a gather index of another shape", () => {
  expect(messageOf(() => t.gather(x, 1, make([4, 1], "i32")))).toMatchInlineSnapshot(
    `"ShapeError (shape): gather: x is [2, 3], index is [4, 1]; expected equal sizes except along axis 1. For one index per slice of x use take(x, index, 1); to align axes, unsqueeze(index, 1)."`,
  );
});

test("a take index of two axes", () => {
  expect(messageOf(() => t.take(x, make([2, 2], "i32")))).toMatchInlineSnapshot(
    `"ShapeError (shape): take: index is [2, 2], expected one axis [n]. For rows at ids of any shape use embedding(x, index)."`,
  );
});

test("a scatter source of another shape", () => {
  expect(messageOf(() => t.scatterAdd(x, 1, make([2, 2], "i32"), make([2, 3])))).toMatchInlineSnapshot(
    `"ShapeError (shape): scatterAdd: source is [2, 3], index is [2, 2]; expected one shape. Stretch the smaller one: expand(source, index.shape)."`,
  );
});

test("an indexAdd source of another shape", () => {
  expect(messageOf(() => t.indexAdd(x, 0, index, make([3, 3])))).toMatchInlineSnapshot(
    `"ShapeError (shape): indexAdd: x is [2, 3], index is [2], source is [3, 3]; expected index [n] and source like x with size n along axis 0. Stretch it: expand(source, [2, 3])."`,
  );
});

test("a norm weight of another size", () => {
  expect(messageOf(() => t.rmsNorm(x, make([2])))).toMatchInlineSnapshot(
    `"ShapeError (shape): rmsNorm: weight is [2], expected [3] for x [2, 3]: one factor per entry of its last axis. Make one: ones([3])."`,
  );
});

test("a norm bias of another size", () => {
  expect(messageOf(() => t.layerNorm(x, make([3]), make([2])))).toMatchInlineSnapshot(
    `"ShapeError (shape): layerNorm: bias is [2], expected [3] for x [2, 3]. Make one: zeros([3])."`,
  );
});

test("a norm of a scalar", () => {
  expect(messageOf(() => t.layerNorm(make([]), make([])))).toMatchInlineSnapshot(
    `"ShapeError (shape): layerNorm: x is a scalar (shape []), expected a last axis to normalise over. Give it one: reshape(x, [1])."`,
  );
});

test("rope of an odd head", () => {
  expect(messageOf(() => t.rope(make([2, 1, 3]), index))).toMatchInlineSnapshot(
    `"ShapeError (shape): rope: x is [2, 1, 3], positions is [2]; expected x [N, H, D] with even D and positions [N]. Fold other axes into N: reshape(x, [-1, heads, size])."`,
  );
});

test("rope of a batch", () => {
  expect(messageOf(() => t.rope(make([5, 2, 1, 4]), index))).toMatchInlineSnapshot(
    `"ShapeError (shape): rope: x is [5, 2, 1, 4], positions is [2]; expected x [N, H, D] with even D and positions [N]. Fold other axes into N: reshape(x, [-1, heads, size])."`,
  );
});

test("rope frequencies for another head size", () => {
  expect(messageOf(() => t.rope(make([2, 1, 4]), index, { frequencies: make([4]) }))).toMatchInlineSnapshot(
    `"ShapeError (shape): rope: frequencies is [4], x is [2, 1, 4]; expected one frequency per pair, [2]. Take those of the pairs: slice(frequencies, [0], [2])."`,
  );
});

test("attention heads that do not divide", () => {
  expect(
    messageOf(() => t.attention(make([1, 3, 4]), make([1, 2, 4]), make([1, 2, 4]), spans(1))),
  ).toMatchInlineSnapshot(
    `"ShapeError (shape): attention: q is f32[1, 3, 4], k is f32[1, 2, 4], v is f32[1, 2, 4], spans has 1 queries; expected q [Nq, H, D], k and v [Nk, Hkv, D] with H a multiple of Hkv, and Nq queries (H is 3, Hkv is 2). Fold batch and time into N: reshape(q, [-1, heads, size])."`,
  );
});

test("attention over keys that the spans do not fit", () => {
  expect(
    messageOf(() => t.attention(make([1, 2, 4]), make([5, 2, 4]), make([5, 2, 4]), spans(1))),
  ).toMatchInlineSnapshot(
    `"ShapeError (shape): attention: spans are over 1 keys, k is [5, 2, 4]; expected Nk = 1 keys [Nk, Hkv, D]. Make them for k: attentionSpans(ranges, 5)."`,
  );
});

test("attention of queries that the spans do not fit", () => {
  expect(
    messageOf(() => t.attention(make([3, 2, 4]), make([1, 2, 4]), make([1, 2, 4]), spans(1))),
  ).toMatchInlineSnapshot(
    `"ShapeError (shape): attention: q is f32[3, 2, 4], k is f32[1, 2, 4], v is f32[1, 2, 4], spans has 1 queries; expected q [Nq, H, D], k and v [Nk, Hkv, D] with H a multiple of Hkv, and Nq queries (H is 2, Hkv is 2). Pass one row of ranges per query: attentionSpans(ranges of length 12, 1)."`,
  );
});

test("attention in PyTorch's layout", () => {
  expect(
    messageOf(() => t.attention(make([1, 2, 5, 4]), make([1, 2, 5, 4]), make([1, 2, 5, 4]), spans(1))),
  ).toMatchInlineSnapshot(
    `"ShapeError (shape): attention: q is f32[1, 2, 5, 4], k is f32[1, 2, 5, 4], v is f32[1, 2, 5, 4], spans has 1 queries; expected q [Nq, H, D], k and v [Nk, Hkv, D] with H a multiple of Hkv, and Nq queries (H is 2, Hkv is 2). Fold batch and time into N: reshape(q, [-1, heads, size])."`,
  );
});

test("log-probability ids of another shape", () => {
  expect(messageOf(() => t.logProbGather(x, make([3], "i32")))).toMatchInlineSnapshot(
    `"ShapeError (shape): logProbGather: logits is [2, 3], ids is [3]; expected ids [2], logits without the vocabulary axis. Bring it there: reshape(ids, [2])."`,
  );
});

test("log-probabilities without a vocabulary", () => {
  expect(messageOf(() => t.logProbGather(make([2, 0]), index))).toMatchInlineSnapshot(
    `"ShapeError (shape): logProbGather: logits is [2, 0], expected a last axis [..., V] with at least one entry. Make them with a model whose V > 0: linear(x, weight)."`,
  );
});

test("rows of another width", () => {
  expect(messageOf(() => t.assignRows(x, Int32Array.of(0), make([1, 4])))).toMatchInlineSnapshot(
    `"ShapeError (shape): assignRows: values is f32[1, 4], expected f32[1, 3] for 1 rows of target f32[2, 3]. Bring it there: reshape(values, [1, 3])."`,
  );
});

test("rows of a scalar", () => {
  expect(messageOf(() => t.assignRows(make([]), Int32Array.of(0), make([1])))).toMatchInlineSnapshot(
    `"ShapeError (shape): assignRows: target is a scalar (shape []), expected rows [R, …]. Give it one: reshape(target, [1])."`,
  );
});

test("rows of a view with gaps", () => {
  expect(messageOf(() => t.assignRows(t.transpose(x), Int32Array.of(0), make([1, 2])))).toMatchInlineSnapshot(
    `"ShapeError (shape): assignRows: target is f32[3, 2] on cpu, a view with gaps, expected contiguous elements. Copy it: reshape(target, target.shape)."`,
  );
});

test("a step on arenas of other sizes", () => {
  expect(messageOf(() => step({ grads: make([3]) }))).toMatchInlineSnapshot(
    `"ShapeError (shape): adamWStep: grads is f32[3], expected f32[2], one flat arena [P] like params. Flatten it: reshape(grads, [-1])."`,
  );
});

test("a step with a clip per parameter", () => {
  expect(messageOf(() => step({ clipScale: make([2]) }))).toMatchInlineSnapshot(
    `"ShapeError (shape): adamWStep: clipScale is f32[2], expected one f32 number. Without clipping: ones([])."`,
  );
});

test("parts that do not divide an axis", () => {
  expect(messageOf(() => t.split(x, 2, 1))).toMatchInlineSnapshot(
    `"ShapeError (shape): split: parts is 2, expected a whole divisor of 3 along axis 1 of x f32[2, 3]. Name the sizes instead: split(x, [3], 1)."`,
  );
});

test("parts that do not add up to an axis", () => {
  expect(messageOf(() => t.split(x, [1, 1], 1))).toMatchInlineSnapshot(
    `"ShapeError (shape): split: parts are [1, 1] with sum 2, expected sizes that add up to all of 3 along axis 1 of x f32[2, 3]. Add a part for what is left, or leave that out first with slice."`,
  );
});

test("fewer counts than axes", () => {
  expect(messageOf(() => t.repeat(x, [2]))).toMatchInlineSnapshot(
    `"ShapeError (shape): repeat: counts are [2], expected at least 2 for x f32[2, 3]. Write a 1 for each axis that stays: repeat(x, [1, 1])."`,
  );
});

test("distributions of two shapes", () => {
  expect(messageOf(() => t.klDivergence(x, y))).toMatchInlineSnapshot(
    `"ShapeError (shape): klDivergence: logitsP is f32[2, 3], logitsQ is f32[4, 3]; expected one shape [..., V]. Stretch one: expand(logitsQ, logitsP.shape)."`,
  );
});

test("a mask of another shape", () => {
  expect(messageOf(() => t.crossEntropy(x, index, { mask: make([3]) }))).toMatchInlineSnapshot(
    `"ShapeError (shape): crossEntropy: mask is f32[3], expected the targets' shape, i32[2]. Stretch it: expand(mask, targets.shape)."`,
  );
});

test("logits of one token without its row", () => {
  expect(
    messageOf(() => t.sampleTokens(make([3]), new Uint32Array(6), { temperature: 1 })),
  ).toMatchInlineSnapshot(
    `"ShapeError (shape): sampleTokens: logits is [3], expected [N, V], one row per token to draw. Fold other axes into N: reshape(logits, [-1, V])."`,
  );
});
