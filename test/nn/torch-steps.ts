/**
 * Four steps of optimisers from the same start with the same gradients, beside what PyTorch 1.13 gives in f64:
 *
 *   ps = [torch.tensor([1., -2., 3.]), torch.tensor([[.5, -.25]])]
 *   for t in 1..4: p.grad of ps[i] = torch.sin(3·arange + t + i); clip_grad_norm_(ps, 1.0) where clipped; opt.step()
 */
import type { Params } from "@pact/nn";
import { type Device, tensor } from "@pact/tensor";
import { expect } from "vitest";

/** `torch.optim.SGD(ps, lr=0.1, …)`. */
export const sgdRuns = [
  {
    options: { momentum: 0 },
    expected: [
      0.8864914075614483, -1.8661844330548798, 2.8485557780305446, 0.5665309335085518, -0.29080050724801065,
    ],
  },
  {
    options: { momentum: 0.9 },
    expected: [
      0.5130659736542227, -1.4924768586439758, 2.4820458227586752, 0.38873399430524425, -0.06826762035034586,
    ],
  },
  {
    // momentum=0.9, nesterov=True, weight_decay=0.01
    options: { momentum: 0.9, nesterov: true, groups: [{ match: () => true, weightDecay: 0.01 }] },
    expected: [
      0.43884285033742576, -1.3878242733120827, 2.348573641523688, 0.462062060972186, -0.1262188617275514,
    ],
  },
  {
    // momentum=0.8, dampening=0.3, weight_decay=0.02
    options: { momentum: 0.8, dampening: 0.3, groups: [{ match: ["vector", "matrix"], weightDecay: 0.02 }] },
    expected: [
      0.6195667455032882, -1.5983988945199479, 2.584740365089294, 0.36435810820296444, -0.06905795297103846,
    ],
  },
];

/** SGD([{vector, lr=0.05}, {matrix, lr=0.1, weight_decay=0.02}], momentum=0.9), clipped to 1. */
export const clippedGroups = {
  options: { weightDecay: 0.02, clipNorm: 1, groups: [{ match: ["vector"], rateScale: 0.5 }] },
  expected: [
    0.8581429401859794, -1.8475305103317414, 2.839969758349871, 0.4819884232419346, -0.1900330472925989,
  ],
  norms: [1.8597882677993194, 1.6802306961962978, 1.1279232824030723, 1.7884926283307998],
};

/** AdamW([{vector, lr=0.05, weight_decay=0.3}, {matrix, lr=0.1, weight_decay=0.02}], betas=(0.9, 0.95)). */
export const adamGroups = {
  options: {
    weightDecay: 0.02,
    clipNorm: Number.POSITIVE_INFINITY,
    groups: [{ match: (name: string) => name === "vector", rateScale: 0.5, weightDecay: 0.3 }],
  },
  expected: [
    0.7886551499508567, -1.7229711237963512, 2.6585553297242077, 0.34526007151501226, -0.06737707318321684,
  ],
};

interface Optimizer {
  readonly params: Params;
  step(grads: Params, learningRate: number): { item(): Promise<number>; dispose(): void };
  dispose(): void;
}

const dtypeOf = (device: Device) => (device.kind === "cpu" ? "f64" : "f32");

export const start = (device: Device): Params => ({
  vector: tensor([1, -2, 3], { device, dtype: dtypeOf(device) }),
  matrix: tensor([[0.5, -0.25]], { device, dtype: dtypeOf(device) }),
});

/** Gradients of step t (1, 2, …). */
export const gradients = (device: Device, t: number): Params => ({
  vector: tensor(
    [0, 1, 2].map((i) => Math.sin(3 * i + t)),
    { device, dtype: dtypeOf(device) },
  ),
  matrix: tensor([[0, 1].map((i) => Math.sin(3 * i + t + 1))], { device, dtype: dtypeOf(device) }),
});

/** Runs four steps at rate 0.1 and compares; `tolerance` is absolute. */
export async function walksWithTorch(
  device: Device,
  make: (params: Params) => Optimizer,
  expected: readonly number[],
  tolerance: number,
  norms: readonly number[] = [],
) {
  const before = device.memory().liveTensors;
  const given = start(device);
  const optimizer = make(given);
  for (const value of Object.values(given)) value.dispose();
  for (let t = 1; t <= 4; t++) {
    const grads = gradients(device, t);
    const norm = optimizer.step(grads, 0.1);
    if (norms.length > 0) expect(Math.abs((await norm.item()) - norms[t - 1])).toBeLessThan(1e-6);
    for (const used of [norm, ...Object.values(grads)]) used.dispose();
  }
  const actual = [...(await optimizer.params.vector.data()), ...(await optimizer.params.matrix.data())];
  actual.forEach((value, i) => {
    expect(Math.abs(value - expected[i])).toBeLessThan(tolerance);
  });
  optimizer.dispose();
  expect(device.memory().liveTensors).toBe(before);
}
