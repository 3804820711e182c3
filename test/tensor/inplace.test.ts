/** The operations that change a tensor in place, on the cpu device. */
import { adamWStep, assignRows, createDevice, DeviceError, ones, transpose, zeros } from "@pact/tensor";
import { expect, test } from "vitest";
import { expectClose } from "../helpers/compare.ts";
import { adamWPair, momentsInOneTensor, readFromItself, writtenCache } from "../helpers/inplace-checks.ts";
import { reference as device } from "../helpers/properties.ts";

test("adamWStep follows its formulas, and windows of the arena see it", async () => {
  const { actual, expected, window } = await adamWPair(device, "f64");
  expectClose("parameters", actual, expected, { absolute: 1e-14, relative: 1e-13 });
  expect([...window]).toEqual([...actual.slice(10, 16)]);
});

test("assignRows writes the named rows and no others", async () => {
  expect(await writtenCache(device)).toEqual([3, 4, 0, 0, 7, 7, 1, 2, 3, 4]);
});

test("views with gaps, and a clip that is no number, are refused", () => {
  const flat = () => ones([4], { device });
  const turned = transpose(zeros([2, 2], { device }));
  expect(() =>
    assignRows(turned, Int32Array.of(0), zeros([1, 2], { device })),
  ).toThrowErrorMatchingInlineSnapshot(
    `[ShapeError: assignRows: target is f32[2, 2] on cpu, a view with gaps, expected contiguous elements. Copy it: reshape(target, target.shape).]`,
  );
  const state = { params: flat(), grads: flat(), m: flat(), v: flat(), decayMask: flat() };
  const settings = { lr: 1, beta1: 0.9, beta2: 0.9, eps: 1e-8, weightDecay: 0, step: 1 };
  expect(() => adamWStep({ ...state, clipScale: zeros([2], { device }) }, settings)).toThrow(
    "adamWStep: clipScale is f32[2], expected one f32 number.",
  );
});

test("tensors of another device are refused", async () => {
  const other = await createDevice({ device: "cpu" });
  const cache = zeros([2, 1], { device });
  expect(() => assignRows(cache, Int32Array.of(0), zeros([1, 1], { device: other }))).toThrow(DeviceError);
});

test("what is read from the tensor that changes stood there before", async () => {
  const { rows, params } = await readFromItself(device);
  expect(rows).toEqual([1, 1, 2]);
  expectClose("parameters", params, [0.9, -1.9], { absolute: 1e-6, relative: 0 });
});

test("tensors that both change must not share memory", () => {
  expect(() => momentsInOneTensor(device)).toThrowErrorMatchingInlineSnapshot(
    `[ValueError: adamWStep: m and v share memory, expected tensors of their own: both are written. Copy one: add(v, 0).]`,
  );
});
