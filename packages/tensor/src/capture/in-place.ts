/**
 * Lets operations of a recording that read each element before they write it change their input, where nobody needs it
 * afterwards: turned queries and keys lie where the projections left them, and a training step keeps one of the two. The same bits.
 */
import { overlap } from "../fusion/members.ts";
import { ropeOp } from "../ops/rope.ts";
import { isWhole, type Program, type Step, type Value } from "./program.ts";

/** Operations whose first input may be their output. */
const able = new Set<unknown>([ropeOp]);

/** The program with such operations in place; the memories of their outputs are no longer used. */
export function inPlace({ memories, steps }: Program): Program {
  const moved = new Map<number, Value>();
  const at = (v: Value): Value => {
    const to = moved.get(v.memory);
    return to ? { ...v, memory: to.memory, offset: v.offset + to.offset } : v;
  };
  const replaced = steps.map((step, place): Step => {
    const [x] = step.inputs;
    const [y] = step.outputs;
    if (able.has(step.op) && memories[y.memory].kind === "temporary" && isWhole(y, memories[y.memory])) {
      const given = at(x);
      const needed = steps
        .slice(place + 1)
        .some((s) => [...s.inputs, ...s.outputs].some((v) => overlap(at(v), given)));
      if (memories[given.memory].kind === "temporary" && !needed) moved.set(y.memory, given);
    }
    return { ...step, inputs: step.inputs.map(at), outputs: step.outputs.map(at) };
  });
  return { memories, steps: replaced };
}
