/**
 * A case of rl_losses.json as a padded batch [rows, columns] with a mask, and the check that its scalar loss and
 * gradients share.
 */
import { mul, sum, type Tensor, tensor, valueAndGrad } from "@pact/tensor";
import {
  type Context,
  compare,
  compareTensor,
  type GoldenTensor,
  numbers,
  relative,
  toTensor,
  Unsupported,
} from "./format.ts";

/** Hyper-parameters of a case. */
export type Attrs = Readonly<Record<string, unknown>>;

/** A number of the case, or undefined where it is absent or null. */
export function numberOf(attrs: Attrs, name: string): number | undefined {
  const value = attrs[name];
  if (value === undefined || value === null) return undefined;
  if (typeof value === "number") return value;
  throw new TypeError(`attribute ${name} is ${JSON.stringify(value)}, expected a number`);
}

/** A choice of the case: `fallback` where it is absent or null, unsupported if it is none of `known`. */
export function choiceOf<const T extends string>(
  attrs: Attrs,
  name: string,
  known: readonly T[],
  fallback: T,
): T {
  const value = attrs[name] ?? fallback;
  const found = known.find((choice) => choice === value);
  if (found === undefined) throw new Unsupported(`${name} "${value}"`);
  return found;
}

/** One case of the file. */
export type LossCase = {
  readonly name: string;
  readonly kind: string;
  readonly attrs: Attrs;
  readonly inputs: Readonly<Record<string, GoldenTensor>>;
  readonly outputs: Readonly<Record<string, GoldenTensor>>;
  readonly gradOutput?: GoldenTensor;
  readonly grads?: Readonly<Record<string, GoldenTensor>>;
};

/** Reads a case's inputs as numbers or tensors and compares its outputs. */
export class Batch {
  readonly golden: LossCase;
  readonly context: Context;

  constructor(context: Context, golden: LossCase) {
    this.context = context;
    this.golden = golden;
  }

  /** The mask [rows, columns], or ones in the first two dimensions of the first input that has them. */
  private get mask(): { shape: readonly number[]; data: number[] } {
    const { mask } = this.golden.inputs;
    if (mask) return { shape: mask.shape, data: numbers(mask) };
    const first = Object.values(this.golden.inputs).find((input) => input.shape.length >= 2);
    const shape = (first ?? Object.values(this.golden.inputs)[0]).shape.slice(0, 2);
    return { shape, data: new Array<number>(shape.reduce((a, b) => a * b, 1)).fill(1) };
  }

  get rows(): number {
    return this.mask.shape[0];
  }

  get columns(): number {
    return this.mask.shape[1];
  }

  /** Number of unmasked tokens of each row. */
  get tokens(): number[] {
    const { data } = this.mask;
    return Array.from({ length: this.rows }, (_, row) =>
      data.slice(row * this.columns, (row + 1) * this.columns).reduce((total, bit) => total + bit, 0),
    );
  }

  values(name: string): number[] {
    return numbers(this.golden.inputs[name]);
  }

  rowsOf(name: string): number[][] {
    const columns = this.golden.inputs[name].shape[1];
    const flat = this.values(name);
    return Array.from({ length: flat.length / columns }, (_, row) =>
      flat.slice(row * columns, (row + 1) * columns),
    );
  }

  rowSums(name: string): number[] {
    return this.rowsOf(name).map((row) => row.reduce((total, value) => total + value, 0));
  }

  has(name: string): boolean {
    return this.golden.inputs[name] !== undefined;
  }

  /** Row of each token of the padded batch, −1 where masked; flat. */
  get sequences(): number[] {
    return this.mask.data.map((bit, i) => (bit === 1 ? Math.floor(i / this.columns) : -1));
  }

  /** Values where the mask is 1, flat. */
  masked(name: string): number[] {
    const { data } = this.mask;
    return this.values(name).filter((_, i) => data[i] === 1);
  }

  /** One number per row as one per token, 0 where masked; flat. */
  perToken(perRow: readonly number[]): number[] {
    return this.mask.data.map((bit, i) => bit * perRow[Math.floor(i / this.columns)]);
  }

  tensor(name: string): Tensor {
    return toTensor(this.context, this.golden.inputs[name]);
  }

  /** A float tensor of the mask's shape. */
  floats(values: readonly number[]): Tensor {
    const { dtype, device } = this.context;
    return tensor(Float64Array.from(values), {
      shape: [this.rows, values.length / this.rows],
      dtype,
      device,
    });
  }

  get tolerance(): (reference: number) => number {
    return relative(this.context.dtype === "f64" ? 1e-7 : 1e-5);
  }

  /** What differs from the output called `name`; an output the case does not have is not compared. */
  expect(name: string, actual: ArrayLike<number>): string[] {
    const expected = this.golden.outputs[name];
    return expected ? compare(name, actual, numbers(expected), this.tolerance) : [];
  }
}

/**
 * Compares the output `output` of `compute` over the inputs `names`, and the gradients with respect to them, contracted
 * with `gradOutput` where the output is no scalar.
 */
export async function checkObjective(
  batch: Batch,
  compute: (params: Record<string, Tensor>) => Tensor,
  names: readonly string[],
  output = "loss",
): Promise<string[]> {
  const { outputs, grads, gradOutput } = batch.golden;
  const params = Object.fromEntries(names.map((name) => [name, batch.tensor(name)]));
  const problems = await compareTensor(output, compute(params), outputs[output], batch.tolerance);
  const upstream = gradOutput && toTensor(batch.context, gradOutput);
  const scalar = (p: Record<string, Tensor>) => (upstream ? sum(mul(compute(p), upstream)) : compute(p));
  const { grads: actual } = valueAndGrad(scalar)(params);
  for (const [name, expected] of Object.entries(grads ?? {}))
    problems.push(...(await compareTensor(`grad.${name}`, actual[name], expected, batch.tolerance)));
  return problems;
}
