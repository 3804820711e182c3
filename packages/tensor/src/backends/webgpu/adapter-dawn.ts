/**
 * Adapters through Dawn under Node: the system's Vulkan drivers, then SwiftShader from npm. Node only.
 *
 * NOTE: the Vulkan loader reads VK_DRIVER_FILES from the real environment when Dawn makes its instance (`create` and
 * `requestAdapter`), so it is set before and restored after; a worker's process.env is a copy the loader never sees.
 */
import { isMainThread } from "node:worker_threads";
import { unpackSwiftShader } from "./adapter-swiftshader.ts";

type Create = (options: string[]) => GPU;
type Note = (reason: string) => void;
type Found = { gpu: GPU; adapter: GPUAdapter };

const LOADER = "libvulkan.so.1";

/** Dawn hides `shader-f16` on NVIDIA's Vulkan driver, which failed some of the standard's tests (crbug.com/42251215). */
const f16OnNvidia = "enable-dawn-features=vulkan_enable_f16_on_nvidia";

/** The adapter of the system's own drivers: hardware if there is any, Mesa's lavapipe if `software` asks for it. */
export async function systemAdapter(
  create: Create,
  software: boolean,
  note: Note,
): Promise<Found | undefined> {
  // Asked first: without a loader Dawn prints warnings of its own.
  if (!hasSystemLoader()) {
    note("the system has no Vulkan loader");
    return undefined;
  }
  const found = await request(create, software ? "llvmpipe" : undefined);
  if (!found) note("the system has no Vulkan driver that Dawn takes");
  return found;
}

/**
 * SwiftShader from npm, with the loader that comes with it if the system has none. A machine with a GPU driver but no
 * loader gets its GPU that way, unless `alone` leaves SwiftShader as the only driver.
 */
export async function packagedAdapter(
  create: Create,
  alone: boolean,
  note: Note,
): Promise<Found | undefined> {
  if (!isMainThread) {
    note("SwiftShader can be set up in the main thread only");
    return undefined;
  }
  try {
    const { loader, manifest } = unpackSwiftShader();
    if (!hasSystemLoader() && !loadLibrary(loader)) throw new Error(`${loader} can not be loaded`);
    const environment = driverFiles(manifest, !hasSystemLoader() && !alone);
    const found = await withEnvironment(environment, () => request(create));
    if (!found) note("SwiftShader gives no adapter");
    return found;
  } catch (error) {
    note(`no SwiftShader: ${(error as Error).message}`);
    return undefined;
  }
}

/** Dawn's best adapter, or its best of those whose name contains `name`. */
async function request(create: Create, name?: string): Promise<Found | undefined> {
  const gpu = create([f16OnNvidia, ...(name === undefined ? [] : [`adapter=${name}`])]);
  try {
    const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
    return adapter ? { gpu, adapter } : undefined;
  } catch (error) {
    // Dawn throws, listing what there is, when no adapter has the name.
    if (name === undefined) throw error;
    return undefined;
  }
}

/** The variables that make the Vulkan loader use the driver at `manifest`, or `add` it to those it knows. */
function driverFiles(manifest: string, add: boolean): Record<string, string> {
  // VK_ICD_FILENAMES is the name that loaders before 1.3.207 read.
  if (!add) return { VK_DRIVER_FILES: manifest, VK_ICD_FILENAMES: manifest };
  // NOTE: VK_ADD_DRIVER_FILES is ignored where VK_DRIVER_FILES is set.
  const chosen = process.env.VK_DRIVER_FILES;
  return chosen ? { VK_DRIVER_FILES: `${chosen}:${manifest}` } : { VK_ADD_DRIVER_FILES: manifest };
}

/** Runs `task` with environment variables set; child processes started later choose their driver for themselves. */
async function withEnvironment<T>(variables: Record<string, string>, task: () => Promise<T>): Promise<T> {
  const before = Object.keys(variables).map((name) => [name, process.env[name]] as const);
  try {
    Object.assign(process.env, variables);
    return await task();
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}

let systemLoader: boolean | undefined;

/** True if the system has a Vulkan loader (other platforms than Linux need none). Asked once: afterwards the loader of
 * the npm package may be the one that answers to the name. */
function hasSystemLoader(): boolean {
  systemLoader ??= process.platform !== "linux" || loadLibrary(LOADER);
  return systemLoader;
}

/**
 * Loads a shared library for good and for everyone (RTLD_NOW | RTLD_GLOBAL | RTLD_NODELETE), so that Dawn's own
 * `dlopen` of the same name finds it. True if it is loaded.
 */
function loadLibrary(path: string): boolean {
  try {
    process.dlopen({ exports: {} }, path, 0x2 | 0x100 | 0x1000);
    return true;
  } catch (error) {
    // NOTE: Node complains that a plain library is no addon after loading it; only then is it there.
    return (error as Error).message.includes("did not self-register");
  }
}
