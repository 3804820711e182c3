/**
 * A training loop on webgpu: memory stays flat, a second size builds no pipeline, bind groups are reused, and the same
 * run gives the same bits.
 */
import {
  adamWStep,
  add,
  assignRows,
  attention,
  attentionSpans,
  concat,
  createDevice,
  crossEntropy,
  type Device,
  embedding,
  key,
  layerNorm,
  linear,
  matmul,
  ones,
  randomNormal,
  reshape,
  rmsNorm,
  rope,
  scope,
  silu,
  slice,
  type Tensor,
  tensor,
  valueAndGrad,
  zeros,
} from "@pact/tensor";
import { describe, expect, test } from "vitest";
import { Draw } from "../helpers/draw.ts";
import { requireGpu } from "../helpers/require.ts";

const device = (await requireGpu())!;

/** Sizes of the parameters of a one-block transformer over V tokens. */
const [V, C, H, D] = [13, 16, 2, 8];
const shapes = [[V, C], [C], [3 * C, C], [C, C], [C], [4 * C, C], [C, 4 * C], [C]];
const sizes = shapes.map((s) => s.reduce((a, b) => a * b, 1));
const total = sizes.reduce((a, b) => a + b, 0);

/** Parameters as windows of one flat arena. */
function windows(arena: Tensor): Tensor[] {
  let start = 0;
  return shapes.map((shape, i) => {
    start += sizes[i];
    return reshape(slice(arena, [start - sizes[i]], [start]), shape);
  });
}

function loss(params: Tensor[], ids: Int32Array, targets: Int32Array): Tensor {
  const [table, norm1, qkv, out, norm2, up, down, norm3] = params;
  const on = table.device;
  const n = ids.length;
  const ranges = Int32Array.from({ length: 4 * n }, (_, i) => (i % 4 === 3 ? Math.floor(i / 4) + 1 : 0));
  const positions = tensor(
    Int32Array.from({ length: n }, (_, i) => i),
    { device: on },
  );
  const x = embedding(table, tensor(ids, { device: on }));
  const packed = reshape(linear(rmsNorm(x, norm1), qkv), [n, 3 * H, D]);
  const part = (i: number) => slice(packed, [0, i * H, 0], [n, (i + 1) * H, D]);
  const spans = attentionSpans(ranges, n, { device: on });
  const mixed = attention(rope(part(0), positions), rope(part(1), positions), part(2), spans);
  const y = add(x, linear(reshape(mixed, [n, C]), out));
  const z = add(y, linear(silu(linear(rmsNorm(y, norm2), up)), down));
  const logits = matmul(layerNorm(z, norm3), table, { transposeB: true });
  return crossEntropy(logits, tensor(targets, { device: on }));
}

/** An arena with its optimiser state. */
function start(on: Device) {
  const flat = () => zeros([total], { device: on });
  const params = scope(() =>
    concat(
      shapes.map((shape, i) =>
        shape.length === 1
          ? ones(shape, { device: on })
          : reshape(randomNormal(key(i), [sizes[i]], { device: on }), [sizes[i]]),
      ),
    ),
  );
  return { params, m: flat(), v: flat(), decayMask: flat(), clipScale: ones([], { device: on }) };
}

function trainStep(state: ReturnType<typeof start>, n: number, step: number): Tensor {
  const draw = new Draw(step);
  const ids = Int32Array.from(draw.ints(n, 0, V - 1));
  const targets = Int32Array.from(ids, (id) => (id * 5 + 1) % V);
  return scope(() => {
    const params = windows(state.params);
    const { value, grads } = valueAndGrad(loss)(params, ids, targets);
    const flat = concat(grads.map((g, i) => reshape(g, [sizes[i]])));
    const settings = { lr: 3e-3, beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0, step };
    adamWStep({ ...state, grads: flat }, settings);
    return value;
  });
}

