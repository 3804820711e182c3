/**
 * Which kernels run, from outside the program: the table that `pact doctor --tune` measured for this machine's adapters, and
 * the note that runs and checkpoints keep, so that going on with a run gives the same bits. Left out: measuring (tune.ts).
 *
 *   { "formatVersion": 1, "adapters": { "<adapter>": { "version": 3, "matmul": "tiles", "attention": "tiles" } } }
 */
import { readFileSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import {
  chooseVariants,
  type Device,
  type KernelVariants,
  kernelVariants,
  variantsVersion,
} from "@pact/tensor";
import { makeFolder, writeWhole } from "./disk.ts";
import { RunFolderError } from "./run-folder.ts";

/** A table of kernels that can not be used. Its message ends with what to do. */
export class KernelTableError extends Error {
  override readonly name = "KernelTableError";
  readonly code = "ERR_PACT_KERNEL_TABLE";
}

/** Variants, and the version of the kernels that they are of. */
export interface NotedKernels extends KernelVariants {
  readonly version: number;
  /** The adapter they ran on; a table has it as the name of the entry. */
  readonly adapter?: string;
}

const formatVersion = 1;
/** A table has a few lines; anything large is another file. */
const maxBytes = 65_536;
const matmulNames: readonly unknown[] = ["tiles", "subgroups", "shared"] satisfies KernelVariants["matmul"][];
const attentionNames: readonly unknown[] = ["tiles", "subgroups"] satisfies KernelVariants["attention"][];

/**
 * Where the table lies: `PACT_KERNELS=<file>`, else in the user's folder of settings; undefined with `PACT_KERNELS=none`.
 *
 * @example kernelTablePath({ PACT_KERNELS: "none" }) // undefined
 */
export function kernelTablePath(
  environment: NodeJS.ProcessEnv = process.env,
  platform: string = process.platform,
): string | undefined {
  const { PACT_KERNELS: given, APPDATA, XDG_CONFIG_HOME } = environment;
  if (given === "none") return undefined;
  if (given) return resolve(given);
  const folder = platform === "win32" ? APPDATA : XDG_CONFIG_HOME;
  return join(folder || join(homedir(), ".config"), "pact", "kernels.json");
}

/**
 * The table's entries by adapter; none if there is no file.
 *
 * @throws KernelTableError if it can not be read or holds anything else
 */
export function readKernelTable(path: string): ReadonlyMap<string, NotedKernels> {
  let text: string;
  try {
    if (statSync(path).size > maxBytes) throw refused(path, `has more than ${maxBytes} bytes`);
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof KernelTableError) throw error;
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return new Map();
    throw refused(path, `can not be read (${error instanceof Error ? error.message : error})`);
  }
  const table = recordOf(parsed(text));
  if (table?.formatVersion !== formatVersion) throw refused(path, `is no table of format ${formatVersion}`);
  const adapters = recordOf(table.adapters);
  if (!adapters) throw refused(path, 'has no "adapters"');
  return new Map(
    Object.entries(adapters).map(([adapter, value]) => {
      const kernels = notedKernels(value);
      if (!kernels)
        throw refused(path, `says ${JSON.stringify(value)?.slice(0, 100)} of ${JSON.stringify(adapter)}`);
      return [adapter, kernels];
    }),
  );
}

function refused(path: string, why: string): KernelTableError {
  return new KernelTableError(
    `the table of kernels ${path} ${why}. Delete it, measure anew with \`pact doctor --tune\`, or leave it out: PACT_KERNELS=none.`,
  );
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function recordOf(value: unknown): Record<string, unknown> | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined;
}

/** A note read from JSON; undefined if it is none. */
export function notedKernels(value: unknown): NotedKernels | undefined {
  const { version, matmul, attention, adapter } = recordOf(value) ?? {};
  if (typeof version !== "number" || !matmulNames.includes(matmul) || !attentionNames.includes(attention))
    return undefined;
  const variants = { matmul, attention } as KernelVariants;
  return { version, ...variants, ...(typeof adapter === "string" ? { adapter } : {}) };
}

/** Writes the variants of an adapter into the table; other adapters stay, unless the table can not be read. */
export function writeKernelTable(path: string, adapter: string, variants: KernelVariants): void {
  let before: ReadonlyMap<string, NotedKernels> = new Map();
  try {
    before = readKernelTable(path);
  } catch (error) {
    if (!(error instanceof KernelTableError)) throw error;
  }
  const adapters = Object.fromEntries([...before, [adapter, { version: variantsVersion, ...variants }]]);
  makeFolder(dirname(path));
  writeWhole(path, `${JSON.stringify({ formatVersion, adapters }, null, 2)}\n`);
}

/**
 * Has a device run what the table says of its adapter.
 *
 * @param note receives a line if the table has something to say
 * @throws KernelTableError for a table that can not be used
 */
export function useKernelTable(device: Device, note: (line: string) => void, path = kernelTablePath()): void {
  if (device.kind === "cpu" || path === undefined) return;
  const kernels = readKernelTable(path).get(device.report.adapterName);
  if (!kernels) return;
  if (kernels.version !== variantsVersion) {
    note(
      `${path} is of other kernels (version ${kernels.version}, now ${variantsVersion}): pact doctor --tune`,
    );
    return;
  }
  try {
    chooseVariants(device, kernels);
  } catch (error) {
    throw refused(path, `does not fit the adapter (${error instanceof Error ? error.message : error})`);
  }
  note(`kernels as ${path} says: matmul ${kernels.matmul}, attention ${kernels.attention}`);
}

/** What runs on a device, to be noted; undefined on the cpu device. */
export function kernelsOf(device: Device): NotedKernels | undefined {
  const variants = kernelVariants(device);
  return variants && { adapter: device.report.adapterName, version: variantsVersion, ...variants };
}

/**
 * Has the device go on with the kernels that a run noted, if it is the adapter that the run was on.
 *
 * @param noted from the checkpoint or, where it has none, `config.json`
 * @param note receives a line where the bits can not be the same
 * @throws RunFolderError if this program has other kernels
 */
export function goOnWithKernels(
  folder: string,
  device: Device,
  noted: NotedKernels | undefined,
  note: (line: string) => void,
): void {
  if (device.kind === "cpu") return;
  if (noted === undefined) {
    note("the run does not say which kernels it was computed with: it may go on with other bits");
    return;
  }
  if (noted.adapter !== device.report.adapterName) return;
  if (noted.version !== variantsVersion) {
    throw new RunFolderError(
      `the run in ${folder} was computed with kernels of version ${noted.version}, this program has version ${variantsVersion}, whose last ` +
        'digits differ. Go on with the version of pact that began it, or, without the same bits, delete "kernels" in its ' +
        "config.json and in the manifest.json of its newest checkpoint.",
    );
  }
  chooseVariants(device, noted);
}

/**
 * Has a device compute again what a run computed, with the kernels that it noted.
 *
 * @returns undefined, or why last digits will differ
 * @example repeatWithKernels(device, readNewestCheckpoint("runs/first", () => {})?.kernels)
 */
export function repeatWithKernels(device: Device, noted: NotedKernels | undefined): string | undefined {
  if (device.kind === "cpu") return undefined;
  if (noted === undefined) return "the run does not say which kernels it was computed with";
  const { adapterName } = device.report;
  if (noted.adapter !== adapterName) return `computed on ${adapterName}, the run on ${noted.adapter}`;
  if (noted.version !== variantsVersion)
    return `the run was computed with kernels of version ${noted.version}, this program has version ${variantsVersion}`;
  chooseVariants(device, noted);
  return undefined;
}
