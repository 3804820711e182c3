/** The model as a policy: what it samples and the log-probs it reports, in f64 on the cpu. */
import { packSequences, tokenLogProbs } from "@pact/nn";
import { key } from "@pact/tensor";
import { beforeAll, describe, expect, it } from "vitest";
import type { Model } from "../../packages/pact/src/model.ts";
import { modelPolicy } from "../../packages/pact/src/policy.ts";
import {
  collectRollouts,
  type Rollout,
  rolloutPrompt,
  withoutTrace,
} from "../../packages/pact/src/rollout.ts";
import { testDialect } from "./codec.ts";
import { tinyModel } from "./device.ts";
import { task } from "./tasks.ts";

let model: Model;
beforeAll(async () => {
  model = await tinyModel(1);
});

const prompts = ["One?", "And a longer one?"].map((question, stream) =>
  rolloutPrompt(testDialect, withoutTrace({ ...task, question }), stream),
);
const roll = (chosen: typeof prompts, temperature = 1): Promise<Rollout[]> =>
  collectRollouts(chosen, {
    dialect: testDialect,
    policy: modelPolicy(model.config, model.params),
    rolloutsPerPrompt: 3,
    temperature,
    maxTurns: 2,
    maxTurnTokens: 15,
    maxRolloutTokens: 40,
    key: key(9),
  });

describe("modelPolicy", () => {
  it("reports the log-probs that the full forward gives to its tokens", async () => {
    for (const rollout of await roll(prompts)) {
      const start = rollout.prompt.tokens.ids.length;
      const targets = rollout.turnOf.flatMap((turn, index) => (turn >= 0 ? [start + index] : []));
      const packed = packSequences([[...rollout.prompt.tokens.ids, ...rollout.ids]]);
      const expected = await tokenLogProbs(
        model.config,
        model.params,
        packed,
        Int32Array.from(targets),
      ).data();
      targets.forEach((target, index) => {
        expect(rollout.samplerLogProbs[target - start]).toBeCloseTo(Number(expected[index]), 10);
      });
    }
  });

  it("samples the same whatever else is in the batch, and differently in each rollout", async () => {
    const together = await roll(prompts);
    const alone = await roll([prompts[1]]);
    expect(alone.map((rollout) => rollout.ids)).toEqual(together.slice(3).map((rollout) => rollout.ids));
    expect(new Set(together.map((rollout) => rollout.ids.join())).size).toBe(6);
  });

  it("is greedy at temperature 0: rollouts of a prompt are the same", async () => {
    const [first, second, third] = await roll([prompts[0]], 0);
    expect(second.ids).toEqual(first.ids);
    expect(third.ids).toEqual(first.ids);
  });
});
