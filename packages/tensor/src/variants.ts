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
 * and hand them to each other, which a software adapter does far faster than it loads. `shared` (matmul): the invocations of
 * a workgroup load into memory of the workgroup.
 *
 * @example
 * ```ts
 * const variant: KernelVariant = "tiles"; // → "tiles"
 * ```
 */
export type KernelVariant = "tiles" | "subgroups" | "shared";

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
  readonly attention: Exclude<KernelVariant, "shared">;
}

/** Every variant of each kernel, whether or not a device can run it. */
const variants: { readonly [K in keyof KernelVariants]: readonly KernelVariants[K][] } = {
  matmul: ["tiles", "subgroups", "shared"],
  attention: ["tiles", "subgroups"],
};

/**
 * Goes up with every change of a kernel that changes bits.
 *
 * @example
 * ```ts
 * Number.isInteger(variantsVersion); // → true
 * ```
 */
export const variantsVersion = 3;

const table: Readonly<Record<string, KernelVariants>> = {
  lavapipe: { matmul: "subgroups", attention: "subgroups" },
  swiftshader: { matmul: "subgroups", attention: "subgroups" },
  // NOTE: no GPU was at hand to measure on. `pact doctor --tune` finds out whether `shared` is faster on one.
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
 * Has a device run the `wanted` variants from now on. Values differ in their last digits from those of other variants; the same
 * variants on the same device give the same bits. Captured functions are recorded anew with them.
 *
 * @throws ValueError for another kernel or variant; DeviceError where the device can not run it: the cpu device, or
 * `subgroups` on an adapter without.
 * @example
 * ```ts
 * const device = await createDevice({ device: "cpu" });
 * chooseVariants(device, { matmul: "tiles", attention: "tiles" }); // → throws DeviceError
 * ```
 */
export function chooseVariants(device: Device, wanted: KernelVariants): void {
  for (const operation of ["matmul", "attention"] as const) {
    const variant: unknown = wanted?.[operation];
    const known: readonly unknown[] = variants[operation];
    if (!known.includes(variant)) {
      throw new ValueError(
        `chooseVariants: ${operation} is ${describe(variant)}, expected ${known.map((name) => `"${name}"`).join(" or ")}. Take what runs now: kernelVariants(device).`,
      );
    }
    const able = device.kind === "webgpu" && (variant !== "subgroups" || lanesOf(device.report) > 0);
    if (!able) {
      throw new DeviceError(
        `chooseVariants: ${operation} is "${variant}", which ${device.report.adapterName} can not run. ` +
          "Take what it runs by itself: kernelVariants(device).",
      );
    }
  }
  chosen.set(device, { matmul: wanted.matmul, attention: wanted.attention });
}

/**
 * The variants of an operation that a device can run; none on the cpu device.
 *
 * @example
 * ```ts
 * variantsOf(await createDevice({ device: "cpu" }), "matmul"); // → []
 * ```
 */
export function variantsOf<K extends keyof KernelVariants>(
  device: Device,
  operation: K,
): KernelVariants[K][] {
  if (device.kind === "cpu") return [];
  return variants[operation].filter((variant) => variant !== "subgroups" || lanesOf(device.report) > 0);
}

/** What `operation` runs on `device`: the lanes of a subgroup for `subgroups`, 0 for `tiles`. */
export function subgroupLanes(device: Device, operation: keyof KernelVariants): number {
  return kernelVariants(device)?.[operation] === "subgroups" ? lanesOf(device.report) : 0;
}
