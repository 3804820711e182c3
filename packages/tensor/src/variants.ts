/**
 * Which variant of the heavy kernels runs on which kind of adapter, as measured by bench/kernels (docs/log.md, "Kernel
 * ladders"). Variants add in different orders, so the choice is part of what "same seed, same device, same bits" means: a run
 * notes it, and goes on with it.
 */
import { describe } from "./arguments.ts";
import type { Device, DeviceReport } from "./device.ts";
import { DeviceError, ValueError } from "./errors.ts";

/**
 * `tiles`: each invocation computes a tile from its own loads. `subgroups`: the lanes of a subgroup load different values
 * and hand them to each other, which a software adapter does far faster than it loads.
 *
 * @example
 * ```ts
 * const variant: KernelVariant = "tiles";
 * ```
 */
export type KernelVariant = "tiles" | "subgroups";

/**
 * The variant of each heavy kernel.
 *
 * @example
 * ```ts
 * const variants: KernelVariants = { matmul: "tiles", attention: "tiles" };
 * Object.keys(variants); // → ["matmul", "attention"]
 * ```
 */
export interface KernelVariants {
  readonly matmul: KernelVariant;
  readonly attention: KernelVariant;
}

/**
 * Goes up with every change of a kernel that changes bits.
 *
 * @example
 * ```ts
 * Number.isInteger(variantsVersion); // → true
 * ```
 */
export const variantsVersion = 2;

const table: Readonly<Record<string, KernelVariants>> = {
  lavapipe: { matmul: "subgroups", attention: "subgroups" },
  swiftshader: { matmul: "subgroups", attention: "subgroups" },
  // NOTE: no GPU was at hand to measure `subgroups` on; the lanes of a subgroup are many there, and its size varies.
  hardware: { matmul: "tiles", attention: "tiles" },
};
const plain: KernelVariants = { matmul: "tiles", attention: "tiles" };

/** What was chosen for a device in place of the table. */
const chosen = new WeakMap<Device, KernelVariants>();

/** Lanes of the subgroups that kernels may use on an adapter, 0 for none. */
export function lanesOf({ features, limits }: DeviceReport): number {
  // Kernels are written for one size; with several the driver might choose another than the text has.
  const { subgroupMinSize: lanes, subgroupMaxSize } = limits;
  return features.includes("subgroups") && lanes === subgroupMaxSize && (lanes === 4 || lanes === 8)
    ? lanes
    : 0;
}

/**
 * The variants that run on a device: those chosen for it, else those of the table for its kind of adapter; undefined on the
 * cpu device, which computes by the plain definitions.
 *
 * @example
 * ```ts
 * kernelVariants(await createDevice({ device: "cpu" })); // → undefined
 * ```
 */
export function kernelVariants(device: Device): KernelVariants | undefined {
  if (device.kind === "cpu") return undefined;
  return (
    chosen.get(device) ?? (lanesOf(device.report) > 0 ? table[device.report.driver] : undefined) ?? plain
  );
}

/**
 * Has a device run `variants` from now on. Values differ in their last digits from those of other variants; the same
 * variants on the same device give the same bits.
 *
 * @throws ValueError for another kernel or variant; DeviceError where the device can not run it: the cpu device, or
 * `subgroups` on an adapter without.
 * @example
 * ```ts
 * const device = await createDevice({ device: "cpu" });
 * chooseVariants(device, { matmul: "tiles", attention: "tiles" }); // → throws DeviceError
 * ```
 */
export function chooseVariants(device: Device, variants: KernelVariants): void {
  for (const operation of ["matmul", "attention"] as const) {
    const variant: unknown = variants?.[operation];
    if (variant !== "tiles" && variant !== "subgroups") {
      throw new ValueError(
        `chooseVariants: ${operation} is ${describe(variant)}, expected "tiles" or "subgroups". Take what runs now: kernelVariants(device).`,
      );
    }
    const able = device.kind === "webgpu" && (variant === "tiles" || lanesOf(device.report) > 0);
    if (!able) {
      throw new DeviceError(
        `chooseVariants: ${operation} is "${variant}", which ${device.report.adapterName} can not run. ` +
          "Take what it runs by itself: kernelVariants(device).",
      );
    }
  }
  chosen.set(device, { matmul: variants.matmul, attention: variants.attention });
}

/** What `operation` runs on `device`: the lanes of a subgroup for `subgroups`, 0 for `tiles`. */
export function subgroupLanes(device: Device, operation: keyof KernelVariants): number {
  return kernelVariants(device)?.[operation] === "subgroups" ? lanesOf(device.report) : 0;
}
