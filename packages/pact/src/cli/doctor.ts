/**
 * `pact doctor`: which adapter and driver compute here, what they offer, what is missing and the command that gets it;
 * with `--tune` which variants of the heavy kernels are fastest here. Left out: fixing anything.
 */
import { type AdapterReport, acquireAdapter, createDevice } from "@pact/tensor";
import { kernelTablePath, writeKernelTable } from "./kernel-table.ts";
import { tune, tuneText } from "./tune.ts";

/**
 * Runs `pact doctor`. `PACT_DRIVER=hardware|lavapipe|swiftshader|none` in the environment allows one kind of driver only.
 *
 * @param args - of `--json` and `--tune`; cli.ts has refused everything else.
 * @returns the exit code: 0, also when no adapter is there, because the question was answered.
 *
 * @example
 * ```ts
 * process.exitCode = await doctor(["--json"]);
 * ```
 */
export async function doctor(args: readonly string[]): Promise<number> {
  if (args.includes("--tune")) return tuneHere(args.includes("--json"));
  const { report } = await acquireAdapter();
  const host = { node: process.version, platform: `${process.platform} ${process.arch}` };
  console.log(args.includes("--json") ? JSON.stringify({ ...report, ...host }) : doctorText(report, host));
  return 0;
}

/** Measures the kernels' variants, writes the fastest into the table of kernels, and says so. */
async function tuneHere(json: boolean): Promise<number> {
  const device = await createDevice();
  using _device = { [Symbol.dispose]: () => device.destroy() };
  const path = kernelTablePath();
  if (device.kind === "cpu") {
    console.log(
      json
        ? JSON.stringify({ rows: [] })
        : `${device.report.why}: the cpu device has one kernel for each operation`,
    );
    return 0;
  }
  const { rows, variants } = await tune(device);
  const { adapterName } = device.report;
  if (path !== undefined) writeKernelTable(path, adapterName, variants);
  const written = path === undefined ? "not written: PACT_KERNELS=none" : `written to ${path}`;
  console.log(
    json
      ? JSON.stringify({ adapterName, rows, variants, path })
      : `${adapterName}\n${tuneText(rows, variants)}\n${written}`,
  );
  return 0;
}

/** The names of limits that computing meets. */
const computeLimit = /Compute|StorageBuffer|UniformBuffer|BufferSize|ImmediateSize|BindGroups$/;

/** The report for people: the first lines say what matters most. */
export function doctorText(report: AdapterReport, host: { node: string; platform: string }): string {
  const lines = [
    `adapter   ${report.adapterName || "none; everything runs on the cpu device"}`,
    `driver    ${report.driver}`,
    `why       ${report.why}`,
    `node      ${host.node} on ${host.platform}`,
  ];
  if (report.missing.length === 0) lines.push("missing   nothing");
  else {
    lines.push("missing");
    for (const { what, command } of report.missing) lines.push(`  ${what}:`, `    ${command}`);
  }
  if (report.driver !== "none") {
    const limits = Object.entries(report.limits).filter(([name]) => computeLimit.test(name));
    lines.push(
      `vendor    ${report.vendor} (${report.architecture || "unknown architecture"})`,
      `features  ${report.features.join(", ")}`,
      "limits    (those of computing; all of them: --json)",
      ...limits.map(([name, value]) => `  ${name.padEnd(42)} ${value}`),
    );
  }
  return lines.join("\n");
}
