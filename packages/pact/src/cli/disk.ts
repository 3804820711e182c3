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
  readSync,
  renameSync,
  rmSync,
  statSync,
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

/**
 * Makes a folder and those above it that are missing.
 *
 * NOTE: Node's own `recursive` never returns below a folder that makes none and says ENOENT, such as /proc.
 */
export function makeFolder(path: string): void {
  const above = dirname(path);
  if (above !== path && !existsSync(above)) makeFolder(above);
  try {
    mkdirSync(path);
  } catch (error) {
    if (!existsSync(path) || !statSync(path).isDirectory()) throw error;
  }
}

/** The real disk. */
export const disk: Disk = {
  write: (path, bytes) => withFile(path, "w", (file) => writeAll(file, bytes)),
  flush: (path) => withFile(path, "r+", fsyncSync),
  rename: renameSync,
  makeFolder,
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
  const bytes = typeof content === "string" ? Buffer.from(content, "utf8") : content;
  replaceWhole(path, (temporary) => use.write(temporary, bytes), use);
}

/**
 * The same with lines as they come, however many there are.
 *
 * @example writeLines("runs/1/metrics.jsonl", ["{}\n", "{}\n"])
 */
export function writeLines(path: string, lines: Iterable<string>, use: Disk = disk): void {
  const fill = (temporary: string): void => {
    use.write(temporary, new Uint8Array());
    let waiting: string[] = [];
    let length = 0;
    const flush = (): void => {
      use.append(temporary, Buffer.from(waiting.join(""), "utf8"));
      [waiting, length] = [[], 0];
    };
    for (const line of lines) {
      waiting.push(line);
      length += line.length;
      if (length >= pieceBytes) flush();
    }
    flush();
  };
  replaceWhole(path, fill, use);
}

function replaceWhole(path: string, fill: (temporary: string) => void, use: Disk): void {
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.tmp`);
  try {
    fill(temporary);
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

/** Bytes that are read and written at a time where a file may be large. */
const pieceBytes = 1 << 20;

/** The lines of a file, each with its line break; the last may lack it. The file may be larger than a text can be. */
export function* linesIn(path: string): Generator<string> {
  const file = openSync(path, "r");
  try {
    const buffer = Buffer.alloc(pieceBytes);
    let begun: Buffer[] = [];
    for (let read = readSync(file, buffer); read > 0; read = readSync(file, buffer)) {
      let start = 0;
      for (let end = buffer.indexOf(10); end >= 0 && end < read; end = buffer.indexOf(10, start)) {
        yield Buffer.concat([...begun, buffer.subarray(start, end + 1)]).toString("utf8");
        begun = [];
        start = end + 1;
      }
      if (start < read) begun.push(Buffer.from(buffer.subarray(start, read)));
    }
    if (begun.length > 0) yield Buffer.concat(begun).toString("utf8");
  } finally {
    closeSync(file);
  }
}
