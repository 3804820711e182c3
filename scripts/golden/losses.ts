/**
 * rl_losses.json: advantages, policy losses, KL, SFT weights and the PACT objective, through the public API of
 * @pact/pact. Rows are rollouts, columns token positions; a padded batch becomes a weighted sum whose weights are 0 where
 * the mask is. Host quantities are f64; what goes through tensors has the context's precision (1e-7 in f64, 1e-5 in f32).
 */
import {
  type Aggregation,
  aggregationWeights,
  callWeight,
  clipStatistics,
  groupAdvantages,
  isAnchored,
  klPenalties,
  policyLosses,
  prefixLevel,
  type SftNormaliser,
  sftTokenWeights,
  turnAdvantages,
} from "@pact/pact";
import { entropy, mul, neg, sum, type Tensor } from "@pact/tensor";
import { type Attrs, Batch, checkObjective, type LossCase } from "./batch.ts";
import { type Context, type Outcome, readJson, runCase, Unsupported } from "./format.ts";
import { checkTotal } from "./objective.ts";
import { clipOptions, perPrompt, surrogateWeights } from "./surrogate.ts";

type Check = (batch: Batch, attrs: Attrs) => string[] | Promise<string[]>;

/** Checks every case of rl_losses.json. */
export async function checkLosses(context: Context, folder: string): Promise<Outcome[]> {
  const { cases } = await readJson<{ cases: LossCase[] }>(folder, "rl_losses.json");
  const outcomes: Outcome[] = [];
  for (const golden of cases) {
    outcomes.push(
      await runCase(`rl_losses/${golden.name}`, () => {
        if (!Object.hasOwn(table, golden.kind)) throw new Unsupported(`no kind "${golden.kind}"`);
        return table[golden.kind](new Batch(context, golden), golden.attrs);
      }),
    );
  }
  return outcomes;
}

