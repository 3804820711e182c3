/** Trees, weights and gradients in f64 on the cpu, with rollouts from a scripted policy. */
import { forwardHidden, logits, packSequences, predecessors, tokenLogProbs } from "@pact/nn";
import { key, logProbGather, mul, neg, sum, type Tensor, take, tensor, valueAndGrad } from "@pact/tensor";
import { beforeAll, describe, expect, it } from "vitest";
import { defaultConfig } from "../../packages/pact/src/config.ts";
import { contextTokens } from "../../packages/pact/src/contexts.ts";
import { pactObjective } from "../../packages/pact/src/losses/objective.ts";
import type { Model } from "../../packages/pact/src/model.ts";
import { packMicroBatches } from "../../packages/pact/src/pack.ts";
import { renderPrompt, renderTrace } from "../../packages/pact/src/render.ts";
import { isSampled } from "../../packages/pact/src/roles.ts";
import {
  collectRollouts,
  type Rollout,
  rolloutPrompt,
  withoutTrace,
} from "../../packages/pact/src/rollout.ts";
import {
  buildEpisode,
  buildTrees,
  lossTerm,
  type PromptTree,
  type RoutedPrompt,
  type TreeConfig,
} from "../../packages/pact/src/trees.ts";
import { batchGradient, frozenLogProbs } from "../../packages/pact/src/update.ts";
import { testCodec, testDialect } from "./codec.ts";
import { cpuDevice, tinyModel } from "./device.ts";
import { callText, scriptedPolicy, scriptIds } from "./script.ts";
import { task, trace } from "./tasks.ts";

const config: TreeConfig = { ...defaultConfig, steps: 10 };
const objective = { clipHigh: 0.28, sftWeight: 0.5 };
const scripts = [
  `<think>a</think>${callText("Bavo")}<|end|><answer>Mira</answer><|end|>`,
  `${callText("Kelm")}<|end|><think>no</think><answer>Kelm</answer><|end|>`,
  "<answer>x</answer><|end|>",
].map(scriptIds);

let model: Model;
let rollouts: Rollout[];
const advantages = [[0.9, 0.4], [-0.7, -1.1], [0.3]];

beforeAll(async () => {
  await cpuDevice();
  model = await tinyModel();
  rollouts = await collectRollouts([rolloutPrompt(testDialect, withoutTrace(task), 0)], {
    dialect: testDialect,
    policy: scriptedPolicy((row) => scripts[row]),
    rolloutsPerPrompt: 3,
    temperature: 1,
    maxTurns: 3,
    maxTurnTokens: 120,
    maxRolloutTokens: 400,
    key: key(0),
  });
});

const routed = (given: Partial<RoutedPrompt> = {}): RoutedPrompt => ({
  task,
  rollouts,
  advantages,
  anchored: false,
  ...given,
});
const tree = (
  given: Partial<RoutedPrompt> = {},
  changed: Partial<TreeConfig> = {},
  step = 0,
  prompts = 1,
) => {
  const all = [routed(given), ...Array.from({ length: prompts - 1 }, () => routed())];
  return buildTrees(testDialect, all, step, { ...config, ...changed })[0];
};

async function gradientOf(
  trees: readonly PromptTree[],
  tokenBudget = 1e6,
): Promise<{ loss: number; flat: number[] }> {
  const { loss, grads } = await batchGradient(model, packMicroBatches(trees, tokenBudget), objective);
  const flat: number[] = [];
  for (const gradient of Object.values(grads)) flat.push(...Array.from(await gradient.data(), Number));
  return { loss, flat };
}

function expectEqual(a: { loss: number; flat: number[] }, b: { loss: number; flat: number[] }): void {
  expect(a.loss).toBeCloseTo(b.loss, 10);
  const scale = Math.max(...a.flat.map(Math.abs));
  a.flat.forEach((value, index) => {
    expect(Math.abs(value - b.flat[index])).toBeLessThanOrEqual(1e-10 * scale);
  });
}

