/**
 * Finds a WebGPU adapter: the browser's `navigator.gpu`, or under Node Dawn from npm `webgpu` with the first of
 * a hardware driver → the system's software Vulkan (Mesa lavapipe) → SwiftShader from npm (adapter-swiftshader.ts).
 * The report says in one line what was chosen and why, and what is missing with the command that gets it.
 * `PACT_DRIVER=hardware|lavapipe|swiftshader|none` allows one kind only. Left out: creating devices and choosing
 * kernels.
 */
import { DeviceError } from "../../errors.ts";
import { betterDrivers, DAWN, type MissingPiece } from "./adapter-missing.ts";

/** What kind of driver computes; `lavapipe` stands for any software driver of the system other than SwiftShader. */
export type DriverKind = "hardware" | "lavapipe" | "swiftshader" | "none";

/** What was found; plain data, ready for JSON. */
export interface AdapterReport {
  driver: DriverKind;
  /** A name for people, for example `llvmpipe: Mesa 25.0.7 (LLVM 15.0.6)`; empty without an adapter. */
  adapterName: string;
  vendor: string;
  architecture: string;
  description: string;
  /** WebGPU feature names, sorted. */
  features: string[];
  /** Every limit of the adapter by name, and the sizes of its subgroups where it has them. */
  limits: Record<string, number>;
  /** One line: what was chosen and why. */
  why: string;
  /** What a better driver would need. */
  missing: MissingPiece[];
}

/** The result of {@link acquireAdapter}. */
export type AcquiredAdapter =
  | { gpu: GPU; adapter: GPUAdapter; report: AdapterReport }
  | { adapter: null; report: AdapterReport };

type Found = { gpu: GPU; adapter: GPUAdapter };

const DRIVERS: readonly DriverKind[] = ["hardware", "lavapipe", "swiftshader", "none"];

/**
 * Dawn stops an instance or a device whose JavaScript object was collected, even in the middle of a read (the read is
 * then rejected, or the process dies). What is in use is therefore held here. This does not keep the process alive.
 */
const held = new Set<object>();

/**
 * Finds the best adapter of this machine; the head of this file gives the order.
 *
 * @param options.log - receives one line per step that failed.
 * @returns the adapter with its `GPU` and a report, or `adapter: null` and a report that says why.
 * @throws DeviceError if `PACT_DRIVER` names no driver.
 *
 * @example
 * ```ts
 * const { adapter, report } = await acquireAdapter();
 * report.why; // "lavapipe: llvmpipe … through Dawn"
 * (adapter === null) === (report.driver === "none"); // → true
 * ```
 */
export async function acquireAdapter(
  options: { log?: (line: string) => void } = {},
): Promise<AcquiredAdapter> {
  const only = forcedDriver();
  const reasons: string[] = [];
  const note = (reason: string): void => {
    reasons.push(reason);
    options.log?.(reason);
  };
  if (only === "none") {
    note("PACT_DRIVER=none");
    return noAdapter(reasons, [anyDriver(only)]);
  }
  if (only) note(`PACT_DRIVER=${only}`);
  const accept = async (found: Found | undefined, through: string): Promise<AcquiredAdapter | undefined> => {
    if (!found) return undefined;
    const kind = driverKind(found.adapter.info);
    if (only && kind !== only) {
      note(`${nameOf(found.adapter.info)} is ${kind}`);
      return undefined;
    }
    held.add(found.gpu).add(found.adapter);
    return { ...found, report: await describe(found.adapter, through, reasons) };
  };

  const browser = (globalThis as { navigator?: { gpu?: GPU } }).navigator?.gpu;
  if (browser) {
    const adapter = await browser.requestAdapter({ powerPreference: "high-performance" });
    if (!adapter) note("navigator.gpu gives no adapter");
    const found = adapter ? { gpu: browser, adapter } : undefined;
    return (await accept(found, "navigator.gpu")) ?? noAdapter(reasons, []);
  }
  const dawn = await importDawn(note);
  if (!dawn) return noAdapter(reasons, [DAWN]);
  const { packagedAdapter, systemAdapter } = await import("./adapter-dawn.ts");
  const system =
    only === "swiftshader" ? undefined : await systemAdapter(dawn.create, only === "lavapipe", note);
  return (
    (await accept(system, "Dawn")) ??
    (await accept(await packagedAdapter(dawn.create, only === "swiftshader", note), "Dawn")) ??
    noAdapter(reasons, only ? [anyDriver(only)] : betterDrivers("none", process.platform, await osRelease()))
  );
}

