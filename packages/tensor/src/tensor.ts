/**
 * Tensor: a shape, a dtype and a window (strides, offset) onto reference-counted storage of one device. Views share
 * storage and cost nothing. Values never change except through the few operations documented as in place
 * (`assignRows`, `adamWStep`), so a tensor can be read at any time after it was made.
 *
 * Memory is given back by `dispose()`, by `using`, or by the end of the enclosing `scope` (scope.ts). Garbage
 * collection alone does not free device buffers; `device.memory()` shows what is alive.
 */
import type { Device } from "./device.ts";
import type { DType, TypedArray } from "./dtype.ts";
import { DisposedError, OutOfMemoryError, ShapeError } from "./errors.ts";
import { formatShape, formatSpec, isContiguous, type Shape, sizeOf, stridesOf } from "./shape.ts";

/** The most elements a tensor can have, repeated ones included: kernels count with 32 bits. */
const maxElements = 2 ** 32 - 1;

/** Checks that the elements of a shape can be counted. */
export function assertCountable(where: string, shape: Shape): void {
  const size = sizeOf(shape);
  if (size <= maxElements) return;
  throw new OutOfMemoryError(
    `${where}: shape ${formatShape(shape)} has ${size} elements, a tensor has at most ${maxElements}. ` +
      "Split it, for example into smaller batches.",
  );
}

/** A block of device memory shared by a tensor and its views. */
export class Storage {
  readonly device: Device;
  readonly dtype: DType;
  readonly size: number;
  /** What the device allocated: a host array or a GPU buffer. Only the device's backend looks inside. */
  readonly handle: TypedArray | GPUBuffer;
  private references = 0;

  constructor(device: Device, dtype: DType, size: number, handle: TypedArray | GPUBuffer) {
    this.device = device;
    this.dtype = dtype;
    this.size = size;
    this.handle = handle;
  }

  retain(): void {
    this.references++;
  }

  release(): void {
    this.references--;
    if (this.references === 0) this.device.free(this);
  }
}

/** A block of memory that somebody else owns and gives back: a recording. */
export class BorrowedStorage extends Storage {
  override release(): void {
    // Not ours.
  }
}

/** Memory of a number that its device keeps for good; no scope and no count sees its tensor. */
export class KeptStorage extends BorrowedStorage {}

/**
 * An n-dimensional array on one device: `shape`, `dtype`, `device`. Make one with `tensor`, `zeros`, … or with an operation;
 * read it with `await x.data()`; give it back with `dispose()`, `using` or `scope`.
 *
 * @example
 * ```ts
 * using x = tensor([[1, 2, 3], [4, 5, 6]]);
 * x; // → f32[2, 3]
 * await transpose(x).data(); // → [1, 4, 2, 5, 3, 6]
 * String(x); // → "Tensor f32[2, 3] on cpu"
 * ```
 */
export class Tensor {
  readonly shape: Shape;
  /** Steps in elements between neighbours along each dimension; 0 where a view repeats elements. */
  readonly strides: Shape;
  /** First element's place in the storage, in elements. */
  readonly offset: number;
  readonly storage: Storage;
  private alive = true;

  constructor(storage: Storage, shape: Shape, strides: Shape = stridesOf(shape), offset = 0) {
    assertCountable("view", shape);
    this.storage = storage;
    this.shape = shape;
    this.strides = strides;
    this.offset = offset;
    storage.retain();
    storage.device.tensorMade(this);
  }

  get dtype(): DType {
    return this.storage.dtype;
  }

  get device(): Device {
    return this.storage.device;
  }

  /** Number of dimensions. */
  get rank(): number {
    return this.shape.length;
  }

  /** Number of elements. */
  get size(): number {
    return sizeOf(this.shape);
  }

  get disposed(): boolean {
    return !this.alive;
  }

  /** True if the elements lie in row-major order without gaps. */
  get contiguous(): boolean {
    return isContiguous(this.shape, this.strides);
  }

  /**
   * Operations call it on each argument.
   *
   * @throws DisposedError if the memory was given back.
   * @throws DeviceError or DeviceLostError if the device is gone.
   */
  assertAlive(where: string, name = "this tensor"): void {
    if (!this.alive) {
      const own = name === "this tensor" ? "x" : name;
      throw new DisposedError(
        `${where}: ${name} is ${formatSpec(this)} on ${this.device.kind} and was disposed, expected a live tensor. ` +
          `Return it from the scope that made it: scope(() => ${own}), or call ${own}.dispose() after its last use.`,
      );
    }
    this.device.assertUsable(where);
  }

  /**
   * The elements in row-major order, copied to the host. Waits for the device.
   *
   * @throws DisposedError if the memory was given back.
   * @example
   * ```ts
   * const x = tensor([[1, 2], [3, 4]]);
   * await x.data(); // → [1, 2, 3, 4]
   * ```
   */
  data(): Promise<TypedArray> {
    this.assertAlive("data");
    this.device.assertReadable("data");
    return this.device.read(this);
  }

  /**
   * The value of a tensor with one element, as a number; booleans read as 0 and 1.
   *
   * @throws ShapeError for any other size; DisposedError if the memory was given back.
   * @example
   * ```ts
   * await sum(tensor([1, 2])).item(); // → 3
   * await tensor([1, 2]).item(); // → throws ShapeError
   * ```
   */
  item(): Promise<number> {
    this.device.assertReadable("item");
    return this.onlyElement();
  }

  private async onlyElement(): Promise<number> {
    this.assertAlive("item");
    if (this.size !== 1) {
      throw new ShapeError(
        `item: x has shape ${formatShape(this.shape)}, expected one element. Read all of them: await x.data().`,
      );
    }
    return (await this.data())[0];
  }

  /** Gives the memory back, at the latest when views of it are disposed too. Disposing twice does nothing. */
  dispose(): void {
    if (!this.alive) return;
    this.alive = false;
    this.device.tensorGone(this);
    this.storage.release();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** What `console.log` shows under Node: dtype, shape and device, not the storage. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }

  toString(): string {
    return `Tensor ${formatSpec(this)} on ${this.device.kind}`;
  }
}
