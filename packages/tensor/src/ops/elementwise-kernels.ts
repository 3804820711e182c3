/**
 * The kernels of elementwise operations. Three serve every layout. `flat`: each operand is contiguous and its elements
 * repeat with a period (its own size: all of it, a bias row, one scalar); `quad`: the same, four elements at once.
 * `strided`: anything else, after merging dimensions.
 */
import {
  type BufferType,
  bufferType,
  type KernelCall,
  type KernelSource,
  u32Params,
} from "../backends/webgpu/kernel.ts";
import { computeType, type DType } from "../dtype.ts";
import { broadcastStrides, coalesce, type Shape, stridesOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { coordinates } from "../walk.ts";
import type { ElementwiseDefinition } from "./elementwise.ts";

/** True if reading `x` at (flat index modulo its size) gives the broadcast value. */
function isPeriodic(x: Tensor, shape: Shape): boolean {
  if (!x.contiguous) return false;
  let lead = 0;
  while (lead < x.shape.length && x.shape[lead] === 1) lead++;
  const own = x.shape.slice(lead);
  return own.every((d, j) => d === shape[shape.length - own.length + j]);
}

/** WGSL that reads operand `k` of `dtype` at `index`. */
function load(k: number, dtype: DType, index: string): string {
  const element = `x${k}[${index}]`;
  if (dtype === "bool") return `(${element} != 0u)`;
  return dtype === "f16" ? `f32(${element})` : element;
}

/** WGSL that turns a computed value into an element of `dtype`. */
function store(dtype: DType, value: string): string {
  if (dtype === "bool") return `select(0u, 1u, ${value})`;
  return dtype === "f16" ? `f16(${value})` : value;
}

/** One call of an elementwise operation. Its text is put together only when a pipeline is built. */
interface Call<A> {
  readonly definition: ElementwiseDefinition<A>;
  readonly inputs: readonly Tensor[];
  readonly out: Tensor;
  readonly attrs: A;
  /** Key without the layout class. */
  readonly stem: string;
  /** Values of the definition's own parameters. */
  readonly more: readonly number[];
}

const none: readonly number[] = [];

/** The kernel that runs a definition on operands of their layouts. */
export function elementwiseCall<A>(
  definition: ElementwiseDefinition<A>,
  inputs: readonly Tensor[],
  out: Tensor,
  attrs: A,
): KernelCall {
  let types = "";
  for (const x of inputs) types += types === "" ? x.dtype : `,${x.dtype}`;
  const stem = `${definition.name}${definition.variant?.(attrs) ?? ""}:${types}>${out.dtype}`;
  const more = definition.params?.values(attrs) ?? none;
  const call: Call<A> = { definition, inputs, out, attrs, stem, more };
  for (const x of inputs) if (!isPeriodic(x, out.shape)) return stridedCall(call);
  return isQuad(call) ? quadCall(call) : flatCall(call);
}

/** WGSL of the result from the operands' values `v0`, `v1`, …. */
function valueText<A>({ definition, inputs, attrs }: Call<A>): string {
  const names = inputs.map((_, k) => `v${k}`);
  return definition.wgsl(names, attrs, computeType(inputs[inputs.length - 1].dtype));
}

/** Buffers of an element each. */
function buffersOf<A>({ inputs, out }: Call<A>): KernelSource["buffers"] {
  return [
    ...inputs.map((x, k) => ({ name: `x${k}`, type: bufferType(x.dtype) })),
    { name: "out", type: bufferType(out.dtype), write: true },
  ];
}

function ownParams<A>({ definition }: Call<A>): KernelSource["params"] {
  return definition.params?.names.map((name) => ({ name, type: "f32" as const })) ?? [];
}

/** Parameters of operands that repeat. */
function periodParams<A>({ inputs }: Call<A>): KernelSource["params"] {
  return u32Params(...inputs.flatMap((_, k) => [`offset${k}`, `period${k}`]));
}

function flatCall<A>(call: Call<A>): KernelCall {
  const { definition, inputs, out, stem, more } = call;
  const params: number[] = [];
  for (const x of inputs) params.push(x.offset, x.size);
  return {
    key: `${stem}:flat`,
    source: () => ({
      buffers: buffersOf(call),
      params: [...periodParams(call), ...ownParams(call)],
      helpers: `${definition.helpers ?? ""}
// NOTE: the division is skipped where it can be: software adapters divide integers one lane at a time.
fn wrap(i: u32, period: u32) -> u32 {
  if (period == 1u) { return 0u; }
  if (i < period) { return i; }
  return i % period;
}`,
      main: `${inputs.map(({ dtype }, k) => `let v${k} = ${load(k, dtype, `p.offset${k} + wrap(i, p.period${k})`)};`).join("\n")}
out[i] = ${store(out.dtype, valueText(call))};`,
    }),
    buffers: [...inputs, out],
    params: [...params, ...more],
    count: out.size,
  };
}

function stridedCall<A>(call: Call<A>): KernelCall {
  const { definition, inputs, out, stem, more } = call;
  const merged = coalesce(out.shape, [
    ...inputs.map((x) => broadcastStrides(x.shape, x.strides, out.shape)),
    stridesOf(out.shape),
  ]);
  const rank = merged.shape.length;
  return {
    key: `${stem}:strided${rank}`,
    source: () => ({
      buffers: buffersOf(call),
      params: [
        ...u32Params(
          ...merged.shape.map((_, d) => `d${d}`),
          ...inputs.flatMap((_, k) => [`offset${k}`, ...merged.shape.map((_, d) => `s${k}_${d}`)]),
        ),
        ...ownParams(call),
      ],
      helpers: definition.helpers,
      main: `${coordinates(rank)}
${inputs
  .map(
    ({ dtype }, k) =>
      `let v${k} = ${load(k, dtype, `p.offset${k}${merged.shape.map((_, d) => ` + c${d} * p.s${k}_${d}`).join("")}`)};`,
  )
  .join("\n")}
out[i] = ${store(out.dtype, valueText(call))};`,
    }),
    buffers: [...inputs, out],
    params: [...merged.shape, ...inputs.flatMap((x, k) => [x.offset, ...merged.strides[k]]), ...more],
    count: out.size,
  };
}

/** True for f32 and f16 operands that are whole rows of 4 or single numbers. */
function isQuad<A>({ inputs, out }: Call<A>): boolean {
  if (computeType(out.dtype) !== "f32" || out.size % 4 !== 0) return false;
  for (const x of inputs) {
    if (computeType(x.dtype) !== "f32") return false;
    if (x.size !== 1 && (x.size % 4 !== 0 || x.offset % 4 !== 0)) return false;
  }
  return true;
}

/**
 * The flat kernel with four elements per invocation. An invocation costs more than the arithmetic of one element, on
 * software adapters above all.
 */
function quadCall<A>(call: Call<A>): KernelCall {
  const { definition, inputs, out, stem, more } = call;
  let widths = "";
  const params: number[] = [];
  for (const x of inputs) {
    const single = x.size === 1;
    widths += single ? "1" : "4";
    if (single) params.push(x.offset, 1);
    else params.push(x.offset / 4, x.size / 4);
  }
  return {
    key: `${stem}:quad${widths}`,
    source: () => ({
      buffers: [
        ...inputs.map((x, k) => ({
          name: `x${k}`,
          type: x.size === 1 ? bufferType(x.dtype) : quadType(x.dtype),
        })),
        { name: "out", type: quadType(out.dtype), write: true },
      ],
      params: [...periodParams(call), ...ownParams(call)],
      helpers: `${definition.helpers ?? ""}
fn wrap(i: u32, period: u32) -> u32 {
  if (i < period) { return i; }
  return i % period;
}
fn one(${inputs.map((_, k) => `v${k}: f32`).join(", ")}) -> f32 { return ${valueText(call)}; }`,
      main: `${inputs.map((x, k) => (x.size === 1 ? `let q${k} = vec4<f32>(f32(x${k}[p.offset${k}]));` : `let q${k} = vec4<f32>(x${k}[p.offset${k} + wrap(i, p.period${k})]);`)).join("\n")}
out[i] = ${quadType(out.dtype)}(${["x", "y", "z", "w"]
        .map((l) => `one(${inputs.map((_, k) => `q${k}.${l}`).join(", ")})`)
        .map((y) => store(out.dtype, y))
        .join(", ")});`,
    }),
    buffers: [...inputs, out],
    params: [...params, ...more],
    count: out.size / 4,
  };
}

/** Four elements of f32 or f16. */
function quadType(dtype: DType): BufferType {
  return dtype === "f16" ? "vec4<f16>" : "vec4<f32>";
}
