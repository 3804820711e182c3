/**
 * The GPT of W3 to W5 in jax-js, written as its users write it: pure functions under `jit`, gradients of `valueAndGrad`,
 * AdamW per weight inside the same `jit`. In jax-js a function consumes its arguments: `.ref` keeps one for another use.
 */
import { type Array as Jax, nn, numpy as np, valueAndGrad } from "@jax-js/jax";
import { adamW, gpt, learningRate } from "../../workloads/model.ts";

export type Weights = Record<string, Jax>;

const { numHeads: heads, headSize, hiddenSize: width, numLayers: layers, layerNormEps } = model();

function model() {
  const { numHeads, headSize, hiddenSize, numLayers } = gpt();
  return { numHeads, headSize, hiddenSize, numLayers, layerNormEps: 1e-5 };
}

function norm(x: Jax, p: Weights, name: string): Jax {
  return nn
    .standardize(x, -1, { epsilon: layerNormEps })
    .mul(p[`${name}.weight`].ref)
    .add(p[`${name}.bias`].ref);
}

function linear(x: Jax, p: Weights, name: string): Jax {
  return np.matmul(x, p[`${name}.weight`].ref.transpose()).add(p[`${name}.bias`].ref);
}

/** Keys and values of one layer, each [B, H, S, D]. */
export interface Cache {
  readonly keys: Jax;
  readonly values: Jax;
}

/** How B·T tokens lie, and which rows [T, D] of the position table they have. */
export interface Layout {
  readonly rows: number;
  readonly length: number;
  places(table: Jax): Jax;
}

/**
 * Logits [B·T, V] of ids [B·T].
 *
 * @param mask [T, S], true where a query sees a key
 * @param cached what becomes of a layer's new keys and values [B, H, T, D]: what the queries see
 */
export function logits(
  p: Weights,
  ids: Jax,
  { rows, length, places }: Layout,
  mask: Jax,
  cached: (layer: number, fresh: Cache) => Cache = (_, fresh) => fresh,
): Jax {
  // Its gather has no derivative under jit ("scatter input is not imm").
  const chosen = nn.oneHot(ids, gpt().vocabSize);
  const tokens = np.matmul(chosen, p["wte.weight"].ref).reshape([rows, length, width]);
  let x = tokens.add(places(p["wpe.weight"].ref)).reshape([rows * length, width]);
  for (let layer = 0; layer < layers; layer++) {
    const at = `h.${layer}`;
    const projected = linear(norm(x.ref, p, `${at}.ln_1`), p, `${at}.attn.qkv_proj`);
    const parts = projected.reshape([rows, length, 3, heads, headSize]).transpose([2, 0, 3, 1, 4]); // [3, B, H, T, D]
    const [query, newKeys] = [parts.ref.slice(0), parts.ref.slice(1)];
    const { keys, values } = cached(layer, { keys: newKeys, values: parts.slice(2) });
    const scores = np.matmul(query, keys.transpose([0, 1, 3, 2])).mul(1 / Math.sqrt(headSize));
    const weights = nn.softmax(np.where(mask.ref, scores, -1e9), -1);
    const mixed = np
      .matmul(weights, values)
      .transpose([0, 2, 1, 3])
      .reshape([rows * length, width]);
    x = x.add(linear(mixed, p, `${at}.attn.o_proj`));
    const inner = linear(norm(x.ref, p, `${at}.ln_2`), p, `${at}.mlp.fc_in`);
    x = x.add(linear(nn.gelu(inner, { approximate: true }), p, `${at}.mlp.fc_out`));
  }
  mask.dispose();
  return np.matmul(norm(x, p, "ln_f"), p["lm_head.weight"].ref.transpose());
}

/** Consumes what a function was given and has only used by `.ref`. */
export function consumed(p: Weights): void {
  for (const weight of Object.values(p)) weight.dispose();
}

/** −mean log p(target) over the tokens that have a target: ids, targets and weights [B·T]. */
function loss(p: Weights, ids: Jax, targets: Jax, weights: Jax): Jax {
  const rows = 8;
  const length = ids.size / rows;
  const places = np.arange(length);
  const mask = np.greaterEqual(places.ref.reshape([length, 1]), places.reshape([1, length]));
  const layout = { rows, length, places: (table: Jax) => table.slice([0, length]) };
  const scores = nn.logSoftmax(logits(p, ids, layout, mask), -1);
  consumed(p);
  const chosen = scores.mul(nn.oneHot(targets, gpt().vocabSize)).sum(-1);
  return chosen.mul(weights).sum().mul(-1);
}

/** What a step changes. */
export type TrainingState = { params: Weights; m: Weights; v: Weights };

/** One AdamW step; `first` is 1/(1 − β₁ᵗ), `second` 1/(1 − β₂ᵗ). */
export function trainingStep(
  { params, m, v }: TrainingState,
  ids: Jax,
  targets: Jax,
  weights: Jax,
  first: Jax,
  second: Jax,
): { loss: Jax; state: TrainingState } {
  const kept = Object.fromEntries(Object.entries(params).map(([name, weight]) => [name, weight.ref]));
  const [value, grads] = valueAndGrad(loss)(kept, ids, targets, weights) as [Jax, Weights];
  const state: TrainingState = { params: {}, m: {}, v: {} };
  const { beta1, beta2, eps, weightDecay } = adamW;
  for (const [name, weight] of Object.entries(params)) {
    const grad = grads[name];
    const m1 = m[name].mul(beta1).add(grad.ref.mul(1 - beta1));
    const v1 = v[name].mul(beta2).add(grad.ref.mul(grad).mul(1 - beta2));
    const update = m1.ref.mul(first.ref).div(np.sqrt(v1.ref.mul(second.ref)).add(eps));
    const decay = weight.ndim >= 2 ? learningRate * weightDecay : 0;
    state.params[name] = weight.mul(1 - decay).sub(update.mul(learningRate));
    [state.m[name], state.v[name]] = [m1, v1];
  }
  first.dispose();
  second.dispose();
  return { loss: value, state };
}
