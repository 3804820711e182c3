// GRPO from its parts: which of four tools does a request need? The policy names one, a reward says whether it was right, and
// the group's mean is the baseline. No labels are shown. A few seconds on the cpu device.
//   node --import tsx --conditions=source examples/006-grpo.ts
import { AdamW, concatPacked, initParams, type Params, packTree, tokenLogProbs } from "@pact/nn";
import { groupAdvantages, modelPolicy, policyObjective } from "@pact/pact";
import { foldIn, init, key, scope, stopGradient, valueAndGrad } from "@pact/tensor";

const tools = ["weather", "calculator", "calendar", "search"];
const requests = [
  "rain tomorrow",
  "12 times 7",
  "free on Monday",
  "who wrote it",
  "wind now",
  "sum of these",
];
const rightTool = [0, 1, 2, 3, 0, 1];
// Tokens: one for each tool, then one for each request. A prompt is one token, an answer is one token.
const promptOf = (request: number) => [tools.length + request];

await init({ device: "cpu" });
const model = {
  modelType: "qwen3",
  vocabSize: tools.length + requests.length,
  hiddenSize: 16,
  numLayers: 1,
  numHeads: 1,
  numKvHeads: 1,
  headSize: 16,
  intermediateSize: 16,
  maxPositions: 4,
  normEps: 1e-6,
  ropeTheta: 10_000,
  tieWordEmbeddings: false,
} as const;
const optimizer = new AdamW(initParams(model, key(1)));
const rolloutsPerPrompt = 8;
const groups = requests.flatMap((_, request) => Array<number>(rolloutsPerPrompt).fill(request));

/** Samples an answer of one token for each rollout. */
async function sample(step: number): Promise<number[]> {
  const rows = groups.map((prompt) => ({ prompt, capacity: 1 }));
  const session = modelPolicy(model, optimizer.params).start(
    requests.map((_, i) => promptOf(i)),
    rows,
    1,
  );
  const keys = Uint32Array.from(groups.flatMap((_, row) => [...foldIn(foldIn(key(2), step), row)]));
  const { ids } = await session.first(keys);
  session.dispose();
  return Array.from(ids);
}

const rewardOf = (answer: number, request: number) => (answer === rightTool[request] ? 1 : 0);
const meanOf = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
const curve: number[] = [];
for (let step = 0; step < 60; step++) {
  const answers = await sample(step);
  const rewards = answers.map((answer, rollout) => rewardOf(answer, groups[rollout]));
  curve.push(meanOf(rewards));
  if (step === 0) {
    const first = groupAdvantages(rewards, groups).slice(0, rolloutsPerPrompt);
    console.log(
      `"${requests[0]}" → ${answers.slice(0, rolloutsPerPrompt).map((id) => tools[id] ?? "no tool")}`,
    );
    console.log(
      `rewards ${rewards.slice(0, rolloutsPerPrompt)}, advantages ${first.map((a) => a.toFixed(2))}`,
    );
  }
  // One prefix tree per prompt: its rollouts share the prompt's token, which stands before them.
  const packed = concatPacked(
    requests.map((_, request) => {
      const branches = answers.filter((_, rollout) => groups[rollout] === request).map((id) => [id]);
      return packTree({ prefix: promptOf(request), branches });
    }),
  );
  const targets = Int32Array.from(groups, (request, rollout) => rollout + request + 1);
  scope(() => {
    const old = stopGradient(tokenLogProbs(model, optimizer.params, packed, targets));
    const sequences = groups.map((_, rollout) => rollout);
    const grpo = policyObjective("grpo", {
      rewards: rewards.map((r) => [r]),
      groups,
      sequences,
      oldLogProbs: old,
    });
    const objective = (params: Params) => grpo.loss(tokenLogProbs(model, params, packed, targets));
    optimizer.step(valueAndGrad(objective)(optimizer.params).grads, 2e-2);
  });
  if (step % 15 === 0 || step === 59) console.log(`step ${step}: mean reward ${curve[step].toFixed(2)}`);
}

const [before, after] = [meanOf(curve.slice(0, 5)), meanOf(curve.slice(-5))];
console.log(`mean reward of the first five steps ${before.toFixed(2)}, of the last five ${after.toFixed(2)}`);
if (!(after > 0.9)) throw new Error(`the mean reward is ${after}, expected above 0.9`);
