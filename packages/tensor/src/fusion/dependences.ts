/** Which steps of a recording must run before which: those that share elements that one of them writes. */
import type { Program, Value } from "../capture/program.ts";
import { overlap } from "./members.ts";

/** The places of the steps that touch each memory, in order. */
export function usersOf({ memories, steps }: Program): number[][] {
  const users: number[][] = memories.map(() => []);
  steps.forEach(({ inputs, outputs }, place) => {
    for (const memory of new Set([...inputs, ...outputs].map((v) => v.memory))) users[memory].push(place);
  });
  return users;
}

/** Pairs of places of which the first must run before the second. */
export function dependences(
  { memories, steps }: Program,
  users: readonly (readonly number[])[],
): [number, number][] {
  const pairs: [number, number][] = [];
  const of = (values: readonly Value[], memory: number) => values.filter((v) => v.memory === memory);
  const touch = (a: readonly Value[], b: readonly Value[]) => a.some((x) => b.some((y) => overlap(x, y)));
  for (const memory of memories.keys()) {
    const touching = users[memory].map((place) => {
      const writes = of(steps[place].outputs, memory);
      return { place, writes, all: [...of(steps[place].inputs, memory), ...writes] };
    });
    touching.forEach((later, k) => {
      for (const earlier of touching.slice(0, k))
        if (touch(earlier.writes, later.all) || touch(later.writes, earlier.all))
          pairs.push([earlier.place, later.place]);
    });
  }
  return pairs;
}
