/** The golden operations in f32 on webgpu, within ten times the error that PyTorch makes in float32. */
import { expect, test } from "vitest";
import { checkOps } from "../../scripts/golden/ops.ts";
import { requireGpu } from "../helpers/require.ts";

const device = (await requireGpu())!;
const folder = new URL("../golden", import.meta.url).pathname;

test.skipIf(!device)("every golden operation agrees, values and gradients", async () => {
  const outcomes = await checkOps({ device, dtype: "f32" }, folder);
  expect(outcomes.filter((o) => o.status !== "passed")).toEqual([]);
  expect(outcomes.length).toBe(99);
});
