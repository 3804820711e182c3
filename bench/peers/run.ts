/**
 * npm run bench:peers -- [--only W1,W3] [--json]
 *
 * This engine beside jax-js and TensorFlow.js on the same adapter, each in a process of its own, in turn; installs them
 * here first where they are missing. docs/performance.md says how to read it.
 */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { acquireAdapter } from "@pact/tensor";
import { benchArguments, UsageError } from "../arguments.ts";
import { resultLine } from "../result.ts";
import { described } from "../workloads/workload.ts";
import { type CaseName, type EngineName, engineNames, peerWorkloads, type WorkloadName } from "./case.ts";
import { type Comparison, compared } from "./comparison.ts";
import { EngineProcess } from "./messages.ts";

// Mesa keeps compiled shaders on disk, and a second run would find the first one's.
process.env.MESA_SHADER_CACHE_DISABLE ??= "true";

/** Timed runs of each engine. */
const rounds: Record<WorkloadName, number> = { W1: 9, W2: 9, W3: 5, W4: 1, W5: 3, W6: 9 };

const usage = `npm run bench:peers -- [--only W1,W3] [--json]

  W1  matmul 512³ and 1024³
  W2  softmax [4096, 512], layerNorm [4096, 256], gelu chain of 1M
  W3  training step of the GPT
  W4  training steps over 16 lengths: the first pass (firstSeconds) and the second; takes many minutes
  W5  decoding, batch 8, 64 tokens
  W6  1000 additions of 256 numbers

Compare figures of one run only. --json ends with one line of JSON.`;

async function main(argv: readonly string[]): Promise<void> {
  const names = Object.keys(peerWorkloads) as WorkloadName[];
  const { help, json, only, device } = benchArguments(argv, names);
  if (help) {
    console.log(usage);
    return;
  }
  if (device === "cpu") throw new UsageError("The engines are compared on WebGPU.");
  const { adapter, report } = await acquireAdapter();
  if (!adapter) throw new Error(report.why);
  console.error(report.why);
  install();
  const interrupt = new AbortController();
  process.once("SIGINT", () => interrupt.abort(new Error("Interrupted.")));
  const results: Record<string, unknown> = {};
  for (const name of names.filter((name) => only.includes(name)))
    results[name] = await workload(name, interrupt.signal);
  const line = resultLine(report, results);
  console.log(json ? line : JSON.stringify(JSON.parse(line), null, 2));
}

/** Installs the other engines where they are missing. */
function install(): void {
  const cwd = import.meta.dirname;
  if (existsSync(`${cwd}/node_modules/@jax-js/jax`) && existsSync(`${cwd}/node_modules/@tensorflow/tfjs`))
    return;
  console.error("npm ci in bench/peers");
  // Output on stdout would stand before the line of JSON.
  execFileSync("npm", ["ci", "--ignore-scripts"], { cwd, stdio: ["ignore", "ignore", "inherit"] });
}

/** One workload in new processes: `{ours, jaxjs, tfjs, timesFaster}`, by case where there are several. */
async function workload(name: WorkloadName, signal: AbortSignal): Promise<Record<string, unknown>> {
  const started = new Map<EngineName, EngineProcess>();
  try {
    for (const engine of engineNames) started.set(engine, await EngineProcess.start(engine));
    const engines = Object.fromEntries(started) as Record<EngineName, EngineProcess>;
    const found: [CaseName, Comparison][] = [];
    for (const of of peerWorkloads[name]) {
      const comparison = await compared(of, engines, rounds[name], signal);
      for (const line of lines(comparison)) console.error(`${name}  ${of}  ${line}`);
      found.push([of, comparison]);
    }
    if (found.length === 1) return found[0][1];
    const parts = [...engineNames, "timesFaster"] as const;
    const byCase = (part: (typeof parts)[number]) =>
      Object.fromEntries(found.map(([of, comparison]) => [of, comparison[part]]));
    return Object.fromEntries(parts.map((part) => [part, byCase(part)]));
  } finally {
    for (const process of started.values()) process.stop();
  }
}

/** "jaxjs: 57.33 ms [55.10–60.20], first 0.34 s: 2.31 times as long, 2.40 times the processor time". */
function lines(comparison: Comparison): string[] {
  return engineNames.map((engine) => {
    const figures = comparison[engine];
    if ("error" in figures) return `${engine}: ${figures.error.split("\n")[0]}`;
    const ratios = comparison.timesFaster[engine];
    const times = `${engine}: ${described(figures)}, first ${figures.firstSeconds.toFixed(2)} s`;
    return ratios
      ? `${times}: ${ratios.time.toFixed(2)} times as long, ${ratios.processor.toFixed(2)} times the processor time`
      : times;
  });
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof UsageError ? `${error.message} See --help.` : error);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
