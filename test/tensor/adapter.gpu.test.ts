/** Adapters in processes of their own: what is found on which kind of machine, and that processes end and rest. */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { requireGpu } from "../helpers/require.ts";

const device = await requireGpu();
const packaged = process.platform === "linux" && process.arch === "x64";
const child = new URL("../helpers/adapter-child.ts", import.meta.url).pathname;

interface Ended {
  code: number | null;
  seconds: number;
  stderr: string;
  line: { driver: string; why: string; last?: number; idleCpuMs?: number } | undefined;
}

function run(ending: string, environment: Record<string, string> = {}): Promise<Ended> {
  const start = performance.now();
  return new Promise((resolve, reject) => {
    const started = spawn(
      process.execPath,
      ["--expose-gc", "--conditions=source", "--import", "tsx", child, ending],
      {
        env: { ...process.env, ...environment },
        timeout: 60_000,
      },
    );
    let stdout = "";
    let stderr = "";
    started.stdout.on("data", (part) => {
      stdout += part;
    });
    started.stderr.on("data", (part) => {
      stderr += part;
    });
    started.on("error", reject);
    started.on("close", (code) => {
      const seconds = (performance.now() - start) / 1000;
      resolve({ code, seconds, stderr, line: stdout ? JSON.parse(stdout) : undefined });
    });
  });
}

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "pact-adapter-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe.skipIf(!device)("a process with an adapter", () => {
  // The child collects garbage while it reads: without holdDevice Dawn ends the device and the read is rejected.
  test("keeps its device while a read is under way, and ends by itself with code 0", async () => {
    const ended = await run("ok");
    expect(ended.code, ended.stderr).toBe(0);
    expect(ended.line?.last).toBe(126);
    expect(ended.seconds).toBeLessThan(20);
  });

  test.each(["throw", "throw-pending"])("ends with code 1 after an error (%s)", async (ending) => {
    const ended = await run(ending);
    expect(ended.code, ended.stderr).toBe(1);
    expect(ended.stderr).toContain("Error: thrown");
    expect(ended.seconds).toBeLessThan(20);
  });

  test("rests while it waits", async () => {
    const ended = await run("idle");
    expect(ended.code, ended.stderr).toBe(0);
    // One second of waiting; a spinning thread would take 1000 ms, measured: 2 ms.
    expect(ended.line?.idleCpuMs).toBeLessThan(200);
  });
});

describe.skipIf(!packaged)("SwiftShader from npm", () => {
  test("computes where the system has no driver", async () => {
    const ended = await run("ok", { VK_DRIVER_FILES: join(folder, "absent.json"), PACT_DRIVER: "" });
    expect(ended.code, ended.stderr).toBe(0);
    expect(ended.line).toMatchObject({ driver: "swiftshader", last: 126 });
    expect(ended.line?.why).toMatch(/the system has no Vulkan (driver that Dawn takes|loader)/);
  });

  test("computes where the system has no loader, with the loader from npm", async () => {
    // An unreadable library of that name, found before the system's, stands for its absence.
    writeFileSync(join(folder, "libvulkan.so.1"), "");
    const ended = await run("ok", { LD_LIBRARY_PATH: folder, PACT_DRIVER: "swiftshader" });
    expect(ended.code, ended.stderr).toBe(0);
    expect(ended.line).toMatchObject({ driver: "swiftshader", last: 126 });
    const unforced = await run("ok", { LD_LIBRARY_PATH: folder, PACT_DRIVER: "" });
    expect(unforced.line?.last).toBe(126);
    expect(unforced.line?.why).toContain("the system has no Vulkan loader");
  });

  test("is unpacked once when processes start together on an empty cache", async () => {
    const environment = { XDG_CACHE_HOME: join(folder, "cache"), PACT_DRIVER: "swiftshader" };
    const ended = await Promise.all([1, 2, 3].map(() => run("ok", environment)));
    for (const { code, line, stderr } of ended) {
      expect(code, stderr).toBe(0);
      expect(line).toMatchObject({ driver: "swiftshader", last: 126 });
    }
  });

  test("PACT_DRIVER=none finds nothing and says so", async () => {
    const ended = await run("ok", { PACT_DRIVER: "none" });
    expect(ended.line).toMatchObject({ driver: "none", why: "none: PACT_DRIVER=none" });
  });
});
