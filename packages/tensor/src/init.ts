/**
 * Choosing a device. `auto` takes the best WebGPU adapter (hardware, then lavapipe, then SwiftShader; see
 * backends/webgpu/adapter.ts) and falls back to the plain-TypeScript cpu device.
 */
import { describe } from "./arguments.ts";
import { CpuBackend } from "./backends/cpu.ts";
import { acquireAdapter, holdDevice } from "./backends/webgpu/adapter.ts";
import { WebGpuBackend } from "./backends/webgpu/backend.ts";
import { Device, setDefaultDevice } from "./device.ts";
import { DeviceError, ValueError } from "./errors.ts";

/**
 * What `init` and `createDevice` take.
 * @example
 * ```ts
 * const lines: string[] = [];
 * const options: InitOptions = { device: "cpu", log: (line) => lines.push(line) };
 * await createDevice(options);
 * lines; // → ["cpu: asked for"]
 * ```
 */
export interface InitOptions {
  /** Default `auto`. */
  device?: "auto" | "webgpu" | "cpu";
  /** Receives one line that says what was chosen and why. */
  log?: (line: string) => void;
  /**
   * Told whenever a pipeline has been built, of how many asked for so far: what a first training step waits for, many
   * seconds on software adapters.
   */
  onPipeline?: (built: number, asked: number) => void;
}

function cpuDevice(why: string): Device {
  return new Device(new CpuBackend(), {
    kind: "cpu",
    driver: "none",
    adapterName: "plain TypeScript",
    why,
    features: [],
    limits: {},
  });
}

/**
 * A device without making it the default; for programs that use several. Tensors of two devices do not mix.
 *
 * @throws DeviceError if `webgpu` is asked for and no adapter is found; ValueError for another name.
 * @example
 * ```ts
 * const device = await createDevice({ device: "cpu" });
 * zeros([2], { device, dtype: "f64" }); // → f64[2]
 * await createDevice({ device: "gpu" as "cpu" }); // → throws ValueError
 * ```
 */
export async function createDevice(options: InitOptions = {}): Promise<Device> {
  const wanted = options.device ?? "auto";
  if (!["auto", "webgpu", "cpu"].includes(wanted)) {
    throw new ValueError(
      `init: device is ${describe(wanted)}, expected "auto", "webgpu" or "cpu". Let it choose: init({ device: "auto" }).`,
    );
  }
  let device: Device;
  if (wanted === "cpu") device = cpuDevice("cpu: asked for");
  else {
    const found = await acquireAdapter();
    const { report } = found;
    if (found.adapter) {
      const { adapter } = found;
      const gpu = holdDevice(
        await adapter.requestDevice({
          requiredLimits: usefulLimits(adapter.limits, found.gpu.wgslLanguageFeatures),
          requiredFeatures: usefulFeatures.filter((name) => adapter.features.has(name)),
        }),
      );
      device = new Device(new WebGpuBackend(gpu, options.onPipeline), {
        kind: "webgpu",
        driver: report.driver,
        adapterName: report.adapterName,
        why: report.why,
        features: report.features,
        limits: report.limits,
      });
    } else if (wanted === "webgpu") {
      const fixes = report.missing.map((m) => `${m.what}: ${m.command}`).join("; ");
      throw new DeviceError(
        `init: no WebGPU adapter (${report.why}). ${fixes || 'Use init({ device: "cpu" }).'}`,
      );
    } else device = cpuDevice(`cpu: ${report.why}`);
  }
  options.log?.(device.report.why);
  return device;
}

/** The features that are used where they are offered: `shader-f16` for tensors of dtype `f16`, `subgroups` (variants.ts). */
const usefulFeatures = ["shader-f16", "subgroups"] as const;

/**
 * The limits above WebGPU's defaults that kernels profit from. Immediates (parameters inside a command) are asked for
 * where WGSL can declare them; queue.ts uses them if the device has them.
 */
function usefulLimits(limits: GPUSupportedLimits, language: WGSLLanguageFeatures): Record<string, number> {
  const immediates = language.has("immediate_address_space") ? (limits.maxImmediateSize ?? 0) : 0;
  return {
    ...(immediates > 0 ? { maxImmediateSize: immediates } : {}),
    maxBufferSize: limits.maxBufferSize,
    maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
    maxStorageBuffersPerShaderStage: limits.maxStorageBuffersPerShaderStage,
  };
}

/**
 * Makes a device and makes it the default for tensors created from now on. `device: "auto"`, the default, takes the best
 * WebGPU adapter (hardware, then software drivers) and falls back to the cpu device; `report.why` says what was chosen.
 *
 * @throws DeviceError if `webgpu` is asked for and no adapter is found; ValueError for another name.
 * @example
 * ```ts
 * const device = await init({ device: "cpu" }); // or init(): the best there is
 * device.report.why; // → "cpu: asked for"
 * ```
 */
export async function init(options: InitOptions = {}): Promise<Device> {
  const device = await createDevice(options);
  setDefaultDevice(device);
  return device;
}
