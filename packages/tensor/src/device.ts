/**
 * Device: one backend with its memory accounting. `init()` picks one and makes it the default (init.ts).
 */
import type { Backend, BackendStats, Runner } from "./backends/backend.ts";
import { callerLine } from "./caller.ts";
import { activeRecording } from "./capture/active.ts";
import { allocate, type DType, type TypedArray } from "./dtype.ts";
import { CaptureError, DeviceError, DTypeError, OutOfMemoryError } from "./errors.ts";
import { copyInto } from "./ops/copy.ts";
import { register } from "./scope.ts";
import { formatShape, type Shape, sizeOf } from "./shape.ts";
import { assertCountable, KeptStorage, Storage, Tensor } from "./tensor.ts";

/**
 * Bytes and tensors alive on a device, from `device.memory()`.
 * @example
 * ```ts
 * const device = await createDevice({ device: "cpu" });
 * using x = zeros([2, 3], { device });
 * const memory: MemoryReport = device.memory();
 * memory.liveBytes; // → 24
 * ```
 */
export interface MemoryReport {
  /** Bytes of the elements that tensors hold now (views share those of their base), and of the temporaries of captures. */
  liveBytes: number;
  /** The most `liveBytes` has been since the device was made or `resetPeak()` was called. */
  peakBytes: number;
  /** Tensors (views included) not yet disposed. */
  liveTensors: number;
  /** Bytes of freed GPU buffers kept for the next tensors (0 on cpu); `device.trim()` gives them back. */
  pooledBytes: number;
}

/**
 * What was chosen and why; see `init`.
 * @example
 * ```ts
 * const report: DeviceReport = (await createDevice({ device: "cpu" })).report;
 * report.driver; // → "none"
 * ```
 */
export interface DeviceReport {
  kind: "cpu" | "webgpu";
  /** `hardware`, `lavapipe`, `swiftshader` or `none` (the cpu device). */
  driver: string;
  adapterName: string;
  /** One line saying why this device was chosen. */
  why: string;
  features: readonly string[];
  limits: Readonly<Record<string, number>>;
}

/** Numbers of one dtype that a device keeps: more than programs write down. */
const maxNumbers = 256;

/**
 * Where tensors live and operations run: one backend with its memory accounting. Made by `init` and `createDevice`.
 * @example
 * ```ts
 * const device = await createDevice({ device: "cpu" });
 * using x = ones([4], { device });
 * device.memory().liveTensors; // → 1
 * device.kind; // → "cpu"
 * ```
 */
export class Device {
  readonly backend: Backend;
  readonly report: DeviceReport;
  /** The numbers that operations were given, by dtype. */
  private readonly numbers = new Map<DType, Map<number, Tensor>>();
  private liveBytes = 0;
  private peakBytes = 0;
  private liveTensors = 0;
  private origins: Map<Tensor, string> | undefined;
  private destroyed = false;

  constructor(backend: Backend, report: DeviceReport) {
    this.backend = backend;
    this.report = report;
  }

  /** What runs operations here: the backend, or while a function is captured, what takes them down. */
  get runner(): Runner {
    return activeRecording()?.runner(this) ?? this.backend;
  }

  get kind(): "cpu" | "webgpu" {
    return this.backend.kind;
  }

  /** A tensor with undefined contents; operations fill it. `where` names the caller in errors. */
  empty(shape: Shape, dtype: DType, where = "empty"): Tensor {
    return this.make(where, shape, dtype);
  }

  /** A tensor holding `data` (already of the right type and length). `where` names the caller in errors. */
  fromHost(shape: Shape, dtype: DType, data: TypedArray, where = "tensor"): Tensor {
    return this.make(where, shape, dtype, data);
  }

  /** One number as a tensor beside others in an operation: kept for the next time, so neither write to it nor dispose it. */
  scalar(value: number, dtype: DType): Tensor {
    // −0 is found as 0, and so is stored as it.
    const data = () => allocate(dtype, 1).fill(value === 0 ? 0 : dtype === "bool" ? 1 : value);
    if (activeRecording()) return this.fromHost([], dtype, data());
    const kept = this.numbers.get(dtype) ?? new Map<number, Tensor>();
    this.numbers.set(dtype, kept);
    const known = kept.get(value);
    if (known && !known.disposed && this.backend.holds(known.storage)) return known;
    if (kept.size >= maxNumbers) return this.fromHost([], dtype, data());
    const made = new Tensor(new KeptStorage(this, dtype, 1, this.backend.allocate(dtype, 1, data())), []);
    kept.set(value, made);
    return made;
  }

