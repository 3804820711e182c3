/**
 * A WebGPU device without the engine, and kernels on it: what the same adapter does for hand-written code that asks for
 * nothing it does not need. The engine is measured beside it.
 */
import { acquireAdapter } from "@pact/tensor";

const usage = { copySource: 4, copyDestination: 8, storage: 128 } as const;

/** Makes a device on the adapter that the engine uses; undefined where there is none. */
export async function rawDevice(): Promise<GPUDevice | undefined> {
  const { adapter } = await acquireAdapter();
  return adapter ? await adapter.requestDevice() : undefined;
}

/** A storage buffer that holds `data`. */
export function storageBuffer(device: GPUDevice, data: Float32Array): GPUBuffer {
  const size = data.byteLength;
  const flags = usage.storage | usage.copySource | usage.copyDestination;
  const buffer = device.createBuffer({ size, usage: flags });
  device.queue.writeBuffer(buffer, 0, data.buffer as ArrayBuffer, data.byteOffset, size);
  return buffer;
}

/** A pipeline of `code` with its buffers bound in order. */
export function bound(device: GPUDevice, code: string, buffers: readonly GPUBuffer[]) {
  const module = device.createShaderModule({ code });
  const pipeline = device.createComputePipeline({
    layout: "auto",
    compute: { module, entryPoint: "main" },
  });
  const group = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: buffers.map((buffer, binding) => ({ binding, resource: { buffer } })),
  });
  return { pipeline, group };
}

/** Waits for everything submitted. */
export async function finished(device: GPUDevice): Promise<void> {
  await device.queue.onSubmittedWorkDone();
}

/** The numbers of a buffer. */
export async function readBack(device: GPUDevice, buffer: GPUBuffer): Promise<Float32Array> {
  const [mapRead, read] = [1, 1];
  const staging = device.createBuffer({ size: buffer.size, usage: mapRead | usage.copyDestination });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, 0, staging, 0, buffer.size);
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(read);
  const numbers = new Float32Array(staging.getMappedRange().slice(0));
  staging.destroy();
  return numbers;
}
