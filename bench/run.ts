/**
 * npm run bench -- [--only W1,W3] [--device auto|webgpu|cpu] [--json]
 *
 * Measures the engine and checks what it computed: medians with their range, beside hand-written code on the same adapter
 * where there is some, and what the work asks of WebGPU. docs/performance.md says how to read it. Progress goes to stderr;
 * Ctrl-C ends after the running sample.
 */
import { init } from "@pact/tensor";
import { benchArguments, UsageError } from "./arguments.ts";
import { rawDevice } from "./raw/device.ts";
import { type Place, resultLine } from "./result.ts";
import { workloads } from "./workloads/index.ts";
import type { Workload } from "./workloads/workload.ts";

// Mesa keeps compiled shaders on disk, and a second run would find the first one's.
process.env.MESA_SHADER_CACHE_DISABLE ??= "true";

const usage = `npm run bench -- [--only W1,W3] [--device auto|webgpu|cpu] [--json]

${workloads.map(({ name, description }) => `  ${name}  ${description}`).join("\n")}

Compare figures of one run only. --json ends with one line of JSON.`;

async function main(argv: readonly string[]): Promise<void> {
  const names = workloads.map(({ name }) => name);
  const { help, json, only, device } = benchArguments(argv, names);
  if (help) {
    console.log(usage);
    return;
  }
  const interrupt = new AbortController();
  process.once("SIGINT", () => interrupt.abort(new Error("Interrupted.")));
  const results: Record<string, unknown> = {};
  let place: Place | undefined;
  for (const workload of workloads.filter(({ name }) => only.includes(name))) {
    const { found, result } = await measured(workload, device, interrupt.signal, place === undefined);
    place = found;
    results[workload.name] = result;
  }
  if (!place) return;
  if (json) console.log(resultLine(place, results));
  else console.log(JSON.stringify(JSON.parse(resultLine(place, results)), null, 2));
}

/** One workload on a new device. */
async function measured(
  workload: Workload,
  kind: "auto" | "webgpu" | "cpu",
  signal: AbortSignal,
  first: boolean,
) {
  const device = await init({ device: kind, log: first ? console.error : undefined });
  const raw = device.kind === "webgpu" ? await rawDevice() : undefined;
  const progress = (line: string) => console.error(`${workload.name}  ${line}`);
  progress(workload.description);
  try {
    const result = await workload.measure({ device, raw, signal, progress });
    return { found: device.report, result };
  } finally {
    device.destroy();
    raw?.destroy();
  }
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof UsageError ? `${error.message} See --help.` : error);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
