/**
 * Frames a kernel's statements into a WGSL module: buffers, the parameter struct, and one invocation for each `i`.
 */
import type { KernelSource } from "./kernel.ts";

/** Invocations per workgroup. */
export const workgroupSize = 64;

/** Bytes of a kernel's parameters, `count` and `gridWidth` included. */
export function paramBytes(kernel: KernelSource): number {
  return 4 * (2 + kernel.params.length);
}

/**
 * The whole module. Parameters `count` and `gridWidth` come first: invocations, and workgroups in one row of the grid.
 * With `immediates` the parameters travel inside the command instead of a uniform buffer.
 */
export function moduleText(kernel: KernelSource, immediates = false): string {
  const fields = ["count: u32", "gridWidth: u32", ...kernel.params.map((p) => `${p.name}: ${p.type}`)];
  const buffers = kernel.buffers.map(
    (b, k) =>
      `@group(0) @binding(${k}) var<storage, ${b.write ? "read_write" : "read"}> ${b.name}: array<${b.type}>;`,
  );
  const half = kernel.buffers.some((b) => b.type.includes("f16"));
  const params = immediates
    ? "var<immediate> p: Params;"
    : `@group(0) @binding(${kernel.buffers.length}) var<uniform> p: Params;`;
  // NOTE: whole subgroups stop at the count, and loops end for all their lanes at once; the compiler can not see that.
  const subgroups = kernel.subgroups ? "enable subgroups;\ndiagnostic(off, subgroup_uniformity);\n" : "";
  // Where invocations wait for each other, workgroups stop as a whole, by numbers that are the same for all in them.
  const begin = kernel.workgroup
    ? `let group = gridPlace.y * p.gridWidth + gridPlace.x;
  if (group * ${workgroupSize}u >= p.count) { return; }`
    : `let i = (gridPlace.y * p.gridWidth + gridPlace.x) * ${workgroupSize}u + gridLane;
  if (i >= p.count) { return; }`;
  return `${half ? "enable f16;\n" : ""}${subgroups}${immediates ? "requires immediate_address_space;\n" : ""}struct Params { ${fields.join(", ")} }
${buffers.join("\n")}
${params}
${kernel.helpers ?? ""}
${kernel.put ?? ""}
@compute @workgroup_size(${workgroupSize})
fn main(@builtin(workgroup_id) gridPlace: vec3<u32>, @builtin(local_invocation_index) gridLane: u32) {
  ${begin}
${kernel.main}
}
`;
}
