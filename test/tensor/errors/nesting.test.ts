/** Mistakes with the transformations: valueAndGrad, vjp, customVjp, checkpoint, scope, wrongly nested or used. */
import * as t from "@pact/tensor";
import { expect, test } from "vitest";
import { messageOf } from "../../helpers/error-message.ts";

const device = await t.createDevice({ device: "cpu" });
const make = (shape: number[], dtype: t.DType = "f32") => t.ones(shape, { dtype, device });
const x = make([2, 3]);
const square = (x: t.Tensor) => t.mul(x, x);

test("an async function under a gradient", () => {
  const later = (async (x: t.Tensor) => {
    await x.data();
    return t.sum(square(x));
  }) as unknown as (x: t.Tensor) => t.Tensor;
  expect(messageOf(() => t.valueAndGrad(later)(x))).toMatchInlineSnapshot(
    `"AutodiffError (autodiff): valueAndGrad: the function returned a promise, expected tensors; operations are only recorded until the first await. Make it synchronous: await data before it and pass it as a further argument, read results back after it."`,
  );
  expect(messageOf(() => t.vjp(later, [x], make([])))).toMatchInlineSnapshot(
    `"AutodiffError (autodiff): vjp: the function returned a promise, expected tensors; operations are only recorded until the first await. Make it synchronous: await data before it and pass it as a further argument, read results back after it."`,
  );
  expect(messageOf(() => t.checkpoint(later)(x))).toMatchInlineSnapshot(
    `"AutodiffError (autodiff): checkpoint(later): the function returned a promise, expected tensors; operations are only recorded until the first await. Make it synchronous: await data before it and pass it as a further argument, read results back after it."`,
  );
});

test("an async function with a scope", () => {
  expect(messageOf(() => t.scope(async () => t.add(x, 1)))).toMatchInlineSnapshot(
    `"ValueError (value): scope: f returned a promise, expected a synchronous function. Read back after the scope: await scope(f).data()."`,
  );
});

test("a value that is no scalar, no tensor, no float", () => {
  expect(messageOf(() => t.grad(square)(x))).toMatchInlineSnapshot(
    `"AutodiffError (autodiff): grad: the function must return one number, received shape [2, 3]. Reduce it with sum or mean, or use vjp for other outputs."`,
  );
  const f = (y: unknown) => () => t.grad((() => y) as () => t.Tensor)(x);
  expect(messageOf(f(3))).toMatchInlineSnapshot(
    `"AutodiffError (autodiff): grad: the function returned a number, expected a tensor with one element. Return the loss itself; other results go beside it: return [loss, aux] with valueAndGrad(f, { aux: true })."`,
  );
  expect(messageOf(f(undefined))).toMatchInlineSnapshot(
    `"AutodiffError (autodiff): grad: the function returned undefined, expected a tensor with one element. Return the loss itself; other results go beside it: return [loss, aux] with valueAndGrad(f, { aux: true })."`,
  );
  expect(messageOf(() => t.grad((x: t.Tensor) => t.sum(t.argmax(x)))(x))).toMatchInlineSnapshot(
    `"AutodiffError (autodiff): grad: the function returned i32[], expected a float. Cast what it is computed from: cast(x, "f32")."`,
  );
});

test("a value made outside the function", () => {
  const loss = t.sum(square(x));
  expect(messageOf(() => t.grad((_: t.Tensor) => loss)(x))).toMatchInlineSnapshot(
    `"AutodiffError (autodiff): grad: the function returned a tensor that was made outside it, so nothing in it depends on the parameters. Compute the value inside the function, from its arguments."`,
  );
  const inner = (y: t.Tensor) => t.sum(t.grad((_: t.Tensor) => y)(x));
  expect(messageOf(() => t.grad(inner)(make([])))).toMatchInlineSnapshot(
    `"AutodiffError (autodiff): grad: the function returned a tensor that was made outside it, so nothing in it depends on the parameters. Compute the value inside the function, from its arguments."`,
  );
});

