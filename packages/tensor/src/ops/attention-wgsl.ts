/**
 * WGSL for vectors of a head's size: they live in registers as vec4 pieces with zeros past the end. Sizes that are multiples
 * of 4 are read and written as vec4, others element by element.
 */
import type { BufferType } from "../backends/webgpu/kernel.ts";

const pieces = (size: number) => Math.ceil(size / 4);
const isQuad = (size: number) => size % 4 === 0;
export const vectorType = (size: number): BufferType => (isQuad(size) ? "vec4<f32>" : "f32");
export const eachVector = (size: number, f: (piece: number) => string) =>
  Array.from({ length: pieces(size) }, (_, c) => f(c)).join(" ");
const lanes = (size: number, c: number) => Math.min(4, size - 4 * c);

export function loadVector(name: string, buffer: string, at: string, size: number, scale?: string): string {
  const parts = eachVector(size, (c) => {
    const values = [0, 1, 2, 3].map((l) =>
      l < lanes(size, c) ? `${buffer}[${name}At + ${4 * c + l}u]` : "0.0",
    );
    const value = isQuad(size) ? `${buffer}[${name}At / 4u + ${c}u]` : `vec4<f32>(${values.join(", ")})`;
    return `let ${name}${c} = ${value}${scale ? ` * ${scale}` : ""};`;
  });
  return `let ${name}At = ${at}; ${parts}`;
}

export function declareVector(name: string, size: number): string {
  return eachVector(size, (c) => `var ${name}${c} = vec4<f32>();`);
}

export function dotVector(a: string, b: string, size: number): string {
  return `(${Array.from({ length: pieces(size) }, (_, c) => `dot(${a}${c}, ${b}${c})`).join(" + ")})`;
}

export function storeVector(buffer: string, at: string, name: string, size: number, scale?: string): string {
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
