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
const model = { config, params: paramsFromSafetensors(config, base("model.safetensors")) };
const options = pact.trainConfig({ sftWeight: 0.1, unmatchedCallPenalty: 0, maxRolloutTokens: 250 }); // β and λ_pen of the paper
const [step, K] = [12, 4];
const [task] = ftrlLike.generate({ seed: 3, split: "train", count: 1, category: "single_hop" });
const show = (value: number) => value.toFixed(3);
const row = (values: readonly number[]) => values.map(show).join("  ");
const sum = (values: Iterable<number>) => Array.from(values).reduce((total, value) => total + value, 0);

console.log(`prompt x: ${JSON.stringify(task.question)}, step ${step} of ${options.steps}`);
console.log("\n1  K rollouts from π_old(·|x); the type of a rollout's task has no trace");
const x = pact.rolloutPrompt(codec, pact.withoutTrace(task), 0);
const policy = pact.modelPolicy(config, model.params);
const limits = { maxTurns: 3, maxTurnTokens: 96, maxRolloutTokens: options.maxRolloutTokens };
const rollouts = await pact.collectRollouts([x], {
  ...limits,
  codec,
  policy,
  rolloutsPerPrompt: K,
  temperature: 1,
  key: key(5),
});
for (const { ids, roles, stop } of rollouts) {
  const spoken = pact
    .roleSpans(codec, { ids, roles })
    .filter(({ role }) => role === "call" || role === "answer");
  console.log(
    `   ${stop.padEnd(14)} ${spoken
      .map(({ text }) => text.replaceAll("<|end|>", ""))
      .join(" ")
      .slice(0, 110)}`,
  );
}

console.log("\n2  rewards r_t of each turn: matched similarity of calls, F1 of the answer");
console.log(
  `   reference: ${pact
    .referenceCalls(task)
    .map((call) => JSON.stringify(call))
    .join(" ")}, answer ${task.answer}`,
);
const rewards = rollouts.map((rollout) => pact.rolloutRewards(rollout, task, options.unmatchedCallPenalty));
for (const { perTurn, total } of rewards) console.log(`   r = ${row(perTurn)}   R = ${show(total)}`);

console.log("\n3  advantages A = A^g + A^l of each turn");
const advantages = pact.turnAdvantages(
  rewards.map((reward) => reward.perTurn),
  rollouts.map(() => 0),
  { gamma: options.gamma },
);
advantages.combined.forEach((combined, k) => {
  console.log(
    `   A^g = ${show(advantages.trajectory[k])}   A^l = ${row(advantages.turn[k])}   A = ${row(combined)}`,
  );
});

console.log("\n4  gate z ~ Bernoulli(q), one draw for all K rollouts");
const draw = 0.61; // the trainer draws it from the run's seed
console.log(
  `   draw ${draw}, q ${options.anchorProbability}: z = ${pact.isAnchored(draw, options.anchorProbability) ? 1 : 0}`,
);

console.log("\n5  component-aware mask on h*");
const level = pact.prefixLevel(step, options.steps);
const trace = pact.renderTrace(codec, task.trace!, { level, reasoningTags: options.reasoningTags });
const count = (label: number) => trace.labels.filter((own) => own === label).length;
const lambda = pact.callWeight(step, options.steps);
const Z = count(pact.sftLabel.reasoning) + lambda * count(pact.sftLabel.call);
console.log(
  `   level L${level}: |R| = ${count(pact.sftLabel.reasoning)} at weight 1, |A| = ${count(pact.sftLabel.call)} at λ_a = ${show(lambda)},`,
);
console.log(`   ${count(pact.sftLabel.context)} tokens of context, Z = ${show(Z)}`);

