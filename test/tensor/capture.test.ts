/** Captured functions on the cpu device, and what `capture` asks of a function. */
import * as t from "@pact/tensor";
import { expect, test } from "vitest";
import {
  cases,
  reachedTwice,
  replayFails,
  sameBits,
  startsAnew,
  survivesException,
  trained,
} from "../helpers/capture-checks.ts";
import { reference as device } from "../helpers/properties.ts";

t.setDefaultDevice(device);

test.each([...cases])("$name has the bits of the function, gradient included", (testCase) =>
  sameBits(testCase, device),
);

test("training steps in place, with live scalars, are those of the function", async () => {
  const expected = await trained(device, false);
  expect(await trained(device, true)).toEqual({ ...expected, recordings: 1 });
});

test("another shape is another recording", async () => {
  const rows = [3, 2, 3, 2];
  const expected = await trained(device, false, rows);
  expect(await trained(device, true, rows)).toEqual({ ...expected, recordings: 2 });
});

test("an exception changes nothing and leaves nothing behind", () => survivesException(device));

test("what the function makes and changes begins anew at each replay", async () => {
  const expected = [
    [0, 7, 0],
    [0, 7, 7],
    [5, 0, 0],
    [0, 8, 0],
    [0, 8, 8],
    [5, 0, 0],
  ];
  expect(await startsAnew(device)).toEqual(expected);
});

test("an input that the function also reaches by itself is one memory", () => reachedTwice(device));

test("results outlive the next replay, and may be inputs or what was closed over", async () => {
  const w = t.tensor([1, 2]);
  using f = t.capture((x: t.Tensor) => ({ x, w, sum: t.add(x, w), again: [x, t.slice(w, [1], [2])] }));
  const first = f(t.tensor([10, 20]));
  const second = f(t.tensor([30, 40]));
  expect(await bits(first)).toEqual([10, 20, 1, 2, 11, 22, 10, 20, 2]);
  expect(await bits(second)).toEqual([30, 40, 1, 2, 31, 42, 30, 40, 2]);
  expect(first.again[0]).toBe(first.x);
});

async function bits({ x, w, sum, again }: Record<"x" | "w" | "sum", t.Tensor> & { again: t.Tensor[] }) {
  const read = await Promise.all([x, w, sum, ...again].map((y) => y.data()));
  return read.flatMap((data) => [...data]);
}

test("numbers, strings and host arrays are part of the signature; live scalars and tensors are not", async () => {
  using f = t.capture((x: t.Tensor, more: { by: number; rows: Int32Array; rate?: t.LiveScalar }) =>
    t.mul(t.take(x, t.tensor(more.rows), 0), more.by),
  );
  const x = t.tensor([1, 2, 3]);
  const rows = Int32Array.of(2, 0);
  for (const by of [2, 3, 2]) expect([...(await f(x, { by, rows }).data())]).toEqual([3 * by, by]);
  expect(f.recordings).toBe(2);
  rows[1] = 1;
  expect([...(await f(x, { by: 2, rows }).data())]).toEqual([6, 4]);
  expect(f.recordings).toBe(3);
  for (const rate of [0.5, 0.25]) f(x, { by: 2, rows, rate: t.live(() => rate) });
  expect(f.recordings).toBe(4);
});

test("an input that lies in itself is refused", () => {
  const inputs: { x: t.Tensor; self?: unknown } = { x: t.ones([2]) };
  const f = t.capture(({ x }: typeof inputs) => t.add(x, 1));
  const twice = { ...inputs, self: [inputs, inputs] };
  expect(f(twice).shape).toEqual([2]);
  inputs.self = [inputs];
  expect(() => f(inputs)).toThrowErrorMatchingInlineSnapshot(
    `[CaptureError: capture: input 0.self[0] is what it lies in, expected inputs that end. Leave out the reference back.]`,
  );
});

test("host arrays count by their bytes: letters, negative zeros, a DataView", async () => {
  using f = t.capture((x: t.Tensor, v: ArrayBufferView) => t.mul(x, new DataView(v.buffer).getUint8(3)));
  const bytes = (last: number) => Uint8Array.of(0, 0, 0, last);
  const views = [
    ...[0x80, 0x81].map((last) => Buffer.from(bytes(last).buffer)),
    ...[0, -0].map((value) => Float32Array.of(value)),
    ...[1, 2].map((last) => new DataView(bytes(last).buffer)),
  ];
  const read = [];
  for (const v of views) read.push(await f(t.tensor([1]), v).item());
  expect(read).toEqual([0x80, 0x81, 0, 0x80, 1, 2]);
});

