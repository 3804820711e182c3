/** `pact compare` and `pact view`: runs made, kept, gone on with and listed; the table's numbers; what is served. */
import { spawn } from "node:child_process";
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { serveReport } from "../../packages/pact/src/cli/view.ts";
import { type ComparedRun, summariseRuns } from "../../packages/pact/src/comparison.ts";
import { makeBase } from "./base.ts";
import { pact } from "./run-command.ts";

const root = mkdtempSync(join(tmpdir(), "pact-compare-"));
const out = join(root, "out");
beforeAll(() => makeBase(join(root, "base")));
afterAll(() => rmSync(root, { recursive: true }));

const settings = [
  ...["--model", join(root, "base"), "--device", "cpu", "--methods", "vanilla,sft,grpo", "--seeds", "2"],
  ...["--steps", "3", "--eval-tasks", "4", "--checkpoint-every", "1", "--json"],
  ...[
    "promptsPerStep=2",
    "maxTurns=2",
    "maxTurnTokens=8",
    "maxRolloutTokens=40",
    "maxContextTokens=8000",
  ].flatMap((pair) => ["--set", pair]),
  ...["--set", "rolloutsPerPrompt=2", "--set", "grpo:learningRate=0.002", "--set", "entropyWeight=0.01"],
];

/** Logs of a run without times, which must not depend on interruptions. */
function contents(folder: string): string[] {
  const lines = readFileSync(join(folder, "metrics.jsonl"), "utf8").trimEnd().split("\n");
  return lines.map((line) => JSON.stringify({ ...JSON.parse(line), time: undefined }));
}

