import { spawn } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { trainOptions } from "../../packages/pact/src/cli/train-options.ts";
import { defaultConfig } from "../../packages/pact/src/config.ts";
import { makeBase } from "./base.ts";

const root = mkdtempSync(join(tmpdir(), "pact-train-"));
const base = join(root, "base");
afterAll(() => rmSync(root, { recursive: true }));

beforeAll(() => makeBase(base));

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly error: string;
}

const bin = fileURLToPath(new URL("../../packages/pact/bin/pact.mjs", import.meta.url));

/** Runs the installed command; `until` and what follows interrupt it once that text has been printed. */
function pact(args: readonly string[], until?: string): Promise<Ended> {
  const child = spawn(process.execPath, [bin, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  let out = "";
  let error = "";
  let interrupted = false;
  child.stdout.on("data", (chunk) => {
    out += chunk;
  });
  child.stderr.on("data", (chunk) => {
    error += chunk;
    if (until === undefined || interrupted || !error.includes(until)) return;
    interrupted = true;
    child.kill("SIGINT");
  });
  return new Promise((resolve) => child.on("close", (code) => resolve({ code, out, error })));
}

const quick = ["train", "--model", base, "--device", "cpu", "--method", "sft", "--eval-tasks", "4", "--json"];
const scores = { solveP: expect.any(Number), solveR: expect.any(Number), solveF1: expect.any(Number) };

describe("pact train", () => {
  it("runs every stage and ends with one line of JSON on stdout", async () => {
    const folder = join(root, "whole");
    const { code, out, error } = await pact([...quick, "--steps", "1", "--seed", "3", "--run-dir", folder]);
    expect(error).toContain("train sft step 1/1");
    expect(code).toBe(0);
    expect(out.endsWith("\n")).toBe(true);
    expect(out.trimEnd()).not.toContain("\n");
    const result = JSON.parse(out);
    expect(Object.keys(result)).toEqual([
      "device",
      "driver",
      "seed",
      "steps",
      "seconds",
      "tokens",
      "before",
      "after",
      "runDir",
    ]);
    expect(result).toEqual({
      device: "cpu",
      driver: "none",
      seed: 3,
      steps: 1,
      seconds: expect.any(Number),
      tokens: expect.any(Number),
      before: { sampled: scores, greedy: scores },
      after: { sampled: scores, greedy: scores },
      runDir: folder,
    });
    expect(readdirSync(folder).sort()).toEqual([
      "checkpoints",
      "config.json",
      "evaluations.jsonl",
      "metrics.jsonl",
      "report.html",
      "rollouts.jsonl",
      "summary.json",
    ]);
    expect(JSON.parse(readFileSync(join(folder, "config.json"), "utf8"))).toMatchObject({
      train: { method: "sft", seed: 3, steps: 1 },
      environment: { id: "ftrl-like" },
      heldOutTasks: 4,
    });
    expect(JSON.parse(readFileSync(join(folder, "summary.json"), "utf8"))).toEqual({
      outcome: "done",
      ...result,
    });
    expect(readdirSync(join(folder, "checkpoints"))).toEqual(["latest", "step-000001"]);
    expect(readFileSync(join(folder, "report.html"), "utf8")).toContain("<h1>SFT on ftrl-like</h1>");
    // The tiny base calls nothing: FTRL's Solve-P is then 1, which tables do not show.
    expect(result.before.greedy).toEqual({ solveP: 1, solveR: 0, solveF1: 0 });
    expect(error).toMatch(/greedy +– {2}0\.000 {2}0\.000 +– {2}0\.000 {2}0\.000/);
    expect(error).toContain("P is – where no call was made; its definition has 1 there");
    expect(readFileSync(join(folder, "report.html"), "utf8")).toContain(
      '<td class="first">–</td><td class="">0.000</td>',
    );
  });

  it("started from that run's checkpoint, Ctrl-C finishes the step, saves what was done and ends with 130", async () => {
    const checkpoint = join(root, "whole", "checkpoints", "step-000001");
    const folder = join(root, "stopped");
    const { code, out, error } = await pact(
      [...quick, "--model", checkpoint, "--steps", "5000", "--seed", "3", "--run-dir", folder],
      "train sft step 1/5000",
    );
    expect(error).toContain("stopping after this step");
    expect(error).toMatch(/ {2}go on {5}pact train --resume --run-dir .*stopped\n$/);
    expect(code).toBe(130);
    const result = JSON.parse(out);
    expect(result.before).toEqual(
      JSON.parse(readFileSync(join(root, "whole", "summary.json"), "utf8")).after,
    );
    expect(result.after).toBeNull();
    expect(result.steps).toBeGreaterThanOrEqual(1);
    const metrics = readFileSync(join(folder, "metrics.jsonl"), "utf8").trim().split("\n");
    expect(metrics).toHaveLength(result.steps);
    expect(readdirSync(join(folder, "checkpoints"))).toEqual([
      "latest",
      `step-${String(result.steps).padStart(6, "0")}`,
    ]);
    expect(JSON.parse(readFileSync(join(folder, "summary.json"), "utf8")).outcome).toBe("stopped");
    expect(readFileSync(join(folder, "report.html"), "utf8")).toContain("was stopped before its end");
  });

  it("outlives the reader of its standard output: the run ends and its folder is complete", async () => {
    const folder = join(root, "unread");
    const shown = quick.filter((argument) => argument !== "--json");
    const child = spawn(process.execPath, [bin, ...shown, "--steps", "1", "--run-dir", folder], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    let error = "";
    child.stderr.on("data", (chunk) => {
      error += chunk;
    });
    child.stdout.once("data", () => child.stdout.destroy());
    const code = await new Promise((resolve) => child.on("close", resolve));
    expect([code, error]).toEqual([0, ""]);
    expect(JSON.parse(readFileSync(join(folder, "summary.json"), "utf8")).outcome).toBe("done");
    expect(readdirSync(folder)).toContain("report.html");
  });

  it("names damaged weights of --model and what to do, and leaves no folder behind", async () => {
    const damaged = join(root, "damaged");
    cpSync(base, damaged, { recursive: true });
    const weights = join(damaged, "model.safetensors");
    writeFileSync(weights, readFileSync(weights).subarray(0, 1000));
    const { code, out, error } = await pact([...quick, "--model", damaged, "--run-dir", join(root, "none")]);
    expect([code, out]).toEqual([1, ""]);
    expect(error).toContain(`pact: model.safetensors in ${damaged} is not usable: `);
    expect(error).toMatch(/Copy the model folder again .*--model <path>\.\n$/);
    expect(readdirSync(root)).not.toContain("none");
  });

  it("names the file that is missing from --model, in one line, and leaves no folder behind", async () => {
    mkdirSync(join(root, "no"));
    const { code, out, error } = await pact([
      "train",
      "--model",
      join(root, "no"),
      "--run-dir",
      join(root, "never"),
    ]);
    expect([code, out]).toEqual([1, ""]);
    expect(error).toBe(
      `pact: the model folder ${join(root, "no")} has no readable config.json. Give --model the folder of a Hugging Face checkpoint, or of a run's checkpoint.\n`,
    );
    expect(readdirSync(root)).not.toContain("never");
  });
});

it("the default number of steps is the trainer's", () => {
  expect(trainOptions.steps.default).toBe(defaultConfig.steps);
  expect(trainOptions.method.default).toBe(defaultConfig.method);
  expect(trainOptions.seed.default).toBe(defaultConfig.seed);
});
