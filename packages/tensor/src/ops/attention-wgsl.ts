/**
 * The WGSL of attention where each invocation has a query (or, for dk and dv, a key) of its own and walks what it needs.
 * Vectors of a head's size live in registers as vec4 pieces with zeros past the end. Sizes that are multiples of 4 are read
 * and written as vec4, others element by element. The variant whose lanes work together is attention-subgroups.ts.
 */
import type { BufferType } from "../backends/webgpu/kernel.ts";
import type { Tensor } from "../tensor.ts";
import { subgroupLanes } from "../variants.ts";

/** Lanes that walk the same keys together, for queries that see mostly the same; 0 if each walks its own. */
export function sharedLanes(q: Tensor): number {
  return q.shape[2] % 4 === 0 ? subgroupLanes(q.device, "attention") : 0;
}

/**
 * Queries or keys of one lane where lanes work together. What is loaded serves all of a subgroup's, so eight are better than
 * four; sixteen take twice as long to compile on adapters with eight lanes (docs/log.md).
 */
export const itemsOfLane = (lanes: number): number => Math.max(1, 8 / lanes);

/** Invocations for `items` of one head: whole subgroups where lanes work together. */
export function blocksOf(items: number, lanes: number): number {
  return lanes > 0 ? Math.ceil(items / (lanes * itemsOfLane(lanes))) * lanes : items;
}

const pieces = (size: number) => Math.ceil(size / 4);
const isQuad = (size: number) => size % 4 === 0;
export const vectorType = (size: number, half = false): BufferType =>
  half ? (isQuad(size) ? "vec4<f16>" : "f16") : isQuad(size) ? "vec4<f32>" : "f32";
export const eachVector = (size: number, f: (piece: number) => string) =>
  Array.from({ length: pieces(size) }, (_, c) => f(c)).join(" ");
const lanes = (size: number, c: number) => Math.min(4, size - 4 * c);

function loadVector(
  name: string,
  buffer: string,
  at: string,
  size: number,
  { scale, half = false }: { scale?: string; half?: boolean } = {},
): string {
  const wide = (value: string, type: string) => (half ? `${type}(${value})` : value);
  const parts = eachVector(size, (c) => {
    const values = [0, 1, 2, 3].map((l) =>
      l < lanes(size, c) ? wide(`${buffer}[${name}At + ${4 * c + l}u]`, "f32") : "0.0",
    );
    const value = isQuad(size)
      ? wide(`${buffer}[${name}At / 4u + ${c}u]`, "vec4<f32>")
      : `vec4<f32>(${values.join(", ")})`;
    return `let ${name}${c} = ${value}${scale ? ` * ${scale}` : ""};`;
  });
  return `let ${name}At = ${at}; ${parts}`;
}

function declareVector(name: string, size: number): string {
  return eachVector(size, (c) => `var ${name}${c} = vec4<f32>();`);
}

function dotVector(a: string, b: string, size: number): string {
  return `(${Array.from({ length: pieces(size) }, (_, c) => `dot(${a}${c}, ${b}${c})`).join(" + ")})`;
}

function storeVector(buffer: string, at: string, name: string, size: number, scale?: string): string {
  const factor = scale ? ` * ${scale}` : "";
  return eachVector(size, (c) =>
    isQuad(size)
      ? `${buffer}[(${at}) / 4u + ${c}u] = ${name}${c}${factor};`
      : Array.from(
          { length: lanes(size, c) },
          (_, l) => `${buffer}[${at} + ${4 * c + l}u] = ${name}${c}.${"xyzw"[l]}${factor};`,
        ).join(" "),
  );
}

