/**
 * `pact doctor`: which adapter and driver compute here, what they offer, what is missing and the command that gets it.
 * Left out: fixing anything.
 */
import { parseArgs } from "node:util";
import { type AdapterReport, acquireAdapter } from "@pact/tensor";

const HELP = `pact doctor [--json] [--help]

Prints the WebGPU adapter, its driver (hardware, lavapipe, swiftshader or none), features and limits,
what is missing and the command that gets it. Without an adapter everything runs on the cpu device.

  --json   the same as one line of JSON, with the versions of Node and the platform
  --help   this text

PACT_DRIVER=hardware|lavapipe|swiftshader|none in the environment allows one kind of driver only.`;

/**
 * Runs `pact doctor`.
 *
 * @param args - the arguments after `doctor`.
 * @returns the exit code: 0 if the question was answered (also when no adapter is there), 2 for bad arguments.
 *
 * @example
 * ```ts
 * process.exitCode = await doctor(["--json"]);
 * ```
 */
export async function doctor(args: string[]): Promise<number> {
  let options: { json?: boolean; help?: boolean };
  try {
    options = parseArgs({ args, options: { json: { type: "boolean" }, help: { type: "boolean" } } }).values;
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${HELP}`);
    return 2;
  }
  if (options.help) {
    console.log(HELP);
    return 0;
  }
  const { report } = await acquireAdapter();
  const host = { node: process.version, platform: `${process.platform} ${process.arch}` };
  console.log(options.json ? JSON.stringify({ ...report, ...host }) : doctorText(report, host));
  return 0;
}

/** The report for people: the first lines say what matters most. */
export function doctorText(report: AdapterReport, host: { node: string; platform: string }): string {
  const lines = [
    `adapter   ${report.adapterName || "none; everything runs on the cpu device"}`,
    `driver    ${report.driver}`,
    `why       ${report.why}`,
    `node      ${host.node} on ${host.platform}`,
  ];
  if (report.driver !== "none") {
    lines.push(
      `vendor    ${report.vendor} (${report.architecture || "unknown architecture"})`,
      `features  ${report.features.join(", ")}`,
      "limits",
      ...Object.entries(report.limits).map(([name, value]) => `  ${name.padEnd(42)} ${value}`),
    );
  }
  if (report.missing.length === 0) lines.push("missing   nothing");
  else {
    lines.push("missing");
    for (const { what, command } of report.missing) lines.push(`  ${what}:`, `    ${command}`);
  }
  return lines.join("\n");
}
