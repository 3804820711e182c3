/**
 * Checks a gradient against central differences in f64 on the cpu device.
 */

import { valueAndGrad } from "./autodiff.ts";
import { tensor } from "./create.ts";
import { ValueError } from "./errors.ts";
import { createDevice } from "./init.ts";
import type { Tensor } from "./tensor.ts";

/** Settings of `gradcheck`. */
export interface GradcheckOptions {
  /** Half the distance between the two evaluations; default 1e-6. */
  step?: number;
  /** Largest allowed |analytic − numeric| / max(1, |numeric|); default 1e-6. */
  tolerance?: number;
}

/**
 * Compares the gradient of `f` with central differences (f(x + h) − f(x − h))/2h in f64, element by element, at the
 * given points (arrays with shapes). Resolves with the largest error; rejects with ValueError naming the first element
 * that disagrees.
 *
 * @example
 * ```ts
 * await gradcheck(([x]) => sum(tanh(x)), [{ shape: [2, 3], data: [0.1, 0.2, 0.3, -1, 2, 0.5] }]);
 * ```
 */
export async function gradcheck(
  f: (params: Tensor[]) => Tensor,
  points: readonly { shape: readonly number[]; data: ArrayLike<number> }[],
  options: GradcheckOptions = {},
): Promise<number> {
  const { step = 1e-6, tolerance = 1e-6 } = options;
  const device = await createDevice({ device: "cpu" });
  const make = (data: ArrayLike<number>, k: number) =>
    tensor(Float64Array.from(data), { shape: points[k].shape, device });
  const { grads } = valueAndGrad(f)(points.map((p, k) => make(p.data, k)));
  let worst = 0;
  for (let k = 0; k < points.length; k++) {
    const analytic = await grads[k].data();
    for (let i = 0; i < analytic.length; i++) {
      const at = async (sign: number) => {
        const values = points.map((p) => Float64Array.from(p.data));
        values[k][i] += sign * step;
        return f(values.map(make)).item();
      };
      const numeric = ((await at(1)) - (await at(-1))) / (2 * step);
      const error = Math.abs(analytic[i] - numeric) / Math.max(1, Math.abs(numeric));
      worst = Math.max(worst, error);
      if (!(error <= tolerance)) {
        throw new ValueError(
          `gradcheck: parameter ${k}, element ${i}: the derivative is ${analytic[i]}, central differences give ${numeric} (error ${error}, allowed ${tolerance}).`,
        );
      }
    }
  }
  return worst;
}
