/**
 * Public names whose checked example is still to be written. Take yours off when it is done; the list only shrinks.
 */
const names = {
  tensor: `
    AutodiffError AxisError DTypeError DeviceError DisposedError OutOfMemoryError PactError
    ShapeError Tensor ValueError acquireAdapter adamWStep assignRows attention attentionSpans
    cos createDevice defaultDevice entropy erf exp expm1 gelu grad gradcheck init layerNorm
    linear log log1p logProbGather logSigmoid logSoftmax logSumExp matmul pow relu rmsNorm rope
    rsqrt scope setDefaultDevice sigmoid silu sin softmax softplus sqrt tanh valueAndGrad vjp`,
  nn: `
    readSafetensors readSafetensorsMetadata writeSafetensors`,
};

/** The names as `package: name`. */
export const pending: ReadonlySet<string> = new Set(
  Object.entries(names).flatMap(([pkg, list]) =>
    list
      .trim()
      .split(/\s+/)
      .map((name) => `${pkg}: ${name}`),
  ),
);
