/**
 * Public names whose checked example is still to be written. Take yours off when it is done; the list only shrinks.
 */
const names = {
  tensor: `
    AutodiffError AxisError DTypeError DeviceError DisposedError OutOfMemoryError PactError
    ShapeError Tensor ValueError abs acquireAdapter adamWStep add arange argmax assignRows attention
    attentionSpans cast clamp concat cos createDevice crossEntropy defaultDevice div embedding
    entropy equal erf exp expand expm1 floor foldIn full gather gelu grad gradcheck greater
    greaterEqual indexAdd init key layerNorm less lessEqual linear log log1p logProbGather
    logSigmoid logSoftmax logSumExp logicalAnd logicalNot logicalOr maskedFill matmul max maximum
    mean min minimum mul neg notEqual ones pad permute pow randomBits randomNormal randomUniform
    reciprocal relu reshape rmsNorm rope rsqrt sampleTokens scatterAdd scope setDefaultDevice
    sigmoid sign silu sin slice softmax softplus sqrt square squeeze stack stopGradient sub sum take
    tanh tensor transpose unsqueeze valueAndGrad vjp where zeros`,
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
