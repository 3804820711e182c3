/** Gives engines made for browsers the adapter that this engine uses, as `navigator.gpu`. */
import { acquireAdapter } from "@pact/tensor";
import { globals } from "webgpu";

/** Defines `navigator.gpu` and WebGPU's constants for this process. */
export async function provideAdapter(): Promise<void> {
  const { adapter, report } = await acquireAdapter();
  if (!adapter) throw new Error(report.why);
  Object.assign(globalThis, globals);
  const gpu = {
    requestAdapter: async () => adapter,
    getPreferredCanvasFormat: () => "bgra8unorm",
    wgslLanguageFeatures: new Set<string>(),
  };
  const navigator = { gpu, userAgent: "node", hardwareConcurrency: 2 };
  Object.defineProperty(globalThis, "navigator", { value: navigator, configurable: true, writable: true });
}
