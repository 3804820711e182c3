/** W1: square products in f32 beside the rung written by hand, in turn. */
import { type Device, key, matmul, randomNormal } from "@pact/tensor";
import { countedOnce } from "../counts.ts";
import { rawMatmul } from "../raw/matmul.ts";
import { interleaved, seconds } from "../timing.ts";
import { agree, type Context, described, type Workload } from "./workload.ts";

const rounds = { 512: 15, 1024: 9 } as const;

export const matmuls: Workload = {
  name: "W1",
  description: "matmul 512³ and 1024³, f32, beside a kernel written by hand for the shape",
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
  const gflop = (2 * n ** 3) / 1e9;
  const rung = raw && rawMatmul(raw, n, Float32Array.from(left), Float32Array.from(right));
  if (!raw || !rung) {
    const { engine } = await interleaved({ engine: work }, rounds[n], signal);
    return { ...engine, gflops: gflop / (engine.medianMs / 1000), firstSeconds };
  }
  await rung.run();
  const { engine, hand } = await interleaved({ engine: work, hand: rung.run }, rounds[n], signal);
  const ofHandWritten = hand.medianMs / engine.medianMs;
  progress(
    `${n}³: ${described(engine)}; by hand ${described(hand)}; ${ofHandWritten.toFixed(2)} of its speed`,
  );
  return {
    ...engine,
    gflops: gflop / (engine.medianMs / 1000),
    handWrittenMs: hand.medianMs,
    handWrittenGflops: gflop / (hand.medianMs / 1000),
    ofHandWritten,
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
function checkProduct(n: number, a: ArrayLike<number>, b: ArrayLike<number>, c: ArrayLike<number>): void {
  for (let sample = 0; sample < 64; sample++) {
    const [row, column] = [(sample * 97) % n, (sample * 61 + 13) % n];
    let sum = 0;
    for (let k = 0; k < n; k++) sum += a[row * n + k] * b[k * n + column];
    agree(`matmul ${n}: entry ${row}, ${column}`, c[row * n + column], sum, 1e-3);
  }
}
