/**
 * Compute pipelines by kernel key. Building one costs 0.1–0.6 s on software adapters, so keys never contain sizes and
 * nothing is ever built twice.
 */

import { ShapeError } from "../../errors.ts";
import type { BackendStats } from "../backend.ts";
import { moduleText, paramBytes } from "./codegen.ts";
import { ShaderStage } from "./flags.ts";
import type { KernelCall, ParamType } from "./kernel.ts";

/** Parameters of a kernel beside `count` and `gridWidth`: what fits into one 256-byte slot (queue.ts). */
const maxParams = 62;

export interface Pipeline {
  readonly id: number;
  readonly pipeline: GPUComputePipeline;
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

  constructor(device: GPUDevice, stats: BackendStats) {
    this.device = device;
    this.stats = stats;
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
    const pipeline = this.device.createComputePipeline({
      label: call.key,
      layout: this.device.createPipelineLayout({
        bindGroupLayouts: [layout],
        ...(immediates ? { immediateSize: bytes } : {}),
      }),
      compute: {
        module: this.device.createShaderModule({ label: call.key, code: moduleText(source, immediates) }),
        entryPoint: "main",
      },
    });
    const made = {
      id: this.byKey.size,
      pipeline,
      layout,
      params: source.params.map((p) => p.type),
      immediates,
      writes: source.buffers.map((b) => b.write === true),
    };
    this.byKey.set(call.key, made);
    this.stats.pipelines++;
    return made;
  }
}