test("a replay that fails changes nothing, and what it counted is taken back", () => replayFails(device));

test("a recording that is forgotten while it runs ends its run", async () => {
  let forget = false;
  const f = t.capture((x: t.Tensor) => {
    t.onReplay(() => {
      if (forget) f.dispose();
    });
    return t.add(x, t.tensor([1, 2]));
  });
  f(t.ones([2])).dispose();
  forget = true;
  expect([...(await f(t.ones([2])).data())]).toEqual([2, 3]);
});

test("a live scalar is that of the call when onReplay runs", () => {
  const seen: number[] = [];
  using f = t.capture((x: t.Tensor, rate: t.LiveScalar) => {
    t.onReplay(() => {
      seen.push(rate.value);
    });
    return t.add(x, 1);
  });
  for (const rate of [1, 2, 3])
    f(
      t.ones([2]),
      t.live(() => rate),
    ).dispose();
  expect(seen).toEqual([1, 2, 3]);
});

test("inputs on two devices are refused, also where a recording for one exists", async () => {
  const other = await t.createDevice({ device: "cpu" });
  const [here, alsoHere, there] = [t.ones([2]), t.ones([2]), t.ones([2], { device: other })];
  using f = t.capture((x: t.Tensor, y: t.Tensor) => [t.add(x, 1), t.add(y, 1)]);
  expect(() => f(here, there)).toThrow(t.CaptureError);
  f(here, alsoHere);
  expect(() => f(here, there)).toThrow(t.CaptureError);
  expect(() => f(there, here)).toThrow(t.CaptureError);
});

test("a window at another place of a larger tensor is another recording, copies of windows are one", async () => {
  const rows = t.tensor([1, 2, 3, 4, 5, 6]);
  const windows = [0, 2, 4].map((start) => t.slice(rows, [start], [start + 2]));
  using f = t.capture((x: t.Tensor) => t.mul(x, 10));
  for (const [k, window] of windows.entries())
    expect([...(await f(window).data())]).toEqual([20 * k + 10, 20 * k + 20]);
  expect(f.recordings).toBe(3);
  using g = t.capture((x: t.Tensor) => t.mul(x, 10));
  for (const [k, window] of windows.entries())
    expect([...(await g(t.concat([window])).data())]).toEqual([20 * k + 10, 20 * k + 20]);
  expect(g.recordings).toBe(1);
});

test("live scalars beside tensors, or read while recording, are refused with the way out", async () => {
  let rate = 2;
  const scalar = t.live(() => rate);
  const x = t.ones([2]);
  // @ts-expect-error plain JavaScript comes this far with anything
  expect(() => t.mul(x, scalar)).toThrowErrorMatchingInlineSnapshot(
    `[ValueError: mul: b is a live scalar, expected a Tensor. Make a tensor of it, in front of a captured function: step(x, tensor(b.value)).]`,
  );
  const read = t.capture((y: t.Tensor, by: t.LiveScalar) => t.mul(y, by.value));
  expect(() => read(x, scalar)).toThrowErrorMatchingInlineSnapshot(
    `[CaptureError: live: a live scalar is read while a function is being captured, expected that only replays read it: the recording would keep this one number. Hand it on, to AdamW.step or through derived([rate], () => valueOf(rate) / 2); beside tensors pass a tensor instead: step(x, tensor(rate)).]`,
  );
  using step = t.capture((y: t.Tensor, by: t.Tensor) => t.mul(y, by));
  const seen: number[] = [];
  for (rate of [2, 3]) seen.push((await step(x, t.tensor(scalar.value)).data())[0]);
  expect(seen).toEqual([2, 3]);
  expect(step.recordings).toBe(1);
});

test("dropout in a capture takes its words as an input, and has the bits of dropout by their key", async () => {
  const x = t.arange(50);
  using step = t.capture((y: t.Tensor, words: t.Tensor) =>
    t.valueAndGrad((p: t.Tensor) => t.sum(t.square(t.dropout(p, 0.3, words))))(y),
  );
  for (const seed of [1, 2]) {
    const actual = step(x, t.randomBits(t.key(seed), [50]));
    const expected = t.valueAndGrad((p: t.Tensor) => t.sum(t.square(t.dropout(p, 0.3, t.key(seed)))))(x);
    expect(await actual.value.item()).toBe(await expected.value.item());
    expect(await actual.grads.data()).toEqual(await expected.grads.data());
  }
  expect(step.recordings).toBe(1);
  expect(() => t.dropout(x, 0.3, t.ones([50]))).toThrowErrorMatchingInlineSnapshot(
    `[DTypeError: dropout: k is f32[50], expected a key or words in u32. Draw them: randomBits(key(5), x.shape).]`,
  );
  expect(() => t.dropout(x, 0.3, t.randomBits(t.key(1), [5, 10]))).toThrowErrorMatchingInlineSnapshot(
    `[ShapeError: dropout: k is u32[5, 10], x is f32[50]; expected a word for each element. Draw them: randomBits(key(5), x.shape).]`,
  );
});

