/**
 * Model folders (gpt/, qwen3/): weights, logits, gradients, AdamW trajectories, greedy decoding, packed and tree batches,
 * through the public API of @pact/nn. Tolerances from test/golden/README.md: float64 1e-9 · max(1, |ref|); in float32
 * logits 5e-5 and loss 5e-6, each · max(1, |ref|), gradients 2e-5 of their tensor's largest entry. Float32 rounds in
 * proportion, so a model with larger logits or gradients of gradients near 0 is measured by its own scale.
 */
import { access, readFile } from "node:fs/promises";
import { join } from "node:path";
import {
  ConfigError,
  concatPacked,
  configFromJson,
  DecodeSession,
  forwardHidden,
  logits,
  type Packed,
  type Params,
  packSequences,
  packTree,
  paramsFromSafetensors,
  readSafetensors,
  tokenLogProbs,
} from "@pact/nn";
import { mul, neg, reshape, sampleTokens, scope, sum, type Tensor, tensor, valueAndGrad } from "@pact/tensor";
import { type Context, compare, type Outcome, readJson, relative, runCase, Unsupported } from "./format.ts";
import { batchLoss, type GoldenModel, type Reference } from "./reference.ts";
import { checkTrajectories } from "./trajectory.ts";

type Check = (model: GoldenModel, folder: string) => Promise<string[]>;

const checks: readonly [
  name: string,
  has: (reference: Reference, arrays: Set<string>) => boolean,
  check: Check,
][] = [
  ["logits", (_, arrays) => arrays.has("logits"), checkLogits],
  ["loss", (reference) => reference.loss !== undefined, checkLoss],
  ["gradients", (_, arrays) => arrays.has("grad"), checkGradients],
  ["trajectory", (reference) => reference.trajectory !== undefined, checkTrajectories],
  ["greedy", (reference) => reference.greedy !== undefined, checkGreedy],
  ["packed", (reference) => reference.packed !== undefined, checkPacked],
  ["tree", (reference) => reference.tree !== undefined, checkTree],
  ["bf16", (_, arrays) => arrays.has("logits_bf16_weights"), checkBf16],
];

/** Checks one model folder: a count for each section that its reference has. */
export async function checkModel(context: Context, folder: string, name: string): Promise<Outcome[]> {
  const path = join(folder, name);
  const reference = await readJson<Reference>(path, "reference.json");
  const arrays = readSafetensors(await readFile(join(path, "reference.safetensors")));
  const sections = new Set([...arrays.keys()].map((key) => (key.startsWith("grad.") ? "grad" : key)));
  const outcomes: Outcome[] = [];
  for (const [section, has, check] of checks) {
    if (!has(reference, sections)) continue;
    outcomes.push(
      await runCase(`${name}/${section}`, async () => {
        const weights = (await exists(join(path, "f32"))) ? join(path, "f32") : path;
        const { config, params } = await loadWeights(context, weights);
        return check({ context, config, params, reference, arrays }, path);
      }),
    );
  }
  return outcomes;
}

