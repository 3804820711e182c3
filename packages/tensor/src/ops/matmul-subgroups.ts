/**
 * The WGSL of the matrix product where the lanes of a subgroup work together: each loads other rows of `a` and other columns
 * of `b`, and every row's value is handed to all lanes. A software adapter hands a value over far faster than it loads one.
 * Each subgroup computes `rows` × (lanes · 4); sums go along k in order. Leaves out who chooses it (matmul-calls.ts).
 */
import { bufferType, type KernelSource } from "../backends/webgpu/kernel.ts";
import type { DType } from "../dtype.ts";

/**
 * What is read at once: `columns` four neighbouring columns of b (b contiguous along n), `inner` four neighbours along k of
 * both (contiguous along k, k a multiple of 4), `single` elements of any strides.
 */
export type Reads = "columns" | "inner" | "single";

/** Columns of one lane. */
export const laneColumns = 4;

const each = <T>(n: number, f: (i: number) => T): T[] => Array.from({ length: n }, (_, i) => f(i));

/** Buffers and statements; loads are widened to f32, sums kept in f32, results rounded to `target` once. */
export function subgroupSource(
  reads: Reads,
  lanes: number,
  rows: number,
  source: DType,
  target: DType,
): Pick<KernelSource, "buffers" | "main" | "put" | "subgroups"> {
  const element = source === "f16" ? "f16" : "f32";
  const result = bufferType(target);
  const quads = reads === "columns";
  return {
    put: quads ? undefined : `fn put(at: u32, value: f32) { out[at] = ${result}(value); }`,
    subgroups: true,
    buffers: [
      { name: "a", type: reads === "inner" ? `vec4<${element}>` : element },
      { name: "b", type: reads !== "single" ? `vec4<${element}>` : element },
      { name: "out", type: quads ? (result === "f16" ? "vec4<f16>" : "vec4<f32>") : result, write: true },
    ],
    main: `let lane = i % ${lanes}u;
let batch = i / ${lanes}u / p.tiles;
let tile = i / ${lanes}u % p.tiles;
let row = (tile / p.tilesN) * ${rows}u;
let col = (tile % p.tilesN) * ${lanes * laneColumns}u + lane${quads ? ` * ${laneColumns}u` : ""};
let baseA = p.offsetA + batch * p.batchA;
let baseB = p.offsetB + batch * p.batchB;
let length = select(p.chunk, min(p.chunk, p.k - batch * p.chunk), p.chunk < p.k);
// Rows and columns past the edge read the last valid ones and are not stored.
${each(rows / lanes, (g) => `var fromA${g} = (baseA + min(row + ${g * lanes}u + lane, p.m - 1u) * p.am)${reads === "inner" ? " / 4u" : ""};`).join("\n")}
${quads ? loopOverQuads(lanes, rows, target) : loopOverColumns(reads === "inner", lanes, rows)}`,
  };
}

/** The value of row r in lane r mod `lanes`, handed to all. */
const handed = (name: string, r: number, lanes: number) =>
  `subgroupBroadcast(${name}${Math.floor(r / lanes)}, ${r % lanes}u)`;

function loopOverQuads(lanes: number, rows: number, target: DType): string {
  return `var fromB = (baseB + min(col, p.n - 4u)) / 4u;
${each(rows, (r) => `var c${r} = vec4<f32>();`).join(" ")}
for (var l = 0u; l < length; l++) {
  ${each(rows / lanes, (g) => `let a${g} = f32(a[fromA${g}]); fromA${g} += p.ak;`).join(" ")}
  let quad = vec4<f32>(b[fromB]);
  fromB += p.bk / 4u;
  ${each(rows, (r) => `c${r} += ${handed("a", r, lanes)} * quad;`).join("\n  ")}
}
if (col < p.n) {
  let at = (batch * p.m * p.n + row * p.n + col) / 4u;
  ${each(rows, (r) => `if (row + ${r}u < p.m) { out[at + ${r}u * p.n / 4u] = ${target === "f16" ? "vec4<f16>" : ""}(c${r}); }`).join("\n  ")}
}`;
}

/** Lanes own columns `lanes` apart, so that neighbours write neighbours. With `quads`, four steps of k are read at once. */
function loopOverColumns(quads: boolean, lanes: number, rows: number): string {
  const columns = each(laneColumns, (j) => j);
  const groups = each(rows / lanes, (g) => g);
  const step = (a: (g: number) => string, b: (j: number) => string) => `{
    ${groups.map((g) => `let a${g} = ${a(g)};`).join(" ")}
    let columns = vec4<f32>(${columns.map(b).join(", ")});
    ${each(rows, (r) => `c${r} += ${handed("a", r, lanes)} * columns;`).join("\n    ")}
  }`;
  const loop = quads
    ? `for (var l = 0u; l < length; l += 4u) {
  ${groups.map((g) => `let quadA${g} = vec4<f32>(a[fromA${g}]); fromA${g} += 1u;`).join(" ")}
  ${columns.map((j) => `let quadB${j} = vec4<f32>(b[fromB${j}]); fromB${j} += 1u;`).join(" ")}
  ${[..."xyzw"]
    .map((s) =>
      step(
        (g) => `quadA${g}.${s}`,
        (j) => `quadB${j}.${s}`,
      ),
    )
    .join("\n  ")}
}`
    : `for (var l = 0u; l < length; l++) {
  ${step(
    (g) => `f32(a[fromA${g}])`,
    (j) => `f32(b[fromB${j}])`,
  )}
  ${groups.map((g) => `fromA${g} += p.ak;`).join(" ")} ${columns.map((j) => `fromB${j} += p.bk;`).join(" ")}
}`;
  return `${columns
    .map((j) => `var fromB${j} = (baseB + min(col + ${j * lanes}u, p.n - 1u) * p.bn)${quads ? " / 4u" : ""};`)
    .join("\n")}
${each(rows, (r) => `var c${r} = vec4<f32>();`).join(" ")}
${loop}
let at = batch * p.m * p.n + row * p.n + col;
${each(
  rows,
  (r) => `if (row + ${r}u < p.m) {
  ${columns.map((j) => `if (col + ${j * lanes}u < p.n) { put(at + ${r}u * p.n + ${j * lanes}u, c${r}.${"xyzw"[j]}); }`).join("\n  ")}
}`,
).join("\n")}`;
}
