/**
 * ops.json: tensor operations with their gradients. The table maps an op's name to the public API of @pact/tensor;
 * where the engine's layout differs from the file's (packed attention and rope), the adapter converts.
 */

import type { Tensor } from "@pact/tensor";
import * as t from "@pact/tensor";
import {
  type Context,
  compareTensor,
  type GoldenTensor,
  numbers,
  type Outcome,
  readJson,
  runCase,
  toTensor,
  Unsupported,
} from "./format.ts";
import { attentionCase, ropeCase } from "./layouts.ts";

type Attrs = Readonly<Record<string, unknown>>;
type Inputs = Readonly<Record<string, Tensor>>;

/** One case of the file. */
export type OpCase = {
  readonly name: string;
  readonly op: string;
  readonly attrs: Attrs;
  readonly inputs: Readonly<Record<string, GoldenTensor>>;
  readonly outputs: readonly GoldenTensor[];
  readonly gradOutput?: GoldenTensor;
  readonly grads?: Readonly<Record<string, GoldenTensor>>;
  readonly altGrads?: Readonly<Record<string, GoldenTensor>>;
  readonly float32MaxAbsError?: Readonly<Record<string, number>>;
};

/** Computes the outputs of a case; host-side integers (segments) are read from `golden`. */
export type Adapter = (x: Inputs, attrs: Attrs, golden: OpCase) => Tensor | Tensor[];

/** `dim` is a number, a list, or null (or an empty list, as in PyTorch) for all. */
const axes = ({ dim, keepdim }: Attrs) => ({
  axes: (Array.isArray(dim) && dim.length === 0 ? undefined : (dim ?? undefined)) as
    | number
    | number[]
    | undefined,
  keepDims: keepdim === true,
});
/** The one axis of an operation that takes a single one; undefined for null: the flattened tensor. */
const axis = ({ dim }: Attrs) => (Array.isArray(dim) ? dim[0] : (dim ?? undefined)) as number | undefined;
const kept = ({ keepdim }: Attrs) => ({ keepDims: keepdim === true });
const dim = (attrs: Attrs) => attrs.dim as number;
const list = (value: unknown) => value as number[];
const unary = (f: (x: Tensor) => Tensor) => (x: Inputs) => f(x.x);
const binary = (f: (a: Tensor, b: Tensor) => Tensor) => (x: Inputs) => f(x.a, x.b);

const table: Record<string, Adapter> = {
  neg: unary(t.neg),
  abs: unary(t.abs),
  exp: unary(t.exp),
  log: unary(t.log),
  sqrt: unary(t.sqrt),
  rsqrt: unary(t.rsqrt),
  reciprocal: unary(t.reciprocal),
  square: unary(t.square),
  tanh: unary(t.tanh),
  sigmoid: unary(t.sigmoid),
  relu: unary(t.relu),
  sin: unary(t.sin),
  cos: unary(t.cos),
  softplus: unary(t.softplus),
  log_sigmoid: unary(t.logSigmoid),
  silu: unary(t.silu),
  gelu: (x, a) => t.gelu(x.x, { approximate: a.approximate as "none" | "tanh" }),
  swiglu: (x) => t.mul(t.silu(x.gate), x.up),
  add: binary(t.add),
  sub: binary(t.sub),
  mul: binary(t.mul),
  div: binary(t.div),
  pow: binary(t.pow),
  maximum: binary(t.maximum),
  minimum: binary(t.minimum),
  sum: (x, a) => t.sum(x.x, axes(a)),
  mean: (x, a) => t.mean(x.x, axes(a)),
  amax: (x, a) => t.max(x.x, axes(a)),
  amin: (x, a) => t.min(x.x, axes(a)),
  max: (x, a) => [t.max(x.x, axes(a)), t.argmax(x.x, axis(a), kept(a))],
  min: (x, a) => [t.min(x.x, axes(a)), t.argmin(x.x, axis(a), kept(a))],
  argmax: (x, a) => t.argmax(x.x, axis(a), kept(a)),
  argmin: (x, a) => t.argmin(x.x, axis(a), kept(a)),
  var: (x, a) => t.variance(x.x, { ...axes(a), correction: number(a.correction) }),
  std: (x, a) => t.std(x.x, { ...axes(a), correction: number(a.correction) }),
  cumsum: (x, a) => t.cumsum(x.x, dim(a)),
  topk: (x, a) => {
    const { values, indices } = t.topk(x.x, a.k as number, { axis: axis(a), largest: a.largest !== false });
    return [values, indices];
  },
  logsumexp: (x, a) => t.logSumExp(x.x, axes(a)),
  softmax: (x, a) => t.softmax(x.x, dim(a)),
  log_softmax: (x, a) => t.logSoftmax(x.x, dim(a)),
  masked_softmax: (x, a) => t.softmax(t.maskedFill(x.x, t.logicalNot(x.mask), -1e30), dim(a)),
  matmul: (x, a) =>
    t.matmul(x.a, x.b, { transposeA: a.transposeA === true, transposeB: a.transposeB === true }),
  linear: (x) => t.linear(x.x, x.weight, x.bias),
  layernorm: (x, { eps }) => {
    const { weight, bias } = x;
    const width = x.x.shape.slice(-1);
    const { dtype, device } = x.x;
    return t.layerNorm(
      x.x,
      weight ?? t.ones(width, { dtype, device }),
      bias ?? t.zeros(width, { dtype, device }),
      {
        eps: eps as number,
      },
    );
  },
  rmsnorm: (x, { eps }) => t.rmsNorm(x.x, x.weight, { eps: eps as number }),
  gather: (x, a) => t.gather(x.x, dim(a), x.index),
  index_select: (x, a) => t.take(x.x, x.index, dim(a)),
  embedding: (x) => t.embedding(x.weight, x.ids),
  scatter_add: (x, a) => t.scatterAdd(x.x, dim(a), x.index, x.src),
  index_add: (x, a) => t.indexAdd(x.x, dim(a), x.index, x.src),
  slice: (x, a) => t.slice(x.x, list(a.starts), list(a.stops), list(a.steps)),
  concat: (x, a) => t.concat(Object.values(x), dim(a)),
  stack: (x, a) => t.stack(Object.values(x), dim(a)),
  permute: (x, a) => t.permute(x.x, list(a.dims)),
  transpose_reshape: (x, a) => t.reshape(t.transpose(x.x, a.dim0 as number, a.dim1 as number), list(a.shape)),
  expand: (x, a) => t.expand(x.x, list(a.shape)),
  pad: (x, a) => t.pad(x.x, a.pads as [number, number][], a.value as number),
  where: (x) => t.where(x.cond, x.a, x.b),
  clamp: (x, a) => t.clamp(x.x, { min: number(a.min), max: number(a.max) }),
  masked_fill: (x, a) => t.maskedFill(x.x, x.mask, a.value as number),
  cross_entropy: (x, a) =>
    t.crossEntropy(x.logits, x.targets, {
      ignoreIndex: a.ignoreIndex as number,
      reduction: a.reduction as "mean" | "sum" | "none",
    }),
  cross_entropy_weighted: (x) =>
    t.div(t.neg(t.sum(t.mul(x.weights, t.logProbGather(x.logits, x.targets)))), t.sum(x.weights)),
  logprob_gather: (x, a) => t.logProbGather(x.logits, x.ids, { temperature: a.temperature as number }),
  entropy: (x) => t.entropy(x.logits),
  kl_categorical: (x) => t.klDivergence(x.p, x.q),
  rope: ropeCase,
  attention: attentionCase,
  attention_packed: attentionCase,
};

