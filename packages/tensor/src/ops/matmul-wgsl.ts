/**
 * The WGSL of the matrix product: one tile per invocation, kept in registers, in the variants that matmul.ts chooses by
 * the layouts of its operands. Leaves out which variant a product takes and how parts of long products are added.
 */

/** How an operand's two last dimensions lie in memory: vec4 loads along the inner (k) or the outer (m, n) one, or none. */
export type Layout = "inner" | "outer" | "scalar";

/** Loads are widened to f32, sums kept in f32; results are handed to `put`. */
export function kernelText(la: Layout, lb: Layout, tileM: number, tileN: number): string {
  const rows = Array.from({ length: tileM }, (_, r) => r);
  const columns = Array.from({ length: tileN }, (_, j) => j);
  const quads = Array.from({ length: tileN / 4 }, (_, q) => q);
  return `let batch = i / p.tiles;
let tile = i % p.tiles;
let tilesN = (p.n + ${tileN - 1}u) / ${tileN}u;
let row = (tile / tilesN) * ${tileM}u;
let col = (tile % tilesN) * ${tileN}u;
let baseA = p.offsetA + batch * p.batchA;
let baseB = p.offsetB + batch * p.batchB;
let length = select(p.chunk, min(p.chunk, p.k - batch * p.chunk), p.chunk < p.k);
${rows.flatMap((r) => quads.map((q) => `var c${r}_${q} = vec4<f32>();`)).join(" ")}
// Rows and columns past the edge read the last valid ones and are not stored.
${rows.map((r) => `let r${r} = min(row + ${r}u, p.m - 1u);`).join(" ")}
${columns.map((j) => `let n${j} = min(col + ${j}u, p.n - 1u);`).join(" ")}
${la === "scalar" ? scalarLoop(rows) : vectorLoop(la, lb, rows, columns)}
let base = batch * p.m * p.n;
${rows
  .map(
    (r) => `if (row + ${r}u < p.m) {
  let at = base + (row + ${r}u) * p.n + col;
  ${columns.map((j) => `if (col + ${j}u < p.n) { put(at + ${j}u, c${r}_${j >> 2}.${"xyzw"[j & 3]}); }`).join("\n  ")}
}`,
  )
  .join("\n")}`;
}

/** Any strides: 8 scalar loads for 16 multiply-adds. */
function scalarLoop(rows: readonly number[]): string {
  return `for (var l = 0u; l < length; l++) {
  let atA = baseA + l * p.ak;
  let atB = baseB + l * p.bk;
  let bv = vec4<f32>(f32(b[atB + n0 * p.bn]), f32(b[atB + n1 * p.bn]), f32(b[atB + n2 * p.bn]), f32(b[atB + n3 * p.bn]));
  ${rows.map((r) => `c${r}_0 += f32(a[atA + r${r} * p.am]) * bv;`).join("\n  ")}
}`;
}

/** vec4 loads. `inner` operands are read 4 along k at once, `outer` ones 4 along m or n at one k. */
function vectorLoop(la: Layout, lb: Layout, rows: readonly number[], columns: readonly number[]): string {
  const quads = columns.filter((j) => j % 4 === 0).map((j) => j / 4);
  const lane = ["x", "y", "z", "w"];
  // NOTE: a quad past the edge (its size is a multiple of 4) reads the last valid one.
  if (la === "outer" && lb === "outer") {
    return `for (var l = 0u; l < length; l++) {
  ${rows
    .filter((r) => r % 4 === 0)
    .map((r) => `let a${r / 4} = vec4<f32>(a[(baseA + l * p.ak + min(row + ${r}u, p.m - 4u)) / 4u]);`)
    .join(" ")}
  ${quads.map((q) => `let b${q} = vec4<f32>(b[(baseB + l * p.bk + min(col + ${4 * q}u, p.n - 4u)) / 4u]);`).join(" ")}
  ${rows.flatMap((r) => quads.map((q) => `c${r}_${q} += a${r >> 2}.${lane[r & 3]} * b${q};`)).join("\n  ")}
}`;
  }
  const four = [0, 1, 2, 3];
  const loadA =
    la === "inner"
      ? rows.map((r) => `let a${r} = vec4<f32>(a[(baseA + r${r} * p.am + l) / 4u]);`)
      : // One vec4 along m for each of the four k: transposed into rows.
        [
          ...four.map((s) => `let t${s} = vec4<f32>(a[(baseA + (l + ${s}u) * p.ak + row) / 4u]);`),
          ...four.map((r) => `let a${r} = vec4<f32>(${four.map((s) => `t${s}.${lane[r]}`).join(", ")});`),
        ];
  const update =
    lb === "inner"
      ? [
          ...columns.map((j) => `let b${j} = vec4<f32>(b[(baseB + n${j} * p.bn + l) / 4u]);`),
          ...rows.flatMap((r) =>
            quads.map(
              (q) => `c${r}_${q} += vec4<f32>(${four.map((j) => `dot(a${r}, b${4 * q + j})`).join(", ")});`,
            ),
          ),
        ]
      : four.flatMap((s) => [
          ...quads.map(
            (q) =>
              `let b${s}_${q} = vec4<f32>(b[(baseB + (l + ${s}u) * p.bk + min(col + ${4 * q}u, p.n - 4u)) / 4u]);`,
          ),
          ...rows.flatMap((r) => quads.map((q) => `c${r}_${q} += a${r}.${lane[s]} * b${s}_${q};`)),
        ]);
  return `for (var l = 0u; l < length; l += 4u) {
  ${[...loadA, ...update].join("\n  ")}
}`;
}
