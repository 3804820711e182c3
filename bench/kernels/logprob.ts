/**
 * npx tsx --conditions=source bench/kernels/logprob.ts [M C V, default 1024 128 8192]
 *
 * The ladder of log-probabilities under a linear head, with the gradients of hidden states and head. What each rung gains:
 * the log-softmax is not stored [M, V]; then nothing of that size is, which costs computing the logits twice.
 */
import {
  gather,
  key,
  linear,
  linearLogProb,
  logProbGather,
  logSoftmax,
  randomNormal,
  squeeze,
  sum,
  type Tensor,
  tensor,
  unsqueeze,
  valueAndGrad,
} from "@pact/tensor";
import { climb, ladderDevice, type Rung } from "./ladder.ts";

const sizes = process.argv.slice(2).map(Number);
const [rows, width, vocabulary] = sizes.length === 3 ? sizes : [1024, 128, 8192];
const device = await ladderDevice();
const hidden = randomNormal(key(1), [rows, width], { device });
const weight = randomNormal(key(2), [vocabulary, width], { device });
const ids = tensor(
  Int32Array.from({ length: rows }, (_, i) => (i * 7919) % vocabulary),
  { device },
);

const rung = (name: string, logProbs: (h: Tensor, w: Tensor) => Tensor): Rung => ({
  name,
  run() {
    const value = (x: { h: Tensor; w: Tensor }) => sum(logProbs(x.h, x.w));
    return valueAndGrad(value)({ h: hidden, w: weight }).grads.h;
  },
});
const rungs = [
  rung("log-softmax stored", (h, w) => squeeze(gather(logSoftmax(linear(h, w)), 1, unsqueeze(ids, 1)), -1)),
  rung("logits stored", (h, w) => logProbGather(linear(h, w), ids)),
  rung("pieces of 2048", (h, w) => linearLogProb(h, w, ids, { chunk: 2048 })),
  rung("pieces of 512", (h, w) => linearLogProb(h, w, ids, { chunk: 512 })),
];
// One product forward, two backward; the pieces compute one more, which does not count as work.
const flops = 3 * 2 * rows * width * vocabulary;
await climb(device, { name: `[${rows}, ${width}] under ${vocabulary}`, inputs: [], flops }, rungs);
device.destroy();
