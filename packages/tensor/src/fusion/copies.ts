/**
 * The kernel of an expression that only copies, up to seven tensors in other orders into one memory, as gradients go into an
 * optimiser's arena. One text serves every number of them and every order of up to three axes, so that layers of different
 * shapes share a pipeline. Leaves out copies in order, which move four elements at once (map-kernel.ts).
 */
import { bufferType, type KernelCall, u32Params } from "../backends/webgpu/kernel.ts";
import { coalesce, sameShape, sizeOf, stridesOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import type { Expression } from "./expression.ts";
import { coordinatesOf } from "./text.ts";

/** Copies of one start: with the target, as many buffers as WebGPU grants. */
const most = 7;
/** Axes. */
const rank = 3;

/** The kernel that copies `inputs` into `outputs`; null where the expression does more, or other than one start of it can. */
export function copiesCall(
  e: Expression,
  inputs: readonly Tensor[],
  outputs: readonly Tensor[],
): KernelCall | null {
  const [target] = outputs;
  const { dtype } = target;
  const loads = e.stores.map(({ node }) => e.nodes[node]);
  if (e.stores.length > most || e.nodes.some((n) => n.kind !== "load" || n.dtype !== dtype)) return null;
  if (outputs.some((y) => y.storage !== target.storage || y.dtype !== dtype)) return null;
  const sources = loads.flatMap((n) => (n.kind === "load" ? [inputs[n.input]] : []));
  if (sources.some((x) => x.storage === target.storage || x.dtype !== dtype)) return null;
  const { shape, strides } = coalesce(e.shape, [
    ...loads.flatMap((n) => (n.kind === "load" ? [n.strides] : [])),
    ...e.stores.map((s) => s.strides),
  ]);
  if (shape.length === 1 || shape.length > rank) return null;
  const dense = stridesOf(shape);
  if (strides.slice(sources.length).some((s) => !sameShape(s, dense))) return null;
  const lead = rank - shape.length;
  const padded = (values: readonly number[], fill: number) => [...Array(lead).fill(fill), ...values];
  const slots = Array.from({ length: most }, (_, k) => Math.min(k, sources.length - 1));
  const type = bufferType(dtype);
  return {
    key: `fused:copies:${type}`,
    source: () => ({
      buffers: [...slots.map((_, k) => ({ name: `x${k}`, type })), { name: "y", type, write: true }],
      params: u32Params(
        ...["D0", "D1", "D2", "copies"],
        ...slots.flatMap((_, k) => [`To${k}`, `O${k}`, `S${k}_0`, `S${k}_1`, `S${k}_2`]),
      ),
      main: `${coordinatesOf("i", rank, "c", "D")}
${slots
  .map(
    (_, k) =>
      `if (p.copies > ${k}u) { y[p.To${k} + i] = x${k}[p.O${k} + c0 * p.S${k}_0 + c1 * p.S${k}_1 + c2 * p.S${k}_2]; }`,
  )
  .join("\n")}`,
    }),
    buffers: [...slots.map((s) => sources[s]), target],
    params: [
      ...padded(shape, 1),
      sources.length,
      ...slots.flatMap((s) => [outputs[s].offset, sources[s].offset, ...padded(strides[s], 0)]),
    ],
    count: sizeOf(shape),
  };
}
