// Supervised fine-tuning on expert episodes: a small transformer with random weights learns how tool calls are written. The loss is
// the mean negative log-likelihood of everything the expert wrote. About 6 s on the cpu device.
//   node --import tsx --conditions=source examples/005-sft-tool-calls.ts
import { initParams, trainBpe } from "@pact/nn";
import {
  controlTokens,
  nativeDialect,
  nullSink,
  renderDocument,
  roleSpans,
  Trainer,
  trainConfig,
} from "@pact/pact";
import { init, key } from "@pact/tensor";
import { ftrlLike } from "@pact/tools-sim";

await init({ device: "cpu" });
const dials = { worlds: 2, minTools: 2, maxTools: 3 };
const tasks = ftrlLike.generate({ seed: 1, split: "train", count: 32, category: "single_hop", dials });
const texts = tasks.flatMap(({ question, tools, trace }) => [question, JSON.stringify([tools, trace])]);
const codec = trainBpe(texts, { vocabSize: 420, controlTokens });

// What one episode looks like; only reasoning, calls and answer are trained.
const document = renderDocument(codec, { task: tasks[0], episode: tasks[0].trace! });
for (const { role, text } of roleSpans(codec, document)) console.log(role.padEnd(12), JSON.stringify(text));

const model = {
  modelType: "qwen3",
  vocabSize: codec.vocabSize,
  hiddenSize: 32,
  numLayers: 1,
  numHeads: 2,
  numKvHeads: 1,
  headSize: 16,
  intermediateSize: 64,
  maxPositions: 1024,
  normEps: 1e-6,
  ropeTheta: 10_000,
  tieWordEmbeddings: true,
} as const;
const params = initParams(model, key(1), { std: 0.15 });
const config = trainConfig({
  method: "sft",
  steps: 30,
  promptsPerStep: 4,
  learningRate: 1e-2,
  warmupSteps: 2,
});
const trainer = new Trainer({ config, model, params, dialect: nativeDialect(codec), tasks, sink: nullSink });
const losses: number[] = [];
for await (const event of trainer.steps()) {
  if (event.kind !== "step") continue;
  losses.push(event.metrics.values["loss/total"] ?? Number.NaN);
  if (event.step % 5 === 0)
    console.log(`step ${event.step}: ${losses[event.step].toFixed(3)} nats per token`);
}
const [first, last] = [losses[0], losses[losses.length - 1]];
console.log(`from ${first.toFixed(3)} to ${last.toFixed(3)}, ${trainer.result.trainedTokens} trained tokens`);
trainer.dispose();
if (!(last < 2)) throw new Error(`the loss is ${last}, expected below 2`);
