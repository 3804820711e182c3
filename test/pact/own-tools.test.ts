/**
 * Tools of one's own behind rollouts and training: one runner for each episode, and its output is what is observed. That an
 * evaluation uses them too, examples/010-own-environment.ts shows: its tasks have no recorded calls.
 */
import { initParams } from "@pact/nn";
import { key } from "@pact/tensor";
import type { Task, ToolCall, ToolRunner } from "@pact/tools-sim";
import { expect, it } from "vitest";
import { trainConfig } from "../../packages/pact/src/config.ts";
import { collectRollouts, rolloutPrompt, withoutTrace } from "../../packages/pact/src/rollout.ts";
import { nullSink } from "../../packages/pact/src/run-sink.ts";
import { Trainer } from "../../packages/pact/src/trainer.ts";
import { testDialect, testVocabulary } from "./codec.ts";
import { cpuDevice } from "./device.ts";
import { callText, scriptedPolicy, scriptIds } from "./script.ts";
import { task } from "./tasks.ts";

/** Runners that answer with the number of their episode; their tasks and calls are kept. */
function numbered() {
  const tasks: Task[] = [];
  const calls: ToolCall[] = [];
  const createRunner = (own: Task): ToolRunner => {
    const episode = tasks.push(own);
    return (call) => {
      calls.push(call);
      return { name: call.function.name, content: `episode ${episode}`, error: false, source: "simulated" };
    };
  };
  return { tasks, calls, createRunner };
}

const policy = scriptedPolicy(() => scriptIds(`${callText("Bavo")}<|end|><answer>Mira</answer><|end|>`));
const limits = { maxTurns: 3, maxTurnTokens: 120, maxRolloutTokens: 400 };

it("answers the calls of rollouts, with a task that has no trace", async () => {
  const { tasks, calls, createRunner } = numbered();
  const prompt = rolloutPrompt(testDialect, withoutTrace(task), 0);
  const sampling = { dialect: testDialect, policy, rolloutsPerPrompt: 2, temperature: 1, key: key(5) };
  const rollouts = await collectRollouts([prompt], { ...limits, ...sampling, createRunner });
  expect(rollouts.map(({ turns }) => turns[0].outputs)).toEqual([["episode 1"], ["episode 2"]]);
  expect(calls.map((call) => call.function.arguments)).toEqual([{ town: "Bavo" }, { town: "Bavo" }]);
  expect(tasks.map(({ trace }) => trace)).toEqual([undefined, undefined]);
});

it("answers the calls of training", async () => {
  const device = await cpuDevice();
  const model = {
    modelType: "qwen3",
    vocabSize: testVocabulary,
    hiddenSize: 8,
    numLayers: 1,
    numHeads: 1,
    numKvHeads: 1,
    headSize: 8,
    intermediateSize: 8,
    maxPositions: 2048,
    normEps: 1e-6,
    ropeTheta: 10_000,
    tieWordEmbeddings: true,
  } as const;
  const params = initParams(model, key(0), { device });
  const { calls, createRunner } = numbered();
  const config = trainConfig({ ...limits, steps: 1, promptsPerStep: 1, rolloutsPerPrompt: 2 });
  const shared = { model, params, dialect: testDialect, tasks: [task], sink: nullSink, createRunner };
  const trainer = new Trainer({ ...shared, config, policy: () => policy });
  const outputs: string[] = [];
  for await (const event of trainer.steps()) {
    if (event.kind === "rollouts") outputs.push(...event.rollouts.flatMap(({ turns }) => turns[0].outputs));
  }
  trainer.dispose();
  expect(outputs).toEqual(["episode 1", "episode 2"]);
  expect(calls.length).toBe(2);
});