test("parameters that are no floats, or no tensors", () => {
  const f = (_params: unknown) => t.sum(x);
  const ids = make([2], "i32");
  expect(messageOf(() => t.grad(f)(ids))).toMatchInlineSnapshot(
    `"AutodiffError (autodiff): grad: the parameter is i32[2]; only tensors of floats have gradients. Pass it as a further argument instead: grad(f)(params, x)."`,
  );
  expect(messageOf(() => t.grad(f)({ layers: [{ w: x, ids }] }))).toMatchInlineSnapshot(
    `"AutodiffError (autodiff): grad: the parameter at layers[0].ids is i32[2]; only tensors of floats have gradients. Pass it as a further argument instead: grad(f)(params, x)."`,
  );
  expect(messageOf(() => t.grad(f)({ w: x, rate: 0.1 }))).toMatchInlineSnapshot(
    `"AutodiffError (autodiff): parameters at rate: expected a tensor, an array or a plain record, received a number. Keep settings out of the parameter tree; pass them as further arguments."`,
  );
  expect(messageOf(() => t.grad(f)({ layers: [x, null] }))).toMatchInlineSnapshot(
    `"AutodiffError (autodiff): parameters at layers[1]: expected a tensor, an array or a plain record, received null. Keep settings out of the parameter tree; pass them as further arguments."`,
  );
  expect(messageOf(() => t.grad(f)({ seen: new Map([["w", x]]) }))).toMatchInlineSnapshot(
    `"AutodiffError (autodiff): parameters at seen: expected a tensor, an array or a plain record, received an object of class Map. Keep settings out of the parameter tree; pass them as further arguments."`,
  );
  const gone = make([2]);
  gone.dispose();
  expect(messageOf(() => t.grad(f)({ layers: [x, gone] }))).toMatchInlineSnapshot(
    `"DisposedError (disposed): grad: params.layers[1] is f32[2] on cpu and was disposed, expected a live tensor. Return it from the scope that made it: scope(() => params.layers[1]), or call params.layers[1].dispose() after its last use."`,
  );
});

test("a tensor that leaks out of the function that recorded it", () => {
  let leaked = x;
  t.grad((x: t.Tensor) => {
    leaked = square(x);
    return t.sum(leaked);
  })(x);
  expect(messageOf(() => t.add(leaked, 1))).toMatchInlineSnapshot(
    `"DisposedError (disposed): add: a is f32[2, 3] on cpu and was disposed, expected a live tensor. Return it from the scope that made it: scope(() => a), or call a.dispose() after its last use."`,
  );
});

test("a tensor disposed inside the function, that the derivative needs", () => {
  const early = (x: t.Tensor) => {
    const y = t.exp(x);
    const z = t.sum(square(y));
    y.dispose();
    return z;
  };
  expect(messageOf(() => t.grad(early)(x))).toMatchInlineSnapshot(
    `"DisposedError (disposed): derivative of mul: its input 0, f32[2, 3], was disposed inside the differentiated function, expected it alive until the gradient is computed. Leave out dispose() and \`using\` there; valueAndGrad gives temporaries back itself."`,
  );
  const result = (x: t.Tensor) => {
    const y = t.sum(x);
    y.dispose();
    return y;
  };
  expect(messageOf(() => t.grad(result)(x))).toMatchInlineSnapshot(
    `"DisposedError (disposed): grad: value is f32[] on cpu and was disposed, expected a live tensor. Return it from the scope that made it: scope(() => value), or call value.dispose() after its last use."`,
  );
});

test("gradients of async functions that wait in turn do not mix", async () => {
  const one = async (factor: number) => {
    const f = t.valueAndGrad((x: t.Tensor) => t.sum(t.mul(square(x), factor)));
    const first = f(x);
    await first.value.data();
    return (await f(first.grads).grads.data())[0];
  };
  expect(await Promise.all([one(1), one(10), one(100)])).toEqual([4, 400, 40_000]);
});

