/**
 * The properties that every operation is held to. Each draws `runs` problems of a case from seeds; fast-check prints the
 * seed of a failure.
 */
import { createDevice, type Device, type DType, gradcheck, scope } from "@pact/tensor";
import fc from "fast-check";
import { expect } from "vitest";
import { expectClose } from "./compare.ts";
import { Draw } from "./draw.ts";
import {
  evaluate,
  gradients,
  halved,
  inputsOf,
  isVariable,
  lossOf,
  type OpCase,
  type Problem,
  pointsOf,
  slopeLossOf,
} from "./problem.ts";
import { type Precision, secondDerivative, toleranceOf } from "./tolerances.ts";

/** The cpu device of the references. */
export const reference: Device = await createDevice({ device: "cpu" });

/** Wide enough that rounding of sums of a few hundred terms stays below the allowed error, 1e-6. */
const differences = { step: 1e-5 };

const exact = { absolute: 0, relative: 0 };

async function check(runs: number, property: (draw: Draw) => Promise<void>): Promise<void> {
  await fc.assert(
    fc.asyncProperty(fc.noBias(fc.noShrink(fc.nat())), (seed) => property(new Draw(seed))),
    { numRuns: runs },
  );
}

function sameShape(what: string, actual: readonly number[], expected: readonly number[]): void {
  if (actual.join() !== expected.join()) {
    throw new Error(`${what}: shape [${actual}], expected [${expected}]`);
  }
}

function precisionOf(device: Device, dtype: "f32" | "f16" = "f32"): Precision {
  if (dtype === "f16") return "webgpu f16";
  return device.kind === "cpu" ? "cpu f32" : "webgpu";
}
const isFloat = (dtype: DType) => dtype === "f32" || dtype === "f64" || dtype === "f16";

/** The result on `device` (in f32, any layout) is the f64 reference's, within the case's tolerance. */
export function matchesReference(testCase: OpCase, device: Device, runs: number): Promise<void> {
  return check(runs, (draw) => matchOnce(testCase, testCase.draw(draw), device));
}

/** The same in f16, on inputs that f16 holds. */
export function halfMatchesReference(testCase: OpCase, device: Device, runs: number): Promise<void> {
  return check(runs, (draw) => matchOnce(testCase, halved(testCase.draw(draw)), device, "f16"));
}

/** The same for one given problem. */
export async function matchOnce(
  testCase: OpCase,
  problem: Problem,
  device: Device,
  dtype: "f32" | "f16" = "f32",
): Promise<void> {
  const expected = await evaluate(problem, { device: reference, dtype: "f64", plain: true });
  const actual = await evaluate(problem, { device, dtype });
  sameShape(testCase.name, actual.shape, expected.shape);
  const tolerance = isFloat(actual.dtype)
    ? toleranceOf(testCase.tolerance ?? testCase.name, precisionOf(device, dtype), false)
    : exact;
  expectClose(testCase.name, actual.data, expected.data, tolerance);
}

/** In f64, whatever the layout of the inputs, the result is bit for bit that of contiguous inputs. */
export function ignoresLayout(testCase: OpCase, runs: number): Promise<void> {
  return check(runs, async (draw) => {
    const problem = testCase.draw(draw);
    const expected = await evaluate(problem, { device: reference, dtype: "f64", plain: true });
    const actual = await evaluate(problem, { device: reference, dtype: "f64" });
    sameShape(testCase.name, actual.shape, expected.shape);
    expectClose(testCase.name, actual.data, expected.data, exact);
  });
}

/** The derivative agrees with central differences in f64. */
export function matchesDifferences(testCase: OpCase, runs: number): Promise<void> {
  return check(runs, async (draw) => {
    const problem = testCase.draw(draw);
    if (problem.operands.some(isVariable)) await gradcheck(lossOf(problem), pointsOf(problem), differences);
  });
}

/** The derivative of the derivative agrees with central differences of the derivative. */
export function secondMatchesDifferences(testCase: OpCase, runs: number): Promise<void> {
  return check(runs, async (draw) => {
    const problem = testCase.draw(draw);
    if (problem.operands.some(isVariable))
      await gradcheck(slopeLossOf(problem), pointsOf(problem), differences);
  });
}

/** Run on its own, outside any scope, an operation leaves its result behind and nothing else. */
export function leavesNothing(testCase: OpCase, device: Device, runs: number): Promise<void> {
  const dtype = device.kind === "cpu" ? "f64" : "f32";
  return check(runs, async (draw) => {
    const problem = testCase.draw(draw);
    const before = device.memory();
    const inputs = scope(() => inputsOf(problem, { device, dtype }));
    problem.run(inputs).dispose();
    for (const input of inputs) input.dispose();
    expect(device.memory()).toMatchObject({
      liveTensors: before.liveTensors,
      liveBytes: before.liveBytes,
    });
  });
}

/** The gradient on `device` (in f32, any layout) is the f64 reference's, within the case's tolerance. */
export function gradientMatches(testCase: OpCase, device: Device, runs: number): Promise<void> {
  return check(runs, (draw) => gradientOnce(testCase, testCase.draw(draw), device));
}

/** The gradient in f16, on inputs that f16 holds. */
export function halfGradientMatches(testCase: OpCase, device: Device, runs: number): Promise<void> {
  return check(runs, (draw) => {
    const tolerance = toleranceOf(testCase.tolerance ?? testCase.name, "webgpu f16", true);
    return gradientOnce(testCase, halved(testCase.draw(draw)), device, lossOf, tolerance, "f16");
  });
}

/** The second derivative on `device` is the f64 reference's, within the case's tolerance. */
export function secondGradientMatches(testCase: OpCase, device: Device, runs: number): Promise<void> {
  return check(runs, (draw) => {
    return gradientOnce(testCase, testCase.draw(draw), device, slopeLossOf, secondDerivative);
  });
}

/** The same for one given problem, or for another loss. */
export async function gradientOnce(
  testCase: OpCase,
  problem: Problem,
  device: Device,
  loss: typeof slopeLossOf = lossOf,
  tolerance = toleranceOf(testCase.tolerance ?? testCase.name, precisionOf(device), true),
  dtype: "f32" | "f16" = "f32",
): Promise<void> {
  const expected = await gradients(problem, { device: reference, dtype: "f64", plain: true }, loss);
  const actual = await gradients(problem, { device, dtype }, loss);
  expected.forEach((e, k) => {
    const what = `gradient ${k} of ${testCase.name}`;
    sameShape(what, actual[k].shape, e.shape);
    expectClose(what, actual[k].data, e.data, tolerance);
  });
}
