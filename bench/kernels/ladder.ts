/**
 * The runner of the kernel ladders: rungs that compute the same, from the plainest to the fastest, measured in turn so that
 * a disturbance of the machine meets all of them. Prints one row a rung: its best time, the best time of the processors (on a
 * software adapter what other programs take does not count there), its rate by that, how it compares with the rung before,
 * its first run (that compiles), how far its result is from the first rung's, and the memory it takes at its peak.
 */
import { apply, createDevice, type Device, type KernelCall, type Op, scope, type Tensor } from "@pact/tensor";
import { seconds } from "../timing.ts";

/** One rung: a way to compute the result from the problem's inputs. */
export interface Rung {
  readonly name: string;
  /** `repeats` as the problem has it; rungs of several operations are for problems without. */
  run(inputs: readonly Tensor[], repeats?: number): Tensor;
}

/** One problem: its inputs, and how much work it is. */
export interface Problem {
  readonly name: string;
  readonly inputs: readonly Tensor[];
  readonly flops: number;
  /** How often a kernel starts between two waits for the device, 1 by default: what takes microseconds is measured many at a time. */
  readonly repeats?: number;
}

/** What was measured of a rung. */
interface Measured {
  readonly firstMs: number;
  readonly result: ArrayLike<number>;
  readonly peakMiB: number;
  ms: number;
  cpuMs: number;
}

const rounds = 9;

/** The device of a ladder. */
export async function ladderDevice(): Promise<Device> {
  const device = await createDevice({ device: "webgpu" });
  console.log(device.report.adapterName);
  return device;
}

/** A rung that is a kernel: its starts compute the product [..., m, n] of `inputs` a and b. */
export function kernelRung(
  name: string,
  calls: (inputs: readonly Tensor[], output: Tensor) => readonly KernelCall[],
): Rung {
  const op: Op<number> = {
    name,
    strided: true,
    infer: ([a, b]) => [{ shape: [...a.shape.slice(0, -1), b.shape[b.shape.length - 1]], dtype: "f32" }],
    webgpu: (inputs, [output], repeats) => {
      const once = calls(inputs, output);
      return Array.from({ length: repeats }, () => once).flat();
    },
  };
  return { name, run: (inputs, repeats = 1) => apply(op, inputs, repeats) };
}

/** Measures `rungs` on one problem and prints them. */
export async function climb(device: Device, problem: Problem, rungs: readonly Rung[]): Promise<void> {
  const { name, inputs, flops, repeats = 1 } = problem;
  console.log(`\n${name}\n      ms   cpu ms  GFLOP/s  × before  first ms  difference     MiB  rung`);
  const measured: Measured[] = [];
  for (const rung of rungs) {
    device.resetPeak();
    const { liveBytes } = device.memory();
    const y = scope(() => rung.run(inputs));
    const firstMs = 1000 * (await seconds(() => device.synchronize()));
    const peakMiB = (device.memory().peakBytes - liveBytes) / 2 ** 20;
    const result = await y.data();
    y.dispose();
    measured.push({
      firstMs,
      result,
      peakMiB,
      ms: Number.POSITIVE_INFINITY,
      cpuMs: Number.POSITIVE_INFINITY,
    });
  }
  for (let round = 0; round < rounds; round++) {
    for (const [n, rung] of rungs.entries()) {
      const before = process.cpuUsage();
      const taken = await seconds(async () => {
        const y = scope(() => rung.run(inputs, repeats));
        await device.synchronize();
        y.dispose();
      });
      const { user, system } = process.cpuUsage(before);
      const own = measured[n];
      own.ms = Math.min(own.ms, (1000 * taken) / repeats);
      own.cpuMs = Math.min(own.cpuMs, (user + system) / 1000 / repeats);
    }
  }
  for (const [n, { ms, cpuMs, firstMs, result, peakMiB }] of measured.entries()) {
    const columns = [
      ms.toFixed(repeats > 1 ? 4 : 2).padStart(8),
      cpuMs.toFixed(repeats > 1 ? 4 : 2).padStart(9),
      (flops / cpuMs / 1e6).toFixed(1).padStart(9),
      (n > 0 ? (measured[n - 1].cpuMs / cpuMs).toFixed(2) : "").padStart(10),
      firstMs.toFixed(0).padStart(10),
      difference(result, measured[0].result).toExponential(1).padStart(12),
      peakMiB.toFixed(1).padStart(8),
    ];
    console.log(`${columns.join("")}  ${rungs[n].name}`);
  }
}

function difference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let most = a.length === b.length ? 0 : Number.NaN;
  for (let i = 0; i < a.length; i++) most = Math.max(most, Math.abs(a[i] - b[i]));
  return most;
}
