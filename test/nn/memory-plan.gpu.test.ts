/** Plans against what WebGPU then takes; recomputed blocks: the same bits in less memory; f16 passes over f32 masters. */
import {
  AdamW,
  initParams,
  lora,
  type Params,
  type PlanOptions,
  packSequences,
  planMemory,
  type TransformerConfig,
  tokenLogProbs,
  withLora,
} from "@pact/nn";
import { key, mean, neg, valueAndGrad } from "@pact/tensor";
import { describe, expect, it } from "vitest";
import { requireGpu } from "../helpers/require.ts";
import { gpt, qwen3 } from "./models.ts";

const device = (await requireGpu())!;
const half = device?.report.features.includes("shader-f16") ?? false;
if (device && !half) console.warn(`f16 part skipped: ${device.report.adapterName} lacks shader-f16`);

const small: TransformerConfig = {
  ...qwen3,
  vocabSize: 512,
  hiddenSize: 64,
  numLayers: 4,
  headSize: 16,
  intermediateSize: 160,
  maxPositions: 256,
};
const deep: TransformerConfig = { ...gpt, vocabSize: 101, numLayers: 6, maxPositions: 128 };

/** One step as a program takes it, and the most memory it took beyond what was there. */
async function step(config: TransformerConfig, { tokens, targets, lora: adapted, ...forward }: PlanOptions) {
  const before = device.memory().liveBytes;
  const base = initParams(config, key(1), { device, std: 0.1 });
  const adapters = adapted && lora(config, base, { ...adapted, key: key(2) });
  const trained = adapters?.weights ?? base;
  const optimizer = new AdamW(trained);
  for (const copied of Object.values(trained)) copied.dispose();
  device.resetPeak();
  const packed = packSequences([Array.from({ length: tokens }, (_, i) => (7 * i) % config.vocabSize)]);
  const rows = Int32Array.from({ length: targets ?? tokens - 1 }, (_, i) => i + 1);
  const { value, grads } = valueAndGrad((weights: Params) => {
    const params = adapters ? withLora(base, { ...adapters, weights }) : weights;
    return neg(mean(tokenLogProbs(config, params, packed, rows, forward)));
  })(optimizer.params);
  const norm = optimizer.step(grads, 1e-2);
  const peakBytes = device.memory().peakBytes - before;
  const result = {
    peakBytes,
    loss: await value.item(),
    norm: await norm.item(),
    updated: [...(await optimizer.arena.data())],
  };
  for (const used of [value, norm, ...Object.values(grads), ...(adapters ? Object.values(base) : [])])
    used.dispose();
  optimizer.dispose();
  expect(device.memory().liveBytes).toBe(before);
  return result;
}

describe.skipIf(!device)("on webgpu", () => {
  const cases: [string, TransformerConfig, PlanOptions][] = [
    ["tiny", qwen3, { tokens: 12 }],
    ["tiny, recomputed", qwen3, { tokens: 50, checkpointBlocks: true }],
    ["deep gpt", deep, { tokens: 100 }],
    ["deep gpt, recomputed, few targets", deep, { tokens: 128, targets: 9, checkpointBlocks: true }],
    ["small", small, { tokens: 200 }],
    ["small, recomputed", small, { tokens: 256, checkpointBlocks: true }],
    ["small, LoRA", small, { tokens: 150, lora: { rank: 4 } }],
    [
      "small, LoRA, recomputed",
      small,
      { tokens: 150, lora: { rank: 4, targets: ["q_proj"] }, checkpointBlocks: true },
    ],
  ];

  it.each(cases)("a plan is what a step then takes: %s", async (_name, config, options) => {
    const plan = planMemory(config, options);
    const { peakBytes } = await step(config, options);
    expect(Math.abs(plan.peakBytes / peakBytes - 1)).toBeLessThan(0.02);
    expect(plan.parameterBytes + plan.optimizerBytes + plan.workingBytes).toBe(plan.peakBytes);
  });

  it("recomputed blocks give the same bits in less memory", async () => {
    for (const [config, tokens] of [
      [deep, 100],
      [small, 200],
    ] as const) {
      const plain = await step(config, { tokens });
      const lean = await step(config, { tokens, checkpointBlocks: true });
      expect({ ...lean, peakBytes: 0 }).toEqual({ ...plain, peakBytes: 0 });
      expect(lean.peakBytes).toBeLessThan(0.7 * plain.peakBytes);
    }
  });

  it.skipIf(!half)("f16 passes train f32 parameters, close to f32 ones", async () => {
    const exact = await step(small, { tokens: 100, checkpointBlocks: true });
    const options = { tokens: 100, checkpointBlocks: true, computeDtype: "f16" } as const;
    const rough = await step(small, options);
    expect(Math.abs(rough.loss - exact.loss)).toBeLessThan(5e-3 * exact.loss);
    expect(Math.abs(rough.norm - exact.norm)).toBeLessThan(2e-2 * exact.norm);
    expect(rough.loss).not.toBe(exact.loss);
    const many = { ...small, numLayers: 40 };
    const long = { tokens: 2000, targets: 100, checkpointBlocks: true };
    const [halves, wholes] = [planMemory(many, { ...long, computeDtype: "f16" }), planMemory(many, long)];
    expect(halves.peakBytes).toBeLessThan(wholes.peakBytes);
    expect(Math.abs(planMemory(small, options).peakBytes / rough.peakBytes - 1)).toBeLessThan(0.02);
  });
});
