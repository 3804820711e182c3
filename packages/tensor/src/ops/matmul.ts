/**
 * Batched matrix product. Transposed operands are read through their strides, never copied. How kernels are
 * started is matmul-calls.ts.
 */
import { requireOptions, requireTensors } from "../arguments.ts";
import { computeType, isFloat } from "../dtype.ts";
import { DTypeError, ShapeError } from "../errors.ts";
import { apply, type Op } from "../op.ts";
import { scope } from "../scope.ts";
import { broadcastShapes, broadcastStrides, formatSpec, type Shape, sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { add } from "./arithmetic.ts";
import { cast } from "./cast.ts";
import { batchStride, matmulCalls } from "./matmul-calls.ts";
import { expand, reshape, squeeze, transpose, unsqueeze } from "./movement.ts";

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
        out.data.set(row, out.offset + (s * m + i) * n);
      }
    }
  },
  webgpu([a, b], [out]) {
    return matmulCalls(a, b, out);
  },
  vjp({ inputs: [a, b], needs }, [dy]) {
    if (!dy) return [null, null];
    return [needs[0] ? batched(dy, transpose(b)) : null, needs[1] ? slopeOfB(a, b, dy) : null];
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
    return [needs[0] ? batched(rounded, transpose(b)) : null, needs[1] ? slopeOfB(a, b, rounded) : null];
  },
};

/**
 * db = aᵀ·dy. Where b is a matrix read transposed, dbᵀ = dyᵀ·a is computed: that is the gradient of the matrix as it lies in
 * memory, which need not be copied into that order.
 */
function slopeOfB(a: Tensor, b: Tensor, dy: Tensor): Tensor {
  const [inner, outer] = b.strides.slice(-2);
  return inner === 1 && outer > 1 ? transpose(batched(transpose(dy), a)) : batched(transpose(a), dy);
}

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
