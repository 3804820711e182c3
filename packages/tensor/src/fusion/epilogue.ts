/**
 * A heavy kernel and what becomes of its result, as one operation: a matrix product with its bias, activation and residual,
 * a norm with a cast. Where the kernel hands its elements to `put` (kernel.ts), it goes on computing with each instead of
 * storing it; where it does not, the two run one after the other.
 */

import type { KernelCall } from "../backends/webgpu/kernel.ts";
import { type Step, stepOf, type Value } from "../capture/program.ts";
import { allocate, type DType, isFloat } from "../dtype.ts";
import type { Op } from "../op.ts";
import { matmulOp } from "../ops/matmul.ts";
import { normOp } from "../ops/norm.ts";
import { isContiguous, type Shape, sizeOf, stridesOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { fits } from "./build.ts";
import { type Expression, reduces } from "./expression.ts";
import { evaluate } from "./host.ts";
import { continued, mapCall } from "./map-kernel.ts";

/** An operation of one output, and the expression that reads it as input `given`. */
interface Epilogue {
  readonly op: Op<unknown>;
  readonly attrs: unknown;
  /** How many of the inputs are the operation's; the others are the expression's, without the given one. */
  readonly taken: number;
  readonly shape: Shape;
  readonly dtype: DType;
  readonly expression: Expression;
  readonly given: number;
}

/** The inputs of the operation, and those of the expression around the given one. */
function parted<T>(
  inputs: readonly T[],
  { taken, given }: Epilogue,
  result: T,
): [readonly T[], readonly T[]] {
  const others = inputs.slice(taken);
  return [inputs.slice(0, taken), [...others.slice(0, given), result, ...others.slice(given)]];
}

const epilogueOp: Op<Epilogue> = {
  name: "fusedEpilogue",
  strided: true,
  half: true,
  infer: (_inputs, { expression }) => expression.stores.map(({ shape, dtype }) => ({ shape, dtype })),
  cpu(inputs, outputs, epilogue) {
    const { op, attrs, shape, dtype, expression } = epilogue;
    const data = allocate(dtype, sizeOf(shape));
    const y = { data, shape, dtype, strides: stridesOf(shape), offset: 0 };
    const [own, others] = parted(inputs, epilogue, y);
    op.cpu?.(own, [y], attrs);
    evaluate(expression, others, outputs);
  },
  webgpu(inputs, outputs, epilogue) {
    const { op, attrs, shape, dtype, expression, given } = epilogue;
    const y = inputs[0].device.empty(shape, dtype, op.name);
    const [own, others] = parted(inputs, epilogue, y);
    const calls = op.webgpu?.(own, [y], attrs) ?? [];
    const last = calls[calls.length - 1];
    const whole = last.buffers[last.buffers.length - 1].storage === y.storage;
    const merged = whole && compiles(last, y) ? continued(last, expression, given, others, outputs) : null;
    y.dispose();
    return merged ? [...calls.slice(0, -1), merged] : [...calls, mapCall(expression, others, outputs)];
  },
};

/**
 * Software adapters compile what follows once for each place where the kernel hands an element over: 32 of a matrix product's
 * take 2 s.
 */
function compiles(call: KernelCall, { device }: Tensor): boolean {
  const software = ["lavapipe", "swiftshader"].includes(device.report.driver);
  return !software || call.source().main.split("put(").length <= 5;
}

/** The operations whose kernels may go on: they compute one output. */
const continues = new Set<unknown>([matmulOp, normOp]);

/** Storage buffers that one kernel may bind, and parameters that an expression may add to an operation's own. */
const [maxBuffers, maxParameters] = [8, 40];

/**
 * `first` and the fused step that reads its result as one; null where they can not be. `kept` tells that others read the
 * result too.
 */
export function withEpilogue(first: Step, fused: Step, kept: boolean): Step | null {
  const { op, inputs, outputs, attrs } = first;
  const expression = fused.attrs as Expression;
  const [y] = outputs;
  if (!continues.has(op) || !isFloat(y.dtype) || reduces(expression)) return null;
  const reads = expression.nodes.filter(
    (n) => n.kind === "load" && fused.inputs[n.input].memory === y.memory,
  );
  const [read] = reads;
  if (reads.length !== 1 || read.kind !== "load") return null;
  const given = read.input;
  const size = sizeOf(expression.shape);
  if (fused.inputs[given].offset !== y.offset || size !== sizeOf(y.shape)) return null;
  if (!isContiguous(expression.shape, read.strides)) return null;
  const node = expression.nodes.indexOf(read);
  const stores = [...expression.stores];
  const stored = [...fused.outputs];
  if (kept) {
    stores.push({ node, strides: stridesOf(expression.shape), shape: y.shape, dtype: y.dtype });
    stored.push(y);
  }
  const others = fused.inputs.filter((_, k) => k !== given);
  const memories = (values: readonly Value[]) => new Set(values.map((v) => v.memory));
  const writes = memories(stored);
  if (inputs.some((x) => writes.has(x.memory))) return null;
  if (inputs.length + memories([...others, ...stored]).size > maxBuffers) return null;
  const all = { ...expression, stores };
  if (!fits(all, fused.inputs, stored, maxParameters)) return null;
  return stepOf(epilogueOp, [...inputs, ...others], stored, {
    ...{ op, attrs, taken: inputs.length, shape: y.shape, dtype: y.dtype },
    expression: all,
    given,
  });
}
