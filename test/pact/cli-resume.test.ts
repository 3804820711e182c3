/**
 * `pact train --resume`: a run that is killed again and again leaves the files of one that never was; and what can not
 * be gone on with is refused by name.
 */
import { spawn } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makeBase } from "./base.ts";
import { runFiles } from "./run-files.ts";

const root = mkdtempSync(join(tmpdir(), "pact-resume-"));
const base = join(root, "base");
beforeAll(() => makeBase(base));
afterAll(() => rmSync(root, { recursive: true }));

const bin = fileURLToPath(new URL("../../packages/pact/bin/pact.mjs", import.meta.url));

/** Runs the command; kills it with SIGKILL once `until` has been printed. */
function pact(
  args: readonly string[],
  until?: string,
  cwd = root,
): Promise<{ code: number | null; out: string; error: string }> {
  const child = spawn(process.execPath, [bin, ...args], { cwd, stdio: ["ignore", "pipe", "pipe"] });
  let out = "";
  let error = "";
  child.stdout.on("data", (chunk) => {
    out += chunk;
  });
  child.stderr.on("data", (chunk) => {
    error += chunk;
    if (until !== undefined && error.includes(until)) child.kill("SIGKILL");
  });
  return new Promise((resolve) => child.on("close", (code) => resolve({ code, out, error })));
}

const settings = [
  ...["--model", base, "--device", "cpu", "--method", "sft", "--seed", "5", "--eval-tasks", "4"],
  ...["--steps", "6", "--checkpoint-every", "2"],
  // Little work: only its being the same matters here.
  ...["promptsPerStep=2", "maxTurns=2", "maxTurnTokens=12", "maxRolloutTokens=60"].flatMap((pair) => [
    "--set",
    pair,
  ]),
];

const whole = join(root, "whole");

