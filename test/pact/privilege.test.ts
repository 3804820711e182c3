/** What the expert trace may touch: its own terms, its own context, and never the answer. Over every switch. */
import { beforeAll, describe, expect, it } from "vitest";
import { type TrainConfig, trainConfig } from "../../packages/pact/src/config.ts";
import { termGradientNorm } from "../../packages/pact/src/gradient-norms.ts";
import { objectiveAt } from "../../packages/pact/src/methods.ts";
import type { Model } from "../../packages/pact/src/model.ts";
import { microBatches } from "../../packages/pact/src/pack.ts";
import { isSampled } from "../../packages/pact/src/roles.ts";
import type { Rollout } from "../../packages/pact/src/rollout.ts";
import { buildTrees, lossTerm } from "../../packages/pact/src/trees.ts";
import { batchGradient } from "../../packages/pact/src/update.ts";
import { routedPrompts, scriptedRollouts, switchCases, treesOf } from "./batches.ts";
import { testCodec, testDialect } from "./codec.ts";
import { cpuDevice, tinyModel } from "./device.ts";

let model: Model;
let rollouts: Rollout[];
beforeAll(async () => {
  await cpuDevice();
  model = await tinyModel(1);
  rollouts = await scriptedRollouts();
});

const ofPact = switchCases.filter(({ method = "pact" }) => method === "pact");
const named = (cases: readonly Partial<TrainConfig>[]) =>
  cases.map((given) => [JSON.stringify(given), given] as const);
const shapes: Partial<TrainConfig>[] = [
  {},
  { traceRendering: "reference" },
  { traceContext: "scheduled" },
  { traceComponents: ["calls", "observations"] },
  { anchor: "mix" },
  { anchor: "none" },
];

describe("the trace", () => {
  it.each(named(shapes))(
    "%s: exchanged between tasks, changes the trace terms and L^x not by a bit",
    async (_, given) => {
      const config = trainConfig({ steps: 4, ...given });
      const prompts = routedPrompts(rollouts, config);
      const traces = [prompts[2], prompts[0], prompts[1]].map(({ task }) => task.trace);
      const exchanged = prompts.map((prompt, index) => ({
        ...prompt,
        task: { ...prompt.task, trace: traces[index] },
      }));
      const norms = (of: typeof prompts) => {
        const batches = microBatches(buildTrees(testDialect, of, 2, config), config);
        const { anchored, traced, sftReasoning, sftCall } = lossTerm;
        return Promise.all(
          [[anchored], [traced], [sftReasoning, sftCall]].map((terms) =>
            termGradientNorm(model, batches, objectiveAt(config, 2), terms),
          ),
        );
      };
      const [x, h, sft] = await norms(prompts);
      const [otherX, otherH, otherSft] = await norms(exchanged);
      // With no prompt anchored there is no L^x.
      expect(x > 0).toBe(given.anchor !== "none");
      expect(otherX).toBe(x);
      expect(otherH).not.toBe(h);
      expect(otherSft).not.toBe(sft);
    },
  );

  it.each(named(ofPact))(
    "%s: the sampled ids stand in every context, the answer has RL loss and no SFT",
    (_, given) => {
      const { config, trees } = treesOf(rollouts, given);
      const sampled = rollouts.map(({ roles }) => roles.filter(isSampled).length);
      for (const tree of trees) {
        tree.branches.forEach(({ ids, scored }) => {
          const own = rollouts.find((rollout) => rollout.ids === ids);
          expect(own).toBeDefined();
          expect(scored.length).toBe(sampled[rollouts.indexOf(own!)]);
          for (const token of scored)
            expect([token.sftWeight, isSampled(own!.roles[token.position])]).toEqual([0, true]);
        });
        const said = tree.prefix.scored.map(({ position }) => tree.prefix.ids[position]);
        expect(testCodec.decode(said)).not.toContain("<answer>");
        for (const token of tree.prefix.scored)
          expect([lossTerm.sftReasoning, lossTerm.sftCall]).toContain(token.term);
      }
      const scored = trees.flatMap(({ branches }) => branches).length;
      expect(scored).toBe(config.anchor === "mix" ? 16 : 8);
    },
  );

  it.each(named(shapes))("%s: one token too many for the limit is an error", (_, given) => {
    const { trees } = treesOf(rollouts, given);
    const needed = Math.max(
      ...trees.map(
        ({ prefix, branches }) => prefix.ids.length + Math.max(0, ...branches.map(({ ids }) => ids.length)),
      ),
    );
    expect(() => treesOf(rollouts, { ...given, maxContextTokens: needed })).not.toThrow();
    expect(() => treesOf(rollouts, { ...given, maxContextTokens: needed - 1 })).toThrow(
      /contexts are never cut/,
    );
  });

  it("with R empty, the literal normaliser makes L_SFT independent of λ_a", async () => {
    const loss = async (callWeightStart: number, sftNormaliser: "weights" | "count") => {
      const given = {
        reasoningSchedule: "none",
        callSchedule: "fixed",
        callWeightStart,
        sftNormaliser,
      } as const;
      const { config, trees } = treesOf(rollouts, given);
      const sft = microBatches(trees, config).map((batch) => ({
        ...batch,
        policyWeights: batch.policyWeights.fill(0),
      }));
      return (await batchGradient(model, sft, objectiveAt(config, 2))).loss;
    };
    expect(await loss(0.8, "weights")).toBeCloseTo(await loss(0.3, "weights"), 12);
    expect(await loss(0.8, "count")).not.toBeCloseTo(await loss(0.3, "count"), 6);
  });
});
