/**
 * Cases generated from the elementwise records themselves: each brings its sample domains, so a new record in
 * one of the files below is tested without a line here.
 */

import { apply } from "../../packages/tensor/src/op.ts";
import * as activations from "../../packages/tensor/src/ops/activations.ts";
import * as arithmetic from "../../packages/tensor/src/ops/arithmetic.ts";
import * as casts from "../../packages/tensor/src/ops/cast.ts";
import * as clamps from "../../packages/tensor/src/ops/clamp.ts";
import type { ElementwiseOp } from "../../packages/tensor/src/ops/elementwise.ts";
import * as logic from "../../packages/tensor/src/ops/logic.ts";
import * as math from "../../packages/tensor/src/ops/math.ts";
import * as rounding from "../../packages/tensor/src/ops/rounding.ts";
import * as trigonometry from "../../packages/tensor/src/ops/trigonometry.ts";
import type { Draw } from "./draw.ts";
import { layouts } from "./layouts.ts";
import { bools, floats, ints, type OpCase, type Operand } from "./problem.ts";

/** Attributes of the records that need some. */
const attributes: Record<string, unknown> = {
  cast: { dtype: "f32" },
  clamp: { min: -0.5, max: 0.8 },
};

function isElementwise(value: unknown): value is ElementwiseOp<unknown> {
  return typeof value === "object" && value !== null && "definition" in value;
}

/** Every elementwise record. */
export const elementwiseOps: ElementwiseOp<unknown>[] = [
  arithmetic,
  math,
  activations,
  logic,
  casts,
  clamps,
  rounding,
  trigonometry,
]
  .flatMap((file) => Object.values(file) as unknown[])
  .filter(isElementwise);

/** How many operands a record takes: its domains, or for logic of bools its arity. */
function arity(op: ElementwiseOp<unknown>): number {
  return op.definition.domains.length || (op.name === "logicalNot" ? 1 : 2);
}

/** Shapes that broadcast to one of `low` to `high` dimensions; at least one operand has it in full. */
export function broadcastable(draw: Draw, count: number, low: number, high: number): number[][] {
  const full = draw.shape(low, high);
  const whole = draw.int(0, count - 1);
  return Array.from({ length: count }, (_, k) => {
    if (k === whole || draw.unit() < 0.4) return full;
    const shape = full.map((d) => (draw.unit() < 0.4 ? 1 : d));
    return shape.slice(draw.int(0, shape.length));
  });
}

function operand(draw: Draw, op: ElementwiseOp<unknown>, k: number, shape: number[]): Operand {
  const { domains, dtypes, condition } = op.definition;
  if ((condition && k === 0) || dtypes?.join() === "bool") return bools(draw, shape);
  return floats(draw, shape, { ...domains[k], layout: draw.pick(layouts) });
}

/** Records that take integers only have no case on floats. */
const takesFloats = (op: ElementwiseOp<unknown>) =>
  op.definition.dtypes?.some((dtype) => dtype === "f32" || dtype === "bool") ?? true;

/** One case per record, on floats (or bools), broadcast, in any layout. */
export const elementwiseCases: OpCase[] = elementwiseOps.filter(takesFloats).map((op) => ({
  name: op.name,
  gradient: op.definition.vjp !== undefined,
  // Differences of a conversion to f32 measure its rounding.
  differences: op.name === "cast" ? false : undefined,
  draw(draw) {
    const shapes = broadcastable(draw, arity(op), 0, 3);
    const operands = shapes.map((shape, k) => operand(draw, op, k, shape));
    return { operands, run: (inputs) => apply(op, inputs, attributes[op.name] ?? null) };
  },
}));

/** One case per record and integer type that it takes; results are exact. */
export const integerCases: OpCase[] = elementwiseOps.flatMap((op) => {
  const taken = op.definition.dtypes ?? ["i32", "u32"];
  return (["i32", "u32"] as const)
    .filter((dtype) => taken.includes(dtype))
    .map((dtype) => ({
      name: `${op.name} of ${dtype}`,
      gradient: false,
      draw(draw: Draw) {
        const shapes = broadcastable(draw, arity(op), 0, 2);
        const operands = shapes.map((shape, k): Operand => {
          if (op.definition.condition && k === 0) return bools(draw, shape);
          // Far enough out for products to leave 32 bits: both devices must wrap alike.
          const top = draw.pick([5, 2 ** 31 - 1]);
          return { ...ints(draw, shape, dtype === "i32" ? -top : 0, top), dtype };
        });
        return { operands, run: (inputs) => apply(op, inputs, attributes[op.name] ?? null) };
      },
    }));
});
