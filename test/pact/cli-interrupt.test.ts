import { key } from "@pact/tensor";
import { expect, it } from "vitest";
import { collectRollouts, rolloutPrompt, withoutTrace } from "../../packages/pact/src/rollout.ts";
import { testCodec, testDialect } from "./codec.ts";
import { scriptedPolicy } from "./script.ts";
import { task } from "./tasks.ts";

it("a batch of rollouts lets signals and timers in, also with a policy that never waits", async () => {
  const controller = new AbortController();
  const reason = new Error("stop");
  // A timer stands for a signal: both are handled only when the event loop turns.
  setTimeout(() => controller.abort(reason), 5);
  let columns = 0;
  const rollouts = collectRollouts([rolloutPrompt(testDialect, withoutTrace(task), 0)], {
    dialect: testDialect,
    policy: scriptedPolicy(() => testCodec.encode("a")),
    rolloutsPerPrompt: 1,
    temperature: 1,
    maxTurns: 1,
    maxTurnTokens: 200,
    maxRolloutTokens: 200,
    key: key(1),
    signal: controller.signal,
    onTokens: () => {
      columns++;
      const began = performance.now();
      while (performance.now() - began < 5);
    },
  });
  await expect(rollouts).rejects.toBe(reason);
  expect(columns).toBeLessThan(200);
});
