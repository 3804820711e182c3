/**
 * A webgpu device whose `GPUDevice` the test holds too, to take it away or to make it refuse memory. Each costs its own
 * pipelines: use few.
 */
import { acquireAdapter, type Device } from "@pact/tensor";
import { holdDevice } from "../../packages/tensor/src/backends/webgpu/adapter.ts";
import { WebGpuBackend } from "../../packages/tensor/src/backends/webgpu/backend.ts";
import { Device as DeviceOf } from "../../packages/tensor/src/device.ts";

/** A device of its own on the adapter that the tests use. */
export async function rawGpu(): Promise<{ gpu: GPUDevice; device: Device }> {
  const { adapter, report } = await acquireAdapter();
  if (!adapter) throw new Error(report.why);
  // Attention's backward needs more than the 8 buffers that a device has unasked.
  const { maxStorageBuffersPerShaderStage } = adapter.limits;
  // Kernels ask the adapter's report whether there are subgroups.
  const requiredFeatures = adapter.features.has("subgroups") ? ["subgroups" as const] : [];
  const gpu = holdDevice(
    await adapter.requestDevice({ requiredLimits: { maxStorageBuffersPerShaderStage }, requiredFeatures }),
  );
  return { gpu, device: new DeviceOf(new WebGpuBackend(gpu), { ...report, kind: "webgpu" }) };
}

/**
 * Makes `gpu` refuse buffers of `bytes` and more, as a full GPU does: an invalid buffer at once, the reason through the
 * error scope later. The returned function ends it.
 */
export function refuseBuffers(gpu: GPUDevice, bytes: number): () => void {
  const { createBuffer, popErrorScope } = gpu;
  const answers: Promise<GPUError | null>[] = [];
  gpu.createBuffer = (descriptor) => {
    if (descriptor.size < bytes) return createBuffer.call(gpu, descriptor);
    gpu.pushErrorScope("validation");
    const invalid = createBuffer.call(gpu, { ...descriptor, size: gpu.limits.maxBufferSize + 1 });
    const swallowed = popErrorScope.call(gpu) as Promise<GPUError | null>;
    answers.push(swallowed.then(() => ({ message: "the GPU is full" }) as GPUError));
    return invalid;
  };
  gpu.popErrorScope = () => {
    const none = popErrorScope.call(gpu) as Promise<GPUError | null>;
    const answer = answers.pop();
    return answer ? none.then(() => answer) : none;
  };
  return () => {
    gpu.createBuffer = createBuffer;
    gpu.popErrorScope = popErrorScope;
  };
}

/** Makes `gpu` throw for the next `times` buffers, as implementations may. The returned function ends it. */
export function throwAtBuffers(gpu: GPUDevice, times: number): () => void {
  const { createBuffer } = gpu;
  let left = times;
  gpu.createBuffer = (descriptor) => {
    if (left-- > 0) throw new RangeError("createBuffer failed, size is too large");
    return createBuffer.call(gpu, descriptor);
  };
  return () => {
    gpu.createBuffer = createBuffer;
  };
}
