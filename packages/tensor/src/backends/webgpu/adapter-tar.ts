/**
 * A reader for tar archives held in memory (POSIX ustar, IEEE Std 1003.1 "pax"): regular files only.
 * It exists for one archive, but trusts nothing in it: names that leave the folder, sizes past the end, broken
 * checksums and too many entries are errors. Left out: links, devices, sparse files, pax and GNU long names (refused
 * or skipped, never followed).
 */
import { DeviceError } from "../../errors.ts";

const BLOCK = 512;
const MAX_ENTRIES = 1000;

/**
 * The regular files of a tar archive by name.
 *
 * @param archive - the whole archive, decompressed.
 * @returns file name (a relative path with `/`) → contents, as views of `archive`.
 * @throws DeviceError if the archive is truncated, damaged, or names a path outside its folder.
 *
 * @example
 * ```ts
 * readTar(new Uint8Array(1024)).size; // → 0
 * readTar(new Uint8Array(100)); // → throws DeviceError
 * ```
 */
export function readTar(archive: Uint8Array): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>();
  let offset = 0;
  for (let entry = 0; ; entry++) {
    if (entry >= MAX_ENTRIES) throw broken(`more than ${MAX_ENTRIES} entries`);
    if (offset + BLOCK > archive.length) throw broken(`it ends at byte ${archive.length} inside a header`);
    const header = archive.subarray(offset, offset + BLOCK);
    if (header.every((byte) => byte === 0)) return files; // end of archive
    checkSum(header, offset);
    const size = octal(header, 124, 12, offset);
    const start = offset + BLOCK;
    const end = start + size;
    if (end > archive.length) throw broken(`an entry of ${size} bytes runs past its end`);
    const type = header[156];
    // "0" or NUL marks a regular file; folders, links and extensions are skipped.
    if (type === 0x30 || type === 0) {
      const prefix = text(header, 345, 155);
      const name = prefix ? `${prefix}/${text(header, 0, 100)}` : text(header, 0, 100);
      files.set(safeName(name), archive.subarray(start, end));
    }
    offset = start + Math.ceil(size / BLOCK) * BLOCK;
  }
}

/** The name without a leading `./`, or an error if it could point outside the folder it is unpacked into. */
function safeName(name: string): string {
  const plain = name.replace(/^(\.\/)+/, "");
  const parts = plain.split("/");
  if (
    plain === "" ||
    /[\\:\0]/.test(plain) ||
    parts.some((part) => part === "" || part === "." || part === "..")
  ) {
    throw broken(`the name ${JSON.stringify(name)} is not a plain relative path`);
  }
  return plain;
}

/** The header's checksum: the sum of its bytes with the checksum field itself taken as spaces. */
function checkSum(header: Uint8Array, offset: number): void {
  let sum = 0;
  for (let i = 0; i < BLOCK; i++) sum += i >= 148 && i < 156 ? 0x20 : header[i];
  if (sum !== octal(header, 148, 8, offset))
    throw broken(`the header at byte ${offset} has a wrong checksum`);
}

function octal(header: Uint8Array, start: number, length: number, offset: number): number {
  const digits = text(header, start, length).trim();
  if (!/^[0-7]+$/.test(digits)) throw broken(`the header at byte ${offset} holds a bad number`);
  return Number.parseInt(digits, 8);
}

function text(header: Uint8Array, start: number, length: number): string {
  const field = header.subarray(start, start + length);
  const end = field.indexOf(0);
  return new TextDecoder().decode(end < 0 ? field : field.subarray(0, end));
}

function broken(reason: string): DeviceError {
  return new DeviceError(`The tar archive is damaged: ${reason}. Install the package that holds it again.`);
}
