/**
 * Writing files of a model folder so that a reader never sees half of one: each goes to a temporary file of the folder
 * first, and all are renamed at the end. The only file of the package's writers that touches node:fs. A crash between
 * the renames can leave files of both models; into a new folder it can not.
 */
import { randomUUID } from "node:crypto";
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { CheckpointError } from "../errors.ts";

/** Files of one folder, written aside until `commit`. */
export class FolderWriter {
  private readonly folder: string;
  private readonly written: { temporary: string; name: string }[] = [];

  private constructor(folder: string) {
    this.folder = folder;
  }

  /**
   * Makes the folder if there is none and runs `work`, which commits. What it leaves uncommitted is removed.
   *
   * @throws CheckpointError if the disk refuses; what `work` throws of this package stays as it is
   */
  static async using(folder: string, work: (writer: FolderWriter) => Promise<void>): Promise<void> {
    const writer = new FolderWriter(folder);
    try {
      await makeFolder(folder);
      await work(writer);
    } catch (error) {
      await writer.discard();
      const ofDisk = (error as NodeJS.ErrnoException).syscall !== undefined;
      throw ofDisk ? new CheckpointError(folder, [(error as Error).message], { cause: error }) : error;
    }
  }

  /** Writes one file from consecutive pieces. A piece may be reused by its maker once the next is asked for. */
  async write(name: string, pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<void> {
    const temporary = join(this.folder, `.${name}.${randomUUID()}.tmp`);
    // wx: never through something that is already there, a link least of all.
    const file = await open(temporary, "wx");
    this.written.push({ temporary, name });
    try {
      for await (const piece of pieces) await writeFully(file, piece);
      await file.sync(); // on disk before its name is
    } finally {
      await file.close();
    }
  }

  /** Gives the files their names, in the order in which they were written, and removes those that `stale` picks. */
  async commit(stale: (name: string) => boolean): Promise<void> {
    const names = new Set(this.written.map(({ name }) => name));
    for (const { temporary, name } of this.written) await rename(temporary, join(this.folder, name));
    for (const name of await readdir(this.folder))
      if (stale(name) && !names.has(name)) await rm(join(this.folder, name));
  }

  private async discard(): Promise<void> {
    for (const { temporary } of this.written) await rm(temporary, { force: true });
  }
}

/**
 * Makes a folder and those above it that are missing. NOTE: Node's own `recursive` never returns below a folder that makes
 * none and says ENOENT, such as /proc.
 */
async function makeFolder(path: string): Promise<void> {
  const isThere = async (): Promise<boolean> =>
    (await stat(path).catch(() => undefined))?.isDirectory() ?? false;
  try {
    await mkdir(path);
  } catch (error) {
    if (await isThere()) return;
    const above = dirname(path);
    const isMissing = (error as NodeJS.ErrnoException).code === "ENOENT" && above !== path;
    if (!isMissing || (await stat(above).catch(() => undefined)) !== undefined) throw error;
    await makeFolder(above);
    await mkdir(path);
  }
}

async function writeFully(file: FileHandle, bytes: Uint8Array): Promise<void> {
  let written = 0;
  while (written < bytes.length) written += (await file.write(bytes, written)).bytesWritten;
}
