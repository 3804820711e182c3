/**
 * A device that computes nothing: it allocates, frees and counts as the webgpu device would, temporaries of kernels
 * included, so that `memory().peakBytes` after a program is what the program would take. Reading gives zeros.
 * Left out: buffers of the host's own traffic (uploads that wait, reads, kernel parameters).
 */
import type { Backend, BackendStats } from "./backends/backend.ts";
import { sizeClass } from "./backends/webgpu/buffers.ts";
import { Device } from "./device.ts";
import { allocate, type DType, type TypedArray } from "./dtype.ts";
import { DeviceError } from "./errors.ts";
import type { Op } from "./op.ts";
import { type Shape, sizeOf } from "./shape.ts";
import type { Storage, Tensor } from "./tensor.ts";

/**
 * A tensor that a program made on a planning device: what made it (an operation's name), and what it takes.
 *
 * @example
 * ```ts
 * const device = planningDevice();
 * using x = zeros([2, 3], { device });
 * const [planned]: readonly PlannedTensor[] = device.atPeak();
 * planned; // → { op: "zeros", shape: [2, 3], dtype: "f32", bytes: 24 }
 * ```
 */
export interface PlannedTensor {
  readonly op: string;
  readonly shape: Shape;
  readonly dtype: DType;
  readonly bytes: number;
}

class PlanningBackend implements Backend {
  readonly kind = "webgpu";
  readonly stats: BackendStats = { pipelines: 0, dispatches: 0, submits: 0, bindGroups: 0 };
  readonly maxTensorBytes = Number.MAX_SAFE_INTEGER;
  readonly arenaBytes = 0;
  /** Bytes of freed buffers, kept in size classes as the pool of the webgpu backend does. */
  pooledBytes = 0;
  private readonly idle = new Map<number, number>();
  private readonly nothing = new Uint8Array(0);

  supports(dtype: DType): boolean {
    return dtype !== "f64";
  }

  byteLength(dtype: DType, size: number): number {
    return size * (dtype === "f16" ? 2 : 4);
  }

  allocate(dtype: DType, size: number): TypedArray {
    const capacity = sizeClass(this.byteLength(dtype, size));
    const waiting = this.idle.get(capacity) ?? 0;
    if (waiting > 0) {
      this.idle.set(capacity, waiting - 1);
      this.pooledBytes -= capacity;
    }
    return this.nothing;
  }

  run<A>(op: Op<A>, inputs: readonly Tensor[], outputs: readonly Tensor[], attrs: A): void {
    if (!op.webgpu)
      throw new DeviceError(
        `${op.name} has no WebGPU kernel, and plans are made for those. Compute it: createDevice({ device: "cpu" }).`,
      );
    // Not for the kernels: for the temporaries that a record makes and frees beside them.
    this.stats.dispatches += op.webgpu(inputs, outputs, attrs).length;
  }

  async read({ dtype, size }: Tensor): Promise<TypedArray> {
    return allocate(dtype, size);
  }

  holds(): boolean {
    return true;
  }
  failure(): undefined {}
  free({ dtype, size }: Storage): void {
    const capacity = sizeClass(this.byteLength(dtype, size));
    this.idle.set(capacity, (this.idle.get(capacity) ?? 0) + 1);
    this.pooledBytes += capacity;
  }
  trim(): void {
    this.idle.clear();
    this.pooledBytes = 0;
  }
  zero(): void {}
  async synchronize(): Promise<void> {}
  destroy(): void {}
}

/** A tensor with its number in the order of making. */
interface Numbered {
  readonly planned: PlannedTensor;
  readonly number: number;
}

/**
 * A device that counts, and remembers what was alive at the peak; made by `planningDevice`.
 *
 * @example
 * ```ts
 * const device: PlanningDevice = planningDevice();
 * const a = zeros([10, 10], { device });
 * matmul(a, a).dispose();
 * device.atPeak().map(({ op, bytes }) => [op, bytes]); // → [["zeros", 400], ["matmul", 400]]
 * device.largestTensor?.op; // → "zeros"
 * ```
 */
export class PlanningDevice extends Device {
  /** The largest tensor since the device was made or `resetPeak()` was called. */
  largestTensor: PlannedTensor | undefined;
  private readonly living = new Map<Storage, Numbered>();
  /** Number of the last tensor that was made, and of the one that was when memory was at its peak. */
  private made = 0;
  private madeAtPeak = 0;
  /** What was alive at the peak and has been freed since. */
  private gone: Numbered[] = [];

  /** What was alive when memory was at its peak, in the order in which it was made. */
  atPeak(): readonly PlannedTensor[] {
    return [...this.living.values(), ...this.gone]
      .filter(({ number }) => number <= this.madeAtPeak)
      .sort((a, b) => a.number - b.number)
      .map(({ planned }) => planned);
  }

  override empty(shape: Shape, dtype: DType, where = "empty"): Tensor {
    return this.noted(super.empty(shape, dtype, where), where);
  }

  override fromHost(shape: Shape, dtype: DType, data: TypedArray, where = "tensor"): Tensor {
    return this.noted(super.fromHost(shape, dtype, data, where), where);
  }

  override free(storage: Storage): void {
    const freed = this.living.get(storage);
    if (freed && freed.number <= this.madeAtPeak) this.gone.push(freed);
    this.living.delete(storage);
    super.free(storage);
  }

  override resetPeak(): void {
    super.resetPeak();
    this.peaks();
    this.largestTensor = undefined;
  }

  /** What is alive now is the peak. */
  private peaks(): void {
    this.madeAtPeak = this.made;
    this.gone = [];
  }

  private noted(made: Tensor, op: string): Tensor {
    const { shape, dtype } = made;
    const planned = { op, shape, dtype, bytes: this.backend.byteLength(dtype, sizeOf(shape)) };
    this.living.set(made.storage, { planned, number: ++this.made });
    if (planned.bytes > (this.largestTensor?.bytes ?? 0)) this.largestTensor = planned;
    const { liveBytes, peakBytes } = this.memory();
    if (liveBytes === peakBytes) this.peaks();
    return made;
  }
}

/**
 * A device for planning: programs run on it without computing anything, and `memory()` says what they would take on a
 * webgpu device (f16 included): its tensors, and in `pooledBytes` about what its pool keeps. Shapes and errors are real,
 * values read back are zeros.
 *
 * @example
 * ```ts
 * const device = planningDevice();
 * const a = device.empty([50_000, 50_000], "f32"); // 10 GB that nobody has
 * matmul(a, a).dispose();
 * device.memory().peakBytes; // → 20000000000
 * ```
 */
export function planningDevice(): PlanningDevice {
  return new PlanningDevice(new PlanningBackend(), {
    kind: "webgpu",
    driver: "none",
    adapterName: "planning: computes nothing",
    why: "webgpu: planned, not computed",
    features: ["shader-f16"],
    limits: {},
  });
}
