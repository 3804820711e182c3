/**
 * Device: one backend with its memory accounting. `init()` picks one and makes it the default (init.ts).
 */
import type { Backend, BackendStats } from "./backends/backend.ts";
import type { DType, TypedArray } from "./dtype.ts";
import { DeviceError, DTypeError } from "./errors.ts";
import { register } from "./scope.ts";
import { type Shape, sizeOf } from "./shape.ts";
import { Storage, Tensor } from "./tensor.ts";

/** Bytes and tensors alive on a device. */
export interface MemoryReport {
  /** Bytes held by tensors now. */
  liveBytes: number;
  /** The most `liveBytes` has been since the device was made or `resetPeak()` was called. */
  peakBytes: number;
  /** Tensors (views included) not yet disposed. */
  liveTensors: number;
}

/** What was chosen and why; see `init`. */
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

/** Where tensors live and operations run. */
export class Device {
  readonly backend: Backend;
  readonly report: DeviceReport;
  private liveBytes = 0;
  private peakBytes = 0;
  private liveTensors = 0;
  private origins: Map<Tensor, string> | undefined;
  private destroyed = false;

  constructor(backend: Backend, report: DeviceReport) {
    this.backend = backend;
    this.report = report;
  }

  get kind(): "cpu" | "webgpu" {
    return this.backend.kind;
  }

  /** A tensor with undefined contents; operations fill it. */
  empty(shape: Shape, dtype: DType): Tensor {
    return this.make(shape, dtype);
  }

  /** A tensor holding `data` (already of the right type and length). */
  fromHost(shape: Shape, dtype: DType, data: TypedArray): Tensor {
    return this.make(shape, dtype, data);
  }

  private make(shape: Shape, dtype: DType, data?: TypedArray): Tensor {
    if (this.destroyed) {
      throw new DeviceError(`This ${this.kind} device was destroyed. Call init() for a new one.`);
    }
    if (!this.backend.supports(dtype)) {
      throw new DTypeError(missingDType(dtype, this.kind));
    }
    const size = sizeOf(shape);
    const storage = new Storage(this, dtype, size, this.backend.allocate(dtype, size, data));
    this.liveBytes += this.backend.byteLength(dtype, size);
    this.peakBytes = Math.max(this.peakBytes, this.liveBytes);
    return new Tensor(storage, shape);
  }

  /** Called when the last tensor of a storage is disposed. */
  free(storage: Storage): void {
    this.liveBytes -= this.backend.byteLength(storage.dtype, storage.size);
    if (!this.destroyed) this.backend.free(storage);
  }

  tensorMade(tensor: Tensor): void {
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
    return { liveBytes: this.liveBytes, peakBytes: this.peakBytes, liveTensors: this.liveTensors };
  }

  /** Starts a new peak at what is alive now. */
  resetPeak(): void {
    this.peakBytes = this.liveBytes;
  }

  /**
   * Records where tensors are made from now on (slow: a stack trace each). The returned function lists those still
   * alive, most frequent line first, and stops recording.
   *
   * @example
   * ```ts
   * const leaks = device.trackLeaks();
   * trainStep();
   * console.log(leaks()); // [{ line: "train.ts:31:14", count: 2 }]
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

  async read(tensor: Tensor): Promise<TypedArray> {
    if (tensor.contiguous) return this.backend.read(tensor);
    const packed = this.empty(tensor.shape, tensor.dtype);
    try {
      this.backend.copy(tensor, packed);
      return await this.backend.read(packed);
    } finally {
      packed.dispose();
    }
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
  if (dtype !== "f16")
    return (
      `dtype ${dtype} is not available on the ${kind} device. ` +
      'Use dtype "f32", or createDevice({ device: "cpu" }) for f64.'
    );
  const missing =
    kind === "cpu" ? "which computes in f32 and f64" : 'whose adapter lacks the feature "shader-f16"';
  return `dtype f16 is not available on this ${kind} device, ${missing}. Use dtype "f32".`;
}

/** The first stack line outside this package: the user's line that made a tensor. */
export function callerLine(): string {
  const lines = (new Error().stack ?? "").split("\n").slice(3);
  const outside = lines.find((l) => !/[\\/]tensor[\\/](src|dist)[\\/]/.test(l)) ?? lines.at(-1) ?? "";
  return outside.trim().replace(/^at /, "");
}

let current: Device | undefined;

/** The device that creation functions use when none is named. Throws `DeviceError` before `init()`. */
export function defaultDevice(): Device {
  if (!current) throw new DeviceError("No device yet. Call `await init()` once before making tensors.");
  return current;
}

/** Makes `device` the one that creation functions use; returns the previous one. */
export function setDefaultDevice(device: Device | undefined): Device | undefined {
  const previous = current;
  current = device;
  return previous;
}
