/**
 * Lets operations of a recording that read each element before they write it change their input, where nobody needs it
 * afterwards: turned queries and keys lie where the projections left them, and a training step keeps one of the two. The same bits.
 */
import { overlap } from "../fusion/members.ts";
import { ropeOp } from "../ops/rope.ts";
import { isWhole, mayMoveTo, type Program, type Step, type Value } from "./program.ts";

/** Operations whose first input may be their output. */
const able = new Set<unknown>([ropeOp]);

/** The program with such operations in place; the memories of their outputs are no longer used. */
export function inPlace({ memories, steps }: Program): Program {
  const moved = new Map<number, Value>();
  const at = (v: Value): Value => {
    const to = moved.get(v.memory);
    return to ? { ...v, memory: to.memory, offset: v.offset + to.offset } : v;
  };
  const shares = (v: Value, given: Value) => at(v).memory === given.memory;
  // What writes beside the turned elements may read them: a kernel binds no buffer for both.
  const needed = (later: readonly Step[], given: Value) =>
    later.some(
      ({ inputs, outputs }) =>
        inputs.some((v) => overlap(at(v), given)) || outputs.some((v) => shares(v, given)),
    );
  const replaced = steps.map((step, place): Step => {
    const [x, ...others] = step.inputs;
    const [y] = step.outputs;
    if (able.has(step.op) && memories[y.memory].kind === "temporary" && isWhole(y, memories[y.memory])) {
      const given = at(x);
      const free = memories[given.memory].kind === "temporary" && mayMoveTo(given.offset);
      if (free && !needed(steps.slice(place + 1), given) && !others.some((v) => shares(v, given)))
        moved.set(y.memory, given);
    }
    return { ...step, inputs: step.inputs.map(at), outputs: step.outputs.map(at) };
  });
  return { memories, steps: replaced };
}
