/** The losses after the log-prob gather, captured: how few kernels they take with their gradient, and that they stay right. */
import { type ObjectiveOptions, pactObjective, policyLosses } from "@pact/pact";
import * as t from "@pact/tensor";
import { afterAll, describe, expect, test } from "vitest";
import { expectClose } from "../helpers/compare.ts";
import { requireGpu } from "../helpers/require.ts";

const device = (await requireGpu())!;
const before = t.setDefaultDevice(device);
afterAll(() => void t.setDefaultDevice(before));

const tokens = 300;
const numbers = (phase: number) =>
  t.tensor(Float32Array.from({ length: tokens }, (_, i) => Math.sin(phase * (i + 1)) * 0.5)); // [M]

/** The objective, its terms and the gradient of the log-probs, as one function of them. */
function objective(options: ObjectiveOptions) {
  const [oldLogProbs, referenceLogProbs, advantages, policyWeights, sftWeights] = [2, 3, 4, 5, 6].map(
    numbers,
  );
  const frozen = { oldLogProbs, referenceLogProbs, advantages, policyWeights, sftWeights };
  const terms = (logProbs: t.Tensor) => {
    const { loss, policy, sft } = pactObjective({ logProbs, ...frozen }, options);
    return [loss, { policy, sft }] as const;
  };
  return t.valueAndGrad(terms, { aux: true });
}

const cases: readonly [string, ObjectiveOptions][] = [
  ["ratio, clip, dual clip and SFT", { sftWeight: 0.1 }],
  ["with an anchor to the reference", { sftWeight: 0.1, klCoefficient: 0.05 }],
  ["with an anchor whose gradient is k2's", { sftWeight: 0.1, klCoefficient: 0.05, klEstimator: "k3+" }],
  ["without a dual clip", { sftWeight: 0, dualClip: null }],
  ["CISPO", { sftWeight: 0.1, policyLoss: "cispo" }],
  [
    "REINFORCE and CHORD's expert loss",
    { sftWeight: 1, policyLoss: "reinforce", expertLoss: "phi", policyWeight: 0.9 },
  ],
];

describe.skipIf(!device)("losses after the gather", () => {
  test.each(cases)("%s: forward and backward in at most 6 dispatches", async (_name, options) => {
    const f = objective(options);
    using captured = t.capture((logProbs: t.Tensor) => {
      const { value, grads, aux } = f(logProbs);
      return [value, grads, aux.policy, aux.sft];
    });
    captured(numbers(1));
    const logProbs = numbers(1.5);
    const start = device.stats().dispatches;
    const actual = captured(logProbs);
    expect(device.stats().dispatches - start).toBeLessThanOrEqual(6);
    const { value, grads, aux } = f(logProbs);
    for (const [k, expected] of [value, grads, aux.policy, aux.sft].entries())
      expectClose(`result ${k}`, await actual[k].data(), await expected.data(), {
        absolute: 2e-5,
        relative: 2e-5,
      });
  });

  test("a masked mean of clipped losses is one kernel, its gradient included, where it is short", async () => {
    const [old, advantages, mask] = [numbers(2), numbers(3), t.greater(numbers(4), 0)].map((x) =>
      t.slice(x, [0], [100]),
    );
    const loss = (x: t.Tensor) => t.mean(t.where(mask, policyLosses(x, old, advantages), 0));
    using captured = t.capture((x: t.Tensor) => Object.values(t.valueAndGrad(loss)(x)));
    const x = t.slice(numbers(1), [0], [100]);
    captured(x);
    const start = device.stats().dispatches;
    captured(x);
    expect(device.stats().dispatches - start).toBe(1);
  });
});