describe("pact train --resume", () => {
  it("after kills at several moments gives the files of a run that was never killed", async () => {
    expect((await pact(["train", ...settings, "--run-dir", whole, "--json"])).code).toBe(0);
    const expected = runFiles(whole);
    expect(Object.keys(expected).filter((name) => name.endsWith("state.safetensors"))).toHaveLength(3);

    const killed = join(root, "killed");
    await pact(["train", ...settings, "--run-dir", killed, "--json"], "step 1/6");
    const first = await pact(["train", "--resume", "--run-dir", killed, "--json"], "step 5/6");
    expect(first.error).toContain("no checkpoint yet: starting at step 0");
    // The last lines are half-written, as a kill can leave them.
    for (const name of ["metrics.jsonl", "rollouts.jsonl"])
      writeFileSync(join(killed, name), `${readFileSync(join(killed, name), "utf8")}{"step": 99, "val`);
    const last = await pact(["train", "--resume", "--run-dir", killed, "--json"]);
    expect(last.code).toBe(0);
    expect(last.error).toMatch(/going on at step [24] from checkpoints\/step-00000[24]/);
    expect(runFiles(killed)).toEqual(expected);
    const summary = (folder: string) => JSON.parse(readFileSync(join(folder, "summary.json"), "utf8"));
    expect(summary(killed).after).toEqual(summary(whole).after);
    expect(summary(killed).outcome).toBe("done");
  }, 300_000);

  it("of a finished run says so, and how to train on; it changes nothing", async () => {
    const before = runFiles(whole);
    const summary = readFileSync(join(whole, "summary.json"), "utf8");
    const { code, out, error } = await pact(["train", "--resume", "--run-dir", whole, "--json"]);
    expect(code).toBe(0);
    expect(error).toContain("the run is finished: 6 of 6 steps, evaluated before and after.");
    expect(error).toContain(`pact train --model ${join(whole, "checkpoints", "step-000006")} --steps <n>`);
    expect(error).not.toMatch(/going on at|evaluate (before|after)|train sft/);
    expect({ outcome: "done", ...JSON.parse(out) }).toEqual(JSON.parse(summary));
    expect(readFileSync(join(whole, "summary.json"), "utf8")).toBe(summary);
    expect(runFiles(whole)).toEqual(before);
    // Killed when all was done but the summary: it is written.
    rmSync(join(whole, "summary.json"));
    expect((await pact(["train", "--resume", "--run-dir", whole, "--json"])).code).toBe(0);
    const { seconds: _, tokens: __, ...same } = JSON.parse(summary);
    expect(JSON.parse(readFileSync(join(whole, "summary.json"), "utf8"))).toMatchObject(same);
    // Killed before the last evaluation: that is still to be done.
    const cut = join(root, "unevaluated");
    cpSync(whole, cut, { recursive: true });
    const lines = readFileSync(join(whole, "evaluations.jsonl"), "utf8").split("\n");
    writeFileSync(join(cut, "evaluations.jsonl"), `${lines[0]}\n`);
    const last = await pact(["train", "--resume", "--run-dir", cut, "--json"]);
    expect(last.error).toContain("going on at step 6");
    expect(last.error).toContain("evaluate after");
    expect(last.error).not.toContain("train sft");
    expect(runFiles(cut)).toEqual(before);
  });

  it("goes on from another working folder: paths are kept from the root", async () => {
    const run = join(root, "relative");
    const relative = settings.map((word) => (word === base ? "base" : word));
    expect((await pact(["train", ...relative, "--run-dir", "relative", "--json"])).code).toBe(0);
    const config = JSON.parse(readFileSync(join(run, "config.json"), "utf8"));
    expect(config.command.model).toBe(base);
    const finished = runFiles(run);
    const cut = (): void => {
      rmSync(join(run, "checkpoints", "step-000006"), { recursive: true });
      writeFileSync(join(run, "checkpoints", "latest"), "step-000004\n");
    };
    cut();
    const { code, error } = await pact(
      ["train", "--resume", "--run-dir", run, "--json"],
      undefined,
      tmpdir(),
    );
    expect([code, error]).toEqual([0, expect.stringContaining("going on at step 4")]);
    expect(runFiles(run)).toEqual(finished);
    // As runs were written before: relative, to the folder they were started in.
    cut();
    const before = { ...config, command: { ...config.command, model: "base" } };
    writeFileSync(join(run, "config.json"), JSON.stringify(before));
    expect((await pact(["train", "--resume", "--run-dir", run, "--json"])).code).toBe(0);
    expect(runFiles(run)).toEqual(finished);
  }, 120_000);

  it("on another device says so", async () => {
    const moved = join(root, "moved");
    cpSync(whole, moved, { recursive: true });
    const config = JSON.parse(readFileSync(join(moved, "config.json"), "utf8"));
    const device = { kind: "webgpu", description: "another (vulkan)" };
    writeFileSync(join(moved, "config.json"), JSON.stringify({ ...config, device }));
    const { code, error } = await pact(["train", "--resume", "--run-dir", moved, "--json"]);
    expect(code).toBe(0);
    expect(error).toMatch(
      /the run began on webgpu, another \(vulkan\) and goes on on cpu, .*: not with the same bits/,
    );
    const { error: same } = await pact(["train", "--resume", "--run-dir", whole, "--json"]);
    expect(same).not.toContain("the run began on");
  });

  it("passes over a damaged checkpoint, saying so, and still ends with the same files", async () => {
    const damaged = join(root, "damaged");
    cpSync(whole, damaged, { recursive: true });
    const weights = join(damaged, "checkpoints", "step-000006", "model.safetensors");
    writeFileSync(weights, readFileSync(weights).subarray(0, 1000));
    const { code, error } = await pact(["train", "--resume", "--run-dir", damaged, "--json"]);
    expect(code).toBe(0);
    expect(error).toContain(
      "checkpoint step-000006 is not usable (model.safetensors does not have its checksum)",
    );
    expect(error).toContain("going on at step 4");
    expect(runFiles(damaged)).toEqual(runFiles(whole));
  });

  it("refuses other settings, showing the difference, and touches nothing", async () => {
    const before = runFiles(whole);
    const { code, error } = await pact([
      "train",
      "--resume",
      "--run-dir",
      whole,
      "--seed",
      "6",
      "--steps",
      "20",
    ]);
    expect(code).toBe(1);
    expect(error).toContain("has other settings: train.seed: 5 → 6; train.steps: 6 → 20");
    expect(error).toContain("to train on, start from a checkpoint of it with --model");
    expect(runFiles(whole)).toEqual(before);
  });

  it("needs a folder, and a run in it", async () => {
    expect(await pact(["train", "--resume"])).toMatchObject({
      code: 2,
      error: expect.stringContaining("--resume needs --run-dir"),
    });
    const { code, error } = await pact(["train", "--resume", "--run-dir", join(root, "nothing")]);
    expect([code, error]).toEqual([
      1,
      expect.stringContaining("has no config.json, so there is no run in it"),
    ]);
    expect(readdirSync(root)).not.toContain("nothing");
  });
});
