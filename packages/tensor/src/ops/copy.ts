/**
 * Moving bytes as operations: copying a tensor into a window of another, and clearing one. The engine runs them on its own
 * account (packing, joining), no gradient flows through them.
 */
import { bufferType, type KernelCall, u32Params } from "../backends/webgpu/kernel.ts";
import type { Op } from "../op.ts";
import { coalesce } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { coordinates, walk } from "../walk.ts";

/** y[…] = x[…], both through their strides, of one shape and dtype. */
export const copyIntoOp: Op<null> = {
  name: "copyInto",
  infer: () => [],
  strided: true,
  half: true,
  cpu([x], [y]) {
    walk(x.shape, [x, y], (_index, [from, to]) => {
      y.data[to] = x.data[from];
    });
  },
  webgpu: ([x], [y]) => [copyCall(x, y)],
};

/** Copies `source` into the window `target` of the same shape and dtype. */
export function copyInto(source: Tensor, target: Tensor): void {
  target.device.runner.run(copyIntoOp, [source], [target], null);
}

/** y = 0, all of its memory. */
export const clearOp: Op<null> = {
  name: "clear",
  infer: () => [],
  half: true,
  cpu(_inputs, [y]) {
    y.data.fill(0);
  },
  webgpu(_inputs, [y]) {
    const type = bufferType(y.dtype);
    return [
      {
        key: `clear:${type}`,
        source: () => ({
          buffers: [{ name: "y", type, write: true }],
          params: [],
          main: `y[i] = ${type}(0);`,
        }),
        buffers: [y],
        params: [],
        count: y.storage.size,
      },
    ];
  },
};

function copyCall(source: Tensor, target: Tensor): KernelCall {
  const merged = coalesce(source.shape, [source.strides, target.strides]);
  const rank = merged.shape.length;
  const type = bufferType(source.dtype);
  const at = (k: string) => `p.offset${k}${merged.shape.map((_, d) => ` + c${d} * p.${k}${d}`).join("")}`;
  return {
    key: `copy:${type}:${rank}`,
    source: () => ({
      buffers: [
        { name: "x", type },
        { name: "y", type, write: true },
      ],
      params: u32Params("offsetx", "offsety", ...merged.shape.flatMap((_, d) => [`d${d}`, `x${d}`, `y${d}`])),
      main: `${coordinates(rank)}\ny[${at("y")}] = x[${at("x")}];`,
    }),
    buffers: [source, target],
    params: [
      source.offset,
      target.offset,
      ...merged.shape.flatMap((d, i) => [d, merged.strides[0][i], merged.strides[1][i]]),
    ],
    count: source.size,
  };
}
