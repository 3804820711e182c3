/**
 * Every switch as a whole objective on a tiny f64 model, at parameters that have moved away from π_old: packed equals
 * one by one, finite differences, and each value of a switch gives another loss.
 */
import type { Params } from "@pact/nn";
import { add, mul, tensor } from "@pact/tensor";
import { beforeAll, describe, expect, it } from "vitest";
import type { TrainConfig } from "../../packages/pact/src/config.ts";
import { freezeBatch } from "../../packages/pact/src/denominators.ts";
import { objectiveAt } from "../../packages/pact/src/methods.ts";
import type { Model } from "../../packages/pact/src/model.ts";
import { microBatches } from "../../packages/pact/src/pack.ts";
import { renderDelimiter, renderPrompt, renderTrace } from "../../packages/pact/src/render.ts";
import type { Rollout } from "../../packages/pact/src/rollout.ts";
import { lossTerm } from "../../packages/pact/src/trees.ts";
import { batchGradient, frozenLogProbs } from "../../packages/pact/src/update.ts";
import { gradientAt, scriptedRollouts, switchCases, treesOf } from "./batches.ts";
import { testCodec } from "./codec.ts";
import { cpuDevice, tinyModel } from "./device.ts";
import { task, trace } from "./tasks.ts";

let model: Model;
let old: Model;
let rollouts: Rollout[];
let direction: Record<string, number[]>;

beforeAll(async () => {
  await cpuDevice();
  model = await tinyModel(1);
  let state = 1;
  const draw = () => {
    state = (state * 16807) % 2147483647;
    return state / 2147483647 - 0.5;
  };
  direction = Object.fromEntries(
    Object.entries(model.params).map(([name, { size }]) => [name, Array.from({ length: size }, draw)]),
  );
  old = moved(0.02);
  rollouts = await scriptedRollouts();
});

/** The model, `distance` along the direction. */
function moved(distance: number): Model {
  const params = Object.fromEntries(
    Object.entries(model.params).map(([name, value]) => [
      name,
      add(value, mul(tensor(Float64Array.from(direction[name]), { shape: value.shape }), distance)),
    ]),
  ) as Params;
  return { ...model, params };
}

const named = (cases: readonly Partial<TrainConfig>[]) =>
  cases.map((given) => [JSON.stringify(given), given] as const);

/** Constants inside these losses make their gradient another one than that of their value. */
const withConstants = ({ policyLoss, klEstimator, method, chordVariant }: Partial<TrainConfig>) =>
  policyLoss === "cispo" || klEstimator === "k3+" || (method === "chord" && chordVariant !== "mu");

describe("packed equals one by one", () => {
  it.each(named(switchCases))("%s", async (_, given) => {
    const packed = await gradientAt(model, old, rollouts, given);
    const scale = Math.max(...packed.flat.map(Math.abs));
    const splits: Partial<TrainConfig>[] = [{ pack: false }, { tokenBudget: 300 }];
    for (const split of splits) {
      const apart = await gradientAt(model, old, rollouts, { ...given, ...split });
      expect(Math.abs(apart.loss - packed.loss)).toBeLessThanOrEqual(
        1e-10 * Math.max(1, Math.abs(packed.loss)),
      );
      apart.flat.forEach((value, index) => {
        expect(Math.abs(value - packed.flat[index])).toBeLessThanOrEqual(1e-10 * scale);
      });
      if (split.pack === false && given.method !== "sft") expect(apart.tokens).toBeGreaterThan(packed.tokens);
    }
  });

  it("the default tree has |x| + |h*| + Σ|τ_k| tokens and its delimiter, the one without trace |x| + Σ|τ_k|", () => {
    const { trees } = treesOf(rollouts, {});
    const x = renderPrompt(testCodec, task).ids.length;
    const h = renderTrace(testCodec, trace, { level: 4 });
    const sum = rollouts.reduce((total, { ids }) => total + ids.length, 0);
    const sizes = trees.map(({ prefix, branches }) =>
      branches.reduce((total, { ids }) => total + ids.length, prefix.ids.length),
    );
    expect(sizes[0]).toBe(x + h.ids.length + sum + renderDelimiter(testCodec, task, h, "again").ids.length);
    expect(sizes[1]).toBe(x + rollouts[0].ids.length + rollouts[1].ids.length);
    expect(trees.length).toBe(3);
  });
});

