/** Mistakes in the derivatives of softmax, norms, log-probabilities, positions and attention, and in the optimiser's step. */
import { golden, inFile, type Mutant, named, operation, second } from "./mutant.ts";

const attention = named("test/tensor/operations.test.ts", /^'attention, .* the derivative/);
const attentionTwice = named("test/tensor/second.test.ts", /of the derivative of 'attention/);
const adamW = named("test/tensor/inplace.test.ts", /adamWStep/);
const optimiser = named("test/nn/optim.test.ts", /./);

export const networkMutants: readonly Mutant[] = [
  ...inFile("ops/softmax.ts", [
    [
      "softmax: sum over rows, not the last axis",
      "sum(mul(y, dy), { axes: -1, keepDims: true })",
      "sum(mul(y, dy), { axes: 0, keepDims: true })",
      operation("softmax"),
    ],
    [
      "softmax: projection forgotten",
      "mul(y, sub(dy, sum(mul(y, dy), { axes: -1, keepDims: true })))",
      "mul(y, dy)",
      operation("softmax"),
    ],
    [
      "softmax: Σ dy instead of Σ y·dy",
      "sum(mul(y, dy), { axes: -1, keepDims: true })",
      "sum(dy, { axes: -1, keepDims: true })",
      operation("softmax"),
    ],
    [
      "logSoftmax: sign",
      "sub(dy, mul(exp(y), sum(dy, { axes: -1, keepDims: true })))",
      "add(dy, mul(exp(y), sum(dy, { axes: -1, keepDims: true })))",
      operation("logSoftmax"),
    ],
    [
      "logSoftmax: y instead of e^y",
      "mul(exp(y), sum(dy, { axes: -1, keepDims: true }))",
      "mul(y, sum(dy, { axes: -1, keepDims: true }))",
      operation("logSoftmax"),
    ],
    [
      "softmax along an axis: not permuted back",
      "permute(apply(op, [permute(x, swap)], null), swap)",
      "reshape(apply(op, [permute(x, swap)], null), x.shape)",
      golden,
    ],
  ]),
  ...inFile("ops/norm.ts", [
    [
      "norm: x̂ part forgotten",
      "r * (w.data[w.offset + j] * d - meanGX * xhat - (attrs.centred ? meanG : 0))",
      "r * (w.data[w.offset + j] * d - (attrs.centred ? meanG : 0))",
      operation("rmsNorm"),
    ],
    ["layerNorm: mean part forgotten", "(attrs.centred ? meanG : 0)", "0", operation("layerNorm")],
    ["rmsNorm: mean subtracted too", "(attrs.centred ? meanG : 0)", "meanG", operation("rmsNorm")],
    ["norm: scale r dropped", "dx.data[i + j] = r * (", "dx.data[i + j] = (", operation("layerNorm")],
    [
      "norm: dw from x, not x̂",
      "dwRows.data[i + j] = d * xhat;",
      "dwRows.data[i + j] = d * x.data[x.offset + i + j];",
      operation("layerNorm"),
    ],
    [
      "norm: weight forgotten in the means",
      "const g = w.data[w.offset + j] * dy.data[dy.offset + i + j];",
      "const g = dy.data[dy.offset + i + j];",
      operation("rmsNorm"),
    ],
    [
      "norm: dx and dw swapped in second derivatives",
      "return [rows(w), mul(dy, composedNormalize(x, attrs))];",
      "return [mul(dy, composedNormalize(x, attrs)), rows(w)];",
      second("layerNorm"),
    ],
    [
      "norm: second derivatives forget the weight",
      "vjp((x) => [mul(composedNormalize(x, attrs), w)], [x], [dy])",
      "vjp((x) => [composedNormalize(x, attrs)], [x], [dy])",
      second("rmsNorm"),
    ],
  ]),
  ...inFile("ops/logprob.ts", [
    [
      "logProb: temperature missing from the slope",
      "const scale = dy.data[dy.offset + r] / temperature;",
      "const scale = dy.data[dy.offset + r];",
      operation("logProbGather"),
    ],
    [
      "logProb: temperature missing in the softmax",
      "const q = Math.exp(x.data[x.offset + r * n + j] / temperature - lse",
      "const q = Math.exp(x.data[x.offset + r * n + j] - lse",
      operation("logProbGather"),
    ],
    [
      "logProb: one-hot forgotten",
      "scale * ((j === id ? 1 : 0) - q)",
      "scale * -q",
      operation("crossEntropy"),
    ],
    ["logProb: one-hot one off", "(j === id ? 1 : 0)", "(j === id + 1 ? 1 : 0)", operation("crossEntropy")],
    [
      "logProb: second derivative without temperature",
      "[composedLogProb(x, ids, attrs.temperature)]",
      "[composedLogProb(x, ids, 1)]",
      second("logProbGather"),
    ],
    [
      "logProb: gradient of dy dropped in second derivatives",
      "return [gx, null, null, gdy];",
      "return [gx, null, null, null];",
      second("logProbGather"),
    ],
    [
      "entropy: factor p dropped",
      "sum(mul(exp(logs), finite), { axes: -1 })",
      "sum(finite, { axes: -1 })",
      golden,
    ],
  ]),
  ...inFile("ops/rope.ts", [
    ["rope: turned forward again", "{ ...attrs, sign: -attrs.sign }", "attrs", operation("rope")],
    [
      "rope: theta lost backward",
      "{ ...attrs, sign: -attrs.sign }",
      "{ theta: 10000.5, sign: -attrs.sign }",
      golden,
    ],
    [
      "rope: frequencies' gradient of the wrong sign",
      "sub(mul(second(dy), first(y)), mul(first(dy), second(y)))",
      "sub(mul(first(dy), second(y)), mul(second(dy), first(y)))",
      operation("rope with frequencies"),
    ],
    [
      "rope: frequencies lost backward",
      "frequencies ? [dy, positions, frequencies] : [dy, positions]",
      "[dy, positions]",
      operation("rope with frequencies"),
    ],
  ]),
  ...inFile("ops/attention.ts", [
    [
      "attention: dk and dv exchanged",
      "...applyAll(attentionBackwardOp, [q, k, v, queries, keys, lse, y, aligned(dy)], null),",
      "...applyAll(attentionBackwardOp, [q, v, k, queries, keys, lse, y, aligned(dy)], null),",
      attention,
    ],
  ]),
  ...inFile("ops/attention-backward.ts", [
    [
      "attention: δ without y",
      "delta += dy.data[dy.offset + at + d] * y.data[y.offset + at + d];",
      "delta += dy.data[dy.offset + at + d];",
      attention,
    ],
    ["attention: δ not subtracted", "w * (dp - delta) * scale", "w * dp * scale", attention],
    ["attention: scale missing in ds", "w * (dp - delta) * scale", "w * (dp - delta)", attention],
    ["attention: scale missing in the weights", "Math.exp(s * scale - lse", "Math.exp(s - lse", attention],
    [
      "attention: dk from k",
      "dk.data[to + d] += ds * q.data[q.offset + at + d];",
      "dk.data[to + d] += ds * k.data[k.offset + to + d];",
      attention,
    ],
    ["attention: dq overwritten by the last key", "dq.data[at + d] += ds", "dq.data[at + d] = ds", attention],
    ["attention: dv without the weight", "dv.data[to + d] += w * dy", "dv.data[to + d] += dy", attention],
    [
      "attention: kv head of another group",
      "const g = Math.floor(h / group);",
      "const g = h % kvHeads;",
      attention,
    ],
    [
      "attention: heads of a group overwrite each other in dk",
      "dk.data[to + d] += ds",
      "dk.data[to + d] = ds",
      attention,
    ],
    [
      "attention: second derivatives lose v's part",
      "return [gq, gk, gv, null, null, null, null, gdy];",
      "return [gq, gk, null, null, null, null, null, gdy];",
      attentionTwice,
    ],
    [
      "attention: second derivatives lose dy's part",
      "return [gq, gk, gv, null, null, null, null, gdy];",
      "return [gq, gk, gv, null, null, null, null, null];",
      attentionTwice,
    ],
  ]),
  ...inFile("ops/attention-spans.ts", [
    [
      "attention: a span one key short",
      "for (let j = ranges.data[r + 2]; j < ranges.data[r + 3]; j++) f(j);",
      "for (let j = ranges.data[r + 2]; j < ranges.data[r + 3] - 1; j++) f(j);",
      golden,
    ],
    [
      "attention: composed scale missing",
      "mul(matmul(permute(q, [1, 0, 2]), permute(kk, [1, 2, 0])), scale)",
      "matmul(permute(q, [1, 0, 2]), permute(kk, [1, 2, 0]))",
      attentionTwice,
    ],
  ]),
  ...inFile("ops/inplace.ts", [
    ["AdamW: first moment not corrected", "(lr / k1) *", "lr *", adamW],
    [
      "AdamW: second moment not corrected",
      "Math.sqrt(v.data[iv]) / Math.sqrt(k2) + eps",
      "Math.sqrt(v.data[iv]) + eps",
      adamW,
    ],
    [
      "AdamW: correction one step behind",
      "1 - beta1 ** step, 1 - beta2 ** step",
      "1 - beta1 ** (step + 1), 1 - beta2 ** (step + 1)",
      adamW,
    ],
    [
      "AdamW: decay where the mask says none",
      "(1 - lr * weightDecay * mask.data[mask.offset + i])",
      "(1 - lr * weightDecay)",
      adamW,
    ],
    [
      "AdamW: decay not times the learning rate",
      "(1 - lr * weightDecay * mask.data[mask.offset + i])",
      "(1 - weightDecay * mask.data[mask.offset + i])",
      adamW,
    ],
    ["AdamW: clip forgotten", "grads.data[grads.offset + i] * c;", "grads.data[grads.offset + i];", adamW],
    ["AdamW: gradient not squared", "(1 - beta2) * g * g", "(1 - beta2) * Math.abs(g)", adamW],
    [
      "AdamW: betas exchanged",
      "m.data[im] = beta1 * m.data[im] + (1 - beta1) * g;",
      "m.data[im] = beta2 * m.data[im] + (1 - beta2) * g;",
      adamW,
    ],
    [
      "AdamW: eps inside the root's correction",
      "Math.sqrt(v.data[iv]) / Math.sqrt(k2) + eps",
      "(Math.sqrt(v.data[iv]) + eps) / Math.sqrt(k2)",
      optimiser,
    ],
  ]),
];
