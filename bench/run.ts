/**
 * npm run bench -- [--only W1-512,W3] [--device auto|webgpu|cpu] [--json]
 *
 * Medians with their spread on one adapter in one run, and what one unit of work costs in pipelines, dispatches and
 * submissions. Compare figures of one run only: absolute times vary with the machine.
 */
import { execFileSync } from "node:child_process";
import { parseArgs } from "node:util";
import { init } from "@pact/tensor";
import { Bench } from "tinybench";
import { workloads } from "./workloads.ts";

const { values } = parseArgs({
  options: {
    only: { type: "string" },
    device: { type: "string", default: "auto" },
    json: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});
if (values.help) {
  console.log("npm run bench -- [--only name,name] [--device auto|webgpu|cpu] [--json]\n");
  for (const w of workloads) console.log(`  ${w.name.padEnd(8)} ${w.description}`);
  process.exit(0);
}
const wanted = values.only?.split(",");
const unknown = wanted?.filter((name) => !workloads.some((w) => w.name === name)) ?? [];
if (unknown.length > 0) {
  console.error(
    `Unknown workload ${unknown.join(", ")}. There are ${workloads.map((w) => w.name).join(", ")}.`,
  );
  process.exit(2);
}
const log = values.json ? console.error : console.log;
const device = await init({ device: values.device as "auto", log });
const results: Record<string, unknown> = {};
for (const workload of workloads.filter((w) => !wanted || wanted.includes(w.name))) {
  const run = workload.prepare(device);
  const began = performance.now();
  await run();
  const firstSeconds = (performance.now() - began) / 1000;
  const before = device.stats();
  await run();
  const after = device.stats();
  const bench = new Bench({ time: 0, iterations: 7, warmup: false });
  bench.add(workload.name, run);
  await bench.run();
  const { result } = bench.tasks[0];
  if (!result || !("latency" in result)) throw new Error(`${workload.name} did not finish.`);
  const { p50: median, min, max } = result.latency;
  const { name, amount } = workload.unit;
  const row = {
    medianMs: median,
    minMs: min,
    maxMs: max,
    firstSeconds,
    [`${name}PerSecond`]: amount / (median / 1000),
    pipelines: before.pipelines,
    dispatches: after.dispatches - before.dispatches,
    submits: after.submits - before.submits,
    bindGroups: after.bindGroups - before.bindGroups,
  };
  results[workload.name] = row;
  log(
    `${workload.name.padEnd(8)} ${median.toFixed(2)} ms [${min.toFixed(2)}–${max.toFixed(2)}]  ${(amount / (median / 1000)).toPrecision(4)} ${name}/s  ` +
      `${row.dispatches} dispatches, ${row.submits} submits, ${row.bindGroups} new bind groups; first ${firstSeconds.toFixed(2)} s`,
  );
}
const commit = execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).trim();
if (values.json)
  console.log(
    JSON.stringify({ adapter: device.report.adapterName, driver: device.report.driver, commit, ...results }),
  );
device.destroy();
