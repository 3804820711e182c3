/**
 * Run by deterministic.gpu.test.ts in a process of its own, with `cpu` or `webgpu` as its argument: trains a small Qwen3
 * for two steps, samples tokens from it, and prints one line of JSON: the SHA-256 of the bytes of every result, and the
 * same once more after other work, when pool and pipelines are warm.
 */
import { createHash } from "node:crypto";
import {
  AdamW,
  DecodeSession,
  initParams,
  packSequences,
  type TransformerConfig,
  tokenLogProbs,
} from "@pact/nn";
import * as t from "@pact/tensor";

const config: TransformerConfig = {
  modelType: "qwen3",
  vocabSize: 61,
  hiddenSize: 24,
  numLayers: 2,
  numHeads: 4,
  numKvHeads: 2,
  headSize: 8,
  intermediateSize: 40,
  maxPositions: 64,
  normEps: 1e-6,
  ropeTheta: 10000,
  tieWordEmbeddings: true,
};

/** Losses, gradients, parameters, moments and sampled tokens of a short run, in one hash per kind. */
async function run(device: t.Device, lengths: readonly number[]): Promise<Record<string, string>> {
  const hashes: Record<string, ReturnType<typeof createHash>> = {};
  const note = async (kind: string, x: t.Tensor) => {
    hashes[kind] ??= createHash("sha256");
    hashes[kind].update(new Uint8Array((await x.data()).buffer));
  };
  const initial = initParams(config, t.key(11), { device, std: 0.2 });
  const optimizer = new AdamW(initial, { clipNorm: 0.5 });
  const rows = lengths.map((n, r) =>
    Array.from({ length: n }, (_, i) => (7 * i * i + 13 * r) % config.vocabSize),
  );
  const packed = packSequences(rows);
  const starts = new Set(lengths.map((_, r) => lengths.slice(0, r).reduce((a, b) => a + b, 0)));
  const targets = Int32Array.from(packed.ids.keys()).filter((i) => !starts.has(i));
  const step = t.valueAndGrad((params: typeof initial) =>
    t.neg(t.mean(tokenLogProbs(config, params, packed, targets))),
  );
  for (let i = 0; i < 2; i++) {
    const { value, grads } = step(optimizer.params);
    await note("loss", value);
    for (const name of Object.keys(grads).sort()) await note("gradients", grads[name]);
    const norm = optimizer.step(grads, 1e-2);
    await note("norm", norm);
    for (const used of [value, norm, ...Object.values(grads)]) used.dispose();
  }
  for (const part of [optimizer.arena, optimizer.m, optimizer.v]) await note("state", part);

  const session = new DecodeSession(config, optimizer.params, {
    prompts: [[1, 2, 3]],
    rows: [0, 1, 2].map(() => ({ prompt: 0, capacity: 6 })),
  });
  let scores = session.prefill();
  for (let i = 0; i < 5; i++) {
    const keys = Uint32Array.from({ length: 6 }, (_, k) => 6 * i + k);
    const { ids, logProbs } = t.sampleTokens(scores, keys, { temperature: 0.9 });
    await note("samples", ids);
    await note("samples", logProbs);
    const chosen = await ids.data();
    for (const used of [scores, ids, logProbs]) used.dispose();
    scores = session.append([...chosen].map((id, row) => ({ row, ids: [id] })));
  }
  await note("samples", scores);
  session.dispose();
  optimizer.dispose();
  for (const used of [scores, ...Object.values(initial)]) used.dispose();
  return Object.fromEntries(Object.entries(hashes).map(([kind, hash]) => [kind, hash.digest("hex")]));
}

const device = await t.createDevice({ device: process.argv[2] === "cpu" ? "cpu" : "webgpu" });
const cold = await run(device, [9, 5, 12]);
const other = await run(device, [4, 17]);
const kept = t.randomNormal(t.key(3), [1234], { device }); // takes a buffer that the first run had
const warm = await run(device, [9, 5, 12]);
kept.dispose();
console.log(JSON.stringify({ cold, other, warm }));
