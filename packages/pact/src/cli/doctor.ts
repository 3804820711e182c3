/**
 * `pact doctor`: which adapter and driver compute here, what they offer, what is missing and the command that gets it.
 * Left out: fixing anything.
 */
import { type AdapterReport, acquireAdapter } from "@pact/tensor";

/**
 * Runs `pact doctor`. `PACT_DRIVER=hardware|lavapipe|swiftshader|none` in the environment allows one kind of driver only.
 *
 * @param args - `[]` or `["--json"]`; cli.ts has refused everything else.
 * @returns the exit code: 0, also when no adapter is there, because the question was answered.
 *
 * @example
 * ```ts
 * process.exitCode = await doctor(["--json"]);
 * ```
 */
export async function doctor(args: readonly string[]): Promise<number> {
  const { report } = await acquireAdapter();
  const host = { node: process.version, platform: `${process.platform} ${process.arch}` };
  console.log(args.includes("--json") ? JSON.stringify({ ...report, ...host }) : doctorText(report, host));
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
