/**
 * Making tensors from numbers. Each function takes `{ dtype = "f32", device = the default device }`.
 */
import { describe, requireDType, requireList, requireOptions } from "./arguments.ts";
import { type Device, defaultDevice } from "./device.ts";
import { allocate, convert, type DType, dtypeOf, type TypedArray } from "./dtype.ts";
import { ShapeError, ValueError } from "./errors.ts";
import { requireHeld } from "./literals.ts";
import { formatShape, type Shape, sizeOf, stridesOf } from "./shape.ts";
import type { Tensor } from "./tensor.ts";

/** Where and how to store a new tensor. */
export interface CreateOptions {
  /** Element type; default `f32` for plain numbers, the array's own type for typed arrays. */
  dtype?: DType;
  /** Default: the device of the last `init()`. */
  device?: Device;
}

/** Numbers nested to any depth, every row of one length. */
export type Nested = number | boolean | readonly Nested[];

/** Sizes at each depth of nesting. */
function nestedShape(data: Nested): number[] {
  const shape: number[] = [];
  let level: Nested = data;
  while (Array.isArray(level)) {
    shape.push(level.length);
    level = level[0];
  }
  return shape;
}

function flatten(data: Nested, shape: readonly number[], depth: number, out: number[]): void {
  if (depth === shape.length) {
    if (typeof data !== "number" && typeof data !== "boolean") {
      throw new ShapeError(
        `tensor: data holds ${describe(data)} at depth ${depth}, expected a number. Nest every row equally deep: tensor([[1, 2], [3, 4]]).`,
      );
    }
    out.push(Number(data));
    return;
  }
  if (!Array.isArray(data) || data.length !== shape[depth]) {
    throw new ShapeError(
      `tensor: rows of data differ at depth ${depth}: expected ${shape[depth]} entries, received ${Array.isArray(data) ? data.length : describe(data)}. ` +
        "Pad the rows to one length: tensor([[1, 2], [3, 0]]).",
    );
  }
  for (const row of data) flatten(row, shape, depth + 1, out);
}

/** Checks a shape given by the user. */
export function checkShape(where: string, shape: Shape): void {
  requireList(where, "shape", shape, "");
  for (const d of shape) {
    if (!Number.isInteger(d) || d < 0) {
      throw new ShapeError(
        `${where}: shape is ${formatShape(shape)}, expected whole numbers of at least 0. Name each size: ${where}([2, 3]).`,
      );
    }
  }
}

/**
 * A tensor holding `data`: a number, nested arrays of numbers, or a typed array with a `shape` (default: one dimension).
 * Plain numbers become f32, booleans bool, typed arrays their own type (Float64Array: f64); `dtype` overrides. NaN and
 * infinities are welcome in floats.
 *
 * @throws ShapeError if rows differ in length or the data does not fill the shape; ValueError for an element that an
 * integer dtype does not hold exactly; DTypeError for a dtype that the device lacks.
 * @example
 * ```ts
 * tensor([[1, 2], [3, 4]]); // → f32[2, 2]
 * tensor(new Int32Array([5, 6]), { shape: [2, 1] }); // → i32[2, 1]
 * tensor([1.5], { dtype: "i32" }); // → throws ValueError
 * ```
 */
export function tensor(data: Nested | TypedArray, options: CreateOptions & { shape?: Shape } = {}): Tensor {
  requireOptions("tensor", options, ["shape", "dtype", "device"]);
  if (options.dtype !== undefined) requireDType("tensor", options.dtype);
  const device = options.device ?? defaultDevice();
  if (ArrayBuffer.isView(data)) {
    const typed = data as TypedArray;
    const shape = options.shape ?? [typed.length];
    checkData(shape, typed.length);
    const dtype = options.dtype ?? dtypeOf(typed);
    if (dtype === dtypeOf(typed)) return device.fromHost(shape, dtype, typed);
    requireHeld("tensor", dtype, typed, (i) => placeIn(shape, i));
    return device.fromHost(shape, dtype, convert(dtype, typed));
  }
  const nested = nestedShape(data);
  const flat: number[] = [];
  flatten(data, nested, 0, flat);
  const shape = options.shape ?? nested;
  checkData(shape, flat.length);
  const dtype = options.dtype ?? (typeof firstLeaf(data) === "boolean" ? "bool" : "f32");
  requireHeld("tensor", dtype, flat, (i) => placeIn(nested, i));
  return device.fromHost(shape, dtype, convert(dtype, flat));
}

