/**
 * Checks a gradient against central differences in f64 on the cpu device.
 */

import { describe, requireOptions } from "./arguments.ts";
import { valueAndGrad } from "./autodiff.ts";
import { tensor } from "./create.ts";
import { ValueError } from "./errors.ts";
import { createDevice } from "./init.ts";
import { Tensor } from "./tensor.ts";

/**
 * Settings of `gradcheck`.
 * @example
 * ```ts
 * const options: GradcheckOptions = { tolerance: 1e-4 };
 * const worst = await gradcheck(([x]) => sum(exp(x)), [{ shape: [1], data: [0.5] }], options);
 * worst < 1e-4; // → true
 * ```
 */
export interface GradcheckOptions {
  /** Half the distance between the two evaluations; default 1e-6. */
  step?: number;
  /** Largest allowed |analytic − numeric| / max(1, |numeric|); default 1e-6. */
  tolerance?: number;
}

/**
 * Compares the gradient of `f` with central differences (f(x + h) − f(x − h))/2h in f64, element by element, at the
 * given points (arrays with shapes). Resolves with the largest error |analytic − numeric| / max(1, |numeric|). Stay away
 * from kinks (relu at 0): there the difference is between the slopes.
 *
 * @throws ValueError naming the first element whose derivative disagrees, or for points that are tensors.
 * @example
 * ```ts
 * const worst = await gradcheck(([x]) => sum(tanh(x)), [{ shape: [2, 2], data: [0.1, 0.2, -1, 2] }]);
 * worst < 1e-6; // → true
 * await gradcheck(([x]) => sum(stopGradient(x)), [{ shape: [1], data: [1] }]); // → throws ValueError
 * ```
 */
export async function gradcheck(
  f: (params: Tensor[]) => Tensor,
  points: readonly { shape: readonly number[]; data: ArrayLike<number> }[],
  options: GradcheckOptions = {},
): Promise<number> {
  requireOptions("gradcheck", options, ["step", "tolerance"]);
  const { step = 1e-6, tolerance = 1e-6 } = options;
  requirePoints(points);
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
          `gradcheck: parameter ${k}, element ${i}: the derivative is ${analytic[i]}, central differences give ${numeric} ` +
            `(error ${error}, expected at most ${tolerance}). Correct the vjp, or move the point off a kink: gradcheck(f, otherPoints).`,
        );
      }
    }
  }
  return worst;
}

/** Points are numbers on the host: a tensor's `data` would have to be awaited first. */
function requirePoints(points: unknown): void {
  const list: readonly unknown[] = Array.isArray(points) ? points : [points];
  const wrong = list.find(
    (p) => typeof p !== "object" || p === null || p instanceof Tensor || !("data" in p),
  );
  if (wrong === undefined && Array.isArray(points)) return;
  throw new ValueError(
    `gradcheck: points hold ${describe(wrong ?? points)}, expected an array of { shape, data }. ` +
      "Read a tensor first: [{ shape: x.shape, data: await x.data() }].",
  );
}
