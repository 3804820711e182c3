/** A step's loss taken apart: the parts add up to what the trainer logged, under every kind of objective. */
import { type Params, paramsFromSafetensors, type TransformerConfig } from "@pact/nn";
import { cast } from "@pact/tensor";
import { beforeAll, describe, expect, it } from "vitest";
import { defaultConfig, type TrainConfig, trainConfig } from "../../packages/pact/src/config.ts";
import { agrees, bothContexts, explainStep, type StepInputs } from "../../packages/pact/src/explain.ts";
import { trainedRollout } from "../../packages/pact/src/records.ts";
import {
  type Checkpoint,
  nullSink,
  type RolloutRecord,
  type StepMetrics,
} from "../../packages/pact/src/run-sink.ts";
import { Trainer } from "../../packages/pact/src/trainer.ts";
import { testDialect } from "./codec.ts";
import { cpuDevice, tinyModel } from "./device.ts";
import { callText, scriptedPolicy, scriptIds } from "./script.ts";
import { task, trace } from "./tasks.ts";

const tasks = ["Bavo", "Kelm", "Rosta"].map((town, index) => ({
  ...task,
  id: `t${index}`,
  question: `Mayor of "${town}"?`,
  trace: { ...trace, turns: [trace.turns[1]] },
}));
const scripts = [
  `${callText("Bavo")}<|end|>${callText("Bavo")}<|end|><answer>Mira</answer><|end|>`,
  `<think>a</think>${callText("Kelm")}${callText("Z")}<|end|><answer>x</answer><|end|>`,
  "<answer>Mira</answer><|end|>",
].map(scriptIds);

let model: TransformerConfig;
let start: Params;
beforeAll(async () => {
  await cpuDevice();
  const made = await tinyModel(3);
  model = made.config;
  start = Object.fromEntries(Object.entries(made.params).map(([name, value]) => [name, cast(value, "f32")]));
});

/** Trains two steps with a checkpoint after each; the records and what `explainStep` needs of a step. */
async function train(given: Partial<TrainConfig>) {
  const lines: StepMetrics[] = [];
  const records: RolloutRecord[] = [];
  const checkpoints: Checkpoint[] = [];
  const config = trainConfig({
    steps: 2,
    promptsPerStep: 2,
    rolloutsPerPrompt: 2,
    maxTurnTokens: 60,
    maxRolloutTokens: 120,
    tokenBudget: 250,
    checkpointEvery: 1,
    learningRate: 0.01,
    ...given,
  });
  const trainer = new Trainer({
    config,
    model,
    params: start,
    dialect: testDialect,
    tasks,
    policy: () => scriptedPolicy((row) => scripts[row % scripts.length]),
    sink: {
      ...nullSink,
      metrics: async (line) => void lines.push(line),
      rollout: async (record) => void records.push(JSON.parse(JSON.stringify(record))),
      checkpoint: async (checkpoint) => void checkpoints.push(checkpoint),
    },
  });
  for await (const _ of trainer.steps());
  trainer.dispose();
  const paramsAfter = (steps: number) =>
    steps === 0 ? start : paramsFromSafetensors(model, checkpoints[steps - 1].model);
  const inputs = (step: number): StepInputs => {
    const own = records.filter((record) => record.step === step);
    const prompts = [0, 2].map((first) => ({
      task: tasks.find(({ id }) => id === own[first].taskId)!,
      rollouts: own.slice(first, first + 2).map((record) => trainedRollout(record.trained!)),
      advantages: own.slice(first, first + 2).map(({ advantages }) => advantages),
      anchored: own[first].trained!.anchored,
    }));
    const at = (steps: number) => ({ config: model, params: paramsAfter(steps) });
    return {
      config,
      step,
      dialect: testDialect,
      model: at(step),
      next: at(step + 1),
      reference: { config: model, params: start },
      prompts,
    };
  };
  return { lines, records, inputs };
}

const objectives: Record<string, Partial<TrainConfig>> = {
  pact: { method: "pact", anchorProbability: 0.5 },
  "pact, behind the trace only, with KL and entropy, two updates": {
    anchor: "none",
    klCoefficient: 0.05,
    entropyWeight: 0.02,
    innerUpdates: 2,
  },
  "anchor mix": { anchor: "mix", anchorWeight: 0.5 },
  "another context for the rollouts": { anchor: "none", traceComponents: ["calls"] },
  "ratios to the prompt alone": { anchor: "none", ratioDenominator: "behaviour" },
  "a capped correction": { anchor: "none", ratioDenominator: "traceTruncated", truncation: 1.01 },
  "one by one": { pack: false, tokenBudget: defaultConfig.tokenBudget },
  gspo: { anchor: "none", policyLoss: "gspo", ratioDenominator: "behaviour" },
  cispo: { anchor: "none", policyLoss: "cispo", ratioDenominator: "behaviour" },
  chord: { method: "chord" },
  matchtir: { method: "matchtir" },
};

