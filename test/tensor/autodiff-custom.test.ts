/** customVjp and checkpoint: derivatives, second derivatives, structure, memory. */
import {
  add,
  cast,
  checkpoint,
  createDevice,
  customVjp,
  div,
  exp,
  grad,
  gradcheck,
  key,
  log,
  matmul,
  mul,
  neg,
  randomUniform,
  scope,
  sigmoid,
  stopGradient,
  sub,
  sum,
  type Tensor,
  tanh,
  tensor,
  valueAndGrad,
  vjp,
} from "@pact/tensor";
import { describe, expect, test } from "vitest";

const device = await createDevice({ device: "cpu" });
const f64 = (data: number | number[] | number[][]) => tensor(data, { dtype: "f64", device });
const list = async (t: Tensor) => [...(await t.data())];
const points = [
  { shape: [3], data: [0.4, -1.2, 2] },
  { shape: [3], data: [1.5, 0.3, -0.7] },
];
/** A loss whose gradient is not constant in `t`. */
const squares = (t: Tensor) => sum(mul(t, t));
/** The loss of the slope: gradcheck of it checks second derivatives. */
const slopeLoss = (loss: (p: Tensor[]) => Tensor) => (p: Tensor[]) =>
  grad(loss)(p)
    .map(squares)
    .reduce((a, b) => add(a, b));

describe("customVjp", () => {
  /** ln(1 + eˣ). */
  const softplus = customVjp(
    function softplus(x: Tensor) {
      return log(add(exp(x), 1));
    },
    ({ inputs: [x] }, dy) => [mul(dy, sigmoid(x))],
  );
  /** a·b and a/b; the derivative uses an output. */
  const productAndQuotient = customVjp(
    (a: Tensor, b: Tensor) => [mul(a, b), div(a, b)] as const,
    ({ inputs: [a, b], outputs: [, q] }, [dp, dq]) => {
      const plus = (x: Tensor | null, y: Tensor | null) => (x && y ? add(x, y) : (x ?? y));
      return [
        plus(dp && mul(dp, b), dq && div(dq, b)),
        plus(dp && mul(dp, a), dq && neg(div(mul(dq, q), b))),
      ];
    },
  );
  const both = ([a, b]: Tensor[]) => {
    const [p, q] = productAndQuotient(a, b);
    return add(squares(p), sum(mul(q, p)));
  };

  test("takes value from forward and gradient from backward", async () => {
    const lie = customVjp(
      (x: Tensor) => exp(x),
      ({ inputs: [x] }, dy) => [mul(dy, mul(x, 100))],
    );
    const { value, grads } = valueAndGrad((x: Tensor) => sum(lie(x)))(f64([0, 1]));
    expect(await value.item()).toBeCloseTo(1 + Math.E, 12);
    expect(await list(grads)).toEqual([0, 100]);
  });

  test("first and second derivatives match finite differences", async () => {
    const one = ([x]: Tensor[]) => squares(softplus(x));
    await gradcheck(one, points.slice(0, 1));
    await gradcheck(slopeLoss(one), points.slice(0, 1), { step: 1e-5 });
    await gradcheck(both, points);
    await gradcheck(slopeLoss(both), points, { step: 1e-5 });
  });

  test("of several outputs, those that do not count come as null", async () => {
    const seen: boolean[][] = [];
    const f = customVjp(
      (x: Tensor) => ({ twice: mul(x, 2), thrice: mul(x, 3), index: cast(x, "i32") }),
      (_context, { twice, thrice, index }) => {
        seen.push([twice === null, thrice === null, index === null]);
        return [twice && mul(twice, 2)];
      },
    );
    expect(await list(grad((x: Tensor) => sum(f(x).twice))(f64([1, 2])))).toEqual([2, 2]);
    expect(seen).toEqual([[false, true, true]]);
  });

  test("takes trees and other arguments", async () => {
    const f = customVjp(
      (p: { w: Tensor; b: Tensor[] }, ids: Tensor, scale: number) =>
        mul(add(add(p.w, p.b[0]), cast(ids, "f64")), scale),
      ({ inputs: [, , scale] }, dy) => [{ w: mul(dy, scale), b: [null] }, null, null],
    );
    const ids = tensor(Int32Array.of(1, 2), { device });
    const p = { w: f64([1, 2]), b: [f64([3, 4])] };
    const { value, grads } = valueAndGrad((p: { w: Tensor; b: Tensor[] }) => sum(f(p, ids, 5)))(p);
    expect(await value.item()).toBe(65);
    expect(await list(grads.w)).toEqual([5, 5]);
    expect(await list(grads.b[0])).toEqual([0, 0]);
  });

  test("an argument passed twice gets both gradients, an argument returned as it is flows", async () => {
    const product = customVjp(
      (a: Tensor, b: Tensor) => mul(a, b),
      ({ inputs: [a, b] }, dy) => [mul(dy, b), mul(dy, a)],
    );
    expect(await list(grad((x: Tensor) => sum(product(x, x)))(f64([3])))).toEqual([6]);
    const same = customVjp(
      (x: Tensor) => [x, x],
      (_c, [a, b]) => [add(mul(a!, 10), b!)],
    );
    const f = (x: Tensor) => {
      const [a, b] = same(x);
      return add(sum(a), sum(mul(b, 3)));
    };
    expect(await list(grad(f)(f64([1])))).toEqual([13]);
  });

  test("outside of gradients it computes forward, and leaves only its result", async () => {
    const x = f64([0]);
    const before = device.memory();
    const y = softplus(x);
    expect(await list(y)).toEqual([Math.log(2)]);
    expect(device.memory().liveTensors).toBe(before.liveTensors + 1);
    y.dispose();
    expect(device.memory().liveBytes).toBe(before.liveBytes);
  });

  test("gradients inside forward are no part of the gradient outside", async () => {
    const slope = customVjp(
      (x: Tensor) => grad((x: Tensor) => sum(mul(x, mul(x, x))))(x), // 3x²
      ({ inputs: [x] }, dy) => [mul(dy, mul(x, 6))],
    );
    expect(await list(grad((x: Tensor) => sum(slope(x)))(f64([2])))).toEqual([12]);
  });

  test("temporaries are given back at once while a gradient is recorded", () => {
    const live: number[] = [];
    const busy = customVjp(
      (x: Tensor) => {
        let y = x;
        for (let i = 0; i < 10; i++) y = mul(y, 2);
        return y;
      },
      (_c, dy) => [mul(dy, 1024)],
    );
    const x = f64([1, 2]);
    grad((x: Tensor) => {
      live.push(device.memory().liveTensors);
      const y = busy(x);
      live.push(device.memory().liveTensors);
      return sum(y);
    })(x);
    expect(live[1] - live[0]).toBe(1);
  });

  test("stopGradient lets forward use a captured tensor as a constant", async () => {
    const f = (x: Tensor) =>
      sum(
        customVjp(
          (y: Tensor) => mul(y, stopGradient(x)),
          (_c, dy) => [mul(dy, 7)],
        )(x),
      );
    expect(await list(grad(f)(f64([2])))).toEqual([7]);
  });
});

