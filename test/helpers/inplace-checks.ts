/** What the in-place operations must do, for any device: AdamW against its formulas, rows written into a cache. */
import {
  adamWStep,
  assignRows,
  type Device,
  full,
  reshape,
  sgdStep,
  slice,
  tensor,
  zeros,
} from "@pact/tensor";
import { Draw } from "./draw.ts";

/** AdamW (arXiv 1711.05101, algorithm 2) on plain numbers, written out once more. */
export function plainAdamW(
  grads: Float64Array[],
  start: Float64Array,
  decayed: Float64Array,
  scale: number,
): Float64Array {
  const [lr, beta1, beta2, eps, decay] = [0.01, 0.9, 0.95, 1e-8, 0.1];
  return start.map((value, i) => {
    let [p, m, v] = [value, 0, 0];
    grads.forEach((g, t) => {
      m = beta1 * m + (1 - beta1) * g[i] * scale;
      v = beta2 * v + (1 - beta2) * (g[i] * scale) ** 2;
      const [mHat, vHat] = [m / (1 - beta1 ** (t + 1)), v / (1 - beta2 ** (t + 1))];
      p = p - lr * decay * decayed[i] * p - (lr * mHat) / (Math.sqrt(vHat) + eps);
    });
    return p;
  });
}

/** Three AdamW steps on the device and in plain numbers: `[actual, expected]`, and the arena seen through a window. */
export async function adamWPair(device: Device, dtype: "f32" | "f64") {
  const n = 131;
  const draw = new Draw(4);
  const make = (data: Float64Array) => tensor(data, { dtype, device });
  const initial = draw.floats(n);
  const decayed = draw.ints(n, 0, 1);
  const grads = [0, 1, 2].map(() => draw.floats(n));
  const params = make(initial);
  const window = reshape(slice(params, [10], [16]), [2, 3]);
  const state = { params, m: zeros([n], { dtype, device }), v: zeros([n], { dtype, device }) };
  const clipScale = full([], 0.25, { dtype, device });
  grads.forEach((g, t) => {
    const settings = { lr: 0.01, beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.1, step: t + 1 };
    adamWStep({ ...state, grads: make(g), decayMask: make(decayed), clipScale }, settings);
  });
  return {
    actual: await params.data(),
    expected: plainAdamW(grads, initial, decayed, 0.25),
    window: await window.data(),
  };
}

/** Parameters after two steps each of AdamW and SGD on 132 numbers, in vectors `offset` elements into their memory. */
export async function steppedAt(device: Device, offset: number) {
  const n = 132;
  const draw = new Draw(6);
  const make = (low: number) => {
    const values = [...new Float64Array(offset), ...draw.floats(n, low, 1)];
    return slice(tensor(Float32Array.from(values), { device }), [offset], [offset + n]);
  };
  const [params, grads, m, decayMask] = [-1, -1, -1, 0].map(make);
  const state = { params, grads, m, v: make(0), decayMask, clipScale: full([], 0.25, { device }) };
  const sgd = { lr: 0.01, momentum: 0.9, dampening: 0.5, nesterov: true, weightDecay: 0.1 };
  for (const step of [1, 2]) {
    adamWStep(state, { lr: 0.01, beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.1, step });
    sgdStep({ ...state, velocity: m }, { ...sgd, step });
  }
  sgdStep(
    { params, grads, decayMask, clipScale: state.clipScale },
    { ...sgd, momentum: 0, nesterov: false, step: 1 },
  );
  return params.data();
}

/** A cache of 5 rows after rows 3 and 0 were written, and after writing nothing and a window of other rows. */
export async function writtenCache(device: Device): Promise<number[]> {
  const cache = zeros([5, 1, 2], { device });
  const values = tensor([[[1, 2]], [[3, 4]]], { device });
  assignRows(cache, Int32Array.of(3, 0), values);
  assignRows(cache, new Int32Array(0), zeros([0, 1, 2], { device }));
  assignRows(cache, Int32Array.of(4), slice(values, [1, 0, 0], [2, 1, 2]));
  assignRows(slice(cache, [1, 0, 0], [3, 1, 2]), Int32Array.of(1), full([1, 1, 2], 7, { device }));
  return [...(await cache.data())];
}

/** Rows moved inside one cache, then a step whose gradients are the parameters: what is read is what stood there before. */
export async function readFromItself(device: Device): Promise<{ rows: number[]; params: number[] }> {
  const cache = tensor([1, 2, 3], { device });
  assignRows(cache, Int32Array.of(1, 2), slice(cache, [0], [2]));
  const params = tensor([1, -2], { device });
  const own = () => zeros([2], { device });
  const state = {
    params,
    grads: params,
    m: own(),
    v: own(),
    decayMask: own(),
    clipScale: full([], 1, { device }),
  };
  adamWStep(state, { lr: 0.1, beta1: 0.9, beta2: 0.9, eps: 1e-8, weightDecay: 0, step: 1 });
  return { rows: [...(await cache.data())], params: [...(await params.data())] };
}

/** A step whose two moments are parts of one tensor: a mistake. */
export function momentsInOneTensor(device: Device): void {
  const own = () => zeros([2], { device });
  const both = zeros([4], { device });
  const [m, v] = [slice(both, [0], [2]), slice(both, [2], [4])];
  const state = { params: own(), grads: own(), m, v, decayMask: own(), clipScale: full([], 1, { device }) };
  adamWStep(state, { lr: 0.1, beta1: 0.9, beta2: 0.9, eps: 1e-8, weightDecay: 0, step: 1 });
}
