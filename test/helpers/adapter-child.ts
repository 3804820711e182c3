/**
 * Run by adapter.gpu.test.ts in a process of its own: acquires an adapter, doubles 64 numbers on it, prints one line of
 * JSON, and then ends as its argument says: `ok`, `throw`, `throw-pending` (a read still under way) or `idle`.
 */
import { acquireAdapter, holdDevice } from "../../packages/tensor/src/backends/webgpu/adapter.ts";

// GPUBufferUsage and GPUMapMode by value: Node has no such globals.
const [MAP_READ, COPY_SRC, COPY_DST, STORAGE] = [1, 4, 8, 128];

const ending = process.argv[2];

/** Starts the work on a device that nothing but the returned read refers to. */
async function start(adapter: GPUAdapter): Promise<{ readback: GPUBuffer; read: Promise<void> }> {
  const device = holdDevice(await adapter.requestDevice());
  const storage = device.createBuffer({ size: 256, usage: STORAGE | COPY_SRC });
  const readback = device.createBuffer({ size: 256, usage: COPY_DST | MAP_READ });
  const code = `@group(0) @binding(0) var<storage, read_write> y: array<f32>;
    @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) { y[id.x] = f32(id.x) * 2; }`;
  const module = device.createShaderModule({ code });
  const pipeline = device.createComputePipeline({ layout: "auto", compute: { module } });
  const layout = pipeline.getBindGroupLayout(0);
  const group = device.createBindGroup({ layout, entries: [{ binding: 0, resource: { buffer: storage } }] });
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, group);
  pass.dispatchWorkgroups(1);
  pass.end();
  encoder.copyBufferToBuffer(storage, 0, readback, 0, 256);
  device.queue.submit([encoder.finish()]);
  return { readback, read: readback.mapAsync(MAP_READ) };
}

const { adapter, report } = await acquireAdapter();
if (!adapter) {
  console.log(JSON.stringify({ driver: report.driver, why: report.why }));
} else {
  const { readback, read } = await start(adapter);
  if (ending === "throw-pending") throw new Error("thrown while a read is under way");
  globalThis.gc?.(); // node --expose-gc
  await read;
  const last = new Float32Array(readback.getMappedRange())[63];
  let idleCpuMs = 0;
  if (ending === "idle") {
    const before = process.cpuUsage();
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const used = process.cpuUsage(before);
    idleCpuMs = (used.user + used.system) / 1000;
  }
  console.log(JSON.stringify({ driver: report.driver, why: report.why, last, idleCpuMs }));
  if (ending === "throw") throw new Error("thrown after the work");
}