test("as many recordings are kept as asked for", () => {
  using f = t.capture((x: t.Tensor) => t.add(x, 1), { signatures: 2 });
  for (const size of [1, 2, 1, 3, 1, 2]) f(t.ones([size]));
  expect(f.recordings).toBe(4); // 1, 2, 3 drops 2, 2 again
});

test("inside a gradient, checkFinite and another capture the function itself is called", async () => {
  const square = t.capture((x: t.Tensor) => t.mul(x, x));
  const x = t.tensor([3]);
  expect(
    await t
      .grad((p: t.Tensor) => t.sum(square(p)))(x)
      .item(),
  ).toBe(6);
  await t.debug.checkFinite(() => square(x));
  using outer = t.capture((p: t.Tensor) => square(square(p)));
  expect(await outer(x).item()).toBe(81);
  const planning = t.planningDevice();
  square(t.zeros([2], { device: planning }));
  expect([square.recordings, outer.recordings]).toEqual([0, 1]);
});

test("replays leave nothing behind, dispose gives the constants back", () => {
  const start = device.memory();
  const x = t.ones([5]);
  const f = t.capture((y: t.Tensor) => t.sum(t.mul(y, t.tensor([1, 2, 3, 4, 5]))));
  f(x).dispose();
  const { liveBytes, liveTensors } = device.memory();
  for (let i = 0; i < 5; i++) f(x).dispose();
  expect(device.memory()).toMatchObject({ liveBytes, liveTensors });
  f.dispose();
  x.dispose();
  expect(device.memory()).toMatchObject({ liveBytes: start.liveBytes, liveTensors: start.liveTensors });
});

test("reading, promises and keys are refused with the way out", async () => {
  const x = t.ones([]);
  const refusals = [
    () => t.capture((y: t.Tensor) => y.item())(x),
    () => t.capture((y: t.Tensor) => [y.data()])(x),
    () => t.capture(async (y: t.Tensor) => t.add(y, 1))(x),
    () => t.capture((y: t.Tensor) => t.dropout(y, 0.5, t.key(1)))(x),
    () => t.capture((y: t.Tensor) => t.add(y, t.randomNormal(t.key(1), [])))(x),
    () => t.capture((y: t.Tensor) => t.randomCategorical(t.key(1), t.expand(y, [3])))(x),
  ];
  for (const refused of refusals) expect(refused).toThrow(t.CaptureError);
  expect(refusals[0]).toThrowErrorMatchingInlineSnapshot(
    `[CaptureError: item: a function is being captured, expected nothing to be read: it runs later, again and again. Return the tensor and read it outside: const y = step(x); await y.data().]`,
  );
  expect(refusals[2]).toThrowErrorMatchingInlineSnapshot(
    `[CaptureError: capture: the function returned a promise, expected tensors: only what runs before the first await could be captured. Make it synchronous, and read its results outside: const y = step(x); await y.data().]`,
  );
  expect(refusals[3]).toThrowErrorMatchingInlineSnapshot(
    `[CaptureError: dropout: a function is being captured, expected no draw from a key: every replay would draw the same numbers. Draw outside and pass the result in: step(x, randomBits(k, x.shape)), dropout(x, rate, words).]`,
  );
  const other = await t.createDevice({ device: "cpu" });
  const there = t.ones([], { device: other });
  expect(() => t.capture((y: t.Tensor) => [y, t.add(there, 1)])(x)).toThrowErrorMatchingInlineSnapshot(
    `[CaptureError: capture: the function works on two devices, cpu and another cpu; expected one. Capture the part on each device apart.]`,
  );
  const gone = t.ones([2]);
  gone.dispose();
  const f = t.capture(({ a }: { a: t.Tensor[] }) => t.add(a[0], 1));
  expect(() => f({ a: [gone] })).toThrowErrorMatchingInlineSnapshot(
    `[DisposedError: capture: input 0.a[0] is f32[2] on cpu and was disposed, expected a live tensor. Return it from the scope that made it: scope(() => input 0.a[0]), or call input 0.a[0].dispose() after its last use.]`,
  );
  expect(() => t.capture((y: t.Tensor) => y, { signatures: 0 })).toThrow(t.ValueError);
});
