/**
 * Each family of kernels with more than 65,535 workgroups, where the grid gets a second row: every element against a
 * closed form. Not reachable: tiled matrix products, whose 67 million results exceed one binding on lavapipe; their
 * batches are here instead, and quads of elements are in large.gpu.test.ts.
 */
import * as t from "@pact/tensor";
import { afterAll, describe, expect, test } from "vitest";
import { requireGpu } from "../helpers/require.ts";

const device = (await requireGpu())!;
const beyond = 65_535 * 64; // invocations in one row of the grid
const n = beyond + 67; // rows; a prime and no multiple of 4
const side = 2053; // side² > beyond
const on = { device };

/** Numbers that f32 holds exactly, as sums too. */
const values = new Float32Array(2 * side * side).map((_, i) => ((i * 7919) % 1009) / 8);
const at = (i: number) => values[i];
const close = (a: number, b: number) => Math.abs(a - b) <= 1e-5 + 1e-5 * Math.abs(b);

const numbers = (shape: readonly number[]) =>
  t.tensor(
    values.subarray(
      0,
      shape.reduce((a, b) => a * b, 1),
    ),
    { shape, device },
  );
const whole = (length: number, f: (i: number) => number) =>
  t.tensor(
    Int32Array.from({ length }, (_, i) => f(i)),
    on,
  );

/** Runs in a scope, reads, and compares each element with `expected`. */
async function check(
  run: () => t.Tensor,
  expected: (i: number) => number,
  same: (a: number, b: number) => boolean = Object.is,
): Promise<void> {
  const y = t.scope(run);
  const data = await y.data();
  y.dispose();
  const wrong: string[] = [];
  for (let i = 0; i < data.length && wrong.length < 5; i++) {
    if (!same(data[i], expected(i))) wrong.push(`[${i}] is ${data[i]}, expected ${expected(i)}`);
  }
  expect(wrong).toEqual([]);
  expect(data.length).toBeGreaterThanOrEqual(2 ** 18);
}

/** softmax of a pair, first element. */
const first = (r: number) => 1 / (1 + Math.exp(at(2 * r + 1) / 64 - at(2 * r) / 64));
const pairs = () => t.mul(numbers([n, 2]), 1 / 64);

