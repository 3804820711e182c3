/**
 * Gradients of gradients: every derivative is made of operations, so differentiating it once more must agree with
 * central differences of the first. Fused operations (norms, log-probabilities, attention) take their composed definition.
 */

import { createDevice, exp, grad, mul, pow, sum, type Tensor, tanh, tensor } from "@pact/tensor";
import { describe, expect, test } from "vitest";
import { elementwiseCases } from "../helpers/elementwise-cases.ts";
import { networkCases } from "../helpers/network-cases.ts";
import { opCases } from "../helpers/op-cases.ts";
import { secondMatchesDifferences } from "../helpers/properties.ts";

const cases = [...elementwiseCases, ...opCases, ...networkCases].filter(
  (c) => c.gradient && c.differences !== false,
);

describe("the derivative of the derivative of", () => {
  test.each(cases)("$name matches finite differences", (testCase) => secondMatchesDifferences(testCase, 4));
});

describe("closed forms", async () => {
  const device = await createDevice({ device: "cpu" });
  const at = (x: number) => tensor(x, { dtype: "f64", device });

  test("every derivative of the exponential is the exponential", async () => {
    const third = grad(grad(grad(exp)));
    expect(await third(at(0.3)).item()).toBeCloseTo(Math.exp(0.3), 14);
  });

  test("the third derivative of x⁴ is 24x", async () => {
    const f = (x: Tensor) => pow(x, 4);
    expect(await grad(grad(grad(f)))(at(1.5)).item()).toBeCloseTo(36, 12);
  });

  test("the second derivative of tanh is −2y(1 − y²)", async () => {
    const y = Math.tanh(0.7);
    expect(await grad(grad(tanh))(at(0.7)).item()).toBeCloseTo(-2 * y * (1 - y * y), 14);
  });

  test("a Hessian times a vector: ∇(∇f·v) of f = Σ x³ is 6x·v", async () => {
    const f = (x: Tensor) => sum(mul(x, mul(x, x)));
    const v = tensor([1, -2, 3], { dtype: "f64", device });
    const product = grad((x: Tensor) => sum(mul(grad(f)(x), v)));
    const x = tensor([1, 2, 0.5], { dtype: "f64", device });
    expect([...(await product(x).data())]).toEqual([6, -24, 9]);
  });
});
