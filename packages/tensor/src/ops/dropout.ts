/**
 * Dropout (Srivastava et al., JMLR 2014), in its scaled form: the expected output is the input, so evaluation needs none.
 */
import { requireTensors } from "../arguments.ts";
import { DTypeError, ShapeError, ValueError } from "../errors.ts";
import { scope } from "../scope.ts";
import { formatSpec, sameShape } from "../shape.ts";
import { Tensor } from "../tensor.ts";
import { mul } from "./arithmetic.ts";
import { greaterEqual, where } from "./logic.ts";
import { type Key, randomBits, refuseReplay, requireKey } from "./random.ts";
import { requireFloat } from "./softmax.ts";

/**
 * y = x·m/(1 − rate) with m = 0 for a share `rate` of the elements, else 1: [...] → [...].
 * Element i is kept if randomBits(k)[i] ≥ rate·2³², so the mask is the same on every device; the gradient passes the
 * same mask. Take a new key for each call (`foldIn`); rate 0 returns `x` itself. In place of the key may stand the words
 * themselves, u32 in the shape of x: so captured steps (`capture`) take new ones as an input each time.
 *
 * @throws ValueError unless 0 ≤ rate < 1; DTypeError for integers, or words that are no u32; ShapeError for words of another
 *   shape; CaptureError for a key inside a capture.
 * @example
 * ```ts
 * const y = dropout(ones([1000]), 0.5, key(1));
 * await max(y).item(); // → 2
 * await min(y).item(); // → 0
 * const step = capture((x: Tensor, words: Tensor) => sum(dropout(x, 0.5, words)));
 * await step(ones([1000]), randomBits(key(1), [1000])).item() === (await sum(y).item()); // → true
 * ```
 */
export function dropout(x: Tensor, rate: number, k: Key | Tensor): Tensor {
  requireTensors("dropout", ["x"], [x]);
  requireFloat("dropout", x);
  if (k instanceof Tensor) requireWords(x, k);
  else requireKey("dropout", k);
  if (!(rate >= 0 && rate < 1)) {
    throw new ValueError(
      `dropout: rate is ${rate}, expected a number of at least 0 and below 1. To drop everything use mul(x, 0).`,
    );
  }
  if (rate === 0) return x;
  if (!(k instanceof Tensor)) refuseReplay("dropout", ", dropout(x, rate, words)");
  return scope(() => {
    const bits = k instanceof Tensor ? k : randomBits(k, x.shape, { device: x.device });
    const kept = greaterEqual(bits, Math.floor(rate * 2 ** 32));
    return where(kept, mul(x, 1 / (1 - rate)), 0);
  });
}

/** Checks that there is a word for each element. */
function requireWords(x: Tensor, words: Tensor): void {
  requireTensors("dropout", ["x", "k"], [x, words]);
  const fix = "Draw them: randomBits(key(5), x.shape).";
  if (words.dtype !== "u32")
    throw new DTypeError(`dropout: k is ${formatSpec(words)}, expected a key or words in u32. ${fix}`);
  if (!sameShape(words.shape, x.shape))
    throw new ShapeError(
      `dropout: k is ${formatSpec(words)}, x is ${formatSpec(x)}; expected a word for each element. ${fix}`,
    );
}
