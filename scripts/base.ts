/**
 * Makes the base policy that is shipped in packages/pact/base: where the paper starts from a pre-trained Qwen3, this
 * project starts from a small transformer that has learned from scripted episodes to use tools a little.
 *
 *   npm run base -- --out <folder> [--seed 1] [--device auto] [--scale 1]
 *
 * Stages (recipe.ts): a tokenizer on task text; pre-training on episodes of the teacher, then more and more of a sloppy
 * policy, so that the skills are there and the habits are bad. Stopped runs continue from `<out>/state.safetensors`.
 * The document stream is a function of the seed and the step alone.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import {
  AdamW,
  configFromJson,
  configToJson,
  initParams,
  type Params,
  packSequences,
  paramsToSafetensors,
  readSafetensors,
  readSafetensorsMetadata,
  type SafetensorsEntry,
  tokenLogProbs,
  trainBpe,
  writeSafetensors,
} from "@pact/nn";
import {
  controlTokens,
  defaultConfig,
  evaluate,
  nativeDialect,
  nullSink,
  renderDocument,
  toolList,
} from "@pact/pact";
import { init, key, mul, neg, scope, sum, tensor, valueAndGrad } from "@pact/tensor";
import { ftrlLike, pretrainingDocument, Random, type Task, toolCallJson } from "@pact/tools-sim";
import { modelSizes, type Phase, phases, tokenizerTasks, vocabSize } from "./base/recipe.ts";

const { values } = parseArgs({
  options: {
    out: { type: "string" },
    seed: { type: "string", default: "1" },
    device: { type: "string", default: "auto" },
    scale: { type: "string", default: "1" },
    help: { type: "boolean", default: false },
  },
});
if (values.help || !values.out) {
  console.log("npm run base -- --out <folder> [--seed 1] [--device auto|webgpu|cpu] [--scale 1]\n");
  console.log("Trains the base policy. --scale multiplies the number of tokens of every phase.");
  process.exit(values.help ? 0 : 2);
}
const out = values.out;
const seed = Number(values.seed);
const scale = Number(values.scale);
mkdirSync(out, { recursive: true });
const device = await init({ device: values.device as "auto", log: (line) => console.log(line) });

/** Text of an episode, piece by piece as rendering encodes it. */
function textsOf(task: Task): string[] {
  const episode = task.trace;
  if (!episode) return [];
  return [
    toolList(task.tools),
    task.question,
    ...episode.turns.flatMap((turn) => [
      ...turn.chunks.map((chunk) => chunk.text),
      ...turn.calls.map((call) => toolCallJson(call)),
      ...turn.observations,
    ]),
    ...episode.final.chunks.map((chunk) => chunk.text),
    episode.final.answer,
  ];
}

const tokenizer = trainBpe(
  ftrlLike.generate({ seed, split: "train", count: tokenizerTasks }).flatMap(textsOf),
  { vocabSize, controlTokens },
);
const model = configFromJson({ ...modelSizes, vocab_size: tokenizer.vocabSize });

function initialParams(): Params {
  const std = 1 / Math.sqrt(modelSizes.hidden_size);
  const params = initParams(model, key(seed), { std });
  const name = "model.embed_tokens.weight";
  // NOTE: GPT-2's deviation of 0.02 is for wide models. At width 64, with tied embeddings of 0.2 and weights of 1/√C,
  // copying names is learned in about half the tokens (docs/log.md).
  return { ...params, [name]: scope(() => mul(params[name], 0.2 / std)) };
}

/** Documents of one optimiser step, drawn from the step's own random stream until the token budget is full. */
function documentsOf(step: number, phase: Phase): { ids: Int32Array; weights: number[] }[] {
  const documents: { ids: Int32Array; weights: number[] }[] = [];
  let tokens = 0;
  for (let index = 0; tokens < phase.batchTokens; index++) {
    const random = new Random("base", seed, step, index);
    const [task] = ftrlLike.generate({ seed: seed + 1, split: "train", count: 1, start: step * 256 + index });
    const document = pretrainingDocument(task, random, phase);
    const { ids, labels } = renderDocument(tokenizer, document);
    documents.push({
      ids: Int32Array.from(ids),
      weights: labels.map((label) => (label > 0 ? 1 : phase.contextWeight)),
    });
    tokens += ids.length;
  }
  return documents;
}

