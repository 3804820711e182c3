/**
 * Log-probability of chosen ids under the logits of a linear head, without the logits [M, V]: they are computed for a piece
 * of the vocabulary at a time, used, and forgotten, forward and backward. With a large vocabulary they would be most of a
 * training step's memory. logProbGather (logprob.ts) is the same for logits that exist.
 */
import { requireOptions, requireTensors } from "../arguments.ts";
import { vjp } from "../autodiff.ts";
import { type KernelCall, u32Params } from "../backends/webgpu/kernel.ts";
import { DTypeError, ShapeError, ValueError } from "../errors.ts";
import { applyAll, type HostView, type Op } from "../op.ts";
import { scope } from "../scope.ts";
import { formatShape, formatSpec, sameShape } from "../shape.ts";
import { Tensor } from "../tensor.ts";
import { composedLogProb } from "./logprob.ts";
import { matmul } from "./matmul.ts";
import { matmulCalls } from "./matmul-calls.ts";
import { requireFloat } from "./softmax.ts";

interface Attrs {
  temperature: number;
  /** Entries of the vocabulary whose logits exist at once. */
  chunk: number;
}

/** Also which gradients are wanted: of hidden, of weight. A frozen head needs none of its size. */
type BackwardAttrs = Attrs & { needs: readonly [boolean, boolean] };

/** y_i = x_id/T − ln Σⱼ e^(x_j/T) with x = hidden_i·weightᵀ, and that logarithm;  backward: linearLogProbBackwardOp */
const linearLogProbOp: Op<Attrs> = {
  name: "linearLogProb",
  arguments: ["hidden", "weight", "ids"],
  infer([hidden, weight, ids]) {
    requireFloat("linearLogProb", hidden, "hidden");
    if (weight.dtype !== hidden.dtype || ids.dtype !== "i32")
      throw new DTypeError(
        `linearLogProb: hidden is ${formatSpec(hidden)}, weight is ${formatSpec(weight)}, ids is ${formatSpec(ids)}; expected hidden and weight of ` +
          'one dtype, and ids i32. Convert: cast(ids, "i32").',
      );
    const [rows, width] = hidden.shape;
    const fits =
      hidden.shape.length === 2 &&
      weight.shape.length === 2 &&
      weight.shape[1] === width &&
      weight.shape[0] > 0;
    if (!fits || !sameShape(ids.shape, [rows]))
      throw new ShapeError(
        `linearLogProb: hidden is ${formatShape(hidden.shape)}, weight is ${formatShape(weight.shape)}, ids is ${formatShape(ids.shape)}; expected ` +
          "hidden [M, C], weight [V, C] with V > 0 and ids [M]. Fold other axes into M: reshape(hidden, [-1, C]).",
      );
    return [
      { shape: [rows], dtype: hidden.dtype },
      { shape: [rows], dtype: hidden.dtype },
    ];
  },
  cpu([hidden, weight, ids], [y, lse], { temperature }) {
    for (let i = 0; i < y.data.length; i++) {
      const x = logitsOf(hidden, weight, i, temperature);
      const top = x.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY);
      const total = Math.log(x.reduce((sum, value) => sum + Math.exp(value - top), 0));
      const id = ids.data[ids.offset + i];
      if (id < 0 || id >= x.length)
        throw new ValueError(
          `linearLogProb: ids holds ${id} at position ${i}, expected 0 … ${x.length - 1} for weight ${formatShape(weight.shape)}. ` +
            "Mask what does not count: where(mask, ids, 0).",
        );
      lse.data[i] = top + total;
      y.data[i] = x[id] - top - total;
    }
  },
  webgpu([hidden, weight, ids], [y, lse], { temperature, chunk }) {
    const [rows] = hidden.shape;
    const state = y.device.empty([rows, 2], "f32");
    const calls = overChunks(hidden, weight, chunk, (logits, _part, start, last) => [
      {
        key: "linearLogProb",
        source: () => ({
          buffers: [
            { name: "x", type: "f32" },
            { name: "ids", type: "i32" },
            { name: "state", type: "f32", write: true },
            { name: "y", type: "f32", write: true },
            { name: "lse", type: "f32", write: true },
          ],
          params: [...u32Params("offsetI", "n", "start", "last"), { name: "scale", type: "f32" }],
          main: `let x0 = i * p.n;
var top = x[x0] * p.scale;
for (var j = 1u; j < p.n; j++) { top = max(top, x[x0 + j] * p.scale); }
if (p.start > 0u) { top = max(top, state[2u * i]); }
var total = 0.0;
for (var j = 0u; j < p.n; j++) { total += exp(x[x0 + j] * p.scale - top); }
if (p.start > 0u) { total += state[2u * i + 1u] * exp(state[2u * i] - top); }
state[2u * i] = top;
state[2u * i + 1u] = total;
let id = u32(ids[p.offsetI + i]);
if (id >= p.start && id < p.start + p.n) { y[i] = x[x0 + id - p.start] * p.scale; }
if (p.last == 1u) {
  lse[i] = top + log(total);
  y[i] = y[i] - top - log(total);
}`,
        }),
        buffers: [logits, ids, state, y, lse],
        params: [ids.offset, logits.shape[1], start, last ? 1 : 0, 1 / temperature],
        count: rows,
      },
    ]);
    state.dispose();
    return calls;
  },
  vjp({ inputs: [hidden, weight, ids], outputs: [, lse], attrs, needs: [first, second] }, [dy]) {
    if (!dy || !(first || second)) return [null, null, null];
    const wanted: BackwardAttrs = { ...attrs, needs: [first, second] };
    const [dh, dw] = byNeed(
      applyAll(linearLogProbBackwardOp, [hidden, weight, ids, lse, dy], wanted),
      wanted,
    );
    return [dh ?? null, dw ?? null, null];
  },
};

