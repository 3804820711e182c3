/** What a captured function must do, for any device: without fusion the same bits as the function itself, at each replay. */
import * as t from "@pact/tensor";
import { expect } from "vitest";
import { Draw } from "./draw.ts";
import { networkCases } from "./network-cases.ts";
import { opCases } from "./op-cases.ts";
import { inputsOf, type OpCase } from "./problem.ts";

/** All operations but the random one, which a capture refuses. */
export const cases: readonly OpCase[] = [...opCases, ...networkCases].filter(
  ({ name }) => name !== "dropout",
);

/** The bits of every tensor in a tree, given back. */
export async function bitsOf(tree: unknown): Promise<string[]> {
  const tensors = flat(tree);
  const bits = await Promise.all(
    tensors.map(async (x) => {
      const data = await x.data();
      return `${x.dtype}[${x.shape}] ${new Uint8Array(data.buffer, data.byteOffset, data.byteLength).join(" ")}`;
    }),
  );
  for (const x of tensors) x.dispose();
  return bits;
}

function flat(tree: unknown): t.Tensor[] {
  if (tree instanceof t.Tensor) return [tree];
  return typeof tree === "object" && tree !== null ? Object.values(tree).flatMap(flat) : [];
}

/**
 * An operation and its gradient, captured and by themselves, on two sets of numbers of one shape. Fused they have the same
 * bits on the cpu device, where every member rounds as it does alone.
 */
export async function sameBits(testCase: OpCase, device: t.Device, fuse = false): Promise<void> {
  const draw = new Draw(11);
  for (let i = 0; i < 3; i++) {
    const problem = testCase.draw(draw);
    const inputs = inputsOf(problem, { device, dtype: "f32" });
    const floats = inputs.flatMap((x, k) => (x.dtype === "f32" && !problem.operands[k].constant ? [k] : []));
    const all = (roots: t.Tensor[], given: t.Tensor[]) =>
      problem.run(given.map((x, k) => (floats.includes(k) ? roots[floats.indexOf(k)] : x)));
    const f = (given: t.Tensor[]) => {
      if (!testCase.gradient) return [problem.run(given)];
      const loss = (roots: t.Tensor[]) => {
        const y = all(roots, given);
        return [t.sum(t.mul(y, 0.75)), y] as const;
      };
      return t.valueAndGrad(loss, { aux: true })(floats.map((k) => given[k]));
    };
    const expected = await bitsOf(t.scope(() => f(inputs)));
    using captured = t.capture(f, { fuse });
    for (let replay = 0; replay < 2; replay++) expect(await bitsOf(captured(inputs))).toEqual(expected);
    expect(captured.recordings).toBe(1);
    const others = inputs.map((x) => (x.dtype === "f32" ? t.scope(() => t.mul(x, 0.5)) : x));
    const there = others.map((x, k) => (x.contiguous === inputs[k].contiguous ? x : inputs[k]));
    expect(await bitsOf(captured(there))).toEqual(await bitsOf(t.scope(() => f(there))));
    for (const x of [...inputs, ...others]) x.dispose();
  }
}

/** A small network's parameters in one arena, as an optimiser keeps them. */
function network(device: t.Device) {
  const draw = new Draw(3);
  const flat = (size: number) => t.tensor(draw.floats(size), { dtype: "f32", device });
  const state = {
    params: flat(7 * 5 + 5),
    m: t.zeros([40], { device }),
    v: t.zeros([40], { device }),
    decayMask: t.ones([40], { device }),
    clipScale: t.full([], 0.5, { device }),
  };
  const w = t.reshape(t.slice(state.params, [0], [35]), [7, 5]);
  const b = t.slice(state.params, [35], [40]);
  const batches = [0, 1, 2, 3].map(() => t.reshape(flat(3 * 7), [3, 7]));
  return { state, w, b, batches };
}

/** Four AdamW steps with a rate and a count that change, captured or not; the losses and what the arena holds. */
export async function trained(
  device: t.Device,
  captured: boolean,
  rows: readonly number[] = [3, 3, 3, 3],
  fuse = false,
) {
  const { state, w, b, batches } = network(device);
  let taken = 0;
  const rate = t.live(() => 0.1 / taken);
  const loss = (p: { w: t.Tensor; b: t.Tensor }, x: t.Tensor) => {
    const y = t.add(t.matmul(x, p.w), p.b);
    return t.mean(t.square(t.tanh(y)));
  };
  const step = (x: t.Tensor) => {
    const { value, grads } = t.valueAndGrad(loss)({ w, b }, x);
    const flatGrads = t.concat([t.reshape(grads.w, [35]), grads.b]);
    t.onReplay(() => {
      taken++;
    });
    const settings = { beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.1 };
    t.adamWStep({ ...state, grads: flatGrads }, { ...settings, lr: rate, step: t.live(() => taken) });
    return { loss: value, norm: t.sum(t.square(flatGrads)) };
  };
  using replayed = t.capture(step, { fuse });
  const results = rows.map((count, i) => {
    const x = t.slice(batches[i], [0, 0], [count, 7]);
    return captured ? replayed(x) : t.scope(() => step(x));
  });
  const bits = await bitsOf([results, t.add(state.params, 0), t.add(state.m, 0), t.add(state.v, 0)]);
  return { bits, taken, recordings: replayed.recordings };
}

