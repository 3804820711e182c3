/**
 * Public names of @pact/tensor. Inside the package, files import each other directly.
 */
export { grad, type ValueAndGrad, valueAndGrad, vjp } from "./autodiff.ts";
export type { BackendStats } from "./backends/backend.ts";
export { type AdapterReport, acquireAdapter, type DriverKind } from "./backends/webgpu/adapter.ts";
export type { MissingPiece } from "./backends/webgpu/adapter-missing.ts";
export {
  type BufferType,
  bufferType,
  type KernelCall,
  type KernelSource,
  type ParamType,
  u32Params,
} from "./backends/webgpu/kernel.ts";
export { type Captured, type CaptureOptions, capture } from "./capture/capture.ts";
export { checkpoint } from "./checkpoint.ts";
export { mean, std, stopGradient, type VarianceOptions, variance } from "./composed.ts";
export { arange, type CreateOptions, full, type Nested, ones, tensor, zeros } from "./create.ts";
export { type CustomContext, customVjp, type InputGradients, type UpstreamGradients } from "./custom-vjp.ts";
export { debug } from "./debug.ts";
export {
  type Device,
  type DeviceReport,
  defaultDevice,
  type MemoryReport,
  setDefaultDevice,
} from "./device.ts";
export type { DType, TypedArray } from "./dtype.ts";
export * from "./errors.ts";
export { type GradcheckOptions, gradcheck } from "./gradcheck.ts";
export { narrowBf16, narrowF16, widenBf16, widenF16 } from "./half.ts";
export { createDevice, type InitOptions, init } from "./init.ts";
export { derived, LiveScalar, live, onReplay, valueOf } from "./live.ts";
export { type CrossEntropyOptions, crossEntropy, klDivergence } from "./losses.ts";
export {
  apply,
  applyAll,
  type Gradients,
  type HostView,
  type Op,
  type Spec,
  type VjpContext,
} from "./op.ts";
export { gelu, logSigmoid, relu, sigmoid, silu, softplus } from "./ops/activations.ts";
export { type ArgOptions, argmax, argmin } from "./ops/argmax.ts";
export {
  abs,
  add,
  div,
  maximum,
  minimum,
  mul,
  neg,
  reciprocal,
  sign,
  square,
  sub,
} from "./ops/arithmetic.ts";
export { attention } from "./ops/attention.ts";
export { type AttentionSpans, attentionSpans, type SpanOptions } from "./ops/attention-spans.ts";
export { cast } from "./ops/cast.ts";
export { clamp } from "./ops/clamp.ts";
export { concat } from "./ops/concat.ts";
export { dropout } from "./ops/dropout.ts";
export {
  type Domain,
  type ElementwiseDefinition,
  type ElementwiseOp,
  elementwise,
  type Operand,
} from "./ops/elementwise.ts";
export { gather, scatterAdd } from "./ops/gather.ts";
export { embedding, indexAdd, take } from "./ops/indexing.ts";
export { type AdamWSettings, type AdamWState, adamWStep, assignRows } from "./ops/inplace.ts";
export { type LinearLogProbOptions, linearLogProb } from "./ops/linear-logprob.ts";
export {
  equal,
  greater,
  greaterEqual,
  isFinite,
  isNan,
  less,
  lessEqual,
  logicalAnd,
  logicalNot,
  logicalOr,
  logicalXor,
  maskedFill,
  notEqual,
  where,
} from "./ops/logic.ts";
export { entropy, logProbGather } from "./ops/logprob.ts";
export { erf, exp, expm1, log, log1p, pow, rsqrt, sqrt, tanh } from "./ops/math.ts";
export { linear, type MatmulOptions, matmul } from "./ops/matmul.ts";
export {
  expand,
  permute,
  reshape,
  slice,
  squeeze,
  transpose,
  unsqueeze,
} from "./ops/movement.ts";
export { layerNorm, type NormOptions, rmsNorm } from "./ops/norm.ts";
export { oneHot } from "./ops/one-hot.ts";
export {
  foldIn,
  type Key,
  key,
  randomBits,
  randomNormal,
  randomPermutation,
  randomUniform,
} from "./ops/random.ts";
export { flip, type Padding, pad, repeat, split, stack } from "./ops/rearrange.ts";
export { all, any, max, min, type ReduceOptions, sum } from "./ops/reduce.ts";
export { rope } from "./ops/rope.ts";
export { ceil, floor, floorDiv, remainder, round } from "./ops/rounding.ts";
export { randomCategorical, type SampleOptions, sampleTogether, sampleTokens } from "./ops/sampling.ts";
export { cumsum, type ScanOptions } from "./ops/scan.ts";
export { type SgdSettings, type SgdState, sgdStep } from "./ops/sgd.ts";
export { logSoftmax, logSumExp, softmax } from "./ops/softmax.ts";
export { type TopkOptions, topk } from "./ops/topk.ts";
export { cos, sin } from "./ops/trigonometry.ts";
export { type PlannedTensor, type PlanningDevice, planningDevice } from "./planning.ts";
export { scope } from "./scope.ts";
export type { Shape } from "./shape.ts";
export { Tensor } from "./tensor.ts";
export type { MapTree, OutputGradients, Tree } from "./tree.ts";
export {
  chooseVariants,
  type KernelVariant,
  type KernelVariants,
  kernelVariants,
  variantsOf,
  variantsVersion,
} from "./variants.ts";
