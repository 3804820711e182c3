/** What valueAndGrad, grad, vjp, stopGradient and gradcheck promise beyond right numbers. */
import {
  abs,
  adamWStep,
  add,
  argmax,
  assignRows,
  cast,
  ceil,
  clamp,
  createDevice,
  equal,
  exp,
  expand,
  floor,
  grad,
  gradcheck,
  greater,
  log,
  logSumExp,
  max,
  maximum,
  mean,
  minimum,
  mul,
  ones,
  pow,
  reciprocal,
  relu,
  reshape,
  round,
  rsqrt,
  scope,
  sigmoid,
  sign,
  softmax,
  sqrt,
  std,
  stopGradient,
  sum,
  type Tensor,
  take,
  tensor,
  topk,
  valueAndGrad,
  vjp,
  where,
} from "@pact/tensor";
import { describe, expect, test } from "vitest";
import { apply, type Op } from "../../packages/tensor/src/op.ts";

const device = await createDevice({ device: "cpu" });
const f64 = (data: number | number[] | number[][]) => tensor(data, { dtype: "f64", device });
const list = async (t: Tensor) => [...(await t.data())];

describe("valueAndGrad", () => {
  test("returns gradients in the parameters' structure", async () => {
    const params = {
      layers: [
        { w: f64([2, 3]), b: f64(1) },
        { w: f64([4, 5]), b: f64(2) },
      ],
      scale: f64(10),
    };
    const loss = (p: typeof params) =>
      mul(p.scale, sum(add(mul(p.layers[0].w, p.layers[1].w), add(p.layers[0].b, p.layers[1].b))));
    const { value, grads } = valueAndGrad(loss)(params);
    expect(await value.item()).toBe(10 * (8 + 15 + 6));
    expect(Object.keys(grads)).toEqual(["layers", "scale"]);
    expect(await list(grads.layers[0].w)).toEqual([40, 50]);
    expect(await list(grads.layers[1].w)).toEqual([20, 30]);
    expect(await list(grads.layers[0].b)).toEqual([20]);
    expect(grads.layers[0].b.shape).toEqual([]);
    expect(await list(grads.scale)).toEqual([29]);
  });

  test("hands aux through and passes further arguments on", async () => {
    const f = (x: Tensor, factor: number, note: string) =>
      [sum(mul(x, factor)), { note, twice: mul(x, 2), x }] as const;
    const x = f64([1, 2]);
    const { value, aux, grads } = valueAndGrad(f, { aux: true })(x, 3, "kept");
    expect(await value.item()).toBe(9);
    expect(aux.note).toBe("kept");
    expect(aux.x).toBe(x);
    expect(await list(aux.twice)).toEqual([2, 4]);
    expect(await list(grads)).toEqual([3, 3]);
  });

  test("gives zeros to a parameter that the value does not depend on", async () => {
    const { grads } = valueAndGrad((p: { used: Tensor; unused: Tensor }) => sum(p.used))({
      used: f64([1]),
      unused: f64([[1, 2, 3]]),
    });
    expect(grads.unused.shape).toEqual([1, 3]);
    expect(grads.unused.dtype).toBe("f64");
    expect(await list(grads.unused)).toEqual([0, 0, 0]);
  });

  test("grad's errors name grad", () => {
    expect(() => grad((x: Tensor) => mul(x, 2))(tensor([1, 2], { device }))).toThrow(
      /^grad: the function must return one number/,
    );
    expect(() => grad((x: Tensor) => sum(x))(tensor([1, 2], { dtype: "i32", device }))).toThrow(
      /^grad: the parameter is /,
    );
  });

  test("gives zeros when the value is a constant", async () => {
    const { value, grads } = valueAndGrad((_x: Tensor) => f64(5))(f64([1, 2]));
    expect(await value.item()).toBe(5);
    expect(await list(grads)).toEqual([0, 0]);
  });

  test("adds up over every use of a tensor", async () => {
    const f = (x: Tensor) => sum(add(mul(x, x), mul(x, 5)));
    expect(await list(grad(f)(f64([1, 2])))).toEqual([7, 9]);
  });

  test("gives one tensor in two places the same full gradient twice", async () => {
    const x = f64([3]);
    const grads = grad((p: { a: Tensor; b: Tensor }) => sum(mul(p.a, p.b)))({ a: x, b: x });
    expect(await list(grads.a)).toEqual([6]);
    expect(await list(grads.b)).toEqual([6]);
  });

  test("every gradient and the value can be disposed without harm to the others", async () => {
    const params = [f64([1, 2]), f64([3, 4])];
    const { grads } = valueAndGrad(([a, b]: Tensor[]) => sum(add(a, b)))(params);
    grads[0].dispose();
    expect(await list(grads[1])).toEqual([1, 1]);
    const x = f64(7);
    const own = valueAndGrad((x: Tensor) => x)(x);
    own.value.dispose();
    expect(await x.item()).toBe(7);
    expect(await own.grads.item()).toBe(1);
  });

  test("leaves nothing behind but its result", () => {
    const before = device.memory().liveTensors;
    const x = f64([1, 2]);
    const { value, grads } = valueAndGrad((x: Tensor) => mean(exp(mul(sigmoid(x), x))))(x);
    expect(device.memory().liveTensors).toBe(before + 3);
    for (const t of [x, value, grads]) t.dispose();
    expect(device.memory().liveTensors).toBe(before);
  });

  test("after an error in the function, nothing is recorded and nothing stays alive", () => {
    const before = device.memory().liveTensors;
    const x = f64([1, 2]);
    const fails = valueAndGrad((x: Tensor): Tensor => {
      exp(x);
      throw new Error("in the function");
    });
    expect(() => fails(x)).toThrow("in the function");
    expect(device.memory().liveTensors).toBe(before + 1);
    const table = f64([[1], [2]]);
    assignRows(table, Int32Array.of(0), f64([[9]])); // refused while recording
  });

  test("a scope inside the function does not throw away what the backward pass needs", async () => {
    const f = (x: Tensor) => scope(() => sum(exp(scope(() => mul(exp(x), 2)))));
    const x = 0.1;
    const expected = Math.exp(2 * Math.exp(x)) * 2 * Math.exp(x);
    expect(await grad(f)(f64(x)).item()).toBeCloseTo(expected, 12);
  });

  test("works on views, and through integers as constants", async () => {
    const wide = f64([
      [1, 2],
      [3, 4],
    ]);
    const view = expand(reshape(wide, [2, 1, 2]), [2, 3, 2]);
    const f = (x: Tensor) => sum(mul(x, cast(argmax(wide, 1), "f64")));
    expect(await list(grad(f)(view))).toEqual(new Array(12).fill(1));
  });
});

