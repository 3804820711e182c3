/** W5 in TensorFlow.js: eager, with keys and values that grow by one place a token; the tokens are read at the end. */
import * as tf from "@tensorflow/tfjs";
import { decoding } from "../../workloads/model.ts";
import { type Cache, causalMask, logits, type Weights } from "./tfjs-model.ts";

/** Greedy continuations of the prompts, row by row. */
export async function decode(params: Weights): Promise<number[]> {
  const { prompts, newTokens } = decoding;
  const [rows, length] = [prompts.length, prompts[0].length];
  let caches: Cache[] = [];
  const made: tf.Tensor1D[] = [];
  /** Runs the model on new tokens and returns the likeliest next one of each row. */
  const advance = (ids: tf.Tensor1D, from: number): tf.Tensor1D => {
    const previous = caches;
    const { next, kept } = tf.tidy(() => {
      const kept: Cache[] = [];
      const cached = (layer: number, { keys, values }: Cache): Cache => {
        const before = previous[layer];
        kept[layer] = before
          ? { keys: tf.concat([before.keys, keys], 2), values: tf.concat([before.values, values], 2) }
          : { keys, values };
        return kept[layer];
      };
      const count = ids.size / rows;
      const mask = count > 1 ? causalMask(count) : undefined;
      const scores = logits(params, ids, { rows, from }, mask, cached);
      const last = scores.reshape([rows, count, -1]).slice([0, count - 1], [rows, 1]);
      const next = tf.argMax(last, -1).reshape([rows]) as tf.Tensor1D;
      return {
        next,
        kept: kept.map(({ keys, values }) => ({ keys: tf.keep(keys), values: tf.keep(values) })),
      };
    });
    tf.dispose(previous.flatMap(({ keys, values }) => [keys, values]));
    caches = kept;
    made.push(next);
    return next;
  };
  const first = tf.tensor1d(Int32Array.from(prompts.flat()), "int32");
  let next = advance(first, 0);
  for (let token = 1; token < newTokens; token++) next = advance(next, length + token - 1);
  const table = tf.stack(made, 1); // [rows, newTokens]
  const tokens = Array.from(await table.data());
  tf.dispose([first, table, ...made, ...caches.flatMap(({ keys, values }) => [keys, values])]);
  return tokens;
}
