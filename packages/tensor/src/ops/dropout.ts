/**
 * Dropout (Srivastava et al., JMLR 2014), in its scaled form: the expected output is the input, so evaluation needs none.
 */
import { requireTensors } from "../arguments.ts";
import { ValueError } from "../errors.ts";
import { scope } from "../scope.ts";
import type { Tensor } from "../tensor.ts";
import { mul } from "./arithmetic.ts";
import { greaterEqual, where } from "./logic.ts";
import { type Key, randomBits, requireKey } from "./random.ts";
import { requireFloat } from "./softmax.ts";

/**
 * y = x·m/(1 − rate) with m = 0 for a share `rate` of the elements, else 1: [...] → [...].
 * Element i is kept if randomBits(k)[i] ≥ rate·2³², so the mask is the same on every device; the gradient passes the
 * same mask. Take a new key for each call (`foldIn`); rate 0 returns `x` itself.
 *
 * @throws ValueError unless 0 ≤ rate < 1, DTypeError for integers.
 * @example
 * ```ts
 * const y = dropout(ones([1000]), 0.5, key(1));
 * await max(y).item(); // → 2
 * await min(y).item(); // → 0
 * ```
 */
export function dropout(x: Tensor, rate: number, k: Key): Tensor {
  requireTensors("dropout", ["x"], [x]);
  requireFloat("dropout", x);
  requireKey("dropout", k);
  if (!(rate >= 0 && rate < 1)) {
    throw new ValueError(
      `dropout: rate is ${rate}, expected a number of at least 0 and below 1. To drop everything use mul(x, 0).`,
    );
  }
  if (rate === 0) return x;
  return scope(() => {
    const bits = randomBits(k, x.shape, { device: x.device });
    const kept = greaterEqual(bits, Math.floor(rate * 2 ** 32));
    return where(kept, mul(x, 1 / (1 - rate)), 0);
  });
}
