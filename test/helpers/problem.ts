/**
 * A problem is one call of an operation on drawn inputs. The functions below compute it, or its gradient, on any device
 * in any layout; the property tests compare the results.
 */
import {
  add,
  type Device,
  type DType,
  grad,
  mul,
  narrowF16,
  scope,
  sum,
  type Tensor,
  type TypedArray,
  tensor,
  valueAndGrad,
  widenF16,
} from "@pact/tensor";
import type { Draw } from "./draw.ts";
import { holdable, type Layout, place } from "./layouts.ts";

/** An input: `float` becomes f32, f64 or f16 as the test asks. Only floats that are not `constant` are differentiated. */
export interface Operand {
  shape: readonly number[];
  values: Float64Array;
  dtype: "float" | "i32" | "u32" | "bool";
  layout: Layout;
  constant?: boolean;
}

export interface Problem {
  operands: Operand[];
  run(inputs: Tensor[]): Tensor;
}

/** An operation with a way to draw inputs for it. */
export interface OpCase {
  /** Unique, for test titles. */
  name: string;
  /** Row of the tolerance table; default the name. */
  tolerance?: string;
  /** True if the result is differentiable in its float inputs. */
  gradient: boolean;
  /** False if the derivative can not be seen in small differences. */
  differences?: boolean;
  draw(draw: Draw): Problem;
}

/** A float operand of random layout and values. */
export function floats(
  draw: Draw,
  shape: readonly number[],
  options: { low?: number; high?: number; kinks?: readonly number[]; layout?: Layout } = {},
): Operand {
  const {
    low = -2,
    high = 2,
    kinks,
    layout = draw.pick(["plain", "permuted", "sliced", "reversed"]),
  } = options;
  const count = shape.reduce((a, b) => a * b, 1);
  const values = holdable(draw.floats(count, low, high, kinks), shape, layout);
  return { shape, values, dtype: "float", layout };
}

/** An i32 operand with values in [low, high]. */
export function ints(draw: Draw, shape: readonly number[], low: number, high: number): Operand {
  const count = shape.reduce((a, b) => a * b, 1);
  const layout = draw.pick(["plain", "permuted", "sliced"] as const);
  return { shape, values: draw.ints(count, low, high), dtype: "i32", layout };
}

/** A bool operand. */
export function bools(draw: Draw, shape: readonly number[]): Operand {
  return { ...ints(draw, shape, 0, 1), dtype: "bool" };
}

/** Where to compute a problem. */
export interface Place {
  device: Device;
  /** Dtype of float operands. */
  dtype: "f32" | "f64" | "f16";
  /** Ignore the drawn layouts and store everything contiguously. */
  plain?: boolean;
}

export interface Result {
  shape: readonly number[];
  dtype: DType;
  data: TypedArray;
}

/** The inputs as tensors. */
export function inputsOf({ operands }: Problem, { device, dtype, plain }: Place): Tensor[] {
  return operands.map((o) =>
    place(o.values, o.shape, plain ? "plain" : o.layout, {
      device,
      dtype: o.dtype === "float" ? dtype : o.dtype,
    }),
  );
}

async function read(t: Tensor): Promise<Result> {
  const data = await t.data();
  t.dispose();
  return { shape: t.shape, dtype: t.dtype, data };
}

/** Computes the problem. */
export function evaluate(problem: Problem, where: Place): Promise<Result> {
  return read(scope(() => problem.run(inputsOf(problem, where))));
}

/** Fixed upstream gradients of varied size and sign, so that no two outputs are weighed alike by accident. */
export function upstream(count: number): Float64Array {
  return Float64Array.from({ length: count }, (_, i) => Math.fround((((i * 7) % 11) - 4.5) / 6));
}

/** Σ output·upstream: what the gradients below are gradients of. */
function weighed(y: Tensor): Tensor {
  return sum(mul(y, tensor(upstream(y.size), { shape: y.shape, dtype: y.dtype, device: y.device })));
}

export const isVariable = (o: Operand) => o.dtype === "float" && !o.constant;

/** The gradient of Σ output·upstream (or of another loss) with respect to each variable operand. */
export function gradients(
  problem: Problem,
  where: Place,
  loss: (problem: Problem) => (params: Tensor[]) => Tensor = lossOf,
): Promise<Result[]> {
  const grads = scope(() => {
    const variables = inputsOf(problem, where).filter((_, i) => isVariable(problem.operands[i]));
    return valueAndGrad(loss(problem))(variables).grads;
  });
  return Promise.all(grads.map(read));
}

/** The loss as a function of the variable operands, for finite differences; the others come from the problem. */
export function lossOf(problem: Problem, shaped = weighed): (params: Tensor[]) => Tensor {
  return (params) => {
    const { device, dtype } = params[0];
    if (!isFloatDType(dtype)) throw new Error(`parameters of dtype ${dtype} have no gradient`);
    const inputs = inputsOf(problem, { device, dtype, plain: true });
    return shaped(problem.run(restore(problem.operands, inputs, params)));
  };
}

/**
 * A loss made of a gradient, whose own gradient is made of second derivatives. The inner loss is Σ (y² + y)·upstream, so
 * that the upstream gradient of the operation depends on the parameters too.
 */
export function slopeLossOf(problem: Problem): (params: Tensor[]) => Tensor {
  const slopes = grad(lossOf(problem, (y) => weighed(mul(y, add(y, 1)))));
  return (params) =>
    slopes(params)
      .map(weighed)
      .reduce((a, b) => add(a, b));
}

const isFloatDType = (dtype: DType): dtype is Place["dtype"] => ["f32", "f64", "f16"].includes(dtype);

/** The problem with every float rounded to one that f16 holds, so that f64 and f16 start from equal inputs. */
export function halved(problem: Problem): Problem {
  const operands = problem.operands.map((o) =>
    o.dtype === "float"
      ? { ...o, values: Float64Array.from(widenF16(narrowF16(Float32Array.from(o.values)))) }
      : o,
  );
  return { ...problem, operands };
}

/** The points of `gradcheck`. */
export function pointsOf({ operands }: Problem): { shape: readonly number[]; data: Float64Array }[] {
  return operands.filter(isVariable).map((o) => ({ shape: o.shape, data: o.values }));
}

function restore(
  operands: readonly Operand[],
  inputs: readonly Tensor[],
  params: readonly Tensor[],
): Tensor[] {
  let next = 0;
  return operands.map((o, i) => (isVariable(o) ? params[next++] : inputs[i]));
}