  /**
   * Checks that a tensor of this size can exist here, before anything is allocated.
   *
   * @throws OutOfMemoryError if it exceeds what one tensor can have on this device.
   */
  assertFits(where: string, shape: Shape, dtype: DType): void {
    assertCountable(where, shape);
    const bytes = this.backend.byteLength(dtype, sizeOf(shape));
    if (bytes <= this.backend.maxTensorBytes) return;
    const [whose, what] = this.kind === "cpu" ? ["the cpu device's", "array"] : ["this adapter's", "binding"];
    throw new OutOfMemoryError(
      `${where}: a tensor ${dtype}${formatShape(shape)} of ${bytes} bytes exceeds ${whose} limit of ` +
        `${this.backend.maxTensorBytes} bytes for one ${what}. Split it, for example into smaller batches.`,
    );
  }

  /**
   * Checks that the device still works.
   *
   * @throws DeviceError after `destroy()`.
   * @throws DeviceLostError if the GPU went away.
   */
  assertUsable(where: string): void {
    if (this.destroyed) {
      throw new DeviceError(
        `${where}: this ${this.kind} device was destroyed. Call init() for a new one, and make its tensors there.`,
      );
    }
    const failure = this.backend.failure(where);
    if (failure) throw failure;
  }

  private make(where: string, shape: Shape, dtype: DType, data?: TypedArray): Tensor {
    this.assertUsable(where);
    if (!this.backend.supports(dtype)) {
      throw new DTypeError(`${where}: ${missingDType(dtype, this.kind)}`);
    }
    this.assertFits(where, shape, dtype);
    const size = sizeOf(shape);
    const recording = activeRecording();
    if (recording) return new Tensor(recording.storage(this, dtype, size, data), shape);
    const allocation = () => this.backend.allocate(dtype, size, data);
    const storage = new Storage(this, dtype, size, this.allocating(where, dtype, size, allocation));
    this.liveBytes += this.backend.byteLength(dtype, size);
    this.notePeak();
    return new Tensor(storage, shape);
  }

  /** Runs `allocation` of a tensor's memory and says in this package's words when there is none. */
  allocating<R>(where: string, dtype: DType, size: number, allocation: () => R): R {
    try {
      return allocation();
    } catch (error) {
      // JavaScript's word for an array that it can not hold.
      if (!(error instanceof RangeError)) throw error;
      throw new OutOfMemoryError(
        `${where}: no memory for ${this.backend.byteLength(dtype, size)} bytes (${error.message}). ` +
          "Use smaller batches, or give tensors back earlier with scope(() => …) or dispose().",
        { cause: error },
      );
    }
  }

  /** Counts what is alive now into the peak. */
  notePeak(): void {
    this.peakBytes = Math.max(this.peakBytes, this.heldBytes);
  }

  private get heldBytes(): number {
    return this.liveBytes + (this.destroyed ? 0 : this.backend.arenaBytes);
  }

  /** Called when the last tensor of a storage is disposed. */
  free(storage: Storage): void {
    this.liveBytes -= this.backend.byteLength(storage.dtype, storage.size);
    if (!this.destroyed) this.backend.free(storage);
  }

  tensorMade(tensor: Tensor): void {
    if (tensor.storage instanceof KeptStorage) return;
    this.liveTensors++;
    this.origins?.set(tensor, callerLine());
    register(tensor);
  }

  tensorGone(tensor: Tensor): void {
    this.liveTensors--;
    this.origins?.delete(tensor);
  }

  /** Live and peak memory. */
  memory(): MemoryReport {
    return {
      liveBytes: this.heldBytes,
      peakBytes: this.peakBytes,
      liveTensors: this.liveTensors,
      pooledBytes: this.destroyed ? 0 : this.backend.pooledBytes,
    };
  }

