/** Scopes, disposal, memory accounting and leak reports on the cpu device (the accounting is the same for all). */
import {
  add,
  attention,
  attentionSpans,
  createDevice,
  exp,
  matmul,
  mul,
  ones,
  reshape,
  scope,
  slice,
  sum,
  type Tensor,
  take,
  tensor,
  zeros,
} from "@pact/tensor";
import { beforeEach, describe, expect, test } from "vitest";

let device = await createDevice({ device: "cpu" });
beforeEach(async () => {
  device = await createDevice({ device: "cpu" });
});
const make = (data: number[]) => tensor(data, { device });
const live = () => device.memory().liveTensors;

describe("scope", () => {
  test("gives back all but the result", async () => {
    const x = make([1, 2]);
    const y = scope(() => add(mul(x, 2), exp(x)));
    expect(live()).toBe(2);
    expect((await y.data())[0]).toBeCloseTo(2 + Math.E, 6);
  });

  test("keeps every tensor of a nested result", () => {
    const kept = scope(() => {
      exp(make([1]));
      return { a: [make([1]), { b: make([2]) }], c: make([3]), note: "text" };
    });
    expect(live()).toBe(3);
    expect(kept.c.disposed).toBe(false);
  });

  test("hands results of inner scopes to the outer one", () => {
    let inner: Tensor | undefined;
    scope(() => {
      inner = scope(() => make([1]));
      expect(inner.disposed).toBe(false);
    });
    expect(inner?.disposed).toBe(true);
    expect(live()).toBe(0);
  });

  test("does not touch tensors made outside", () => {
    const x = make([1]);
    scope(() => x);
    scope(() => {
      exp(x);
    });
    expect(x.disposed).toBe(false);
    expect(live()).toBe(1);
  });

  test("gives everything back after an error", () => {
    expect(() =>
      scope(() => {
        make([1]);
        throw new Error("inside");
      }),
    ).toThrow("inside");
    expect(live()).toBe(0);
  });

  test("keeps the storage of a view that it returns", async () => {
    const view = scope(() => slice(reshape(make([1, 2, 3, 4]), [2, 2]), [1, 0], [2, 2]));
    expect(live()).toBe(1);
    expect([...(await view.data())]).toEqual([3, 4]);
    expect(device.memory().liveBytes).toBe(16);
    view.dispose();
    expect(device.memory().liveBytes).toBe(0);
  });

  test("refuses an async function and gives back what it made", () => {
    expect(() => scope(async () => make([1]))).toThrowErrorMatchingInlineSnapshot(
      `[ValueError: scope: f returned a promise, expected a synchronous function. Read back after the scope: await scope(f).data().]`,
    );
    expect(live()).toBe(0);
  });
});

describe("dispose", () => {
  test("makes every later use a named error", async () => {
    const x = make([1, 2]);
    x.dispose();
    x.dispose();
    expect(x.disposed).toBe(true);
    expect(() => exp(x)).toThrowErrorMatchingInlineSnapshot(
      `[DisposedError: exp: x is f32[2] on cpu and was disposed, expected a live tensor. Return it from the scope that made it: scope(() => x), or call x.dispose() after its last use.]`,
    );
    expect(() => x.data()).toThrowErrorMatchingInlineSnapshot(
      `[DisposedError: data: this tensor is f32[2] on cpu and was disposed, expected a live tensor. Return it from the scope that made it: scope(() => x), or call x.dispose() after its last use.]`,
    );
    expect(() => add(make([1, 2]), x)).toThrow(/^add: b is f32\[2\] on cpu and was disposed/);
    expect(() => reshape(x, [2])).toThrow(/was disposed/);
    await expect(make([1]).item()).resolves.toBe(1);
  });

  test("frees storage with the last of its views", () => {
    const x = zeros([8], { device });
    const view = slice(x, [2], [4]);
    x.dispose();
    expect(device.memory()).toMatchObject({ liveBytes: 32, liveTensors: 1 });
    view.dispose();
    expect(device.memory()).toMatchObject({ liveBytes: 0, liveTensors: 0 });
  });

  test("happens at the end of a `using` block", () => {
    {
      using x = make([1]);
      expect(x.disposed).toBe(false);
    }
    expect(live()).toBe(0);
  });
});

test("attention leaves only its result behind, also with views that must be copied", () => {
  const spans = attentionSpans(Int32Array.of(0, 0, 0, 1), 1, { device });
  const cache = ones([3, 1, 4], { device });
  const q = slice(cache, [1, 0, 0], [2, 1, 4]);
  const before = live();
  const y = attention(q, q, q, spans);
  expect(live()).toBe(before + 1);
  y.dispose();
});

test("memory() counts bytes by dtype, and the peak since resetPeak()", () => {
  const x = zeros([10], { device });
  zeros([10], { device, dtype: "f64" }).dispose();
  zeros([10], { device, dtype: "bool" }).dispose();
  expect(device.memory()).toEqual({ liveBytes: 40, peakBytes: 120, liveTensors: 1, pooledBytes: 0 });
  device.resetPeak();
  expect(device.memory().peakBytes).toBe(40);
  x.dispose();
});

test("a failed operation leaves nothing behind", () => {
  const [x, y] = [make([1, 2]), make([1, 2, 3])];
  const before = live();
  expect(() => add(x, y)).toThrow();
  expect(() => matmul(x, y)).toThrow();
  const outside = tensor(Int32Array.of(7), { device });
  expect(() => take(x, outside)).toThrow();
  outside.dispose();
  expect(live()).toBe(before);
});

describe("trackLeaks", () => {
  test("names the lines of this file that made what is still alive, most frequent first", () => {
    const leaks = device.trackLeaks();
    const kept = [1, 2, 3].map((v) => make([v])); // one line, three tensors
    const x = zeros([2], { device });
    scope(() => sum(mul(x, 2)).dispose());
    const found = leaks();
    expect(found.map((l) => l.count)).toEqual([3, 1]);
    expect(found[0].line).toMatch(/memory\.test\.ts:\d+:\d+/);
    expect(found[1].line).toMatch(/memory\.test\.ts:\d+:\d+/);
    expect(kept).toHaveLength(3);
    make([1]); // no longer tracked
    expect(leaks()).toHaveLength(2);
  });

  test("finds nothing where nothing leaks", () => {
    const leaks = device.trackLeaks();
    scope(() => exp(make([1])));
    scope(() => {
      exp(make([1]));
    });
    expect(leaks().reduce((n, l) => n + l.count, 0)).toBe(1);
  });
});

test("a destroyed device refuses new tensors and lets old ones go", () => {
  const x = make([1]);
  device.destroy();
  device.destroy();
  expect(() => make([1])).toThrowErrorMatchingInlineSnapshot(
    `[DeviceError: tensor: this cpu device was destroyed. Call init() for a new one, and make its tensors there.]`,
  );
  x.dispose();
  expect(live()).toBe(0);
});