const table: Record<string, Check> = {
  advantage(batch, { estimator, normByStd, eps }) {
    const advantages = groupAdvantages(batch.rowSums("tokenRewards"), batch.values("groups"), {
      estimator: estimator as "grpo" | "rloo",
      normByStd: normByStd !== false,
      epsilon: eps as number | undefined,
    });
    return batch.expect("advantages", batch.perToken(advantages));
  },

  async policy_loss(batch, attrs) {
    if (attrs.lossMode !== "vanilla") throw new Unsupported(`policy loss "${attrs.lossMode}"`);
    const options = clipOptions(attrs);
    const weights = batch.perToken(aggregation(batch, attrs));
    const old = batch.tensor("oldLogProbs");
    const advantages = batch.tensor("advantages");
    const loss = (p: Record<string, Tensor>) =>
      sum(mul(batch.floats(weights), policyLosses(p.newLogProbs, old, advantages, options)));
    const [fresh, before, gains] = ["newLogProbs", "oldLogProbs", "advantages"].map((name) =>
      batch.masked(name),
    );
    const statistics = clipStatistics(fresh, before, gains, options);
    return [
      ...(await checkObjective(batch, loss, ["newLogProbs"])),
      ...batch.expect("ppoKl", [statistics.approximateKl]),
      ...batch.expect("clipFrac", [statistics.clipFraction]),
      ...batch.expect("clipFracLower", [statistics.dualClipFraction]),
    ];
  },

  agg_loss(batch, attrs) {
    const weights = batch.floats(batch.perToken(aggregation(batch, attrs)));
    return checkObjective(batch, (p) => sum(mul(weights, p.lossMat)), ["lossMat"]);
  },

  kl_penalty(batch, { estimator }) {
    if (estimator !== "k3") throw new Unsupported(`KL estimator "${estimator}"`);
    const reference = batch.tensor("refLogProbs");
    return checkObjective(batch, (p) => klPenalties(p.newLogProbs, reference), ["newLogProbs"], "kl");
  },

  entropy_loss(batch, attrs) {
    const weights = batch.floats(batch.perToken(aggregation(batch, attrs)));
    return checkObjective(batch, (p) => sum(mul(weights, entropy(p.logits))), ["logits"]);
  },

  async dr_grpo(batch, attrs) {
    const advantages = groupAdvantages(batch.rowSums("tokenRewards"), batch.values("groups"), {
      normByStd: false,
    });
    const spread = batch.perToken(advantages);
    const old = batch.tensor("oldLogProbs");
    const options = clipOptions({ ...attrs, dualClip: null });
    const total = (p: Record<string, Tensor>, scale: number) =>
      sum(
        mul(
          batch.floats(batch.perToken(aggregationWeights(batch.tokens, "seq-mean-token-sum-norm", scale))),
          policyLosses(p.newLogProbs, old, batch.floats(spread), options),
        ),
      );
    const divisor = batch.rows * (attrs.maxLength as number);
    const verl = await total({ newLogProbs: batch.tensor("newLogProbs") }, batch.columns).item();
    return [
      ...batch.expect("advantages", spread),
      ...batch.expect("lossVerlDivisorT", [verl]),
      ...(await checkObjective(batch, (p) => total(p, divisor), ["newLogProbs"])),
    ];
  },

  async pact_surrogate(batch, attrs) {
    const prompts = batch.values("prompt");
    const weights = surrogateWeights(batch, prompts, attrs.average as "rollout" | "token");
    const old = batch.tensor("oldLogProbs");
    const advantages = batch.tensor("advantages");
    const losses = (fresh: Tensor) => policyLosses(fresh, old, advantages, clipOptions(attrs));
    const values = await losses(batch.tensor("newLogProbs")).data();
    return [
      ...batch.expect("perPrompt", perPrompt(batch, prompts, weights, values)),
      ...(await checkObjective(batch, (p) => sum(mul(batch.floats(weights), losses(p.newLogProbs))), [
        "newLogProbs",
      ])),
    ];
  },

  async pact_sft(batch, attrs) {
    const weights = batch
      .rowsOf("labels")
      .map((labels) => sftTokenWeights(labels, attrs.lambda as number, attrs.normaliser as SftNormaliser));
    const logProbs = batch.rowsOf("logProbs");
    const totals = weights.map((row, i) =>
      row.reduce((total, weight, j) => total - weight * logProbs[i][j], 0),
    );
    const flat = weights.flat().map((weight) => weight / batch.rows);
    return [
      ...batch.expect("perPrompt", totals),
      ...batch.expect(
        "skipped",
        weights.map((row) => Number(row.every((weight) => weight === 0))),
      ),
      ...(await checkObjective(batch, (p) => sum(mul(batch.floats(flat), neg(p.logProbs))), ["logProbs"])),
    ];
  },

  pact_schedule(batch, { horizon, lambdaStart, lambdaEnd }) {
    const steps = batch.values("step");
    const total = horizon as number;
    return [
      ...batch.expect(
        "lambda",
        steps.map((s) => callWeight(s, total, lambdaStart as number, lambdaEnd as number)),
      ),
      ...batch.expect(
        "level",
        steps.map((s) => prefixLevel(s, total)),
      ),
    ];
  },

  pact_gate: (batch, { q }) =>
    batch.expect(
      "gate",
      batch.values("uniform").map((uniform) => Number(isAnchored(uniform, q as number))),
    ),

  pact_total: checkTotal,

  turn_advantages(batch, { gamma, eps }) {
    const turns = batch.values("numTurns");
    const rewards = batch.rowsOf("turnRewards").map((row, i) => row.slice(0, turns[i]));
    const result = turnAdvantages(rewards, batch.values("groups"), {
      gamma: gamma as number,
      epsilon: eps as number,
    });
    const longest = batch.golden.inputs.turnRewards.shape[1];
    const padded = (ragged: readonly (readonly number[])[]) =>
      ragged.flatMap((row) => Array.from({ length: longest }, (_, t) => row[t] ?? 0));
    const perToken = batch
      .rowsOf("turnIndex")
      .flatMap((row, i) => row.map((t) => (t < 0 ? 0 : result.combined[i][t])));
    return [
      ...batch.expect("trajectory", result.trajectory),
      ...batch.expect("discounted", padded(result.discounted)),
      ...batch.expect("turn", padded(result.turn)),
      ...batch.expect("advantages", perToken),
      ...batch.expect(
        "matchtirAdvantages",
        perToken.map((advantage) => advantage / 2),
      ),
    ];
  },
};

function aggregation(batch: Batch, { agg, lossScaleFactor }: Attrs): number[] {
  return aggregationWeights(
    batch.tokens,
    agg as Aggregation,
    (lossScaleFactor as number | undefined) ?? batch.columns,
  );
}
