/**
 * npx tsx --conditions=source bench/kernels/profile.ts [W1 | W3 | W3-eager, default W3]
 *
 * Where the time of a workload goes, kernel by kernel: each start gets a compute pass of its own between two timestamps.
 * It wraps the WebGPU objects and knows nothing of the engine. Leaves out what the host does.
 */
import { acquireAdapter, type Device, init } from "@pact/tensor";
import { product } from "../workloads/matmul.ts";
import { batch } from "../workloads/model.ts";
import { training } from "../workloads/training.ts";

/** Starts measured in one run of the workload. */
const maxStarts = 2048;

interface Start {
  label: string;
  groups: number;
}

const found = await acquireAdapter();
if (!found.adapter) throw new Error(found.report.why);
if (!found.adapter.features.has("timestamp-query")) throw new Error("This adapter has no timestamps.");
const adapters = Object.getPrototypeOf(found.adapter) as GPUAdapter;
const { requestDevice } = adapters;
let gpu: GPUDevice | undefined;
let starts: Start[] = [];
let queries: GPUQuerySet | undefined;

/** The passes of `encoder`, one per start. */
function timed(encoder: GPUCommandEncoder): GPUCommandEncoder {
  const begin = encoder.beginComputePass.bind(encoder);
  encoder.beginComputePass = () => {
    let pipeline: GPUComputePipeline | undefined;
    let binding: [GPUBindGroup, number[]?] | undefined;
    let immediates: [number, Uint32Array<ArrayBuffer>] | undefined;
    return {
      setPipeline: (next: GPUComputePipeline) => {
        pipeline = next;
      },
      setBindGroup: (_index: number, group: GPUBindGroup, offsets?: number[]) => {
        binding = offsets ? [group, offsets] : [group];
        immediates = undefined;
      },
      setImmediates: (offset: number, words: Uint32Array<ArrayBuffer>) => {
        immediates = [offset, words];
      },
      dispatchWorkgroups: (x: number, y = 1, z = 1) => {
        if (!pipeline || !binding || !queries || starts.length >= maxStarts)
          throw new Error("too many starts");
        const n = 2 * starts.length;
        const pass = begin({
          timestampWrites: { querySet: queries, beginningOfPassWriteIndex: n, endOfPassWriteIndex: n + 1 },
        });
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, ...binding);
        if (immediates) pass.setImmediates(...immediates);
        pass.dispatchWorkgroups(x, y, z);
        pass.end();
        starts.push({ label: pipeline.label, groups: x * y * z });
      },
      end: () => undefined,
    } as unknown as GPUComputePassEncoder;
  };
  return encoder;
}

adapters.requestDevice = async function (this: GPUAdapter, options: GPUDeviceDescriptor = {}) {
  const requiredFeatures = [...(options.requiredFeatures ?? []), "timestamp-query" as GPUFeatureName];
  const device = await requestDevice.call(this, { ...options, requiredFeatures });
  const create = device.createCommandEncoder.bind(device);
  device.createCommandEncoder = (descriptor) => timed(create(descriptor));
  queries = device.createQuerySet({ type: "timestamp", count: 2 * maxStarts });
  gpu = device;
  return device;
} as typeof requestDevice;

/** Nanoseconds of each start since the last call. */
async function durations(device: GPUDevice, set: GPUQuerySet): Promise<number[]> {
  const size = 16 * maxStarts;
  const resolved = device.createBuffer({ size, usage: 0x200 | 0x4 }); // QUERY_RESOLVE | COPY_SRC
  const mapped = device.createBuffer({ size, usage: 0x1 | 0x8 }); // MAP_READ | COPY_DST
  const encoder = device.createCommandEncoder();
  encoder.resolveQuerySet(set, 0, 2 * starts.length, resolved, 0);
  encoder.copyBufferToBuffer(resolved, 0, mapped, 0, size);
  device.queue.submit([encoder.finish()]);
  await mapped.mapAsync(0x1);
  const times = new BigUint64Array(mapped.getMappedRange().slice(0));
  resolved.destroy();
  mapped.destroy();
  return starts.map((_, n) => Number(times[2 * n + 1] - times[2 * n]));
}

const name = process.argv[2] ?? "W3";
const workloads: Record<string, (device: Device) => () => Promise<unknown>> = {
  W1: (device) => product(device, 1024).work,
  W3: (device) => training(device, "captured").stepOn(batch()),
  "W3-eager": (device) => training(device, "eager").stepOn(batch()),
};
if (!(name in workloads)) throw new Error(`There are ${Object.keys(workloads).join(", ")}.`);
const device = await init();
if (!gpu || !queries) throw new Error("init() asked for no device.");
const run = workloads[name](device);
const runs: { start: Start; nanoseconds: number }[][] = [];
for (let k = 0; k < 6; k++) {
  starts = [];
  const began = performance.now();
  const cpu = process.cpuUsage();
  await run();
  const { user, system } = process.cpuUsage(cpu);
  const wall = performance.now() - began;
  const times = await durations(gpu, queries);
  runs.push(starts.map((start, n) => ({ start, nanoseconds: times[n] })));
  console.log(
    `run ${k}: ${wall.toFixed(0)} ms, ${((user + system) / 1000).toFixed(0)} ms of processors, ${starts.length} starts, ${(times.reduce((a, b) => a + b, 0) / 1e6).toFixed(1)} ms in kernels, ` +
      `peak ${(device.memory().peakBytes / 2 ** 20).toFixed(1)} MiB`,
  );
}
// The fastest of the later runs of each start: what other programs take does not count.
const [first, ...later] = runs;
const rows = new Map<string, { count: number; nanoseconds: number; first: number }>();
later[0].forEach(({ start }, n) => {
  const key = `${start.label}  ×${start.groups} groups`;
  const row = rows.get(key) ?? { count: 0, nanoseconds: 0, first: 0 };
  row.count++;
  row.first += first[n].nanoseconds;
  row.nanoseconds += Math.min(...later.map((r) => r[n].nanoseconds));
  rows.set(key, row);
});
const total = [...rows.values()].reduce((sum, r) => sum + r.nanoseconds, 0);
for (const [key, { count, nanoseconds, first }] of [...rows].sort(
  (a, b) => b[1].nanoseconds - a[1].nanoseconds,
)) {
  console.log(
    `${(nanoseconds / 1e6).toFixed(2).padStart(9)} ms ${((100 * nanoseconds) / total).toFixed(1).padStart(5)} %  ${String(count).padStart(3)}×  ${key}, ${(first / 1e6).toFixed(0)} ms in the first run`,
  );
}
console.log(`${(total / 1e6).toFixed(2).padStart(9)} ms in all`);
device.destroy();