describe("before the first update", () => {
  it.each(named(switchCases.filter(({ ratioDenominator }) => ratioDenominator !== "behaviour")))(
    "%s: every ratio is exactly 1 in every context",
    async (_, given) => {
      const { config, trees, plain } = treesOf(rollouts, given);
      const behind = plain.length === 0 ? [] : microBatches(plain, config);
      const frozen = await freezeBatch(model, microBatches(trees, config), behind, {
        ...config,
        innerUpdates: 2,
      });
      const { logProbs } = await batchGradient(model, frozen.batches, objectiveAt(config, 2), {
        old: frozen.old,
        reference: frozen.old,
      });
      const values = await Promise.all((frozen.old ?? []).map(async (old) => Array.from(await old.data())));
      expect(values.length).toBe(logProbs.length);
      values.forEach((own, index) => {
        expect(own).toEqual(Array.from(logProbs[index]));
      });
    },
  );

  it("under behaviour traced ratios are those of the two contexts, and anchored ones are 1", async () => {
    const { config, trees, plain } = treesOf(rollouts, { ratioDenominator: "behaviour" });
    const batches = microBatches(trees, config);
    const frozen = await freezeBatch(model, batches, microBatches(plain, config), config);
    const own = await Promise.all(frozenLogProbs(model, batches).map((values) => values.data()));
    const anchored = treesOf(rollouts, { anchorProbability: 1 });
    const alone = await frozenLogProbs(model, microBatches(anchored.trees, anchored.config))[0].data();
    const expected = Array.from(batches[0].terms, (term, token) => {
      if (term === lossTerm.anchored) return Number(own[0][token]);
      if (term !== lossTerm.traced) return undefined;
      const { rollouts: numbers } = batches[0];
      const before = numbers
        .slice(0, token)
        .filter((number, place) => number === numbers[token] && batches[0].terms[place] === term).length;
      const { rollouts: others } = microBatches(anchored.trees, anchored.config)[0];
      return Number(alone[others.indexOf(numbers[token]) + before]);
    });
    let gap = 0;
    let tokens = 0;
    expected.forEach((value, token) => {
      if (value === undefined) return;
      expect(frozen.oldValues?.[0][token]).toBeCloseTo(value, 10);
      if (batches[0].terms[token] !== lossTerm.traced) return;
      gap += Math.abs(Number(own[0][token]) - value);
      tokens += 1;
    });
    expect(frozen.contextGap).toBeCloseTo(gap / tokens, 10);
    expect(gap).toBeGreaterThan(0);
  });

  it("traceTruncated multiplies advantages of traced tokens by a capped factor, others stay", async () => {
    const given = { ratioDenominator: "traceTruncated", truncation: 1.0001 } as const;
    const { config, trees, plain } = treesOf(rollouts, given);
    const batches = microBatches(trees, config);
    const frozen = await freezeBatch(model, batches, microBatches(plain, config), config);
    batches[0].terms.forEach((term, token) => {
      const [was, is] = [batches[0].advantages[token], frozen.batches[0].advantages[token]];
      if (term !== lossTerm.traced) expect(is).toBe(was);
      else expect(is / was).toBeLessThanOrEqual(1.0001 + 1e-12);
    });
    expect(frozen.truncated).toBeGreaterThan(0);
    expect(frozen.truncated).toBeLessThan(1);
  });
});

describe("gradients", () => {
  it.each(named(switchCases.filter((given) => !withConstants(given))))(
    "%s: finite differences along a direction",
    async (_, given) => {
      const step = 1e-5;
      const { flat } = await gradientAt(model, old, rollouts, given);
      const after = await gradientAt(moved(step), old, rollouts, given);
      const before = await gradientAt(moved(-step), old, rollouts, given);
      const slope = (after.loss - before.loss) / (2 * step);
      const expected = Object.values(direction)
        .flat()
        .reduce((sum, value, index) => sum + value * flat[index], 0);
      const norm = Math.hypot(...flat);
      expect(Math.abs(slope - expected)).toBeLessThanOrEqual(
        1e-5 * Math.max(0.01 * norm, Math.abs(expected)),
      );
      expect(norm).toBeGreaterThan(0);
    },
  );

  it("k3+ has the gradient of k2, and another value", async () => {
    const [k2, k3] = await Promise.all(
      (["k2", "k3+"] as const).map((klEstimator) =>
        gradientAt(model, old, rollouts, { klCoefficient: 0.3, klEstimator }),
      ),
    );
    k3.flat.forEach((value, index) => {
      expect(value).toBeCloseTo(k2.flat[index], 12);
    });
    expect(k3.loss).not.toBe(k2.loss);
  });

  it("CISPO at ratio 1 is REINFORCE", async () => {
    const [cispo, reinforce] = await Promise.all(
      (["cispo", "reinforce"] as const).map((policyLoss) =>
        gradientAt(model, model, rollouts, { policyLoss }),
      ),
    );
    expect(cispo.loss).toBeCloseTo(reinforce.loss, 12);
    cispo.flat.forEach((value, index) => {
      expect(value).toBeCloseTo(reinforce.flat[index], 12);
    });
  });

  it("CHORD with weight 0 on the expert is GRPO, with weight 1 it ignores the rollouts", async () => {
    const chord = (chordWeight: number) => gradientAt(model, old, rollouts, { method: "chord", chordWeight });
    const grpo = await gradientAt(model, old, rollouts, { method: "grpo" });
    const none = await chord(0);
    expect(none.loss).toBeCloseTo(grpo.loss, 12);
    none.flat.forEach((value, index) => {
      expect(value).toBeCloseTo(grpo.flat[index], 12);
    });
    const all = await chord(1);
    const without = (rollout: Rollout): Rollout => ({
      ...rollout,
      ids: rollout.ids.map((id, index) => (rollout.turnOf[index] < 0 && id < 0x180 ? id + 1 : id)),
    });
    const other = await gradientAt(model, old, rollouts.map(without), {
      method: "chord",
      sftWeight: 10,
      chordWeight: 1,
    });
    other.flat.forEach((value, index) => {
      expect(value).toBeCloseTo(all.flat[index], 12);
    });
  });
});

describe("every value of every switch", () => {
  it("gives a loss or a gradient of its own", async () => {
    const seen = new Map<string, string>();
    for (const given of switchCases) {
      const { loss, flat } = await gradientAt(model, old, rollouts, given);
      const name = JSON.stringify(given);
      const print = `${loss.toFixed(10)} ${Math.hypot(...flat).toFixed(10)}`;
      expect(seen.get(print), `${name} is the same as ${seen.get(print)}`).toBeUndefined();
      seen.set(print, name);
    }
  });
});