describe("parameter trees", () => {
  test("may be empty, or hold empty containers", async () => {
    expect(valueAndGrad((_p: object) => f64(5))({}).grads).toEqual({});
    const { value, grads } = valueAndGrad((p: { x: Tensor; none: Tensor[]; nothing: object }) =>
      sum(mul(p.x, p.x)),
    )({ x: f64([1, 2]), none: [], nothing: {} });
    expect(await value.item()).toBe(5);
    expect(grads.none).toEqual([]);
    expect(grads.nothing).toEqual({});
    expect(await list(grads.x)).toEqual([2, 4]);
    const alone = valueAndGrad((ps: Tensor[]) => sum(ps[0] ?? f64(3)))([]);
    expect(alone.grads).toEqual([]);
  });

  test("a tensor in three places of one tree has three gradients of its own", async () => {
    const x = f64([2]);
    const grads = grad((p: { a: Tensor; b: Tensor[] }) => sum(mul(p.a, mul(p.b[0], p.b[1]))))({
      a: x,
      b: [x, x],
    });
    grads.a.dispose();
    grads.b[0].dispose();
    expect(await list(grads.b[1])).toEqual([12]);
  });

  test("an operation that fails in the backward pass leaves nothing alive", () => {
    const bad: Op<null> = {
      name: "bad",
      infer: ([x]) => [{ shape: x.shape, dtype: x.dtype }],
      cpu: ([x], [y]) => y.data.set(x.data),
      vjp: () => {
        throw new RangeError("in the derivative");
      },
    };
    const x = f64([1]);
    const before = device.memory().liveTensors;
    expect(() => grad((x: Tensor) => sum(apply(bad, [exp(x)], null)))(x)).toThrow("in the derivative");
    expect(device.memory().liveTensors).toBe(before);
    expect(grad((x: Tensor) => sum(x))(x).shape).toEqual([1]);
  });
});

