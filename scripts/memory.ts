/**
 * Measures the table of docs/memory.md: `npx tsx --conditions=source scripts/memory.ts` runs a step of PACT for each of
 * the settings that save memory and prints the most bytes of live tensors in each part of a step, and what was planned. A
 * Qwen3 with random weights on generated tasks; the experts' words stand for rollouts, so every row has the same tokens.
 */
import { readFileSync } from "node:fs";
import { initParams, Tokenizer, type TransformerConfig } from "@pact/nn";
import { nativeDialect, planTraining, type TrainConfig, trainConfig } from "@pact/pact";
import { init, key } from "@pact/tensor";
import { ftrlLike } from "@pact/tools-sim";
import { measureTraining } from "./measure-training.ts";

const device = await init();
const tokenizer = readFileSync(new URL("../packages/pact/base/tokenizer.json", import.meta.url), "utf8");
const codec = Tokenizer.fromJson(JSON.parse(tokenizer));
const dialect = nativeDialect(codec);
const model: TransformerConfig = {
  modelType: "qwen3",
  vocabSize: codec.vocabSize,
  hiddenSize: 256,
  numLayers: 8,
  numHeads: 4,
  numKvHeads: 2,
  headSize: 64,
  intermediateSize: 768,
  maxPositions: 8192,
  normEps: 1e-6,
  ropeTheta: 1e6,
  tieWordEmbeddings: true,
};
const tasks = ftrlLike.generate({ seed: 1, split: "train", count: 4 });

/** Names of the rows, and their settings over those that all share. */
const shared = { steps: 1, promptsPerStep: 4, rolloutsPerPrompt: 4 } as const;
const rows: readonly (readonly [string, Partial<TrainConfig>])[] = [
  ["none", {}],
  ["`activationCheckpointing=true`", { activationCheckpointing: true }],
  ["`tokenBudget=512`", { tokenBudget: 512 }],
  ["`precision=f16`", { precision: "f16" }],
  ["`loraRank=8`", { loraRank: 8 }],
  ["`precision=f16`, `activationCheckpointing=true`", { precision: "f16", activationCheckpointing: true }],
  ["`loraRank=8`, `activationCheckpointing=true`", { loraRank: 8, activationCheckpointing: true }],
  ["all four", { loraRank: 8, precision: "f16", activationCheckpointing: true, tokenBudget: 512 }],
];

const parts = ["rollouts", "gradients", "update"] as const;
const mega = (bytes: number) => (bytes / 1e6).toFixed(1);
const size = Object.values(initParams(model, key(1))).reduce((sum, param) => {
  param.dispose();
  return sum + param.size;
}, 0);
console.log(`${device.report.adapterName} (${device.report.driver}), ${size} parameters; MB of 10^6 bytes\n`);
console.log(`| Settings | Peak | planned | ${parts.join(" | ")} |`);
console.log(`|---|---|---|${parts.map(() => "---|").join("")}`);
const tokens = new Set<number>();
for (const [name, given] of rows) {
  const config = trainConfig({ ...shared, ...given });
  if (config.precision === "f16" && !device.report.features.includes("shader-f16")) continue;
  const { peaks, forwardTokens } = await measureTraining(device, {
    config,
    model,
    dialect,
    tasks,
    isExpert: true,
  });
  const planned = await planTraining({ config, model, dialect, tasks, rolloutTokens: "expert" });
  const cells = [
    Math.max(...peaks.values()),
    planned.peakBytes,
    ...parts.map((part) => peaks.get(part) ?? 0),
  ];
  tokens.add(forwardTokens);
  console.log(`| ${name} | ${cells.map(mega).join(" | ")} |`);
}
console.log(`\nTokens of a step's passes: ${[...tokens].join(", ")}`);
device.destroy();
