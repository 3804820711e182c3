/** Special values on webgpu, where WGSL promises little about them; indices outside, which the host can not see. */
import * as t from "@pact/tensor";
import { describe, expect, test } from "vitest";
import { requireGpu } from "../helpers/require.ts";
import { specialChecks } from "../helpers/special-checks.ts";

const device = (await requireGpu())!;

describe.skipIf(!device)("special values on webgpu", () => {
  if (!device) return;
  specialChecks(device);

  test("indices outside read 0 and add nothing", async () => {
    const index = t.tensor([1, 3, -1], { dtype: "i32", device });
    const x = t.tensor([5, 6, 7], { device });
    const read = async (y: t.Tensor) => [...(await y.data())];
    expect(await read(t.take(x, index))).toEqual([6, 0, 0]);
    expect(await read(t.gather(x, 0, index))).toEqual([6, 0, 0]);
    expect(await read(t.scatterAdd(x, 0, index, t.ones([3], { device })))).toEqual([5, 7, 7]);
    expect(await read(t.indexAdd(x, 0, index, t.ones([3], { device })))).toEqual([5, 7, 7]);
    expect(await read(t.oneHot(index, 3))).toEqual([0, 1, 0, 0, 0, 0, 0, 0, 0]);
  });
});
