/**
 * The WGSL of the matrix product where the invocations of a workgroup share what they load: 64 × 64 results a workgroup,
 * 8 × 8 an invocation, operands in pieces of 16 along k that lie in the workgroup's memory. For GPUs, whose barriers are
 * cheap and whose loads are not; on a software adapter each barrier is a switch of every invocation. Leaves out who
 * chooses it (matmul-calls.ts).
 */
import { bufferType, type KernelSource } from "../backends/webgpu/kernel.ts";
import type { DType } from "../dtype.ts";

/** Rows and columns of a workgroup. */
export const sharedTile = 64;
/** Steps of k that are loaded at once. */
const depth = 16;
const quads = sharedTile / 4;

const eight = [0, 1, 2, 3, 4, 5, 6, 7];

/**
 * Statements that fill the piece of one operand: place [k][quad] holds four rows (of b: columns) at one k. Neighbouring
 * invocations load neighbours: along k where `inner`, else along the rows. What lies past k is 0; rows past the edge repeat
 * the last one and are not stored.
 */
function fill(name: string, tile: string, first: string, size: string, inner: boolean): string {
  const [outerStep, innerStep] = name === "a" ? ["p.am", "p.ak"] : ["p.bn", "p.bk"];
  const lanes = [0, 1, 2, 3].map(
    (r) =>
      `f32(${name}[base${name.toUpperCase()} + min(${first} + 4u * quad + ${r}u, ${size} - 1u) * ${outerStep} + at * ${innerStep}])`,
  );
  return `for (var load = 0u; load < ${(depth * quads) / 64}u; load++) {
    let place = gridLane + 64u * load;
    let k = ${inner ? `place % ${depth}u` : `place / ${quads}u`};
    let quad = ${inner ? `place / ${depth}u` : `place % ${quads}u`};
    let at = min(l + k, length - 1u);
    ${tile}[k * ${quads}u + quad] = select(vec4<f32>(), vec4<f32>(${lanes.join(", ")}), l + k < length);
  }`;
}

/** The kernel but for its parameters; `innerA` and `innerB` say whether an operand is contiguous along k. */
export function sharedSource(
  innerA: boolean,
  innerB: boolean,
  source: DType,
  target: DType,
): Omit<KernelSource, "params"> {
  const element = source === "f16" ? "f16" : "f32";
  return {
    workgroup: true,
    buffers: [
      { name: "a", type: element },
      { name: "b", type: element },
      { name: "out", type: bufferType(target), write: true },
    ],
    helpers: `var<workgroup> tileA: array<vec4<f32>, ${depth * quads}>;
var<workgroup> tileB: array<vec4<f32>, ${depth * quads}>;`,
    put: `fn put(at: u32, value: f32) { out[p.offsetOut + at] = ${bufferType(target)}(value); }`,
    main: `let batch = group / p.tiles;
let tilesN = (p.n + ${sharedTile - 1}u) / ${sharedTile}u;
let row0 = (group % p.tiles / tilesN) * ${sharedTile}u;
let col0 = (group % p.tiles % tilesN) * ${sharedTile}u;
let baseA = p.offsetA + batch * p.batchA;
let baseB = p.offsetB + batch * p.batchB;
let length = select(p.chunk, min(p.chunk, p.k - batch * p.chunk), p.chunk < p.k);
let mine = gridLane / 8u * 2u;
let theirs = gridLane % 8u * 2u;
${eight.map((r) => `var c${r}_0 = vec4<f32>(); var c${r}_1 = vec4<f32>();`).join(" ")}
for (var l = 0u; l < length; l += ${depth}u) {
  ${fill("a", "tileA", "row0", "p.m", innerA)}
  ${fill("b", "tileB", "col0", "p.n", innerB)}
  workgroupBarrier();
  for (var k = 0u; k < ${depth}u; k++) {
    let a0 = tileA[k * ${quads}u + mine];
    let a1 = tileA[k * ${quads}u + mine + 1u];
    let b0 = tileB[k * ${quads}u + theirs];
    let b1 = tileB[k * ${quads}u + theirs + 1u];
    ${eight.map((r) => `c${r}_0 += a${r >> 2}.${"xyzw"[r & 3]} * b0; c${r}_1 += a${r >> 2}.${"xyzw"[r & 3]} * b1;`).join("\n    ")}
  }
  workgroupBarrier();
}
let row = row0 + 4u * mine;
let col = col0 + 4u * theirs;
${eight
  .map(
    (r) => `if (row + ${r}u < p.m) {
  let at = (batch * p.m + row + ${r}u) * p.n + col;
  ${eight.map((j) => `if (col + ${j}u < p.n) { put(at + ${j}u, c${r}_${j >> 2}.${"xyzw"[j & 3]}); }`).join("\n  ")}
}`,
  )
  .join("\n")}`,
  };
}
