/** Standard output that can not be written: the work is done, and the exit code says that its result was lost. */
import { spawn } from "node:child_process";
import { EventEmitter } from "node:events";
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { watchOutput } from "../../packages/pact/src/cli/output.ts";
import { makeBase } from "./base.ts";

const root = mkdtempSync(join(tmpdir(), "pact-output-"));
const base = join(root, "base");
beforeAll(() => makeBase(base));
afterAll(() => rmSync(root, { recursive: true }));

const bin = fileURLToPath(new URL("../../packages/pact/bin/pact.mjs", import.meta.url));
const full = "/dev/full";

/** Runs the program with a full disk, or a reader that leaves at once, as its standard output. */
async function pact(output: "full" | "closed", ...args: string[]): Promise<{ code: unknown; error: string }> {
  const file = output === "full" ? openSync(full, "w") : "pipe";
  const child = spawn(process.execPath, [bin, ...args], { stdio: ["ignore", file, "pipe"] });
  if (typeof file === "number") closeSync(file);
  child.stdout?.destroy();
  let error = "";
  child.stderr?.on("data", (chunk) => {
    error += chunk;
  });
  return new Promise((resolve) => child.on("close", (code) => resolve({ code, error })));
}

const small = ["promptsPerStep=2", "maxTurns=1", "maxTurnTokens=8", "maxRolloutTokens=40"];
const train = [
  ...["train", "--model", base, "--device", "cpu", "--method", "sft", "--eval-tasks", "4", "--steps", "1"],
  ...small.flatMap((pair) => ["--set", pair]),
];

describe.skipIf(!existsSync(full))("a full disk as standard output (needs /dev/full)", () => {
  it.each<[string, readonly string[]]>([
    ["--help", ["--help"]],
    ["doctor --json", ["doctor", "--json"]],
    ["merge --help", ["merge", "--help"]],
    ["view --help", ["view", "--help"]],
    ["train --json", [...train, "--json", "--run-dir", join(root, "run")]],
  ])(
    "%s ends with 1 and one line of why",
    async (_, args) => {
      const { code, error } = await pact("full", ...args);
      expect(code).toBe(1);
      expect(error).toMatch(
        /^pact: standard output could not be written \(ENOSPC\): what was printed there is lost/m,
      );
      expect(error).not.toContain("at writeSync");
    },
    60_000,
  );

  it("loses nothing of a run", () => {
    expect(JSON.parse(readFileSync(join(root, "run", "summary.json"), "utf8"))).toMatchObject({
      outcome: "done",
      steps: 1,
    });
  });
});

it("a reader that left had what it wanted, unless it was to get --json", async () => {
  expect(await pact("closed", "--help")).toEqual({ code: 0, error: "" });
  const { code, error } = await pact("closed", "doctor", "--json");
  expect([code, error]).toEqual([1, expect.stringContaining("could not be written (EPIPE)")]);
}, 60_000);

describe("watchOutput", () => {
  const broken = Object.assign(new Error("no space"), { code: "ENOSPC" });
  function watched(json: boolean) {
    const stdout = new EventEmitter();
    let told = "";
    const stderr = Object.assign(new EventEmitter(), {
      write(text: string) {
        told += text;
      },
    });
    const own = Object.assign(new EventEmitter(), {
      stdout,
      stderr,
      exitCode: undefined as number | undefined,
    });
    watchOutput(own, json);
    return { own, told: () => told };
  }

  it("keeps the code of a command that failed or was stopped, and of one whose output was read", () => {
    for (const [code, error] of [
      [2, broken],
      [130, broken],
      [0, undefined],
    ] as const) {
      const { own, told } = watched(true);
      if (error) own.stdout.emit("error", error);
      own.emit("exit", code);
      expect([own.exitCode, told()]).toEqual([undefined, ""]);
    }
  });

  it("outlives a broken standard error, and names an error without a code", () => {
    const { own, told } = watched(false);
    own.stderr.emit("error");
    own.stdout.emit("error", new Error("gone"));
    own.stdout.emit("error", broken);
    own.emit("exit", 0);
    expect([own.exitCode, told()]).toEqual([1, expect.stringContaining("could not be written (gone)")]);
  });
});