describe("a step taken apart", () => {
  it.each(Object.entries(objectives))("%s: the contributions add up to the logged loss", async (_, given) => {
    const { lines, inputs } = await train(given);
    for (const { step, values } of lines) {
      const explained = await explainStep(inputs(step));
      const logged = values["loss/total"]!;
      expect(Math.abs(explained.total - logged)).toBeLessThanOrEqual(1e-5 * Math.max(1, explained.size));
      expect(agrees(explained, logged)).toBe(true);
      const parts = explained.tokens.flatMap(({ terms }) => terms);
      const sum = (...names: string[]) =>
        parts
          .filter(({ term }) => names.includes(term))
          .reduce((all, { weight, value }) => all + weight * value, 0);
      expect(parts.reduce((all, { weight, value }) => all + weight * value, 0)).toBeCloseTo(logged, 4);
      const config = inputs(step).config;
      // Each term is the logged one, with its coefficient.
      if (config.method !== "chord") {
        expect(sum("x")).toBeCloseTo(values["loss/x"] ?? 0, 4);
        expect(sum("h")).toBeCloseTo(values["loss/h"] ?? 0, 4);
        expect(sum("sft/reasoning", "sft/call")).toBeCloseTo(config.sftWeight * (values["loss/sft"] ?? 0), 3);
      }
      expect(sum("kl")).toBeCloseTo(config.klCoefficient * (values["loss/kl"] ?? 0), 5);
      expect(sum("entropy")).toBeCloseTo(-config.entropyWeight * (values["loss/entropy"] ?? 0), 5);
      expect(sum("x", "h")).not.toBe(0);
    }
  });

  it("with other advantages or other parameters does not agree", async () => {
    const { lines, inputs } = await train({ anchor: "none" });
    const right = inputs(1);
    const logged = lines[1].values["loss/total"]!;
    const [first, ...rest] = right.prompts;
    const other = { ...first, advantages: first.advantages.map((turns) => turns.map((a) => a + 0.1)) };
    expect(agrees(await explainStep({ ...right, prompts: [other, ...rest] }), logged)).toBe(false);
    expect(agrees(await explainStep({ ...right, model: { config: model, params: start } }), logged)).toBe(
      false,
    );
  });

  it("knows every token's place, and what the update did to it", async () => {
    const { records, inputs } = await train({ anchor: "none" });
    const { tokens } = await explainStep(inputs(0));
    records
      .filter(({ step }) => step === 0)
      .forEach((record, rollout) => {
        const own = tokens.filter((token) => token.rollout === rollout);
        const sampled = [...record.trained!.roles].flatMap((role, at) => ("123".includes(role) ? [at] : []));
        expect(own.map(({ position }) => position)).toEqual(sampled);
        expect(own.map(({ id }) => id)).toEqual(sampled.map((at) => record.trained!.ids[at]));
        expect(own.every(({ prompt }) => prompt === Math.floor(rollout / 2))).toBe(true);
        expect(own.every(({ ratio, clip }) => ratio === 1 && clip === "none")).toBe(true);
        expect(own.some(({ after }) => Math.abs(after!.ratio - 1) > 1e-3)).toBe(true);
      });
    const expert = tokens.filter(({ rollout }) => rollout < 0);
    expect(new Set(expert.map(({ prompt }) => prompt))).toEqual(new Set([0, 1]));
  });

  it("under chord gives each expert episode to its prompt", async () => {
    const { inputs } = await train({ method: "chord" });
    const { tokens } = await explainStep(inputs(0));
    const answers = tokens.filter(({ terms }) => terms[0].term === "sft/answer");
    expect(new Set(answers.map(({ prompt }) => prompt))).toEqual(new Set([0, 1]));
  });

  it("a ratio beyond the clip is reported as clipped", async () => {
    const { inputs } = await train({
      anchor: "none",
      ratioDenominator: "behaviour",
      clipLow: 1e-4,
      clipHigh: 1e-4,
    });
    const { tokens } = await explainStep(inputs(1));
    for (const { rollout, ratio, advantage, clip } of tokens.filter((token) => token.rollout >= 0)) {
      const beyond = advantage > 0 ? ratio > 1 + 1e-4 : ratio < 1 - 1e-4;
      expect([rollout, clip]).toEqual([rollout, beyond && advantage !== 0 ? "clipped" : "none"]);
    }
    expect(tokens.some(({ clip }) => clip === "clipped")).toBe(true);
  });
});

describe("both contexts of a rollout", () => {
  it("hold the log-prob the token is trained at, whichever the gate chose", async () => {
    for (const given of [{ anchor: "none" }, { method: "matchtir" }] as const) {
      const { inputs } = await train(given);
      const step = inputs(1);
      const { tokens } = await explainStep(step);
      const contexts = await bothContexts({ ...step, prompts: [step.prompts[1]] });
      expect(contexts.length).toBe(2);
      contexts.forEach((own, index) => {
        const trained = tokens.filter(({ rollout }) => rollout === 2 + index);
        expect(own.map(({ position }) => position)).toEqual(trained.map(({ position }) => position));
        own.forEach(({ prompt, trace: behind }, at) => {
          const here = "anchor" in given ? behind! : prompt;
          expect(here).toBeCloseTo(trained[at].logProb, 4);
          expect(prompt).not.toBe(behind);
        });
      });
    }
  });
});
