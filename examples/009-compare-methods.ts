// Four methods from the same base policy, on the same prompts and with the same number of updates. Two steps on a handful of tasks
// show how a comparison is made, not which method is better: docs/log.md has longer runs. About 10 s on the cpu device.
//   node --import tsx --conditions=source examples/009-compare-methods.ts
import { readFileSync } from "node:fs";
import { configFromJson, paramsFromSafetensors, Tokenizer } from "@pact/nn";
import { evaluate, nativeDialect, nullSink, type TrainConfig, Trainer, trainConfig } from "@pact/pact";
import { init } from "@pact/tensor";
import { ftrlLike } from "@pact/tools-sim";

await init({ device: "cpu" });
const base = (name: string) => readFileSync(new URL(`../packages/pact/base/${name}`, import.meta.url));
const model = configFromJson(JSON.parse(base("config.json").toString()));
const dialect = nativeDialect(Tokenizer.fromJson(JSON.parse(base("tokenizer.json").toString())));
const params = paramsFromSafetensors(model, base("model.safetensors"));
const easy = { category: "single_hop", dials: { failureRate: 0 } } as const;
const tasks = ftrlLike.generate({ seed: 1, split: "train", count: 6, ...easy });
const heldOut = ftrlLike.generate({ seed: 1, split: "heldout", count: 6, ...easy });
const budget = { seed: 1, promptsPerStep: 3, maxTurns: 3, maxRolloutTokens: 150 };

interface Row {
  loss: number[];
  sampled: number;
  trained: number;
  f1: number;
  /** Token ids of the first step's rollouts. */
  first: readonly (readonly number[])[];
}

/** Trains with a method, then evaluates. */
async function compare(options: Partial<TrainConfig>): Promise<Row> {
  const config = trainConfig({ ...budget, ...options });
  const trainer = new Trainer({ config, model, params, dialect, tasks, sink: nullSink });
  const loss: number[] = [];
  let first: Row["first"] = [];
  for await (const event of trainer.steps()) {
    if (event.kind === "rollouts" && event.step === 0) first = event.rollouts.map(({ ids }) => ids);
    if (event.kind === "step") loss.push(event.metrics.values["loss/total"] ?? Number.NaN);
  }
  const { sampledTokens, trainedTokens, stepsDone } = trainer.result;
  const own = { model, params: trainer.params, dialect, tasks: heldOut, step: stepsDone, sink: nullSink };
  const { greedy } = await evaluate({ ...config, ...own });
  trainer.dispose();
  return { loss, sampled: sampledTokens, trained: trainedTokens, f1: greedy.solveF1, first };
}

const explore = { steps: 2, rolloutsPerPrompt: 2 };
const rows: Record<string, Row> = {
  vanilla: await compare({ method: "vanilla" }),
  sft: await compare({ method: "sft", steps: 2 }),
  matchtir: await compare({ method: "matchtir", ...explore }),
  pact: await compare({ method: "pact", ...explore }),
  "pact, q = 1": await compare({ method: "pact", anchorProbability: 1, ...explore }),
};
console.log("method        sampled  trained  held-out F1  loss of each step");
for (const [name, { sampled, trained, f1, loss }] of Object.entries(rows)) {
  const cells = [
    name.padEnd(12),
    String(sampled).padStart(8),
    String(trained).padStart(8),
    f1.toFixed(3).padStart(12),
  ];
  console.log(`${cells.join(" ")}  ${loss.map((value) => value.toFixed(4)).join(", ")}`);
}

const { vanilla, sft, matchtir, pact } = rows;
const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);
const claims: [string, boolean][] = [
  ["vanilla trains nothing", vanilla.trained === 0 && vanilla.loss.length === 0],
  ["sft samples nothing", sft.sampled === 0],
  ["the first rollouts are the same under both methods", same(pact.first, matchtir.first)],
  [
    "with q = 1 PACT is MatchTIR, bit for bit",
    JSON.stringify(rows["pact, q = 1"]) === JSON.stringify(matchtir),
  ],
];
const broken = claims.filter(([, holds]) => !holds).map(([claim]) => claim);
if (broken.length > 0) throw new Error(`does not hold: ${broken.join("; ")}`);