/** An exception in the middle changes nothing, leaves nothing behind, and the next call works. */
export async function survivesException(device: t.Device): Promise<void> {
  const w = t.tensor([1, 2], { device });
  let fails = true;
  let counted = 0;
  using step = t.capture((x: t.Tensor) => {
    t.onReplay(() => {
      counted++;
    });
    t.assignRows(w, Int32Array.of(1), t.slice(t.mul(x, 3), [0], [1]));
    if (fails) throw new RangeError("in the middle");
    return t.add(w, x);
  });
  const x = t.tensor([10, 20], { device });
  const before = device.memory();
  expect(() => step(x)).toThrow("in the middle");
  expect(device.memory()).toMatchObject({ liveBytes: before.liveBytes, liveTensors: before.liveTensors });
  expect([counted, ...(await w.data())]).toEqual([0, 1, 2]);
  fails = false;
  const y = step(x);
  expect([...(await y.data())]).toEqual([11, 50]);
  expect([counted, ...(await w.data())]).toEqual([1, 1, 30]);
  expect([...(await t.add(w, 1).data())]).toEqual([2, 31]);
}

/** Live scalars that throw or are not finite: the step changes nothing and is not counted, and the next is as without. */
export async function replayFails(device: t.Device): Promise<void> {
  const run = async (interrupted: boolean) => {
    const [params, m, v, decayMask] = [3, 0, 0, 0].map((x) => t.full([2], x, { device }));
    let taken = 0;
    let rate = () => 0.1;
    using step = t.capture((grads: t.Tensor) => {
      t.onReplay(
        () => {
          taken++;
        },
        () => {
          taken--;
        },
      );
      const settings = { beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.1 };
      t.adamWStep(
        { params, m, v, decayMask, grads, clipScale: t.ones([], { device }) },
        { ...settings, lr: t.live(() => rate()), step: t.live(() => taken) },
      );
      return t.mul(grads, 2);
    });
    const grads = t.tensor([1, 2], { device });
    step(grads).dispose();
    if (interrupted) {
      const { liveBytes } = device.memory();
      rate = () => Number.NaN;
      expect(() => step(grads)).toThrow(t.ValueError);
      rate = () => {
        throw new RangeError("no rate");
      };
      expect(() => step(grads)).toThrow("no rate");
      expect(device.memory().liveBytes).toBe(liveBytes);
      rate = () => 0.1;
    }
    step(grads).dispose();
    return [taken, ...(await params.data()), ...(await m.data())];
  };
  expect(await run(true)).toEqual(await run(false));
}

/** Values that the function makes itself begin anew at each replay, although it changes them. */
export async function startsAnew(device: t.Device): Promise<number[][]> {
  const f = (x: t.Tensor) => {
    const cache = t.zeros([3], { device });
    t.assignRows(cache, Int32Array.of(1), x);
    const once = t.add(cache, 0);
    t.assignRows(cache, Int32Array.of(2), x);
    return [once, cache, t.zeros([3], { device })];
  };
  using captured = t.capture(f);
  const rows: number[][] = [];
  for (const value of [7, 8]) {
    const [once, cache, zeros] = captured(t.tensor([value], { device }));
    t.assignRows(zeros, Int32Array.of(0), t.tensor([5], { device }));
    for (const y of [once, cache, zeros]) rows.push([...(await y.data())]);
  }
  return rows;
}

/** An input that the function also reaches by itself, and changes, is one memory; another input is another recording. */
export async function reachedTwice(device: t.Device): Promise<void> {
  const outside = t.tensor([1, 2, 3], { device });
  const f = (x: t.Tensor) => {
    const before = t.mul(x, 10);
    t.assignRows(outside, Int32Array.of(0), t.slice(x, [1], [2]));
    t.assignRows(x, Int32Array.of(2), t.tensor([9], { device }));
    return [before, t.add(x, outside)];
  };
  using captured = t.capture(f);
  const read = async (x: t.Tensor) => {
    const results = captured(x);
    return [...(await results[0].data()), ...(await results[1].data())];
  };
  expect(await read(outside)).toEqual([10, 20, 30, 4, 4, 18]);
  const other = t.tensor([5, 6, 7], { device });
  expect(await read(other)).toEqual([50, 60, 70, 11, 8, 18]);
  expect(await read(outside)).toEqual([60, 20, 90, 4, 4, 18]);
  expect(captured.recordings).toBe(2);
}
