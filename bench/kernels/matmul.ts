/**
 * npx tsx --conditions=source bench/kernels/matmul.ts [parts of names of problems, default all]
 *
 * The ladder of the matrix product, for operands that lie as those of a linear layer do (NT its outputs, NN the gradient of its
 * inputs, TN that of its weights), batched, with ragged edges, with few rows (a decoding step), and with sums that are long
 * beside the result (weight gradients of small layers). What each rung gains: sums in a register instead of one sum a lane
 * (tiles), loads of four, larger tiles (fewer loads a product), loads that a workgroup shares in its memory (a loss on
 * software adapters, whose barriers are slow), lanes that hand each other what they loaded; with few rows, a workgroup
 * whose invocations share the sums (for GPUs), and lanes that load along k instead of rows that are not there; with long sums, parts that are added up afterwards.
 */
import { type KernelCall, key, randomNormal, type Tensor, transpose, u32Params, zeros } from "@pact/tensor";
import {
  fewCall,
  inParts,
  productOf,
  sharedCall,
  subgroupCall,
  tileCall,
} from "../../packages/tensor/src/ops/matmul-calls.ts";
import { lanesOf } from "../../packages/tensor/src/variants.ts";
import { climb, kernelRung, ladderDevice, type Problem, type Rung } from "./ladder.ts";

/** One sum an invocation, one load a factor. */
function plain([a, b]: readonly Tensor[], out: Tensor): KernelCall {
  const [m, n] = out.shape.slice(-2);
  const { a: left, b: right, k } = product([a, b], out);
  return {
    key: "ladder:matmul:plain",
    source: () => ({
      buffers: [
        { name: "a", type: "f32" },
        { name: "b", type: "f32" },
        { name: "y", type: "f32", write: true },
      ],
      params: u32Params("m", "k", "n", "ab", "am", "ak", "bb", "bk", "bn"),
      main: `var sum = 0.0;
let batch = i / (p.m * p.n);
let fromA = batch * p.ab + i / p.n % p.m * p.am;
let fromB = batch * p.bb + i % p.n * p.bn;
for (var l = 0u; l < p.k; l++) { sum += a[fromA + l * p.ak] * b[fromB + l * p.bk]; }
y[i] = sum;`,
    }),
    buffers: [a, b, out],
    params: [m, k, n, left.batch, left.outer, left.inner, right.batch, right.inner, right.outer],
    count: out.size,
  };
}

/** y added to another tensor of its shape: what a product that adds to what is there would save. */
function addition(y: Tensor, to: Tensor, out: Tensor): KernelCall {
  return {
    key: "ladder:matmul:addition",
    source: () => ({
      buffers: [
        { name: "y", type: "vec4<f32>" },
        { name: "to", type: "vec4<f32>" },
        { name: "out", type: "vec4<f32>", write: true },
      ],
      params: [],
      main: "out[i] = to[i] + y[i];",
    }),
    buffers: [y, to, out],
    params: [],
    count: out.size / 4,
  };
}

/** The operands as the kernels see them; of more than two axes, the first is the batch. */
function product([a, b]: readonly Tensor[], out: Tensor) {
  const step = (x: Tensor) => (x.rank > 2 ? x.strides[0] : 0);
  return productOf(a, b, out, step(a), step(b));
}

const device = await ladderDevice();
const lanes = lanesOf(device.report);

const tiles = (m: number, n: number): Rung =>
  kernelRung(`tiles of ${m} × ${n}, loads of four`, (inputs, out) => {
    const p = product(inputs, out);
    return [tileCall(p, out, p.k, [m, n])];
  });
const shared = (parts = 1): Rung =>
  kernelRung(`64 × 64 in a workgroup's memory${added(parts)}`, (inputs, out) => {
    const p = product(inputs, out);
    return inParts(p, out, Math.ceil(p.k / parts), (target, chunk) => sharedCall(p, target, chunk));
  });
const subgroups = (rows: number, parts = 1): Rung =>
  kernelRung(
    `subgroups, ${rows} row${rows > 1 ? "s" : ""} × ${4 * lanes} columns${added(parts)}`,
    (inputs, out) => {
      const p = product(inputs, out);
      const reads =
        p.b.outer === 1 && p.n % 4 === 0
          ? "columns"
          : p.k % 4 === 0 && p.a.inner === 1 && p.b.inner === 1
            ? "inner"
            : "single";
      return inParts(p, out, Math.ceil(p.k / parts), (target, chunk) =>
        subgroupCall(p, target, chunk, lanes, { reads, rows }),
      );
    },
  );
