/**
 * Counts what is asked of WebGPU by wrapping its methods, for any engine in the process: pipelines, dispatches, passes,
 * submits, bind groups, bytes written, and bytes of buffers alive. Counting costs time: nothing is timed meanwhile.
 */

/** What was asked of WebGPU since counting began. */
export interface Counts {
  pipelines: number;
  dispatches: number;
  passes: number;
  submits: number;
  bindGroups: number;
  buffers: number;
  /** By `writeBuffer`, in buffers mapped at creation, and as immediates. */
  bytesWritten: number;
  /** The most bytes that buffers made since then had at one time. */
  peakBufferBytes: number;
}

export interface Counter {
  readonly counts: Counts;
  /** Puts the methods back. */
  stop(): void;
}

type Method = (...values: never[]) => unknown;

/**
 * Counts until `stop`, whatever device the calls are on.
 *
 * @param device any device of the process: its classes are those of all
 */
export function countCalls(device: GPUDevice): Counter {
  const counts: Counts = {
    pipelines: 0,
    dispatches: 0,
    passes: 0,
    submits: 0,
    bindGroups: 0,
    buffers: 0,
    bytesWritten: 0,
    peakBufferBytes: 0,
  };
  const alive = new WeakMap<GPUBuffer, number>();
  let bufferBytes = 0;
  const undo: (() => void)[] = [];
  const wrap = (
    instance: object,
    name: string,
    note: (values: never[], result: unknown, self: object) => void,
  ) => {
    const prototype = Object.getPrototypeOf(instance) as Record<string, Method>;
    const original = prototype[name];
    if (original === undefined) return;
    prototype[name] = function (this: object, ...values: never[]) {
      const result = original.apply(this, values);
      note(values, result, this);
      return result;
    };
    undo.push(() => {
      prototype[name] = original;
    });
  };
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  const buffer = device.createBuffer({ size: 4, usage: copyDestination });
  wrap(device, "createComputePipeline", () => counts.pipelines++);
  wrap(device, "createComputePipelineAsync", () => counts.pipelines++);
  wrap(device, "createBindGroup", () => counts.bindGroups++);
  wrap(device, "createBuffer", ([descriptor]: GPUBufferDescriptor[], made) => {
    counts.buffers++;
    if (descriptor.mappedAtCreation) counts.bytesWritten += descriptor.size;
    alive.set(made as GPUBuffer, descriptor.size);
    bufferBytes += descriptor.size;
    counts.peakBufferBytes = Math.max(counts.peakBufferBytes, bufferBytes);
  });
  wrap(buffer, "destroy", (_, __, self) => {
    bufferBytes -= alive.get(self as GPUBuffer) ?? 0;
    alive.delete(self as GPUBuffer);
  });
  wrap(device.queue, "submit", () => counts.submits++);
  wrap(device.queue, "writeBuffer", ([, , data, offset, size]: never[]) => {
    counts.bytesWritten += writtenBytes(data, offset, size);
  });
  wrap(encoder, "beginComputePass", () => counts.passes++);
  wrap(pass, "dispatchWorkgroups", () => counts.dispatches++);
  wrap(pass, "dispatchWorkgroupsIndirect", () => counts.dispatches++);
  wrap(pass, "setImmediates", ([, data, offset, size]: never[]) => {
    counts.bytesWritten += writtenBytes(data, offset, size);
  });
  pass.end();
  encoder.finish();
  buffer.destroy();
  const stop = () => {
    for (const restore of undo) restore();
  };
  return { counts, stop };
}

/** What one call of `work` asks of WebGPU. */
export async function countedOnce(device: GPUDevice, work: () => Promise<unknown>): Promise<Counts> {
  const { counts, stop } = countCalls(device);
  try {
    await work();
  } finally {
    stop();
  }
  return counts;
}

/** `GPUBufferUsage.COPY_DST`, which Node does not define. */
const copyDestination = 8;

/** Bytes of `data` from `offset` for `size`: elements of a typed array, bytes of a buffer. */
function writtenBytes(data: ArrayBuffer | ArrayBufferView, offset = 0, size?: number): number {
  const unit = "BYTES_PER_ELEMENT" in data ? Number(data.BYTES_PER_ELEMENT) : 1;
  return size === undefined ? data.byteLength - offset * unit : size * unit;
}
