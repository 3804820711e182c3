/**
 * What a dispatch costs without an engine: x + 1 for 256 numbers, `count` times in one pass and one submit, pipeline and
 * bind groups made once.
 */
import { bound, finished, storageBuffer } from "./device.ts";

const code = `
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u) { y[id.x] = x[id.x] + 1.0; }`;

/** Chains `count` additions between two buffers; an even `count` leaves the result in `x`. */
export function rawAdditions(device: GPUDevice, count: number) {
  const x = storageBuffer(device, new Float32Array(256));
  const y = storageBuffer(device, new Float32Array(256));
  const { pipeline, group: there } = bound(device, code, [x, y]);
  const layout = pipeline.getBindGroupLayout(0);
  const entries = [y, x].map((buffer, binding) => ({ binding, resource: { buffer } }));
  const back = device.createBindGroup({ layout, entries });
  const run = async (): Promise<void> => {
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    for (let i = 0; i < count; i++) {
      pass.setBindGroup(0, i % 2 === 0 ? there : back);
      pass.dispatchWorkgroups(1);
    }
    pass.end();
    device.queue.submit([encoder.finish()]);
    await finished(device);
  };
  return { run, x };
}