describe.skipIf(!device)("training on webgpu", () => {
  test("200 steps hold tensors and bytes flat, and learn", async () => {
    const before = device.memory();
    const state = start(device);
    const base = device.memory();
    let first = 0;
    let last = 0;
    for (let step = 1; step <= 200; step++) {
      const value = trainStep(state, 24, step);
      if (step === 1) first = await value.item();
      if (step === 200) last = await value.item();
      value.dispose();
      const { liveBytes, liveTensors } = device.memory();
      expect({ liveBytes, liveTensors }).toEqual({
        liveBytes: base.liveBytes,
        liveTensors: base.liveTensors,
      });
    }
    expect(first).toBeGreaterThan(2);
    expect(last).toBeLessThan(0.5 * first);
    for (const t of Object.values(state)) t.dispose();
    expect(device.memory().liveBytes).toBe(before.liveBytes);
  });

  test("a second size builds no pipeline; a repeated size reuses bind groups", async () => {
    const state = start(device);
    const stepOf = async (n: number) => {
      const value = trainStep(state, n, 1);
      await value.item();
      value.dispose();
      return device.stats();
    };
    // One step for each class of layout: lengths that are multiples of 4, and others; and products of a single row.
    for (const n of [24, 23, 1]) await stepOf(n);
    const { pipelines } = device.stats();
    for (const n of [28, 20, 36, 25, 31, 1]) expect((await stepOf(n)).pipelines).toBe(pipelines);
    for (let i = 0; i < 20; i++) await stepOf(24);
    // Buffers of uploads take turns, so that a few combinations stay new.
    const { bindGroups, dispatches } = device.stats();
    const again = await stepOf(24);
    expect(again.dispatches).toBeGreaterThan(dispatches + 50);
    expect(again.bindGroups - bindGroups).toBeLessThanOrEqual(0.25 * (again.dispatches - dispatches));
    for (const t of Object.values(state)) t.dispose();
  });

  test("many starts share a submission", async () => {
    const x = ones([8], { device });
    await device.synchronize();
    const before = device.stats();
    const y = scope(() => {
      let sum = x;
      for (let i = 0; i < 100; i++) sum = add(sum, x);
      return sum;
    });
    expect([...(await y.data())]).toEqual(new Array(8).fill(101));
    const after = device.stats();
    expect(after.dispatches - before.dispatches).toBe(100);
    expect(after.submits - before.submits).toBeLessThanOrEqual(2);
    for (const t of [x, y]) t.dispose();
  });

  test("the same run gives the same bits", async () => {
    const run = async () => {
      const state = start(device);
      for (let step = 1; step <= 5; step++) trainStep(state, 23, step).dispose();
      const bits = new Uint32Array((await state.params.data()).buffer);
      for (const t of Object.values(state)) t.dispose();
      return bits;
    };
    expect(await run()).toEqual(await run());
  });

  test("ten steps follow the cpu's", async () => {
    const cpu = await createDevice({ device: "cpu" });
    const states = [start(device), start(cpu)];
    for (let step = 1; step <= 10; step++) {
      const [a, b] = await Promise.all(states.map((state) => trainStep(state, 24, step).item()));
      expect(Math.abs(a - b)).toBeLessThan(2e-4 * Math.abs(b));
    }
    for (const t of Object.values(states[0])) t.dispose();
  });

  test("a cache written and read in one scope is read as written", async () => {
    const cache = zeros([6, 1, 4], { device });
    const rows = tensor([[[1, 2, 3, 4]], [[5, 6, 7, 8]]], { device });
    const y = scope(() => {
      assignRows(cache, Int32Array.of(4, 1), rows);
      const spans = attentionSpans(Int32Array.of(0, 0, 1, 2), 6, { device, gradients: false });
      return attention(ones([1, 1, 4], { device }), cache, cache, spans);
    });
    expect([...(await y.data())]).toEqual([5, 6, 7, 8]);
    const [zero, one] = [new Array(4).fill(0), [5, 6, 7, 8]];
    expect([...(await cache.data())]).toEqual([...zero, ...one, ...zero, ...zero, 1, 2, 3, 4, ...zero]);
    for (const t of [cache, rows, y]) t.dispose();
  });
});
