/**
 * Reading and writing whole `.safetensors` files in memory: header (safetensors-header.ts), then the raw data.
 * Format: https://github.com/huggingface/safetensors (README, "Format"). The reader takes files from strangers, so
 * everything is checked before anything large is allocated.
 * Left out: files larger than one ArrayBuffer and sharded checkpoints, which model-folder.ts reads from disk.
 */
import { narrowBf16, narrowF16, widenBf16, widenF16 } from "@pact/tensor";
import { SafetensorsError } from "./errors.ts";
import {
  elementBytes,
  headerLength,
  inFileOrder,
  list,
  readHeader,
  type SafetensorsDType,
  sizeOf,
  writeHeader,
} from "./safetensors-header.ts";
import { quote } from "./safetensors-json.ts";

/** Values of a tensor in memory: `F16` and `BF16` are widened to `Float32Array`, `BOOL` is a `Uint8Array` of 0 and 1. */
export type SafetensorsData =
  | Float64Array
  | Float32Array
  | BigInt64Array
  | BigUint64Array
  | Int32Array
  | Uint32Array
  | Int16Array
  | Uint16Array
  | Int8Array
  | Uint8Array;

/** One tensor of a file: its stored element type, its shape and its row-major values. */
export type SafetensorsEntry = {
  readonly dtype: SafetensorsDType;
  readonly shape: readonly number[];
  readonly data: SafetensorsData;
};

type Codec = {
  readonly array: string; // constructor name of `data` in memory
  readonly decode: (buffer: ArrayBuffer) => SafetensorsData;
};

const codecs: Readonly<Record<SafetensorsDType, Codec>> = {
  F64: { array: "Float64Array", decode: (b) => new Float64Array(b) },
  F32: { array: "Float32Array", decode: (b) => new Float32Array(b) },
  F16: { array: "Float32Array", decode: (b) => widenF16(new Uint16Array(b)) },
  BF16: { array: "Float32Array", decode: (b) => widenBf16(new Uint16Array(b)) },
  I64: { array: "BigInt64Array", decode: (b) => new BigInt64Array(b) },
  I32: { array: "Int32Array", decode: (b) => new Int32Array(b) },
  I16: { array: "Int16Array", decode: (b) => new Int16Array(b) },
  I8: { array: "Int8Array", decode: (b) => new Int8Array(b) },
  U64: { array: "BigUint64Array", decode: (b) => new BigUint64Array(b) },
  U32: { array: "Uint32Array", decode: (b) => new Uint32Array(b) },
  U16: { array: "Uint16Array", decode: (b) => new Uint16Array(b) },
  U8: { array: "Uint8Array", decode: (b) => new Uint8Array(b) },
  BOOL: { array: "Uint8Array", decode: (b) => new Uint8Array(b) },
};

/**
 * Reads every tensor of a safetensors file, in the order of its data.
 * The result is a `Map`, so a tensor named `__proto__` is just a name. `F16` and `BF16` widen to `Float32Array`.
 *
 * @throws SafetensorsError naming the fault and the tensor, before large allocations, if the file is malformed
 * @example
 * ```ts
 * const bytes = writeSafetensors([["w", { dtype: "F32", shape: [2], data: Float32Array.of(1, 2) }]]);
 * readSafetensors(bytes).get("w"); // → { dtype: "F32", shape: [2], data: [1, 2] }
 * readSafetensors(bytes.subarray(0, 20)); // → throws SafetensorsError
 * ```
 */
export function readSafetensors(bytes: Uint8Array): Map<string, SafetensorsEntry> {
  const { tensors, dataStart } = readFile(bytes);
  const entries = new Map<string, SafetensorsEntry>();
  for (const { name, dtype, shape, begin, end } of tensors) {
    if (dtype === "BOOL") checkBools(name, bytes.subarray(dataStart + begin, dataStart + end));
    // A copy, because the data need not be aligned; `new Uint8Array` and not `slice`, which on a Buffer makes a view.
    const copy = new Uint8Array(bytes.subarray(dataStart + begin, dataStart + end));
    entries.set(name, { dtype, shape, data: decode(dtype, copy.buffer) });
  }
  return entries;
}

