/** The parts of adapter search that need no device: the archive reader, the cache, names of drivers, advice. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { afterEach, describe, expect, test, vi } from "vitest";
import { acquireAdapter, driverKind } from "../../packages/tensor/src/backends/webgpu/adapter.ts";
import { betterDrivers } from "../../packages/tensor/src/backends/webgpu/adapter-missing.ts";
import { unpackSwiftShader } from "../../packages/tensor/src/backends/webgpu/adapter-swiftshader.ts";
import { readTar } from "../../packages/tensor/src/backends/webgpu/adapter-tar.ts";

/** A ustar archive of the given entries, written independently of the reader. */
function tar(entries: { name: string; data: Uint8Array; type?: string }[]): Uint8Array {
  const blocks: Buffer[] = [];
  for (const { name, data, type = "0" } of entries) {
    const header = Buffer.alloc(512);
    header.write(name, 0);
    header.write(`0000644\0`, 100);
    header.write(`${data.length.toString(8).padStart(11, "0")}\0`, 124);
    header.write("        ", 148);
    header.write(type, 156);
    header.write("ustar\0", 257);
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
    blocks.push(header, Buffer.from(data), Buffer.alloc((512 - (data.length % 512)) % 512));
  }
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

const entry = fc.record({
  name: fc.stringMatching(/^[a-z][a-z0-9_.]{0,30}(\/[a-z][a-z0-9]{0,20})?$/),
  data: fc.uint8Array({ maxLength: 1500 }),
});
const entries = fc.uniqueArray(entry, { selector: (e) => e.name, maxLength: 6 });

describe("readTar", () => {
  test("gives back every file that was packed", () => {
    fc.assert(
      fc.property(entries, (files) => {
        const read = readTar(tar(files));
        expect([...read.keys()]).toEqual(files.map((file) => file.name));
        for (const { name, data } of files) expect(Buffer.from(read.get(name)!).equals(data)).toBe(true);
      }),
    );
  });

  test("refuses an archive cut off anywhere before its end mark", () => {
    const archive = tar([{ name: "a", data: new Uint8Array(700).fill(7) }]);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: archive.length - 1025 }), (length) => {
        expect(() => readTar(archive.subarray(0, length))).toThrow(/damaged/);
      }),
    );
  });

  test.each(["../evil", "/etc/passwd", "a/../../b", "a//b", "..", "c:\\x", "./"])(
    "refuses the name %s",
    (name) => {
      expect(() => readTar(tar([{ name, data: new Uint8Array(1) }]))).toThrow(/not a plain relative path/);
    },
  );

  test("refuses a header whose checksum is wrong", () => {
    const archive = tar([{ name: "a", data: new Uint8Array(1) }]);
    archive[0] = 98;
    expect(() => readTar(archive)).toThrow(/wrong checksum/);
  });

  test("skips links and folders", () => {
    const none = new Uint8Array(0);
    const archive = tar([
      { name: "folder/", data: none, type: "5" },
      { name: "link", data: none, type: "2" },
      { name: "file", data: new Uint8Array([1]) },
    ]);
    expect([...readTar(archive).keys()]).toEqual(["file"]);
  });
});

describe.skipIf(process.platform !== "linux" || process.arch !== "x64")("unpackSwiftShader", () => {
  const folders: string[] = [];
  afterEach(() => {
    for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
  });
  function cache(): string {
    const folder = mkdtempSync(join(tmpdir(), "pact-cache-"));
    folders.push(folder);
    return folder;
  }

  test("says where no folder can be made", () => {
    expect(() => unpackSwiftShader("/proc/x/y")).toThrow(/could not be unpacked \(\/proc\/x\/y: ENOENT/);
  });

  test("unpacks once and leaves nothing else behind", () => {
    const root = cache();
    const first = unpackSwiftShader(root);
    const time = statSync(first.manifest).mtimeMs;
    expect(unpackSwiftShader(root)).toEqual(first);
    expect(statSync(first.manifest).mtimeMs).toBe(time);
    expect(readdirSync(root)).toEqual([dirname(first.manifest).slice(root.length + 1)]);
    expect(JSON.parse(readFileSync(first.manifest, "utf8")).ICD.library_path).toContain(
      "libvk_swiftshader.so",
    );
  });

  test("replaces a damaged or incomplete copy", () => {
    const root = cache();
    const { loader, manifest } = unpackSwiftShader(root);
    const intact = readFileSync(loader);
    writeFileSync(loader, "damaged");
    unpackSwiftShader(root);
    expect(readFileSync(loader).equals(intact)).toBe(true);
    rmSync(manifest);
    unpackSwiftShader(root);
    expect(statSync(manifest).isFile()).toBe(true);
    expect(readdirSync(root)).toHaveLength(1);
  });
});

describe("driverKind", () => {
  test.each([
    [
      "lavapipe",
      { vendor: "mesa", architecture: "software", description: "llvmpipe: Mesa 25.0.7 (LLVM 15.0.6)" },
    ],
    [
      "swiftshader",
      { vendor: "google", architecture: "swiftshader", description: "SwiftShader driver 5.0.0" },
    ],
    ["hardware", { vendor: "nvidia", architecture: "ampere", description: "NVIDIA: 550.54.14" }],
    ["hardware", { vendor: "amd", architecture: "rdna-3", description: "radv: Mesa 25.0.7" }],
    ["lavapipe", { vendor: "", architecture: "", description: "Microsoft Basic Render Driver" }],
    ["lavapipe", { vendor: "x", architecture: "y", description: "z", isFallbackAdapter: true }],
  ])("%s", (kind, info) => {
    expect(driverKind(info)).toBe(kind);
  });
});

test("betterDrivers names commands, and nothing for hardware", () => {
  expect(betterDrivers("hardware", "linux")).toEqual([]);
  const bookworm = betterDrivers("none", "linux", 'NAME="Debian"\nVERSION_CODENAME=bookworm\n');
  expect(bookworm.map((piece) => piece.command)).toEqual([
    "sudo apt install -t bookworm-backports libvulkan1 mesa-vulkan-drivers",
    "sudo apt install libvulkan1 nvidia-driver",
    "sudo apt install -t bookworm-backports libvulkan1 mesa-vulkan-drivers",
    "npm install --save-dev @sparticuz/chromium@143.0.4",
  ]);
  expect(betterDrivers("swiftshader", "linux")).toHaveLength(3);
});

test("an unknown PACT_DRIVER is refused", async () => {
  vi.stubEnv("PACT_DRIVER", "vulkan");
  await expect(acquireAdapter()).rejects.toThrowErrorMatchingInlineSnapshot(
    `[DeviceError: init: the environment variable PACT_DRIVER is "vulkan", expected one of hardware, lavapipe, swiftshader, none. Set it to one of them, or unset it: unset PACT_DRIVER.]`,
  );
  vi.unstubAllEnvs();
});
