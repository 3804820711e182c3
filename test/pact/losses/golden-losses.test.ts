/** The losses against the committed reference numbers, values and gradients, in f64 on the cpu device. */
import { createDevice, greater, mul, sum, type Tensor, tensor, valueAndGrad, where } from "@pact/tensor";
import { beforeAll, describe, expect, it } from "vitest";
import { klPenalties } from "../../../packages/pact/src/losses/kl.ts";
import { pactObjective } from "../../../packages/pact/src/losses/objective.ts";
import { clipStatistics, policyLosses } from "../../../packages/pact/src/losses/policy.ts";
import {
  type Aggregation,
  aggregationWeights,
  rolloutTokenWeights,
  type SftNormaliser,
  sftTokenWeights,
} from "../../../packages/pact/src/losses/weights.ts";
import { type GoldenCase, type GoldenTensor, goldenCases, rowsOf } from "../golden.ts";

let device: Awaited<ReturnType<typeof createDevice>>;
beforeAll(async () => {
  device = await createDevice({ device: "cpu" });
});

const f64 = (values: ArrayLike<number>) => tensor(Float64Array.from(values), { device });
const inputsOf = (entry: GoldenCase) => entry.inputs as Record<string, GoldenTensor>;
const outputsOf = (entry: GoldenCase) => entry.outputs as Record<string, GoldenTensor>;
const named = (cases: GoldenCase[]) => cases.map((entry) => [entry.name, entry] as const);
const clipOf = ({ attrs }: GoldenCase) => ({
  clipLow: attrs.clipLow as number,
  clipHigh: attrs.clipHigh as number,
  dualClip: (attrs.dualClip ?? null) as number | null,
});

function expectClose(actual: ArrayLike<number>, expected: readonly number[]): void {
  expect(actual.length).toBe(expected.length);
  expected.forEach((value, index) => {
    const error = Math.abs(actual[index] - value);
    expect(error, `element ${index}`).toBeLessThanOrEqual(1e-7 * Math.max(1, Math.abs(value)));
  });
}

/** Number of masked-in tokens of each row, and a row's weight spread over its tokens (0 under mask 0). */
const lengths = (mask: GoldenTensor) =>
  rowsOf(mask).map((row) => row.reduce((total, value) => total + value, 0));
const spread = (mask: GoldenTensor, perRow: readonly number[]) =>
  rowsOf(mask).flatMap((row, index) => row.map((value) => (value === 0 ? 0 : perRow[index])));

describe("policy_loss vanilla", () => {
  const cases = goldenCases("rl_losses.json", "policy_loss").filter(
    (entry) => entry.attrs.lossMode === "vanilla",
  );

  it.each(named(cases))("%s", async (_, entry) => {
    const { oldLogProbs, newLogProbs, advantages, mask } = inputsOf(entry);
    const scale = (entry.attrs.lossScaleFactor ?? mask.shape[1]) as number;
    const weights = spread(mask, aggregationWeights(lengths(mask), entry.attrs.agg as Aggregation, scale));
    const { value, grads } = valueAndGrad((logProbs: Tensor) =>
      sum(
        mul(f64(weights), policyLosses(logProbs, f64(oldLogProbs.data), f64(advantages.data), clipOf(entry))),
      ),
    )(f64(newLogProbs.data));
    expectClose([await value.item()], outputsOf(entry).loss.data);
    expectClose(await grads.data(), entry.grads!.newLogProbs.data);
    const kept = (values: number[]) => values.filter((_, token) => mask.data[token] !== 0);
    const statistics = clipStatistics(
      kept(newLogProbs.data),
      kept(oldLogProbs.data),
      kept(advantages.data),
      clipOf(entry),
    );
    expectClose([statistics.approximateKl], outputsOf(entry).ppoKl.data);
    expectClose([statistics.clipFraction], outputsOf(entry).clipFrac.data);
    expectClose([statistics.dualClipFraction], outputsOf(entry).clipFracLower.data);
  });
});

describe("agg_loss", () => {
  it.each(named(goldenCases("rl_losses.json", "agg_loss")))("%s", (_, entry) => {
    const { lossMat, mask } = inputsOf(entry);
    const scale = (entry.attrs.lossScaleFactor ?? mask.shape[1]) as number;
    const weights = spread(mask, aggregationWeights(lengths(mask), entry.attrs.agg as Aggregation, scale));
    const loss = lossMat.data.reduce((total, value, token) => total + weights[token] * value, 0);
    expectClose([loss], outputsOf(entry).loss.data);
    expectClose(weights, entry.grads!.lossMat.data);
  });
});

describe("kl_penalty k3", () => {
  const cases = goldenCases("rl_losses.json", "kl_penalty").filter((entry) => entry.attrs.estimator === "k3");

  it.each(named(cases))("%s", async (_, entry) => {
    const { newLogProbs, refLogProbs } = inputsOf(entry);
    const upstream = f64(entry.gradOutput!.data);
    const { aux, grads } = valueAndGrad(
      (logProbs: Tensor): [Tensor, Tensor] => {
        const penalties = klPenalties(logProbs, f64(refLogProbs.data));
        return [sum(mul(penalties, upstream)), penalties];
      },
      { aux: true },
    )(f64(newLogProbs.data));
    expectClose(await aux.data(), outputsOf(entry).kl.data);
    expectClose(await grads.data(), entry.grads!.newLogProbs.data);
  });
});