/** Zeros to add to, for the largest result under long sums. */
const nothing = zeros([2 ** 16], { device });
/** 16 rows, and the result added to zeros. */
const accumulated = kernelRung(
  "subgroups, 16 rows, added to another tensor by a kernel of its own",
  (inputs, out) => {
    const p = product(inputs, out);
    const y = device.empty(out.shape, "f32");
    const calls = [subgroupCall(p, y, p.k, lanes, { reads: "columns", rows: 16 }), addition(y, nothing, out)];
    y.dispose();
    return calls;
  },
);
const added = (parts: number) => (parts > 1 ? `, ${parts} parts added up` : "");

const simple = [kernelRung("one sum an invocation", (inputs, out) => [plain(inputs, out)]), tiles(4, 4)];
const many = [
  ...simple,
  tiles(8, 8),
  shared(),
  ...(lanes > 0 ? [8, 16, 32].map((rows) => subgroups(rows)) : []),
];
const edges = [
  simple[0],
  tiles(4, 4),
  shared(),
  ...(lanes > 0 ? [8, 16, 32].map((rows) => subgroups(rows)) : []),
];
const few = [
  ...simple,
  kernelRung("k in a workgroup, shares added in its memory", (inputs, out) => [
    fewCall(product(inputs, out), out),
  ]),
  ...(lanes > 0 ? [16, 8, 4, 2, 1].map((rows) => subgroups(rows)) : []),
];
const long = [
  ...simple,
  shared(),
  shared(4),
  ...(lanes > 0 ? [accumulated, ...[1, 2, 4, 8, 16].map((parts) => subgroups(16, parts))] : []),
];

/** Where operands lie in memory, as a linear layer's do. */
const layouts = { NN: [false, false], NT: [false, true], TN: [true, false] } as const;

/** A matrix, or a batch of them. */
function matrix(seed: number, batch: number, rows: number, columns: number, transposed: boolean): Tensor {
  const lying = transposed ? [columns, rows] : [rows, columns];
  const x = randomNormal(key(seed), batch > 1 ? [batch, ...lying] : lying, { device });
  return transposed ? transpose(x) : x;
}

/** A problem of the ladder. */
function problem(
  kind: string,
  layout: keyof typeof layouts,
  [m, k, n]: readonly [number, number, number],
  { repeats = 1, batch = 1 } = {},
): Problem {
  const [ta, tb] = layouts[layout];
  return {
    name: `${kind} ${layout} ${batch > 1 ? `${batch} × ` : ""}[${m}, ${k}]·[${k}, ${n}]`,
    inputs: [matrix(1, batch, m, k, ta), matrix(2, batch, k, n, tb)],
    flops: 2 * batch * m * k * n,
    repeats,
  };
}

const often = { repeats: 200 };
const problems: [Problem, readonly Rung[]][] = [
  [problem("layer", "NN", [1024, 128, 512]), many],
  [problem("layer", "NT", [1024, 128, 512]), many],
  [problem("layer", "TN", [1024, 128, 512]), many],
  [problem("batched", "NT", [128, 32, 128], { batch: 32 }), many],
  [problem("ragged", "NT", [999, 127, 509]), edges],
  [problem("ragged", "TN", [509, 999, 127]), edges],
  [problem("few rows", "NT", [8, 128, 128], often), few],
  [problem("few rows", "NT", [8, 128, 512], often), few],
  [problem("few rows", "NT", [8, 512, 128], often), few],
  [problem("few rows", "NT", [3, 128, 512], often), few],
  [problem("one row", "NT", [1, 128, 128], often), few],
  [problem("one row", "NT", [1, 128, 512], often), few],
  [problem("one row", "NT", [1, 512, 128], often), few],
  [problem("one row", "NN", [1, 128, 512], often), few],
  [problem("long sums", "TN", [512, 1024, 128]), long],
  [problem("long sums", "TN", [128, 1024, 512]), long],
  [problem("long sums", "TN", [128, 1024, 128]), long],
  [problem("long sums", "TN", [128, 8192, 128]), long],
  [problem("long sums", "TN", [32, 16384, 64]), long],
];
const wanted = process.argv.slice(2);
for (const [at, rungs] of problems) {
  if (wanted.length === 0 || wanted.some((part) => at.name.includes(part))) await climb(device, at, rungs);
}
device.destroy();