/**
 * Reads the `__metadata__` strings of a safetensors file (empty if it has none).
 *
 * @throws SafetensorsError as `readSafetensors`
 * @example
 * ```ts
 * readSafetensorsMetadata(writeSafetensors([], { format: "pt" })).get("format"); // → "pt"
 * ```
 */
export function readSafetensorsMetadata(bytes: Uint8Array): Map<string, string> {
  return readFile(bytes).metadata;
}

/**
 * Writes a safetensors file: widest elements first, then by name (so data stays aligned and bytes are reproducible).
 * `F16` and `BF16` take a `Float32Array` and round to nearest, ties to even.
 *
 * @param entries name and tensor, names distinct
 * @param metadata strings for `__metadata__`; default none
 * @returns the bytes of the file
 * @throws SafetensorsError if a shape does not fit its data, the array type does not fit the dtype, or a name is repeated
 * @example
 * ```ts
 * const data = Float32Array.of(1, 2.003);
 * const bytes = writeSafetensors([["w", { dtype: "BF16", shape: [2], data }]]);
 * readSafetensors(bytes).get("w")?.data; // → [1, 2]
 * writeSafetensors([["w", { dtype: "I32", shape: [2], data }]]); // → throws SafetensorsError
 * ```
 */
export function writeSafetensors(
  entries: Iterable<readonly [string, SafetensorsEntry]>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  const given = [...entries].map(([name, entry]) => {
    checkEntry(name, entry);
    return { ...entry, name };
  });
  const sorted = inFileOrder(given);
  const parts = [writeHeader(sorted, metadata)];
  for (const { dtype, data } of sorted) parts.push(encode(dtype, data));
  const file = new Uint8Array(parts.reduce((bytes, part) => bytes + part.length, 0));
  let position = 0;
  for (const part of parts) {
    file.set(part, position);
    position += part.length;
  }
  return file;
}

/**
 * Stored bytes to values.
 *
 * @param buffer exactly the tensor's bytes; the result may be a view of it
 */
export function decode(dtype: SafetensorsDType, buffer: ArrayBuffer): SafetensorsData {
  return codecs[dtype].decode(buffer);
}

// NOTE: typed arrays use the host's byte order; every platform JavaScript runs on here is little-endian, as the format.
/** Values to stored bytes; `F16` and `BF16` from a `Float32Array`, rounded to nearest, ties to even. */
export function encode(dtype: SafetensorsDType, data: SafetensorsData): Uint8Array {
  let stored: SafetensorsData = data;
  if (data instanceof Float32Array && dtype === "F16") stored = narrowF16(data);
  if (data instanceof Float32Array && dtype === "BF16") stored = narrowBf16(data);
  return new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength);
}

function checkEntry(name: string, { dtype, shape, data }: SafetensorsEntry): void {
  elementBytes(name, dtype);
  const { array } = codecs[dtype];
  if (data.constructor.name !== array)
    throw new SafetensorsError(
      `Tensor ${quote(name)} of dtype ${dtype} needs a ${array}, received a ${data.constructor.name}.`,
    );
  const size = sizeOf(name, shape);
  if (size !== data.length)
    throw new SafetensorsError(
      `Tensor ${quote(name)} has shape ${list(shape)} = ${size} elements but ${data.length} values.`,
    );
  if (dtype === "BOOL" && data instanceof Uint8Array) checkBools(name, data);
}

function readFile(bytes: Uint8Array) {
  const length = headerLength(bytes, bytes.length);
  const dataStart = 8 + length;
  return { ...readHeader(bytes.subarray(8, dataStart), bytes.length - dataStart), dataStart };
}

function checkBools(name: string, values: Uint8Array): void {
  for (let i = 0; i < values.length; i++)
    if (values[i] > 1)
      throw new SafetensorsError(
        `Tensor ${quote(name)} of dtype BOOL holds ${values[i]} at element ${i}, expected 0 or 1.`,
      );
}