/** Weights of rollout tokens, prompt by prompt. */
function promptWeights(mask: GoldenTensor, prompt: GoldenTensor, average: "rollout" | "token"): number[] {
  const counts = lengths(mask);
  const ids = [...new Set(prompt.data)];
  const perRow = new Array<number>(counts.length).fill(0);
  for (const id of ids) {
    const rows = prompt.data.flatMap((value, row) => (value === id ? [row] : []));
    const weights = rolloutTokenWeights(
      rows.map((row) => counts[row]),
      ids.length,
      average,
    );
    rows.forEach((row, index) => {
      perRow[row] = weights[index];
    });
  }
  return spread(mask, perRow);
}

describe("pact_surrogate", () => {
  it.each(named(goldenCases("rl_losses.json", "pact_surrogate")))("%s", async (_, entry) => {
    const { oldLogProbs, newLogProbs, advantages, mask, prompt } = inputsOf(entry);
    const weights = promptWeights(mask, prompt, entry.attrs.average as "rollout" | "token");
    const { value, aux, grads } = valueAndGrad(
      (logProbs: Tensor): [Tensor, Tensor] => {
        const losses = policyLosses(logProbs, f64(oldLogProbs.data), f64(advantages.data), clipOf(entry));
        const weighted = mul(f64(weights), losses);
        return [sum(weighted), weighted];
      },
      { aux: true },
    )(f64(newLogProbs.data));
    expectClose([await value.item()], outputsOf(entry).loss.data);
    expectClose(await grads.data(), entry.grads!.newLogProbs.data);
    const weighted = await aux.data();
    const prompts = outputsOf(entry).perPrompt.data.length;
    const perPrompt = new Array<number>(prompts).fill(0);
    weighted.forEach((term, token) => {
      perPrompt[prompt.data[Math.floor(token / mask.shape[1])]] += Number(term) * prompts;
    });
    expectClose(perPrompt, outputsOf(entry).perPrompt.data);
  });
});

describe("pact_sft", () => {
  it.each(named(goldenCases("rl_losses.json", "pact_sft")))("%s", (_, entry) => {
    const { logProbs, labels } = inputsOf(entry);
    const rows = rowsOf(labels).map((row) =>
      sftTokenWeights(row, entry.attrs.lambda as number, entry.attrs.normaliser as SftNormaliser),
    );
    const perPrompt = rowsOf(logProbs).map((row, prompt) =>
      row.reduce((total, value, token) => total - rows[prompt][token] * value, 0),
    );
    expectClose(perPrompt, outputsOf(entry).perPrompt.data);
    expect(rows.map((row) => Number(row.every((weight) => weight === 0)))).toEqual(
      outputsOf(entry).skipped.data,
    );
    expectClose([perPrompt.reduce((a, b) => a + b, 0) / rows.length], outputsOf(entry).loss.data);
    expectClose(
      rows.flat().map((weight) => 0 - weight / rows.length),
      entry.grads!.logProbs.data,
    );
  });
});

describe("pact_total", () => {
  it.each(named(goldenCases("rl_losses.json", "pact_total")))("%s", async (_, entry) => {
    const inputs = inputsOf(entry);
    const { gate, prompt, mask, labels, sftLogProbs } = inputs;
    const columns = mask.shape[1];
    const rolloutTokens = mask.data.length;
    const anchored = mask.data.map((_, token) => gate.data[prompt.data[Math.floor(token / columns)]]);
    // Rollout tokens first, then expert tokens, as one packed row; expert tokens of anchored prompts have no weight.
    const sft = rowsOf(labels).flatMap((row, id) =>
      sftTokenWeights(row, entry.attrs.lambda as number, entry.attrs.normaliser as SftNormaliser).map(
        (weight) => (gate.data[id] === 1 ? 0 : weight / gate.data.length),
      ),
    );
    const zeros = (count: number) => new Array<number>(count).fill(0);
    const padded = (values: readonly number[]) => f64([...values, ...zeros(sft.length)]);
    const routed = (x: number[], h: number[]) => anchored.map((z, token) => (z === 1 ? x[token] : h[token]));
    const fixed = {
      oldLogProbs: padded(routed(inputs.oldX.data, inputs.oldH.data)),
      referenceLogProbs: padded(routed(inputs.refX.data, inputs.refH.data)),
      advantages: padded(inputs.advantages.data),
      policyWeights: padded(promptWeights(mask, prompt, "rollout")),
      sftWeights: f64([...zeros(rolloutTokens), ...sft]),
    };
    const loss = ({ newX, newH, expert }: Record<string, Tensor>) => {
      const isAnchored = greater(f64([...anchored, ...zeros(sft.length)]), 0);
      const onRow = where(
        greater(f64([...zeros(rolloutTokens), ...sft.map(() => 1)]), 0),
        expert,
        where(isAnchored, newX, newH),
      );
      return pactObjective(
        { ...fixed, logProbs: onRow },
        {
          ...clipOf(entry),
          sftWeight: entry.attrs.betaSft as number,
          klCoefficient: entry.attrs.klCoef as number,
        },
      ).loss;
    };
    const { value, grads } = valueAndGrad(loss)({
      newX: padded(inputs.newX.data),
      newH: padded(inputs.newH.data),
      expert: f64([...zeros(rolloutTokens), ...sftLogProbs.data]),
    });
    expectClose([await value.item()], outputsOf(entry).loss.data);
    const gradient = async (name: string) => Array.from(await grads[name].data(), Number);
    expectClose((await gradient("newX")).slice(0, rolloutTokens), entry.grads!.newX.data);
    expectClose((await gradient("newH")).slice(0, rolloutTokens), entry.grads!.newH.data);
    expectClose((await gradient("expert")).slice(rolloutTokens), entry.grads!.sftLogProbs.data);
  });
});