/** Weighted mean negative log-likelihood of the documents' tokens, the first of each left out. */
function lossOf(params: Params, documents: { ids: Int32Array; weights: number[] }[]) {
  const packed = packSequences(documents.map(({ ids }) => ids));
  const targets: number[] = [];
  const weights: number[] = [];
  let start = 0;
  for (const { ids, weights: own } of documents) {
    for (let t = 1; t < ids.length; t++) {
      if (own[t] === 0) continue;
      targets.push(start + t);
      weights.push(own[t]);
    }
    start += ids.length;
  }
  const total = weights.reduce((a, b) => a + b, 0);
  const logProbs = tokenLogProbs(model, params, packed, Int32Array.from(targets));
  return neg(sum(mul(logProbs, tensor(Float32Array.from(weights, (w) => w / total)))));
}

/** Writes a file so that a reader sees the old one or the new one, never half of it. */
function replaceFile(name: string, bytes: Uint8Array | string): void {
  writeFileSync(join(out, `${name}.tmp`), bytes);
  renameSync(join(out, `${name}.tmp`), join(out, name));
}

async function saveState(optimizer: AdamW): Promise<void> {
  const entries = new Map<string, SafetensorsEntry>();
  for (const name of ["arena", "m", "v"] as const) {
    const data = (await optimizer[name].data()) as Float32Array;
    entries.set(name, { dtype: "F32", shape: optimizer[name].shape, data });
  }
  replaceFile("state.safetensors", writeSafetensors(entries, { steps: String(optimizer.steps) }));
}

function restoreState(optimizer: AdamW): void {
  const file = join(out, "state.safetensors");
  if (!existsSync(file)) return;
  const bytes = readFileSync(file);
  const entries = readSafetensors(bytes);
  const load = (name: string) => tensor(entries.get(name)?.data as Float32Array);
  optimizer.restore({
    arena: load("arena"),
    m: load("m"),
    v: load("v"),
    steps: Number(readSafetensorsMetadata(bytes).get("steps")),
  });
  console.log(`continuing from step ${optimizer.steps} of ${file}`);
}

async function saveModel(params: Params): Promise<void> {
  replaceFile("model.safetensors", await paramsToSafetensors(params));
  replaceFile("config.json", `${JSON.stringify(configToJson(model), null, 2)}\n`);
  replaceFile("tokenizer.json", `${JSON.stringify(tokenizer.toJson())}\n`);
}

const optimizer = new AdamW(initialParams(), { weightDecay: 0.01 });
restoreState(optimizer);
const gradient = valueAndGrad(lossOf);
const plan = phases.map((phase) => ({
  phase,
  steps: Math.round((scale * phase.tokens) / phase.batchTokens),
}));
const total = plan.reduce((steps, part) => steps + part.steps, 0);
const heldOut = ftrlLike.generate({ seed: 1, split: "heldout", count: 200 });
let first = 0;
for (const { phase, steps } of plan) {
  for (let step = Math.max(first, optimizer.steps); step < first + steps; step++) {
    const began = performance.now();
    const documents = documentsOf(step, phase);
    const [high, low] = phase.learningRate;
    const learningRate = (high + ((low - high) * (step - first)) / steps) * Math.min(1, (step + 1) / 40);
    const loss = scope(() => {
      const { value, grads } = gradient(optimizer.params, documents);
      optimizer.step(grads, learningRate);
      return value;
    });
    const value = await loss.item();
    loss.dispose();
    if (step % 20 === 0 || step === first + steps - 1) {
      const tokens = documents.reduce((sum, { ids }) => sum + ids.length, 0);
      const seconds = (performance.now() - began) / 1000;
      const left = ((total - step) * seconds) / 60;
      console.log(
        `${phase.name} step ${step + 1}/${total}  loss ${value.toFixed(3)}  ${Math.round(tokens / seconds)} tokens/s  ${left.toFixed(0)} min left`,
      );
    }
    if (step % 100 === 99) await saveState(optimizer);
  }
  first += steps;
  await saveState(optimizer);
  await saveModel(optimizer.params);
  const result = await evaluate({
    ...defaultConfig,
    model,
    params: optimizer.params,
    dialect: nativeDialect(tokenizer),
    tasks: heldOut,
    step: first,
    sink: nullSink,
  });
  const line = (name: "sampled" | "greedy") =>
    `${name} Solve-F1 ${result[name].solveF1.toFixed(3)} ± ${result[name].solveF1Error.toFixed(3)} ${JSON.stringify(result[name].stops)}`;
  console.log(`after phase ${phase.name}: ${line("sampled")}; ${line("greedy")}`);
}
rmSync(join(out, "state.safetensors"), { force: true });
device.destroy();
