/**
 * A device that computes nothing: it allocates, frees and counts as the webgpu device would, temporaries of kernels
 * included, so that `memory().peakBytes` after a program is what the program would take. Reading gives zeros.
 */
import type { Backend, BackendStats } from "./backends/backend.ts";
import { Device } from "./device.ts";
import { allocate, type DType, type TypedArray } from "./dtype.ts";
import { DeviceError } from "./errors.ts";
import type { Op } from "./op.ts";
import type { Tensor } from "./tensor.ts";

class PlanningBackend implements Backend {
  readonly kind = "webgpu";
  readonly stats: BackendStats = { pipelines: 0, dispatches: 0, submits: 0, bindGroups: 0 };
  readonly maxTensorBytes = Number.MAX_SAFE_INTEGER;
  readonly pooledBytes = 0;
  private readonly nothing = new Uint8Array(0);

  supports(dtype: DType): boolean {
    return dtype !== "f64";
  }

  byteLength(dtype: DType, size: number): number {
    return size * (dtype === "f16" ? 2 : 4);
  }

  allocate(): TypedArray {
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

  failure(): undefined {}
  free(): void {}
  trim(): void {}
  copy(): void {}
  zero(): void {}
  async synchronize(): Promise<void> {}
  destroy(): void {}
}

/**
 * A device for planning: programs run on it without computing anything, and `memory()` says what they would take on a
 * webgpu device (f16 included). Shapes and errors are real, values read back are zeros.
 *
 * @example
 * ```ts
 * const device = planningDevice();
 * const a = device.empty([50_000, 50_000], "f32"); // 10 GB that nobody has
 * matmul(a, a).dispose();
 * device.memory().peakBytes; // → 20000000000
 * ```
 */
export function planningDevice(): Device {
  return new Device(new PlanningBackend(), {
    kind: "webgpu",
    driver: "none",
    adapterName: "planning: computes nothing",
    why: "webgpu: planned, not computed",
    features: ["shader-f16"],
    limits: {},
  });
}
