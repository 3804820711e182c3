/** Leaves out the steps of a recording whose results nobody uses, such as gradients that are asked for and dropped. */
import type { Program } from "./program.ts";

/** `program` without the steps that lead to no result and change no memory from outside. */
export function pruned(program: Program): Program {
  const { memories, steps } = program;
  const needed = new Set<number>();
  memories.forEach(({ kind }, memory) => {
    if (kind !== "temporary") needed.add(memory);
  });
  const kept = [...steps];
  for (let i = kept.length - 1; i >= 0; i--) {
    const { inputs, outputs } = kept[i];
    if (outputs.some(({ memory }) => needed.has(memory))) for (const { memory } of inputs) needed.add(memory);
    else kept.splice(i, 1);
  }
  return { memories, steps: kept };
}

/** For each step, the temporaries that no later step uses. */
export function lastUses({ memories, steps }: Program): number[][] {
  const seen = new Set<number>();
  const ending: number[][] = steps.map(() => []);
  for (let i = steps.length - 1; i >= 0; i--) {
    for (const { memory } of [...steps[i].inputs, ...steps[i].outputs]) {
      if (seen.has(memory) || memories[memory].kind !== "temporary") continue;
      seen.add(memory);
      ending[i].push(memory);
    }
  }
  return ending;
}