async function loadWeights({ dtype, device }: Context, path: string) {
  const json = await readJson<unknown>(path, "config.json");
  try {
    const config = configFromJson(json);
    const bytes = await readFile(join(path, "model.safetensors"));
    return { config, params: paramsFromSafetensors(config, bytes, { dtype, device }) };
  } catch (error) {
    if (error instanceof ConfigError) throw new Unsupported(error.message);
    throw error;
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** Bounds of one quantity, · max(1, |reference|): 1e-9 in f64, the file's suggestion in f32. */
function bounds(context: Context, float32: number): (reference: number) => number {
  return relative(context.dtype === "f64" ? 1e-9 : float32);
}

function entry(model: GoldenModel, name: string): Float64Array {
  const found = model.arrays.get(name);
  if (found?.data instanceof Float64Array) return found.data;
  throw new Error(`reference.safetensors has no float64 "${name}"`);
}

/** Logits of every packed token, read back. */
async function allLogits({ config, params }: Pick<GoldenModel, "config" | "params">, packed: Packed) {
  const scores = scope(() => logits(config, params, forwardHidden(config, params, packed)));
  return scores.data();
}

async function checkLogits(model: GoldenModel): Promise<string[]> {
  const packed = packSequences(model.reference.inputIds);
  const hidden = forwardHidden(model.config, model.params, packed);
  const bound = bounds(model.context, 5e-5);
  return [
    ...compare("final_norm", await hidden.data(), entry(model, "final_norm"), bound),
    ...compare("logits", await allLogits(model, packed), entry(model, "logits"), bound),
  ];
}

async function checkLoss(model: GoldenModel): Promise<string[]> {
  const loss = scope(() => batchLoss(model.config, model.params, model.reference.inputIds));
  return compare("loss", [await loss.item()], [model.reference.loss], bounds(model.context, 5e-6));
}

async function checkGradients(model: GoldenModel): Promise<string[]> {
  const { grads } = valueAndGrad((params: Params) =>
    batchLoss(model.config, params, model.reference.inputIds),
  )(model.params);
  return compareGradients(model, "grad.", grads);
}

async function compareGradients(model: GoldenModel, prefix: string, grads: Params): Promise<string[]> {
  const problems: string[] = [];
  const largestOf = (name: string) =>
    entry(model, prefix + name).reduce((largest, x) => Math.max(largest, Math.abs(x)), 0);
  const largestOfAll = Math.max(...Object.keys(grads).map(largestOf));
  for (const [name, gradient] of Object.entries(grads)) {
    // The gradient of a key bias is exactly 0 (softmax ignores a constant shift): its rounding noise has no scale of
    // its own, so the key weight's is used. Others that cancel to 0 (attention to a single key) are held to what
    // float32 leaves of the largest gradient, 2⁻²⁰ of it.
    const scale = largestOf(name.endsWith("k_proj.bias") ? name.replace(/bias$/, "weight") : name);
    const noise = Math.max(2e-5 * scale, 2 ** -20 * largestOfAll);
    const bound = model.context.dtype === "f64" ? relative(1e-9) : () => noise;
    problems.push(...compare(prefix + name, await gradient.data(), entry(model, prefix + name), bound));
  }
  return problems;
}

async function checkGreedy({ config, params, reference }: GoldenModel): Promise<string[]> {
  const { prompt, tokens } = reference.greedy!;
  using session = new DecodeSession(config, params, {
    prompts: [prompt],
    rows: [{ prompt: 0, capacity: tokens.length - 1 }], // the last token is not fed back: it may have no position
  });
  const decoded: number[] = [];
  for (const _ of tokens) {
    const ids = decoded.slice(-1);
    const scores = ids.length === 0 ? session.prefill() : session.append([{ row: 0, ids }]);
    const greedy = sampleTokens(scores, new Uint32Array(2), { temperature: 0 });
    decoded.push((await greedy.ids.data())[0]);
  }
  return compare("token", decoded, tokens, () => 0);
}

/** The tokens of one segment, and where they stand among all tokens of the rows. */
type Segment = { readonly ids: number[]; readonly places: number[] };

/** Splits each row into its segments, in the order in which they begin; a segment's tokens need not be adjacent. */
function segmentsOf({ inputIds, segments }: { inputIds: number[][]; segments: number[][] }): Segment[][] {
  let place = 0;
  return inputIds.map((row, r) => {
    const parts = new Map<number, Segment>();
    row.forEach((id, i) => {
      const part = parts.get(segments[r][i]) ?? { ids: [], places: [] };
      parts.set(segments[r][i], part);
      part.ids.push(id);
      part.places.push(place++);
    });
    return [...parts.values()];
  });
}

/** Compares the logits of packed tokens with the reference's, which lie in the order of the files' rows. */
async function compareLogits(model: GoldenModel, name: string, packed: Packed, parts: Segment[]) {
  const expected = entry(model, name);
  const width = model.config.vocabSize;
  const order = parts.flatMap(({ places }) => places);
  if (expected.length !== order.length * width)
    return [`${name}: expected ${expected.length} values, the segments have ${order.length} tokens`];
  const sorted = order.map((place) => expected.subarray(place * width, (place + 1) * width));
  return compare(
    name,
    await allLogits(model, packed),
    Float64Array.from(sorted.flatMap((row) => [...row])),
    bounds(model.context, 5e-5),
  );
}

async function checkPacked(model: GoldenModel): Promise<string[]> {
  const parts = segmentsOf(model.reference.packed!).flat();
  return compareLogits(model, "packed.logits", packSequences(parts.map(({ ids }) => ids)), parts);
}

async function checkTree(model: GoldenModel): Promise<string[]> {
  const tree = model.reference.tree!;
  const rows = segmentsOf(tree);
  const packed = concatPacked(
    rows.map(([prefix, ...branches]) =>
      packTree({ prefix: prefix.ids, branches: branches.map((b) => b.ids) }),
    ),
  );
  // The rows of branch tokens: everything but the prefixes.
  const branchRow = rows.flatMap((parts) => parts.flatMap(({ ids }, k) => ids.map(() => k > 0)));
  const targets = Int32Array.from(branchRow.flatMap((inBranch, i) => (inBranch ? [i] : [])));
  const { dtype, device } = model.context;
  const weights = tensor(Float64Array.from(tree.weights.flat()), { dtype, device });
  const objective = valueAndGrad(
    (params: Params): readonly [Tensor, Tensor] => {
      const logProbs = tokenLogProbs(model.config, params, packed, targets);
      return [neg(sum(mul(weights, logProbs))), reshape(logProbs, [targets.length])];
    },
    { aux: true },
  );
  const { value, aux, grads } = objective(model.params);
  return [
    ...(await compareLogits(model, "tree.logits", packed, rows.flat())),
    ...compare("tree.logProbs", await aux.data(), tree.logProbs.flat(), bounds(model.context, 5e-5)),
    ...compare("tree.loss", [await value.item()], [tree.loss], bounds(model.context, 5e-5)),
    ...(await compareGradients(model, "tree.grad.", grads)),
  ];
}

async function checkBf16(model: GoldenModel, path: string): Promise<string[]> {
  const weights = await loadWeights(model.context, join(path, "bf16"));
  const packed = packSequences(model.reference.inputIds);
  const problems = compare(
    "logits_bf16_weights",
    await allLogits(weights, packed),
    entry(model, "logits_bf16_weights"),
    bounds(model.context, 5e-5),
  );
  const expected = model.reference.lossBf16Weights;
  if (expected === undefined) return problems;
  const loss = scope(() => batchLoss(weights.config, weights.params, model.reference.inputIds));
  return [
    ...problems,
    ...compare("lossBf16Weights", [await loss.item()], [expected], bounds(model.context, 5e-6)),
  ];
}