describe("trees", () => {
  it("z = 0 puts trace and delimiter before the rollouts, z = 1 the prompt alone; both keep the sampled ids", () => {
    const traced = tree();
    const anchored = tree({ anchored: true });
    const x = renderPrompt(testCodec, task).ids;
    const h = renderTrace(testCodec, trace, { level: 4 }).ids;
    expect(anchored.prefix.ids).toEqual(x);
    expect(traced.prefix.ids.slice(0, x.length + h.length)).toEqual([...x, ...h]);
    expect(testCodec.decode(traced.prefix.ids.slice(x.length + h.length))).toBe("<|again|><|assistant|>");
    for (const built of [traced, anchored]) {
      expect(built.branches.map((branch) => branch.ids)).toEqual(rollouts.map((rollout) => rollout.ids));
    }
  });

  it("scores what the policy sampled and what the schedules activate, and nothing else", () => {
    const { prefix, branches } = tree();
    branches.forEach((branch, k) => {
      const sampled = rollouts[k].roles.flatMap((role, position) => (isSampled(role) ? [position] : []));
      expect(branch.scored.map((token) => token.position)).toEqual(sampled);
      for (const token of branch.scored) {
        expect(token.advantage).toBe(advantages[k][rollouts[k].turnOf[token.position]]);
        expect(token.sftWeight).toBe(0);
      }
      expect(branch.scored.reduce((total, token) => total + token.policyWeight, 0)).toBeCloseTo(1 / 3, 12);
    });
    const offset = renderPrompt(testCodec, task).ids.length;
    const { labels } = renderTrace(testCodec, trace, { level: 4, reasoningTags: "include" });
    const active = labels.flatMap((label, position) => (label === 0 ? [] : [offset + position]));
    expect(prefix.scored.map((token) => token.position)).toEqual(active);
    expect(prefix.scored.reduce((total, token) => total + token.sftWeight, 0)).toBeCloseTo(1, 12);
    expect(prefix.scored.every((token) => token.policyWeight === 0)).toBe(true);
  });

  it("z = 1 ignores the trace; without a trace, or with an empty one, z = 0 is prompt-only too", () => {
    const other = { ...task, trace: { ...trace, turns: [trace.turns[1]] } };
    expect(tree({ task: other, anchored: true })).toEqual(tree({ anchored: true }));
    const strip = (built: PromptTree) => ({
      prefix: built.prefix,
      branches: built.branches.map((branch) => ({
        ...branch,
        scored: branch.scored.map((token) => ({ ...token, term: 0 })),
      })),
    });
    const empty = { ...task, trace: { ...trace, turns: [] } };
    expect(strip(tree({ task: empty }))).toEqual(strip(tree({ anchored: true })));
    expect(strip(tree({ task: withoutTrace(task) }))).toEqual(strip(tree({ anchored: true })));
  });

  it("every option of the SFT mask changes the expert tokens and no rollout token", () => {
    const plain = tree({}, {}, 5);
    const changes: Partial<TreeConfig>[] = [
      { reasoningSchedule: "fixed" },
      { reasoningSchedule: "none" },
      { callSchedule: "fixed" },
      { callSchedule: "none" },
      { callWeightStart: 0.5 },
      { callWeightEnd: 0.1 },
      { reasoningTags: "exclude" },
      { sftNormaliser: "count" },
      { sftNormaliser: "perComponent" },
      { steps: 30 },
    ];
    for (const change of changes) {
      const changed = tree({}, change, 5);
      expect(changed.prefix.scored, JSON.stringify(change)).not.toEqual(plain.prefix.scored);
      expect(changed.prefix.ids).toEqual(plain.prefix.ids);
      expect(changed.branches).toEqual(plain.branches);
    }
    expect(tree({}, { traceDelimiter: "question" }).prefix.ids).not.toEqual(plain.prefix.ids);
  });

  it("too long a context is an error, and contextTokens foresees it", () => {
    const longest = Math.max(...rollouts.map((rollout) => rollout.ids.length));
    const needed = contextTokens(testDialect, task, { ...defaultConfig, maxRolloutTokens: longest });
    expect(() => tree({}, { maxContextTokens: needed })).not.toThrow();
    expect(() => tree({}, { maxContextTokens: needed - 1 })).toThrow(/contexts are never cut/);
    const untraced = contextTokens(testDialect, withoutTrace(task), defaultConfig);
    expect(untraced).toBe(renderPrompt(testCodec, task).ids.length + defaultConfig.maxRolloutTokens);
  });

  it("an episode scores everything the expert wrote, answer included", () => {
    const { prefix } = buildEpisode(testDialect, task, 2, 5000);
    const said = testCodec.decode(prefix.scored.map((token) => prefix.ids[token.position]));
    expect(said).toContain("<answer>Mira</answer><|end|>");
    expect(said).not.toContain("<|tool|>");
    const answer = prefix.scored.filter(({ term }) => term === lossTerm.sftAnswer);
    expect(testCodec.decode(answer.map((token) => prefix.ids[token.position]))).toBe(
      "<answer>Mira</answer><|end|>",
    );
    expect(prefix.scored.reduce((total, token) => total + token.sftWeight, 0)).toBeCloseTo(0.5, 12);
    expect(() => buildEpisode(testDialect, withoutTrace(task), 1, 5000)).toThrowErrorMatchingInlineSnapshot(
      `[BatchError: Task t1 has no expert trace, which SFT needs. Generate tasks with traces.]`,
    );
  });

  it("a batch that trains nothing is an error", () => {
    const silent = { ids: [1, 2], scored: [] };
    expect(() => packMicroBatches([{ prefix: silent, branches: [] }], 10)).toThrow(
      /without a single trained token/,
    );
  });
});