/**
 * With g_ij = dy_i/T·(onehot(id_i)_j − e^(x_ij/T − lse_i)): dhidden = g·weight, dweight = gᵀ·hidden, the logits computed again.
 * Differentiated again through the composed definition.
 */
const linearLogProbBackwardOp: Op<BackwardAttrs> = {
  name: "linearLogProbBackward",
  infer: ([hidden, weight], { needs }) =>
    [hidden, weight].filter((_, k) => needs[k]).map(({ shape, dtype }) => ({ shape, dtype })),
  cpu([hidden, weight, ids, lse, dy], outputs, attrs) {
    const { temperature } = attrs;
    const [dh, dw] = byNeed(outputs, attrs);
    const [rows, width] = hidden.shape;
    for (let i = 0; i < rows; i++) {
      const x = logitsOf(hidden, weight, i, temperature);
      const scale = dy.data[dy.offset + i] / temperature;
      const id = ids.data[ids.offset + i];
      x.forEach((value, j) => {
        const g = scale * ((j === id ? 1 : 0) - Math.exp(value - lse.data[lse.offset + i]));
        for (let d = 0; d < width; d++) {
          if (dh) dh.data[i * width + d] += g * weight.data[weight.offset + j * width + d];
          if (dw) dw.data[j * width + d] += g * hidden.data[hidden.offset + i * width + d];
        }
      });
    }
  },
  webgpu([hidden, weight, ids, lse, dy], outputs, attrs) {
    const { temperature, chunk } = attrs;
    const [dh, dw] = byNeed(outputs, attrs);
    const { device } = hidden;
    const [rows, width] = hidden.shape;
    const sum = device.empty(hidden.shape, "f32");
    const own = device.empty([Math.min(chunk, weight.shape[0]), width], "f32");
    const calls = overChunks(hidden, weight, chunk, (logits, part, start) => {
      const n = logits.shape[1];
      const slope: KernelCall = {
        key: "linearLogProbSlope",
        source: () => ({
          buffers: [
            { name: "x", type: "f32", write: true },
            { name: "ids", type: "i32" },
            { name: "lse", type: "f32" },
            { name: "dy", type: "f32" },
          ],
          params: [
            ...u32Params("offsetI", "offsetL", "offsetD", "n", "start"),
            { name: "scale", type: "f32" },
          ],
          main: `let row = i / p.n;
let hit = select(0.0, 1.0, u32(ids[p.offsetI + row]) == p.start + i % p.n);
x[i] = dy[p.offsetD + row] * p.scale * (hit - exp(x[i] * p.scale - lse[p.offsetL + row]));`,
        }),
        buffers: [logits, ids, lse, dy],
        params: [ids.offset, lse.offset, dy.offset, n, start, 1 / temperature],
        count: rows * n,
      };
      const turned = new Tensor(logits.storage, [n, rows], [1, n]);
      const window = new Tensor(own.storage, [n, width]);
      const made = [
        slope,
        ...(dh ? matmulCalls(logits, part, start === 0 ? dh : sum) : []),
        ...(dh && start > 0 ? [addInto(sum, dh)] : []),
        ...(dw ? [...matmulCalls(turned, hidden, window), copyRows(window, dw, start * width)] : []),
      ];
      turned.dispose();
      window.dispose();
      return made;
    });
    for (const x of [sum, own]) x.dispose();
    return calls;
  },
  vjp({ inputs: [hidden, weight, ids, , dy], attrs }, dys) {
    const backward = (hidden: Tensor, weight: Tensor, dy: Tensor): readonly Tensor[] =>
      vjp(
        (hidden, weight) => [
          composedLogProb(matmul(hidden, weight, { transposeB: true }), ids, attrs.temperature),
        ],
        [hidden, weight],
        [dy],
      ).grads.filter((_, k) => attrs.needs[k]);
    const [gh, gw, gdy] = vjp(backward, [hidden, weight, dy], dys).grads;
    return [gh, gw, null, null, gdy];
  },
};

/** The outputs of the backward record at the places of hidden and weight. */
function byNeed<T>(outputs: readonly T[], { needs: [first, second] }: BackwardAttrs): [T?, T?] {
  return [first ? outputs[0] : undefined, second ? outputs[first ? 1 : 0] : undefined];
}

