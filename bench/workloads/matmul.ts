/** W1: square products in f32 beside kernels written by hand for the shape, in turn; the best of those counts. */
import { type Device, key, matmul, randomNormal } from "@pact/tensor";
import { countedOnce } from "../counts.ts";
import { readBack, storageBuffer } from "../raw/device.ts";
import { rawMatmul, rungs } from "../raw/matmul.ts";
import { interleaved, seconds, type Timing, type Work } from "../timing.ts";
import { agree, type Context, described, type Workload } from "./workload.ts";

const rounds = { 512: 15, 1024: 9 } as const;

export const matmuls: Workload = {
  name: "W1",
  description: "matmul 512³ and 1024³, f32, beside the best of kernels written by hand for the shape",
  async measure(context) {
    return { 512: await measureSize(512, context), 1024: await measureSize(1024, context) };
  },
};

async function measureSize(n: 512 | 1024, { device, raw, signal, progress }: Context) {
  const { a, b, work } = product(device, n);
  const firstSeconds = await seconds(work);
  const [left, right] = await Promise.all([a.data(), b.data()]);
  const result = matmul(a, b);
  checkProduct(n, left, right, await result.data());
  result.dispose();
  const gflops = ({ medianMs }: Timing) => (2 * n ** 3) / 1e6 / medianMs;
  if (!raw) {
    const { engine } = await interleaved({ engine: work }, rounds[n], signal);
    return { ...engine, gflops: gflops(engine), firstSeconds };
  }
  const hand: Record<string, Work> = {};
  const inputs = [left, right].map((numbers) => storageBuffer(raw, Float32Array.from(numbers)));
  for (const [name, rung] of Object.entries(rungs)) {
    const made = rawMatmul(raw, n, rung, inputs[0], inputs[1]);
    await made.run();
    checkProduct(n, left, right, await readBack(raw, made.product));
    hand[name] = made.run;
  }
  const times = await interleaved<string>({ engine: work, ...hand }, rounds[n], signal);
  const medians = Object.keys(hand).map((name) => [name, times[name].medianMs] as const);
  const [best, bestMs] = medians.reduce((fastest, rung) => (rung[1] < fastest[1] ? rung : fastest));
  const ofHandWritten = bestMs / times.engine.medianMs;
  progress(
    `${n}³: ${described(times.engine)}; by hand ${described(times[best])} (${best}); ${ofHandWritten.toFixed(2)} of its speed`,
  );
  return {
    ...times.engine,
    gflops: gflops(times.engine),
    handWritten: best,
    handWrittenMs: bestMs,
    handWrittenGflops: gflops(times[best]),
    ofHandWritten,
    ofHandWrittenProcessor: times[best].processorMs / times.engine.processorMs,
    rungsMs: Object.fromEntries(medians),
    firstSeconds,
    ...(await countedOnce(raw, work)),
  };
}

/** Two seeded n × n matrices and their product as work. */
export function product(device: Device, n: number) {
  const [a, b] = [1, 2].map((seed) => randomNormal(key(seed), [n, n], { device }));
  const work = async () => {
    const c = matmul(a, b);
    await device.synchronize();
    c.dispose();
  };
  return { a, b, work };
}

/** Some entries of c = a·b against sums in double precision. */
export function checkProduct(
  n: number,
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  c: ArrayLike<number>,
): void {
  for (let sample = 0; sample < 64; sample++) {
    const [row, column] = [(sample * 97) % n, (sample * 61 + 13) % n];
    let sum = 0;
    for (let k = 0; k < n; k++) sum += a[row * n + k] * b[k * n + column];
    agree(`matmul ${n}: entry ${row}, ${column}`, c[row * n + column], sum, 1e-3);
  }
}
