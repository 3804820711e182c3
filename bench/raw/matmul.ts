/**
 * The rung that the engine's matmul is compared with: n³ products written by hand for one shape. Each invocation keeps
 * `rows` × 4 sums in registers and loads vec4 of both operands; no shared memory, no edges (n is a multiple of 64), sizes
 * are constants of the shader.
 */
import { bound, finished, storageBuffer } from "./device.ts";

const rows = 4;
const group = [8, 8] as const;

/** Product of two n × n matrices; `run` computes it once, `product` holds it. */
export function rawMatmul(device: GPUDevice, n: number, a: Float32Array, b: Float32Array) {
  const product = storageBuffer(device, new Float32Array(n * n));
  const buffers = [storageBuffer(device, a), storageBuffer(device, b), product];
  const { pipeline, group: bindings } = bound(device, kernel(n), buffers);
  const run = async (): Promise<void> => {
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, bindings);
    pass.dispatchWorkgroups(n / (4 * group[0]), n / (rows * group[1]));
    pass.end();
    device.queue.submit([encoder.finish()]);
    await finished(device);
  };
  return { run, product };
}

function kernel(n: number): string {
  const each = (line: (row: number) => string) => Array.from({ length: rows }, (_, i) => line(i)).join("\n");
  const parts = ["x", "y", "z", "w"];
  return `
@group(0) @binding(0) var<storage, read> a: array<vec4f>;
@group(0) @binding(1) var<storage, read> b: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> c: array<vec4f>;
const quarter = ${n / 4}u;
@compute @workgroup_size(${group.join(", ")})
fn main(@builtin(global_invocation_id) id: vec3u) {
  let column = id.x;
  let row = id.y * ${rows}u;
  ${each((i) => `var sum${i} = vec4f(0);`)}
  for (var k = 0u; k < quarter; k++) {
    ${parts.map((_, p) => `let b${p} = b[(4u * k + ${p}u) * quarter + column];`).join("\n")}
    ${each((i) => {
      const terms = parts.map((part, p) => `sum${i} = fma(vec4f(a${i}.${part}), b${p}, sum${i});`);
      return `let a${i} = a[(row + ${i}u) * quarter + k];\n${terms.join("\n")}`;
    })}
  }
  ${each((i) => `c[(row + ${i}u) * quarter + column] = sum${i};`)}
}`;
}
