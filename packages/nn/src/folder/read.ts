/**
 * Reading a model folder from disk: which files hold the tensors, checked from their headers alone, and the bytes of one
 * tensor at a time. The only file of the package's readers that touches node:fs; model-folder.ts imports it when it is
 * needed. Names are resolved inside the folder; a symbolic link may lead within it, or to `../../blobs` from a
 * `snapshots` folder, which is how the Hugging Face cache is built. Left out: folders that others change meanwhile.
 */
import { type FileHandle, open, realpath, stat } from "node:fs/promises";
import { dirname, join, relative, sep } from "node:path";
import { CheckpointError } from "../errors.ts";
import { headerLength, readHeader, type SafetensorsDType } from "../safetensors-header.ts";
import { parseObject, quote } from "../safetensors-json.ts";
import { indexName, readIndex, singleName } from "./shards.ts";

/** Longest text that is read: the index of a model with a million tensors takes about as much. */
const maxTextBytes = 100_000_000;
const maxJsonDepth = 64;

/** A tensor on disk: `bytes` bytes of `file` from `position` on. */
export type StoredTensor = {
  readonly name: string;
  readonly dtype: SafetensorsDType;
  readonly shape: readonly number[];
  readonly file: string;
  readonly position: number;
  readonly bytes: number;
};

/**
 * Opens a file of the folder for reading; undefined if there is none.
 *
 * @throws Error if it is no plain file, or a link out of the folder
 */
