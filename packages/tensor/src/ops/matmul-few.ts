/**
 * The WGSL of the product of few rows with a matrix, as in decoding, for GPUs: neighbouring invocations of a workgroup read
 * neighbours of the matrix, each adds up its share of k for eight rows, and the shares are added in order in the workgroup's
 * memory. Leaves out who chooses it (matmul-calls.ts).
 */
import { bufferType, type KernelSource } from "../backends/webgpu/kernel.ts";
import type { DType } from "../dtype.ts";

/** Rows of a workgroup. */
export const fewRows = 8;

/** Columns of a workgroup, by whether b is contiguous along k: many along whatever lies side by side. */
export const fewColumns = (inner: boolean) => (inner ? 2 : 16);

/** The kernel but for its parameters. */
export function fewSource(inner: boolean, source: DType, target: DType): Omit<KernelSource, "params"> {
  const element = source === "f16" ? "f16" : "f32";
  const columns = fewColumns(inner);
  const shares = 64 / columns;
  const rows = Array.from({ length: fewRows }, (_, r) => r);
  return {
    workgroup: true,
    buffers: [
      { name: "a", type: element },
      { name: "b", type: element },
      { name: "out", type: bufferType(target), write: true },
    ],
    helpers: `var<workgroup> sums: array<f32, ${64 * fewRows}>;`,
    put: `fn put(at: u32, value: f32) { out[p.offsetOut + at] = ${bufferType(target)}(value); }`,
    main: `let batch = group / p.tiles;
let tilesN = (p.n + ${columns - 1}u) / ${columns}u;
let row = (group % p.tiles / tilesN) * ${fewRows}u;
let first = (group % p.tiles % tilesN) * ${columns}u;
let col = first + ${inner ? `gridLane / ${shares}u` : `gridLane % ${columns}u`};
let baseA = p.offsetA + batch * p.batchA;
let baseB = p.offsetB + batch * p.batchB + min(col, p.n - 1u) * p.bn;
// Rows and columns past the edge read the last valid ones and are not stored.
${rows.map((r) => `let a${r} = baseA + min(row + ${r}u, p.m - 1u) * p.am; var c${r} = 0.0;`).join("\n")}
for (var l = ${inner ? `gridLane % ${shares}u` : `gridLane / ${columns}u`}; l < p.k; l += ${shares}u) {
  let value = f32(b[baseB + l * p.bk]);
  ${rows.map((r) => `c${r} += f32(a[a${r} + l * p.ak]) * value;`).join("\n  ")}
}
${rows.map((r) => `sums[${64 * r}u + gridLane] = c${r};`).join("\n")}
workgroupBarrier();
for (var at = gridLane; at < ${fewRows * columns}u; at += 64u) {
  let r = at / ${columns}u;
  let j = at % ${columns}u;
  if (row + r < p.m && first + j < p.n) {
    var total = 0.0;
    for (var s = 0u; s < ${shares}u; s++) { total += sums[64u * r + ${inner ? `j * ${shares}u + s` : `s * ${columns}u + j`}]; }
    put((batch * p.m + row + r) * p.n + first + j, total);
  }
}`,
  };
}
