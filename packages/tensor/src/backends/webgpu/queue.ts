/**
 * Collects kernel starts into one compute pass and submits them together. A start's parameters travel inside the command
 * (immediates) where the device has room for them. The others lie in one uniform buffer, written once per submission and
 * addressed by dynamic offsets. So a start costs no buffer and, with the bind group cache, usually no bind group.
 */

import type { BackendStats } from "../backend.ts";
import { BufferPool, type PooledBuffer } from "./buffers.ts";
import { BufferUsage } from "./flags.ts";
import type { KernelCall } from "./kernel.ts";
import { type Grid, gridOf, type Words, wordsOf, writeParams } from "./params.ts";
import { type OnPipeline, type Pipeline, PipelineCache } from "./pipelines.ts";

/** Bytes of parameters per start in the uniform buffer: the largest alignment that WebGPU may ask of dynamic offsets. */
export const slotBytes = 256;
/** Starts per submission: enough to amortise it, few enough that the device begins while the host goes on. */
const slots = 512;
/** Commands kept for pipelines that are being built. */
const maxWaiting = 8192;
/** Bind groups kept; all are dropped when the cache is full. */
const maxBindGroups = 16384;

export class CommandQueue {
  readonly pool: BufferPool;
  readonly stats: BackendStats;
  private readonly device: GPUDevice;
  readonly pipelines: PipelineCache;
  private readonly uniforms: GPUBuffer;
  private readonly staging = new Uint32Array((slotBytes * slots) / 4);
  /** The parameters of one start, and views of their first n words. */
  private readonly words: Words = wordsOf(slotBytes / 4);
  private readonly firstWords: Uint32Array<ArrayBuffer>[];
  private readonly bindGroups = new Map<string, GPUBindGroup>();
  private readonly maxGroups: number;
  private encoder: GPUCommandEncoder | undefined;
  private pass: GPUComputePassEncoder | undefined;
  /** The pipeline set in the pass. */
  private current: Pipeline | undefined;
  /** Commands behind a pipeline that is still being built, in order. */
  private readonly waiting: (() => void)[] = [];
  private started = 0;
  /** Uniform slots taken. */
  private used = 0;

  constructor(device: GPUDevice, stats: BackendStats, onPipeline?: OnPipeline) {
    this.device = device;
    this.stats = stats;
    this.maxGroups = device.limits.maxComputeWorkgroupsPerDimension;
    this.pool = new BufferPool(device, () => {
      this.flush();
      this.bindGroups.clear();
    });
    this.pipelines = new PipelineCache(device, stats, onPipeline);
    const usage = BufferUsage.UNIFORM | BufferUsage.COPY_DST;
    this.uniforms = device.createBuffer({ size: slotBytes * slots, usage });
    this.firstWords = Array.from({ length: slotBytes / 4 + 1 }, (_, n) => this.words.integers.subarray(0, n));
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
    const grid = this.gridOf(call.count);
    const { params } = pipeline;
    writeParams(this.words, 0, params, call, grid);
    this.start(pipeline, this.bindGroup(pipeline, buffers), this.firstWords[2 + params.length], grid);
    this.settle();
  }

  gridOf(count: number): Grid {
    return gridOf(count, this.maxGroups);
  }

  /** Starts a kernel whose bind group and parameters are ready. */
  start(pipeline: Pipeline, group: GPUBindGroup, words: Uint32Array<ArrayBuffer>, grid: Grid): void {
    this.stats.dispatches++;
    if (pipeline.built && this.waiting.length === 0) {
      this.encode(pipeline, group, words, grid);
      return;
    }
    const own = words.slice();
    this.waiting.push(() => this.encode(pipeline, group, own, grid));
  }

  private encode(pipeline: Pipeline, group: GPUBindGroup, words: Uint32Array<ArrayBuffer>, grid: Grid): void {
    if (this.used === slots) this.submit();
    this.pass ??= this.begin().beginComputePass();
    if (this.current !== pipeline) this.pass.setPipeline(this.pipelines.now(pipeline));
    this.current = pipeline;
    if (pipeline.immediates) {
      this.pass.setBindGroup(0, group);
      this.pass.setImmediates(0, words);
    } else {
      const offset = this.used * slotBytes;
      this.staging.set(words, offset / 4);
      this.pass.setBindGroup(0, group, [offset]);
      this.used++;
    }
    this.pass.dispatchWorkgroups(grid.width, grid.height);
    this.started++;
  }

