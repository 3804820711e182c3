/** Truncated sampling on the cpu device. */
import { createDevice, sampleTokens, tensor } from "@pact/tensor";
import { describe, expect, test } from "vitest";
import * as checks from "../helpers/sampling-checks.ts";

const device = await createDevice({ device: "cpu" });

describe("sampleTokens", () => {
  test.each(checks.truncations)("follows the definition: %j", async (options) => {
    await checks.followsDefinition(device, options, 5e-7);
  });

  test("follows it on long rows", () => checks.followsDefinitionOnLongRows(device, 1500, 2e-6));

  test("shows NaN and survives rows of nothing", () => checks.survivesBrokenRows(device));

  test("adds its bias first", () => checks.addsBias(device));

  test("greedy is greedy whatever the truncation, and tells its log-prob at temperature 1", async () => {
    const logits = tensor([[1, 2, 0]], { device });
    const [plain, cut] = [{}, { topK: 1, topP: 0.1, minP: 0.9 }].map((options) =>
      sampleTokens(logits, new Uint32Array(2), { temperature: 0, ...options }),
    );
    expect(await cut.ids.data()).toEqual(Int32Array.of(1));
    expect(await cut.logProbs.data()).toEqual(await plain.logProbs.data());
  });

  test("gives back what it makes on the way", async () => {
    const logits = tensor([[1, 2, 0]], { device });
    const before = device.memory().liveTensors;
    const { ids, logProbs } = sampleTokens(logits, new Uint32Array(2), {
      temperature: 1,
      topK: 2,
      topP: 0.5,
      minP: 0.1,
      bias: logits,
    });
    ids.dispose();
    logProbs.dispose();
    expect(device.memory().liveTensors).toBe(before);
  });

  test("refuses truncations that make none, and a bias of other ids", () => {
    const x = tensor([[1, 2]], { device });
    const sample = (options: object) => () =>
      sampleTokens(x, new Uint32Array(2), { temperature: 1, ...options });
    for (const topK of [0, 1.5, Number.NaN, -1]) expect(sample({ topK })).toThrow(/topK is .* at least 1/);
    for (const topP of [0, 1.1, Number.NaN]) expect(sample({ topP })).toThrow(/topP is .* at most 1/);
    for (const minP of [-0.1, 1.1, Number.NaN]) expect(sample({ minP })).toThrow(/minP is .* from 0 to 1/);
    expect(sample({ top_k: 3 })).toThrow(/no setting "top_k"/);
    expect(sample({ bias: tensor([1, 2, 3], { device }) })).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: sampleTokens: bias is f32[3], logits is f32[1, 2]; expected one bias per id, [V] or [N, V]. Make one: zeros([2]).]`,
    );
    expect(
      sample({
        bias: tensor(
          [
            [1, 2],
            [1, 2],
          ],
          { device },
        ),
      }),
    ).toThrow(/bias is f32\[2, 2\]/);
  });
});
