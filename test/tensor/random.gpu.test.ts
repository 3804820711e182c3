/** Random bits on webgpu are those of the cpu; sampling agrees with it and with softmax. */
import {
  dropout,
  foldIn,
  key,
  logProbGather,
  mul,
  ones,
  randomBits,
  randomCategorical,
  randomNormal,
  randomPermutation,
  randomUniform,
  sampleTokens,
  tensor,
} from "@pact/tensor";
import { describe, expect, test } from "vitest";
import { Draw } from "../helpers/draw.ts";
import { reference } from "../helpers/properties.ts";
import { requireGpu } from "../helpers/require.ts";

const device = (await requireGpu())!;

describe.skipIf(!device)("random numbers on webgpu", () => {
  test.each([0, 1, -1, 2 ** 40 + 3])("are bit for bit the cpu's: seed %s", async (seed) => {
    for (const make of [randomBits, randomUniform, randomNormal]) {
      const [gpu, cpu] = [
        make(key(seed), [1009], { device }),
        make(key(seed), [1009], { device: reference }),
      ];
      expect(await gpu.data()).toEqual(await cpu.data());
      gpu.dispose();
    }
  });

  test.each(["f32", "f16"] as const)(
    "normal numbers of a deviation are drawn and multiplied ones: %s",
    async (dtype) => {
      if (dtype === "f16" && !device.report.features.includes("shader-f16")) return;
      for (const deviation of [0.02, 0.02 / Math.sqrt(56), 3, -1, 0]) {
        const options = { dtype, device };
        const drawn = randomNormal(key(3), [5003], { deviation, ...options });
        const multiplied = mul(randomNormal(key(3), [5003], options), deviation);
        expect(await drawn.data()).toEqual(await multiplied.data());
      }
    },
  );

  test("permutations and dropout masks are the cpu's", async () => {
    const on = async (where: typeof device) => [
      ...(await randomPermutation(key(4), 257, { device: where }).data()),
      ...(await dropout(ones([1009], { device: where }), 0.3, key(4)).data()),
    ];
    expect(await on(device)).toEqual(await on(reference));
  });

  test("randomCategorical draws the cpu's ids", async () => {
    const values = new Draw(6).floats(300 * 13, -3, 3);
    const on = async (where: typeof device) => {
      const logits = tensor(values, { shape: [20, 15, 13], dtype: "f32", device: where });
      return randomCategorical(key(12), logits).data();
    };
    expect(await on(device)).toEqual(await on(reference));
  });

  test("sampleTokens draws the cpu's ids", async () => {
    const [rows, size] = [500, 67];
    const values = new Draw(1).floats(rows * size, -3, 3);
    const keys = Uint32Array.from(Array.from({ length: rows }, (_, r) => foldIn(key(9), r)).flat());
    for (const temperature of [0, 0.7, 1]) {
      const on = (where: typeof device) =>
        sampleTokens(tensor(values, { shape: [rows, size], dtype: "f32", device: where }), keys, {
          temperature,
        });
      const [gpu, cpu] = [on(device), on(reference)];
      const [a, b] = [await gpu.ids.data(), await cpu.ids.data()];
      // Two noisy scores closer than f32 can tell may swap; seeds without such a row were chosen.
      expect(a).toEqual(b);
      const expected = await cpu.logProbs.data();
      (await gpu.logProbs.data()).forEach((p, i) => {
        expect(Math.abs(p - expected[i])).toBeLessThan(5e-6);
      });
    }
  });

  test("sampleTokens follows softmax also for unlikely tokens", async () => {
    // Half a million draws: one token of probability 1/1001 beside a likely one; the noise's tail decides it.
    const rows = 65_536;
    const values = Float64Array.from({ length: 2 * rows }, (_, i) => (i % 2 === 0 ? Math.log(1000) : 0));
    const logits = tensor(values, { shape: [rows, 2], dtype: "f32", device });
    let rare = 0;
    for (let round = 0; round < 8; round++) {
      const keys = (await randomBits(foldIn(key(11), round), [2 * rows], { device }).data()) as Uint32Array;
      const { ids } = sampleTokens(logits, keys, { temperature: 1 });
      for (const id of await ids.data()) rare += id;
    }
    const expected = (8 * rows) / 1001;
    expect(Math.abs(rare - expected)).toBeLessThan(4 * Math.sqrt(expected));
  });

  test("masked logits of −∞ are never drawn", async () => {
    const size = 5;
    const row = [0, Number.NEGATIVE_INFINITY, 1, Number.NEGATIVE_INFINITY, 0];
    const rows = 2000;
    const logits = tensor(
      Float64Array.from({ length: rows * size }, (_, i) => row[i % size]),
      {
        shape: [rows, size],
        dtype: "f32",
        device,
      },
    );
    const keys = Uint32Array.from({ length: 2 * rows }, (_, i) => i);
    const { ids, logProbs } = sampleTokens(logits, keys, { temperature: 1 });
    const drawn = await ids.data();
    expect(new Set(drawn)).toEqual(new Set([0, 2, 4]));
    const expected = await logProbGather(logits, ids).data();
    (await logProbs.data()).forEach((p, i) => {
      expect(Math.abs(p - expected[i])).toBeLessThan(2e-6);
    });
  });
});