describe("gradients", () => {
  it("packed equals one sequence at a time", async () => {
    const built = tree();
    const sequences = [
      built.prefix,
      ...built.branches.map((branch) => ({
        ids: [...built.prefix.ids, ...branch.ids],
        scored: branch.scored.map((token) => ({
          ...token,
          position: token.position + built.prefix.ids.length,
        })),
      })),
    ];
    let loss = 0;
    const flat: number[] = [];
    for (const { ids, scored } of sequences) {
      const targets = Int32Array.from(scored, (token) => token.position);
      // Before the first update the surrogate's gradient is that of −A log π.
      const factors = scored.map((token) => token.policyWeight * token.advantage + 0.5 * token.sftWeight);
      const { grads } = valueAndGrad((params: Model["params"]): Tensor => {
        const logProbs = tokenLogProbs(model.config, params, packSequences([ids]), targets);
        return neg(sum(mul(logProbs, tensor(Float64Array.from(factors)))));
      })(model.params);
      const logProbs = await tokenLogProbs(model.config, model.params, packSequences([ids]), targets).data();
      scored.forEach((token, index) => {
        loss -= token.policyWeight * token.advantage + 0.5 * token.sftWeight * Number(logProbs[index]);
      });
      let place = 0;
      for (const gradient of Object.values(grads)) {
        for (const value of await gradient.data()) {
          flat[place] = (flat[place] ?? 0) + Number(value);
          place += 1;
        }
      }
    }
    expectEqual(await gradientOf([built]), { loss, flat });
  });

  it("do not depend on the split into micro-batches or on the order of prompts", async () => {
    const trees = [tree({}, {}, 0, 3), tree({ anchored: true }, {}, 0, 3), tree({}, {}, 7, 3)];
    const whole = await gradientOf(trees);
    for (const budget of [1, 250, 400]) expectEqual(await gradientOf(trees, budget), whole);
    expect(packMicroBatches(trees, 1).length).toBe(9);
    expectEqual(await gradientOf([trees[2], trees[0], trees[1]]), whole);
  });

  it("before the first update every ratio is exactly 1 in both contexts: old log-probs are the forward's own", async () => {
    for (const anchored of [false, true]) {
      const batches = packMicroBatches([tree({ anchored })], 1e6);
      const frozen = frozenLogProbs(model, batches);
      const own = await batchGradient(model, batches, objective);
      expect(Array.from(await frozen[0].data())).toEqual(Array.from(own.logProbs[0]));
      const again = await batchGradient(model, batches, objective, { old: frozen });
      for (const [name, gradient] of Object.entries(own.grads)) {
        expect(Array.from(await again.grads[name].data()), name).toEqual(Array.from(await gradient.data()));
      }
    }
  });

  it("ignore the sampler's log-probs but not what was observed", async () => {
    const plain = await gradientOf([tree()]);
    const changed = rollouts.map((rollout) => ({
      ...rollout,
      samplerLogProbs: rollout.samplerLogProbs.map((value) => value - 1),
    }));
    expect(await gradientOf([tree({ rollouts: changed })])).toEqual(plain);
    const observed = rollouts.map((rollout) => ({
      ...rollout,
      ids: rollout.ids.map((id, index) => (rollout.turnOf[index] < 0 && id < 0x180 ? id + 1 : id)),
    }));
    expect((await gradientOf([tree({ rollouts: observed })])).loss).toBeCloseTo(plain.loss, 12);
    expect((await gradientOf([tree({ rollouts: observed })])).flat).not.toEqual(plain.flat);
  });

  it.each([false, true])(
    "are exactly 0 at the logits of every token but sampled and active ones, anchored %s",
    async (anchored) => {
      const built = tree({ anchored }, {}, 5);
      const [batch] = packMicroBatches([built], 1e6);
      const { packed, targets } = batch;
      const before = predecessors(packed);
      const column = (values: ArrayLike<number>) => tensor(Float64Array.from(values));
      const rows = tensor(
        targets.map((target) => before[target]),
        { dtype: "i32" },
      );
      const ids = tensor(
        targets.map((target) => packed.ids[target]),
        { dtype: "i32" },
      );
      const all = logits(model.config, model.params, forwardHidden(model.config, model.params, packed)); // [N, V]
      const own = (await batchGradient(model, [batch], objective)).logProbs[0];
      const { value, grads } = valueAndGrad((scores: Tensor): Tensor => {
        const inputs = {
          logProbs: logProbGather(take(scores, rows, 0), ids),
          oldLogProbs: column(own),
          advantages: column(batch.advantages),
          policyWeights: column(batch.policyWeights),
          sftWeights: column(batch.sftWeights),
        };
        return pactObjective(inputs, objective).loss;
      })(all);
      // The same loss as training has, so the same gradient reaches these logits there.
      expect(await value.item()).toBeCloseTo((await batchGradient(model, [batch], objective)).loss, 12);
      const gradient = await grads.data();
      const [count, width] = all.shape;
      const trained = new Set(targets.map((target) => before[target]));
      for (let row = 0; row < count; row++) {
        const moved = gradient.subarray(row * width, (row + 1) * width).some((entry) => Number(entry) !== 0);
        expect(moved, `row ${row}`).toBe(trained.has(row));
      }
      // What a row with a gradient predicts was sampled, or is of the active part of the trace; no observation is.
      const starts = built.branches.map((_, index) =>
        built.branches
          .slice(0, index)
          .reduce((sum, { ids: earlier }) => sum + earlier.length, built.prefix.ids.length),
      );
      const sampled = rollouts.flatMap(({ roles }, index) =>
        roles.flatMap((role, position) => (isSampled(role) ? [starts[index] + position] : [])),
      );
      const x = renderPrompt(testCodec, task).ids.length;
      const { labels } = renderTrace(testCodec, trace, { level: 2, reasoningTags: "include" });
      const active = anchored ? [] : labels.flatMap((label, index) => (label === 0 ? [] : [x + index]));
      expect(Array.from(targets)).toEqual([...active, ...sampled]);
    },
  );

  it("zero advantages without SFT and KL leave exactly 0", async () => {
    const still = advantages.map((turns) => turns.map(() => 0));
    const { flat } = await gradientOf([tree({ advantages: still, anchored: true })]);
    for (const value of flat) expect(Math.abs(value)).toBe(0);
  });
});
