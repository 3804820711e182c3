/**
 * Training settings from outside the option table: a file (`--config`) and pairs (`--set key=value`).
 *
 * Later ones win: defaults, the environment's own settings, the file, the pairs, then options given by name (`--seed`).
 * Everything is checked by `trainConfig`; here only what can be said about a text is checked, by name.
 */
import { readFileSync } from "node:fs";
import { extname, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { defaultConfig, type TrainConfig } from "../config.ts";
import { nearest, UsageError } from "./options.ts";

/** Settings that have been read; their names are known, their values not yet checked. */
export type Settings = Partial<TrainConfig>;

/**
 * The settings of a file: JSON, or a module (`.ts`, `.mjs`, `.js`) whose default export they are.
 *
 * NOTE: a module runs as the program it is; give only files of your own.
 *
 * @throws UsageError naming the file, and the setting that is unknown
 * @example await settingsOfFile("small.json") // { steps: 20 }
 */
export async function settingsOfFile(path: string): Promise<Settings> {
  const given = extname(path) === ".json" ? parseJson(path) : await importDefault(path);
  if (typeof given !== "object" || given === null || Array.isArray(given))
    throw new UsageError(`pact train: ${path} must hold an object of settings. See \`pact train --help\`.`);
  for (const name of Object.keys(given)) requireKnown(name, `in ${path}`);
  return given as Settings;
}

function parseJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    throw new UsageError(`pact train: --config ${path} can not be read: ${(error as Error).message}`);
  }
}

async function importDefault(path: string): Promise<unknown> {
  try {
    const module: unknown = await import(pathToFileURL(resolve(path)).href);
    return (module as { default?: unknown }).default;
  } catch (error) {
    throw new UsageError(
      `pact train: --config ${path} can not be loaded: ${(error as Error).message}. Use a .json file, or a module with a default export.`,
    );
  }
}

/**
 * The settings of `key=value` pairs. A value is JSON where it can be, else text: `steps=20`, `dualClip=null`,
 * `sftNormaliser=count`, `traceComponents=["calls"]`.
 *
 * @throws UsageError for a pair without "=", a key given twice, or an unknown key, naming the nearest
 * @example settingsOfPairs(["steps=20", "anchor=mix"]) // { steps: 20, anchor: "mix" }
 */
export function settingsOfPairs(pairs: readonly string[]): Settings {
  const settings = new Map<string, unknown>();
  for (const pair of pairs) {
    const cut = pair.indexOf("=");
    if (cut < 1)
      throw new UsageError(
        `pact train: --set needs key=value, received ${JSON.stringify(pair.slice(0, 60))}.`,
      );
    const name = pair.slice(0, cut);
    requireKnown(name, "of --set");
    if (settings.has(name)) throw new UsageError(`pact train: --set gives ${name} twice.`);
    settings.set(name, valueOf(pair.slice(cut + 1)));
  }
  return Object.fromEntries(settings) as Settings;
}

function valueOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function requireKnown(name: string, where: string): void {
  const known = Object.keys(defaultConfig);
  if (known.includes(name)) return;
  const guess = nearest(name, known);
  throw new UsageError(
    `pact train: unknown setting ${JSON.stringify(name.slice(0, 60))} ${where}.` +
      (guess === undefined ? ` Known are ${known.join(", ")}.` : ` Did you mean ${guess}?`),
  );
}

/** The settings that differ from the defaults. */
export function differing(config: TrainConfig): Settings {
  return Object.fromEntries(
    Object.entries(config).filter(
      ([name, value]) => JSON.stringify(value) !== JSON.stringify(defaultConfig[name as keyof TrainConfig]),
    ),
  ) as Settings;
}

/** The same for people, in one line. */
export function describeSettings(config: TrainConfig): string {
  const shown = Object.entries(differing(config)).map(([name, value]) => `${name} ${JSON.stringify(value)}`);
  return shown.length === 0 ? "settings: all defaults" : `settings: ${shown.join(", ")}; the rest defaults`;
}
