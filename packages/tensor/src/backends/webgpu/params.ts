/**
 * A start's numbers as the device reads them: the grid, and the words of the parameter struct that codegen.ts declares
 * (`count`, `gridWidth`, then the kernel's own).
 */
import { valueOf } from "../../live.ts";
import { workgroupSize } from "./codegen.ts";
import type { KernelCall, ParamType } from "./kernel.ts";

/** Workgroups along x and y: more than one dimension takes become rows of a second. */
export interface Grid {
  width: number;
  height: number;
}

export function gridOf(count: number, limit: number): Grid {
  const groups = Math.ceil(count / workgroupSize);
  const width = Math.min(groups, limit);
  return { width, height: Math.ceil(groups / width) };
}

/** One memory seen as whole numbers and as floats. */
export interface Words {
  readonly integers: Uint32Array<ArrayBuffer>;
  readonly floats: Float32Array<ArrayBuffer>;
}

export function wordsOf(count: number): Words {
  const memory = new ArrayBuffer(4 * count);
  return { integers: new Uint32Array(memory), floats: new Float32Array(memory) };
}

/** Writes the parameters of a start at word `at`. */
export function writeParams(
  { integers, floats }: Words,
  at: number,
  types: readonly ParamType[],
  { count, params }: Pick<KernelCall, "count" | "params">,
  { width }: Grid,
): void {
  integers[at] = count;
  integers[at + 1] = width;
  for (let k = 0; k < types.length; k++) {
    const value = valueOf(params[k]);
    if (types[k] === "f32") floats[at + 2 + k] = value;
    else integers[at + 2 + k] = value;
  }
}
