/**
 * Matrix products of one matrix with several that lie in even steps in one memory (the projections to queries, keys and
 * values; the two halves of a gated MLP) become one product with a batch. Leaves out products with what lies elsewhere.
 */
import {
  isWhole,
  type Memory,
  mayMoveTo,
  type Program,
  type Step,
  stepOf,
  type Value,
} from "../capture/program.ts";
import { matmulOp } from "../ops/matmul.ts";
import { sizeOf, stridesOf } from "../shape.ts";
import { overlap } from "./members.ts";

/** How many steps apart the products may stand: their results come to life at once. */
const reach = 24;
/** Elements that the results may have together: well within what one binding takes. */
const maxElements = 2 ** 24;

/** The program with such products joined. */
export function joinProducts(program: Program): Program {
  const memories = [...program.memories];
  const moved = new Map<number, { memory: number; offset: number }>();
  const replaced = new Map<number, Step | null>();
  for (const places of candidates(program)) {
    const steps = places.map((p) => program.steps[p]);
    const [{ shape, dtype }] = steps[0].outputs;
    const each = sizeOf(shape);
    const size = each * steps.length;
    const memory = memories.push({ kind: "temporary", dtype, size }) - 1;
    steps.forEach(({ outputs: [y] }, g) => {
      moved.set(y.memory, { memory, offset: g * each });
    });
    places.forEach((p) => {
      replaced.set(p, null);
    });
    replaced.set(Math.min(...places), batched(steps, { memory, shape, strides: [], offset: 0, dtype }));
  }
  const at = (v: Value): Value => {
    const to = moved.get(v.memory);
    return to ? { ...v, memory: to.memory, offset: v.offset + to.offset } : v;
  };
  const steps = program.steps.flatMap((step, p): Step[] => {
    const other = replaced.get(p);
    if (other === null) return [];
    const { op, inputs, outputs, attrs } = other ?? step;
    return [{ op, inputs: inputs.map(at), outputs: outputs.map(at), attrs }];
  });
  return { memories, steps };
}

/** One product in place of several: a stands still along the batch, b walks. */
function batched(steps: readonly Step[], y: Value): Step {
  const count = steps.length;
  const [[a, b], [, second]] = steps.map((s) => s.inputs);
  return stepOf(
    matmulOp,
    [
      { ...a, shape: [count, ...a.shape], strides: [0, ...a.strides] },
      { ...b, shape: [count, ...b.shape], strides: [second.offset - b.offset, ...b.strides] },
    ],
    [{ ...y, shape: [count, ...y.shape], strides: stridesOf([count, ...y.shape]) }],
    null,
  );
}

/** Groups of places of products that can be joined, ordered by where b lies. */
function candidates({ memories, steps }: Program): number[][] {
  const groups = new Map<string, number[]>();
  const writers = memories.map(() => 0);
  for (const { outputs } of steps) for (const y of outputs) writers[y.memory]++;
  steps.forEach((step, p) => {
    if (step.op !== matmulOp || !simple(step, memories) || writers[step.outputs[0].memory] > 1) return;
    const [a, b] = step.inputs;
    const key = JSON.stringify([a, b.memory, b.shape, b.strides]);
    groups.set(key, [...(groups.get(key) ?? []), p]);
  });
  return [...groups.values()].filter((places) => {
    if (places.length < 2 || places[places.length - 1] - places[0] > reach) return false;
    places.sort((p, q) => steps[p].inputs[1].offset - steps[q].inputs[1].offset);
    const offsets = places.map((p) => steps[p].inputs[1].offset);
    const step = offsets[1] - offsets[0];
    const each = sizeOf(steps[places[0]].outputs[0].shape);
    if (!places.every((_, g) => mayMoveTo(g * each)) || each * places.length > maxElements) return false;
    if (step === 0 || offsets.some((o, g) => o !== offsets[0] + g * step)) return false;
    return steady(steps, places);
  });
}

/** Two matrices, whose product is all of a new temporary; of enough rows, or so short a sum, to need no cutting along k. */
function simple({ inputs: [a, b], outputs: [y] }: Step, memories: readonly Memory[]): boolean {
  const memory = memories[y.memory];
  const matrices = a.shape.length === 2 && b.shape.length === 2;
  const whole = a.shape[0] >= 64 || a.shape[1] < 512;
  return matrices && whole && memory.kind === "temporary" && isWhole(y, memory);
}

/** True if nothing writes the operands between the first and the last of the products. */
function steady(steps: readonly Step[], places: readonly number[]): boolean {
  const operands = places.flatMap((p) => steps[p].inputs);
  return steps
    .slice(Math.min(...places), Math.max(...places))
    .every(({ outputs }) => outputs.every((y) => operands.every((x) => !overlap(x, y))));
}
