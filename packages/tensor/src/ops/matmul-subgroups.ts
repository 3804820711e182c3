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
  const group = { lanes, rows, width: reads === "inner" ? 4 : 1, blocks: Math.max(1, lanes / rows) };
  return {
    put: quads ? undefined : `fn put(at: u32, value: f32) { out[p.offsetOut + at] = ${result}(value); }`,
    subgroups: true,
    buffers: [
      { name: "a", type: reads === "inner" ? `vec4<${element}>` : element },
      { name: "b", type: reads !== "single" ? `vec4<${element}>` : element },
      { name: "out", type: quads ? (result === "f16" ? "vec4<f16>" : "vec4<f32>") : result, write: true },
    ],
    main: `let lane = i % ${lanes}u;
let batch = i / ${lanes}u / p.tiles;
let tile = i / ${lanes}u % p.tiles;
let tilesN = (p.n + ${lanes * laneColumns - 1}u) / ${lanes * laneColumns}u;
let row = (tile / tilesN) * ${rows}u;
let col = (tile % tilesN) * ${lanes * laneColumns}u + lane${quads ? ` * ${laneColumns}u` : ""};
let baseA = p.offsetA + batch * p.batchA;
let baseB = p.offsetB + batch * p.batchB;
let length = select(p.chunk, min(p.chunk, p.k - batch * p.chunk), p.chunk < p.k);
// Rows and columns past the edge read the last valid ones and are not stored.
${rowStarts(group)}
${quads ? loopOverQuads(group, target) : loopOverColumns(group)}`,
  };
}

/** The lanes of a subgroup: its rows, the steps of k that one load brings, and the loads along k that it makes at once. */
interface Group {
  readonly lanes: number;
  readonly rows: number;
  readonly width: number;
  readonly blocks: number;
}

const loads = ({ lanes, rows }: Group) => each(Math.max(1, rows / lanes), (g) => g);

/** Where each lane begins to read a: a row a lane, or of fewer rows than lanes, further along k. */
function rowStarts(group: Group): string {
  const { lanes, rows, width, blocks } = group;
  const mine = blocks > 1 ? `lane % ${rows}u` : "lane";
  const along = blocks > 1 ? ` + lane / ${rows}u * ${width}u * p.ak` : "";
  return loads(group)
    .map(
      (g) =>
        `var fromA${g} = (baseA + min(row + ${g * lanes}u + ${mine}, p.m - 1u) * p.am${along})${width > 1 ? " / 4u" : ""};`,
    )
    .join("\n");
}

/**
 * What a lane reads `ahead` of where the loop is, as f32. Where several steps of k are read at once, the last of them may lie
 * past the end of the sum and count as 0.
 */
function loaded({ width, blocks }: Group, read: string, ahead: string): string {
  const type = width > 1 ? "vec4<f32>" : "f32";
  return blocks > 1 && ahead !== "0u"
    ? `select(${type}(), ${type}(${read}), l + ${ahead} < length)`
    : `${type}(${read})`;
}

/** The loads from a of one round of the loop. */
function loadsOfA(group: Group): string[] {
  const { rows, width, blocks } = group;
  const ahead = blocks > 1 ? `lane / ${rows}u * ${width}u` : "0u";
  const next = width > 1 ? `${blocks}u` : `${blocks}u * p.ak`;
  return loads(group).map(
    (g) => `let a${g} = ${loaded(group, `a[fromA${g}]`, ahead)}; fromA${g} += ${next};`,
  );
}

const loop = ({ width, blocks }: Group, body: readonly string[]) =>
  `for (var l = 0u; l < length; l += ${width * blocks}u) {
  ${body.join("\n  ")}
}`;

/** The value of row r in block `block`, handed to all lanes by the one that loaded it. */
const handed = (r: number, block: number, part: string, { lanes, rows }: Group) =>
  `subgroupBroadcast(a${Math.floor(r / lanes)}${part}, ${(block * rows + r) % lanes}u)`;

function loopOverQuads(group: Group, target: DType): string {
  const { rows, blocks } = group;
  const body = each(blocks, (block) => [
    `let quad${block} = ${loaded({ ...group, width: 4 }, "b[fromB]", `${block}u`)}; fromB += p.bk / 4u;`,
    ...each(rows, (r) => `c${r} += ${handed(r, block, "", group)} * quad${block};`),
  ]);
  return `var fromB = (baseB + min(col, p.n - 4u)) / 4u;
${each(rows, (r) => `var c${r} = vec4<f32>();`).join(" ")}
${loop(group, [...loadsOfA(group), ...body.flat()])}
if (col < p.n) {
  let at = (p.offsetOut + batch * p.m * p.n + row * p.n + col) / 4u;
  ${each(rows, (r) => `if (row + ${r}u < p.m) { out[at + ${r}u * p.n / 4u] = ${target === "f16" ? "vec4<f16>" : ""}(c${r}); }`).join("\n  ")}
}`;
}

/** Lanes own columns `lanes` apart, so that neighbours write neighbours. */
function loopOverColumns(group: Group): string {
  const { lanes, rows, width, blocks } = group;
  const columns = each(laneColumns, (j) => j);
  const parts = width > 1 ? [".x", ".y", ".z", ".w"] : [""];
  const body = each(blocks, (block) => [
    ...columns.map(
      (j) =>
        `let b${block}_${j} = ${loaded(group, `b[fromB${j}]`, `${block * width}u`)}; fromB${j} += ${width > 1 ? "1u" : "p.bk"};`,
    ),
    ...parts.map(
      (part) => `{
    let columns = vec4<f32>(${columns.map((j) => `b${block}_${j}${part}`).join(", ")});
    ${each(rows, (r) => `c${r} += ${handed(r, block, part, group)} * columns;`).join("\n    ")}
  }`,
    ),
  ]);
  return `${columns
    .map(
      (j) =>
        `var fromB${j} = (baseB + min(col + ${j * lanes}u, p.n - 1u) * p.bn)${width > 1 ? " / 4u" : ""};`,
    )
    .join("\n")}
${each(rows, (r) => `var c${r} = vec4<f32>();`).join(" ")}
${loop(group, [...loadsOfA(group), ...body.flat()])}
let at = batch * p.m * p.n + row * p.n + col;
${each(
  rows,
  (r) => `if (row + ${r}u < p.m) {
  ${columns.map((j) => `if (col + ${j * lanes}u < p.n) { put(at + ${r}u * p.n + ${j * lanes}u, c${r}.${"xyzw"[j]}); }`).join("\n  ")}
}`,
).join("\n")}`;
}
