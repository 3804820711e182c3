/**
 * Loaded before the program (`node --import`): makes the disk fail as BROKEN_DISK says, a JSON object with
 *   folder   the run folder
 *   file     part of the path whose write number `at` (from 1) is the first to fail
 *   how      ENOSPC (half of that write is done), EROFS, or `delete` (the folder is removed)
 * From then on every write into the folder fails likewise.
 */
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";

const { folder, file, at, how } = JSON.parse(process.env.BROKEN_DISK);
const { openSync, writeSync, mkdirSync } = fs;
const open = new Map();
let writes = 0;
let broken = false;

function fail(path) {
  throw Object.assign(new Error(`${how}: injected, '${path}'`), { code: how });
}

fs.openSync = (path, flags, ...rest) => {
  const writing = String(path).startsWith(folder) && flags !== "r";
  if (writing && broken && how === "EROFS") fail(path);
  const descriptor = openSync(path, flags, ...rest);
  open.delete(descriptor);
  if (writing) open.set(descriptor, String(path));
  return descriptor;
};
fs.mkdirSync = (path, ...rest) => {
  if (broken && how !== "delete" && String(path).startsWith(folder)) fail(path);
  return mkdirSync(path, ...rest);
};
fs.writeSync = (descriptor, bytes, ...rest) => {
  const path = open.get(descriptor);
  if (path === undefined) return writeSync(descriptor, bytes, ...rest);
  if (!broken && path.includes(file)) {
    writes += 1;
    broken = writes >= at;
    if (broken && how === "ENOSPC") writeSync(descriptor, bytes.subarray(0, bytes.length >> 1));
    if (broken && how === "delete") fs.rmSync(folder, { recursive: true });
  }
  if (broken && how !== "delete") fail(path);
  return writeSync(descriptor, bytes, ...rest);
};
syncBuiltinESMExports();
