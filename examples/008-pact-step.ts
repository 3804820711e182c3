// One step of PACT for one prompt, quantity by quantity in the order of the paper's Algorithm 1 (arXiv 2606.16215), from the shipped
// base policy. The identities that must hold are checked at the end. About 4 s on the cpu device.
//   node --import tsx --conditions=source examples/008-pact-step.ts
import { readFileSync } from "node:fs";
import { configFromJson, paramsFromSafetensors, Tokenizer } from "@pact/nn";
import * as pact from "@pact/pact";
import { init, key } from "@pact/tensor";
import { ftrlLike } from "@pact/tools-sim";

await init({ device: "cpu" });
const base = (name: string) => readFileSync(new URL(`../packages/pact/base/${name}`, import.meta.url));
const config = configFromJson(JSON.parse(base("config.json").toString()));
const codec = Tokenizer.fromJson(JSON.parse(base("tokenizer.json").toString()));
const dialect = pact.nativeDialect(codec);
const model = { config, params: paramsFromSafetensors(config, base("model.safetensors")) };
// β and λ_pen of the paper; the gate and the trace are the defaults.
const options = pact.trainConfig({
  sftWeight: 0.1,
  unmatchedCallPenalty: 0,
  maxTurns: 3,
  maxRolloutTokens: 250,
});
const [step, K] = [12, 4];
const [task] = ftrlLike.generate({ seed: 3, split: "train", count: 1, category: "single_hop" });
const show = (value: number) => value.toFixed(3);
const row = (values: readonly number[]) => values.map(show).join("  ");
const title = (text: string) => console.log(`\n${text}`);
const say = (text: string) => console.log(`   ${text}`);
const sum = (values: Iterable<number>) => Array.from(values).reduce((total, value) => total + value, 0);

title(`prompt x: ${JSON.stringify(task.question)}, step ${step} of ${options.steps}`);
title("1  K rollouts from π_old(·|x); the type of a rollout's task has no trace");
const x = pact.rolloutPrompt(dialect, pact.withoutTrace(task), 0);
const policy = pact.modelPolicy(config, model.params);
const sampling = { dialect, policy, rolloutsPerPrompt: K, temperature: 1, key: key(5) };
const rollouts = await pact.collectRollouts([x], { ...options, ...sampling });
for (const { turns, stop } of rollouts) {
  const spoken = turns.map(({ text }) => text.replace(/^.*<\/think>/s, ""));
  say(`${stop}: ${spoken.join(" ").slice(0, 110)}`);
}

title("2  rewards r_t of each turn: matched similarity of calls, F1 of the answer");
say(`reference: ${JSON.stringify(pact.referenceCalls(task))}, answer ${task.answer}`);
const rewards = rollouts.map((rollout) => pact.rolloutRewards(rollout, task, options.unmatchedCallPenalty));
for (const { perTurn, total } of rewards) say(`r = ${row(perTurn)}   R = ${show(total)}`);

title("3  advantages A = A^g + A^l of each turn");
const perTurn = rewards.map((reward) => reward.perTurn);
const { trajectory, turn, combined } = pact.turnAdvantages(perTurn, [0, 0, 0, 0], options);
for (let k = 0; k < K; k++)
  say(`A^g = ${show(trajectory[k])}   A^l = ${row(turn[k])}   A = ${row(combined[k])}`);

title("4  gate z ~ Bernoulli(q), one draw for all K rollouts");
const draw = 0.61; // the trainer draws it from the run's seed
const q = options.anchorProbability;
say(`draw ${draw}, q ${q}: z = ${pact.isAnchored(draw, q) ? 1 : 0}`);

title("5  component-aware mask on h*");
const level = pact.prefixLevel(step, options.steps);
const trace = pact.renderTrace(codec, task.trace!, { level, reasoningTags: options.reasoningTags });
const count = (label: number) => trace.labels.filter((own) => own === label).length;
const [none, R, A] = [pact.sftLabel.context, pact.sftLabel.reasoning, pact.sftLabel.call].map(count);
const lambda = pact.callWeight(step, options.steps);
say(
  `level L${level}: |R| = ${R} tokens of weight 1, |A| = ${A} of weight λ_a = ${show(lambda)}, ${none} of weight 0`,
);
say(`Z = ${show(R + lambda * A)}`);

