/** Rollouts give back what their environments hold, whether they end well or not. */

import { key } from "@pact/tensor";
import type { createEnvironment } from "@pact/tools-sim";
import { beforeEach, expect, it, vi } from "vitest";
import { collectRollouts, rolloutPrompt, withoutTrace } from "../../packages/pact/src/rollout.ts";
import { testDialect } from "./codec.ts";
import { callText, scriptedPolicy, scriptIds } from "./script.ts";
import { task } from "./tasks.ts";

const log: string[] = [];
vi.mock("@pact/tools-sim", async (original) => {
  const actual = await original<typeof import("@pact/tools-sim")>();
  const observed: typeof createEnvironment = (...args) => {
    const environment = actual.createEnvironment(...args);
    const { step, close } = environment;
    environment.step = (text, options) => {
      if (options?.signal) log.push("signal");
      return step.call(environment, text, options);
    };
    environment.close = () => {
      log.push("closed");
      return close.call(environment);
    };
    return environment;
  };
  return { ...actual, createEnvironment: observed };
});
beforeEach(() => {
  log.length = 0;
});

const prompt = rolloutPrompt(testDialect, withoutTrace(task), 0);
const policy = scriptedPolicy(() => scriptIds(`${callText("Bavo")}<|end|><answer>Mira</answer><|end|>`));
const options = {
  dialect: testDialect,
  policy,
  rolloutsPerPrompt: 2,
  temperature: 1,
  maxTurns: 3,
  maxTurnTokens: 120,
  maxRolloutTokens: 400,
  key: key(5),
};

it("closes every environment at the end", async () => {
  const rollouts = await collectRollouts([prompt], options);
  expect(rollouts.map(({ stop }) => stop)).toEqual(["answer", "answer"]);
  expect(log).toEqual(["closed", "closed"]);
});

it("closes every environment after an abort, which its steps were told of", async () => {
  const controller = new AbortController();
  const onTokens = () => {
    if (log.includes("signal")) controller.abort(new Error("enough"));
  };
  const rollouts = collectRollouts([prompt], { ...options, signal: controller.signal, onTokens });
  await expect(rollouts).rejects.toThrow("enough");
  expect(log).toEqual(["signal", "signal", "closed", "closed"]);
});
