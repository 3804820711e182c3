import { AdamW, ParameterError, type Params, Sgd } from "@pact/nn";
import { createDevice, mul, sgdStep, square, sum, tensor, valueAndGrad, zeros } from "@pact/tensor";
import { describe, expect, it } from "vitest";
import * as torch from "./torch-steps.ts";

const device = await createDevice({ device: "cpu" });
const free = { clipNorm: Number.POSITIVE_INFINITY };

describe("Sgd", () => {
  it.each(torch.sgdRuns)("walks with PyTorch: $options", ({ options, expected }) =>
    torch.walksWithTorch(device, (p) => new Sgd(p, { ...free, ...options }), expected, 1e-12),
  );

  it("walks with PyTorch in groups, clipped by the norm over all of them", () => {
    const { options, expected, norms } = torch.clippedGroups;
    return torch.walksWithTorch(device, (p) => new Sgd(p, options), expected, 1e-6, norms);
  });

  it("needs no velocity without momentum, and continues from saved state", async () => {
    expect(new Sgd(torch.start(device), { momentum: 0 }).velocity).toBeUndefined();
    const [whole, first] = [new Sgd(torch.start(device)), new Sgd(torch.start(device))];
    for (let t = 1; t <= 4; t++) whole.step(torch.gradients(device, t), 0.1);
    for (let t = 1; t <= 2; t++) first.step(torch.gradients(device, t), 0.1);
    const second = new Sgd(torch.start(device));
    second.restore(first);
    for (let t = 3; t <= 4; t++) second.step(torch.gradients(device, t), 0.1);
    expect(second.steps).toBe(4);
    expect(await second.arena.data()).toEqual(await whole.arena.data());
  });

  it("refuses Nesterov steps without momentum or with dampening, as PyTorch does", () => {
    const make = (options: object) => () => new Sgd(torch.start(device), { nesterov: true, ...options });
    expect(make({ momentum: 0 })).toThrow(/nesterov with momentum 0/);
    expect(make({ dampening: 0.1 })).toThrow(ParameterError);
  });
});

it.each([
  { momentum: -1 },
  { dampening: Number.NaN },
  { clipNorm: -1 },
  { weightDecay: Number.POSITIVE_INFINITY },
])("Sgd refuses settings that make no step: %j", (options) => {
  expect(() => new Sgd({ w: tensor([1], { device }) }, options)).toThrow(/Sgd: .* is .*, expected/);
});

describe("parameter groups", () => {
  it("give AdamW rates and decays of their own, as in PyTorch", () => {
    const { options, expected } = torch.adamGroups;
    return torch.walksWithTorch(device, (p) => new AdamW(p, options), expected, 1e-12);
  });

  it.each([
    { name: "AdamW", make: (p: Params, options: object) => new AdamW(p, options) },
    { name: "Sgd", make: (p: Params, options: object) => new Sgd(p, options) },
  ])("leave frozen parameters without gradient, state or change: $name", async ({ make }) => {
    const given = torch.start(device);
    const optimizer = make(given, { groups: [{ match: ["vector"], frozen: true }] });
    expect(Object.keys(optimizer.params)).toEqual(["matrix"]);
    expect(optimizer.frozen).toEqual({ vector: given.vector });
    expect(optimizer.arena.size).toBe(64);
    const loss = (p: Params) => sum(mul(square({ ...optimizer.frozen, ...p }.matrix), sum(given.vector)));
    const { grads } = valueAndGrad(loss)(optimizer.params);
    expect(Object.keys(grads)).toEqual(["matrix"]);
    optimizer.step(grads, 0.1);
    expect(await optimizer.params.matrix.data()).not.toEqual(await given.matrix.data());
    expect(await given.vector.data()).toEqual(Float64Array.of(1, -2, 3));
  });

  it("of which the first match counts; the arena is ordered by rate", async () => {
    const groups = [
      { match: ["b"], rateScale: 0 },
      { match: () => true, rateScale: 2 },
    ];
    const one = () => tensor([1], { device });
    const optimizer = new Sgd({ a: one(), b: one(), c: one() }, { momentum: 0, groups, ...free });
    optimizer.step({ a: one(), b: one(), c: one() }, 0.25);
    const values = await Promise.all(Object.values(optimizer.params).map((p) => p.item()));
    expect(Object.keys(optimizer.params)).toEqual(["a", "c", "b"]);
    expect(values).toEqual([0.5, 0.5, 1]);
  });

  it("are refused where they name nothing or are no numbers", () => {
    const make = (group: object) => () =>
      new AdamW(torch.start(device), { groups: [{ match: ["vector"], ...group }] });
    expect(make({ match: ["vektor"] })).toThrow(/group 0 names \["vektor"\], which are no parameters/);
    expect(make({ rateScale: -1 })).toThrow(/rateScale of group 0 is -1/);
    expect(make({ weightDecay: Number.NaN })).toThrow(ParameterError);
    expect(make({ match: () => true, frozen: true })).toThrow(/every parameter is frozen/);
  });
});

describe("sgdStep", () => {
  const state = () => ({
    params: zeros([2], { device }),
    grads: zeros([2], { device }),
    velocity: zeros([2], { device }),
    decayMask: zeros([2], { device }),
    clipScale: zeros([], { device }),
  });
  const settings = { lr: 0.1, momentum: 0.9, dampening: 0, nesterov: false, weightDecay: 0, step: 1 };

  it("refuses tensors and settings that make no step, by name", () => {
    const step =
      (tensors: object, numbers: object = {}) =>
      () =>
        sgdStep({ ...state(), ...tensors }, { ...settings, ...numbers });
    expect(step({ grads: zeros([3], { device }) })).toThrow(/grads is f32\[3\], expected f32\[2\]/);
    expect(step({ velocity: zeros([2], { device, dtype: "f64" }) })).toThrow(/velocity is f64/);
    expect(step({ clipScale: zeros([2], { device }) })).toThrow(
      /clipScale is f32\[2\], expected one f32 number/,
    );
    expect(step({ params: zeros([2], { device, dtype: "i32" }) })).toThrow(/params is i32/);
    expect(step({ velocity: undefined })).toThrow(/there is no velocity/);
    expect(step({}, { lr: Number.NaN })).toThrow(/lr is NaN/);
    expect(step({}, { step: 0 })).toThrow(/step is 0/);
    const shared = zeros([2], { device });
    expect(step({ params: shared, velocity: shared })).toThrow(/params and velocity share memory/);
    expect(() =>
      valueAndGrad((p: Params) => {
        sgdStep(state(), settings);
        return sum(p.w);
      })({ w: zeros([1], { device }) }),
    ).toThrow(/a gradient is being recorded/);
  });
});
