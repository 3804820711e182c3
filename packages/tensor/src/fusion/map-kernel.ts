/**
 * The kernel of an expression without reductions: one invocation for each element, or for four where every operand lies
 * in whole quads. Values that the whole kernel shares along an axis are stored by the first invocation along it.
 */
import type { KernelCall } from "../backends/webgpu/kernel.ts";
import { computeType } from "../dtype.ts";
import { coalesce, type Shape, sameShape, sizeOf, stridesOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import type { Expression } from "./expression.ts";
import { agree, helpersOf } from "./helpers.ts";
import {
  type Access,
  accessesOf,
  addNumbers,
  addSteps,
  Bindings,
  coordinatesOf,
  narrowed,
  nodeText,
  Parameters,
  rounded,
  steps,
  strideClass,
  structureOf,
  widened,
} from "./text.ts";

/** An access over the merged shape. */
interface Place extends Access {
  /** `one` element for all, `all` elements in order, or `some` by coordinates. */
  readonly form: "one" | "all" | "some";
  readonly binding: number;
  /** True if it moves four elements at once. */
  readonly quad: boolean;
}

/** The kernel that computes `outputs` of an expression that reduces nothing. */
export function mapCall(e: Expression, inputs: readonly Tensor[], outputs: readonly Tensor[]): KernelCall {
  const plan = planOf(e, inputs, outputs, undefined, true);
  const { quad, shape, bindings, p } = plan;
  return {
    key: `fused:${plan.key}`,
    source: () => ({
      buffers: bindings.sources(),
      params: p.fields,
      helpers: helpersOf(e.nodes, every(e)),
      main: text(e, plan),
    }),
    buffers: bindings.tensors,
    params: p.values,
    count: sizeOf(shape) / (quad ? 4 : 1),
  };
}

/**
 * `call`, whose kernel hands each element of its last buffer to `put`, going on with the expression that reads it as input
 * `given`, in place of storing it; null for a kernel that has no `put`. The buffer's shape is that of the expression.
 */
export function continued(
  call: KernelCall,
  e: Expression,
  given: number,
  inputs: readonly Tensor[],
  outputs: readonly Tensor[],
): KernelCall | null {
  const source = call.source();
  if (!source.put || !agree(e.nodes, source.helpers)) return null;
  const { type } = source.buffers[source.buffers.length - 1];
  const plan = planOf(e, inputs, outputs, given, type.startsWith("vec4"));
  const { bindings, p, quad } = plan;
  // What the kernel hands over four at once, the expression must take so.
  if (quad !== type.startsWith("vec4")) return null;
  return {
    key: `${call.key}+${plan.key}`,
    source: () => ({
      ...source,
      buffers: [...source.buffers.slice(0, -1), ...bindings.sources()],
      params: [...source.params, ...p.fields],
      helpers: `${source.helpers ?? ""}\n${helpersOf(e.nodes, every(e))}`,
      put: `fn put(i: u32, value: ${quad ? "vec4<f32>" : "f32"}) {\n${text(e, plan)}\n}`,
    }),
    buffers: [...call.buffers.slice(0, -1), ...bindings.tensors],
    params: [...call.params, ...p.values],
    count: call.count,
  };
}

const every = (e: Expression) => e.nodes.map(() => true);

/** How a kernel walks an expression: what it touches and where, and its parameters. */
interface Plan {
  readonly shape: Shape;
  readonly places: readonly Place[];
  readonly bindings: Bindings;
  /** The place of each load by node. */
  readonly loads: ReadonlyMap<number, number>;
  /** Nodes that load what the kernel was given as `value`. */
  readonly given: readonly number[];
  /** Whether coordinates are needed. */
  readonly split: boolean;
  readonly quad: boolean;
  readonly p: Parameters;
  readonly key: string;
}

function planOf(
  e: Expression,
  inputs: readonly Tensor[],
  outputs: readonly Tensor[],
  givenInput: number | undefined,
  quads: boolean,
): Plan {
  const given = e.nodes.flatMap((n, k) => (n.kind === "load" && n.input === givenInput ? [k] : []));
  const touched = e.nodes.map((_, k) => !given.includes(k));
  const { loads, accesses } = accessesOf(e, inputs, outputs, touched, [...e.stores.keys()]);
  const merged = coalesce(
    e.shape,
    accesses.map((a) => a.strides),
  );
  const { shape } = merged;
  const flat = accesses.map((a, k) => ({ ...a, strides: merged.strides[k] }));
  const quad = quads && inQuads(shape, flat);
  const bindings = new Bindings();
  const places = flat.map((a): Place => {
    const vector = quad && a.strides[shape.length - 1] === 1;
    return { ...a, form: formOf(a.strides, shape), quad: vector, binding: bindings.of(a, vector) };
  });
  const rank = shape.length;
  const split = places.some((a) => a.form === "some" || (a.write && a.strides.includes(0)));
  const p = new Parameters();
  if (split) for (const [d, n] of shape.entries()) p.add(`D${d}`, d === rank - 1 && quad ? n / 4 : n);
  places.forEach((a, k) => {
    p.add(`O${k}`, a.quad ? a.tensor.offset / 4 : a.tensor.offset);
    if (a.form === "some") addSteps(p, a.strides, `S${k}`, a.quad ? 4 : 1);
  });
  addNumbers(p, e.nodes, touched);
  const layout = places.map((a) => `${a.binding}${a.form === "some" ? strideClass(a.strides) : a.form}`);
  const key = `${quad ? "quad" : "each"}${rank}${split ? "c" : ""}:${structureOf(e)}:${layout.join(",")}:${given}`;
  return { shape, places, bindings, loads, given, split, quad, p, key };
}

function formOf(strides: Shape, shape: Shape): Place["form"] {
  if (strides.every((s) => s === 0)) return "one";
  return sameShape(strides, stridesOf(shape)) ? "all" : "some";
}

/** True if four neighbours can be computed at once: floats, in steps of four but for what is the same for all four. */
function inQuads(shape: Shape, accesses: readonly Access[]): boolean {
  const last = shape.length - 1;
  if (shape[last] % 4 !== 0) return false;
  const vectors = accesses.filter((a) => a.strides[last] === 1);
  return (
    vectors.every(
      (a) =>
        computeType(a.tensor.dtype) === "f32" &&
        a.tensor.offset % 4 === 0 &&
        a.strides.every((s, d) => d === last || s % 4 === 0),
    ) &&
    accesses.every(
      (a) =>
        vectors.includes(a) ||
        // Alone in its buffer if written: one buffer has elements of one type.
        (a.strides[last] === 0 && !(a.write && vectors.some((v) => v.tensor.storage === a.tensor.storage))),
    )
  );
}

function text(e: Expression, { places, bindings, loads, given, shape, split, quad }: Plan): string {
  const lines = split ? [coordinatesOf("i", shape.length, "c", "D")] : [];
  const index = (k: number) => {
    const { form, strides } = places[k];
    return `p.O${k}${form === "all" ? " + i" : form === "some" ? steps(strides, "c", `S${k}`) : ""}`;
  };
  const element = (k: number) => {
    const { binding, quad: vector, tensor } = places[k];
    if (vector) return `vec4<f32>(x${binding}[${index(k)}])`;
    const at = index(k);
    return widened(
      tensor.dtype,
      bindings.quads[binding] ? `x${binding}[(${at}) / 4u][(${at}) % 4u]` : `x${binding}[${at}]`,
    );
  };
  for (const [node, k] of loads) lines.push(`let ${places[k].quad ? "q" : "n"}${node} = ${element(k)};`);
  const lanes = quad ? ["x", "y", "z", "w"] : [""];
  for (const lane of lanes) {
    const value = quad ? `value.${lane}` : "value";
    for (const node of given) lines.push(`let n${node}${lane} = ${rounded(e.nodes[node].dtype, value)};`);
    if (quad)
      for (const [node, k] of loads)
        lines.push(`let n${node}${lane} = ${places[k].quad ? `q${node}.${lane}` : `n${node}`};`);
    for (const k of e.nodes.keys()) lines.push(nodeText(e.nodes, k, lane));
  }
  e.stores.forEach(({ node, dtype }, s) => {
    const k = loads.size + s;
    const { binding, quad: vector, strides } = places[k];
    const values = lanes.map((lane) => narrowed(dtype, `n${node}${lane}`));
    const value = vector ? `${bindings.type(binding, dtype)}(${values.join(", ")})` : values[0];
    const first = strides.flatMap((stride, d) => (stride === 0 ? [`c${d} == 0u`] : []));
    const store = `x${binding}[${index(k)}] = ${value};`;
    lines.push(first.length > 0 ? `if (${first.join(" && ")}) { ${store} }` : store);
  });
  return lines.filter((line) => line !== "").join("\n");
}
