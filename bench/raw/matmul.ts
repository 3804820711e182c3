/**
 * The ladder that the engine's matmul is compared with: n³ products written by hand for one shape. Each invocation keeps
 * `rows` × 4·`quads` sums in registers and loads vec4 of both operands; no shared memory, no edges (n is a multiple of
 * 64), sizes are constants of the shader. Which rung is the fastest depends on the adapter, so all of them are run.
 */
import { bound, finished, storageBuffer } from "./device.ts";

/** How much one invocation computes, and how invocations are grouped: along columns, along rows. */
export interface Rung {
  readonly rows: number;
  readonly quads: number;
  readonly group: readonly [number, number];
}

/** By name: rows × columns of a tile. */
export const rungs: Readonly<Record<string, Rung>> = {
  "4×4": { rows: 4, quads: 1, group: [8, 8] },
  "8×4": { rows: 8, quads: 1, group: [16, 4] },
  "4×8": { rows: 4, quads: 2, group: [8, 8] },
  "8×8": { rows: 8, quads: 2, group: [8, 1] },
};

/** Product of two n × n matrices by one rung; `run` computes it once, `product` holds it. */
export function rawMatmul(device: GPUDevice, n: number, rung: Rung, a: GPUBuffer, b: GPUBuffer) {
  const product = storageBuffer(device, new Float32Array(n * n));
  const { pipeline, group: bindings } = bound(device, kernel(n, rung), [a, b, product]);
  const { rows, quads, group } = rung;
  const run = async (): Promise<void> => {
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, bindings);
    pass.dispatchWorkgroups(n / (4 * quads * group[0]), n / (rows * group[1]));
    pass.end();
    device.queue.submit([encoder.finish()]);
    await finished(device);
  };
  return { run, product };
}

function kernel(n: number, { rows, quads, group }: Rung): string {
  const list = (count: number) => Array.from({ length: count }, (_, i) => i);
  const each = (line: (row: number) => string) => list(rows).map(line).join("\n");
  const eachQuad = (line: (quad: number) => string) => list(quads).map(line).join("\n");
  const parts = ["x", "y", "z", "w"];
  return `
@group(0) @binding(0) var<storage, read> a: array<vec4f>;
@group(0) @binding(1) var<storage, read> b: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> c: array<vec4f>;
const quarter = ${n / 4}u;
@compute @workgroup_size(${group.join(", ")})
fn main(@builtin(global_invocation_id) id: vec3u) {
  let column = id.x * ${quads}u;
  let row = id.y * ${rows}u;
  ${each((i) => eachQuad((j) => `var sum${i}_${j} = vec4f(0);`))}
  for (var k = 0u; k < quarter; k++) {
    ${parts.map((_, p) => eachQuad((j) => `let b${p}_${j} = b[(4u * k + ${p}u) * quarter + column + ${j}u];`)).join("\n")}
    ${each((i) => {
      const terms = parts.map((part, p) =>
        eachQuad((j) => `sum${i}_${j} = fma(vec4f(a${i}.${part}), b${p}_${j}, sum${i}_${j});`),
      );
      return `let a${i} = a[(row + ${i}u) * quarter + k];\n${terms.join("\n")}`;
    })}
  }
  ${each((i) => eachQuad((j) => `c[(row + ${i}u) * quarter + column + ${j}u] = sum${i}_${j};`))}
}`;
}
