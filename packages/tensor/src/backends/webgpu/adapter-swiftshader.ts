/**
 * SwiftShader (a software Vulkan driver) for machines that have nothing but Node: taken from the npm package
 * `@sparticuz/chromium`, which carries it beside a headless Chromium (bin/swiftshader.tar.br: a Vulkan loader, the
 * driver, its manifest). Node only; imported by adapter.ts when it is needed. Needs neither root nor a system loader.
 * Left out: other platforms than Linux x64, for which the package has no driver.
 */
import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { homedir, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { brotliDecompressSync } from "node:zlib";
import { DeviceError } from "../../errors.ts";
import { readTar } from "./adapter-tar.ts";

const LOADER = "libvulkan.so.1";
const DRIVER = "libvk_swiftshader.so";
const MANIFEST = "vk_swiftshader_icd.json";
const FILES = [LOADER, DRIVER, MANIFEST];
const CHECKSUMS = "checksums.json";
const MAX_ARCHIVE_BYTES = 256 * 2 ** 20;

/** Where the unpacked driver lies. */
export interface SwiftShader {
  /** The Vulkan loader that came with it, for systems that have none. */
  loader: string;
  /** The driver's manifest, for `VK_DRIVER_FILES`. */
  manifest: string;
}

/**
 * Finds the archive, unpacks it into a per-user cache folder unless it is there intact, and says where.
 * Safe for several processes at once: each unpacks into a folder of its own and renames it into place.
 *
 * @param cacheFolder - default: `$XDG_CACHE_HOME/pact`, `~/.cache/pact`, or a folder in the temporary directory.
 * @throws DeviceError if the package is absent, the platform has no such driver, or nothing can be written.
 */
export function unpackSwiftShader(cacheFolder?: string): SwiftShader {
  if (process.platform !== "linux" || process.arch !== "x64") {
    throw new DeviceError(
      `@sparticuz/chromium has no driver for ${process.platform} ${process.arch}, only for linux x64`,
    );
  }
  const archive = readFileSync(archivePath());
  const name = `swiftshader-${sha256(archive).slice(0, 16)}`;
  const failures: string[] = [];
  for (const root of cacheFolder ? [cacheFolder] : cacheFolders()) {
    try {
      ownFolder(root);
      const folder = join(root, name);
      if (!intact(folder)) install(archive, folder);
      return { loader: join(folder, LOADER), manifest: join(folder, MANIFEST) };
    } catch (error) {
      failures.push(`${root}: ${(error as Error).message}`);
    }
  }
  throw new DeviceError(`SwiftShader could not be unpacked (${failures.join("; ")})`);
}

/** The package's `exports` hide bin/, so the archive is found from its main file upwards. */
function archivePath(): string {
  let folder: string;
  try {
    folder = dirname(createRequire(import.meta.url).resolve("@sparticuz/chromium"));
  } catch {
    throw new DeviceError("the optional npm package @sparticuz/chromium is not installed");
  }
  for (let depth = 0; depth < 4; depth++) {
    const path = join(folder, "bin", "swiftshader.tar.br");
    if (lstatSync(path, { throwIfNoEntry: false })?.isFile()) return path;
    folder = dirname(folder);
  }
  throw new DeviceError("the installed @sparticuz/chromium holds no bin/swiftshader.tar.br (143.0.4 does)");
}

function cacheFolders(): string[] {
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), ".cache");
  return [join(cache, "pact"), join(tmpdir(), `pact-${process.getuid?.() ?? "user"}`)];
}

/** Makes the folder for this user alone; libraries are loaded from it, so one that others may write is refused. */
function ownFolder(folder: string): void {
  makeFolder(folder);
  const info = lstatSync(folder);
  if (!info.isDirectory()) throw new DeviceError("is not a folder");
  if (info.uid !== process.getuid?.()) throw new DeviceError("belongs to another user");
  if ((info.mode & 0o022) !== 0) chmodSync(folder, 0o700);
}

/** NOTE: Node's own `recursive` never returns below a folder that makes none and says ENOENT, such as /proc. */
function makeFolder(folder: string): void {
  const above = dirname(folder);
  if (above !== folder && !existsSync(above)) makeFolder(above);
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    if (!existsSync(folder)) throw error; // else it was there, or another process was faster
  }
}

function intact(folder: string): boolean {
  try {
    const expected = new Map<string, unknown>(
      Object.entries(JSON.parse(readFileSync(join(folder, CHECKSUMS), "utf8")) as object),
    );
    return FILES.every((file) => expected.get(file) === sha256(readFileSync(join(folder, file))));
  } catch {
    return false; // absent, half deleted or unreadable: unpack again
  }
}

function install(archive: Uint8Array, folder: string): void {
  const files = readTar(brotliDecompressSync(archive, { maxOutputLength: MAX_ARCHIVE_BYTES }));
  const temporary = mkdtempSync(`${folder}.`);
  try {
    const checksums: Record<string, string> = {};
    for (const file of FILES) {
      const contents = files.get(file);
      if (!contents) throw new DeviceError(`the archive of @sparticuz/chromium holds no ${file}`);
      writeFileSync(join(temporary, file), contents);
      checksums[file] = sha256(contents);
    }
    writeFileSync(join(temporary, CHECKSUMS), JSON.stringify(checksums));
    replaceFolder(temporary, folder);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

/** Renames `source` to `target`. Another process may have been faster: its intact folder is as good as ours. */
function replaceFolder(source: string, target: string): void {
  for (let attempt = 0; ; attempt++) {
    try {
      renameSync(source, target);
      return;
    } catch (error) {
      if (intact(target)) return;
      if (attempt === 3) throw error;
      // A damaged folder is moved aside, not emptied in place: a process may be loading from it.
      const aside = mkdtempSync(`${target}.old.`);
      try {
        renameSync(target, join(aside, "folder"));
      } catch {
        // gone meanwhile
      }
      rmSync(aside, { recursive: true, force: true });
    }
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
