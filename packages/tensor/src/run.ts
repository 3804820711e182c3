/**
 * Runs one record on a device, in the dtypes that it is given: makes its outputs, lays out its inputs, tells those who
 * watch and record. Leaves out f16 for records that do not take it (op.ts).
 */
import type { Device } from "./device.ts";
import type { Op } from "./op.ts";
import { copyInto } from "./ops/copy.ts";
import { recordAll } from "./recording.ts";
import { sizeOf } from "./shape.ts";
import { Tensor } from "./tensor.ts";
import { watched, watchers } from "./watch.ts";

/** A contiguous tensor with the same elements: itself, or a copy that no gradient records. */
function packed(op: string, x: Tensor): Tensor {
  if (x.contiguous) return x;
  const copy = x.device.empty(x.shape, x.dtype, op);
  copyInto(x, copy);
  return copy;
}

/** The outputs of `op` for `inputs`, which are alive and on `device`. */
export function run<A>(device: Device, op: Op<A>, inputs: readonly Tensor[], attrs: A): Tensor[] {
  const check = watchers.size > 0 ? watched(op.name, inputs, attrs) : undefined;
  let outputs: Tensor[];
  if (op.view) {
    op.infer(inputs, attrs);
    const { shape, strides, offset } = op.view(inputs[0], attrs);
    outputs = [new Tensor(inputs[0].storage, shape, strides, offset)];
  } else {
    const specs = op.infer(inputs, attrs);
    outputs = [];
    const ready: Tensor[] = [];
    try {
      for (const s of specs) outputs.push(device.empty(s.shape, s.dtype, op.name));
      if (outputs.some((o) => sizeOf(o.shape) > 0)) {
        for (const x of inputs) ready.push(op.strided || op.assemble ? x : packed(op.name, x));
        if (op.assemble) op.assemble(ready, outputs[0], attrs);
        else device.runner.run(op, ready, outputs, attrs);
      }
    } catch (error) {
      for (const o of outputs) o.dispose();
      throw error;
    } finally {
      ready.forEach((t, i) => {
        if (t !== inputs[i]) t.dispose();
      });
    }
  }
  check?.(outputs);
  recordAll(op, inputs, outputs, attrs);
  return outputs;
}
