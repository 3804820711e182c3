/**
 * Reading and writing `.safetensors`: 8 bytes little-endian header length, a JSON header
 * `{name: {dtype, shape, data_offsets: [begin, end]}, "__metadata__"?: {string: string}}`, then the raw data.
 * Format: https://github.com/huggingface/safetensors (README, "Format"). The reader takes files from strangers, so
 * everything is checked before anything large is allocated: lengths, offsets (no overlap, no hole), shapes, names.
 * Left out: files larger than one ArrayBuffer, sharded checkpoints, the f8 dtypes.
 */
import { narrowBf16, narrowF16, widenBf16, widenF16 } from "@pact/tensor";
import { SafetensorsError } from "./errors.ts";
import { isObject, parseHeader, quote } from "./safetensors-json.ts";

/** Element types of a safetensors file that this reader knows. */
export type SafetensorsDType =
  | "F64"
  | "F32"
  | "F16"
  | "BF16"
  | "I64"
  | "I32"
  | "I16"
  | "I8"
  | "U64"
  | "U32"
  | "U16"
  | "U8"
  | "BOOL";

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
  readonly bytes: number; // per element in the file
  readonly array: string; // constructor name of `data` in memory
  readonly decode: (buffer: ArrayBuffer) => SafetensorsData;
};

const codecs: ReadonlyMap<string, Codec> = new Map<SafetensorsDType, Codec>([
  ["F64", { bytes: 8, array: "Float64Array", decode: (b) => new Float64Array(b) }],
  ["F32", { bytes: 4, array: "Float32Array", decode: (b) => new Float32Array(b) }],
  ["F16", { bytes: 2, array: "Float32Array", decode: (b) => widenF16(new Uint16Array(b)) }],
  ["BF16", { bytes: 2, array: "Float32Array", decode: (b) => widenBf16(new Uint16Array(b)) }],
  ["I64", { bytes: 8, array: "BigInt64Array", decode: (b) => new BigInt64Array(b) }],
  ["I32", { bytes: 4, array: "Int32Array", decode: (b) => new Int32Array(b) }],
  ["I16", { bytes: 2, array: "Int16Array", decode: (b) => new Int16Array(b) }],
  ["I8", { bytes: 1, array: "Int8Array", decode: (b) => new Int8Array(b) }],
  ["U64", { bytes: 8, array: "BigUint64Array", decode: (b) => new BigUint64Array(b) }],
  ["U32", { bytes: 4, array: "Uint32Array", decode: (b) => new Uint32Array(b) }],
  ["U16", { bytes: 2, array: "Uint16Array", decode: (b) => new Uint16Array(b) }],
  ["U8", { bytes: 1, array: "Uint8Array", decode: (b) => new Uint8Array(b) }],
  ["BOOL", { bytes: 1, array: "Uint8Array", decode: (b) => new Uint8Array(b) }],
]);

/** The official library's limit: a longer header is an attack or a broken file. */
const maxHeaderBytes = 100_000_000;

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
  const { tensors, dataStart } = readHeader(bytes);
  const entries = new Map<string, SafetensorsEntry>();
  for (const { name, dtype, codec, shape, begin, end } of tensors) {
    if (dtype === "BOOL") checkBools(name, bytes.subarray(dataStart + begin, dataStart + end));
    // A copy, because the data need not be aligned; `new Uint8Array` and not `slice`, which on a Buffer makes a view.
    const copy = new Uint8Array(bytes.subarray(dataStart + begin, dataStart + end));
    entries.set(name, { dtype, shape, data: codec.decode(copy.buffer) });
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
  return readHeader(bytes).metadata;
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
  const sorted = [...entries].map(([name, entry]) => ({ name, entry, codec: checkEntry(name, entry) }));
  sorted.sort((a, b) => b.codec.bytes - a.codec.bytes || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  const header = new Map<string, unknown>();
  if (Object.keys(metadata).length > 0) header.set("__metadata__", metadata);
  let offset = 0;
  for (const { name, entry, codec } of sorted) {
    if (header.has(name))
      throw new SafetensorsError(`Tensor ${quote(name)} is given twice; names must be distinct.`);
    const end = offset + entry.data.length * codec.bytes;
    header.set(name, { dtype: entry.dtype, shape: entry.shape, data_offsets: [offset, end] });
    offset = end;
  }
  // Built by hand, since an object literal would swallow a tensor named __proto__.
  const json = `{${[...header].map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(",")}}`;
  const text = new TextEncoder().encode(json);
  const headerBytes = Math.ceil(text.length / 8) * 8;
  const file = new Uint8Array(8 + headerBytes + offset);
  new DataView(file.buffer).setBigUint64(0, BigInt(headerBytes), true);
  file.fill(0x20, 8, 8 + headerBytes); // the format pads the header with spaces
  file.set(text, 8);
  let position = 8 + headerBytes;
  for (const { entry, codec } of sorted) {
    file.set(encode(entry), position);
    position += entry.data.length * codec.bytes;
  }
  return file;
}

// NOTE: typed arrays use the host's byte order; every platform JavaScript runs on here is little-endian, as the format.
function encode({ dtype, data }: SafetensorsEntry): Uint8Array {
  let stored: SafetensorsData = data;
  if (data instanceof Float32Array && dtype === "F16") stored = narrowF16(data);
  if (data instanceof Float32Array && dtype === "BF16") stored = narrowBf16(data);
  return new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength);
}

