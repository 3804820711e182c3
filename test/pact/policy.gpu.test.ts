/** Rollouts of the model on WebGPU: beginning steps ahead changes nothing, and a step is one submission. */
import { initParams } from "@pact/nn";
import { key } from "@pact/tensor";
import { describe, expect, it } from "vitest";
import { modelPolicy } from "../../packages/pact/src/policy.ts";
import {
  collectRollouts,
  type RolloutPolicy,
  rolloutPrompt,
  withoutTrace,
} from "../../packages/pact/src/rollout.ts";
import { requireGpu } from "../helpers/require.ts";
import { testDialect } from "./codec.ts";
import { tinyModel } from "./device.ts";
import { task } from "./tasks.ts";

const device = (await requireGpu())!;

/** The same policy, which is never told the keys of later tokens and so begins nothing ahead. */
function stepByStep(policy: RolloutPolicy): RolloutPolicy {
  return {
    start(...given) {
      const session = policy.start(...given);
      return {
        first: (keys) => session.first(keys),
        next: (entries, keys) => session.next(entries, keys),
        dispose: () => session.dispose(),
      };
    },
  };
}

describe.skipIf(!device)("modelPolicy on webgpu", () => {
  it("samples the same tokens, begun ahead or not, with one submission a token and no memory left", async () => {
    const { config } = await tinyModel();
    const before = device.memory().liveTensors;
    const params = initParams(config, key(1), { device });
    const policy = modelPolicy(config, params);
    const prompts = ["One?", "And a longer one?"].map((question, stream) =>
      rolloutPrompt(testDialect, withoutTrace({ ...task, question }), stream),
    );
    // A turn ends every few tokens.
    const dialect = { ...testDialect, isStop: (id: number) => id % 11 === 0 };
    const roll = async (policy: RolloutPolicy) => {
      let steps = 0;
      const { submits } = device.stats();
      const rollouts = await collectRollouts(prompts, {
        dialect,
        policy,
        rolloutsPerPrompt: 4,
        temperature: 1,
        maxTurns: 3,
        maxTurnTokens: 15,
        maxRolloutTokens: 60,
        key: key(9),
        onTokens: () => {
          steps++;
        },
      });
      return { rollouts, submitsPerStep: (device.stats().submits - submits) / steps };
    };
    const plain = await roll(stepByStep(policy));
    const ahead = await roll(policy);
    expect(ahead.rollouts.map(({ ids }) => ids)).toEqual(plain.rollouts.map(({ ids }) => ids));
    for (const [n, { samplerLogProbs }] of ahead.rollouts.entries())
      samplerLogProbs.forEach((value, i) => {
        expect(Math.abs(value - plain.rollouts[n].samplerLogProbs[i])).toBeLessThan(5e-6);
      });
    expect(new Set(ahead.rollouts.map(({ ids }) => ids.length)).size).toBeGreaterThan(1);
    expect(plain.submitsPerStep).toBe(1);
    // One more for what was begun at last, and where rows go on behind an observation.
    expect(ahead.submitsPerStep).toBeLessThan(1.5);
    for (const value of Object.values(params)) value.dispose();
    expect(device.memory().liveTensors).toBe(before);
  });
});
