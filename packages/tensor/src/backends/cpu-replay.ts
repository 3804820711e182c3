/** Runs a recording on the cpu device: the plain loops of its steps, one after another. */

import type { Program, Value } from "../capture/program.ts";
import { lastUses } from "../capture/prune.ts";
import { allocate, type TypedArray } from "../dtype.ts";
import { finiteValue, LiveScalar } from "../live.ts";
import type { HostView } from "../op.ts";
import type { BackendStats, Bindings, Replay } from "./backend.ts";

export class CpuReplay implements Replay {
  private readonly program: Program;
  private readonly stats: BackendStats;
  private readonly ending: readonly number[][];
  private readonly live: readonly LiveScalar[];

  constructor(program: Program, stats: BackendStats) {
    this.program = program;
    this.stats = stats;
    this.ending = lastUses(program);
    const attributes = program.steps.flatMap(({ attrs }) => Object.values(attrs ?? {}) as unknown[]);
    this.live = attributes.filter((value) => value instanceof LiveScalar);
  }

  run(bindings: Bindings): void {
    const { memories, steps } = this.program;
    // What can fail comes first: a step runs whole or not at all.
    for (const scalar of this.live) finiteValue(scalar);
    // Temporaries are made where they are first used: outputs of the reference begin as zeros.
    const arrays = bindings.slice() as (TypedArray | undefined)[];
    const view = ({ memory, shape, strides, offset, dtype }: Value): HostView => {
      arrays[memory] ??= allocate(dtype, memories[memory].size);
      return { data: arrays[memory], shape, strides, offset, dtype };
    };
    steps.forEach(({ op, inputs, outputs, attrs }, i) => {
      this.stats.dispatches++;
      op.cpu?.(inputs.map(view), outputs.map(view), attrs);
      for (const memory of this.ending[i]) arrays[memory] = undefined;
    });
  }
}
