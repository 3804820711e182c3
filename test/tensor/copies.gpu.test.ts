/** Copies from buffer to buffer, which take no kernel, against the kernel that copies elements. */
import * as t from "@pact/tensor";
import { afterAll, describe, expect, test } from "vitest";
import { copyIntoOp } from "../../packages/tensor/src/ops/copy.ts";
import { requireGpu } from "../helpers/require.ts";

const device = (await requireGpu())!;
const before = t.setDefaultDevice(device);
afterAll(() => void t.setDefaultDevice(before));

/** y = x, by the kernel. */
const byKernel: t.Op<null> = {
  name: "byKernel",
  strided: true,
  half: true,
  infer: ([{ shape, dtype }]) => [{ shape, dtype }],
  webgpu: ([x], [y]) => copyIntoOp.webgpu?.([x], [y], null) ?? [],
};

describe.skipIf(!device)("copies on webgpu", () => {
  const values = Array.from({ length: 37 }, (_, i) => (i % 7) - 3);

  test.each([
    ["f32", 0, 37, 0],
    ["f32", 5, 12, 0],
    ["i32", 1, 36, 0],
    ["u32", 3, 9, 0],
    ["bool", 2, 11, 0],
    ["f16", 2, 8, 0],
    ["f16", 1, 8, 1],
    ["f16", 2, 7, 1],
  ] as const)(
    "%s from %i on, %i elements: %i kernels, the same bits",
    async (dtype, start, size, kernels) => {
      if (dtype === "f16" && !device.report.features.includes("shader-f16")) return;
      const data =
        dtype === "u32" || dtype === "bool" ? values.map((v) => Math.max(0, Math.sign(v))) : values;
      const x = t.tensor(data, { dtype });
      const window = t.slice(x, [start], [start + size]);
      const { dispatches } = device.stats();
      const copy = t.concat([window]);
      expect(device.stats().dispatches - dispatches).toBe(kernels);
      const expected = t.apply(byKernel, [window], null);
      expect(await copy.data()).toEqual(await expected.data());
      expect([...(await copy.data())]).toEqual(data.slice(start, start + size));
    },
  );

  test("run in their order among kernels, also while those are being built", async () => {
    const fresh = await t.createDevice({ device: "webgpu" });
    const x = t.tensor([1, 2, 3, 4], { device: fresh });
    const y = t.scope(() => {
      let y = x;
      for (let i = 0; i < 5; i++) y = t.concat([t.add(y, 1), t.slice(y, [0], [2])]);
      return t.mul(y, 2);
    });
    let row = [1, 2, 3, 4];
    for (let i = 0; i < 5; i++) row = [...row.map((v) => v + 1), ...row.slice(0, 2)];
    expect([...(await y.data())]).toEqual(row.map((v) => v * 2));
    fresh.destroy();
  });
});
