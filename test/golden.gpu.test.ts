/** The committed reference numbers through the public API on WebGPU in f32. */
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { checkFolder } from "../scripts/golden.ts";
import { requireGpu } from "./helpers/require.ts";

const device = await requireGpu();

describe.skipIf(!device)("the committed golden data on webgpu in f32", () => {
  it("has no failing case", async () => {
    const golden = fileURLToPath(new URL("golden", import.meta.url));
    expect(await checkFolder(golden, device!)).toEqual({
      passed: 257,
      failed: 0,
      unsupported: 0,
      failures: [],
    });
  });
});
