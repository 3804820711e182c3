/**
 * The runner of the kernel ladders: rungs that compute the same, from the plainest kernel to the fastest, measured in turn
 * so that a disturbance of the machine meets all of them. Prints one row a rung: its time, its rate, how it compares with
 * the rung before, what its first run took (that compiles it), and how far its result is from the first rung's.
 */
import { apply, createDevice, type Device, type KernelCall, type Op, type Tensor } from "@pact/tensor";
import { seconds } from "../timing.ts";

/** One rung: the kernel starts that compute `output` from `inputs`. */
export interface Rung {
  readonly name: string;
  calls(inputs: readonly Tensor[], output: Tensor): readonly KernelCall[];
}

/** One problem: its inputs, the shape of its result, and how much work it is. */
export interface Problem {
  readonly name: string;
  readonly inputs: readonly Tensor[];
  readonly output: readonly number[];
  readonly flops: number;
}

/** Rounds of a ladder. */
const rounds = 9;

/** The device of all ladders. */
export async function ladderDevice(): Promise<Device> {
  const device = await createDevice({ device: "webgpu" });
  console.log(device.report.adapterName);
  return device;
}

function opOf({ name, calls }: Rung, shape: readonly number[]): Op<null> {
  return {
    name,
    strided: true,
    infer: () => [{ shape, dtype: "f32" }],
    webgpu: (inputs, [output]) => calls(inputs, output),
  };
}

/** Measures `rungs` on one problem; all must agree with the first. */
export async function climb(device: Device, problem: Problem, rungs: readonly Rung[]): Promise<void> {
  const { name, inputs, output, flops } = problem;
  console.log(`\n${name}\n      ms  cpu ms  GFLOP/s  × before  first ms  difference  rung`);
  const results = new Map<string, ArrayLike<number>>();
  const firsts = new Map<string, number>();
  const best = new Map<string, { ms: number; cpu: number }>();
  for (const rung of rungs) {
    const op = opOf(rung, output);
    const y = apply(op, inputs, null);
    firsts.set(rung.name, await seconds(() => device.synchronize()));
    results.set(rung.name, await y.data());
    y.dispose();
  }
  for (let round = 0; round < rounds; round++) {
    for (const rung of rungs) {
      const op = opOf(rung, output);
      const used = process.cpuUsage();
      const ms =
        1000 *
        (await seconds(async () => {
          const y = apply(op, inputs, null);
          await device.synchronize();
          y.dispose();
        }));
      const { user, system } = process.cpuUsage(used);
      const before = best.get(rung.name) ?? { ms, cpu: (user + system) / 1000 };
      best.set(rung.name, { ms: Math.min(ms, before.ms), cpu: Math.min((user + system) / 1000, before.cpu) });
    }
  }
  rungs.forEach(({ name }, n) => {
    const { ms, cpu } = best.get(name) ?? { ms: 0, cpu: 0 };
    const before = n > 0 ? ((best.get(rungs[n - 1].name)?.cpu ?? 0) / cpu).toFixed(2) : "";
    const columns = [
      ms.toFixed(2).padStart(8),
      cpu.toFixed(2).padStart(8),
      (flops / cpu / 1e6).toFixed(1).padStart(9),
      before.padStart(10),
      (1000 * (firsts.get(name) ?? 0)).toFixed(0).padStart(10),
      difference(results.get(name) ?? [], results.get(rungs[0].name) ?? [])
        .toExponential(1)
        .padStart(12),
    ];
    console.log(`${columns.join("")}  ${name}`);
  });
}

function difference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let most = a.length === b.length ? 0 : Number.NaN;
  for (let i = 0; i < a.length; i++) most = Math.max(most, Math.abs(a[i] - b[i]));
  return most;
}