  /** Submits if enough has been collected; between operations and between replays, so that a replay is one submission. */
  settle(): void {
    if (this.waiting.length === 0 ? this.started >= slots : this.waiting.length >= maxWaiting) this.flush();
  }

  /** Notes that the commands being collected use a buffer. */
  use(buffer: PooledBuffer, write: boolean): void {
    buffer.lastUse = this.pool.serial;
    if (write) buffer.lastWrite = this.pool.serial;
  }

  private begin(): GPUCommandEncoder {
    this.encoder ??= this.device.createCommandEncoder();
    return this.encoder;
  }

  /** The bind group of a pipeline and buffers, made once. */
  bindGroup(pipeline: Pipeline, buffers: readonly PooledBuffer[]): GPUBindGroup {
    let name = `${pipeline.id}`;
    for (const b of buffers) name += `,${b.id}`;
    const cached = this.bindGroups.get(name);
    if (cached) return cached;
    if (this.bindGroups.size >= maxBindGroups) this.bindGroups.clear();
    const group = this.device.createBindGroup({
      layout: pipeline.layout,
      entries: [
        ...buffers.map((b, k) => ({ binding: k, resource: { buffer: b.buffer } })),
        ...(pipeline.immediates
          ? []
          : [{ binding: buffers.length, resource: { buffer: this.uniforms, size: slotBytes } }]),
      ],
    });
    this.stats.bindGroups++;
    this.bindGroups.set(name, group);
    return group;
  }

  /** Fills a whole buffer with zeros. */
  clear(buffer: GPUBuffer): void {
    this.use(this.pool.entry(buffer), true);
    this.inOrder(() => {
      this.endPass();
      this.begin().clearBuffer(buffer);
    });
  }

  /** Copies whole words from one buffer to another. */
  copy(source: PooledBuffer, from: number, target: PooledBuffer, to: number, bytes: number): void {
    for (const { lost } of [source, target]) if (lost) throw lost;
    this.use(source, false);
    this.use(target, true);
    this.inOrder(() => {
      this.endPass();
      this.begin().copyBufferToBuffer(source.buffer, from, target.buffer, to, bytes);
      this.started++;
    });
    this.settle();
  }

  /** Copies bytes to a mappable buffer, after what was asked for before, and submits; gives the submission's number. */
  async copyOut(source: PooledBuffer, offset: number, target: GPUBuffer, bytes: number): Promise<number> {
    let serial = this.pool.serial;
    this.use(source, false);
    this.inOrder(() => {
      serial = this.pool.serial;
      this.endPass();
      this.begin().copyBufferToBuffer(source.buffer, offset, target, 0, bytes);
    });
    await this.finish();
    return serial;
  }

  /** Submits everything, once its pipelines are built and the GPU has said whether it has the memory. */
  async finish(): Promise<void> {
    if (this.waiting.length > 0) await Promise.all([this.pipelines.settled(), this.pool.settled()]);
    this.flush();
  }

  /** Runs `command`, or keeps it behind those that wait for pipelines. */
  private inOrder(command: () => void): void {
    if (this.waiting.length > 0) this.waiting.push(command);
    else command();
  }

  private endPass(): void {
    this.pass?.end();
    this.pass = undefined;
    this.current = undefined;
  }

  /** Hands everything collected so far to the device; pipelines that are not built yet are built at once. */
  flush(): void {
    for (const command of this.waiting.splice(0)) command();
    this.submit();
  }

  private submit(): void {
    if (!this.encoder) return;
    this.endPass();
    if (this.used > 0)
      this.device.queue.writeBuffer(this.uniforms, 0, this.staging.buffer, 0, this.used * slotBytes);
    this.device.queue.submit([this.encoder.finish()]);
    this.encoder = undefined;
    this.used = 0;
    this.started = 0;
    this.pool.serial++;
    this.stats.submits++;
  }
}
