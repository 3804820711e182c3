/** Every planted mistake. */
import { elementwiseMutants } from "./elementwise.ts";
import type { Mutant } from "./mutant.ts";
import { networkMutants } from "./network.ts";
import { structureMutants } from "./structure.ts";

export const mutants: readonly Mutant[] = [...elementwiseMutants, ...structureMutants, ...networkMutants];