async function openInside(folder: string, name: string): Promise<FileHandle | undefined> {
  let path: string;
  try {
    path = await realpath(join(folder, name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  const root = await realpath(folder);
  const blobs = join(dirname(dirname(root)), "blobs");
  const inCache = dirname(root).endsWith(`${sep}snapshots`) && isInside(blobs, path);
  if (!isInside(root, path) && !inCache)
    throw new Error(
      "it is a symbolic link out of the folder. Copy the file it means into the folder, or give the folder that holds it",
    );
  // Before opening: opening a pipe waits for a writer.
  if (!(await stat(path)).isFile()) throw new Error("it is no plain file");
  return open(path, "r");
}

function isInside(root: string, path: string): boolean {
  const way = relative(root, path);
  return way !== "" && way !== ".." && !way.startsWith(`..${sep}`) && join(root, way) === path;
}

/** Runs `read` on an open file and closes it; undefined if there is none. Faults are added to `problems`. */
async function inspect<R>(
  folder: string,
  name: string,
  problems: string[],
  read: (file: FileHandle, bytes: number) => Promise<R>,
): Promise<R | undefined> {
  try {
    const file = await openInside(folder, name);
    if (file === undefined) return undefined;
    try {
      return await read(file, (await file.stat()).size);
    } finally {
      await file.close();
    }
  } catch (error) {
    problems.push(`${name}: ${(error as Error).message}`);
    return undefined;
  }
}

/**
 * The text of a small file of the folder; undefined if there is no such file.
 *
 * @throws Error if it is no plain file, a link out of the folder, or too large
 */
export async function readText(folder: string, name: string): Promise<string | undefined> {
  const file = await openInside(folder, name);
  try {
    return file && new TextDecoder("utf-8", { ignoreBOM: true }).decode(await readSmall(file));
  } finally {
    await file?.close();
  }
}

async function readSmall(file: FileHandle): Promise<Uint8Array> {
  const { size } = await file.stat();
  if (size > maxTextBytes)
    throw new Error(`it has ${size} bytes, more than the ${maxTextBytes} that are read`);
  const bytes = new Uint8Array(size);
  await readFully(file, bytes, 0);
  return bytes;
}

/** A JSON object of the folder; undefined if there is no such file. */
export async function readJson(
  folder: string,
  name: string,
  problems: string[],
): Promise<Record<string, unknown> | undefined> {
  const value = await inspect(folder, name, problems, async (file) =>
    parseObject(await readSmall(file), "The file", maxJsonDepth),
  );
  return value as Record<string, unknown> | undefined;
}

/** Every tensor of the folder by name, in the order of files and data. Only headers are read. Faults go to `problems`. */
export async function readHeaders(folder: string, problems: string[]): Promise<Map<string, StoredTensor>> {
  const tensors = new Map<string, StoredTensor>();
  const faults = problems.length;
  const single = await inspect(folder, singleName, problems, (file, bytes) =>
    readShard(file, singleName, bytes),
  );
  if (problems.length > faults) return tensors;
  if (single) {
    for (const tensor of single) tensors.set(tensor.name, tensor);
    return tensors;
  }
  const index = await readJson(folder, indexName, problems);
  if (index === undefined) {
    if (problems.length === faults)
      problems.push(
        `neither ${singleName} nor ${indexName} is there; save weights in another format as safetensors first: model.save_pretrained(folder)`,
      );
    return tensors;
  }
  const files = readIndex(index, problems);
  for (const name of [...new Set(files.values())].sort()) {
    const before = problems.length;
    const shard = await inspect(folder, name, problems, (file, bytes) => readShard(file, name, bytes));
    if (shard === undefined && problems.length === before)
      problems.push(`${name}: the index names it, it is missing`);
    for (const tensor of shard ?? []) addTensor(tensor, files.get(tensor.name), tensors, problems);
    if (shard === undefined) for (const [tensor, file] of files) if (file === name) files.delete(tensor);
  }
  for (const [tensor, file] of files)
    if (!tensors.has(tensor)) problems.push(`${file}: the index says it holds ${quote(tensor)}, it does not`);
  return tensors;
}

function addTensor(
  tensor: StoredTensor,
  expected: string | undefined,
  tensors: Map<string, StoredTensor>,
  problems: string[],
): void {
  const { name, file } = tensor;
  const other = tensors.get(name);
  if (other) problems.push(`${file}: ${quote(name)} is in ${other.file} too`);
  else if (expected === undefined) problems.push(`${file}: ${quote(name)} is not in the index`);
  else if (expected !== file)
    problems.push(`${file}: ${quote(name)} is in ${expected} according to the index`);
  if (!other) tensors.set(name, tensor);
}

async function readShard(file: FileHandle, name: string, bytes: number): Promise<StoredTensor[]> {
  const start = new Uint8Array(Math.min(8, bytes));
  await readFully(file, start, 0);
  const length = headerLength(start, bytes);
  const header = new Uint8Array(length);
  await readFully(file, header, 8);
  const { tensors } = readHeader(header, bytes - 8 - length);
  return tensors.map(({ name: tensor, dtype, shape, begin, end }) => ({
    name: tensor,
    dtype,
    shape,
    file: name,
    position: 8 + length + begin,
    bytes: end - begin,
  }));
}

/** Fills `into` from `position` on; a read may give less than was asked for. */
async function readFully(file: FileHandle, into: Uint8Array, position: number): Promise<void> {
  let filled = 0;
  while (filled < into.length) {
    const { bytesRead } = await file.read(
      into,
      filled,
      Math.min(into.length - filled, 2 ** 30),
      position + filled,
    );
    if (bytesRead === 0) throw new Error(`it ended at byte ${position + filled} while it was read`);
    filled += bytesRead;
  }
}

/** Reads parts of tensors; keeps one file open at a time, so read them in the order of `readHeaders`. */
export class TensorReader {
  private readonly folder: string;
  private file: FileHandle | undefined;
  private name = "";

  constructor(folder: string) {
    this.folder = folder;
  }

  /**
   * Fills `into` with the bytes of a tensor from `offset` on.
   *
   * @throws CheckpointError if the file is gone or shorter than before
   */
  async read(tensor: StoredTensor, offset: number, into: Uint8Array): Promise<void> {
    try {
      if (this.file === undefined || this.name !== tensor.file) {
        await this.close();
        this.file = await openInside(this.folder, tensor.file);
        this.name = tensor.file;
        if (this.file === undefined) throw new Error("it is gone");
      }
      await readFully(this.file, into, tensor.position + offset);
    } catch (error) {
      throw new CheckpointError(this.folder, [`${tensor.file}: ${(error as Error).message}`], {
        cause: error,
      });
    }
  }

  async close(): Promise<void> {
    await this.file?.close();
    this.file = undefined;
  }
}