/** The prompt's tokens for one value of the gate, with their weights: one packed prefix tree. */
function pack(anchored: boolean): pact.MicroBatch {
  const routed = { task, rollouts, advantages: advantages.combined, anchored };
  return pact.packMicroBatches(pact.buildTrees(codec, [routed], step, options), 1e6)[0];
}
const objective = { sftWeight: options.sftWeight, clipLow: 0.2, clipHigh: 0.2, dualClip: 3 };
const [h, plain] = [pack(false), pack(true)];
const [gradH, gradX] = [
  await pact.batchGradient(model, [h], objective),
  await pact.batchGradient(model, [plain], objective),
];

console.log(
  "\n6  log-probs of the same tokens in both contexts: mean of log π(τ|x), of log π(τ|x,h*), and what the sampler saw",
);
/** Mean over a rollout's sampled tokens. */
const meanOf = (batch: pact.MicroBatch, values: ArrayLike<number>, k: number) => {
  const own = Array.from(batch.rollouts.keys()).filter((token) => batch.rollouts[token] === k);
  return sum(own.map((token) => values[token])) / own.length;
};
const [logX, logH] = [gradX.logProbs[0], gradH.logProbs[0]];
rollouts.forEach((_, k) => {
  console.log(
    `   ${row([meanOf(plain, logX, k), meanOf(h, logH, k), meanOf(plain, plain.samplerLogProbs, k)])}`,
  );
});

console.log("\n7  ratios: old log-probs come from the same forward in the same context");
const frozen = pact.frozenLogProbs(model, [h, plain]);
const old = await Promise.all(frozen.map((values) => values.data()));
const ratios = [logH, logX].flatMap((now, i) =>
  Array.from(now, (value, token) => Math.exp(value - Number(old[i][token]))),
);
console.log(`   ${ratios.length} ratios between ${Math.min(...ratios)} and ${Math.max(...ratios)}`);

console.log("\n8  loss terms and gradient norms");
const policyLoss = (batch: pact.MicroBatch) =>
  -sum(batch.policyWeights.map((weight, token) => weight * batch.advantages[token]));
const sft = -sum(h.sftWeights.map((weight, token) => weight * logH[token]));
const norm = (batch: pact.MicroBatch, ...terms: number[]) =>
  pact.termGradientNorm(model, [batch], objective, terms);
const weighted = await norm(h, pact.lossTerm.sftReasoning, pact.lossTerm.sftCall);
console.log(`   L^h   = ${show(policyLoss(h))}   norm ${show(await norm(h, pact.lossTerm.traced))}`);
console.log(`   L_SFT = ${show(sft)}   norm of β L_SFT ${show(weighted)}, β = ${options.sftWeight}`);
console.log(
  `   L^x   = ${show(policyLoss(plain))}   norm ${show(await norm(plain, pact.lossTerm.anchored))}`,
);
console.log(`   z = 0: L^h + β L_SFT = ${show(gradH.loss)};   z = 1: L^x = ${show(gradX.loss)}`);

const identities: [string, boolean][] = [
  ["every ratio is exactly 1", ratios.every((ratio) => ratio === 1)],
  ["the trajectory advantages add up to 0", Math.abs(sum(advantages.trajectory)) < 1e-9],
  ["the weights of m_n / Z add up to 1", Math.abs(sum(h.sftWeights) - 1) < 1e-9],
  ["L^h and L^x weigh each token alike", Math.abs(policyLoss(h) - policyLoss(plain)) < 1e-9],
  [
    "the loss with z = 0 is L^h + β L_SFT",
    Math.abs(gradH.loss - policyLoss(h) - options.sftWeight * sft) < 1e-5,
  ],
  ["the loss with z = 1 is L^x", Math.abs(gradX.loss - policyLoss(plain)) < 1e-5],
  [
    "only sampled tokens are trained",
    sum(plain.policyWeights.map((w) => Number(w > 0))) ===
      sum(rollouts.map(({ roles }) => roles.filter(pact.isSampled).length)),
  ],
];
const broken = identities.filter(([, holds]) => !holds).map(([name]) => name);
if (broken.length > 0) throw new Error(`does not hold: ${broken.join("; ")}`);
