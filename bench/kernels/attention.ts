/**
 * npx tsx --conditions=source bench/kernels/attention.ts [tokens of a document, default 128]
 *
 * The ladder of attention with its gradient, eight causal documents, four heads of 32. What each rung gains: composed of
 * plain operations it stores the scores [H, N, N]; fused, an online softmax stores nothing of that size and skips what is
 * masked; lanes that walk the same keys load them once and hand them to each other.
 */
import {
  attention,
  attentionSpans,
  chooseVariants,
  type KernelVariants,
  key,
  mul,
  randomNormal,
  sum,
  type Tensor,
  valueAndGrad,
} from "@pact/tensor";
import { composedAttention, spanMask } from "../../packages/tensor/src/ops/attention-spans.ts";
import { lanesOf } from "../../packages/tensor/src/variants.ts";
import { climb, ladderDevice, type Rung } from "./ladder.ts";

const documents = 8;
const [heads, size] = [4, 32];
const length = Number(process.argv[2] ?? 128);
const tokens = documents * length;

/** Token i sees its document, which starts at ⌊i / length⌋·length, up to itself. */
const ranges = Int32Array.from({ length: 4 * tokens }, (_, at) => {
  const i = Math.floor(at / 4);
  return [0, 0, i - (i % length), i + 1][at % 4];
});

const device = await ladderDevice();
const spans = attentionSpans(ranges, tokens, { device });
const [q, k, v, dy] = [1, 2, 3, 4].map((seed) => randomNormal(key(seed), [tokens, heads, size], { device }));

/** ∂/∂q of the values under dy; the gradients of k and v are computed with it. */
function withGradient(attend: (q: Tensor, k: Tensor, v: Tensor) => Tensor): Tensor {
  const value = (x: { q: Tensor; k: Tensor; v: Tensor }) => sum(mul(attend(x.q, x.k, x.v), dy));
  return valueAndGrad(value)({ q, k, v }).grads.q;
}

const fused = (name: string, variant: KernelVariants["attention"]): Rung => ({
  name,
  run() {
    chooseVariants(device, { matmul: variant, attention: variant });
    return withGradient((q, k, v) => attention(q, k, v, spans));
  },
});
const rungs: Rung[] = [
  {
    name: "composed, scores stored",
    run: () => withGradient((q, k, v) => composedAttention(q, k, v, spanMask(spans.queries, tokens))),
  },
  fused("fused, a query an invocation", "tiles"),
  ...(lanesOf(device.report) > 0 ? [fused("fused, subgroups share keys", "subgroups")] : []),
];
// Two products of the visible half forward, five backward.
const flops = 7 * 2 * heads * size * documents * ((length * (length + 1)) / 2);
await climb(device, { name: `${documents} documents of ${length} tokens`, inputs: [], flops }, rungs);
device.destroy();
