/**
 * The header of `.safetensors`: 8 bytes little-endian length, a JSON object
 * `{name: {dtype, shape, data_offsets: [begin, end]}, "__metadata__"?: {string: string}}`, padded with spaces to a
 * multiple of 8. Format: https://github.com/huggingface/safetensors (README, "Format"). Headers may come from strangers,
 * so lengths, offsets (no overlap, no hole), shapes and names are checked before anything large is allocated.
 * Left out: the data (safetensors.ts, folder/), the f8 dtypes.
 */
import { SafetensorsError } from "./errors.ts";
import { isObject, parseObject, quote } from "./safetensors-json.ts";

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

const bytesOf: ReadonlyMap<string, number> = new Map<SafetensorsDType, number>([
  ["F64", 8],
  ["F32", 4],
  ["F16", 2],
  ["BF16", 2],
  ["I64", 8],
  ["I32", 4],
  ["I16", 2],
  ["I8", 1],
  ["U64", 8],
  ["U32", 4],
  ["U16", 2],
  ["U8", 1],
  ["BOOL", 1],
]);

/** The official library's limit: a longer header is an attack or a broken file. */
const maxHeaderBytes = 100_000_000;

/** A header is an object of tensors, those are objects, and their shapes arrays. */
const maxHeaderDepth = 3;

/** One tensor of a header: its data are the bytes [begin, end) after the header. */
export type TensorHeader = {
  readonly name: string;
  readonly dtype: SafetensorsDType;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
};

/**
 * Length of the header, from the first bytes of a file of `fileBytes`.
 *
 * @throws SafetensorsError if the file can not hold a header of the stated length
 */
export function headerLength(start: Uint8Array, fileBytes: number): number {
  if (fileBytes < 8)
    throw new SafetensorsError(
      `The file has ${fileBytes} bytes; a safetensors file starts with an 8-byte length.`,
    );
  const stated = new DataView(start.buffer, start.byteOffset, 8).getBigUint64(0, true);
  const available = fileBytes - 8;
  if (stated > BigInt(Math.min(available, maxHeaderBytes)))
    throw new SafetensorsError(
      `The header claims ${stated} bytes, but the file has ${available} after the length (limit ${maxHeaderBytes}). It is truncated or not a safetensors file.`,
    );
  return Number(stated);
}

/**
 * The tensors of a header in the order of their data, and its `__metadata__`.
 *
 * @param header its bytes, without the length before them
 * @param dataBytes length of what follows the header
 * @throws SafetensorsError if tensors are malformed, overlap, leave holes or do not fill the data
 */
export function readHeader(header: Uint8Array, dataBytes: number) {
  const metadata = new Map<string, string>();
  const tensors: TensorHeader[] = [];
  for (const [name, value] of Object.entries(parseObject(header, "The header", maxHeaderDepth))) {
    if (name === "__metadata__") readMetadata(value, metadata);
    else tensors.push(readTensorHeader(name, value));
  }
  checkLayout(tensors, dataBytes);
  return { tensors, metadata };
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
  const bytes = elementBytes(name, dtype);
  if (!isSizes(shape))
    throw new SafetensorsError(`Tensor ${quote(name)} needs a shape of whole numbers ≥ 0.`);
  if (!isSizes(offsets) || offsets.length !== 2 || offsets[1] < offsets[0])
    throw new SafetensorsError(`Tensor ${quote(name)} needs data_offsets [begin, end] with 0 ≤ begin ≤ end.`);
  const [begin, end] = offsets;
  const expected = sizeOf(name, shape) * bytes;
  if (end - begin !== expected)
    throw new SafetensorsError(
      `Tensor ${quote(name)} (${dtype}, shape ${list(shape)}) needs ${expected} bytes, its data_offsets [${begin}, ${end}] hold ${end - begin}.`,
    );
  return { name, dtype: dtype as SafetensorsDType, shape, begin, end };
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

/**
 * Bytes per element of a dtype in a file.
 *
 * @throws SafetensorsError for one that is not known
 */
export function elementBytes(name: string, dtype: unknown): number {
  const bytes = typeof dtype === "string" ? bytesOf.get(dtype) : undefined;
  if (bytes) return bytes;
  const received = typeof dtype === "string" ? quote(dtype) : dtype === null ? "null" : typeof dtype;
  throw new SafetensorsError(
    `Tensor ${quote(name)} has dtype ${received}; known are ${[...bytesOf.keys()].join(", ")}. Convert the file to one of them.`,
  );
}

/** Number of elements; every partial product must be countable, even if a later dimension is 0. */
export function sizeOf(name: string, shape: readonly number[]): number {
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

/** What a header says of a tensor before its place is known. */
export type TensorSpec = Pick<TensorHeader, "name" | "dtype" | "shape">;

/** Sorts as the official library does, widest elements first, then by name: data stays aligned, bytes reproducible. */
export function inFileOrder<T extends TensorSpec>(tensors: readonly T[]): T[] {
  const width = (t: T) => elementBytes(t.name, t.dtype);
  return [...tensors].sort((a, b) => width(b) - width(a) || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}

/**
 * The bytes before the data: length, header, padding.
 *
 * @param tensors in the order of their data
 * @throws SafetensorsError if a name is repeated or reserved, or metadata is no string
 */
export function writeHeader(
  tensors: readonly TensorSpec[],
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  const header = new Map<string, unknown>();
  for (const [key, text] of Object.entries(metadata))
    if (typeof text !== "string")
      throw new SafetensorsError(
        `__metadata__ ${quote(key)} must be a string, received ${typeof text}. Write it with String or JSON.stringify.`,
      );
  if (Object.keys(metadata).length > 0) header.set("__metadata__", metadata);
  let offset = 0;
  for (const { name, dtype, shape } of tensors) {
    if (name === "__metadata__")
      throw new SafetensorsError('"__metadata__" is reserved for strings; give the tensor another name.');
    if (header.has(name))
      throw new SafetensorsError(`Tensor ${quote(name)} is given twice; names must be distinct.`);
    const end = offset + sizeOf(name, shape) * elementBytes(name, dtype);
    header.set(name, { dtype, shape, data_offsets: [offset, end] });
    offset = end;
  }
  // Built by hand, since an object literal would swallow a tensor named __proto__.
  const json = `{${[...header].map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(",")}}`;
  const text = new TextEncoder().encode(json);
  const bytes = new Uint8Array(8 + Math.ceil(text.length / 8) * 8);
  bytes.fill(0x20, 8); // the format pads the header with spaces
  new DataView(bytes.buffer).setBigUint64(0, BigInt(bytes.length - 8), true);
  bytes.set(text, 8);
  return bytes;
}

/** A shape for a message, cut. */
export function list(shape: readonly number[]): string {
  return shape.length > 10 ? `[${shape.slice(0, 10)}, … ${shape.length} dimensions]` : `[${shape}]`;
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every(isSize);
}

function isSize(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0 && !Object.is(value, -0);
}
