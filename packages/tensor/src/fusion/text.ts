/**
 * WGSL of a fused kernel's nodes, and what its two forms (map-kernel.ts, reduce-kernel.ts) share: parameters, bindings,
 * elements read and written. Operations bring the expressions that they have alone (ops/elementwise.ts).
 */
import { type BufferType, bufferType, type KernelSource } from "../backends/webgpu/kernel.ts";
import { computeType, type DType } from "../dtype.ts";
import type { ElementwiseDefinition } from "../ops/elementwise.ts";
import type { Shape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import type { Expression, Node } from "./expression.ts";

/**
 * Kernel parameters as they are gathered: the struct's fields and the values of one start. Their names begin with capitals,
 * so that they may stand beside those of a kernel that goes on (map-kernel.ts).
 */
export class Parameters {
  readonly fields: { name: string; type: "u32" | "i32" | "f32" }[] = [];
  readonly values: number[] = [];

  add(name: string, value: number, type: "u32" | "i32" | "f32" = "u32"): void {
    this.fields.push({ name, type });
    this.values.push(value);
  }
}

/** One place of an expression that reads or writes a tensor, with strides over the expression's shape. */
export interface Access {
  readonly tensor: Tensor;
  readonly strides: Shape;
  readonly write: boolean;
}

/** The loads among `flags`, by node, and the given stores: what one kernel touches. */
export function accessesOf(
  expression: Expression,
  inputs: readonly Tensor[],
  outputs: readonly Tensor[],
  flags: readonly boolean[],
  stores: readonly number[],
): { loads: ReadonlyMap<number, number>; accesses: Access[] } {
  const loads = new Map<number, number>();
  const accesses: Access[] = [];
  expression.nodes.forEach((node, k) => {
    if (node.kind !== "load" || !flags[k]) return;
    loads.set(k, accesses.length);
    accesses.push({ tensor: inputs[node.input], strides: node.strides, write: false });
  });
  for (const s of stores)
    accesses.push({ tensor: outputs[s], strides: expression.stores[s].strides, write: true });
  return { loads, accesses };
}

/** The buffers of a kernel: each storage once, because one that is written can not be bound twice. */
export class Bindings {
  readonly tensors: Tensor[] = [];
  readonly writes: boolean[] = [];
  /** Buffers that are read and written four elements at once. */
  readonly quads: boolean[] = [];

  /** The binding of a tensor's storage. */
  of({ tensor, write }: Access, quad = false): number {
    let k = this.tensors.findIndex((t) => t.storage === tensor.storage);
    if (k < 0) {
      k = this.tensors.length;
      this.tensors.push(tensor);
      this.writes.push(false);
      this.quads.push(false);
    }
    this.writes[k] ||= write;
    this.quads[k] ||= quad;
    return k;
  }

  sources(): KernelSource["buffers"] {
    return this.tensors.map((t, k) => ({
      name: `x${k}`,
      type: this.type(k, t.dtype),
      write: this.writes[k],
    }));
  }

  type(k: number, dtype: DType): BufferType {
    if (!this.quads[k]) return bufferType(dtype);
    return dtype === "f16" ? "vec4<f16>" : "vec4<f32>";
  }
}

/** What strides look like to a kernel's text, an axis a letter: 0 stays, 1 goes to the neighbour, n takes any other step. */
export function strideClass(strides: Shape): string {
  return strides.map((s) => (s === 0 ? "0" : s === 1 ? "1" : "n")).join("");
}

/** WGSL that adds up coordinates times strides; parameters only where a stride is neither 0 nor 1. */
export function steps(strides: Shape, coordinate: string, parameter: string): string {
  return strides
    .map((s, d) =>
      s === 0 ? "" : s === 1 ? ` + ${coordinate}${d}` : ` + ${coordinate}${d} * p.${parameter}_${d}`,
    )
    .join("");
}

/** Adds the parameters that `steps` refers to. */
export function addSteps(p: Parameters, strides: Shape, parameter: string, unit = 1): void {
  strides.forEach((s, d) => {
    if (s !== 0 && s !== 1) p.add(`${parameter}_${d}`, s / unit);
  });
}

/** WGSL that splits `index` into coordinates of dimensions p.<size>0, p.<size>1, …. */
export function coordinatesOf(index: string, rank: number, name: string, size: string): string {
  if (rank === 1) return `let ${name}0 = ${index};`;
  const lines = [`var ${name}rest = ${index};`];
  for (let d = rank - 1; d > 0; d--)
    lines.push(
      `let ${name}${d} = ${name}rest % p.${size}${d};`,
      `${name}rest = ${name}rest / p.${size}${d};`,
    );
  lines.push(`let ${name}0 = ${name}rest;`);
  return lines.join("\n");
}

/** WGSL of an element as it lies in a buffer, as a value to compute with. */
export function widened(dtype: DType, element: string): string {
  if (dtype === "bool") return `(${element} != 0u)`;
  return dtype === "f16" ? `f32(${element})` : element;
}

/** WGSL of a computed value, as the element that is stored. */
export function narrowed(dtype: DType, value: string): string {
  if (dtype === "bool") return `select(0u, 1u, ${value})`;
  return dtype === "f16" ? `f16(${value})` : value;
}

/** WGSL of a value rounded as a store and a load would. */
export function rounded(dtype: DType, value: string): string {
  return dtype === "f16" ? `rounded(${value})` : value;
}

/** NOTE: drivers leave a conversion to f16 and back out; they can not see through the mask. */
export const roundedWgsl =
  "fn rounded(x: f32) -> f32 { return unpack2x16float(pack2x16float(vec2<f32>(x, 0.0)) & p.Mask).x; }";

/** Adds what nodes read beside buffers: their numbers, and the parameters of their operations. */
export function addNumbers(p: Parameters, nodes: readonly Node[], flags: readonly boolean[]): void {
  if (nodes.some(isRounded)) p.add("Mask", 0xffff);
  nodes.forEach((node, k) => {
    if (!flags[k]) return;
    if (node.kind === "scalar") {
      const type = computeType(node.dtype);
      p.add(`K${k}`, node.value, type === "bool" ? "u32" : (type as "f32"));
    } else if (node.kind === "map") {
      const values = node.definition.params?.values(node.attrs) ?? [];
      node.definition.params?.names.forEach((name, n) => {
        p.add(`K${k}_${name}`, values[n], "f32");
      });
    }
  });
}

/** Loaded values need no rounding, but for one that a kernel goes on with (map-kernel.ts). */
export function isRounded({ dtype }: Node): boolean {
  return dtype === "f16";
}

/** `let n<k><suffix> = …;` of a number or an operation. */
export function nodeText(nodes: readonly Node[], k: number, suffix = ""): string {
  const node = nodes[k];
  if (node.kind === "scalar")
    return `let n${k}${suffix} = ${node.dtype === "bool" ? `(p.K${k} != 0u)` : rounded(node.dtype, `p.K${k}`)};`;
  if (node.kind !== "map") return "";
  const { definition, attrs, from } = node;
  const value = definition.wgsl(
    from.map((o) => `n${o}${suffix}`),
    attrs,
    computeType(nodes[from[from.length - 1]].dtype),
  );
  const own = (definition.params?.names ?? []).reduce(
    (text, name) => text.replaceAll(new RegExp(`\\bp\\.${name}\\b`, "g"), `p.K${k}_${name}`),
    value,
  );
  return `let n${k}${suffix} = ${rounded(node.dtype, own)};`;
}

/** What tells one expression's text from another's: operations, types and how nodes hang together. */
export function structureOf({ nodes, stores }: Expression): string {
  const texts = nodes.map((node) => {
    if (node.kind === "load") return node.dtype;
    if (node.kind === "scalar") return `=${node.dtype}`;
    if (node.kind === "reduce") return `${node.reduction.name}(${node.from})${node.dtype}`;
    const { name, variant } = node.definition as ElementwiseDefinition<unknown>;
    return `${name}${variant?.(node.attrs) ?? ""}(${node.from})${node.dtype}`;
  });
  return `${texts.join(";")}>${stores.map((s) => `${s.node}${s.dtype}`).join(",")}`;
}
