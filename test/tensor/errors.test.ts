/** Every mistake a user can make in a call has a typed error that names the call, what it received, and the way out. */
import * as t from "@pact/tensor";
import { describe, expect, test } from "vitest";

const device = await t.createDevice({ device: "cpu" });
const other = await t.createDevice({ device: "cpu" });
const make = (shape: number[], dtype: t.DType = "f32") => t.zeros(shape, { dtype, device });
const [x, y, index] = [make([2, 3]), make([4, 3]), make([2], "i32")];

/** Calls that fail, by the class of their error. */
const mistakes: Record<string, Record<string, () => unknown>> = {
  ShapeError: {
    "ragged rows": () => t.tensor([[1, 2], [3]], { device }),
    "uneven depth": () => t.tensor([[1, 2], 3], { device }),
    "too deep": () => t.tensor([1, [2]], { device }),
    "data that does not fill the shape": () => t.tensor(new Float32Array(5), { shape: [2, 3], device }),
    "a negative size": () => t.zeros([2, -1], { device }),
    "a size that is no number": () => t.zeros([Number.NaN], { device }),
    "shapes that do not broadcast": () => t.add(x, y),
    "three shapes that do not broadcast": () => t.where(make([2, 1], "bool"), make([3, 1]), make([3])),
    "inner dimensions": () => t.matmul(x, y),
    "a product of scalars": () => t.matmul(make([]), x),
    "batch dimensions of a product": () => t.matmul(make([2, 3, 4]), make([5, 4, 3])),
    "a reshape to another size": () => t.reshape(x, [4]),
    "a reshape with two gaps": () => t.reshape(x, [-1, -1]),
    "a reshape of nothing with a gap": () => t.reshape(make([0, 3]), [0, -1]),
    "a permutation that misses an axis": () => t.permute(x, [0, 0]),
    "an expansion of a size that is not 1": () => t.expand(x, [2, 6]),
    "a slice of another rank": () => t.slice(x, [0], [1]),
    "a squeeze of a size that is not 1": () => t.squeeze(x, 0),
    "a concat of other shapes": () => t.concat([x, make([2, 4])]),
    "a concat of nothing": () => t.concat([]),
    "a pad of another rank": () => t.pad(x, [[1, 1]]),
    "a maximum of nothing": () => t.max(make([0, 3]), { axes: 0 }),
    "an argmax of nothing": () => t.argmax(make([2, 0]), 1),
    "a gather index of another shape": () => t.gather(x, 1, make([4, 1], "i32")),
    "a take index of two dimensions": () => t.take(x, make([2, 2], "i32")),
    "a scatter source of another shape": () => t.scatterAdd(x, 1, make([2, 2], "i32"), make([2, 3])),
    "an indexAdd source of another shape": () => t.indexAdd(x, 0, index, make([3, 3])),
    "a norm weight of another size": () => t.rmsNorm(x, make([2])),
    "a norm of a scalar": () => t.layerNorm(make([]), make([])),
    "rope of an odd head": () => t.rope(make([2, 1, 3]), index),
    "attention heads that do not divide": () =>
      t.attention(make([1, 3, 4]), make([1, 2, 4]), make([1, 2, 4]), spans(1)),
    "attention over keys that the spans do not fit": () =>
      t.attention(make([1, 2, 4]), make([5, 2, 4]), make([5, 2, 4]), spans(1)),
    "log-probability ids of another shape": () => t.logProbGather(x, make([3], "i32")),
    "log-probabilities without a vocabulary": () => t.logProbGather(make([2, 0]), index),
    "rows of another width": () => t.assignRows(x, Int32Array.of(0), make([1, 4])),
    "a step on arenas of other sizes": () => step({ grads: make([3]) }),
  },
  DTypeError: {
    "operands of two dtypes": () => t.add(x, make([3], "i32")),
    "a dtype that the operation does not take": () => t.exp(make([2], "i32")),
    "bools in arithmetic": () => t.add(make([2], "bool"), make([2], "bool")),
    "a condition that is no bool": () => t.where(x, x, x),
    "a logical operation of numbers": () => t.logicalNot(x),
    "a sum of bools": () => t.sum(make([2], "bool")),
    "a product of integers": () => t.matmul(make([2, 2], "i32"), make([2, 2], "i32")),
    "a softmax of integers": () => t.softmax(make([2], "i32")),
    "a clamp of integers": () => t.clamp(make([2], "i32"), { min: 0 }),
    "an index of floats": () => t.take(x, make([2])),
    "scattering into another dtype": () => t.scatterAdd(x, 1, make([2, 1], "i32"), make([2, 1], "i32")),
    "a norm weight of another dtype": () => t.rmsNorm(x, make([3], "f64")),
    "attention over keys of another dtype": () =>
      t.attention(make([1, 2, 4]), make([1, 2, 4], "f64"), make([1, 2, 4], "f64"), spans(1)),
    "rope positions of floats": () => t.rope(make([2, 1, 4]), make([2])),
    "log-probability ids of floats": () => t.logProbGather(x, make([2])),
  },
  AxisError: {
    "an axis past the rank": () => t.sum(x, { axes: 2 }),
    "an axis before the rank": () => t.softmax(x, -3),
    "an axis twice": () => t.sum(x, { axes: [1, -1] }),
    "an axis that is no whole number": () => t.transpose(x, 0.5),
    "any axis of a scalar": () => t.argmax(make([]), -1),
    "stacking past the rank": () => t.stack([x], 4),
  },
  ValueError: {
    "a step of 0": () => t.slice(x, [0, 0], [2, 3], [1, 0]),
    "an index outside": () => t.take(x, t.tensor(Int32Array.of(2), { device })),
    "a negative index": () => t.gather(x, 0, t.tensor(Int32Array.of(-1, 0, 0), { shape: [1, 3], device })),
    "clamp bounds in the wrong order": () => t.clamp(x, { min: 1, max: 0 }),
    "a count that is no whole number": () => t.arange(2.5, { device }),
    "a temperature of 0": () => t.logProbGather(x, index, { temperature: 0 }),
    "a span outside the keys": () => t.attentionSpans(Int32Array.of(0, 0, 0, 2), 1, { device }),
    "a span that is empty": () => t.attentionSpans(Int32Array.of(0, 0, 0, 0), 1, { device }),
    "spans that overlap": () => t.attentionSpans(Int32Array.of(0, 2, 1, 3), 3, { device }),
    "spans that are no rows of four": () => t.attentionSpans(Int32Array.of(0, 0, 0), 1, { device }),
    "a row named twice": () => t.assignRows(x, Int32Array.of(1, 1), make([2, 3])),
    "a row outside": () => t.assignRows(x, Int32Array.of(2), make([1, 3])),
    "a reduction that is not known": () => t.crossEntropy(x, index, { reduction: "total" as "sum" }),
    "a step count of 0": () => step({}, 0),
  },
  DeviceError: {
    "tensors of two devices": () => t.add(x, t.zeros([3], { device: other })),
    "no device at all": () => {
      const previous = t.setDefaultDevice(undefined);
      try {
        t.zeros([1]);
      } finally {
        t.setDefaultDevice(previous);
      }
    },
  },
  DisposedError: {
    "a tensor after dispose": () => {
      const gone = make([1]);
      gone.dispose();
      t.exp(gone);
    },
  },
  AutodiffError: {
    "numbers alone": () => t.add(1, 2),
    "the gradient of attention without its key table": () => {
      const spans = t.attentionSpans(Int32Array.of(0, 0, 0, 1), 1, { device, gradients: false });
      t.grad((q: t.Tensor) => t.sum(t.attention(q, q, q, spans)))(make([1, 1, 4]));
    },
  },
};