describe("stopGradient", () => {
  test("keeps the value and stops the gradient", async () => {
    const f = (x: Tensor) => sum(mul(x, stopGradient(mul(x, x))));
    const { value, grads } = valueAndGrad(f)(f64([2, 3]));
    expect(await value.item()).toBe(35);
    expect(await list(grads)).toEqual([4, 9]);
  });

  test("is a constant to second derivatives: only what is not stopped curves", async () => {
    const f = (x: Tensor) => sum(mul(stopGradient(mul(x, x)), mul(x, mul(x, x)))); // sg(x²)·x³
    expect(await list(grad((x: Tensor) => sum(grad(f)(x)))(f64([2])))).toEqual([4 * 6 * 2]); // sg(x²)·6x
    const view = expand(f64([2]), [3]);
    expect(await list(stopGradient(view))).toEqual([2, 2, 2]);
  });

  test("stops outer gradients too", async () => {
    const inner = (x: Tensor) => sum(mul(stopGradient(x), mul(x, x)));
    expect(await list(grad((x: Tensor) => sum(grad(inner)(x)))(f64([3])))).toEqual([6]); // 2·sg(x)·x → 2·sg(x)
  });
});

describe("ties and kinks", () => {
  const at = async (f: (x: Tensor) => Tensor, x: number[]) => list(grad((x: Tensor) => sum(f(x)))(f64(x)));

  test("maximum and minimum share equally", async () => {
    expect(await at((x) => maximum(x, f64([1, 1, 1])), [0, 1, 2])).toEqual([0, 0.5, 1]);
    expect(await at((x) => minimum(x, f64([1, 1, 1])), [0, 1, 2])).toEqual([1, 0.5, 0]);
  });

  test("max shares equally among the elements that tie", async () => {
    expect(await at((x) => max(x), [2, 1, 2, 2])).toEqual([1 / 3, 0, 1 / 3, 1 / 3]);
  });

  test("sign and rounding are flat; halves go to the even neighbour", async () => {
    const halves = [-1.5, -0.5, 0, 0.5, 1.5, 2.5];
    for (const f of [sign, floor, ceil, round]) expect(await at(f, halves)).toEqual(halves.map(() => 0));
    expect((await list(round(f64(halves)))).map((v) => v + 0)).toEqual([-2, 0, 0, 0, 2, 2]);
  });

  test("topk picks the lower index first and gives the gradient to what it picked", async () => {
    const x = [1, 2, 2, 1, 2];
    expect(await list(topk(f64(x), 4).indices)).toEqual([1, 2, 4, 0]);
    expect(await at((x) => topk(x, 2).values, x)).toEqual([0, 1, 1, 0, 0]);
    expect(await list(argmax(f64(x)))).toEqual([1]);
  });

  test("infinite slopes at 0, and behind where", async () => {
    const { POSITIVE_INFINITY: up, NEGATIVE_INFINITY: down } = Number;
    expect(await at(sqrt, [0])).toEqual([up]);
    expect(await at(rsqrt, [0])).toEqual([down]);
    expect(await at(log, [0])).toEqual([up]);
    expect(await at(reciprocal, [0])).toEqual([down]);
    expect(await at((x) => where(greater(x, 0), sqrt(x), 0), [0, 4])).toEqual([Number.NaN, 0.25]);
    const safe = (x: Tensor) => where(greater(x, 0), sqrt(where(greater(x, 0), x, 1)), 0);
    expect(await at(safe, [0, 4])).toEqual([0, 0.25]);
  });

  test("std of equal elements has gradient 0; a row of −∞ has no softmax", async () => {
    expect(await at((x) => std(x), [2, 2, 2])).toEqual([0, 0, 0]);
    const row = f64([Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY]);
    expect(await list(softmax(row))).toEqual([Number.NaN, Number.NaN]);
    expect(await list(logSumExp(row))).toEqual([Number.NEGATIVE_INFINITY]);
  });

  test("clamp with equal bounds passes the gradient on the bound alone", async () => {
    expect(await at((x) => clamp(x, { min: 1, max: 1 }), [0, 1, 2])).toEqual([0, 1, 0]);
  });

  test("relu and abs have slope 0 at 0, clamp 1 on its bounds", async () => {
    expect(await at(relu, [-1, 0, 1])).toEqual([0, 0, 1]);
    expect(await at(abs, [-1, 0, 1])).toEqual([-1, 0, 1]);
    expect(await at((x) => clamp(x, { min: -1, max: 1 }), [-2, -1, 0, 1, 2])).toEqual([0, 1, 1, 1, 0]);
    expect(await at((x) => clamp(x, { min: 0 }), [-1, 1])).toEqual([0, 1]);
  });
});

