/**
 * Batched matrix product. Transposed operands are read through their strides, never copied. Kernels: each invocation
 * computes a tile in registers; where both operands allow it (their contiguous dimension a multiple of 4), loads
 * are vec4. No shared memory: its barriers are slow on software adapters.
 */
import { requireOptions, requireTensors } from "../arguments.ts";
import { type BufferType, bufferType, type KernelCall, u32Params } from "../backends/webgpu/kernel.ts";
import { computeType, isFloat } from "../dtype.ts";
import { DTypeError, ShapeError } from "../errors.ts";
import { apply, type Op } from "../op.ts";
import { scope } from "../scope.ts";
import { broadcastShapes, broadcastStrides, formatShape, formatSpec, type Shape, sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { add } from "./arithmetic.ts";
import { cast } from "./cast.ts";
import { kernelText, type Layout } from "./matmul-wgsl.ts";
import { expand, reshape, squeeze, transpose, unsqueeze } from "./movement.ts";
import { reduceCall, sumKernel } from "./reduce.ts";

const leading = (shape: Shape) => shape.slice(0, -2);
const batchNames = ["the batch of a", "the batch of b"];

/**
 * y[…, m, n] = Σₖ a[…, m, k]·b[…, k, n], leading dimensions broadcast;  da = dy·bᵀ, db = aᵀ·dy, summed over broadcast
 * dimensions
 */
export const matmulOp: Op<null> = {
  name: "matmul",
  strided: true,
  half: true,
  infer([a, b]) {
    if (a.dtype !== b.dtype || !isFloat(a.dtype)) {
      throw new DTypeError(
        `matmul: a is ${formatSpec(a)}, b is ${formatSpec(b)}; expected two f32, two f64 or two f16. Convert: cast(${isFloat(a.dtype) ? "b" : "a"}, "${isFloat(a.dtype) ? a.dtype : isFloat(b.dtype) ? b.dtype : "f32"}").`,
      );
    }
    const [m, k] = a.shape.slice(-2);
    const [k2, n] = b.shape.slice(-2);
    if (k !== k2) {
      throw new ShapeError(
        `matmul: inner dimensions differ: a is ${formatSpec(a)}, b is ${formatSpec(b)}; expected a's last (${k}) = b's second last (${k2}). ` +
          (k === n
            ? "Transpose one: matmul(a, b, { transposeB: true })."
            : m === k2
              ? "Transpose one: matmul(a, b, { transposeA: true })."
              : `Reshape one, for example matmul(a, reshape(b, [${k}, -1])).`),
      );
    }
    return [
      {
        shape: [...broadcastShapes("matmul", [leading(a.shape), leading(b.shape)], batchNames), m, n],
        dtype: a.dtype,
      },
    ];
  },
  cpu([a, b], [out]) {
    const [m, k] = a.shape.slice(-2);
    const n = b.shape[b.shape.length - 1];
    const [am, ak] = a.strides.slice(-2);
    const [bk, bn] = b.strides.slice(-2);
    const batch = leading(out.shape);
    const batches = sizeOf(batch);
    const offsets = batchOffsets(batch, [a, b]);
    const row = new Float64Array(n);
    for (let s = 0; s < batches; s++) {
      for (let i = 0; i < m; i++) {
        row.fill(0);
        for (let l = 0; l < k; l++) {
          const av = a.data[a.offset + offsets[0][s] + i * am + l * ak];
          const at = b.offset + offsets[1][s] + l * bk;
          for (let j = 0; j < n; j++) row[j] += av * b.data[at + j * bn];
        }
        out.data.set(row, (s * m + i) * n);
      }
    }
  },
  webgpu([a, b], [out]) {
    return matmulCalls(a, b, out);
  },
  vjp({ inputs: [a, b], needs }, [dy]) {
    if (!dy) return [null, null];
    return [needs[0] ? batched(dy, transpose(b)) : null, needs[1] ? batched(transpose(a), dy) : null];
  },
};

/** The same of two f16, not rounded to f16: y is f32, in which it is added up. Its upstream gradient is rounded instead. */
const wideMatmulOp: Op<null> = {
  ...matmulOp,
  name: "wideMatmul",
  infer(inputs, attrs) {
    return matmulOp.infer(inputs, attrs).map(({ shape, dtype }) => ({ shape, dtype: computeType(dtype) }));
  },
  vjp({ inputs: [a, b], needs }, [dy]) {
    if (!dy) return [null, null];
    const rounded = cast(dy, a.dtype);
    return [
      needs[0] ? batched(rounded, transpose(b)) : null,
      needs[1] ? batched(transpose(a), rounded) : null,
    ];
  },
};

/** Where each batch entry of each operand begins, relative to its offset. */
function batchOffsets(batch: Shape, operands: readonly { shape: Shape; strides: Shape }[]): number[][] {
  const total = sizeOf(batch);
  return operands.map((x) => {
    const strides = broadcastStrides(leading(x.shape), leading(x.strides), batch);
    return Array.from({ length: total }, (_, s) => {
      let rest = s;
      let at = 0;
      for (let d = batch.length - 1; d >= 0; d--) {
        at += (rest % batch[d]) * strides[d];
        rest = Math.floor(rest / batch[d]);
      }
      return at;
    });
  });
}

function layoutOf(x: Tensor, outerAxis: number, innerAxis: number, batchStrides: Shape): Layout {
  const fits = (contiguous: number, other: number) =>
    x.strides[contiguous] === 1 &&
    x.shape[contiguous] % 4 === 0 &&
    x.strides[other] % 4 === 0 &&
    x.offset % 4 === 0 &&
    batchStrides.every((s) => s % 4 === 0);
  if (fits(innerAxis, outerAxis)) return "inner";
  if (fits(outerAxis, innerAxis)) return "outer";
  return "scalar";
}

/** Strides of the leading dimensions, merged to one; null if they do not walk in even steps. */
function batchStride(x: Tensor, batch: Shape): number | null {
  const strides = broadcastStrides(leading(x.shape), leading(x.strides), batch);
  let step: number | null = null;
  let size = 1;
  for (let d = batch.length - 1; d >= 0; d--) {
    if (batch[d] === 1) continue;
    if (step === null) step = strides[d];
    else if (strides[d] !== step * size) return null;
    size *= batch[d];
  }
  return step ?? 0;
}

/**
 * Rows and columns of the tile that one invocation computes, by the layouts of a and b. Larger tiles load less per
 * multiply-add; past these sizes registers spill (docs/log.md).
 */
const tileSizes: Readonly<Record<string, readonly [number, number]>> = {
  "inner:inner": [8, 8],
  "inner:outer": [8, 8],
  "outer:inner": [4, 4],
  "outer:outer": [8, 8],
  "scalar:scalar": [4, 4],
};

/** Inner products longer than this are cut into parts of it, summed afterwards: cache-sized pieces, more lanes at work. */
const chunkLength = 256;

function matmulCalls(a: Tensor, b: Tensor, out: Tensor): KernelCall[] {
  const k = a.shape[a.rank - 1];
  const parts = Math.ceil(k / chunkLength);
  if (parts < 4 || out.size > 2 ** 17 || sizeOf(leading(out.shape)) !== 1)
    return [matmulCall(a, b, out, k, 1)];
  const partial = a.device.empty([parts, out.size], computeType(out.dtype));
  const calls = [
    matmulCall(a, b, partial, chunkLength, parts, out),
    reduceCall(sumKernel, partial, out, [0], 1),
  ];
  partial.dispose();
  return calls;
}

/** One product, or with `parts` > 1 one product per chunk of k, stored one after another in `target`. */
function matmulCall(
  a: Tensor,
  b: Tensor,
  target: Tensor,
  chunk: number,
  parts: number,
  out = target,
): KernelCall {
  const batch = leading(out.shape);
  const [m, n] = out.shape.slice(-2);
  const k = a.shape[a.rank - 1];
  const [sa, sb] = [batchStride(a, batch), batchStride(b, batch)];
  if (sa === null || sb === null) {
    throw new ShapeError(
      `matmul: a is ${formatShape(a.shape)}, b is ${formatShape(b.shape)}; expected leading axes in even steps, one is a view with others. ` +
        "Copy it: reshape(a, a.shape).",
    );
  }
  let la = layoutOf(a, a.rank - 2, a.rank - 1, [sa]);
  let lb = layoutOf(b, b.rank - 1, b.rank - 2, [sb]);
  // Vector loads need both sides: tiles advance by 4 along k as soon as one operand is read along k.
  if (la === "scalar" || lb === "scalar" || ((la === "inner" || lb === "inner") && k % 4 !== 0))
    la = lb = "scalar";
  const element = a.dtype === "f16" ? "f16" : "f32";
  const type: BufferType = la === "scalar" ? element : `vec4<${element}>`;
  const [tileM, tileN] = tileSizes[`${la}:${lb}`];
  const tiles = [Math.ceil(m / tileM), Math.ceil(n / tileN)];
  const [am, ak] = a.strides.slice(-2);
  const [bk, bn] = b.strides.slice(-2);
  const split = parts > 1;
  return {
    key: `matmul:${la}:${lb}:${a.dtype}>${target.dtype}`,
    source: () => ({
      buffers: [
        { name: "a", type },
        { name: "b", type },
        { name: "out", type: bufferType(target.dtype), write: true },
      ],
      params: u32Params(..."m n k chunk tilesN tiles offsetA offsetB batchA batchB am ak bk bn".split(" ")),
      main: kernelText(la, lb, tileM, tileN, target.dtype),
    }),
    buffers: [a, b, target],
    params: [
      ...[m, n, k, chunk, tiles[1], tiles[0] * tiles[1], a.offset, b.offset],
      // A part starts where its chunk of k does; the parts take the place of the batch.
      ...(split ? [chunk * ak, chunk * bk] : [sa, sb]),
      ...[am, ak, bk, bn],
    ],
    count: (split ? parts : sizeOf(batch)) * tiles[0] * tiles[1],
  };
}

/**
 * Whether to read an operand transposed, at no cost (a vector stays as it is), and whether to round the result.
 *
 * @example
 * ```ts
 * const options: MatmulOptions = { transposeB: true };
 * matmul(zeros([2, 3]), zeros([4, 3]), options); // → f32[2, 4]
 * ```
 */
export interface MatmulOptions {
  transposeA?: boolean;
  transposeB?: boolean;
  /** Gives the product of two f16 as f32, in which it is added up, instead of rounding it; changes nothing for others. */
  wide?: boolean;
}

/**
 * Matrix product y[…, m, n] = Σₖ a[…, m, k]·b[…, k, n]; leading axes broadcast. A vector counts as one row (a) or one
 * column (b), and that axis is dropped from the result, as in NumPy and PyTorch.
 *
 * @throws ShapeError if the inner sizes differ, the batches do not broadcast, or an operand is a scalar; DTypeError for
 * integers, bools or two dtypes.
 * @example
 * ```ts
 * await matmul(tensor([[1, 2]]), tensor([[3], [4]])).data(); // → [11]
 * matmul(zeros([5, 2, 3]), zeros([3, 4])); // → f32[5, 2, 4]
 * matmul(zeros([2, 3]), zeros([3])); // → f32[2]
 * matmul(zeros([2, 3]), zeros([2, 3])); // → throws ShapeError
 * ```
 */
export function matmul(a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor {
  requireTensors("matmul", ["a", "b"], [a, b]);
  requireOptions("matmul", options, ["transposeA", "transposeB", "wide"]);
  if (a.rank === 0 || b.rank === 0) {
    throw new ShapeError(
      `matmul: a is ${formatSpec(a)}, b is ${formatSpec(b)}; expected at least one axis each. Multiply by a scalar with mul(a, b).`,
    );
  }
  return scope(() => product(a, b, options));
}

function product(a: Tensor, b: Tensor, options: MatmulOptions): Tensor {
  const left = a.rank === 1 ? unsqueeze(a, 0) : options.transposeA ? transpose(a) : a;
  const right = b.rank === 1 ? unsqueeze(b, 1) : options.transposeB ? transpose(b) : b;
  const op = options.wide && a.dtype === "f16" ? wideMatmulOp : matmulOp;
  // Many rows times one matrix is one product: fold the leading dimensions into the rows.
  if (right.rank === 2 && left.rank > 2 && left.contiguous) {
    const rows = sizeOf(left.shape.slice(0, -1));
    const y = apply(op, [reshape(left, [rows, left.shape[left.rank - 1]]), right], null);
    const shaped = reshape(y, [...left.shape.slice(0, -1), right.shape[1]]);
    return b.rank === 1 ? squeeze(shaped, -1) : shaped;
  }
  const y = batched(left, right, op);
  const rows = a.rank === 1 ? squeeze(y, -2) : y;
  return b.rank === 1 ? squeeze(rows, -1) : rows;
}

/** The product of two operands of at least two dimensions. */
function batched(a: Tensor, b: Tensor, op = matmulOp): Tensor {
  if (a.rank <= 3 && b.rank <= 3) return apply(op, [a, b], null);
  // Uneven broadcasting over several leading dimensions is made explicit, then copied to walk evenly.
  const batch = broadcastShapes("matmul", [leading(a.shape), leading(b.shape)], batchNames);
  return apply(op, [evenly(a, batch), evenly(b, batch)], null);
}

function evenly(x: Tensor, batch: Shape): Tensor {
  const wide = expand(x, [...batch, ...x.shape.slice(-2)]);
  return batchStride(wide, batch) === null ? reshape(wide, wide.shape) : wide;
}

/**
 * y = x·weightᵀ + bias: x [..., in], weight [out, in], bias [out] → [..., out], the layout of PyTorch's `Linear`.
 *
 * @throws ShapeError if `in` or `out` differ; DTypeError for integers, bools or two dtypes.
 * @example
 * ```ts
 * await linear(tensor([[1, 2]]), tensor([[3, 4], [5, 6]]), tensor([0, 1])).data(); // → [11, 18]
 * linear(zeros([2, 3]), zeros([3, 4])); // → throws ShapeError
 * ```
 */
export function linear(x: Tensor, weight: Tensor, bias?: Tensor): Tensor {
  requireTensors("linear", ["x", "weight", "bias"], bias === undefined ? [x, weight] : [x, weight, bias]);
  if (x.rank === 0 || weight.rank !== 2 || x.shape[x.rank - 1] !== weight.shape[1]) {
    throw new ShapeError(
      `linear: x is ${formatSpec(x)}, weight is ${formatSpec(weight)}; expected x [..., in] and weight [out, in]. ` +
        "Transpose a weight [in, out]: linear(x, transpose(weight)).",
    );
  }
  if (bias && (bias.rank !== 1 || bias.shape[0] !== weight.shape[0])) {
    throw new ShapeError(
      `linear: bias is ${formatSpec(bias)}, weight is ${formatSpec(weight)}; expected bias [${weight.shape[0]}]. Make one: zeros([${weight.shape[0]}]).`,
    );
  }
  return scope(() => {
    const y = matmul(x, weight, { transposeB: true });
    return bias ? add(y, bias) : y;
  });
}
