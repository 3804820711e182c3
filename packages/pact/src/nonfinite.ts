/**
 * A loss or gradient that left the floats: which operation made the first NaN or infinity of it.
 *
 * The forward and backward are run once more under tensor's `debug.checkFinite`, which costs a few times a step and
 * happens once in a run, at its end. The parameters must still be those that the gradient was taken at.
 */
import { debug, NonFiniteError as OperationError } from "@pact/tensor";
import { NonFiniteError } from "./errors.ts";
import { gradientNorm } from "./gradient-norms.ts";
import { type BatchGradient, disposeParams } from "./update.ts";

/**
 * The error that ends the run.
 *
 * @param step 0-based
 * @param name what is not finite: `loss` or `gradient norm`
 * @param again computes the same gradient once more
 * @example throw await nonFiniteError(step, "loss", loss, () => batchGradient(model, batches, options));
 */
export async function nonFiniteError(
  step: number,
  name: string,
  value: number,
  again: () => Promise<BatchGradient>,
): Promise<NonFiniteError> {
  return new NonFiniteError(
    `Training step ${step + 1}: the ${name} is ${value}. ${await origin(again)} ` +
      "Nothing of this step is saved. Start a new run from the last checkpoint with a lower learningRate or clipNorm.",
  );
}

async function origin(again: () => Promise<BatchGradient>): Promise<string> {
  try {
    const grads = await debug.checkFinite(async () => {
      const result = await again();
      // A sum of squares can overflow where no element does.
      await gradientNorm(result.grads);
      return result.grads;
    });
    disposeParams(grads);
  } catch (error) {
    if (error instanceof OperationError)
      return `Where it began: ${error.message.replace(/^checkFinite: /, "")}`;
    throw error;
  }
  return "A second computation was finite, so the device does not compute alike twice: run `pact doctor`.";
}
