// A gradient on the GPU: fit y = tanh(x·w + b) to points of a known curve.   npx tsx --conditions=source examples/001-gradient.ts
import {
  add,
  init,
  key,
  matmul,
  mean,
  mul,
  randomNormal,
  scope,
  square,
  sub,
  type Tensor,
  tanh,
  valueAndGrad,
  zeros,
} from "@pact/tensor";

const device = await init({ log: console.log }); // the best adapter there is; the reason is printed
const x = randomNormal(key(0), [256, 2]);
const target = tanh(matmul(x, randomNormal(key(1), [2, 1]))); // [256, 1]

const loss = (p: { w: Tensor; b: Tensor }) => mean(square(sub(tanh(add(matmul(x, p.w), p.b)), target)));
const step = valueAndGrad(loss);

let params = { w: zeros([2, 1]), b: zeros([1]) };
const before = await loss(params).item();
for (let i = 0; i < 200; i++) {
  params = scope(() => {
    const { grads } = step(params);
    return { w: sub(params.w, mul(grads.w, 0.5)), b: sub(params.b, mul(grads.b, 0.5)) };
  });
}
const after = await loss(params).item();
console.log(`loss ${before.toFixed(4)} → ${after.toExponential(1)} on ${device.report.adapterName}`);
if (!(after < before / 1000)) throw new Error("the fit did not converge");
