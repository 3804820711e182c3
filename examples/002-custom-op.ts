// Operations added from outside the package: a scalar function, and a full record with WGSL, reference and derivative. Both
// are checked as the built-in ones are: devices against each other, gradients against finite differences.
//   npx tsx --conditions=source examples/002-custom-op.ts
import { fileURLToPath } from "node:url";
import {
  apply,
  createDevice,
  DTypeError,
  elementwise,
  gradcheck,
  mul,
  neg,
  type Op,
  relu,
  ShapeError,
  sub,
  sum,
  type Tensor,
  tensor,
  u32Params,
  unsqueeze,
} from "@pact/tensor";

/**
 * y = max(x, 0)², the activation of Primer (So et al. 2021, arXiv 2109.08668).
 * dx = 2·max(x, 0)·dy
 */
export const squaredReluOp = elementwise<null>({
  name: "squaredRelu",
  dtypes: ["f32", "f64"],
  cpu: ([x]) => Math.max(x, 0) ** 2,
  wgsl: ([x]) => `max(${x}, 0.0) * max(${x}, 0.0)`,
  vjp: ([x], _y, dy) => [mul(dy, mul(relu(x), 2))],
  domains: [{ low: -2, high: 2, kinks: [0] }], // the second derivative jumps at 0
});

export const squaredRelu = (x: Tensor): Tensor => apply(squaredReluOp, [x], null);

/** Row-wise squared distance of a [..., C] and b [..., C]: y [...] = Σ_c (a_c − b_c)², in one kernel. */
export const squaredDistanceOp: Op<null> = {
  name: "squaredDistance",
  infer([a, b]) {
    // f16 passes too: a record without kernels for it is given f32, and its result is rounded.
    if (a.dtype !== b.dtype || !["f16", "f32", "f64"].includes(a.dtype)) {
      throw new DTypeError(
        `squaredDistance: a is ${a.dtype} and b is ${b.dtype}, expected one float type for both. Convert: cast(a, "f32").`,
      );
    }
    if (a.shape.length === 0 || a.shape.join() !== b.shape.join()) {
      throw new ShapeError(
        `squaredDistance: a is [${a.shape}] and b is [${b.shape}], expected one shape of rows. Repeat one: expand(b, a.shape).`,
      );
    }
    return [{ shape: a.shape.slice(0, -1), dtype: a.dtype }];
  },
  // Plain loops. The record is not `strided`, so the rows lie one after the other from `offset` on.
  cpu([a, b], [y]) {
    const width = a.shape[a.shape.length - 1];
    for (let row = 0; row < y.data.length; row++) {
      let total = 0;
      for (let c = row * width; c < (row + 1) * width; c++) {
        total += (a.data[a.offset + c] - b.data[b.offset + c]) ** 2;
      }
      y.data[row] = total;
    }
  },
  // One invocation per row. The width is a parameter: the kernel is built once and serves every size.
  webgpu: ([a, b], [y]) => [
    {
      key: "squaredDistance:f32",
      source: () => ({
        buffers: [
          { name: "a", type: "f32" },
          { name: "b", type: "f32" },
          { name: "y", type: "f32", write: true },
        ],
        params: u32Params("width", "offsetA", "offsetB"),
        main: `var total = 0.0;
for (var c = i * p.width; c < (i + 1u) * p.width; c++) {
  let d = a[p.offsetA + c] - b[p.offsetB + c];
  total += d * d;
}
y[i] = total;`,
      }),
      buffers: [a, b, y],
      params: [a.shape[a.shape.length - 1], a.offset, b.offset],
      count: y.size,
    },
  ],
  // da = 2(a − b)·dy,  db = −da
  vjp({ inputs: [a, b], needs }, [dy]) {
    if (!dy) return [null, null];
    const da = mul(mul(sub(a, b), 2), unsqueeze(dy, -1)); // [..., C]
    return [da, needs[1] ? neg(da) : null];
  },
};

export const squaredDistance = (a: Tensor, b: Tensor): Tensor => apply(squaredDistanceOp, [a, b], null);

async function main(): Promise<void> {
  const [rows, width] = [100, 7];
  const wave = (phase: number) => Float32Array.from({ length: rows * width }, (_, i) => Math.sin(i + phase));
  const [cpu, webgpu] = [await createDevice({ device: "cpu" }), await createDevice({ device: "webgpu" })];
  const results = [cpu, webgpu].map((device) => {
    const [a, b] = [wave(0), wave(1)].map((data) => tensor(data, { shape: [rows, width], device }));
    return squaredDistance(squaredRelu(a), b).data();
  });
  const [expected, actual] = await Promise.all(results);
  const difference = Math.max(...Array.from(expected, (e, i) => Math.abs(e - actual[i])));
  console.log(`cpu and ${webgpu.report.adapterName} differ by at most ${difference.toExponential(1)}`);

  // Points of squaredRelu away from 0, where its second derivative jumps; gradcheck rejects if a derivative is wrong.
  const points = [0, 1].map((phase) => ({ shape: [3, width], data: wave(phase + 0.5).slice(0, 3 * width) }));
  const error = await gradcheck(([a, b]) => sum(squaredDistance(squaredRelu(a), b)), points);
  console.log(`gradients and central differences differ by at most ${error.toExponential(1)}`);
  if (!(difference < 1e-5)) throw new Error("the devices disagree");
}

// Run as a program; the tests import the operations alone.
if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