/** Row i of hidden·weightᵀ/T, in doubles. */
function logitsOf(hidden: HostView, weight: HostView, i: number, temperature: number): Float64Array {
  const [vocabulary, width] = weight.shape;
  return Float64Array.from({ length: vocabulary }, (_, j) => {
    let sum = 0;
    for (let d = 0; d < width; d++)
      sum += hidden.data[hidden.offset + i * width + d] * weight.data[weight.offset + j * width + d];
    return sum / temperature;
  });
}

/** The starts that compute each piece's logits [M, n] into one buffer, each followed by those that `use` it. */
function overChunks(
  hidden: Tensor,
  weight: Tensor,
  chunk: number,
  use: (logits: Tensor, part: Tensor, start: number, last: boolean) => readonly KernelCall[],
): KernelCall[] {
  const [rows, width] = hidden.shape;
  const [vocabulary] = weight.shape;
  const buffer = hidden.device.empty([rows, Math.min(chunk, vocabulary)], "f32");
  const calls: KernelCall[] = [];
  for (let start = 0; start < vocabulary; start += chunk) {
    const n = Math.min(chunk, vocabulary - start);
    const at = weight.offset + start * width;
    const part = new Tensor(weight.storage, [n, width], [width, 1], at);
    const turned = new Tensor(weight.storage, [width, n], [1, width], at);
    const logits = new Tensor(buffer.storage, [rows, n]);
    calls.push(...matmulCalls(hidden, turned, logits), ...use(logits, part, start, start + n === vocabulary));
    for (const x of [part, turned, logits]) x.dispose();
  }
  buffer.dispose();
  return calls;
}

/** y += x, all of both. */
function addInto(x: Tensor, y: Tensor): KernelCall {
  return {
    key: "linearLogProbAdd",
    source: () => ({
      buffers: [
        { name: "x", type: "f32" },
        { name: "y", type: "f32", write: true },
      ],
      params: [],
      main: "y[i] += x[i];",
    }),
    buffers: [x, y],
    params: [],
    count: x.size,
  };
}

/** y[offset …] = x. */
function copyRows(x: Tensor, y: Tensor, offset: number): KernelCall {
  return {
    key: "linearLogProbRows",
    source: () => ({
      buffers: [
        { name: "x", type: "f32" },
        { name: "y", type: "f32", write: true },
      ],
      params: u32Params("offset"),
      main: "y[p.offset + i] = x[i];",
    }),
    buffers: [x, y],
    params: [offset],
    count: x.size,
  };
}

/** Logits that exist at once by default: 16 MiB of f32. */
const logitsAtOnce = 2 ** 22;

/**
 * Options of `linearLogProb`.
 *
 * @example
 * ```ts
 * const options: LinearLogProbOptions = { temperature: 0.7, chunk: 4096 }; // → { temperature: 0.7, chunk: 4096 }
 * ```
 */
export interface LinearLogProbOptions {
  /** Divides the logits; default 1. */
  temperature?: number;
  /** Entries of the vocabulary whose logits exist at once; by default so many that they take at most 16 MiB. */
  chunk?: number;
}

/**
 * ln softmax(hidden·weightᵀ/temperature)[id], in nats: hidden [M, C], weight [V, C], ids [M] i32 → [M]. The same as
 * `logProbGather(linear(hidden, weight), ids)`, but of the logits [M, V] only `chunk` columns exist at a time, also for the
 * gradient, which computes them again.
 *
 * NOTE: an id outside [0, V) is an error on the cpu device and not checked on webgpu.
 *
 * @throws ShapeError for other shapes; DTypeError for ids that are not i32 or two dtypes; ValueError for a temperature that is
 * not above 0, a chunk below 1, or an id outside [0, V) on cpu.
 * @example
 * ```ts
 * const [hidden, weight] = [tensor([[1]]), tensor([[0], [Math.log(3)]])]; // [M 1, C 1], [V 2, C 1]
 * await linearLogProb(hidden, weight, tensor(Int32Array.of(1)), { chunk: 1 }).data(); // → [-0.2876821]
 * linearLogProb(hidden, weight, tensor(Int32Array.of(2))); // → throws ValueError
 * ```
 */
export function linearLogProb(
  hidden: Tensor,
  weight: Tensor,
  ids: Tensor,
  options: LinearLogProbOptions = {},
): Tensor {
  requireTensors("linearLogProb", ["hidden", "weight", "ids"], [hidden, weight, ids]);
  requireOptions("linearLogProb", options, ["temperature", "chunk"]);
  const { temperature = 1 } = options;
  if (!(temperature > 0 && temperature < Number.POSITIVE_INFINITY))
    throw new ValueError(
      `linearLogProb: temperature is ${temperature}, expected a finite number above 0. Pass { temperature: 1 }.`,
    );
  const chunk =
    options.chunk ?? Math.max(64, Math.floor(logitsAtOnce / Math.max(1, hidden.shape[0]) / 64) * 64);
  if (!(Number.isInteger(chunk) && chunk > 0))
    throw new ValueError(
      `linearLogProb: chunk is ${options.chunk}, expected a whole number of at least 1. Leave it out for a default.`,
    );
  return scope(() => applyAll(linearLogProbOp, [hidden, weight, ids], { temperature, chunk })[0]);
}
