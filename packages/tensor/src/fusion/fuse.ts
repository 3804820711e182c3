/**
 * Fusion: a recording with fewer, larger steps. Chains and graphs of elementwise operations, their broadcasts, casts and
 * copies, and the reductions behind them become single kernels with as many outputs as others need; what nobody else reads
 * is not stored at all. Forward and backward are steps like any others.
 */
import type { Program } from "../capture/program.ts";
import { Grouping } from "./groups.ts";
import { placeProducts } from "./placing.ts";
import { joinProducts } from "./products.ts";

/**
 * The program with steps fused where one kernel can do them. Every value that is read outside, or by a step that was not
 * fused, is computed as before, but for the order in which long sums are added up.
 */
export function fuse(recorded: Program): Program {
  const program = placeProducts(joinProducts(recorded));
  // What a chain needs halfway may be more than one kernel binds, and what it needs in the end less: whole chains first.
  const chains = new Grouping(program, false);
  chains.mergeChains();
  const grouping = new Grouping(program, true, chains.fitting());
  grouping.mergeChains();
  grouping.mergeNeighbours();
  grouping.mergeTotals();
  grouping.attachResiduals();
  grouping.attachEpilogues();
  return { memories: program.memories, steps: grouping.steps() };
}
