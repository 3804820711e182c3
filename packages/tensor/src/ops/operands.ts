/**
 * Numbers beside tensors: operations of two operands take either, and a number becomes a scalar of the dtype and device
 * of the first tensor beside it.
 */
import { requireTensors } from "../arguments.ts";
import { requireFinite, requireHeld } from "../literals.ts";
import { apply } from "../op.ts";
import { scope } from "../scope.ts";
import { argumentNames } from "../shape.ts";
import { Tensor } from "../tensor.ts";
import type { ElementwiseOp, Operand } from "./elementwise.ts";

/** How numbers among the operands are checked. */
export interface LiftOptions {
  /** What messages call the operands; default `a`, `b`, …. */
  names?: readonly string[];
  /** True where a number is data that is stored as it is, so that NaN and infinities are welcome. */
  data?: boolean;
}

/**
 * The operands as tensors.
 *
 * @throws ValueError if none is a tensor, for a number that the dtype does not hold, and (unless it is data) for NaN or
 * an infinity.
 */
export function lift(op: string, operands: readonly Operand[], options: LiftOptions = {}): Tensor[] {
  const names = options.names ?? argumentNames(operands.length);
  const model = operands.find((o): o is Tensor => o instanceof Tensor);
  const device = model?.device ?? requireTensors(op, names, operands);
  const dtype = model?.dtype ?? "f32";
  return operands.map((o, i) => {
    if (typeof o !== "number") {
      requireTensors(op, [names[i]], [o]);
      return o;
    }
    if (!options.data) requireFinite(op, names[i], o);
    requireHeld(op, dtype, [o], () => names[i]);
    return device.scalar(o, dtype);
  });
}

/** Runs a record on operands that may be numbers. */
export function applyLifted(
  op: ElementwiseOp<null>,
  operands: readonly Operand[],
  options: LiftOptions & { name?: string } = {},
): Tensor {
  if (operands.every((o): o is Tensor => o instanceof Tensor)) return apply(op, operands, null);
  return scope(() => apply(op, lift(options.name ?? op.name, operands, options), null));
}