/** The prompt's tokens for one value of the gate, with their weights: one packed prefix tree. */
function pack(anchored: boolean): pact.MicroBatch {
  const routed = { task, rollouts, advantages: combined, anchored };
  return pact.packMicroBatches(pact.buildTrees(dialect, [routed], step, options), 1e6)[0];
}
const objective = { sftWeight: options.sftWeight, clipLow: 0.2, clipHigh: 0.2, dualClip: 3 };
const [h, plain] = [pack(false), pack(true)];
const gradH = await pact.batchGradient(model, [h], objective);
const gradX = await pact.batchGradient(model, [plain], objective);
const [logH, logX] = [gradH.logProbs[0], gradX.logProbs[0]];

title("6  mean log-prob of each rollout's tokens: log π(τ|x), log π(τ|x,h*), and what the sampler saw");
const meanOf = (batch: pact.MicroBatch, values: Float64Array, k: number) => {
  const own = values.filter((_, token) => batch.rollouts[token] === k);
  return sum(own) / own.length;
};
for (let k = 0; k < K; k++) {
  say(row([meanOf(plain, logX, k), meanOf(h, logH, k), meanOf(plain, plain.samplerLogProbs, k)]));
}

title("7  ratios: old log-probs come from the same forward in the same context");
const frozen = pact.frozenLogProbs(model, [h, plain]);
const old = await Promise.all(frozen.map((values) => values.data()));
const logRatios = (now: Float64Array, i: number) =>
  Array.from(now, (value, token) => value - Number(old[i][token]));
const ratios = [logH, logX].flatMap(logRatios).map(Math.exp);
say(`${ratios.length} ratios between ${Math.min(...ratios)} and ${Math.max(...ratios)}`);

title("8  loss terms and gradient norms");
const policyLoss = (batch: pact.MicroBatch) =>
  -sum(batch.policyWeights.map((weight, token) => weight * batch.advantages[token]));
const sft = -sum(h.sftWeights.map((weight, token) => weight * logH[token]));
const norm = (batch: pact.MicroBatch, ...terms: number[]) =>
  pact.termGradientNorm(model, [batch], objective, terms);
const { traced, anchored, sftReasoning, sftCall } = pact.lossTerm;
const sampled = rollouts.flatMap(({ roles }) => roles.filter(pact.isSampled)).length;
const [Lh, Lx, beta] = [policyLoss(h), policyLoss(plain), options.sftWeight];
say(`L^h   = ${show(Lh)}   gradient norm ${show(await norm(h, traced))}`);
say(`L_SFT = ${show(sft)}   of β L_SFT ${show(await norm(h, sftReasoning, sftCall))}, β = ${beta}`);
say(`L^x   = ${show(Lx)}   ${show(await norm(plain, anchored))}`);
say(`z = 0: L^h + β L_SFT = ${show(gradH.loss)};   z = 1: L^x = ${show(gradX.loss)}`);

const near = (a: number, b: number) => Math.abs(a - b) < 1e-5;
const identities: [string, boolean][] = [
  ["every ratio is exactly 1", ratios.every((ratio) => ratio === 1)],
  ["the trajectory advantages add up to 0", near(sum(trajectory), 0)],
  ["the weights m_n / Z add up to 1", near(sum(h.sftWeights), 1)],
  ["at ratio 1, L^h and L^x are the same number", near(Lh, Lx)],
  ["the loss with z = 0 is L^h + β L_SFT", near(gradH.loss, Lh + beta * sft)],
  ["the loss with z = 1 is L^x", near(gradX.loss, Lx)],
  [
    "the sampled tokens are trained, and no others",
    plain.policyWeights.filter((w) => w > 0).length === sampled,
  ],
];
const broken = identities.filter(([, holds]) => !holds).map(([name]) => name);
if (broken.length > 0) throw new Error(`does not hold: ${broken.join("; ")}`);