describe("checkpoint", () => {
  interface Layer {
    w: Tensor;
    b: Tensor;
  }
  /** tanh(h·W + b) + h, temporaries included. */
  const layer = (p: Layer, h: Tensor) => add(tanh(add(matmul(h, p.w), p.b)), h);
  const size = 5;
  const params = (count: number): Layer[] =>
    Array.from({ length: count }, (_, n) => {
      const draw = (shape: number[], k: number) =>
        Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(1 + i * 0.7 + 3 * n + k));
      return {
        w: tensor(new Float64Array(draw([size, size], 0)), { shape: [size, size], device }),
        b: tensor(new Float64Array(draw([size], 1)), { shape: [size], device }),
      };
    });
  const input = () =>
    tensor(
      new Float64Array(3 * size).map((_, i) => Math.cos(i)),
      { shape: [3, size], device },
    );
  const network = (f: typeof layer, x: Tensor) => (ps: Layer[]) => squares(ps.reduce((h, p) => f(p, h), x));
  const flat = async (grads: Layer[]) =>
    (await Promise.all(grads.flatMap(({ w, b }) => [w.data(), b.data()]))).map((d) => [...d]);

  test("same bits as without", async () => {
    const [ps, x] = [params(4), input()];
    const plain = valueAndGrad(network(layer, x))(ps);
    const remade = valueAndGrad(network(checkpoint(layer), x))(ps);
    expect(await remade.value.item()).toBe(await plain.value.item());
    expect(await flat(remade.grads)).toEqual(await flat(plain.grads));
  });

  test("nested: same bits, too", async () => {
    const [ps, x] = [params(8), input()];
    const group = checkpoint((ps: Layer[], h: Tensor) => ps.reduce((h, p) => checkpoint(layer)(p, h), h));
    const loss = (ps: Layer[]) => squares(group(ps.slice(4), group(ps.slice(0, 4), x)));
    const [a, b] = [valueAndGrad(loss)(ps), valueAndGrad(network(layer, x))(ps)];
    expect(await a.value.item()).toBe(await b.value.item());
    expect(await flat(a.grads)).toEqual(await flat(b.grads));
  });

  test("first and second derivatives match finite differences; several outputs, other arguments", async () => {
    const f = checkpoint((p: { a: Tensor; b: Tensor }, power: number, note: string) => {
      const y = exp(mul(p.a, p.b));
      return { y, z: sub(mul(y, power), tanh(p.a)), note, whole: cast(p.b, "i32") };
    });
    const loss = ([a, b]: Tensor[]) => {
      const { y, z, note } = f({ a, b }, 3, "kept");
      expect(note).toBe("kept");
      return add(sum(mul(y, z)), squares(z));
    };
    await gradcheck(loss, points, { step: 1e-6 });
    const small = points.map((p) => ({ shape: p.shape, data: p.data.map((v) => v / 4) }));
    await gradcheck(slopeLoss(loss), small, { step: 1e-5, tolerance: 1e-5 });
  });

  test("second derivatives through nested checkpoints are those without", async () => {
    const inner = checkpoint((x: Tensor) => tanh(mul(x, x)));
    const outer = checkpoint((x: Tensor) => exp(inner(x)));
    const slope = (f: (x: Tensor) => Tensor) =>
      grad((x: Tensor) => squares(grad((x: Tensor) => sum(f(x)))(x)));
    const x = f64([0.3, -0.8]);
    const [a, b] = [await list(slope(outer)(x)), await list(slope((x) => exp(tanh(mul(x, x))))(x))];
    a.forEach((v, i) => {
      expect(v).toBeCloseTo(b[i], 12);
    });
  });

  test("randomness by key is the same when it runs again", async () => {
    const noisy = checkpoint((x: Tensor, seed: number) =>
      mul(x, cast(randomUniform(key(seed), [4], { device }), "f64")),
    );
    const x = f64([1, 1, 1, 1]);
    const { value, grads } = valueAndGrad((x: Tensor) => sum(noisy(x, 7)))(x);
    const expected = await list(cast(randomUniform(key(7), [4], { device }), "f64"));
    expect(await list(grads)).toEqual(expected);
    expect(await value.item()).toBeCloseTo(
      expected.reduce((a, b) => a + b),
      12,
    );
  });

  test("a chain of N layers in √N groups needs memory for O(√N) of them", () => {
    const peak = (layers: number, groups: number) => {
      const x = tensor(new Float64Array(1000), { device });
      const step = (h: Tensor) => tanh(mul(h, 1.5));
      const run = (h: Tensor, n: number) => Array.from({ length: n }).reduce<Tensor>((h) => step(h), h);
      const part = groups > 1 ? checkpoint(run) : run;
      const before = device.memory().liveBytes;
      device.resetPeak();
      scope(() =>
        grad((x: Tensor) =>
          sum(Array.from({ length: groups }).reduce<Tensor>((h) => part(h, layers / groups), x)),
        )(x),
      );
      const most = device.memory().peakBytes - before;
      x.dispose();
      return most / 8000;
    };
    const [plain, some, many] = [peak(64, 1), peak(64, 8), peak(256, 16)];
    expect(plain).toBeGreaterThan(64 * 2);
    expect(some).toBeLessThan(plain / 4);
    expect(many).toBeLessThan(some * 2.5); // four times the layers, about twice the memory
  });

  test("leaves nothing behind, nor after an error inside", () => {
    const x = f64([1, 2]);
    const before = device.memory().liveTensors;
    grad((x: Tensor) => sum(checkpoint((x: Tensor) => exp(tanh(x)))(x)))(x).dispose();
    expect(device.memory().liveTensors).toBe(before);
    const fails = checkpoint((x: Tensor): Tensor => {
      exp(x);
      throw new Error("in the function");
    });
    expect(() => grad((x: Tensor) => sum(fails(x)))(x)).toThrow("in the function");
    expect(device.memory().liveTensors).toBe(before);
    expect(grad((x: Tensor) => sum(x))(x).shape).toEqual([2]); // nothing is still recording
  });

  test("vjp of a checkpointed function", async () => {
    const f = checkpoint((a: Tensor, b: Tensor) => [mul(a, b), add(a, b)]);
    const { grads } = vjp(f, [f64([2]), f64([3])], [f64([10]), f64([1])]);
    expect(await list(grads[0])).toEqual([31]);
    expect(await list(grads[1])).toEqual([21]);
  });
});
