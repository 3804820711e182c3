/**
 * The command line of `npm run bench` and `npm run bench:peers`: which workloads, on which device, printed how. An option
 * or workload that does not exist is an error.
 */
import { parseArgs } from "node:util";

/** A command line that can not be followed; its message says what there is. */
export class UsageError extends Error {}

export interface BenchArguments {
  readonly help: boolean;
  readonly json: boolean;
  /** Names of the workloads to run, in the order of the list. */
  readonly only: readonly string[];
  readonly device: "auto" | "webgpu" | "cpu";
}

const devices = ["auto", "webgpu", "cpu"] as const;

/**
 * Reads a command line.
 *
 * @param names of the workloads there are
 * @throws UsageError for an unknown option, workload or device
 */
export function benchArguments(argv: readonly string[], names: readonly string[]): BenchArguments {
  const { only, device, help, json } = values(argv);
  const wanted = only?.split(",").map((name) => name.trim().toUpperCase());
  const unknown = wanted?.filter((name) => !names.includes(name)) ?? [];
  if (unknown.length > 0)
    throw new UsageError(
      `There is no workload ${unknown.map((name) => JSON.stringify(name)).join(", ")}. There are ${names.join(", ")}.`,
    );
  const chosen = devices.find((name) => name === device);
  if (chosen === undefined)
    throw new UsageError(`--device is ${JSON.stringify(device)}, expected ${devices.join(", ")}.`);
  return { help, json, device: chosen, only: names.filter((name) => !wanted || wanted.includes(name)) };
}

function values(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      options: {
        only: { type: "string" },
        device: { type: "string", default: "auto" },
        json: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}
