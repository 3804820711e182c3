/**
 * npx tsx --conditions=source bench/kernels/matmul.ts [m k n, default 1024 128 512]
 *
 * The ladder of the matrix product, for operands that lie as those of a linear layer do: NT its outputs, NN the gradient of
 * its inputs, TN that of its weights. What each rung gains: sums in a register instead of one sum a lane (tiles), loads of
 * four, larger tiles (fewer loads a product), loads that a workgroup shares in its memory (a loss on software adapters, whose
 * barriers are slow), lanes that hand each other what they loaded instead of loading it themselves.
 */
import { type KernelCall, key, randomNormal, type Tensor, transpose, u32Params } from "@pact/tensor";
import { productOf, sharedCall, subgroupCall, tileCall } from "../../packages/tensor/src/ops/matmul-calls.ts";
import { lanesOf } from "../../packages/tensor/src/variants.ts";
import { climb, kernelRung, ladderDevice, type Rung } from "./ladder.ts";

/** One sum an invocation, one load a factor. */
function plain([a, b]: readonly Tensor[], out: Tensor): KernelCall {
  const [k, n] = b.shape;
  return {
    key: "ladder:matmul:plain",
    source: () => ({
      buffers: [
        { name: "a", type: "f32" },
        { name: "b", type: "f32" },
        { name: "y", type: "f32", write: true },
      ],
      params: u32Params("k", "n", "am", "ak", "bk", "bn"),
      main: `var sum = 0.0;
for (var l = 0u; l < p.k; l++) { sum += a[i / p.n * p.am + l * p.ak] * b[l * p.bk + i % p.n * p.bn]; }
y[i] = sum;`,
    }),
    buffers: [a, b, out],
    params: [k, n, ...a.strides, ...b.strides],
    count: out.size,
  };
}

const device = await ladderDevice();
const lanes = lanesOf(device.report);
const tiles = (m: number, n: number): Rung =>
  kernelRung(`tiles of ${m} × ${n}, loads of four`, ([a, b], out) => [
    tileCall(productOf(a, b, out), out, a.shape[1], 0, [m, n]),
  ]);
const subgroups = (rows: number): Rung =>
  kernelRung(`subgroups, ${rows} rows × ${4 * lanes} columns`, ([a, b], out) => {
    const reads = b.strides[1] === 1 ? "columns" : "inner";
    return [subgroupCall(productOf(a, b, out), out, a.shape[1], lanes, { reads, rows })];
  });
const rungs = [
  kernelRung("one sum an invocation", (inputs, out) => [plain(inputs, out)]),
  tiles(4, 4),
  tiles(8, 8),
  kernelRung("64 × 64 in a workgroup's memory", ([a, b], out) => [
    sharedCall(productOf(a, b, out), out, a.shape[1]),
  ]),
  ...(lanes > 0 ? [8, 16, 32].map(subgroups) : []),
];
const sizes = process.argv.slice(2).map(Number);
const [m, k, n] = sizes.length === 3 ? sizes : [1024, 128, 512];
const matrix = (rows: number, columns: number, seed: number) =>
  randomNormal(key(seed), [rows, columns], { device });
const layouts = {
  NN: () => [matrix(m, k, 1), matrix(k, n, 2)],
  NT: () => [matrix(m, k, 1), transpose(matrix(n, k, 2))],
  TN: () => [transpose(matrix(k, m, 1)), matrix(k, n, 2)],
};
for (const [layout, make] of Object.entries(layouts)) {
  const name = `${layout} [${m}, ${k}]·[${k}, ${n}]`;
  await climb(device, { name, inputs: make(), flops: 2 * m * k * n }, rungs);
}
device.destroy();
