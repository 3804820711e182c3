/**
 * npx tsx --conditions=source bench/kernels/adamw.ts
 *
 * The ladder of the AdamW step for the parameters of the GPT of W3 (842,496 numbers), then with clipping by the global norm.
 * What each rung gains: one kernel for the operations of a parameter, one start for all parameters (an arena), four elements
 * at once; fused, the factor that clips is computed where the parts of the sum of squares are added up.
 */
import { clipScale, globalNorm, initParams } from "@pact/nn";
import {
  type AdamWState,
  adamWStep,
  add,
  capture,
  concat,
  div,
  key,
  mul,
  ones,
  randomNormal,
  scope,
  slice,
  sqrt,
  square,
  sub,
  type Tensor,
  zeros,
} from "@pact/tensor";
import { gpt } from "../workloads/model.ts";
import { climb, ladderDevice, type Rung } from "./ladder.ts";

const device = await ladderDevice();
const settings = { lr: 1e-3, beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.1, step: 3 };
const sizes = Object.values(initParams(gpt(), key(0), { device })).map(({ size }) => size);
const total = sizes.reduce((a, b) => a + b);

/** A state of its own, the same numbers each time, in vectors `offset` elements into their memory. */
function stateOf(offset = 0): AdamWState {
  const vector = (seed: number, change = (x: Tensor) => x) =>
    scope(() => {
      const drawn = change(randomNormal(key(seed), [total], { device }));
      return slice(concat([zeros([offset], { device }), drawn], 0), [offset], [offset + total]);
    });
  const [params, grads, m, decayMask] = [1, 2, 3, 4].map((seed) => vector(seed));
  return { params, grads, m, v: vector(5, square), decayMask, clipScale: ones([], { device }) };
}

/** The part of `state` that belongs to each parameter. */
function partsOf(state: AdamWState): AdamWState[] {
  let end = 0;
  return sizes.map((size) => {
    const start = end;
    end += size;
    const part = (x: Tensor) => slice(x, [start], [end]);
    const { params, grads, m, v, decayMask, clipScale } = state;
    const [p, g, m1, v1, mask] = [params, grads, m, v, decayMask].map(part);
    return { params: p, grads: g, m: m1, v: v1, decayMask: mask, clipScale };
  });
}

/** The formula, operation by operation; m and v stay as they were. */
function composed({ params, grads, m, v, decayMask, clipScale }: AdamWState): Tensor {
  const { lr, beta1, beta2, eps, weightDecay, step } = settings;
  const g = mul(grads, clipScale);
  const first = add(mul(m, beta1), mul(g, 1 - beta1));
  const second = add(mul(v, beta2), mul(square(g), 1 - beta2));
  const root = add(div(sqrt(second), Math.sqrt(1 - beta2 ** step)), eps);
  const decayed = mul(params, sub(1, mul(decayMask, lr * weightDecay)));
  return sub(decayed, mul(div(first, root), lr / (1 - beta1 ** step)));
}

/** A rung that changes a state of its own. */
function rung(name: string, state: AdamWState, step: (state: AdamWState) => void): Rung {
  return {
    name,
    run() {
      step(state);
      return slice(state.params, [0], [total]);
    },
  };
}

const update = (state: AdamWState) => adamWStep(state, settings);
const clipped = (state: AdamWState) =>
  scope(() => update({ ...state, clipScale: clipScale(globalNorm(state.grads), 1) }));
const composedParts = partsOf(stateOf());
const own = stateOf(1);
const ownParts = partsOf(own);
// Fifteen operations an element.
const problem = (name: string) => ({
  name: `${name}, ${sizes.length} tensors`,
  inputs: [],
  flops: 15 * total,
});
await climb(device, problem("AdamW"), [
  { name: "operations, parameter by parameter", run: () => concat(composedParts.map(composed), 0) },
  rung("a kernel a parameter", own, () => ownParts.forEach(update)),
  rung("one kernel over the arena", stateOf(1), update),
  rung("four elements at once", stateOf(), update),
]);
const replayed = stateOf();
const step = capture(() => clipped(replayed));
await climb(device, problem("AdamW with clipping"), [
  rung("operation by operation", stateOf(), clipped),
  rung("fused", replayed, step),
]);
device.destroy();
