/**
 * Collects kernel starts into one compute pass and submits them together. Parameters of all starts lie in one uniform
 * buffer, written once per submission and addressed by dynamic offsets, so a start costs no buffer and, with the bind
 * group cache, usually no bind group.
 */

import type { BackendStats } from "../backend.ts";
import { BufferPool, type PooledBuffer } from "./buffers.ts";
import { workgroupSize } from "./codegen.ts";
import { BufferUsage } from "./flags.ts";
import type { KernelCall, ParamType } from "./kernel.ts";
import { type Pipeline, PipelineCache } from "./pipelines.ts";

/** Bytes of parameters per start: the largest alignment that WebGPU may ask of dynamic offsets. */
const slotBytes = 256;
/** Starts per submission: enough to amortise it, few enough that the device begins while the host goes on. */
const slots = 512;
/** Bind groups kept; all are dropped when the cache is full. */
const maxBindGroups = 16384;

export class CommandQueue {
  readonly pool: BufferPool;
  readonly stats: BackendStats;
  private readonly device: GPUDevice;
  private readonly pipelines: PipelineCache;
  private readonly uniforms: GPUBuffer;
  private readonly staging = new ArrayBuffer(slotBytes * slots);
  private readonly words = new Uint32Array(this.staging);
  private readonly floats = new Float32Array(this.staging);
  private readonly bindGroups = new Map<string, GPUBindGroup>();
  private encoder: GPUCommandEncoder | undefined;
  private pass: GPUComputePassEncoder | undefined;
  private used = 0;

  constructor(device: GPUDevice, stats: BackendStats) {
    this.device = device;
    this.stats = stats;
    this.pool = new BufferPool(device, () => {
      this.flush();
      this.bindGroups.clear();
    });
    this.pipelines = new PipelineCache(device, stats);
    const usage = BufferUsage.UNIFORM | BufferUsage.COPY_DST;
    this.uniforms = device.createBuffer({ size: slotBytes * slots, usage });
  }

  /** A buffer that a host write may fill at once: no command waiting for submission uses it. */
  acquireForWrite(bytes: number): PooledBuffer {
    return this.pool.acquire(bytes, true);
  }

  /** Starts a kernel. */
  dispatch(call: KernelCall): void {
    if (call.count === 0) return;
    const pipeline = this.pipelines.get(call);
    const buffers = call.buffers.map((t) => this.pool.entry(t.storage.handle as GPUBuffer));
    buffers.forEach((b, k) => {
      if (b.lost) throw b.lost;
      this.use(b, pipeline.writes[k]);
    });
    const groups = Math.ceil(call.count / workgroupSize);
    const limit = this.device.limits.maxComputeWorkgroupsPerDimension;
    const width = Math.min(groups, limit);
    this.writeParams(pipeline.params, call, width);
    this.pass ??= this.begin().beginComputePass();
    this.pass.setPipeline(pipeline.pipeline);
    this.pass.setBindGroup(0, this.bindGroup(pipeline, buffers), [this.used * slotBytes]);
    this.pass.dispatchWorkgroups(width, Math.ceil(groups / width));
    this.stats.dispatches++;
    this.used++;
    if (this.used === slots) this.flush();
  }

  private use(buffer: PooledBuffer, write: boolean): void {
    buffer.lastUse = this.pool.serial;
    if (write) buffer.lastWrite = this.pool.serial;
  }

  private begin(): GPUCommandEncoder {
    this.encoder ??= this.device.createCommandEncoder();
    return this.encoder;
  }

  private writeParams(types: readonly ParamType[], call: KernelCall, width: number): void {
    const at = (this.used * slotBytes) / 4;
    this.words[at] = call.count;
    this.words[at + 1] = width;
    for (let k = 0; k < types.length; k++) {
      if (types[k] === "f32") this.floats[at + 2 + k] = call.params[k];
      else this.words[at + 2 + k] = call.params[k];
    }
  }

  private bindGroup(pipeline: Pipeline, buffers: readonly PooledBuffer[]): GPUBindGroup {
    let name = `${pipeline.id}`;
    for (const b of buffers) name += `,${b.id}`;
    const cached = this.bindGroups.get(name);
    if (cached) return cached;
    if (this.bindGroups.size >= maxBindGroups) this.bindGroups.clear();
    const group = this.device.createBindGroup({
      layout: pipeline.layout,
      entries: [
        ...buffers.map((b, k) => ({ binding: k, resource: { buffer: b.buffer } })),
        { binding: buffers.length, resource: { buffer: this.uniforms, size: slotBytes } },
      ],
    });
    this.stats.bindGroups++;
    this.bindGroups.set(name, group);
    return group;
  }

  /** Fills a whole buffer with zeros. */
  clear(buffer: GPUBuffer): void {
    this.use(this.pool.entry(buffer), true);
    this.endPass();
    this.begin().clearBuffer(buffer);
  }

  /** Copies bytes to a mappable buffer and submits; returns the submission's number. */
  copyOut(source: GPUBuffer, offset: number, target: GPUBuffer, bytes: number): number {
    const { serial } = this.pool;
    this.endPass();
    this.begin().copyBufferToBuffer(source, offset, target, 0, bytes);
    this.flush();
    return serial;
  }

  private endPass(): void {
    this.pass?.end();
    this.pass = undefined;
  }

  /** Hands everything collected so far to the device. */
  flush(): void {
    if (!this.encoder) return;
    this.endPass();
    if (this.used > 0)
      this.device.queue.writeBuffer(this.uniforms, 0, this.staging, 0, this.used * slotBytes);
    this.device.queue.submit([this.encoder.finish()]);
    this.encoder = undefined;
    this.used = 0;
    this.pool.serial++;
    this.stats.submits++;
  }
}
