// A policy loss of your own: TOPR (arXiv 2503.14286), which keeps raising what was good whatever the ratio, and lowers what was bad
// with a weight that fades as the ratio falls. It is checked against its formula, then used in place of GRPO's loss on
// samples that are several updates old. About a second on the cpu device.
//   node --import tsx --conditions=source examples/011-own-loss.ts
import { AdamW, type Params } from "@pact/nn";
import {
  clipStatistics,
  type PolicyLoss,
  policyLossRegistry,
  policyObjective,
  policyRecipes,
} from "@pact/pact";
import {
  clamp,
  exp,
  grad,
  greaterEqual,
  init,
  logSoftmax,
  mul,
  neg,
  stopGradient,
  sub,
  sum,
  type Tensor,
  take,
  tensor,
  valueAndGrad,
  where,
  zeros,
} from "@pact/tensor";

/** ℓ = −A log π for A ≥ 0, and −sg[clip(r, 0, 1)] A log π for A < 0, r = π/π_old of each token (the paper's: of the sequence). */
function toprLosses(newLogProbs: Tensor, oldLogProbs: Tensor, advantages: Tensor): Tensor {
  const ratio = exp(sub(newLogProbs, oldLogProbs));
  const faded = clamp(ratio, { min: 0, max: 1 });
  const weight = stopGradient(where(greaterEqual(advantages, 0), 1, faded));
  return neg(mul(mul(weight, advantages), newLogProbs));
}

const topr: PolicyLoss = {
  name: "topr",
  ratio: "token",
  defaults: {},
  losses: ({ newLogProbs, oldLogProbs, advantages }) => toprLosses(newLogProbs, oldLogProbs, advantages),
  statistics: (tokens) => clipStatistics(tokens.newLogProbs, tokens.oldLogProbs, tokens.advantages),
};

const device = await init({ device: "cpu" });
const column = (values: number[]) => tensor(Float64Array.from(values), { device });

// Good and bad tokens with ratios below, at and above 1: the gradient by log π against the one worked out by hand.
const [ratios, values] = [
  [0.25, 0.25, 1, 1, 4, 4],
  [2, -2, 2, -2, 2, -2],
];
const [fresh, old, A] = [column(ratios.map(Math.log)), zeros([6], { dtype: "f64", device }), column(values)];
const slopes = async (loss: PolicyLoss) => {
  const total = (newLogProbs: Tensor) => sum(loss.losses({ newLogProbs, oldLogProbs: old, advantages: A }));
  return Array.from(await grad(total)(fresh).data(), Number);
};
const [own, vanilla] = [await slopes(topr), await slopes(policyLossRegistry.vanilla)];
const expected = [-2, 0.5, -2, 2, -2, 2];
console.log("ratio    A   TOPR   PPO clip");
ratios.forEach((ratio, i) => {
  console.log(
    `${String(ratio).padEnd(6)} ${String(values[i]).padStart(3)}  ${own[i].toFixed(2).padStart(5)}  ${vanilla[i].toFixed(2).padStart(8)}`,
  );
});
const near = (a: number, b: number) => Math.abs(a - b) < 1e-12;
if (!own.every((slope, i) => near(slope, expected[i]))) throw new Error("the gradient is not TOPR's");
if (!near(own[2], vanilla[2]) || !near(own[3], vanilla[3]))
  throw new Error("at r = 1 every loss has the gradient −A");

// The same loss inside a recipe: eight samples of a policy over four choices, of which choice 2 is rewarded.
const choices = [0, 1, 2, 3, 0, 1, 2, 3];
const logProbs = ({ logits }: Params) => take(logSoftmax(logits), tensor(choices, { dtype: "i32", device }));
const optimizer = new AdamW({ logits: zeros([4], { device }) });
const prepared = policyObjective(
  { ...policyRecipes.grpo, policyLoss: topr, clip: {} },
  {
    rewards: choices.map((choice) => [choice === 2 ? 1 : 0]),
    groups: choices.map(() => 0),
    sequences: choices.map((_, sample) => sample),
    oldLogProbs: logProbs(optimizer.params), // frozen before the first update, and never renewed
  },
);
for (let update = 0; update < 40; update++) {
  optimizer.step(
    valueAndGrad((params: Params) => prepared.loss(logProbs(params)))(optimizer.params).grads,
    0.1,
  );
}
const chance = Math.exp(Number((await logSoftmax(optimizer.params.logits).data())[2]));
console.log(`probability of the rewarded choice: 0.25 → ${chance.toFixed(3)}`);
if (!(chance > 0.9)) throw new Error(`the rewarded choice has probability ${chance}, expected above 0.9`);