test("casts between floats pass gradients in the parameter's type, casts to integers stop them", async () => {
  const x = f64([1.5, -2]);
  const through = grad((x: Tensor) => sum(mul(cast(x, "f32"), tensor([3, 4], { device }))))(x);
  expect(through.dtype).toBe("f64");
  expect(await list(through)).toEqual([3, 4]);
  const stopped = grad((x: Tensor) => sum(mul(x, cast(cast(x, "i32"), "f64"))))(x);
  expect(await list(stopped)).toEqual([1, -2]);
});

test("powers of 0 and to 0 have finite gradients", async () => {
  const both = grad((p: { a: Tensor; b: Tensor }) => sum(pow(p.a, p.b)));
  const { a, b } = both({ a: f64([0, 0, 2, -2]), b: f64([0, 2, 0, 3]) });
  expect(await list(a)).toEqual([0, 0, 0, 12]);
  expect((await list(b)).slice(0, 3)).toEqual([0, 0, Math.log(2)]);
});

describe("vjp", () => {
  test("contracts several outputs with their upstream gradients", async () => {
    const [a, b] = [f64([1, 2]), f64([3, 4])];
    const f = (a: Tensor, b: Tensor) => [mul(a, b), add(a, b), equal(a, b)];
    const { outputs, grads } = vjp(f, [a, b], [f64([10, 20]), f64([1, 1]), null]);
    expect(await list(outputs[0])).toEqual([3, 8]);
    expect(await list(grads[0])).toEqual([31, 81]);
    expect(await list(grads[1])).toEqual([11, 41]);
  });

  test("takes and returns trees; integers and what nothing depends on get zeros", async () => {
    const p = { w: f64([1, 2]), unused: f64([[7]]), ids: tensor(Int32Array.of(1, 0), { device }) };
    const f = (params: typeof p, factor: number) => ({
      y: [mul(params.w, factor), take(params.w, params.ids)],
      constant: f64([1, 2, 3]),
    });
    const { outputs, grads } = vjp(f, [p, 3], {
      y: [f64([1, 10]), f64([100, 1000])],
      constant: f64([1, 1, 1]),
    });
    expect(await list(outputs.y[1])).toEqual([2, 1]);
    expect(await list(outputs.constant)).toEqual([1, 2, 3]);
    expect(await list(grads[0].w)).toEqual([3 + 1000, 30 + 100]);
    expect(grads[0].unused.shape).toEqual([1, 1]);
    expect(await list(grads[0].unused)).toEqual([0]);
    expect(grads[0].ids.dtype).toBe("i32");
    expect(await list(grads[0].ids)).toEqual([0, 0]);
  });

  test("its gradient is a second derivative", async () => {
    const f = (x: Tensor) => sum(vjp((x: Tensor) => ({ y: mul(x, mul(x, x)) }), [x], { y: x }).grads[0]);
    expect(await list(grad(f)(f64([2])))).toEqual([36]); // x·3x² → 9x²
  });

  test("keeps the gradients of one tensor passed twice apart", async () => {
    const x = f64([2]);
    const { grads } = vjp((a, b) => [mul(a, mul(a, b))], [x, x], [f64([1])]);
    expect(await list(grads[0])).toEqual([8]);
    expect(await list(grads[1])).toEqual([4]);
  });
});

