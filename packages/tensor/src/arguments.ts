/**
 * What every operation asks of its arguments: tensors, not disposed, on one device, settings in a record. Types say
 * the same, but programs in plain JavaScript come this far with anything. Leaves out shapes and dtypes: those are each
 * record's own rule (`infer`).
 */
import type { Device } from "./device.ts";
import { dtypeNames } from "./dtype.ts";
import { DeviceError, DTypeError, ValueError } from "./errors.ts";
import { LiveScalar } from "./live.ts";
import { formatSpec } from "./shape.ts";
import { Tensor } from "./tensor.ts";

/** A value as messages show it: `f32[2, 3] on cpu`, `a plain array`, `the string "mean"`. */
export function describe(value: unknown): string {
  if (value instanceof Tensor) return `${formatSpec(value)} on ${value.device.kind}`;
  if (value === undefined || value === null) return String(value);
  if (typeof value === "string") return `the string ${JSON.stringify(value)}`;
  if (typeof value === "number" || typeof value === "boolean" || typeof value === "bigint")
    return `the ${typeof value} ${value}`;
  if (Array.isArray(value)) return "a plain array";
  if (value instanceof Promise) return "a promise";
  if (ArrayBuffer.isView(value)) return `a ${value.constructor.name}`;
  if (typeof value === "function") return "a function";
  if (value instanceof LiveScalar) return "a live scalar";
  return "a plain object";
}

/** The way out for a value that should have been a tensor. */
function wayToTensor(name: string, value: unknown): string {
  if (value instanceof Promise) return `Await it: await ${name}.`;
  if (value instanceof LiveScalar)
    return `Make a tensor of it, in front of a captured function: step(x, tensor(${name}.value)).`;
  const holdsNumbers = Array.isArray(value) || ArrayBuffer.isView(value) || typeof value === "number";
  return holdsNumbers ? `Wrap it: tensor(${name}).` : "Pass a tensor, for example tensor([1, 2]).";
}

/**
 * The one device of all `values`, named for messages by `names`.
 *
 * @throws ValueError for a value that is no tensor, DisposedError for one given back, DeviceError for two devices.
 */
export function requireTensors(op: string, names: readonly string[], values: readonly unknown[]): Device {
  let first: Tensor | undefined;
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (!(value instanceof Tensor))
      throw new ValueError(
        `${op}: ${names[i]} is ${describe(value)}, expected a Tensor. ${wayToTensor(names[i], value)}`,
      );
    value.assertAlive(op, names[i]);
    first ??= value;
    if (value.device !== first.device) {
      const { kind } = value.device;
      const where = kind === first.device.kind ? `another ${kind} device` : kind;
      throw new DeviceError(
        `${op}: ${names[0]} is ${describe(first)}, ${names[i]} is ${formatSpec(value)} on ${where}; expected one device. ` +
          `Move one: tensor(await ${names[i]}.data(), { shape: ${names[i]}.shape, device: ${names[0]}.device }).`,
      );
    }
  }
  if (!first)
    throw new ValueError(`${op}: received no tensors, expected at least one. Pass one: tensor([1, 2]).`);
  return first.device;
}

/**
 * Checks that `list` is an array, as in `reshape(x, [2, 3])`; PyTorch also takes `reshape(x, 2, 3)`. `before` is what
 * stands before it in the call.
 *
 * @throws ValueError showing the call with brackets.
 */
export function requireList(op: string, name: string, list: unknown, before = "x, "): void {
  if (Array.isArray(list)) return;
  const example = typeof list === "number" ? `[${list}]` : "[2, 3]";
  throw new ValueError(
    `${op}: ${name} is ${describe(list)}, expected an array of whole numbers. Put brackets around them: ${op}(${before}${example}).`,
  );
}

/** What PyTorch and NumPy call element types that have another name here. */
const dtypesElsewhere: Readonly<Record<string, string>> = {
  float: "f32",
  float32: "f32",
  double: "f64",
  float64: "f64",
  half: "f16",
  float16: "f16",
  int: "i32",
  int32: "i32",
  long: "i32",
  int64: "i32",
  uint32: "u32",
  boolean: "bool",
};

/**
 * Checks that `dtype` names an element type.
 *
 * @throws DTypeError naming those there are.
 */
export function requireDType(op: string, dtype: unknown): void {
  if (dtypeNames.includes(dtype as string)) return;
  const meant = dtypesElsewhere[String(dtype)] ?? "f32";
  throw new DTypeError(
    `${op}: dtype is ${describe(dtype)}, expected ${dtypeNames.map((n) => `"${n}"`).join(", ")}. Use "${meant}".`,
  );
}

/** What PyTorch and NumPy call settings that have another name here. */
const fromPyTorch: Readonly<Record<string, string>> = { dim: "axes", axis: "axes", unbiased: "correction" };

/**
 * Checks that settings come as a record with known names: `sum(x, 1)` or `{ dim: 1 }` would otherwise be ignored in
 * silence.
 *
 * @throws ValueError naming the known settings.
 */
export function requireOptions(op: string, options: unknown, known: readonly string[]): void {
  const list = known.join(", ");
  if (
    typeof options !== "object" ||
    options === null ||
    Array.isArray(options) ||
    options instanceof Tensor
  ) {
    throw new ValueError(
      `${op}: options is ${describe(options)}, expected a record of ${list}. Name the setting: { ${known[0]}: … }.`,
    );
  }
  for (const name of Object.keys(options)) {
    if (known.includes(name)) continue;
    const plain = name.toLowerCase();
    const meant = known.find((k) => k.toLowerCase() === plain || k === fromPyTorch[plain]) ?? known[0];
    throw new ValueError(
      `${op}: options has no setting "${name}", expected ${list}. Rename it: { ${meant}: … }.`,
    );
  }
}
