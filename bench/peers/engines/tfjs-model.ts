/**
 * The GPT of W3 to W5 in TensorFlow.js, written as its users write it: eager operations inside `tf.tidy`, gradients of
 * `tf.variableGrads`, AdamW by hand because its optimisers have no decoupled decay.
 */
import * as tf from "@tensorflow/tfjs";
import { adamW, gpt, learningRate } from "../../workloads/model.ts";

export type Weights = Record<string, tf.Variable>;

const { numHeads: heads, headSize, hiddenSize: width, numLayers: layers, vocabSize } = gpt();
const epsilon = 1e-5;

function norm(x: tf.Tensor2D, p: Weights, name: string): tf.Tensor2D {
  const { mean, variance } = tf.moments(x, -1, true);
  const scaled = x.sub(mean).mul(variance.add(epsilon).rsqrt());
  return scaled.mul(p[`${name}.weight`]).add(p[`${name}.bias`]);
}

function linear(x: tf.Tensor2D, p: Weights, name: string): tf.Tensor2D {
  return tf.matMul(x, p[`${name}.weight`] as tf.Tensor2D, false, true).add(p[`${name}.bias`]);
}

function gelu(x: tf.Tensor2D): tf.Tensor2D {
  const inner = x.add(x.mul(x).mul(x).mul(0.044715)).mul(Math.sqrt(2 / Math.PI));
  return x.mul(0.5).mul(inner.tanh().add(1));
}

/** Keys and values of one layer, each [B, H, S, D]. */
export interface Cache {
  readonly keys: tf.Tensor4D;
  readonly values: tf.Tensor4D;
}

/**
 * Logits [B·T, V] of ids [B·T] in `rows` rows.
 *
 * @param from position of the first token of every row
 * @param mask [T, S], added to the scores; undefined where everything is seen
 * @param cached what becomes of a layer's new keys and values [B, H, T, D]: what the queries see
 */
export function logits(
  p: Weights,
  ids: tf.Tensor1D,
  { rows, from }: { readonly rows: number; readonly from: number },
  mask: tf.Tensor | undefined,
  cached: (layer: number, fresh: Cache) => Cache = (_, fresh) => fresh,
): tf.Tensor2D {
  const length = ids.size / rows;
  const tokens = tf.gather(p["wte.weight"], ids).reshape([rows, length, width]);
  const places = p["wpe.weight"].slice([from, 0], [length, width]);
  let x = tokens.add(places).reshape([rows * length, width]) as tf.Tensor2D;
  for (let layer = 0; layer < layers; layer++) {
    const at = `h.${layer}`;
    const projected = linear(norm(x, p, `${at}.ln_1`), p, `${at}.attn.qkv_proj`);
    const split = (y: tf.Tensor) =>
      y.reshape([rows, length, heads, headSize]).transpose([0, 2, 1, 3]) as tf.Tensor4D;
    const [query, newKeys, newValues] = tf.split(projected, 3, 1).map(split);
    const { keys, values } = cached(layer, { keys: newKeys, values: newValues });
    const scores = tf.matMul(query, keys, false, true).mul(1 / Math.sqrt(headSize));
    const weights = tf.softmax(mask ? scores.add(mask) : scores);
    const mixed = tf
      .matMul(weights, values)
      .transpose([0, 2, 1, 3])
      .reshape([rows * length, width]);
    x = x.add(linear(mixed as tf.Tensor2D, p, `${at}.attn.o_proj`));
    const inner = linear(norm(x, p, `${at}.ln_2`), p, `${at}.mlp.fc_in`);
    x = x.add(linear(gelu(inner), p, `${at}.mlp.fc_out`));
  }
  return tf.matMul(norm(x, p, "ln_f"), p["lm_head.weight"] as tf.Tensor2D, false, true);
}

/** 0 where query t sees key s ≤ t, else −10⁹: [T, T]. */
export function causalMask(length: number): tf.Tensor {
  const values = Float32Array.from({ length: length * length }, (_, i) =>
    i % length <= Math.floor(i / length) ? 0 : -1e9,
  );
  return tf.tensor2d(values, [length, length]);
}

/** What the loss is computed from: ids, targets and weights [B·T], the mask [T, T]. */
export interface TrainingBatch {
  readonly ids: tf.Tensor1D;
  readonly targets: tf.Tensor1D;
  readonly weights: tf.Tensor1D;
  readonly mask: tf.Tensor;
  readonly rows: number;
}

/** −mean log p(target) over the tokens that have a target. */
function loss(p: Weights, { ids, targets, weights, mask, rows }: TrainingBatch): tf.Scalar {
  const scores = tf.logSoftmax(logits(p, ids, { rows, from: 0 }, mask));
  const chosen = scores.mul(tf.oneHot(targets, vocabSize)).sum(-1);
  return chosen.mul(weights).sum().mul(-1);
}

/** What a step changes. */
export interface TrainingState {
  readonly params: Weights;
  readonly m: Weights;
  readonly v: Weights;
}

/** AdamW step number `steps`, in place; the loss is the caller's to dispose. */
export function trainingStep(
  { params, m, v }: TrainingState,
  batch: TrainingBatch,
  steps: number,
): tf.Scalar {
  return tf.tidy(() => {
    const { value, grads } = tf.variableGrads(() => loss(params, batch), Object.values(params));
    const { beta1, beta2, eps } = adamW;
    for (const [name, weight] of Object.entries(params)) {
      const grad = grads[weight.name];
      m[name].assign(m[name].mul(beta1).add(grad.mul(1 - beta1)));
      v[name].assign(v[name].mul(beta2).add(grad.square().mul(1 - beta2)));
      const root = v[name]
        .div(1 - beta2 ** steps)
        .sqrt()
        .add(eps);
      const update = m[name].div(1 - beta1 ** steps).div(root);
      const decay = weight.rank >= 2 ? learningRate * adamW.weightDecay : 0;
      weight.assign(weight.mul(1 - decay).sub(update.mul(learningRate)));
    }
    return value;
  });
}
