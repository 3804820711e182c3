/**
 * Tensors from disk to the device and back in pieces of whole rows, so that the host never holds more than a piece: of
 * Qwen3 0.6B's embedding, 311 MB in bf16, 16 MiB at a time.
 */
import { assignRows, type Device, type DType, scope, slice, type Tensor, tensor } from "@pact/tensor";
import { ParameterError } from "../errors.ts";
import { decode, encode } from "../safetensors.ts";
import { elementBytes, type SafetensorsDType } from "../safetensors-header.ts";
import type { StoredTensor, TensorReader } from "./read.ts";

/** Element types of weights in files. */
export type StoredDType = "F32" | "F64" | "F16" | "BF16";

/** Elements in flight: 16 MiB as f32. A longer row goes in one piece. */
const pieceElements = 2 ** 22;

/** The smallest magnitude that rounds to infinity: the largest number and half a step more. */
const tooLarge: Readonly<Record<StoredDType, number>> = {
  F16: 65520,
  BF16: (2 - 2 ** -8) * 2 ** 127,
  F32: (2 - 2 ** -24) * 2 ** 127,
  F64: Number.POSITIVE_INFINITY,
};
const stored: Readonly<Partial<Record<DType, StoredDType>>> = { f16: "F16", f32: "F32", f64: "F64" };

/** Cuts the rows of a tensor: [from, to) along its first axis; one piece where it has fewer than two axes. */
function* pieces(shape: readonly number[]): Generator<[from: number, to: number]> {
  const rows = shape[0] ?? 1;
  const width = shape.slice(1).reduce((a, b) => a * b, 1);
  const step = shape.length < 2 ? rows : Math.max(1, Math.floor(pieceElements / Math.max(1, width)));
  for (let from = 0; from < rows; from += step) yield [from, Math.min(rows, from + step)];
}

/**
 * Brings one tensor to the device. `onBytes` hears of every piece.
 *
 * @throws ParameterError for a finite number beyond the range of `dtype`
 */
export async function loadTensor(
  reader: TensorReader,
  source: StoredTensor,
  { dtype, device }: { dtype: DType; device: Device },
  onBytes: (bytes: number) => void,
): Promise<Tensor> {
  const { name, shape } = source;
  const target = device.empty(shape, dtype, "loadModel");
  try {
    const [rows = 1] = shape;
    const rowBytes = rows === 0 ? 0 : source.bytes / rows;
    for (const [from, to] of pieces(shape)) {
      const raw = new Uint8Array((to - from) * rowBytes);
      await reader.read(source, from * rowBytes, raw);
      const values = decode(source.dtype, raw.buffer) as Float32Array | Float64Array;
      requireRange(name, values, stored[dtype] ?? "F32");
      scope(() => {
        const piece = tensor(values, { shape: [to - from, ...shape.slice(1)], dtype, device });
        assignRows(
          target,
          Int32Array.from({ length: to - from }, (_, i) => from + i),
          piece,
        );
      });
      await device.synchronize(); // or the queue would hold every piece at once
      onBytes(raw.length);
    }
    return target;
  } catch (error) {
    target.dispose();
    throw error;
  }
}

/**
 * The bytes of a tensor as a file stores them, rounded to nearest, ties to even.
 *
 * @throws ParameterError for a finite number beyond the range of `dtype`
 */
export async function* tensorBytes(
  name: string,
  source: Tensor,
  dtype: StoredDType,
): AsyncGenerator<Uint8Array> {
  const { shape } = source;
  for (const [from, to] of pieces(shape)) {
    const rest = shape.slice(1);
    const whole = from === 0 && to === (shape[0] ?? 1);
    const part = whole ? source : slice(source, [from, ...rest.map(() => 0)], [to, ...rest]);
    try {
      const values = await part.data();
      requireRange(name, values, dtype);
      yield encode(dtype, dtype === "F64" ? Float64Array.from(values) : toF32(values));
    } finally {
      if (!whole) part.dispose();
    }
  }
}

/** Bytes that a tensor takes in a file. */
export function storedBytes(size: number, dtype: SafetensorsDType): number {
  return size * elementBytes("", dtype);
}

function toF32(values: ArrayLike<number>): Float32Array {
  return values instanceof Float32Array ? values : Float32Array.from(values);
}

function requireRange(name: string, values: ArrayLike<number>, dtype: StoredDType): void {
  const limit = tooLarge[dtype];
  for (let i = 0; i < values.length; i++) {
    const size = Math.abs(values[i]);
    if (size >= limit && size !== Number.POSITIVE_INFINITY)
      throw new ParameterError(
        `"${name}" holds ${values[i]}, which ${dtype} can not hold (it would become infinite). Use a wider dtype, for example f32.`,
      );
  }
}
