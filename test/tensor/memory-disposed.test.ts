/** Every public function that takes a tensor refuses a disposed one by name; views outlive the tensor they look into. */
import * as t from "@pact/tensor";
import { describe, expect, test } from "vitest";
import { Draw } from "../helpers/draw.ts";
import { elementwiseCases } from "../helpers/elementwise-cases.ts";
import { networkCases } from "../helpers/network-cases.ts";
import { opCases } from "../helpers/op-cases.ts";
import { inputsOf } from "../helpers/problem.ts";
import { reference as device } from "../helpers/properties.ts";

const cases = [...elementwiseCases, ...opCases, ...networkCases];

describe("each operation, with each of its arguments disposed in turn", () => {
  test.each(cases)("$name", (testCase) => {
    const problem = testCase.draw(new Draw(5));
    const before = device.memory().liveTensors;
    for (let k = 0; k < problem.operands.length; k++) {
      const inputs = t.scope(() => inputsOf(problem, { device, dtype: "f64" }));
      inputs[k].dispose();
      expect(() => problem.run(inputs), `argument ${k}`).toThrow(t.DisposedError);
      for (const input of inputs) input.dispose();
    }
    expect(device.memory().liveTensors).toBe(before);
  });
});

const make = (values: number[]) => t.tensor(values, { device });

/** What the cases above do not call. */
const others: Record<string, (gone: t.Tensor) => unknown> = {
  data: (gone) => gone.data(),
  stopGradient: (gone) => t.stopGradient(gone),
  "cast to its own dtype": (gone) => t.cast(gone, "f32"),
  sampleTokens: (gone) => t.sampleTokens(gone, Uint32Array.of(1, 2), { temperature: 1 }),
  "assignRows, target": (gone) => t.assignRows(gone, Int32Array.of(0), t.ones([1, 3], { device })),
  "assignRows, values": (gone) => t.assignRows(t.ones([1, 3], { device }), Int32Array.of(0), gone),
  "assignRows of no rows": (gone) => t.assignRows(gone, new Int32Array(0), t.ones([0, 3], { device })),
  valueAndGrad: (gone) => t.valueAndGrad((x: t.Tensor) => t.sum(x))(gone),
  "valueAndGrad of a structure": (gone) =>
    t.valueAndGrad((x: { a: t.Tensor[] }) => t.sum(x.a[0]))({ a: [gone] }),
  grad: (gone) => t.grad((x: t.Tensor) => t.sum(x))(gone),
  vjp: (gone) => t.vjp((x) => [t.exp(x)], [gone], [null]),
  "vjp, upstream gradient": (gone) => t.vjp((x) => [t.mul(x, 2)], [t.ones([1, 3], { device })], [gone]),
};

describe("each other use", () => {
  test.each(Object.entries(others))("%s", (_name, use) => {
    const gone = t.ones([1, 3], { device });
    gone.dispose();
    expect(() => t.scope(() => void use(gone))).toThrow(t.DisposedError);
  });

  test("item", async () => {
    const [one, many] = [make([1]), make([1, 2])];
    for (const gone of [one, many]) {
      gone.dispose();
      await expect(gone.item()).rejects.toThrow(t.DisposedError);
    }
  });

  test.each(["params", "grads", "m", "v", "decayMask", "clipScale"] as const)("adamWStep, %s", (name) => {
    const vector = () => make([1, 2]);
    const state = t.scope(() => ({
      ...{ params: vector(), grads: vector(), m: vector(), v: vector(), decayMask: vector() },
      clipScale: t.ones([], { device }),
    }));
    state[name].dispose();
    const settings = { lr: 1, beta1: 0.9, beta2: 0.9, eps: 1, weightDecay: 0, step: 1 };
    expect(() => t.adamWStep(state, settings)).toThrow(t.DisposedError);
    for (const tensor of Object.values(state)) tensor.dispose();
  });
});

test("a view can be used after its base is disposed, and not after it is disposed itself", async () => {
  const base = make([1, 2, 3, 4]);
  const view = t.slice(base, [1], [3]);
  const ofView = t.reshape(view, [2, 1]);
  base.dispose();
  expect(await t.add(view, 1).data()).toEqual(Float32Array.of(3, 4));
  view.dispose();
  view.dispose();
  expect(() => t.add(view, 1)).toThrow(t.DisposedError);
  expect(await ofView.data()).toEqual(Float32Array.of(2, 3));
});

test("a read under way survives the tensor's disposal", async () => {
  const x = make([1, 2]);
  const read = x.data();
  x.dispose();
  expect(await read).toEqual(Float32Array.of(1, 2));
});
