/** Runs that fail amid their work: what they say, what they leave, and that they can go on from it. */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { DeviceLostError, OutOfMemoryError } from "@pact/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readNewestCheckpoint } from "../../packages/pact/src/cli/checkpoints.ts";
import { explainFailure, RunFailedError } from "../../packages/pact/src/cli/failures.ts";
import { FolderSink } from "../../packages/pact/src/cli/folder-sink.ts";
import { RunFolderError } from "../../packages/pact/src/cli/run-folder.ts";
import { trainConfig } from "../../packages/pact/src/config.ts";
import { NonFiniteError } from "../../packages/pact/src/errors.ts";
import { Trainer } from "../../packages/pact/src/trainer.ts";
import { makeBase } from "./base.ts";
import { testDialect } from "./codec.ts";
import { cpuDevice, tinyModel } from "./device.ts";
import { runFiles } from "./run-files.ts";
import { callText, scriptedPolicy, scriptIds } from "./script.ts";
import { task } from "./tasks.ts";

const root = mkdtempSync(join(tmpdir(), "pact-failures-"));
const base = join(root, "base");
beforeAll(() => makeBase(base));
afterAll(() => rmSync(root, { recursive: true }));

const bin = fileURLToPath(new URL("../../packages/pact/bin/pact.mjs", import.meta.url));
const broken = fileURLToPath(new URL("broken-disk.mjs", import.meta.url));

interface Fault {
  readonly folder: string;
  readonly file: string;
  readonly at: number;
  readonly how: "ENOSPC" | "EROFS" | "delete";
}

/** Runs the command, on a disk that fails if `fault` is given. */
function pact(args: readonly string[], fault?: Fault): Promise<{ code: number | null; error: string }> {
  const child = spawn(process.execPath, [...(fault ? ["--import", broken] : []), bin, ...args], {
    stdio: ["ignore", "ignore", "pipe"],
    env: { ...process.env, BROKEN_DISK: JSON.stringify(fault) },
  });
  let error = "";
  child.stderr.on("data", (chunk) => {
    error += chunk;
  });
  return new Promise((resolve) => child.on("close", (code) => resolve({ code, error })));
}

const settings = [
  ...["train", "--model", base, "--device", "cpu", "--method", "sft", "--eval-tasks", "4", "--json"],
  ...["--steps", "4", "--checkpoint-every", "2", "--eval-every", "1", "--eval-rollouts", "2"],
  ...["promptsPerStep=2", "maxTurns=2", "maxTurnTokens=8", "maxRolloutTokens=40"].flatMap((pair) => [
    "--set",
    pair,
  ]),
];

const whole = join(root, "whole");
beforeAll(async () => {
  expect((await pact([...settings, "--run-dir", whole])).code).toBe(0);
}, 120_000);

describe("a disk that fails during pact train", () => {
  it("evaluates every so many steps, k times each task", () => {
    const lines = readFileSync(join(whole, "evaluations.jsonl"), "utf8").trim().split("\n");
    const results = lines.map((line) => JSON.parse(line));
    expect(results.map(({ step }) => step)).toEqual([0, 1, 2, 3, 4]);
    for (const { sampled, greedy } of results) {
      expect([sampled.attempts, greedy.attempts]).toEqual([2, 1]);
      expect(sampled.passHatK.map(({ k }: { k: number }) => k)).toEqual([1, 2]);
    }
  });

  it.each([
    ["half of a line of metrics is written", "metrics.jsonl", 4],
    ["half of an evaluation is written", "evaluations.jsonl", 4],
    ["half of the evaluation of the checkpoint's own step is written", "evaluations.jsonl", 3],
    ["half of a checkpoint's weights is written", "step-000004.tmp/.model", 1],
  ])(
    "full: %s; the run says what is saved, and goes on to the same files",
    async (_, file, at) => {
      const folder = join(root, `full-${at}-${file.length}`);
      const { code, error } = await pact([...settings, "--run-dir", folder], {
        folder,
        file,
        at,
        how: "ENOSPC",
      });
      expect(code).toBe(1);
      expect(error).toContain(
        `pact: The disk of ${folder} is full (ENOSPC). Saved: checkpoint step-000002, whole, with the logs up to it. ` +
          `Free some space, then go on with \`pact train --resume --run-dir ${folder}\`.`,
      );
      expect(readNewestCheckpoint(folder, () => {})?.name).toBe("step-000002");
      const resumed = await pact(["train", "--resume", "--run-dir", folder, "--json"]);
      expect(resumed.code, resumed.error).toBe(0);
      expect(resumed.error).toContain("going on at step 2");
      expect(runFiles(folder)).toEqual(runFiles(whole));
    },
    120_000,
  );

  it("read-only before the first checkpoint: says that none was saved", async () => {
    const folder = join(root, "read-only");
    const fault: Fault = { folder, file: "metrics.jsonl", at: 1, how: "EROFS" };
    const { code, error } = await pact([...settings, "--run-dir", folder], fault);
    expect(code).toBe(1);
    expect(error).toContain(
      `pact: The run folder ${folder} can not be written (EROFS). No checkpoint was saved yet. Make it writable, then`,
    );
    expect(error).toContain("which starts at step 0");
  }, 120_000);

  it("deleted folder: says so, and does not make it anew", async () => {
    const folder = join(root, "deleted");
    const fault: Fault = { folder, file: "metrics.jsonl", at: 3, how: "delete" };
    const { code, error } = await pact([...settings, "--run-dir", folder], fault);
    expect(code).toBe(1);
    expect(error).toContain(`pact: The run folder ${folder} is gone`);
    expect(existsSync(folder)).toBe(false);
  }, 120_000);
});

