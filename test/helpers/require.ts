/**
 * What a test needs from its surroundings: a GPU device, data files. Absent, the test is skipped and the reason
 * printed; under PACT_REQUIRE (a comma-separated list of `gpu`, `data`) absence is a failure.
 */
import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { createDevice, type Device } from "@pact/tensor";

const repository = resolve(dirname(fileURLToPath(import.meta.url)), "../..");

let shared: Promise<Device | undefined> | undefined;
let adapterLine: string | undefined;

/**
 * The webgpu device that all tests of this process share (pipelines are slow to build), or undefined where there is
 * none. Do not destroy it.
 *
 * @throws Error if there is none and PACT_REQUIRE contains `gpu`.
 *
 * @example
 * ```ts
 * const device = await requireGpu();
 * describe.skipIf(!device)("matmul on webgpu", () => { … });
 * ```
 */
export function requireGpu(): Promise<Device | undefined> {
  shared ??= findGpu();
  return shared;
}

async function findGpu(): Promise<Device | undefined> {
  try {
    const device = await createDevice({ device: "webgpu" });
    useAdapter(`${device.report.driver}: ${device.report.adapterName}`);
    return device;
  } catch (error) {
    absent("gpu", (error as Error).message);
    return undefined;
  }
}

/** Names the adapter that this process's GPU tests run on; the reporter prints it. */
export function useAdapter(line: string): void {
  adapterLine = line;
}

/** The line given to {@link useAdapter}, for the reporter. */
export function adapterInUse(): string | undefined {
  return adapterLine;
}

/**
 * The absolute path of a file or folder below PACT_DATA (default: `../shared` beside the repository), or undefined if
 * it is absent.
 *
 * @throws Error if it is absent and PACT_REQUIRE contains `data`.
 *
 * @example
 * ```ts
 * const folder = requireData("benchmarks/ftrl");
 * test.skipIf(!folder)("reads every published row", () => { … });
 * ```
 */
export function requireData(path: string): string | undefined {
  const root = process.env.PACT_DATA ? resolve(process.env.PACT_DATA) : join(repository, "../shared");
  const full = join(root, path);
  if (existsSync(full)) return full;
  absent("data", `${path} is not below PACT_DATA (${root})`);
  return undefined;
}

function absent(need: "gpu" | "data", reason: string): void {
  const required = (process.env.PACT_REQUIRE ?? "").split(",").map((part) => part.trim());
  if (required.includes(need)) throw new Error(`PACT_REQUIRE asks for ${need}, but: ${reason}`);
  console.warn(`skipped, no ${need}: ${reason}`);
}
