/**
 * A recording on the webgpu device: its kernel starts with pipelines, parameters and bind groups made once. Bind groups are
 * made anew where a buffer changed: inputs and results are other tensors at each call.
 */
import type { Program } from "../../capture/program.ts";
import { type Lifetime, planSlots, type SlotPlan } from "../../capture/slots.ts";
import type { Device } from "../../device.ts";
import { finiteValue, LiveScalar } from "../../live.ts";
import type { Bindings, Replay } from "../backend.ts";
import type { Arena } from "./arena.ts";
import type { PooledBuffer } from "./buffers.ts";
import type { ParamType } from "./kernel.ts";
import { lowered } from "./lower.ts";
import { type Grid, type Words, wordsOf, writeParams } from "./params.ts";
import type { Pipeline } from "./pipelines.ts";
import type { CommandQueue } from "./queue.ts";

/** A kernel start that is ready. */
interface Command {
  readonly pipeline: Pipeline;
  readonly memories: readonly number[];
  readonly words: Words;
  readonly grid: Grid;
  group: GPUBindGroup | undefined;
}

/** A parameter that is read anew: its scalar, and its place in a command's words. */
interface LiveWord {
  readonly scalar: LiveScalar;
  readonly type: ParamType;
  readonly words: Words;
  readonly at: number;
}

export class WebGpuReplay implements Replay {
  private readonly queue: CommandQueue;
  private readonly arena: Arena;
  private readonly commands: Command[] = [];
  private readonly live: LiveWord[] = [];
  private readonly plan: SlotPlan;
  /** The memories that commands bind, and those among them that some command writes. */
  private readonly used: readonly number[];
  private readonly written = new Set<number>();
  /** The buffer of each memory at the last run. */
  private buffers: PooledBuffer[] = [];

  constructor(queue: CommandQueue, arena: Arena, device: Device, program: Program) {
    this.queue = queue;
    this.arena = arena;
    const { calls, storages } = lowered(device, program);
    const lives = new Map<number, Lifetime>();
    calls.forEach(({ call, memories }, i) => {
      const pipeline = queue.pipelines.get(call);
      const grid = queue.gridOf(call.count);
      const words = wordsOf(2 + call.params.length);
      writeParams(words, 0, pipeline.params, call, grid);
      call.params.forEach((scalar, k) => {
        if (scalar instanceof LiveScalar)
          this.live.push({ scalar, type: pipeline.params[k], words, at: 2 + k });
      });
      this.commands.push({ pipeline, memories, words, grid, group: undefined });
      memories.forEach((memory, k) => {
        if (pipeline.writes[k]) this.written.add(memory);
        const { dtype, size } = storages[memory];
        const bytes = device.backend.byteLength(dtype, size);
        const first = lives.get(memory)?.first ?? i;
        lives.set(memory, { memory, bytes, first, last: i });
      });
    });
    this.used = [...lives.keys()];
    const kindOf = (memory: number) => program.memories.at(memory)?.kind ?? "temporary";
    this.plan = planSlots([...lives.values()].filter(({ memory }) => kindOf(memory) === "temporary"));
  }

  run(bindings: Bindings): void {
    const { queue } = this;
    // What can fail comes first: a step runs whole or not at all.
    for (const { scalar, type, words, at } of this.live) {
      const target = type === "f32" ? words.floats : words.integers;
      target[at] = finiteValue(scalar);
    }
    const stale = this.place(bindings);
    this.note();
    for (const command of this.commands) {
      const { pipeline, memories, words, grid } = command;
      if (!command.group || (stale.size > 0 && memories.some((memory) => stale.has(memory)))) {
        command.group = queue.bindGroup(
          pipeline,
          memories.map((memory) => this.buffers[memory]),
        );
      }
      queue.start(pipeline, command.group, words.integers, grid);
    }
    this.note();
    queue.settle();
  }

  /** Finds each memory's buffer; returns the memories whose buffer is another than at the last run. */
  private place(bindings: Bindings): Set<number> {
    const { pool } = this.queue;
    const slots = this.arena.take(this.plan.slots);
    const buffers: PooledBuffer[] = [];
    for (const memory of this.used) {
      const slot = this.plan.slotOf.get(memory);
      const buffer = slot === undefined ? pool.entry(bindings[memory] as GPUBuffer) : slots[slot];
      if (buffer.lost) throw buffer.lost;
      buffers[memory] = buffer;
    }
    const stale = new Set(this.used.filter((memory) => this.buffers.at(memory)?.id !== buffers[memory].id));
    this.buffers = buffers;
    return stale;
  }

  /** Tells the pool that the commands being collected use the buffers. */
  private note(): void {
    for (const memory of this.used) this.queue.use(this.buffers[memory], this.written.has(memory));
  }
}