/** Trains for real with a policy that throws `error` in step `at`; returns what the command would say. */
async function failing(name: string, at: number, error: Error): Promise<{ folder: string; said: Error }> {
  await cpuDevice();
  const { config: model, params } = await tinyModel(3);
  const folder = join(root, name);
  mkdirSync(folder);
  const script = scriptedPolicy(() => scriptIds(`${callText("Bavo")}<|end|><answer>Mira</answer><|end|>`));
  let sessions = 0;
  const trainer = new Trainer({
    config: trainConfig({
      ...{ steps: 5, promptsPerStep: 1, rolloutsPerPrompt: 2, maxTurnTokens: 60, maxRolloutTokens: 120 },
      checkpointEvery: 2,
    }),
    model,
    params,
    dialect: testDialect,
    tasks: [task],
    sink: new FolderSink(folder, { config: "{}", tokenizer: "{}" }),
    policy: () => ({
      start(...given) {
        sessions += 1;
        if (sessions > at) throw error;
        return script.start(...given);
      },
    }),
  });
  const thrown = await (async () => {
    for await (const _ of trainer.steps());
  })().catch((problem: unknown) => problem);
  trainer.dispose();
  expect(thrown).toBe(error);
  const said = explainFailure(folder, thrown);
  if (!(said instanceof Error)) throw new Error("expected an error");
  return { folder, said };
}

describe("a device that fails during a run", () => {
  it("lost: the steps before it are saved", async () => {
    const { folder, said } = await failing("lost", 3, new DeviceLostError("sampleTokens: the GPU is gone."));
    expect(said).toBeInstanceOf(RunFailedError);
    expect(said.message).toBe(
      "The device was lost: sampleTokens: the GPU is gone. Saved: checkpoint step-000003, whole, with the logs up to it. " +
        `Wait until it is back, then go on with \`pact train --resume --run-dir ${folder}\`.`,
    );
    expect(readdirSync(join(folder, "checkpoints"))).toEqual(["latest", "step-000002", "step-000003"]);
  });

  it("out of memory, on the device or in an array: names what to make smaller", async () => {
    for (const [name, error] of [
      ["memory", new OutOfMemoryError("matmul: no memory for 8 GB.")],
      ["array", new RangeError("Array buffer allocation failed")],
    ] as const) {
      const { said } = await failing(name, 1, error);
      expect(said.message).toContain(`Out of memory: ${error.message}`);
      expect(said.message).toContain("Saved: checkpoint step-000001");
      expect(said.message).toContain("smaller tokenBudget, promptsPerStep or rolloutsPerPrompt");
      expect(said.cause).toBe(error);
    }
  });
});

describe("explainFailure", () => {
  it("keeps an error to which nothing can be added", () => {
    const empty = join(root, "empty");
    mkdirSync(empty);
    const plain = new Error("no task fits");
    expect(explainFailure(empty, plain)).toBe(plain);
    const refused = new RunFolderError("other settings");
    expect(explainFailure(whole, refused)).toBe(refused);
    expect(explainFailure(empty, "text")).toBe("text");
  });

  it("says what was saved with any other error, and not to resume where the same would happen again", () => {
    const said = (error: unknown) => (explainFailure(whole, error) as Error).message;
    expect(said(new Error("a tool broke"))).toMatch(
      /^a tool broke\. Saved: checkpoint step-000004.* Go on with/,
    );
    expect(said(new NonFiniteError("The loss is NaN."))).toMatch(
      /^The loss is NaN\. Saved: .* start a new run with --model .*step-000004 and another --run-dir; --resume would/,
    );
  });
});
