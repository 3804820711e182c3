/**
 * The few ways in which a run touches the disk, each a step that can fail or be the last one before a kill. They go
 * through one object so that tests can stop a run after any of them.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";

/** What a run does to files. */
export interface Disk {
  /** Creates or empties a file and fills it; not yet safe against a crash of the machine. */
  write(path: string, bytes: Uint8Array): void;
  /** Makes a file's content durable. */
  flush(path: string): void;
  rename(from: string, to: string): void;
  makeFolder(path: string): void;
  remove(path: string): void;
  append(path: string, bytes: Uint8Array): void;
}

function withFile(path: string, mode: "w" | "a" | "r+", use: (file: number) => void): void {
  const file = openSync(path, mode);
  try {
    use(file);
  } finally {
    closeSync(file);
  }
}

function writeAll(file: number, bytes: Uint8Array): void {
  for (let written = 0; written < bytes.length; ) written += writeSync(file, bytes, written);
}

/** The real disk. */
export const disk: Disk = {
  write: (path, bytes) => withFile(path, "w", (file) => writeAll(file, bytes)),
  flush: (path) => withFile(path, "r+", fsyncSync),
  rename: renameSync,
  makeFolder: (path) => void mkdirSync(path, { recursive: true }),
  remove: (path) => rmSync(path, { recursive: true, force: true }),
  append: (path, bytes) => withFile(path, "a", (file) => writeAll(file, bytes)),
};

/**
 * Writes a file so that it is there whole or not at all: to a temporary name in the same folder, flushed, then renamed.
 * On an error the temporary file is removed and an older file stays as it was.
 *
 * @example writeWhole("runs/1/config.json", "{}\n")
 */
export function writeWhole(path: string, content: string | Uint8Array, use: Disk = disk): void {
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.tmp`);
  try {
    use.write(temporary, typeof content === "string" ? Buffer.from(content, "utf8") : content);
    use.flush(temporary);
    use.rename(temporary, path);
  } catch (error) {
    use.remove(temporary);
    throw error;
  }
}

/** Appends one value as one line of JSON, in a single write. */
export function appendLine(path: string, value: unknown, use: Disk = disk): void {
  use.append(path, Buffer.from(`${JSON.stringify(value)}\n`, "utf8"));
}

/** The text of a file, or undefined if there is none. */
export function readIfThere(path: string): string | undefined {
  return existsSync(path) ? readFileSync(path, "utf8") : undefined;
}

/** Names in a folder, or none if there is no such folder. */
export function namesIn(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder).sort() : [];
}
