/**
 * npx tsx --conditions=source bench/kernels/norm.ts [rows width, default 1024 128]
 *
 * The ladders of layer and RMS normalisation, of their gradient, and of a residual sum with the norm of it. What each rung
 * gains: nothing stored between the operations; four neighbours a load; lanes that share a row (a loss on software adapters,
 * which add up across lanes slowly; meant for GPUs, where neighbouring lanes should read neighbours); the sum written as the
 * norm reads it for the mean.
 */
import {
  add,
  apply,
  capture,
  concat,
  type KernelSource,
  key,
  layerNorm,
  mul,
  type Op,
  randomNormal,
  reshape,
  rmsNorm,
  scope,
  slice,
  type Tensor,
  u32Params,
  vjp,
  zeros,
} from "@pact/tensor";
import { composedNormalize } from "../../packages/tensor/src/ops/norm.ts";
import { lanesOf } from "../../packages/tensor/src/variants.ts";
import { climb, ladderDevice, type Rung } from "./ladder.ts";

const device = await ladderDevice();
const lanes = lanesOf(device.report);
const sizes = process.argv.slice(2).map(Number);
const [rows, width] = sizes.length === 2 ? sizes : [1024, 128];
const eps = 1e-5;
const [x, dy, branch] = [1, 2, 3].map((seed) => randomNormal(key(seed), [rows, width], { device }));
const [w, b, bias] = [4, 5, 6].map((seed) => randomNormal(key(seed), [width], { device }));

/** The same elements one place further in their memory, where no quad begins. */
function shifted(x: Tensor): Tensor {
  const flat = concat([zeros([1], { device }), reshape(x, [-1])], 0);
  return reshape(slice(flat, [1], [1 + x.size]), x.shape);
}

/** `lanes` lanes share a row: `total` adds up a quad over all of them. */
function sharedRow(
  name: string,
  lanes: number,
  total: (quad: string) => string,
  more: Partial<KernelSource>,
): Rung {
  const op: Op<null> = {
    name: `ladder:${name}`,
    infer: ([{ shape, dtype }]) => [{ shape, dtype }],
    webgpu: ([x, w, b], [y]) => [
      {
        key: `ladder:norm:${lanes}`,
        source: () => ({
          buffers: ["x", "w", "b", "y"].map((name) => ({ name, type: "vec4<f32>", write: name === "y" })),
          params: [...u32Params("n"), { name: "eps", type: "f32" }],
          ...more,
          main: `let q = p.n / 4u;
let lane = gridLane % ${lanes}u;
let x0 = (gridPlace.y * p.gridWidth + gridPlace.x) * ${64 / lanes}u * q + gridLane / ${lanes}u * q;
var sum = vec4<f32>();
for (var j = lane; j < q; j += ${lanes}u) { sum += x[x0 + j]; }
let m = ${total("sum")} / f32(p.n);
var squares = vec4<f32>();
for (var j = lane; j < q; j += ${lanes}u) { let c = x[x0 + j] - m; squares += c * c; }
let r = inverseSqrt(${total("squares")} / f32(p.n) + p.eps);
for (var j = lane; j < q; j += ${lanes}u) { y[x0 + j] = (x[x0 + j] - m) * r * w[j] + b[j]; }`,
        }),
        buffers: [x, w, b, y],
        params: [width, eps],
        count: rows * lanes,
      },
    ],
  };
  return { name, run: () => apply(op, [x, w, b], null) };
}

const inWorkgroup = `var<workgroup> parts: array<f32, 64>;
fn total(lane: u32, quad: vec4<f32>) -> f32 {
  workgroupBarrier();
  parts[lane] = dot(quad, vec4<f32>(1.0));
  for (var half = 32u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) { parts[lane] += parts[lane + half]; }
  }
  workgroupBarrier();
  return parts[0];
}`;
const problem = (name: string, flops: number) => ({
  name: `${name} [${rows}, ${width}]`,
  inputs: [],
  flops: flops * rows * width,
});
const run = (name: string, f: () => Tensor): Rung => ({ name, run: f });
const [x1, w1, b1, dy1] = [x, w, b, dy].map(shifted);

await climb(device, problem("layerNorm", 8), [
  run("composed of operations", () => add(mul(composedNormalize(x, { eps, centred: true }), w), b)),
  run("fused, an element a load", () => layerNorm(x1, w1, b1)),
  run("four elements a load", () => layerNorm(x, w, b)),
  ...(lanes > 0 && width % 4 === 0
    ? [
        sharedRow("a subgroup a row", lanes, (quad) => `subgroupAdd(dot(${quad}, vec4<f32>(1.0)))`, {
          subgroups: true,
        }),
      ]
    : []),
  ...(width % 4 === 0
    ? [
        sharedRow("a workgroup a row", 64, (quad) => `total(lane, ${quad})`, {
          workgroup: true,
          helpers: inWorkgroup,
        }),
      ]
    : []),
]);
await climb(device, problem("rmsNorm", 5), [
  run("composed of operations", () => mul(composedNormalize(x, { eps, centred: false }), w)),
  run("fused, an element a load", () => rmsNorm(x1, w1)),
  run("four elements a load", () => rmsNorm(x, w)),
]);

/** The gradient of x; those of the weights come with it. */
const gradient = (norm: (x: Tensor, w: Tensor) => Tensor, inputs: readonly [Tensor, Tensor], dy: Tensor) =>
  vjp((x, w) => [norm(x, w)], inputs, [dy]).grads[0];
await climb(device, problem("layerNorm with its gradient", 24), [
  run("composed of operations", () =>
    gradient((x, w) => mul(composedNormalize(x, { eps, centred: true }), w), [x, w], dy),
  ),
  run("fused, an element a load", () => gradient((x, w) => layerNorm(x, w), [x1, w1], dy1)),
  run("four elements a load", () => gradient((x, w) => layerNorm(x, w), [x, w], dy)),
]);

const summed = (x: Tensor, branch: Tensor) => add(x, add(branch, bias));
const sum = capture(summed);
const both = capture((x: Tensor, branch: Tensor) => {
  const middle = summed(x, branch);
  return { middle, y: layerNorm(middle, w, b) };
});
await climb(device, problem("residual sum, bias and layerNorm", 10), [
  run("operation by operation", () => scope(() => layerNorm(summed(x, branch), w, b))),
  run("the sum in one kernel, the norm in another", () => scope(() => layerNorm(sum(x, branch), w, b))),
  run("one kernel", () => scope(() => both(x, branch).y)),
]);
device.destroy();