/** How messages name the element at a flat index: `data[1][0]`. */
function placeIn(shape: Shape, flat: number): string {
  const index = stridesOf(shape).map((stride, d) => Math.floor(flat / stride) % shape[d]);
  return `data${index.map((i) => `[${i}]`).join("")}`;
}

function firstLeaf(data: Nested): number | boolean | undefined {
  let leaf: Nested | undefined = data;
  while (Array.isArray(leaf)) leaf = leaf[0];
  return leaf as number | boolean | undefined;
}

function checkData(shape: Shape, length: number): void {
  checkShape("tensor", shape);
  if (sizeOf(shape) !== length) {
    throw new ShapeError(
      `tensor: data has ${length} elements, expected ${sizeOf(shape)} for shape ${formatShape(shape)}. ` +
        `Pass a shape whose product is ${length}: { shape: [${length}] }.`,
    );
  }
}

/**
 * A tensor of `shape` filled with `value`, which may be NaN or infinite in floats.
 *
 * @throws ShapeError for a shape that is none, ValueError for a value that an integer dtype does not hold exactly.
 * @example
 * ```ts
 * await full([2], -1, { dtype: "i32" }).data(); // → [-1, -1]
 * ```
 */
export function full(shape: Shape, value: number, options: CreateOptions = {}): Tensor {
  return filled("full", shape, value, options);
}

/** `name` is the caller's, for messages. */
function filled(name: string, shape: Shape, value: number, options: CreateOptions): Tensor {
  checkShape(name, shape);
  requireOptions(name, options, ["dtype", "device"]);
  if (typeof value !== "number") {
    throw new ValueError(
      `${name}: value is ${describe(value)}, expected a number. For several values use tensor([1, 2]).`,
    );
  }
  const dtype = options.dtype ?? "f32";
  requireDType(name, dtype);
  requireHeld(name, dtype, [value], () => "value");
  const device = options.device ?? defaultDevice();
  device.assertFits(name, shape, dtype);
  const size = sizeOf(shape);
  const data = device.allocating(name, dtype, size, () => allocate(dtype, size));
  if (value !== 0) data.fill(dtype === "bool" ? 1 : value);
  return device.fromHost(shape, dtype, data, name);
}

/**
 * A tensor of zeros.
 *
 * @throws ShapeError for a shape that is none.
 * @example
 * ```ts
 * zeros([2, 3]); // → f32[2, 3]
 * ```
 */
export function zeros(shape: Shape, options: CreateOptions = {}): Tensor {
  return filled("zeros", shape, 0, options);
}

/**
 * A tensor of ones.
 *
 * @throws ShapeError for a shape that is none.
 * @example
 * ```ts
 * await ones([2], { dtype: "i32" }).data(); // → [1, 1]
 * ```
 */
export function ones(shape: Shape, options: CreateOptions = {}): Tensor {
  return filled("ones", shape, 1, options);
}

/**
 * The numbers 0, 1, …, n − 1.
 *
 * @throws ValueError if n is no whole number of at least 0.
 * @example
 * ```ts
 * await arange(4).data(); // → [0, 1, 2, 3]
 * ```
 */
export function arange(n: number, options: CreateOptions = {}): Tensor {
  if (!Number.isInteger(n) || n < 0)
    throw new ValueError(
      `arange: n is ${typeof n === "number" ? n : describe(n)}, expected a whole number of at least 0. Scale the result instead: mul(arange(count), step).`,
    );
  requireOptions("arange", options, ["dtype", "device"]);
  const dtype = options.dtype ?? "f32";
  requireDType("arange", dtype);
  const device = options.device ?? defaultDevice();
  device.assertFits("arange", [n], dtype);
  return device.fromHost(
    [n],
    dtype,
    convert(
      dtype,
      Array.from({ length: n }, (_, i) => i),
    ),
  );
}