describe("errors", () => {
  const x = f64([1, 2]);

  test("an operation without a derivative", () => {
    const opaque: Op<null> = {
      name: "opaque",
      infer: ([x]) => [{ shape: x.shape, dtype: x.dtype }],
      cpu: ([x], [y]) => y.data.set(x.data),
    };
    expect(() => grad((x: Tensor) => sum(apply(opaque, [x], null)))(x)).toThrowErrorMatchingInlineSnapshot(
      `[AutodiffError: opaque has no derivative. Wrap its result in stopGradient, or keep it out of the differentiated function.]`,
    );
  });

  test("changing a tensor in place while recording", () => {
    const table = f64([[1], [2]]);
    const f = (x: Tensor) => {
      assignRows(table, Int32Array.of(0), f64([[9]]));
      return sum(x);
    };
    expect(() => grad(f)(x)).toThrowErrorMatchingInlineSnapshot(
      `[AutodiffError: assignRows: a gradient is being recorded, expected none: it changes tensors in place, and the backward pass needs the old values. Call it on the result: const { value, grads } = valueAndGrad(f)(params).]`,
    );
    const flat = () => f64([1, 1]);
    const step = (x: Tensor) => {
      const state = { params: flat(), grads: flat(), m: flat(), v: flat(), decayMask: flat() };
      adamWStep(
        { ...state, clipScale: ones([], { dtype: "f64", device }) },
        { lr: 1, beta1: 0.9, beta2: 0.9, eps: 1e-8, weightDecay: 0, step: 1 },
      );
      return sum(x);
    };
    expect(() => grad(step)(x)).toThrowErrorMatchingInlineSnapshot(
      `[AutodiffError: adamWStep: a gradient is being recorded, expected none: it changes tensors in place, and the backward pass needs the old values. Call it on the result: const { value, grads } = valueAndGrad(f)(params).]`,
    );
  });
});

describe("gradcheck", () => {
  /** y = x² whose derivative is `factor`·x·dy. */
  const square = (factor: number): Op<null> => ({
    name: "square",
    infer: ([x]) => [{ shape: x.shape, dtype: x.dtype }],
    cpu: ([x], [y]) => y.data.set(Float64Array.from(x.data, (v) => v * v)),
    vjp: ({ inputs: [x] }, [dy]) => [
      dy && mul(dy, mul(x, tensor(factor, { dtype: x.dtype, device: x.device }))),
    ],
  });
  const points = [{ shape: [2], data: [0.5, -1.5] }];

  test("resolves with the largest error of a right derivative", async () => {
    const worst = await gradcheck(([x]) => sum(apply(square(2), [x], null)), points);
    expect(worst).toBeLessThan(1e-8);
  });

  test.each([-2, 1, 2.001, 0])("rejects a derivative that is wrong by its factor: %s", async (factor) => {
    await expect(gradcheck(([x]) => sum(apply(square(factor), [x], null)), points)).rejects.toThrow(
      /parameter 0, element 0: the derivative is .*, central differences give (1|0\.99)/,
    );
  });

  test("rejects a derivative that is not a number", async () => {
    await expect(gradcheck(([x]) => sum(apply(square(Number.NaN), [x], null)), points)).rejects.toThrow(
      /the derivative is NaN/,
    );
  });
});
