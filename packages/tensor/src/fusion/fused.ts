/**
 * The record of fused steps: an expression (expression.ts) over tensors, as one operation. `fuse` puts it in place of the
 * steps that it does; it has no derivative, because what is fused was differentiated before.
 */
import type { Op } from "../op.ts";
import { columnsCall } from "./columns.ts";
import { type Expression, reduces } from "./expression.ts";
import { evaluate } from "./host.ts";
import { mapCall } from "./map-kernel.ts";
import { reduceCalls } from "./reduce-kernel.ts";

/** Outputs may be windows of larger memories: unlike other records, this one writes through offsets and strides. */
export const fusedOp: Op<Expression> = {
  name: "fused",
  strided: true,
  half: true,
  infer: (_inputs, { stores }) => stores.map(({ shape, dtype }) => ({ shape, dtype })),
  cpu: (inputs, outputs, expression) => evaluate(expression, inputs, outputs),
  webgpu(inputs, outputs, expression) {
    if (!reduces(expression)) return [mapCall(expression, inputs, outputs)];
    const columns = columnsCall(expression, inputs, outputs);
    return columns ? [columns] : reduceCalls(expression, inputs, outputs);
  },
};