/** y and, unless keys and values are f16 of a cache, lse; parameters and buffers as in attention.ts. */
export function eachQueryText(size: number, half = false): string {
  return `let row = i / p.heads;
let g = (i % p.heads) / (p.heads / p.kvHeads);
${loadVector("qv", "q", `p.offsetQ + i * ${size}u`, size, { scale: "p.scale" })}
${declareVector("sum", size)}
var top = -3.0e38;
var total = 0.0;
let r = p.offsetR + 4u * row;
for (var part = 0u; part < p.parts; part++) {
  let stop = u32(ranges[r + 2u * part + 1u]);
  for (var j = u32(ranges[r + 2u * part]); j < stop; j++) {
    let at = (j * p.kvHeads + g) * ${size}u;
    ${loadVector("kv", "k", "p.offsetK + at", size, { half })}
    let s = ${dotVector("qv", "kv", size)};
    ${loadVector("vv", "v", "p.offsetV + at", size, { half })}
    let higher = max(top, s);
    let keep = exp(top - higher);
    let w = exp(s - higher);
    total = total * keep + w;
    ${eachVector(size, (c) => `sum${c} = sum${c} * keep + w * vv${c};`)}
    top = higher;
  }
}
${half ? "" : "lse[i] = top + log(total);"}
${storeVector("y", `i * ${size}u`, "sum", size, "(1.0 / total)")}`;
}

/** dq, and lse and δ side by side for the keys; parameters and buffers as in attention-backward.ts. */
export function eachQueryBackwardText(size: number): string {
  return `let row = i / p.heads;
let g = (i % p.heads) / (p.heads / p.kvHeads);
${loadVector("qv", "q", `p.offsetQ + i * ${size}u`, size, { scale: "p.scale" })}
${loadVector("dv", "dy", `p.offsetD + i * ${size}u`, size)}
${loadVector("yv", "y", `p.offsetY + i * ${size}u`, size)}
${declareVector("sum", size)}
let rowLse = lse[p.offsetL + i];
let rowDelta = ${dotVector("dv", "yv", size)};
stats[2u * i] = rowLse;
stats[2u * i + 1u] = rowDelta;
let r = p.offsetR + 4u * row;
for (var part = 0u; part < p.parts; part++) {
  let stop = u32(ranges[r + 2u * part + 1u]);
  for (var j = u32(ranges[r + 2u * part]); j < stop; j++) {
    let at = (j * p.kvHeads + g) * ${size}u;
    ${loadVector("kv", "k", "p.offsetK + at", size)}
    ${loadVector("vv", "v", "p.offsetV + at", size)}
    let w = exp(${dotVector("qv", "kv", size)} - rowLse);
    let ds = w * (${dotVector("dv", "vv", size)} - rowDelta) * p.scale;
    ${eachVector(size, (c) => `sum${c} += ds * kv${c};`)}
  }
}
${storeVector("dq", `i * ${size}u`, "sum", size)}`;
}

/** dk and dv; parameters and buffers as in attention-backward.ts. */
export function eachKeyText(size: number): string {
  return `let j = i / p.kvHeads;
let g = i % p.kvHeads;
let group = p.heads / p.kvHeads;
${loadVector("kv", "k", `p.offsetK + i * ${size}u`, size, { scale: "p.scale" })}
${loadVector("vv", "v", `p.offsetV + i * ${size}u`, size)}
${declareVector("sumK", size)}
${declareVector("sumV", size)}
let stop = u32(keys[p.offsetS + 2u * j + 1u]);
for (var row = u32(keys[p.offsetS + 2u * j]); row < stop; row++) {
  let r = p.offsetR + 4u * row;
  let key = i32(j);
  if ((key >= ranges[r] && key < ranges[r + 1u]) || (key >= ranges[r + 2u] && key < ranges[r + 3u])) {
    for (var h = g * group; h < (g + 1u) * group; h++) {
      let n = row * p.heads + h;
      ${loadVector("qv", "q", `p.offsetQ + n * ${size}u`, size)}
      ${loadVector("d", "dy", `p.offsetD + n * ${size}u`, size)}
      let w = exp(${dotVector("qv", "kv", size)} - stats[2u * n]);
      let ds = w * (${dotVector("d", "vv", size)} - stats[2u * n + 1u]) * p.scale;
      ${eachVector(size, (c) => `sumK${c} += ds * qv${c}; sumV${c} += w * d${c};`)}
    }
  }
}
${storeVector("dk", `i * ${size}u`, "sumK", size)}
${storeVector("dv", `i * ${size}u`, "sumV", size)}`;
}