  /**
   * Gives back the freed buffers that are kept for the next tensors (`memory().pooledBytes`); worth a call after the
   * largest piece of work, when other programs need the GPU.
   */
  trim(): void {
    if (!this.destroyed) this.backend.trim();
  }

  /** Starts a new peak at what is alive now. */
  resetPeak(): void {
    this.peakBytes = this.heldBytes;
  }

  /**
   * Records where tensors are made from now on (slow: a stack trace each). The returned function lists those still
   * alive, most frequent line first, and stops recording.
   *
   * @example
   * ```ts
   * const leaks = defaultDevice().trackLeaks();
   * const forgotten = ones([2]);
   * const found = leaks(); // [{ line: "/home/me/train.ts:31:14", count: 1 }]
   * found.length; // → 1
   * ```
   */
  trackLeaks(): () => { line: string; count: number }[] {
    const origins = new Map<Tensor, string>();
    this.origins = origins;
    return () => {
      if (this.origins === origins) this.origins = undefined;
      const counts = new Map<string, number>();
      for (const line of origins.values()) counts.set(line, (counts.get(line) ?? 0) + 1);
      return [...counts].map(([line, count]) => ({ line, count })).sort((a, b) => b.count - a.count);
    };
  }

  /** Work done so far. */
  stats(): BackendStats {
    return { ...this.backend.stats };
  }

  /** The elements of a tensor in row-major order, on the host. */
  async read(tensor: Tensor): Promise<TypedArray> {
    if (tensor.contiguous) return this.backend.read(tensor);
    const packed = this.empty(tensor.shape, tensor.dtype);
    try {
      copyInto(tensor, packed);
      return await this.backend.read(packed);
    } finally {
      packed.dispose();
    }
  }

  /**
   * Checks that there are numbers to read: while a function is captured, nothing is computed.
   *
   * @throws CaptureError inside a capture. At once, not as a rejection, which nobody there would await.
   */
  assertReadable(where: string): void {
    if (!activeRecording()) return;
    throw new CaptureError(
      `${where}: a function is being captured, expected nothing to be read: it runs later, again and again. ` +
        "Return the tensor and read it outside: const y = step(x); await y.data().",
    );
  }

  /** Waits until everything asked for so far is computed. */
  synchronize(): Promise<void> {
    return this.backend.synchronize();
  }

  /** Gives all memory back. Tensors of this device can not be used afterwards. */
  destroy(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.backend.destroy();
    if (current === this) current = undefined;
  }
}

/** Says why a device of `kind` can not hold `dtype`, and what to use. */
function missingDType(dtype: DType, kind: "cpu" | "webgpu"): string {
  if (dtype === "f64") {
    return (
      `dtype is f64, expected f32, i32, u32 or bool on the ${kind} device. ` +
      'Use { dtype: "f32" }, or the device that has doubles: createDevice({ device: "cpu" }).'
    );
  }
  if (dtype !== "f16") {
    return `dtype is ${JSON.stringify(dtype)}, expected "f32", "f64", "f16", "i32", "u32" or "bool". Use { dtype: "f32" }.`;
  }
  const missing =
    kind === "cpu" ? "which computes in f32 and f64" : 'whose adapter lacks the feature "shader-f16"';
  return `dtype is f16, expected another on this ${kind} device, ${missing}. Use { dtype: "f32" }.`;
}

let current: Device | undefined;

/**
 * The device that creation functions use when none is named: that of the last `init()`.
 *
 * @throws DeviceError before `init()`, and after that device was destroyed.
 * @example
 * ```ts
 * defaultDevice() === zeros([1]).device; // → true
 * ```
 */
export function defaultDevice(): Device {
  if (!current) {
    throw new DeviceError(
      "init: there is no device yet, expected one before the first tensor. Call it once: await init().",
    );
  }
  return current;
}

/**
 * Makes `device` the one that creation functions use (`undefined`: none); returns the previous one.
 *
 * @example
 * ```ts
 * const device = await createDevice({ device: "cpu" });
 * const previous = setDefaultDevice(device);
 * zeros([1]).device === device; // → true
 * setDefaultDevice(previous) === device; // → true
 * ```
 */
export function setDefaultDevice(device: Device | undefined): Device | undefined {
  const previous = current;
  current = device;
  return previous;
}
