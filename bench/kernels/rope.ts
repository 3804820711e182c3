/**
 * npx tsx --conditions=source bench/kernels/rope.ts [tokens heads size, default 1024 8 64]
 *
 * The ladder of rotary positions, pure and in place. What each rung gains: nothing stored between the operations; four
 * pairs an invocation, which load quads; one angle for all heads; in place, half the memory that is touched.
 */
import {
  add,
  apply,
  concat,
  cos,
  exp,
  type KernelCall,
  key,
  mul,
  type Op,
  randomNormal,
  reshape,
  rope,
  sin,
  slice,
  sub,
  type Tensor,
  tensor,
  u32Params,
  zeros,
} from "@pact/tensor";
import { ropeOp } from "../../packages/tensor/src/ops/rope.ts";
import { sinCosWgsl } from "../../packages/tensor/src/ops/trigonometry.ts";
import { climb, ladderDevice, type Rung } from "./ladder.ts";

const device = await ladderDevice();
const sizes = process.argv.slice(2).map(Number);
const [tokens, heads, size] = sizes.length === 3 ? sizes : [1024, 8, 64];
const [half, theta] = [size / 2, 10_000];
const x = randomNormal(key(1), [tokens, heads, size], { device });
const positions = tensor(
  Int32Array.from({ length: tokens }, (_, i) => i),
  { device },
);

/** By operations: angles [N, 1, D/2], their cosines and sines, products and sums. */
function composed(): Tensor {
  const places = tensor(
    Float32Array.from({ length: tokens }, (_, i) => i),
    { shape: [tokens, 1, 1], device },
  );
  const steps = tensor(
    Float32Array.from({ length: half }, (_, d) => (-d / half) * Math.log(theta)),
    { device },
  );
  const angles = mul(places, exp(steps));
  const [c, s] = [cos(angles), sin(angles)];
  const [a, b] = [0, half].map((from) => slice(x, [0, 0, from], [tokens, heads, from + half]));
  return concat([sub(mul(a, c), mul(b, s)), add(mul(b, c), mul(a, s))], -1);
}

/** A pair of one head an invocation, or four. */
function apart(width: 1 | 4): Rung {
  const type = width === 4 ? ("vec4<f32>" as const) : ("f32" as const);
  const lanes = width === 4 ? [0, 1, 2, 3] : [0];
  const all = (part: string) =>
    width === 4 ? `vec4<f32>(${lanes.map((k) => `t${k}.${part}`).join(", ")})` : `t0.${part}`;
  const op: Op<null> = {
    name: `ladder:rope:${width}`,
    infer: ([{ shape, dtype }]) => [{ shape, dtype }],
    webgpu: ([x, positions], [y]): KernelCall[] => [
      {
        key: `ladder:rope:${width}`,
        source: () => ({
          buffers: [
            { name: "x", type },
            { name: "positions", type: "i32" },
            { name: "y", type, write: true },
          ],
          params: [...u32Params("heads", "half"), { name: "logTheta", type: "f32" }],
          helpers: sinCosWgsl,
          main: `let steps = p.half / ${width}u;
let row = i / steps;
let d = i % steps * ${width}u;
let position = f32(positions[row / p.heads]);
${lanes.map((k) => `let t${k} = sinCos(position * exp2(-f32(d + ${k}u) / f32(p.half) * p.logTheta));`).join("\n")}
let c = ${all("y")};
let s = ${all("x")};
let at = row * 2u * steps + i % steps;
let a = x[at];
let b = x[at + steps];
y[at] = a * c - b * s;
y[at + steps] = b * c + a * s;`,
        }),
        buffers: [x, positions, y],
        params: [heads, half, Math.log2(theta)],
        count: x.size / 2 / width,
      },
    ],
  };
  const name = width === 4 ? "four pairs of a head an invocation" : "fused, a pair an invocation";
  return { name, run: () => apply(op, [x, positions], null) };
}

/** The same elements one place further in their memory, where no quad begins. */
const shifted = slice(concat([zeros([1], { device }), reshape(x, [-1])], 0), [1], [1 + x.size]);
const odd = reshape(shifted, x.shape);
const flops = 6 * (x.size / 2);
const name = `[${tokens}, ${heads}, ${size}]`;
await climb(device, { name, inputs: [], flops }, [
  { name: "composed of operations", run: composed },
  apart(1),
  apart(4),
  { name: "a pair of all heads", run: () => rope(odd, positions) },
  { name: "four pairs of all heads", run: () => rope(x, positions) },
]);
const changed = add(x, 0);
await climb(device, { name: `${name} in place`, inputs: [], flops }, [
  { name: "pure", run: () => rope(x, positions) },
  {
    name: "in place",
    run() {
      // As recordings do it (capture/in-place.ts): the operation's output is its input.
      device.runner.run(ropeOp, [changed, positions], [changed], { theta, sign: 1 });
      return slice(changed, [0, 0, 0], [tokens, heads, size]);
    },
  },
]);
device.destroy();