describe.skipIf(!device)("beyond 65,535 workgroups", () => {
  afterAll(() => device.trim());

  test("elementwise through strides", () =>
    check(
      () => t.add(t.transpose(numbers([side, side])), numbers([side])),
      (i) => at((i % side) * side + Math.floor(i / side)) + at(i % side),
    ));

  test("sum over the last axis", () =>
    check(
      () => t.sum(numbers([n, 2]), { axes: 1 }),
      (i) => at(2 * i) + at(2 * i + 1),
    ));

  test("max over the first axis", () =>
    check(
      () => t.max(numbers([2, n]), { axes: 0 }),
      (i) => Math.max(at(i), at(n + i)),
    ));

  test("argmax", () =>
    check(
      () => t.argmax(numbers([n, 2]), 1),
      (i) => (at(2 * i + 1) > at(2 * i) ? 1 : 0),
    ));

  test("cumsum", () =>
    check(
      () => t.cumsum(numbers([n, 2]), 1),
      (i) => (i % 2 ? at(i - 1) + at(i) : at(i)),
    ));

  test("matmul of a batch", () =>
    check(
      () => t.matmul(numbers([n, 1, 1]), numbers([n, 1, 1])),
      (i) => at(i) * at(i),
    ));

  test("softmax", () =>
    check(
      () => t.softmax(pairs()),
      (i) => (i % 2 ? 1 - first((i - 1) / 2) : first(i / 2)),
      close,
    ));

  test("rmsNorm", () =>
    check(
      () => t.rmsNorm(numbers([n, 2]), t.ones([2], on), { eps: 1 }),
      (i) => at(i) / Math.sqrt((at(i) ** 2 + at(i ^ 1) ** 2) / 2 + 1),
      close,
    ));

  test("logProbGather", () =>
    check(
      () =>
        t.logProbGather(
          pairs(),
          whole(n, () => 0),
        ),
      (i) => Math.log(first(i)),
      close,
    ));

  test("take", () =>
    check(
      () =>
        t.take(
          numbers([5]),
          whole(n, (i) => i % 5),
        ),
      (i) => at(i % 5),
    ));

  test("indexAdd", () =>
    check(
      () => t.indexAdd(numbers([n]), 0, t.tensor(Int32Array.of(n - 1, 3, n - 1), on), t.ones([3], on)),
      (i) => at(i) + (i === n - 1 ? 2 : i === 3 ? 1 : 0),
    ));

  test("gather", () =>
    check(
      () =>
        t.gather(
          numbers([n, 2]),
          1,
          t.reshape(
            whole(n, (i) => i % 2),
            [n, 1],
          ),
        ),
      (i) => at(2 * i + (i % 2)),
    ));

  test("scatterAdd", () =>
    check(
      () =>
        t.scatterAdd(
          numbers([n, 1]),
          1,
          t.reshape(
            whole(n, () => 0),
            [n, 1],
          ),
          numbers([n, 1]),
        ),
      (i) => 2 * at(i),
    ));

  test("attention", () =>
    check(
      () => {
        const spans = t.attentionSpans(
          Int32Array.from({ length: 4 * side }, (_, i) => (i % 4 === 3 ? 1 : 0)),
          1,
          on,
        );
        return t.attention(numbers([side, side, 1]), numbers([1, side, 1]), numbers([1, side, 1]), spans);
      },
      (i) => at(i % side),
      close,
    ));

  test("rope", () =>
    check(
      () =>
        t.rope(
          numbers([side, side, 2]),
          whole(side, (i) => i % 8),
        ),
      (i) => {
        const [x, y, angle] = [at(i), at(i ^ 1), Math.floor(i / (2 * side)) % 8];
        return x * Math.cos(angle) + (i % 2 ? y : -y) * Math.sin(angle);
      },
      (a, b) => Math.abs(a - b) <= 1e-3,
    ));

  test("a copy of a view", () =>
    check(
      () => t.reshape(t.transpose(numbers([side, side])), [side * side]),
      (i) => at((i % side) * side + Math.floor(i / side)),
    ));

  test("concat", () =>
    check(
      () => t.concat([numbers([n]), numbers([n])]),
      (i) => at(i < n ? i : i - n),
    ));

  test("rows written in place", () =>
    check(
      () => {
        const target = t.zeros([2, n], on);
        t.assignRows(target, Int32Array.of(1), numbers([1, n]));
        return target;
      },
      (i) => (i < n ? 0 : at(i - n)),
    ));

  test("an AdamW step", () =>
    check(
      () => {
        const zero = () => t.zeros([n], on);
        const params = zero();
        t.adamWStep(
          { params, grads: numbers([n]), m: zero(), v: zero(), decayMask: zero(), clipScale: t.ones([], on) },
          { lr: 0.5, beta1: 0.5, beta2: 0.5, eps: 1, weightDecay: 0, step: 1 },
        );
        return params;
      },
      (i) => (-0.5 * at(i)) / (at(i) + 1),
      close,
    ));

  test("sampling", () =>
    check(
      () => t.sampleTokens(numbers([2 ** 18 + 3, 2]), new Uint32Array(2 ** 19 + 6), { temperature: 0 }).ids,
      (i) => (at(2 * i + 1) > at(2 * i) ? 1 : 0),
    ));

  test("random bits are the cpu's", async () => {
    const cpu = await t.createDevice({ device: "cpu" });
    using x = t.randomBits(t.key(5), [n], on);
    const bits = await x.data();
    const expected = await t.randomBits(t.key(5), [n], { device: cpu }).data();
    expect(Buffer.from(bits.buffer).equals(Buffer.from(expected.buffer))).toBe(true);
  });
});
