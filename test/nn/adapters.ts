/** Adapters that do something, and what must hold of them on any device. */
import {
  AdamW,
  DecodeSession,
  forwardHidden,
  initParams,
  type Lora,
  logits,
  lora,
  mergeLora,
  type Params,
  packSequences,
  type TransformerConfig,
  tokenLogProbs,
  unmergeLora,
  withLora,
} from "@pact/nn";
import { type Device, foldIn, key, mean, neg, randomNormal, valueAndGrad } from "@pact/tensor";
import { expect } from "vitest";

/** Adapters whose B is not 0, on the given layers. */
export function trained(config: TransformerConfig, params: Params, targets?: readonly string[]): Lora {
  const adapters = lora(config, params, { rank: 2, alpha: 3, targets, key: key(21) });
  Object.entries(adapters.weights).forEach(([name, value], i) => {
    if (!name.endsWith("lora_B.weight")) return;
    const { shape, dtype, device } = value;
    value.dispose();
    adapters.weights[name] = randomNormal(foldIn(key(22), i), shape, { dtype, device });
  });
  return adapters;
}

export const packed = packSequences([
  [1, 2, 3, 4, 5],
  [6, 7, 8],
]);
export const targets = Int32Array.of(1, 2, 3, 4, 6, 7);

export const lossOf = (config: TransformerConfig, params: Params) =>
  neg(mean(tokenLogProbs(config, params, packed, targets)));

const read = async (params: Params, name: string) => [...(await params[name].data())];

function near(actual: readonly number[], expected: readonly number[], tolerance: number): void {
  expect(actual.length).toBe(expected.length);
  actual.forEach((value, i) => {
    expect(Math.abs(value - expected[i])).toBeLessThan(tolerance * Math.max(1, Math.abs(expected[i])));
  });
}

/** Beside the weights or in them: the same logits, in a full forward and step by step over a cache. */
export async function equalsMerged(config: TransformerConfig, params: Params, tolerance: number) {
  const adapters = trained(config, params);
  const merged = mergeLora(params, adapters);
  const beside = withLora(params, adapters);
  const full = async (p: Params) => [...(await logits(config, p, forwardHidden(config, p, packed)).data())];
  near(await full(beside), await full(merged), tolerance);
  const cached = async (p: Params) => {
    using session = new DecodeSession(config, p, { prompts: [[1, 2]], rows: [{ prompt: 0, capacity: 3 }] });
    const first = [...(await session.prefill().data())];
    return [...first, ...(await session.append([{ row: 0, ids: [4, 5, 6] }]).data())];
  };
  near(await cached(beside), await cached(merged), tolerance);
  const back = unmergeLora(merged, adapters);
  for (const name of Object.keys(params)) near(await read(back, name), await read(params, name), tolerance);
}

/** Training the adapters lowers the loss, leaves the base's bits, and keeps gradients and state of the adapters alone. */
export async function trainsAdaptersAlone(config: TransformerConfig, device: Device) {
  const params = initParams(config, key(3), { device, std: 0.2 });
  const names = Object.keys(params);
  const before = await Promise.all(names.map((name) => read(params, name)));
  const adapters = lora(config, params, { rank: 2, alpha: 8, targets: ["q_proj", "down_proj"], key: key(4) });
  const size = Object.values(adapters.weights).reduce((sum, { size }) => sum + size, 0);
  const optimizer = new AdamW(adapters.weights, { weightDecay: 0 });
  const step = valueAndGrad((weights: Params) => lossOf(config, withLora(params, { ...adapters, weights })));
  const losses: number[] = [];
  for (let i = 0; i < 12; i++) {
    const { value, grads } = step(optimizer.params);
    expect(Object.keys(grads)).toEqual(Object.keys(adapters.weights));
    expect(Object.values(grads).reduce((sum, { size }) => sum + size, 0)).toBe(size);
    losses.push(await value.item());
    optimizer.step(grads, 0.05).dispose();
    for (const used of [value, ...Object.values(grads)]) used.dispose();
  }
  expect(losses[11]).toBeLessThan(losses[0] - 0.1);
  expect(await Promise.all(names.map((name) => read(params, name)))).toEqual(before);
  expect(optimizer.m.size).toBeLessThan(size + 64 * Object.keys(adapters.weights).length);
}
