/**
 * How elementwise operations are defined: a scalar function, the same as a WGSL expression, and the derivative. This
 * file turns such a definition into a full record with NumPy broadcasting; the definitions themselves are in
 * arithmetic.ts, math.ts, logic.ts and their neighbours, the kernels in elementwise-kernels.ts.
 *
 * Elements of dtype f16 are widened to f32 as they are read and results rounded once as they are written, so definitions
 * know nothing of f16: a definition that takes f32 takes f16.
 */
import { computeType, type DType, isFloat } from "../dtype.ts";
import { DTypeError } from "../errors.ts";
import type { Op, Spec } from "../op.ts";
import { argumentNames, broadcastShapes, formatSpec } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { walk } from "../walk.ts";
import { elementwiseCall } from "./elementwise-kernels.ts";

/** Where property tests draw an operand from; `kinks` are points where no derivative exists. */
export interface Domain {
  low: number;
  high: number;
  kinks?: readonly number[];
}

/**
 * What `elementwise` needs to know of an operation: y = f(operands) for each element, as a number, as WGSL, and its
 * derivative. `A` is the type of the attributes, `null` if there are none.
 */
export interface ElementwiseDefinition<A> {
  /** Unique name, also the kernel's name. */
  name: string;
  /** Names of the operands in error messages; default `x` for one, `a` and `b` for two. */
  arguments?: readonly string[];
  /** Element types taken; default floats and integers. Where f32 is taken, f16 is too. */
  dtypes?: readonly DType[];
  /** Output type; default the operands' type. */
  output?: DType | ((attrs: A) => DType);
  /** True if the first operand is a condition of dtype bool. */
  condition?: boolean;
  /** The value from the operands' values; it is rounded to the output type when stored. */
  cpu(values: readonly number[], attrs: A, dtype: DType): number;
  /** The same as a WGSL expression over operand names; conditions and bools are WGSL `bool`s, f16 operands `f32`s. */
  wgsl(operands: readonly string[], attrs: A, dtype: DType): string;
  /** WGSL functions that the expression calls. */
  helpers?: string;
  /** Further scalar parameters read from the attributes, as `p.name` in WGSL. */
  params?: { names: readonly string[]; values(attrs: A): readonly number[] };
  /** Text that tells apart attributes which change the kernel's text. */
  variant?(attrs: A): string;
  /** Gradients of the operands; they are summed over broadcast dimensions afterwards. */
  vjp?(
    inputs: readonly Tensor[],
    y: Tensor,
    dy: Tensor,
    attrs: A,
    needs: readonly boolean[],
  ): readonly (Tensor | null)[];
  /** Sample domains of the operands for the property tests. */
  domains: readonly Domain[];
}

/** An elementwise record keeps its definition, so that tests can generate their cases from it. */
export interface ElementwiseOp<A> extends Op<A> {
  definition: ElementwiseDefinition<A>;
}

const numeric: readonly DType[] = ["f32", "f64", "i32", "u32"];

/**
 * Turns a definition into a full record: NumPy broadcasting, any layout, kernels for contiguous and strided operands.
 *
 * @returns a record for `apply`, which throws DTypeError for types that are not taken, ShapeError for shapes that do not
 * broadcast.
 * @example
 * ```ts
 * // y = max(x, 0)²;  dx = 2·max(x, 0)·dy
 * const squaredRelu = elementwise<null>({
 *   name: "squaredRelu",
 *   dtypes: ["f32", "f64"],
 *   cpu: ([x]) => Math.max(x, 0) ** 2,
 *   wgsl: ([x]) => `max(${x}, 0.0) * max(${x}, 0.0)`,
 *   vjp: ([x], _y, dy) => [mul(dy, mul(relu(x), 2))],
 *   domains: [{ low: -2, high: 2, kinks: [0] }],
 * });
 * await apply(squaredRelu, [tensor([-1, 3])], null).data(); // → [0, 9]
 * await grad((x: Tensor) => sum(apply(squaredRelu, [x], null)))(tensor([-1, 3])).data(); // → [0, 6]
 * ```
 */
export function elementwise<A>(definition: ElementwiseDefinition<A>): ElementwiseOp<A> {
  const { name, cpu } = definition;
  const outputType = (inputs: readonly Spec[], attrs: A): DType => {
    const { output } = definition;
    return typeof output === "function" ? output(attrs) : (output ?? inputs[inputs.length - 1].dtype);
  };
  const names = (inputs: readonly Spec[]) => definition.arguments ?? argumentNames(inputs.length);
  return {
    name,
    arguments: definition.arguments,
    strided: true,
    half: true,
    definition,
    infer(inputs, attrs) {
      const skipped = definition.condition ? 1 : 0;
      const values = inputs.slice(skipped);
      const allowed = definition.dtypes ?? numeric;
      if (definition.condition && inputs[0].dtype !== "bool") {
        throw new DTypeError(
          `${name}: condition is ${formatSpec(inputs[0])}, expected bool. Compare first: notEqual(condition, 0).`,
        );
      }
      for (const [i, v] of values.entries()) {
        const argument = names(inputs)[i + skipped];
        if (v.dtype !== values[0].dtype) throw mixedTypes(name, names(inputs).slice(skipped), values);
        if (!allowed.includes(computeType(v.dtype))) {
          throw new DTypeError(
            `${name}: ${argument} is ${formatSpec(v)}, expected ${allowed.join(", ")}. Convert it: cast(${argument}, "${allowed[0]}").`,
          );
        }
      }
      return [
        {
          shape: broadcastShapes(
            name,
            inputs.map((s) => s.shape),
            names(inputs),
          ),
          dtype: outputType(inputs, attrs),
        },
      ];
    },
    cpu(inputs, outputs, attrs) {
      const out = outputs[0];
      const { data } = out;
      const values = new Array<number>(inputs.length);
      const { dtype } = inputs[inputs.length - 1];
      walk(out.shape, inputs, (index, at) => {
        for (let k = 0; k < inputs.length; k++) values[k] = inputs[k].data[at[k]];
        data[index] = cpu(values, attrs, dtype);
      });
    },
    webgpu(inputs, outputs, attrs) {
      return [elementwiseCall(definition, inputs, outputs[0], attrs)];
    },
    vjp: definition.vjp
      ? ({ inputs, outputs, attrs, needs }, dys) => {
          const dy = dys[0];
          if (!dy || !definition.vjp) return inputs.map(() => null);
          return definition.vjp(inputs, outputs[0], dy, attrs, needs);
        }
      : undefined,
  };
}

/** Operands of several dtypes; the float among them is the one to convert to. */
function mixedTypes(name: string, names: readonly string[], values: readonly Spec[]): DTypeError {
  const target = values.find((v) => isFloat(v.dtype)) ?? values[0];
  const odd = values.findIndex((v) => v.dtype !== target.dtype);
  return new DTypeError(
    `${name}: dtypes differ: ${values.map((v, i) => `${names[i]} is ${formatSpec(v)}`).join(", ")}; expected one. ` +
      `Convert one: cast(${names[odd]}, "${target.dtype}").`,
  );
}

/** Operand of an elementwise operation: a tensor, or a number that takes the dtype and device of the tensors beside it. */
export type Operand = Tensor | number;