function checkEntry(name: string, { dtype, shape, data }: SafetensorsEntry): Codec {
  const codec = codecOf(name, dtype);
  if (name === "__metadata__")
    throw new SafetensorsError(
      '"__metadata__" is reserved; pass strings as the second argument of writeSafetensors.',
    );
  if (data.constructor.name !== codec.array)
    throw new SafetensorsError(
      `Tensor ${quote(name)} of dtype ${dtype} needs a ${codec.array}, received a ${data.constructor.name}.`,
    );
  const size = sizeOf(name, shape);
  if (size !== data.length)
    throw new SafetensorsError(
      `Tensor ${quote(name)} has shape ${list(shape)} = ${size} elements but ${data.length} values.`,
    );
  if (dtype === "BOOL" && data instanceof Uint8Array) checkBools(name, data);
  return codec;
}

type TensorHeader = {
  name: string;
  dtype: SafetensorsDType;
  codec: Codec;
  shape: number[];
  begin: number;
  end: number;
};

function readHeader(bytes: Uint8Array) {
  if (bytes.length < 8)
    throw new SafetensorsError(
      `The file has ${bytes.length} bytes; a safetensors file starts with an 8-byte length.`,
    );
  const stated = new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true);
  const available = bytes.length - 8;
  if (stated > BigInt(Math.min(available, maxHeaderBytes)))
    throw new SafetensorsError(
      `The header claims ${stated} bytes, but the file has ${available} after the length (limit ${maxHeaderBytes}). It is truncated or not a safetensors file.`,
    );
  const headerBytes = Number(stated);
  const header = parseHeader(bytes.subarray(8, 8 + headerBytes));
  const dataStart = 8 + headerBytes;
  const metadata = new Map<string, string>();
  const tensors: TensorHeader[] = [];
  for (const [name, value] of Object.entries(header)) {
    if (name === "__metadata__") readMetadata(value, metadata);
    else tensors.push(readTensorHeader(name, value));
  }
  checkLayout(tensors, bytes.length - dataStart);
  return { tensors, metadata, dataStart };
}

function readMetadata(value: unknown, into: Map<string, string>): void {
  if (!isObject(value)) throw new SafetensorsError("__metadata__ must be an object of strings.");
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== "string")
      throw new SafetensorsError(`__metadata__ ${quote(key)} must be a string, received ${typeof text}.`);
    into.set(key, text);
  }
}

function readTensorHeader(name: string, value: unknown): TensorHeader {
  if (!isObject(value))
    throw new SafetensorsError(`Tensor ${quote(name)} must be an object with dtype, shape, data_offsets.`);
  const { dtype, shape, data_offsets: offsets } = value as Record<string, unknown>;
  const codec = codecOf(name, dtype);
  if (!isSizes(shape))
    throw new SafetensorsError(`Tensor ${quote(name)} needs a shape of whole numbers ≥ 0.`);
  if (!isSizes(offsets) || offsets.length !== 2 || offsets[1] < offsets[0])
    throw new SafetensorsError(`Tensor ${quote(name)} needs data_offsets [begin, end] with 0 ≤ begin ≤ end.`);
  const [begin, end] = offsets;
  const expected = sizeOf(name, shape) * codec.bytes;
  if (end - begin !== expected)
    throw new SafetensorsError(
      `Tensor ${quote(name)} (${dtype}, shape ${list(shape)}) needs ${expected} bytes, its data_offsets [${begin}, ${end}] hold ${end - begin}.`,
    );
  return { name, dtype: dtype as SafetensorsDType, codec, shape, begin, end };
}

/** Sorts by offset and requires that the tensors cover the data exactly: no overlap, no hole, nothing beyond the end. */
function checkLayout(tensors: TensorHeader[], dataBytes: number): void {
  tensors.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let covered = 0;
  for (const { name, begin, end } of tensors) {
    if (begin !== covered)
      throw new SafetensorsError(
        `Tensor ${quote(name)} begins at ${begin}, the one before it ends at ${covered}: ${begin < covered ? "they overlap" : "there is a hole"}.`,
      );
    if (end > dataBytes)
      throw new SafetensorsError(
        `Tensor ${quote(name)} ends at ${end}, but the file holds ${dataBytes} bytes of data: it is truncated.`,
      );
    covered = end;
  }
  if (covered !== dataBytes)
    throw new SafetensorsError(`The file holds ${dataBytes} bytes of data, its tensors cover ${covered}.`);
}

function codecOf(name: string, dtype: unknown): Codec {
  const codec = typeof dtype === "string" ? codecs.get(dtype) : undefined;
  if (codec) return codec;
  const received = typeof dtype === "string" ? quote(dtype) : dtype === null ? "null" : typeof dtype;
  throw new SafetensorsError(
    `Tensor ${quote(name)} has dtype ${received}; known are ${[...codecs.keys()].join(", ")}. Convert the file to one of them.`,
  );
}

/** Number of elements; every partial product must be countable, even if a later dimension is 0. */
function sizeOf(name: string, shape: readonly number[]): number {
  let size = 1;
  for (const length of shape) {
    size *= length;
    if (!isSize(length) || !isSize(size))
      throw new SafetensorsError(
        `Tensor ${quote(name)} has shape ${list(shape)}, which is not a countable number of elements.`,
      );
  }
  return size;
}

function checkBools(name: string, values: Uint8Array): void {
  for (let i = 0; i < values.length; i++)
    if (values[i] > 1)
      throw new SafetensorsError(
        `Tensor ${quote(name)} of dtype BOOL holds ${values[i]} at element ${i}, expected 0 or 1.`,
      );
}

/** A shape for a message, cut. */
function list(shape: readonly number[]): string {
  return shape.length > 10 ? `[${shape.slice(0, 10)}, … ${shape.length} dimensions]` : `[${shape}]`;
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every(isSize);
}

function isSize(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0 && !Object.is(value, -0);
}
