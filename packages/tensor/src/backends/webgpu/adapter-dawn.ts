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

/** The adapter of the system's own drivers: hardware if there is any, Mesa's lavapipe if `software` asks for it. */
export async function systemAdapter(
  create: Create,
  software: boolean,
  note: Note,
): Promise<Found | undefined> {
  // Asked first: without a loader Dawn prints warnings of its own.
  if (process.platform === "linux" && !loadLibrary(LOADER)) {
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
    const systemLoader = loadLibrary(LOADER);
    if (!systemLoader && !loadLibrary(loader)) throw new Error(`${loader} can not be loaded`);
    // Without a system loader no driver was tried yet: add to what there is. VK_ICD_FILENAMES is the name that
    // loaders before 1.3.207 read.
    const names = systemLoader || alone ? ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"] : ["VK_ADD_DRIVER_FILES"];
    const found = await withEnvironment(names, manifest, () => request(create));
    if (!found) note("SwiftShader gives no adapter");
    return found;
  } catch (error) {
    note(`no SwiftShader: ${(error as Error).message}`);
    return undefined;
  }
}

/** Dawn's best adapter, or its best of those whose name contains `name`. */
async function request(create: Create, name?: string): Promise<Found | undefined> {
  const gpu = create(name === undefined ? [] : [`adapter=${name}`]);
  try {
    const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
    return adapter ? { gpu, adapter } : undefined;
  } catch (error) {
    // Dawn throws, listing what there is, when no adapter has the name.
    if (name === undefined) throw error;
    return undefined;
  }
}

/** Runs `task` with environment variables set; child processes started later choose their driver for themselves. */
async function withEnvironment<T>(names: string[], value: string, task: () => Promise<T>): Promise<T> {
  const before = names.map((name) => process.env[name]);
  try {
    for (const name of names) process.env[name] = value;
    return await task();
  } finally {
    for (const [i, name] of names.entries()) {
      if (before[i] === undefined) delete process.env[name];
      else process.env[name] = before[i];
    }
  }
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