test("customVjp and checkpoint: a tensor that is being differentiated, captured", () => {
  const f = (how: (g: (x: t.Tensor) => t.Tensor) => (x: t.Tensor) => t.Tensor) =>
    messageOf(() =>
      t.grad((p: { w: t.Tensor; b: t.Tensor }) =>
        t.sum(
          how(function scaled(y) {
            return t.mul(y, p.w);
          })(p.b),
        ),
      )({ w: x, b: make([2, 3]) }),
    );
  expect(f((g) => t.customVjp(g, (_, dy) => [dy]))).toMatchInlineSnapshot(
    `"AutodiffError (autodiff): customVjp(scaled): mul inside used (as its input 1) f32[2, 3], which is being differentiated outside and was not passed in; its gradient would be lost. Pass it as an argument and use that: f(x, w); or use stopGradient(w) inside if no gradient is meant to flow."`,
  );
  expect(f(t.checkpoint)).toMatchInlineSnapshot(
    `"AutodiffError (autodiff): checkpoint(scaled): mul inside used (as its input 1) f32[2, 3], which is being differentiated outside and was not passed in; its gradient would be lost. Pass it as an argument and use that: f(x, w); or use stopGradient(w) inside if no gradient is meant to flow."`,
  );
  expect(f((g) => t.checkpoint((y) => t.checkpoint(g)(y)))).toMatchInlineSnapshot(
    `"AutodiffError (autodiff): checkpoint(scaled): mul inside used (as its input 1) f32[2, 3], which is being differentiated outside and was not passed in; its gradient would be lost. Pass it as an argument and use that: f(x, w); or use stopGradient(w) inside if no gradient is meant to flow."`,
  );
  // Also the argument itself, if it is used past its parameter, and one returned as it is.
  expect(
    messageOf(() => t.grad((w: t.Tensor) => t.sum(t.checkpoint((_y: t.Tensor) => t.exp(w))(w)))(x)),
  ).toMatchInlineSnapshot(
    `"AutodiffError (autodiff): checkpoint: exp inside used (as its input 0) f32[2, 3], which is being differentiated outside and was not passed in; its gradient would be lost. Pass it as an argument and use that: f(x, w); or use stopGradient(w) inside if no gradient is meant to flow."`,
  );
  expect(
    messageOf(() => t.grad((w: t.Tensor) => t.sum(t.checkpoint((_y: t.Tensor) => w)(w)))(x)),
  ).toMatchInlineSnapshot(
    `"AutodiffError (autodiff): checkpoint: the function returned f32[2, 3], which is being differentiated outside and was not passed in; its gradient would be lost. Pass it as an argument and use that: f(x, w); or use stopGradient(w) inside if no gradient is meant to flow."`,
  );
});

