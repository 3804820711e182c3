/** Rotary positions on webgpu: in place in recordings, four pairs at once with the bits of one. */
import * as t from "@pact/tensor";
import { afterAll, describe, expect, test } from "vitest";
import { Draw } from "../helpers/draw.ts";
import { requireGpu } from "../helpers/require.ts";
import { bytesOfTurning, turnedInPlace } from "../helpers/rope-checks.ts";

const device = (await requireGpu())!;
const before = t.setDefaultDevice(device);
afterAll(() => void t.setDefaultDevice(before));

describe.skipIf(!device)("rotary positions on webgpu", () => {
  test.each([8, 6])("recordings of heads of %i turn with the function's bits", turnedInPlace);

  test("a recording takes memory for what is turned once", () => {
    const bytes = 4 * 1024 * 4 * 64;
    expect(bytesOfTurning(device, 1024)).toBeLessThan(1.5 * bytes);
  });

  test("four pairs at once have the bits of one pair at a time", async () => {
    const numbers = new Draw(2).floats(5 * 3 * 16, -2, 2);
    const positions = t.tensor(Int32Array.of(0, 1, 39, 500, 100_000));
    const at = (offset: number) => {
      const flat = t.tensor(Float32Array.from([...new Float64Array(offset), ...numbers]));
      return t.rope(t.reshape(t.slice(flat, [offset], [offset + numbers.length]), [5, 3, 16]), positions);
    };
    expect(await at(4).data()).toEqual(await at(1).data());
  });
});
