/** `pact doctor` and the committed launcher, as a user of a checkout starts them. */
import { spawn, spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { doctorText } from "../../packages/pact/src/cli/doctor.ts";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
const launcher = join(root, "packages/pact/bin/pact.mjs");
const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

function pact(args: string[], environment: Record<string, string> = {}) {
  const env = { ...process.env, ...environment };
  return spawnSync(process.execPath, [launcher, ...args], { encoding: "utf8", env, cwd: tmpdir() });
}

/** A checkout of its own with a copy of the launcher and the given command line program. */
function checkout(program: string): string {
  const folder = mkdtempSync(join(tmpdir(), "pact-launcher-"));
  folders.push(folder);
  for (const sub of ["bin", "src"]) mkdirSync(join(folder, sub));
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  copyFileSync(launcher, join(folder, "bin/pact.mjs"));
  writeFileSync(join(folder, "src/cli.ts"), program);
  return folder;
}

test("doctor --json answers from any folder, also without an adapter", () => {
  const { status, stdout } = pact(["doctor", "--json"], { PACT_DRIVER: "none" });
  expect(status).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({
    driver: "none",
    adapterName: "",
    features: [],
    limits: {},
    missing: [{ what: "PACT_DRIVER=none allows no other driver", command: "unset PACT_DRIVER" }],
    node: process.version,
  });
});

test("the launcher passes the exit code on", () => {
  const { status, stderr } = pact(["no-such-command"]);
  expect(status).toBe(2);
  expect(stderr).toContain("no-such-command");
});

test("Ctrl-C reaches the program once, and its exit code is the command's", async () => {
  const folder = checkout(`
    let signals: number = 0;
    process.on("SIGINT", () => { signals++; setTimeout(() => process.exit(40 + signals), 300); });
    setTimeout(() => process.exit(1), 30_000);
    console.log("ready");`);
  const child = spawn(process.execPath, [join(folder, "bin/pact.mjs")], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  child.stdout.once("data", () => child.kill("SIGINT"));
  const code = await new Promise((done) => child.on("close", done));
  expect(code).toBe(41);
});

test("without sources and build the launcher says what to run", () => {
  const folder = checkout("");
  rmSync(join(folder, "src"), { recursive: true });
  const { status, stderr } = spawnSync(process.execPath, [join(folder, "bin/pact.mjs")], {
    encoding: "utf8",
  });
  expect(status).toBe(1);
  expect(stderr).toContain("Run `npm ci` first");
});

test("doctorText leads with the adapter and what is missing", () => {
  const report = {
    driver: "swiftshader" as const,
    adapterName: "SwiftShader driver 5.0.0",
    vendor: "google",
    architecture: "swiftshader",
    description: "SwiftShader driver 5.0.0",
    features: ["subgroups"],
    limits: { maxBufferSize: 1024 },
    why: "swiftshader: the system has no Vulkan loader",
    missing: [{ what: "a driver for an NVIDIA GPU", command: "sudo apt install libvulkan1 nvidia-driver" }],
  };
  expect(doctorText(report, { node: "v20.19.0", platform: "linux x64" })).toMatchInlineSnapshot(`
    "adapter   SwiftShader driver 5.0.0
    driver    swiftshader
    why       swiftshader: the system has no Vulkan loader
    node      v20.19.0 on linux x64
    missing
      a driver for an NVIDIA GPU:
        sudo apt install libvulkan1 nvidia-driver
    vendor    google (swiftshader)
    features  subgroups
    limits    (those of computing; all of them: --json)
      maxBufferSize                              1024"
  `);
  const none = doctorText(
    { ...report, driver: "none", adapterName: "", missing: [] },
    { node: "", platform: "" },
  );
  expect(none).toContain("none; everything runs on the cpu device");
  expect(none).toContain("missing   nothing");
});