function spans(keys: number): t.AttentionSpans {
  return t.attentionSpans(Int32Array.of(0, 0, 0, 1), keys, { device });
}

function step(wrong: Partial<t.AdamWState>, count = 1): void {
  const flat = () => make([2]);
  const state = {
    params: flat(),
    grads: flat(),
    m: flat(),
    v: flat(),
    decayMask: flat(),
    clipScale: make([]),
  };
  t.adamWStep(
    { ...state, ...wrong },
    { lr: 1, beta1: 0.9, beta2: 0.9, eps: 1e-8, weightDecay: 0, step: count },
  );
}

function messageOf(call: () => unknown): { name: string; isPact: boolean; message: string } {
  try {
    call();
  } catch (error) {
    const { name, message } = error as Error;
    return { name, isPact: error instanceof t.PactError, message };
  }
  return { name: "none", isPact: false, message: "nothing was thrown" };
}

describe.each(Object.entries(mistakes))("%s", (name, calls) => {
  test.each(Object.entries(calls))("%s", (_what, call) => {
    expect(messageOf(call)).toMatchObject({ name, isPact: true });
  });
});

test("messages", () => {
  const lines = Object.values(mistakes).flatMap((calls) =>
    Object.entries(calls).map(([what, call]) => `${what} → ${messageOf(call).message}`),
  );
  expect(lines.join("\n")).toMatchInlineSnapshot(`
    "ragged rows → tensor: rows at depth 1 differ: expected 2 entries, received 1. Pad the rows to one length.
    uneven depth → tensor: rows at depth 1 differ: expected 2 entries, received a number. Pad the rows to one length.
    too deep → tensor: expected a number at depth 1, received an array. Make every row the same depth.
    data that does not fill the shape → tensor: shape [2, 3] holds 6 elements, received 5. Pass a shape whose product is 5.
    a negative size → full: [2, -1] is no shape; use whole numbers of at least 0.
    a size that is no number → full: [NaN] is no shape; use whole numbers of at least 0.
    shapes that do not broadcast → add: shapes [2, 3] and [4, 3] do not broadcast: dimension 0 is both 2 and 4. Aligned at the right, each pair must be equal or contain a 1; use reshape or unsqueeze to align them.
    three shapes that do not broadcast → where: shapes [2, 1] and [3, 1] and [3] do not broadcast: dimension 0 is both 2 and 3. Aligned at the right, each pair must be equal or contain a 1; use reshape or unsqueeze to align them.
    inner dimensions → matmul: inner dimensions differ: [2, 3] has 3 columns, [4, 3] has 4 rows. Pass transposeA or transposeB, or reshape one of them.
    a product of scalars → matmul: expected vectors or matrices, received [] and [2, 3]. Use mul for scalars.
    batch dimensions of a product → matmul: shapes [2] and [5] do not broadcast: dimension 0 is both 2 and 5. Aligned at the right, each pair must be equal or contain a 1; use reshape or unsqueeze to align them.
    a reshape to another size → reshape: [2, 3] has 6 elements and can not become [4]. The products must be equal; at most one dimension may be -1.
    a reshape with two gaps → reshape: [2, 3] has 6 elements and can not become [-1, -1]. The products must be equal; at most one dimension may be -1.
    a reshape of nothing with a gap → reshape: [0, 3] has 0 elements and can not become [0, -1]. The products must be equal; at most one dimension may be -1.
    a permutation that misses an axis → permute: axes [0, 0] must name each of the 2 axes once.
    an expansion of a size that is not 1 → expand: [2, 3] does not stretch to [2, 6]; only dimensions of size 1 and new leading ones stretch.
    a slice of another rank → slice: expected 2 starts, stops and steps for [2, 3]; received 1, 1, none.
    a squeeze of a size that is not 1 → squeeze: axis 0 of [2, 3] has size 2, expected 1.
    a concat of other shapes → concat: f32[2, 3] and f32[2, 4] differ outside axis 0; all other dimensions and the dtype must agree.
    a concat of nothing → concat: expected at least one tensor, received an empty list.
    a pad of another rank → pad: expected 2 pairs of whole numbers of at least 0, received [[1,1]].
    a maximum of nothing → max: [0, 3] has no elements along axes [0]; a maximum needs at least one.
    an argmax of nothing → argmax: axis 1 of [2, 0] is empty; a maximum needs at least one element.
    a gather index of another shape → gather: index [4, 1] must match x [2, 3] in every dimension but axis 1.
    a take index of two dimensions → take: index has shape [2, 2], expected one dimension. Use embedding for more.
    a scatter source of another shape → scatterAdd: source [2, 3] and index [2, 2] must have one shape.
    an indexAdd source of another shape → indexAdd: source [3, 3] must match x [2, 3] except for the entries of index [2] along axis 0.
    a norm weight of another size → rmsNorm: weight has shape [2], expected [3], the last dimension of x [2, 3].
    a norm of a scalar → layerNorm: x is a scalar, expected a last dimension to normalise over.
    rope of an odd head → rope: expected x [N, H, D] with even D and positions [N], received [2, 1, 3] and [2]. Fold other dimensions into N with reshape.
    attention heads that do not divide → attention: expected q [Nq, H, D], k and v [Nk, Hkv, D] with H a multiple of Hkv and spans for Nq and Nk; received q [1, 3, 4], k [1, 2, 4], v [1, 2, 4], spans for 1 queries (H 3, Hkv 2).
    attention over keys that the spans do not fit → attention: the spans are for 1 keys, k has shape [5, 2, 4]. Call attentionSpans(ranges, 5).
    log-probability ids of another shape → logProbGather: ids have shape [3], expected [2], the logits' shape without V.
    log-probabilities without a vocabulary → logProbGather: logits [2, 0] have no vocabulary to choose from.
    rows of another width → assignRows: values are f32[1, 4], expected f32[1, 3].
    a step on arenas of other sizes → adamWStep: grads is Tensor f32[3] on cpu, expected f32[2], one flat arena like params.
    operands of two dtypes → add: operands have dtypes f32 and i32; convert one with cast(x, "f32").
    a dtype that the operation does not take → exp: dtype i32 is not supported, expected f32, f64. Convert with cast(x, "f32").
    bools in arithmetic → add: dtype bool is not supported, expected f32, f64, i32, u32. Convert with cast(x, "f32").
    a condition that is no bool → where: the condition has dtype f32, expected bool. Compare first, for example notEqual(x, 0).
    a logical operation of numbers → logicalNot: dtype f32 is not supported, expected bool. Convert with cast(x, "bool").
    a sum of bools → sum: dtype bool is not supported; convert with cast(x, "i32").
    a product of integers → matmul: operands have dtypes i32 and i32, expected two f32 or two f64. Convert with cast(x, "f32").
    a softmax of integers → softmax: dtype i32 is not supported, expected f32 or f64. Convert with cast(x, "f32").
    a clamp of integers → clamp: dtype i32 is not supported, expected f32 or f64. Convert with cast(x, "f32").
    an index of floats → take: the index has dtype f32, expected i32. Convert with cast(index, "i32").
    scattering into another dtype → scatterAdd: x has dtype f32 and source i32, expected numbers of one type. Convert with cast(source, "f32").
    a norm weight of another dtype → rmsNorm: x has dtype f32 and the weight f64, expected one. Convert with cast(weight, "f32").
    attention over keys of another dtype → attention: q, k and v have dtypes f32, f64 and f64, expected one. Convert with cast(k, "f32").
    rope positions of floats → rope: positions have dtype f32, expected i32. Convert with cast(positions, "i32").
    log-probability ids of floats → logProbGather: ids have dtype f32, expected i32. Convert with cast(ids, "i32").
    an axis past the rank → sum: axis 2 is outside a tensor of rank 2; pass an integer from -2 to 1.
    an axis before the rank → softmax: axis -3 is outside a tensor of rank 2; pass an integer from -2 to 1.
    an axis twice → sum: axes [1, 1] name one axis twice; pass each axis once.
    an axis that is no whole number → transpose: axis 0.5 is outside a tensor of rank 2; pass an integer from -2 to 1.
    any axis of a scalar → argmax: a scalar has no axis -1; reshape it to [1] first.
    stacking past the rank → unsqueeze: axis 4 is outside a tensor of rank 3; pass an integer from -3 to 2.
    a step of 0 → slice: step 0 along axis 1 must be a whole number other than 0.
    an index outside → take: index 2 at position 0 is outside 0 … 1.
    a negative index → gather: index -1 at position 0 is outside 0 … 1.
    clamp bounds in the wrong order → clamp: min 1 is above max 0; pass min ≤ max.
    a count that is no whole number → arange: expected a whole number of at least 0, received 2.5.
    a temperature of 0 → logProbGather: temperature 0 must be above 0.
    a span outside the keys → attentionSpans: query 0 has ranges [0, 0) and [0, 2) over 1 keys; they must lie inside, not overlap, and hold at least one key.
    a span that is empty → attentionSpans: query 0 has ranges [0, 0) and [0, 0) over 1 keys; they must lie inside, not overlap, and hold at least one key.
    spans that overlap → attentionSpans: query 0 has ranges [0, 2) and [1, 3) over 3 keys; they must lie inside, not overlap, and hold at least one key.
    spans that are no rows of four → attentionSpans: expected four numbers per query, received 3 in all. Pass (r0, r1, r2, r3) for each.
    a row named twice → assignRows: row 1 is named twice; name each row of the target at most once.
    a row outside → assignRows: row 2 is outside 0 … 1; name each row of the target at most once.
    a reduction that is not known → crossEntropy: reduction "total" is not known; use "mean", "sum" or "none".
    a step count of 0 → adamWStep: step 0 must be at least 1; count the step being taken.
    tensors of two devices → add: arguments are on different devices (Tensor f32[2, 3] on cpu; Tensor f32[3] on cpu). Make them on one device, or move one: tensor(await x.data(), { shape: x.shape, device }).
    no device at all → No device yet. Call \`await init()\` once before making tensors.
    a tensor after dispose → exp: this Tensor f32[1] on cpu was disposed. Return it from the scope that made it, or dispose it later.
    numbers alone → add: expected at least one tensor, received only numbers. Wrap one: tensor(1).
    the gradient of attention without its key table → attention: these spans were made without gradients. Call attentionSpans(ranges, keyCount, { gradients: true })."
  `);
});

test("dtypes that a device lacks, and reading more than one element as a number", async () => {
  await expect(x.item()).rejects.toThrowErrorMatchingInlineSnapshot(
    `[ShapeError: item: expected one element, received shape [2, 3]. Use data() instead.]`,
  );
  await expect(t.createDevice({ device: "gpu" as "cpu" })).rejects.toThrowErrorMatchingInlineSnapshot(
    `[ValueError: init: device "gpu" is not known; use "auto", "webgpu" or "cpu".]`,
  );
});