/** What helps where PACT_DRIVER leaves nothing: the drivers it excludes may well be there. */
function anyDriver(only: DriverKind): MissingPiece {
  return { what: `PACT_DRIVER=${only} allows no other driver`, command: "unset PACT_DRIVER" };
}

/**
 * Keeps a device reachable until it is lost or destroyed, because Dawn stops a device whose object was collected.
 *
 * @returns the same device.
 */
export function holdDevice(device: GPUDevice): GPUDevice {
  held.add(device);
  void device.lost.then(() => held.delete(device));
  return device;
}

/**
 * Says from an adapter's information whether it computes on hardware, and if not, on which software driver.
 *
 * @example
 * ```ts
 * driverKind({ vendor: "mesa", architecture: "software", description: "llvmpipe: Mesa 25" }); // → "lavapipe"
 * ```
 */
export function driverKind(info: {
  vendor: string;
  architecture: string;
  description: string;
  isFallbackAdapter?: boolean;
}): Exclude<DriverKind, "none"> {
  const words = `${info.vendor} ${info.architecture} ${info.description}`.toLowerCase();
  if (words.includes("swiftshader")) return "swiftshader";
  const software = /llvmpipe|lavapipe|softpipe|\bsoftware\b|basic render/.test(words);
  return software || info.isFallbackAdapter === true ? "lavapipe" : "hardware";
}

function forcedDriver(): DriverKind | undefined {
  const value = typeof process === "undefined" ? undefined : process.env?.PACT_DRIVER;
  if (value === undefined || value === "") return undefined;
  const driver = DRIVERS.find((kind) => kind === value);
  if (driver) return driver;
  throw new DeviceError(
    `init: the environment variable PACT_DRIVER is ${JSON.stringify(value)}, expected one of ${DRIVERS.join(", ")}. Set it to one of them, or unset it: unset PACT_DRIVER.`,
  );
}

async function importDawn(note: (reason: string) => void): Promise<typeof import("webgpu") | undefined> {
  try {
    return await import("webgpu");
  } catch (error) {
    note(`npm webgpu can not be loaded (${String((error as Error).message).split("\n")[0]})`);
    return undefined;
  }
}

async function describe(
  adapter: GPUAdapter,
  through: string,
  reasons: readonly string[],
): Promise<AdapterReport> {
  const { info } = adapter;
  const driver = driverKind(info);
  const limits: Record<string, number> = {};
  // The limits are getters of the prototype, which Object.entries would not see.
  for (const name in adapter.limits) {
    const value: unknown = adapter.limits[name as keyof GPUSupportedLimits];
    if (typeof value === "number") limits[name] = value;
  }
  if (adapter.features.has("subgroups")) {
    limits.subgroupMinSize = info.subgroupMinSize;
    limits.subgroupMaxSize = info.subgroupMaxSize;
  }
  const platform = typeof process === "undefined" ? "browser" : process.platform;
  return {
    driver,
    adapterName: nameOf(info),
    vendor: info.vendor,
    architecture: info.architecture,
    description: info.description,
    features: [...adapter.features].sort(),
    limits,
    why: [`${driver}: ${nameOf(info)} through ${through}`, ...reasons].join("; "),
    missing: betterDrivers(driver, platform, await osRelease()),
  };
}

function noAdapter(reasons: readonly string[], missing: MissingPiece[]): AcquiredAdapter {
  const empty = { adapterName: "", vendor: "", architecture: "", description: "", features: [], limits: {} };
  return { adapter: null, report: { driver: "none", ...empty, why: `none: ${reasons.join("; ")}`, missing } };
}

async function osRelease(): Promise<string> {
  if (typeof process === "undefined" || process.platform !== "linux") return "";
  const { readFile } = await import("node:fs/promises");
  return readFile("/etc/os-release", "utf8").catch(() => "");
}

function nameOf(info: GPUAdapterInfo): string {
  return info.description || info.device || `${info.vendor} ${info.architecture}`.trim() || "unnamed adapter";
}