describe("pact compare", () => {
  it("killed amid a run, the same command keeps what is done and goes on", async () => {
    const bin = fileURLToPath(new URL("../../packages/pact/bin/pact.mjs", import.meta.url));
    const child = spawn(process.execPath, [bin, "compare", ...settings, "--out", out], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    let shown = "";
    child.stderr.on("data", (chunk) => {
      shown += chunk;
      if (shown.includes("train grpo step 2/3")) child.kill("SIGKILL");
    });
    await new Promise((ended) => child.on("close", ended));
    expect(shown).toContain("vanilla: without");
    const kept = statSync(join(out, "sft-seed1", "summary.json")).mtimeMs;
    expect(readdirSync(out)).toContain("comparison.json");
    const { code, out: printed, error } = await pact("compare", ...settings, "--out", out);
    expect(code).toBe(0);
    expect(error).toContain("sft-seed1: done before, kept");
    expect(error).toMatch(/going on at step [12] from/);
    expect(statSync(join(out, "sft-seed1", "summary.json")).mtimeMs).toBe(kept);
    const comparison = JSON.parse(printed);
    expect(comparison).toEqual(JSON.parse(readFileSync(join(out, "comparison.json"), "utf8")));
    expect(comparison.runs.map(({ folder, outcome }: ComparedRun) => `${folder} ${outcome}`)).toEqual(
      [1, 2].flatMap((seed) => ["vanilla", "sft", "grpo"].map((method) => `${method}-seed${seed} done`)),
    );
    expect(comparison.settings.train.grpo).toMatchObject({ learningRate: 0.002, entropyWeight: 0.01 });
    expect(comparison.settings.train.sft).not.toHaveProperty("entropyWeight");
    expect(comparison.methods[2]).toMatchObject({ method: "grpo", runs: 2 });
    expect(comparison.methods[2].differences.greedyF1.runs).toBe(2);
    expect(comparison.methods[0].differences).toBeNull();
    // The run that was killed has the log of one that never was: the same settings by pact train.
    const whole = join(root, "whole");
    const own = settings.filter((_, i) => !/methods|seeds|^vanilla|^2$/.test(settings[i]));
    const pairs = own.map((word) => word.replace("grpo:", ""));
    expect((await pact("train", ...pairs, "--method", "grpo", "--seed", "1", "--run-dir", whole)).code).toBe(
      0,
    );
    expect(contents(join(out, "grpo-seed1"))).toEqual(contents(whole));
    const page = readFileSync(join(out, "comparison.html"), "utf8");
    expect(page).toContain("Methods compared on ftrl-like");
    expect(page).not.toMatch(/http-equiv="refresh"|(?:src|href)="(?:https?:)?\/\//);
    expect(page.match(/class="thin"/g)?.length).toBeGreaterThan(4);
  });

  it("refuses other settings in the same folder, naming them, and folders of something else", async () => {
    const { code, error } = await pact("compare", ...settings, "--steps", "4", "--out", out);
    expect(code).toBe(1);
    expect(error).toMatch(/has other settings: train\.sft\.steps: 3 → 4; train\.grpo\.steps: 3 → 4\./);
    expect((await pact("compare", ...settings, "--out", join(root, "base"))).error).toMatch(
      /holds something other than a comparison/,
    );
  });

  it("lists a run that fails, makes the others, and ends with 1", async () => {
    const failing = join(root, "failing");
    // Settings that neither of the two methods has are left out, each with the --set before it.
    const kept = settings.filter(
      (_, i) => ![settings[i], settings[i + 1]].some((word) => /grpo:|entropy/.test(word)),
    );
    const two = kept.map((word) => (word === "vanilla,sft,grpo" ? "vanilla,sft" : word));
    const args = ["compare", ...two.filter((word) => word !== "--json"), "--out", failing];
    const { code: whole } = await pact(...args);
    expect(whole).toBe(0);
    const config = join(failing, "sft-seed2", "config.json");
    writeFileSync(config, readFileSync(config, "utf8").replace('"steps": 3', '"steps": 5'));
    rmSync(join(failing, "sft-seed2", "summary.json"));
    rmSync(join(failing, "vanilla-seed2"), { recursive: true });
    const { code, out: printed } = await pact(...args);
    expect(code).toBe(1);
    expect(printed).toMatch(/run sft-seed2 failed: .*has other settings: train\.steps: 5 → 3/);
    expect(printed).toMatch(/sft\s+1 /);
    expect(readdirSync(join(failing, "vanilla-seed2"))).toContain("summary.json");
  });

  it("checks methods, baseline and settings before anything runs", async () => {
    const none = join(root, "none");
    const refused = async (...args: string[]) => {
      const { code, error } = await pact("compare", "--out", none, ...args);
      expect(code).toBe(2);
      return error;
    };
    expect(await refused("--methods", "sft,pcat")).toMatch(/has "pcat".*Did you mean pact\?/);
    expect(await refused("--methods", "sft,sft")).toMatch(/names sft twice/);
    expect(await refused("--methods", "sft", "--baseline", "pact")).toMatch(
      /--baseline "pact" is none of sft/,
    );
    expect(await refused("--methods", "sft", "--set", "gamma=0.5")).toMatch(
      /gamma has no effect on any of sft/,
    );
    expect(await refused("--methods", "sft", "--set", "pact:gamma=0.5")).toMatch(/is for none of sft/);
    expect(await refused("--methods", "sft", "--set", "seed=4")).toMatch(/Use --methods and --seeds/);
    expect(await refused("--methods", "sft", "--set", "sft:seed=4")).toMatch(/sft:seed is not one method's/);
    expect(await refused("--methods", "sft", "--set", "sft:steps=4")).toMatch(/under one budget/);
    expect(await refused("--methods", "sft", "--steps", "4", "--set", "steps=3")).toMatch(
      /--steps and --set steps give two values/,
    );
    expect(await refused("--sedes", "2")).toMatch(/unknown option --sedes. Did you mean --seeds\?/);
    expect(readdirSync(root)).not.toContain("none");
  });

  it("compares means of finished runs, paired by seed", () => {
    const run = (method: string, seed: number, score?: number): ComparedRun => ({
      ...{
        method,
        seed,
        folder: `${method}-seed${seed}`,
        steps: 3,
        sampledTokens: 10,
        trainedTokens: 20,
        seconds: seed,
      },
      outcome: score === undefined ? "failed" : "done",
      scores:
        score === undefined
          ? undefined
          : { sampledF1: score, greedyF1: 2 * score, sampledSuccess: 0, greedySuccess: 1 },
    });
    const runs = [
      run("a", 1, 0.1),
      run("b", 1, 0.3),
      run("a", 2, 0.3),
      run("b", 2),
      run("a", 3, 0.2),
      run("b", 3, 0.6),
    ];
    const { methods } = summariseRuns(
      { methods: ["a", "b"], seeds: [1, 2, 3], shared: {}, train: {} },
      "a",
      runs,
    );
    expect(methods[0].scores.sampledF1?.mean).toBeCloseTo(0.2, 12);
    expect(methods[1].runs).toBe(2);
    expect(methods[1].differences?.sampledF1).toMatchObject({ runs: 2 });
    expect(methods[1].differences?.sampledF1?.mean).toBeCloseTo((0.2 + 0.4) / 2, 12);
    expect(methods[1].seconds).toBe(2);
  });
});

describe("pact view", () => {
  const get = (url: string, path: string, host?: string, method = "GET") =>
    new Promise<{ status: number; body: string }>((resolve, reject) => {
      const { hostname, port } = new URL(url);
      const sent = request(
        { hostname, port, path, method, agent: false, headers: host ? { host } : {} },
        (response) => {
          let body = "";
          response.on("data", (chunk) => {
            body += chunk;
          });
          response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
        },
      );
      sent.on("error", reject);
      sent.end();
    });

  it("serves a comparison and its runs on this machine, and nothing else", async () => {
    const { url, close } = await serveReport(out, 0);
    try {
      expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/$/);
      const page = await get(url, "/");
      expect(page.status).toBe(200);
      expect(page.body).toContain("Methods compared");
      expect(page.body).toContain('href="/grpo-seed1/"');
      expect((await get(url, "/grpo-seed1/?x=1")).body).toContain("GRPO on ftrl-like");
      for (const path of [
        "/comparison.json",
        "/grpo-seed1",
        "/grpo-seed1/config.json",
        "/../base/config.json",
        "/%2e%2e/base/",
        "//",
        "/grpo-seed9/",
      ])
        expect((await get(url, path)).status, path).toBe(404);
      expect((await get(url, "/", "example.org")).status).toBe(403);
      expect((await get(url, "/", undefined, "POST")).status).toBe(405);
      expect(await get(url, "/", undefined, "HEAD")).toEqual({ status: 200, body: "" });
      await expect(serveReport(out, Number(new URL(url).port))).rejects.toThrow(/is taken.*--port/);
    } finally {
      await close();
    }
    await expect(get(url, "/")).rejects.toThrow(/ECONNREFUSED/);
  });

  it("shows a run that is going on as it is, and reloads until it has ended", async () => {
    const folder = join(root, "going");
    mkdirSync(folder);
    const config = JSON.parse(readFileSync(join(out, "sft-seed1", "config.json"), "utf8"));
    writeFileSync(join(folder, "config.json"), JSON.stringify(config));
    const { url, close } = await serveReport(folder, 0);
    try {
      const before = await get(url, "/");
      expect(before.body).toMatch(/is running, or was killed \(last written \d+ s ago\): 0 of 3 steps/);
      expect(before.body).toContain('http-equiv="refresh"');
      const [line] = readFileSync(join(out, "sft-seed1", "metrics.jsonl"), "utf8").split("\n");
      appendFileSync(join(folder, "metrics.jsonl"), `${line}\n`);
      expect((await get(url, "/")).body).toContain("1 of 3 steps");
      writeFileSync(join(folder, "summary.json"), JSON.stringify({ outcome: "done" }));
      const after = await get(url, "/");
      expect(after.body).not.toMatch(/is running|http-equiv="refresh"/);
    } finally {
      await close();
    }
  });

  it("refuses a folder without a run", async () => {
    await expect(serveReport(root, 0)).rejects.toThrow(/is no run folder/);
    expect((await pact("view")).error).toMatch(/no folder given/);
    expect((await pact("view", out, "--prot", "1")).error).toMatch(/Did you mean --port\?/);
  });
});