/** An optional number: null and absent both leave it out. */
function number(value: unknown): number | undefined {
  return typeof value === "number" ? value : undefined;
}

/** Checks every case of ops.json. */
export async function checkOps(context: Context, folder: string): Promise<Outcome[]> {
  const { cases } = await readJson<{ cases: OpCase[] }>(folder, "ops.json");
  const outcomes: Outcome[] = [];
  for (const golden of cases)
    outcomes.push(await runCase(`ops/${golden.name}`, () => checkOp(context, golden)));
  return outcomes;
}

async function checkOp(context: Context, golden: OpCase): Promise<string[]> {
  if (!Object.hasOwn(table, golden.op)) throw new Unsupported(`no operation "${golden.op}"`);
  const run = (x: Inputs) => [table[golden.op](x, golden.attrs, golden)].flat();
  const entries = Object.entries(golden.inputs);
  const inputs = Object.fromEntries(entries.map(([name, value]) => [name, toTensor(context, value)]));
  const tolerance = toleranceOf(context, golden);
  const outputs = t.scope(() => run(inputs));
  const problems: string[] = [];
  for (const [i, expected] of golden.outputs.entries())
    problems.push(
      ...(await compareTensor(`output ${i}`, outputs[i], expected, tolerance("output", expected))),
    );
  if (golden.grads) {
    const upstream = golden.gradOutput && toTensor(context, golden.gradOutput);
    const names = Object.keys(golden.grads);
    const params = Object.fromEntries(names.map((name) => [name, inputs[name]]));
    const loss = (p: Inputs) => {
      const output = run({ ...inputs, ...p })[0];
      return upstream ? t.sum(t.mul(output, upstream)) : output;
    };
    const { grads } = t.valueAndGrad(loss)(params);
    const against = async (reference: Readonly<Record<string, GoldenTensor>>) => {
      const found: string[] = [];
      for (const [name, expected] of Object.entries(reference))
        found.push(
          ...(await compareTensor(
            `grad.${name}`,
            grads[name],
            expected,
            tolerance(`grad.${name}`, expected),
          )),
        );
      return found;
    };
    const wrong = await against(golden.grads);
    const alternative = golden.altGrads && wrong.length > 0 ? await against(golden.altGrads) : wrong;
    if (alternative.length > 0) problems.push(...wrong);
  }
  return problems;
}

/** float64: 1e-10 · max(1, |ref|). float32: 10 · float32MaxAbsError + 1e-6 · max(1, max|ref|). Integers: exact. */
function toleranceOf(context: Context, golden: OpCase) {
  return (what: string, expected: GoldenTensor) => {
    if (expected.dtype !== "float64") return () => 0;
    if (context.dtype === "f64") return (reference: number) => 1e-10 * Math.max(1, Math.abs(reference));
    const largest = numbers(expected).reduce((max, x) => Math.max(max, Math.abs(x)), 1);
    return () => 10 * (golden.float32MaxAbsError?.[what] ?? 0) + 1e-6 * largest;
  };
}