test("customVjp: gradients that do not fit", () => {
  const f = (dx: unknown) =>
    messageOf(() =>
      t.grad((x: t.Tensor) =>
        t.sum(
          t.customVjp(
            (p: { w: t.Tensor; v: t.Tensor[] }) => t.add(p.w, p.v[0]),
            () => dx as [null],
          )({ w: x, v: [x] }),
        ),
      )(x),
    );
  expect(f(make([2, 3]))).toMatchInlineSnapshot(
    `"AutodiffError (autodiff): customVjp: backward returned f32[2, 3], expected an array of 1: one gradient (or null) per argument. Return it as a list: return [dx]."`,
  );
  expect(f([])).toMatchInlineSnapshot(
    `"AutodiffError (autodiff): customVjp: backward returned an array of 0, expected an array of 1: one gradient (or null) per argument. Return it as a list: return [dx]."`,
  );
  expect(f([make([2, 3])])).toMatchInlineSnapshot(
    `"AutodiffError (autodiff): customVjp: the gradient of argument 0 is f32[2, 3], expected a record of w, v or null. Give one gradient per tensor, in the structure of the tensors."`,
  );
  expect(f([{ w: null, v: [], u: null }])).toMatchInlineSnapshot(
    `"AutodiffError (autodiff): customVjp: the gradient of argument 0 is a record of w, v, u, expected a record of w, v or null. Give one gradient per tensor, in the structure of the tensors."`,
  );
  expect(f([{ w: null, v: [] }])).toMatchInlineSnapshot(
    `"AutodiffError (autodiff): customVjp: the gradient of argument 0.v is an array of 0, expected an array of 1 or null. Give one gradient per tensor, in the structure of the tensors."`,
  );
  expect(f([{ w: 1, v: null }])).toMatchInlineSnapshot(
    `"AutodiffError (autodiff): customVjp: the gradient of argument 0.w is a number, expected a tensor like f32[2, 3] or null. Give one gradient per tensor, in the structure of the tensors."`,
  );
  expect(f([{ w: null, v: [make([3])] }])).toMatchInlineSnapshot(
    `"ShapeError (shape): customVjp: the gradient of argument 0.v[0] is f32[3] on cpu, expected the argument's shape: f32[2, 3] on cpu. Sum over what was broadcast: sum(dx, { axes }), or reshape it."`,
  );
  expect(f([{ w: make([2, 3], "f64"), v: [null] }])).toMatchInlineSnapshot(
    `"DTypeError (dtype): customVjp: the gradient of argument 0.w is f64[2, 3] on cpu, expected the argument's dtype: f32[2, 3] on cpu. Convert it: cast(dx, x.dtype)."`,
  );
});

test("customVjp: gradients on another device", async () => {
  const other = t.ones([2, 3], { device: await t.createDevice({ device: "cpu" }) });
  const f = t.customVjp(
    (x: t.Tensor) => t.exp(x),
    () => [other],
  );
  expect(messageOf(() => t.grad((x: t.Tensor) => t.sum(f(x)))(x))).toMatchInlineSnapshot(
    `"DeviceError (device): customVjp: the gradient of argument 0 is f32[2, 3] on cpu, expected the argument's device: f32[2, 3] on cpu. Make constants there: tensor(data, { device: x.device })."`,
  );
});

test("checkpoint: other outputs when it runs again", () => {
  let runs = 0;
  const f = t.checkpoint((x: t.Tensor) => (runs++ === 0 ? [square(x)] : [square(x), x]));
  expect(messageOf(() => t.grad((x: t.Tensor) => t.sum(f(x)[0]))(x))).toMatchInlineSnapshot(
    `"AutodiffError (autodiff): checkpoint: the function returned 2 tensors when it ran again, 1 before. Keep it free of state: pass what changes as an argument."`,
  );
});

test("vjp: gradients of outputs that do not fit", () => {
  const f = (x: t.Tensor) => ({ y: square(x), z: t.sum(x) });
  expect(messageOf(() => t.vjp(f, [x], { y: make([3, 2]), z: null }))).toMatchInlineSnapshot(
    `"AutodiffError (autodiff): vjp: dys.y is f32[3, 2], its output is f32[2, 3]; expected the same shape and dtype. Shape it like the output: expand(dy, y.shape), cast(dy, y.dtype)."`,
  );
  expect(messageOf(() => t.vjp(f, [x], { y: make([2, 3], "f64"), z: null }))).toMatchInlineSnapshot(
    `"AutodiffError (autodiff): vjp: dys.y is f64[2, 3], its output is f32[2, 3]; expected the same shape and dtype. Shape it like the output: expand(dy, y.shape), cast(dy, y.dtype)."`,
  );
  const list = (x: t.Tensor): t.Tensor[] => [square(x), x];
  expect(messageOf(() => t.vjp(list, [x], [x]))).toMatchInlineSnapshot(
    `"AutodiffError (autodiff): vjp: dys is an array of 1, expected an array of 2 or null. Give one gradient per tensor, in the structure of the tensors."`,
  );
});
