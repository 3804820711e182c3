/**
 * Rotary position embedding (arXiv 2104.09864) in the "rotate half" layout of Hugging Face: dimension i pairs with
 * i + D/2, angle = position · frequency[i], where frequency[i] = theta^(−2i/D) unless a table of them is given (models
 * that stretch their context scale some of them). The function is pure; recordings turn in place where they can
 * (capture/in-place.ts).
 */
import { requireOptions } from "../arguments.ts";
import { type KernelCall, u32Params } from "../backends/webgpu/kernel.ts";
import { computeType } from "../dtype.ts";
import { DTypeError, ShapeError, ValueError } from "../errors.ts";
import { apply, type Op } from "../op.ts";
import { formatShape, formatSpec, sameShape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { mul, neg, sub } from "./arithmetic.ts";
import { cast } from "./cast.ts";
import { reshape, slice } from "./movement.ts";
import { sum } from "./reduce.ts";
import { requireFloat } from "./softmax.ts";
import { sinCosWgsl } from "./trigonometry.ts";

interface RopeAttrs {
  /** Base of the frequencies; not used where they are an input. */
  theta: number;
  /** 1 rotates forward, −1 back (the derivative). */
  sign: number;
}

/**
 * y = R(angle)·x for each pair of dimensions;  dx = R(−angle)·dy.
 * With frequencies as third input, angle = position·frequency: ∂y/∂angle = (−y₂, y₁) for the pair (y₁, y₂), so
 *
 *   dfrequency[i] = sign · Σ over tokens, heads of position · (dy₂·y₁ − dy₁·y₂)
 */
export const ropeOp: Op<RopeAttrs> = {
  name: "rope",
  arguments: ["x", "positions", "frequencies"],
  infer([x, positions, frequencies]) {
    requireFloat("rope", x);
    if (positions.dtype !== "i32")
      throw new DTypeError(
        `rope: positions is ${formatSpec(positions)}, expected i32. Convert it: cast(positions, "i32").`,
      );
    if (x.shape.length !== 3 || x.shape[2] % 2 !== 0 || !sameShape(positions.shape, [x.shape[0]])) {
      throw new ShapeError(
        `rope: x is ${formatShape(x.shape)}, positions is ${formatShape(positions.shape)}; expected x [N, H, D] with even D and positions [N]. ` +
          "Fold other axes into N: reshape(x, [-1, heads, size]).",
      );
    }
    if (frequencies && !sameShape(frequencies.shape, [x.shape[2] / 2]))
      throw new ShapeError(
        `rope: frequencies is ${formatShape(frequencies.shape)}, x is ${formatShape(x.shape)}; expected one frequency per pair, [${x.shape[2] / 2}]. ` +
          `Take those of the pairs: slice(frequencies, [0], [${x.shape[2] / 2}]).`,
      );
    if (frequencies && frequencies.dtype !== x.dtype && frequencies.dtype !== computeType(x.dtype))
      throw new DTypeError(
        `rope: frequencies is ${formatSpec(frequencies)}, x is ${formatSpec(x)}; expected ${computeType(x.dtype)}. Convert it: cast(frequencies, "${computeType(x.dtype)}").`,
      );
    return [{ shape: x.shape, dtype: x.dtype }];
  },
  cpu([x, positions, frequencies], [y], { theta, sign }) {
    const [rows, heads, size] = x.shape;
    const half = size / 2;
    for (let t = 0; t < rows; t++) {
      for (let d = 0; d < half; d++) {
        const frequency = frequencies ? frequencies.data[frequencies.offset + d] : theta ** ((-2 * d) / size);
        const angle = positions.data[positions.offset + t] * frequency;
        const [c, s] = [Math.cos(angle), sign * Math.sin(angle)];
        for (let h = 0; h < heads; h++) {
          const i = (t * heads + h) * size + d;
          const [a, b] = [x.data[x.offset + i], x.data[x.offset + i + half]];
          y.data[y.offset + i] = a * c - b * s;
          y.data[y.offset + i + half] = b * c + a * s;
        }
      }
    }
  },
  webgpu: (inputs, [y], attrs) => [ropeCall(inputs, y, attrs)],
  vjp: ({ inputs: [, positions, frequencies], outputs: [y], attrs, needs }, [dy]) => {
    if (!dy) return [null, null, null];
    const back = frequencies ? [dy, positions, frequencies] : [dy, positions];
    const dx = needs[0] ? apply(ropeOp, back, { ...attrs, sign: -attrs.sign }) : null;
    if (!frequencies || !needs[2]) return [dx, null, null];
    return [dx, null, frequencyGradient(dy, y, positions, attrs.sign)];
  },
};

/**
 * One invocation turns a pair of all heads, or four pairs where they and the offsets are whole quads: the angle is computed
 * once for the heads. It reads a pair before it writes it, so `y` may be `x`.
 */
function ropeCall(
  [x, positions, frequencies]: readonly Tensor[],
  y: Tensor,
  { theta, sign }: RopeAttrs,
): KernelCall {
  const [tokens, heads, size] = x.shape;
  const half = size / 2;
  const table = frequencies !== undefined;
  const inPlace = x.storage === y.storage;
  const quads = [half, x.offset, y.offset].every((k) => k % 4 === 0);
  const width = quads ? 4 : 1;
  const type = quads ? ("vec4<f32>" as const) : ("f32" as const);
  const lanes = quads ? [0, 1, 2, 3] : [0];
  const all = (text: (lane: number) => string) =>
    quads ? `vec4<f32>(${lanes.map(text).join(", ")})` : text(0);
  const frequency = (lane: number) =>
    table ? `frequencies[p.offsetF + d + ${lane}u]` : `exp2(-f32(d + ${lane}u) / f32(p.half) * p.logTheta)`;
  return {
    key: `rope${table ? ":frequencies" : ""}${quads ? ":quad" : ""}${inPlace ? ":inPlace" : ""}`,
    source: () => ({
      buffers: [
        { name: "positions", type: "i32" },
        ...(table ? [{ name: "frequencies", type: "f32" as const }] : []),
        ...(inPlace ? [] : [{ name: "x", type }]),
        { name: "y", type, write: true },
      ],
      params: [
        ...u32Params("offset", "offsetP", "offsetY", "heads", "half"),
        ...(table ? u32Params("offsetF") : [{ name: "logTheta", type: "f32" as const }]),
        { name: "sign", type: "f32" },
      ],
      helpers: sinCosWgsl,
      main: `let steps = p.half / ${width}u;
let token = i / steps;
let d = i % steps * ${width}u;
let position = f32(positions[p.offsetP + token]);
${lanes.map((lane) => `let turn${lane} = sinCos(position * ${frequency(lane)});`).join("\n")}
let c = ${all((lane) => `turn${lane}.y`)};
let s = p.sign * ${all((lane) => `turn${lane}.x`)};
var at = token * p.heads * 2u * steps + i % steps;
for (var h = 0u; h < p.heads; h++) {
  let a = ${inPlace ? "y" : "x"}[p.offset + at];
  let b = ${inPlace ? "y" : "x"}[p.offset + at + steps];
  y[p.offsetY + at] = a * c - b * s;
  y[p.offsetY + at + steps] = b * c + a * s;
  at += 2u * steps;
}`,
    }),
    buffers: [positions, ...(table ? [frequencies] : []), ...(inPlace ? [] : [x]), y],
    params: [
      ...[x.offset / width, positions.offset, y.offset / width, heads, half],
      table ? frequencies.offset : Math.log2(theta),
      sign,
    ],
    count: (tokens * half) / width,
  };
}

/** Σ over tokens, heads of position · (dy₂·y₁ − dy₁·y₂), times the sign of the turn: [D/2] from dy and y [N, H, D]. */
function frequencyGradient(dy: Tensor, y: Tensor, positions: Tensor, sign: number): Tensor {
  const [rows, heads, size] = y.shape;
  const first = (t: Tensor) => slice(t, [0, 0, 0], [rows, heads, size / 2]); // [N, H, D/2]
  const second = (t: Tensor) => slice(t, [0, 0, size / 2], [rows, heads, size]);
  const perAngle = sub(mul(second(dy), first(y)), mul(first(dy), second(y)));
  const weighed = mul(perAngle, reshape(cast(positions, y.dtype), [rows, 1, 1]));
  const total = sum(weighed, { axes: [0, 1] });
  return sign === 1 ? total : neg(total);
}

/**
 * Rotary position embedding: turns each pair (xᵢ, xᵢ₊D/2) of x [N, H, D] by the angle position·frequencyᵢ in radians,
 * N packed tokens, H heads, D even (arXiv 2104.09864, in Hugging Face's "rotate half" layout). positions [N] are i32.
 *
 *   frequencyᵢ = theta^(−2i/D), or `frequencies`[i]
 *
 * `theta` is 1e4 by default (Qwen3 uses 1e6); `frequencies` [D/2] (f32; f64 for an f64 x) takes its place, for models that
 * scale them. The gradient flows to x and to `frequencies`.
 *
 * @throws ShapeError for other shapes or an odd D; DTypeError for positions that are not i32 or frequencies of another
 * dtype; ValueError for a theta that is not above 0, or both theta and frequencies.
 * @example
 * ```ts
 * const x = tensor([[[1, 0]], [[1, 0]]]); // [N 2, H 1, D 2]
 * const positions = tensor(Int32Array.of(0, 1));
 * await rope(x, positions).data(); // → [1, 0, 0.5403023, 0.841471]
 * await rope(x, positions, { frequencies: tensor([0.5]) }).data(); // → [1, 0, 0.8775826, 0.4794255]
 * rope(x, tensor([0, 1])); // → throws DTypeError
 * ```
 */
export function rope(
  x: Tensor,
  positions: Tensor,
  options: { theta?: number; frequencies?: Tensor } = {},
): Tensor {
  requireOptions("rope", options, ["theta", "frequencies"]);
  const { theta = 10000, frequencies } = options;
  if (frequencies !== undefined) {
    if (options.theta !== undefined)
      throw new ValueError(
        "rope: received theta and frequencies, expected one of them. Leave theta out: { frequencies }.",
      );
    return apply(ropeOp, [x, positions, frequencies], { theta, sign: 1 });
  }
  if (!(theta > 0 && theta < Number.POSITIVE_INFINITY))
    throw new ValueError(`rope: theta is ${theta}, expected a finite number above 0. Pass { theta: 10000 }.`);
  return apply(ropeOp, [x, positions], { theta, sign: 1 });
}
