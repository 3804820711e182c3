/**
 * What a captured function is called with: the tensors and live scalars among its inputs, which may differ from call to
 * call, and a signature of all else. Calls of one signature share a recording.
 */
import { CaptureError } from "../errors.ts";
import { LiveScalar } from "../live.ts";
import type { Storage, Tensor } from "../tensor.ts";
import { isRecord, isTensor } from "../tree.ts";

/** The inputs of one call. */
export interface Call {
  /** Names shapes, dtypes, layouts, structure, and the values of what is neither tensor nor live scalar. */
  readonly signature: string;
  readonly tensors: readonly Tensor[];
  readonly scalars: readonly LiveScalar[];
  /** The memory of the tensors, each once. */
  readonly storages: readonly Storage[];
}

const identities = new WeakMap<object, number>();
let objects = 0;

/** Objects of classes, functions and devices are told apart by which they are. */
function identity(value: object): number {
  const known = identities.get(value);
  if (known !== undefined) return known;
  objects++;
  identities.set(value, objects);
  return objects;
}

/** The bytes of an array, as text. */
export function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): string {
  return new Uint8Array(buffer, byteOffset, byteLength).join();
}

/** Reads the inputs of a call. */
export function readCall(inputs: readonly unknown[]): Call {
  const tensors: Tensor[] = [];
  const scalars: LiveScalar[] = [];
  const storages: Storage[] = [];
  const places = new Map<Storage, number>();
  const placeOf = (storage: Storage) => {
    const known = places.get(storage);
    if (known !== undefined) return known;
    const place = storages.push(storage) - 1;
    places.set(storage, place);
    return place;
  };
  const around = new Set<unknown>();
  const within = (value: object, path: string, text: () => string) => {
    if (around.has(value))
      throw new CaptureError(
        `capture: ${path} is what it lies in, expected inputs that end. Leave out the reference back.`,
      );
    around.add(value);
    const found = text();
    around.delete(value);
    return found;
  };
  const name = (value: unknown, path: string): string => {
    if (isTensor(value)) {
      value.assertAlive("capture", path);
      tensors.push(value);
      const { dtype, shape, strides, offset, storage } = value;
      return `${dtype}[${shape}|${strides}|${offset}]${placeOf(storage)}:${storage.size}`;
    }
    if (value instanceof LiveScalar) return `live${scalars.push(value)}`;
    if (Array.isArray(value))
      return within(value, path, () => `[${value.map((v, i) => name(v, `${path}[${i}]`)).join()}]`);
    if (isRecord(value)) {
      const named = ([k, v]: [string, unknown]) => `${JSON.stringify(k)}:${name(v, `${path}.${k}`)}`;
      return within(value, path, () => `{${Object.entries(value).map(named).join()}}`);
    }
    // By their bytes: as text, −0 is 0, a DataView is nothing, and a Buffer may be letters.
    if (ArrayBuffer.isView(value)) return `${value.constructor.name}(${bytesOf(value)})`;
    if (typeof value === "string") return JSON.stringify(value);
    if ((typeof value === "object" && value !== null) || typeof value === "function")
      return `#${identity(value)}`;
    return Object.is(value, -0) ? "-0" : `${typeof value}:${String(value)}`;
  };
  const signature = inputs.map((value, i) => name(value, `input ${i}`)).join();
  return { signature, tensors, scalars, storages };
}

/** The inputs with each tensor and live scalar replaced, in the order of `readCall`. */
export function withStandIns<A extends readonly unknown[]>(
  inputs: A,
  tensorOf: (tensor: Tensor) => Tensor,
  scalarOf: (scalar: LiveScalar) => LiveScalar,
): A {
  const walk = (value: unknown): unknown => {
    if (isTensor(value)) return tensorOf(value);
    if (value instanceof LiveScalar) return scalarOf(value);
    if (Array.isArray(value)) return value.map(walk);
    if (isRecord(value)) return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, walk(v)]));
    return value;
  };
  // NOTE: the walk keeps the structure, which the compiler can not see.
  return walk(inputs) as A;
}
