/**
 * W2: softmax over [4096, 512], layer normalisation over [4096, 256], and the gelu chain over 1,048,576 numbers:
 *
 *   y = 0.5·x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))
 *
 * written as its elementwise operations (x³ as x·x·x), which capturing makes one kernel of; `geluOperation` is
 * the engine's own operation for the same formula.
 */
import {
  add,
  capture,
  type Device,
  gelu,
  key,
  layerNorm,
  mul,
  ones,
  randomNormal,
  scope,
  softmax,
  type Tensor,
  tanh,
  zeros,
} from "@pact/tensor";
import { countedOnce } from "../counts.ts";
import { interleaved, seconds } from "../timing.ts";
import { agree, described, type Workload } from "./workload.ts";

/** An operation over rows: its input and what entry `column` of a row must be. */
export interface RowOperation {
  readonly shape: readonly [number, number];
  apply(x: Tensor): Tensor;
  expected(row: readonly number[], column: number): number;
}

/** The gelu chain, operation by operation. */
export function geluChain(x: Tensor): Tensor {
  const cube = mul(mul(x, x), x);
  const inner = mul(add(x, mul(cube, 0.044715)), Math.sqrt(2 / Math.PI));
  return mul(mul(x, 0.5), add(tanh(inner), 1));
}

const geluValue = (x: number) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** The operations of W2 by name; weights are made on `device`. */
export function rowOperations(device: Device): Record<string, RowOperation> {
  const [weight, bias] = [ones([256], { device }), zeros([256], { device })];
  return {
    softmax: {
      shape: [4096, 512],
      apply: (x) => softmax(x),
      expected: (row, column) => Math.exp(row[column]) / (mean(row.map(Math.exp)) * row.length),
    },
    layerNorm: {
      shape: [4096, 256],
      apply: (x) => layerNorm(x, weight, bias, { eps: 1e-5 }),
      expected(row, column) {
        const variance = mean(row.map((x) => (x - mean(row)) ** 2));
        return (row[column] - mean(row)) / Math.sqrt(variance + 1e-5);
      },
    },
    geluChain: { shape: [1024, 1024], apply: geluChain, expected: (row, column) => geluValue(row[column]) },
    geluOperation: {
      shape: [1024, 1024],
      apply: (x) => gelu(x, { approximate: "tanh" }),
      expected: (row, column) => geluValue(row[column]),
    },
  };
}

export const rows: Workload = {
  name: "W2",
  description: "softmax [4096, 512], layerNorm [4096, 256], gelu chain of 1M",
  async measure({ device, raw, signal, progress }) {
    const results: Record<string, unknown> = {};
    for (const [name, operation] of Object.entries(rowOperations(device))) {
      const x = randomNormal(key(3), operation.shape, { device });
      const captured = capture(operation.apply);
      const work = (apply: (x: Tensor) => Tensor) => async () => {
        const y = scope(() => apply(x));
        await device.synchronize();
        y.dispose();
      };
      const works = { captured: work(captured), eager: work(operation.apply) };
      const firstSeconds = await seconds(works.captured);
      await works.eager();
      await checkRows(name, operation, x);
      await checkRows(name, { ...operation, apply: captured }, x);
      const times = await interleaved(works, 25, signal);
      progress(`${name}: ${described(times.captured)}, eager ${described(times.eager)}`);
      const counted = raw && (await countedOnce(raw, works.captured));
      results[name] = { ...times.captured, firstSeconds, ...counted, eager: times.eager };
      x.dispose();
    }
    return results;
  },
};

export async function checkRows(
  name: string,
  { shape, apply, expected }: RowOperation,
  x: Tensor,
): Promise<void> {
  const result = scope(() => apply(x));
  const [given, got] = await Promise.all([x.data(), result.data()]);
  result.dispose();
  const [count, width] = shape;
  for (const at of [0, 1, count >> 1, count - 1]) {
    const row = Array.from(given.subarray(at * width, (at + 1) * width), Number);
    const columns = [0, 100, width - 1];
    const wanted = columns.map((column) => expected(row, column));
    const scale = Math.max(...wanted.map(Math.abs));
    for (const [i, column] of columns.entries())
      agree(`${name}: row ${at}`, Number(got[at * width + column]) / scale, wanted[i] / scale, 1e-5);
  }
}
