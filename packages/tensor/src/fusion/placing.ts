/**
 * Matrix products and sums of rows that are copied into a window of another memory are written there at once: gradients of
 * weights and embeddings into an optimiser's arena. Leaves out those whose window something else uses in between.
 */
import { isWhole, type Program, type Step, type Value } from "../capture/program.ts";
import { copyIntoOp } from "../ops/copy.ts";
import { addRowsOp } from "../ops/indexing.ts";
import { matmulOp } from "../ops/matmul.ts";
import { isContiguous, stridesOf } from "../shape.ts";
import { usersOf } from "./dependences.ts";
import { overlap } from "./members.ts";

/** The operations that write wherever their output lies, of one output. */
const anywhere = new Set<unknown>([matmulOp, addRowsOp]);

/** The program without copies of what they compute. */
export function placeProducts(program: Program): Program {
  const users = usersOf(program);
  const steps: (Step | undefined)[] = [...program.steps];
  program.steps.forEach((copy, place) => {
    const maker = makerOf(program, users, copy);
    const step = maker === undefined ? undefined : steps[maker];
    if (maker === undefined || !step) return;
    const [window] = copy.outputs;
    const free = program.steps
      .slice(maker, place)
      .every(({ inputs, outputs }) => ![...inputs, ...outputs].some((x) => overlap(x, window)));
    if (!free || step.inputs.some((x) => x.memory === window.memory)) return;
    const [y] = step.outputs;
    const placed = { ...window, shape: y.shape, strides: stridesOf(y.shape) };
    steps[maker] = { ...step, outputs: [placed] };
    steps[place] = undefined;
  });
  return { memories: program.memories, steps: steps.filter((step) => step !== undefined) };
}

/** The place of the step whose result `copy` moves, in order, from a temporary of its own into a window; undefined if it does not. */
function makerOf(
  { memories, steps }: Program,
  users: readonly (readonly number[])[],
  copy: Step,
): number | undefined {
  if (copy.op !== copyIntoOp) return undefined;
  const [x] = copy.inputs;
  const [window] = copy.outputs;
  const alone = users[x.memory].length === 2 && memories[x.memory].kind === "temporary";
  // NOTE: products store four elements at once.
  if (!alone || !isWhole(x, memories[x.memory]) || window.offset % 4 !== 0) return undefined;
  if (!isContiguous(window.shape, window.strides)) return undefined;
  const [maker] = users[x.memory];
  const { op, outputs } = steps[maker];
  const whole = (y: Value) => y.memory === x.memory && isWhole(y, memories[y.memory]);
  return anywhere.has(op) && whole(outputs[0]) ? maker : undefined;
}
