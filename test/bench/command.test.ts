/** `npm run bench` and `npm run bench:peers` as they are called. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const root = fileURLToPath(new URL("../../", import.meta.url));

/** Runs a program of bench/ and returns how it ended. */
function run(program: string, ...args: string[]) {
  const argv = ["--import", "tsx", "--conditions=source", `bench/${program}`, ...args];
  return new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
    execFile(process.execPath, argv, { cwd: root }, (error, stdout, stderr) =>
      resolve({ code: typeof error?.code === "number" ? error.code : 0, stdout, stderr }),
    );
  });
}

describe("npm run bench", () => {
  test("--json ends with one line that names adapter, driver, commit and workloads", async () => {
    const { code, stdout, stderr } = await run("run.ts", "--only", "w6", "--device", "cpu", "--json");
    expect(code).toBe(0);
    expect(stderr).toContain("W6");
    const lines = stdout.trimEnd().split("\n");
    const { adapter, driver, commit, W6 } = JSON.parse(lines[lines.length - 1]);
    expect([typeof adapter, typeof driver, typeof commit]).toEqual(["string", "string", "string"]);
    expect(Object.keys(W6)).toEqual(["eager", "captured", "fused"]);
    expect(W6.eager).toMatchObject({ samples: 9 });
  });

  test("help lists the workloads, a wrong name is a message and exit code 2", async () => {
    const [help, wrong] = await Promise.all([run("run.ts", "--help"), run("run.ts", "--only", "W0")]);
    expect(help.code).toBe(0);
    for (const name of ["W1", "W8"]) expect(help.stdout).toContain(`  ${name}  `);
    expect(wrong.code).toBe(2);
    expect(wrong.stderr).toContain('There is no workload "W0".');
  });
});

describe("npm run bench:peers", () => {
  test("help and mistakes need none of the other engines", async () => {
    const [help, wrong] = await Promise.all([
      run("peers/run.ts", "--help"),
      run("peers/run.ts", "--only", "W8"),
    ]);
    expect(help.code).toBe(0);
    expect(help.stdout).toContain("W5  decoding");
    expect(wrong.code).toBe(2);
    expect(wrong.stderr).toContain("There are W1, W2, W3, W4, W5, W6.");
  });
});
