/**
 * rl_losses.json: advantages, policy losses, KL, SFT weights and the PACT objective, through the public API of
 * @pact/pact. Rows are rollouts, columns token positions; a padded batch becomes a weighted sum whose weights are 0 where
 * the mask is. Host quantities are f64; what goes through tensors has the context's precision (1e-7 in f64, 1e-5 in f32).
 */
import {
  type Aggregation,
  aggregationWeights,
  callWeight,
  chordMix,
  chordMu,
  chordPhiLosses,
  entropyLoss,
  groupAdvantages,
  isAnchored,
  klEstimators,
  klPenalties,
  policyLoss,
  policyLosses,
  prefixLevel,
  sftTokenWeights,
  turnAdvantages,
} from "@pact/pact";
import { mul, neg, reshape, sum, type Tensor } from "@pact/tensor";
import { type Attrs, Batch, checkObjective, choiceOf, type LossCase, numberOf } from "./batch.ts";
import { type Context, type Outcome, readJson, runCase, Unsupported } from "./format.ts";
import { checkTotal } from "./objective.ts";
import { average, clipOptions, normaliser, perPrompt, sftLambda, surrogateWeights } from "./surrogate.ts";

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
  advantage(batch, attrs) {
    const advantages = groupAdvantages(batch.rowSums("tokenRewards"), batch.values("groups"), {
      estimator: choiceOf(attrs, "estimator", ["grpo", "rloo"], "grpo"),
      normByStd: attrs.normByStd !== false,
      epsilon: numberOf(attrs, "eps"),
    });
    return batch.expect("advantages", batch.perToken(advantages));
  },

  async policy_loss(batch, attrs) {
    const name = choiceOf(attrs, "lossMode", ["vanilla", "gspo", "cispo", "reinforce"], "vanilla");
    const method = policyLoss(name);
    const options = methodOptions(attrs, Object.keys(method.defaults));
    const weights = batch.floats(batch.perToken(aggregation(batch, attrs, name === "gspo")));
    const [oldLogProbs, advantages] = [batch.tensor("oldLogProbs"), batch.tensor("advantages")];
    const { sequences } = batch;
    // The registry takes tokens in one row.
    const flat = (x: Tensor) => reshape(x, [-1]);
    const loss = ({ newLogProbs }: Record<string, Tensor>) => {
      const tokens = {
        newLogProbs: flat(newLogProbs),
        oldLogProbs: flat(oldLogProbs),
        advantages: flat(advantages),
        sequences,
      };
      return sum(mul(flat(weights), method.losses(tokens, options)));
    };
    const statistics = method.statistics(
      {
        newLogProbs: batch.masked("newLogProbs"),
        oldLogProbs: batch.masked("oldLogProbs"),
        advantages: batch.masked("advantages"),
        sequences: sequences.filter((row) => row >= 0),
      },
      options,
    );
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

  kl_penalty(batch, attrs) {
    const known = [...klEstimators, "k2+", ...Object.keys(klAliases)];
    const named = choiceOf(attrs, "estimator", known, "k3");
    const estimator = klEstimators.find((name) => name === (klAliases[named] ?? named)) ?? "k2";
    const reference = batch.tensor("refLogProbs");
    return checkObjective(
      batch,
      (p) => klPenalties(p.newLogProbs, reference, estimator),
      ["newLogProbs"],
      "kl",
    );
  },

  entropy_loss(batch, attrs) {
    const weights = batch.floats(batch.perToken(aggregation(batch, attrs)));
    return checkObjective(batch, (p) => entropyLoss(p.logits, weights), ["logits"]);
  },

  async dr_grpo(batch, attrs) {
    const advantages = groupAdvantages(batch.rowSums("tokenRewards"), batch.values("groups"), {
      normByStd: false,
    });
    const spread = batch.perToken(advantages);
    const old = batch.tensor("oldLogProbs");
    const options = clipOptions(attrs);
    const total = (p: Record<string, Tensor>, scale: number) =>
      sum(
        mul(
          batch.floats(batch.perToken(aggregationWeights(batch.tokens, "seq-mean-token-sum-norm", scale))),
          policyLosses(p.newLogProbs, old, batch.floats(spread), options),
        ),
      );
    const divisor = batch.rows * (numberOf(attrs, "maxLength") ?? batch.columns);
    const verl = await total({ newLogProbs: batch.tensor("newLogProbs") }, batch.columns).item();
    return [
      ...batch.expect("advantages", spread),
      ...batch.expect("lossVerlDivisorT", [verl]),
      ...(await checkObjective(batch, (p) => total(p, divisor), ["newLogProbs"])),
    ];
  },

  chord_phi(batch, attrs) {
    const weights = batch.floats(batch.perToken(chordAverage(batch, attrs)));
    return checkObjective(batch, (p) => sum(mul(weights, chordPhiLosses(p.logProbs))), ["logProbs"]);
  },

  async chord_mix(batch, attrs) {
    const weights = batch.floats(batch.perToken(chordAverage(batch, attrs)));
    const expert = expertBatch(batch);
    const expertWeights = expert.floats(expert.perToken(chordAverage(expert, attrs)));
    const [old, advantages] = [batch.tensor("oldLogProbs"), batch.tensor("advantages")];
    const policy = (p: Record<string, Tensor>) =>
      sum(mul(weights, policyLosses(p.newLogProbs, old, advantages, clipOptions(attrs))));
    const phi = (p: Record<string, Tensor>) => sum(mul(expertWeights, chordPhiLosses(p.expertLogProbs)));
    const mu = numberOf(attrs, "mu") ?? 0.1;
    const names = ["newLogProbs", "expertLogProbs"];
    const given = Object.fromEntries(names.map((name) => [name, batch.tensor(name)]));
    return [
      ...(await checkObjective(batch, (p) => chordMix(policy(p), phi(p), mu), names)),
      ...batch.expect("policyLoss", [await policy(given).item()]),
      ...batch.expect("phiLoss", [await phi(given).item()]),
    ];
  },

  chord_mu_schedule(batch, attrs) {
    const options = {
      warmup: numberOf(attrs, "warmup"),
      decay: numberOf(attrs, "decay"),
      peak: numberOf(attrs, "peak"),
      valley: numberOf(attrs, "valley"),
    };
    return batch.expect(
      "mu",
      batch.values("step").map((step) => chordMu(step, options)),
    );
  },

  async pact_surrogate(batch, attrs) {
    const prompts = batch.values("prompt");
    const weights = surrogateWeights(batch, prompts, average(attrs));
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
      .map((labels) => sftTokenWeights(labels, sftLambda(attrs), normaliser(attrs)));
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

  pact_schedule(batch, attrs) {
    if ((numberOf(attrs, "levels") ?? 5) !== 5) throw new Unsupported(`${attrs.levels} prefix levels`);
    const steps = batch.values("step");
    const total = numberOf(attrs, "horizon") ?? 1;
    const [start, end] = [numberOf(attrs, "lambdaStart"), numberOf(attrs, "lambdaEnd")];
    return [
      ...batch.expect(
        "lambda",
        steps.map((s) => callWeight(s, total, start, end)),
      ),
      ...batch.expect(
        "level",
        steps.map((s) => prefixLevel(s, total)),
      ),
    ];
  },

  pact_gate(batch, attrs) {
    const q = numberOf(attrs, "q") ?? 0.4;
    return batch.expect(
      "gate",
      batch.values("uniform").map((uniform) => Number(isAnchored(uniform, q))),
    );
  },

  pact_total: checkTotal,

  turn_advantages(batch, attrs) {
    const turns = batch.values("numTurns");
    const rewards = batch.rowsOf("turnRewards").map((row, i) => row.slice(0, turns[i]));
    const result = turnAdvantages(rewards, batch.values("groups"), {
      gamma: numberOf(attrs, "gamma"),
      epsilon: numberOf(attrs, "eps"),
    });
    const longest = batch.golden.inputs.turnRewards.shape[1];
    const padded = (ragged: readonly (readonly number[])[]) =>
      ragged.flatMap((row) => Array.from({ length: longest }, (_, t) => row[t] ?? 0));
    const generated = batch.has("mask") ? batch.values("mask") : undefined;
    const perToken = batch
      .rowsOf("turnIndex")
      .flatMap((row, i) => row.map((t) => result.combined[i][t] ?? 0))
      .map((advantage, n) => (generated?.[n] === 0 ? 0 : advantage));
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

const aggregations = [
  "token-mean",
  "seq-mean-token-mean",
  "seq-mean-token-sum",
  "seq-mean-token-sum-norm",
] as const satisfies readonly Aggregation[];

/** verl's older names of the estimators. */
const klAliases: Record<string, string> = { kl: "k1", mse: "k2", low_var_kl: "k3" };

/** Weight of a token of each row. */
function aggregation(batch: Batch, attrs: Attrs, bySequence = false): number[] {
  const mode = choiceOf(attrs, "agg", aggregations, bySequence ? "seq-mean-token-mean" : "token-mean");
  return aggregationWeights(batch.tokens, mode, numberOf(attrs, "lossScaleFactor") ?? batch.columns);
}

/** As `aggregation`, for the kinds that say `average` instead: `token`, or `sequence` for the mean of row means. */
function chordAverage(batch: Batch, attrs: Attrs): number[] {
  const bySequence = choiceOf(attrs, "average", ["token", "sequence"], "token") === "sequence";
  return aggregationWeights(batch.tokens, bySequence ? "seq-mean-token-mean" : "token-mean");
}

/** The clip options among `taken` that a case sets; `dualClip: null` means none, an absent one the default. */
function methodOptions(attrs: Attrs, taken: readonly string[]): Record<string, number | null> {
  const options: Record<string, number | null> = {};
  for (const name of taken) {
    const value = numberOf(attrs, name);
    if (value !== undefined) options[name] = value;
    else if (name === "dualClip" && attrs.dualClip === null) options.dualClip = null;
    else if (name !== "dualClip") options[name] = 0.2;
  }
  return options;
}

/** The expert's rows of a mixed case as a batch of their own. */
function expertBatch({ context, golden }: Batch): Batch {
  const { expertLogProbs, expertMask } = golden.inputs;
  const inputs = { logProbs: expertLogProbs, ...(expertMask && { mask: expertMask }) };
  return new Batch(context, { ...golden, inputs });
}
