/**
 * Which variant of the heavy kernels runs on which kind of adapter, as measured by bench/kernels (docs/log.md, "Kernel
 * ladders"). Variants add in different orders, so the choice is part of what "same seed, same device, same bits" means.
 */
import type { Device } from "./device.ts";

/**
 * `tiles`: each invocation computes a tile from its own loads. `subgroups`: the lanes of a subgroup load different values
 * and hand them to each other, which a software adapter does far faster than it loads.
 */
export type Variant = "tiles" | "subgroups";

/** The variants of one kind of adapter. */
export interface Variants {
  readonly matmul: Variant;
  readonly attention: Variant;
}

/** Goes up with every change of a kernel that changes bits. */
export const variantsVersion = 2;

const table: Readonly<Record<string, Variants>> = {
  lavapipe: { matmul: "subgroups", attention: "subgroups" },
  swiftshader: { matmul: "subgroups", attention: "subgroups" },
  // NOTE: no GPU was at hand to measure `subgroups` on; the lanes of a subgroup are many there, and its size varies.
  hardware: { matmul: "tiles", attention: "tiles" },
};

/** What `operation` runs on `device`: the lanes of a subgroup for `subgroups`, 0 for `tiles`. */
export function subgroupLanes(device: Device, operation: keyof Variants): number {
  const { driver, features, limits } = device.report;
  if (table[driver]?.[operation] !== "subgroups" || !features.includes("subgroups")) return 0;
  // Kernels are written for one size; with several the driver might choose another than the text has.
  const { subgroupMinSize: lanes, subgroupMaxSize } = limits;
  return lanes === subgroupMaxSize && (lanes === 4 || lanes === 8) ? lanes : 0;
}

/**
 * The variants of a device in one line, with their version: what a run folder notes beside the adapter, since a run has the
 * same bits only with the same variants.
 *
 * @example
 * ```ts
 * kernelVariants(await createDevice({ device: "cpu" })); // → "reference"
 * ```
 */
export function kernelVariants(device: Device): string {
  if (device.kind === "cpu") return "reference";
  const names = (["matmul", "attention"] as const).map(
    (operation) => `${operation} ${subgroupLanes(device, operation) > 0 ? "subgroups" : "tiles"}`,
  );
  return `${variantsVersion}: ${names.join(", ")}`;
}
