/**
 * Compute pipelines by kernel key. Building one costs 0.1–0.6 s on software adapters, so keys never contain sizes and
 * nothing is ever built twice. They are built in the background, several at once: the queue keeps the commands that need
 * them until somebody waits for results.
 */

import { ShapeError } from "../../errors.ts";
import type { BackendStats } from "../backend.ts";
import { moduleText, paramBytes } from "./codegen.ts";
import { ShaderStage } from "./flags.ts";
import type { KernelCall, ParamType } from "./kernel.ts";

/** Parameters of a kernel beside `count` and `gridWidth`: what fits into one 256-byte slot (queue.ts). */
const maxParams = 62;

/** Told how many of the pipelines asked for so far are built. */
export type OnPipeline = (built: number, asked: number) => void;

export interface Pipeline {
  readonly id: number;
  readonly descriptor: GPUComputePipelineDescriptor;
  /** Undefined while it is being built. */
  built: GPUComputePipeline | undefined;
  readonly layout: GPUBindGroupLayout;
  readonly params: readonly ParamType[];
  /** True if its parameters travel inside the command; otherwise they lie in a uniform buffer at a dynamic offset. */
  readonly immediates: boolean;
  /** Which buffers it writes. */
  readonly writes: readonly boolean[];
}

export class PipelineCache {
  private readonly device: GPUDevice;
  private readonly stats: BackendStats;
  private readonly byKey = new Map<string, Pipeline>();
  private readonly onPipeline: OnPipeline | undefined;
  private readonly pending = new Set<Promise<void>>();
  /** Resolves when the device is lost: then it may never answer. */
  private readonly lost: Promise<void>;
  private gone = false;

  constructor(device: GPUDevice, stats: BackendStats, onPipeline?: OnPipeline) {
    this.device = device;
    this.stats = stats;
    this.onPipeline = onPipeline;
    this.lost = device.lost.then(() => {
      this.gone = true;
    });
  }

  /** Resolves when every pipeline asked for is built, or the device is lost. */
  async settled(): Promise<void> {
    while (this.pending.size > 0 && !this.gone) await Promise.race([Promise.all(this.pending), this.lost]);
  }

  /** The pipeline, at once. */
  now(pipeline: Pipeline): GPUComputePipeline {
    pipeline.built ??= this.device.createComputePipeline(pipeline.descriptor);
    return pipeline.built;
  }

  private build(pipeline: Pipeline): void {
    const building = this.device.createComputePipelineAsync(pipeline.descriptor).then(
      (built) => {
        pipeline.built ??= built;
      },
      // NOTE: built once more when it is needed, so that the device reports what is wrong as it does for any command.
      () => undefined,
    );
    const done = building.then(() => {
      this.pending.delete(done);
      this.onPipeline?.(this.stats.pipelines - this.pending.size, this.stats.pipelines);
    });
    this.pending.add(done);
  }

  get(call: KernelCall): Pipeline {
    const cached = this.byKey.get(call.key);
    if (cached) return cached;
    const source = call.source();
    if (source.params.length > maxParams) {
      throw new ShapeError(
        `${call.key} needs ${source.params.length} parameters, one start holds ${maxParams}: this view has too many dimensions that can not be merged. Copy it with reshape, or use fewer dimensions.`,
      );
    }
    const bytes = paramBytes(source);
    const immediates = bytes <= (this.device.limits.maxImmediateSize ?? 0);
    const layout = this.device.createBindGroupLayout({
      entries: [
        ...source.buffers.map((b, binding) => ({
          binding,
          visibility: ShaderStage.COMPUTE,
          buffer: { type: b.write ? ("storage" as const) : ("read-only-storage" as const) },
        })),
        ...(immediates
          ? []
          : [
              {
                binding: source.buffers.length,
                visibility: ShaderStage.COMPUTE,
                buffer: { type: "uniform" as const, hasDynamicOffset: true },
              },
            ]),
      ],
    });
    const descriptor = {
      label: call.key,
      layout: this.device.createPipelineLayout({
        bindGroupLayouts: [layout],
        ...(immediates ? { immediateSize: bytes } : {}),
      }),
      compute: {
        module: this.device.createShaderModule({ label: call.key, code: moduleText(source, immediates) }),
        entryPoint: "main",
      },
    };
    const made: Pipeline = {
      id: this.byKey.size,
      descriptor,
      built: undefined,
      layout,
      params: source.params.map((p) => p.type),
      immediates,
      writes: source.buffers.map((b) => b.write === true),
    };
    this.byKey.set(call.key, made);
    this.stats.pipelines++;
    this.build(made);
    return made;
  }
}
