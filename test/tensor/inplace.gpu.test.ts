/** The operations that change a tensor in place, on webgpu. */
import { describe, expect, test } from "vitest";
import { expectClose } from "../helpers/compare.ts";
import {
  adamWPair,
  momentsInOneTensor,
  readFromItself,
  steppedAt,
  writtenCache,
} from "../helpers/inplace-checks.ts";
import { requireGpu } from "../helpers/require.ts";

const device = (await requireGpu())!;

describe.skipIf(!device)("in place on webgpu", () => {
  test("adamWStep follows its formulas, and windows of the arena see it", async () => {
    const { actual, expected, window } = await adamWPair(device, "f32");
    expectClose("parameters", actual, expected, { absolute: 1e-6, relative: 1e-6 });
    expect([...window]).toEqual([...actual.slice(10, 16)]);
  });

  test("steps of four elements at once have the bits of one element at a time", async () => {
    expect(await steppedAt(device, 4)).toEqual(await steppedAt(device, 3));
  });

  test("assignRows writes the named rows and no others", async () => {
    expect(await writtenCache(device)).toEqual([3, 4, 0, 0, 7, 7, 1, 2, 3, 4]);
  });

  test("what is read from the tensor that changes stood there before", async () => {
    const { rows, params } = await readFromItself(device);
    expect(rows).toEqual([1, 1, 2]);
    expectClose("parameters", params, [0.9, -1.9], { absolute: 1e-6, relative: 0 });
  });

  test("tensors that both change must not share memory", () => {
    expect(() => momentsInOneTensor(device)).toThrow("m and v share memory");
  });
});
