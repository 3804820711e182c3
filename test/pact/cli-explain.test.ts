/** `pact explain` on a run folder: what it finds, what it says, and what it refuses. */
import { appendFileSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { explainRollout } from "../../packages/pact/src/cli/explain.ts";
import { explanationLines } from "../../packages/pact/src/cli/explain-table.ts";
import { painter } from "../../packages/pact/src/cli/terminal.ts";
import { main } from "../../packages/pact/src/cli.ts";
import { makeBase } from "./base.ts";
import { pact } from "./run-command.ts";

const root = mkdtempSync(join(tmpdir(), "pact-explain-"));
const folder = join(root, "run");
const sets = [
  ...["promptsPerStep=2", "rolloutsPerPrompt=2", "maxTurns=2", "maxTurnTokens=8", "maxRolloutTokens=40"],
  // A KL term, so that rollouts of the tiny base, which all have one reward, still have a loss.
  ...["maxContextTokens=8000", "klCoefficient=0.01"],
];
const note = () => {};
const options = { device: "cpu" } as const;
let lines: { step: number; phase: string; taskId: string; rollout: number }[];
/** Line number of the first rollout of a training step. */
const lineOf = (step: number) => lines.findIndex((line) => line.phase === "train" && line.step === step) + 1;

beforeAll(async () => {
  await makeBase(join(root, "base"));
  const args = [
    "--model",
    join(root, "base"),
    "--device",
    "cpu",
    "--eval-tasks",
    "4",
    "--steps",
    "3",
    "--json",
  ];
  const run = [
    ...args,
    "--checkpoint-every",
    "1",
    "--run-dir",
    folder,
    ...sets.flatMap((set) => ["--set", set]),
  ];
  expect((await pact("train", ...run)).code).toBe(0);
  lines = readFileSync(join(folder, "rollouts.jsonl"), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
});
afterAll(() => rmSync(root, { recursive: true }));

describe("pact explain", () => {
  it("adds up to the logged loss at every step, by line and by name", async () => {
    for (const step of [0, 1, 2]) {
      const line = lineOf(step);
      const explained = await explainRollout(folder, String(line), options, note);
      const logged = JSON.parse(readFileSync(join(folder, "metrics.jsonl"), "utf8").split("\n")[step]);
      expect(explained).toMatchObject({ line, step, parametersOfStep: step, agreement: "agrees" });
      expect(explained.logged).toBe(logged.values["loss/total"]);
      const all = explained.terms.reduce((sum, own) => sum + own.step, 0);
      expect(Math.abs(all - explained.logged!)).toBeLessThan(1e-5 * Math.max(1, explained.size));
      const own = explained.tokens.flatMap(({ terms }) => terms);
      const rollout = explained.terms.reduce((sum, term) => sum + term.rollout, 0);
      expect(own.reduce((sum, { contribution }) => sum + contribution, 0)).toBeCloseTo(rollout, 10);
      const { taskId, rollout: k } = lines[line - 1];
      expect(await explainRollout(folder, `${taskId}/${k}@${step}`, options, note)).toEqual(explained);
    }
  });

  it("without the step's checkpoint takes the one before, and says that the numbers differ", async () => {
    const copy = join(root, "copy");
    cpSync(folder, copy, { recursive: true });
    writeFileSync(join(copy, "checkpoints", "step-000002", "model.safetensors"), "torn");
    const noted: string[] = [];
    const explained = await explainRollout(copy, String(lineOf(2)), options, (line) => noted.push(line));
    expect(explained).toMatchObject({ parametersOfStep: 1, agreement: "other parameters" });
    expect(explained.notes[0]).toMatch(/NOTE: there is no checkpoints\/step-000002.*step-000001.*differ/);
    expect(noted.join()).toContain("step-000002 is not usable");
    expect(explanationLines(explained, (_, text) => text).join("\n")).toContain(
      "computed with other parameters",
    );
  });

  it("exits with 1 where the files do not give the logged loss", async () => {
    const copy = join(root, "changed");
    cpSync(folder, copy, { recursive: true });
    const metrics = readFileSync(join(copy, "metrics.jsonl"), "utf8");
    writeFileSync(
      join(copy, "metrics.jsonl"),
      metrics.replace(/"loss\/total":[-0-9.e]+/, '"loss/total":12345'),
    );
    const { code, out } = await pact("explain", copy, String(lineOf(0)));
    expect(code).toBe(1);
    expect(out).toContain("DIFFERS");
  });

  it("prints one line of JSON, or a table that fits the terminal without control characters", async () => {
    const json = await pact("explain", folder, String(lineOf(1)), "--json");
    expect(json.code).toBe(0);
    expect(json.out.trimEnd()).not.toContain("\n");
    const explained = JSON.parse(json.out);
    explained.tokens[0].text = "a\u001b[2Jb\n";
    for (const columns of [60, 80, 120]) {
      const text = explanationLines(explained, (_, own) => own, { columns, withExpert: true });
      expect(Math.max(...text.map((line) => line.length))).toBeLessThanOrEqual(columns);
      expect(text.join("")).not.toMatch(/\p{Cc}/u);
      expect(text.join("\n")).toContain("a [2Jb⏎");
      expect(text.join("\n")).toContain("logged loss/total");
    }
    const wide = explanationLines(explained, (_, own) => own, { columns: 160 }).join("\n");
    for (const name of ["log π|x", "|x,h*", "ratio", "after", "clip", "weight", "adds", "KL adds"])
      expect(wide).toContain(name);
    const stream = { isTTY: true, columns: 100, write: () => true };
    const coloured = explanationLines(explained, painter(stream, {}), { columns: 100 }).join("\n");
    expect(coloured).toContain("\u001b[");
    expect(explanationLines(explained, painter(stream, { NO_COLOR: "1" })).join("\n")).not.toContain(
      "\u001b[",
    );
  });

  it("refuses what it can not explain, and says why", async () => {
    const explain = (selector: string, from = folder) => explainRollout(from, selector, options, note);
    await expect(explain("1")).rejects.toThrow(
      /line 1 is a rollout of an evaluation.*next of training is line \d+/,
    );
    await expect(explain("9999")).rejects.toThrow(/has no training rollout "9999"/);
    await expect(explain("nothing/0@0")).rejects.toThrow(/has no training rollout/);
    await expect(explain("first")).rejects.toThrow(/names no rollout/);
    await expect(explain("1", root)).rejects.toThrow(/no config.json/);
    const copy = join(root, "cut");
    cpSync(folder, copy, { recursive: true });
    const kept = lines.filter((_, index) => index !== lineOf(2)).map((line) => JSON.stringify(line));
    writeFileSync(join(copy, "rollouts.jsonl"), `${kept.join("\n")}\n`);
    await expect(explain(String(lineOf(2)), copy)).rejects.toThrow(
      /step 2 has 3 rollouts.*2 prompts with 2 each/,
    );
    writeFileSync(join(copy, "rollouts.jsonl"), "");
    const { trained: _trained, ...old } = lines[lineOf(0) - 1] as (typeof lines)[number] & {
      trained?: unknown;
    };
    appendFileSync(join(copy, "rollouts.jsonl"), `not json\n${JSON.stringify(old)}\n`);
    await expect(explain("2", copy)).rejects.toThrow(/line 2: trained is missing/);
  });

  it("needs both words and knows its options", async () => {
    const errors: string[] = [];
    const output = { out: () => {}, error: (text: string) => errors.push(text) };
    expect(await main(["explain", folder], output)).toBe(2);
    expect(errors.pop()).toMatch(/give the run folder and the rollout/);
    expect(await main(["explain", folder, "1", "--jsn"], output)).toBe(2);
    expect(errors.pop()).toMatch(/unknown option --jsn. Did you mean --json\?/);
  });
});
