/** `pact plan`: its options, what it says to people and programs, and model folders of both kinds. */
import { mkdirSync, mkdtempSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { configFromJson, paramSpecs } from "@pact/nn";
import { ftrlLike } from "@pact/tools-sim";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { writeHeader } from "../../packages/nn/src/safetensors-header.ts";
import { inspectModelFolder } from "../../packages/pact/src/cli/base-policy.ts";
import { bytesText, parseBytes } from "../../packages/pact/src/cli/bytes.ts";
import { type PlanReport, planReport } from "../../packages/pact/src/cli/plan.ts";
import { planLines } from "../../packages/pact/src/cli/plan-table.ts";
import { requestOf } from "../../packages/pact/src/cli/train-request.ts";
import { main } from "../../packages/pact/src/cli.ts";
import { trainConfig } from "../../packages/pact/src/config.ts";
import { planTraining } from "../../packages/pact/src/plan.ts";
import { qwen3Like } from "../helpers/chat-templates.ts";
import { qwenLikeFiles } from "../helpers/qwen-like.ts";

const root = mkdtempSync(join(tmpdir(), "pact-plan-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** The program's exit code, and what it says on the way. */
async function run(...args: string[]): Promise<{ code: number; out: string; error: string }> {
  const texts = { out: "", error: "" };
  const writes = { out: process.stdout.write, error: process.stderr.write };
  const keep = (name: "out" | "error") => (text: string | Uint8Array) => {
    texts[name] += text;
    return true;
  };
  process.stdout.write = keep("out") as typeof process.stdout.write;
  process.stderr.write = keep("error") as typeof process.stderr.write;
  try {
    const code = await main(args, { out: keep("out"), error: keep("error") });
    return { code, ...texts };
  } finally {
    process.stdout.write = writes.out;
    process.stderr.write = writes.error;
  }
}

const quick = ["--set", "promptsPerStep=2", "--steps", "1", "--eval-tasks", "4", "--tokens", "2048"];

const tiny = {
  model_type: "qwen3",
  vocab_size: 384,
  hidden_size: 16,
  intermediate_size: 32,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  head_dim: 8,
  max_position_embeddings: 16_384,
  tie_word_embeddings: true,
};

/** A folder with a tokenizer and a template in the manner of Qwen3's. Its weights are a hole of the right length. */
function chatFolder(name: string, json: object): string {
  const folder = join(root, name);
  mkdirSync(folder);
  writeFileSync(join(folder, "config.json"), JSON.stringify(json));
  const specs = paramSpecs(configFromJson(json));
  const header = writeHeader(
    specs.map((spec) => ({ ...spec, dtype: "BF16" })),
    {},
  );
  const numbers = specs.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
  const weights = join(folder, "model.safetensors");
  writeFileSync(weights, header);
  truncateSync(weights, header.length + 2 * numbers);
  const files = qwenLikeFiles(qwen3Like);
  writeFileSync(join(folder, "tokenizer.json"), JSON.stringify(files.tokenizer));
  writeFileSync(join(folder, "tokenizer_config.json"), JSON.stringify(files.config));
  writeFileSync(join(folder, "chat_template.jinja"), qwen3Like);
  return folder;
}

describe("pact plan", () => {
  it("prints what a run would take, as a table and as one line of JSON", async () => {
    const table = await run("plan", ...quick, "--memory", "1GiB");
    expect(table.code).toBe(0);
    expect(table.out).toMatch(/^model {5}the shipped base: 127,360 parameters, all trained$/m);
    expect(table.out).toMatch(/^peak {6}[\d.]+ MiB of tensors, in /m);
    expect(table.out).toMatch(/^memory {4}1\.00 GiB: fits, with the buffers that are kept$/m);
    for (const phase of ["start", "evaluation", "rollouts", "old log-probs", "forward, backward", "update"])
      expect(table.out).toMatch(new RegExp(`^${phase} +[\\d.]+ [KM]iB`, "m"));
    expect(table.out).toContain("less memory with");
    expect(table.out).toMatch(
      /with rollouts of 96 sampled tokens; .* with the experts', .* if all ran to their limit$/m,
    );

    const { code, out } = await run("plan", "--method", "vanilla", "--eval-tasks", "20", "--json");
    expect(code).toBe(0);
    const said = JSON.parse(out);
    expect(out.split("\n")).toHaveLength(2);
    expect(said.peakBytes).toBe(
      Math.max(...said.phases.map((phase: { peakBytes: number }) => phase.peakBytes)),
    );
    expect(said.memory).toBeNull();
    expect([said.rolloutTokens, said.expert, said.longest]).toEqual([96, null, null]);
    expect(said.suggestions.length).toBeGreaterThan(0);
    for (const { options, peakBytes } of said.suggestions) {
      expect(options).toMatch(/^--/);
      expect(peakBytes).toBeLessThan(said.peakBytes);
    }
  });

  it("suggests options that then give what was said", async () => {
    const report = await planReport(
      await requestOf(["--set", "promptsPerStep=2", "--steps", "1", "--eval-tasks", "40"]),
      undefined,
      undefined,
    );
    const [best] = report.suggestions;
    const { settings, heldOut } = best;
    const args = Object.entries({ promptsPerStep: 2, ...settings }).flatMap(([name, value]) => [
      "--set",
      `${name}=${value}`,
    ]);
    const again = await planReport(
      await requestOf([...args, "--steps", "1", "--eval-tasks", String(heldOut ?? 40)]),
      undefined,
      undefined,
    );
    // Fewer held-out tasks are others, but as many.
    expect(Math.abs(again.plan.peakBytes / best.plan.peakBytes - 1)).toBeLessThan(0.05);
  });

  it("says what does not fit", async () => {
    const report = await planReport(
      await requestOf(["--set", "promptsPerStep=2", "--steps", "1", "--eval-tasks", "4"]),
      undefined,
      500,
    );
    expect(report.memory).toEqual({ bytes: 500, fits: "no" });
    const plain = (given: Partial<PlanReport>) =>
      planLines({ ...report, ...given }, (_, text) => text).join("\n");
    expect(plain({})).toContain("memory    500 B: does not fit");
    expect(plain({ bindings: { limitBytes: 4096, fits: false } })).toContain(
      "one binding of this adapter takes 4.00 KiB: does not fit: the run would end with OutOfMemoryError",
    );
    expect(plain({ bindings: { limitBytes: null, fits: null } })).toContain("no adapter here to bind it on");
    expect(plain({ missing: ["shader-f16"] })).toContain("this adapter has no shader-f16");
    expect(plain({ memory: { bytes: 2 ** 20, fits: "tight" } })).toContain(
      "tensors fit, but not with the buffers",
    );
  });

  it("plans a folder with a chat template", async () => {
    const { config, dialect } = await inspectModelFolder(chatFolder("chat", tiny));
    expect(config.vocabSize).toBe(384);
    expect(dialect.answers).toBe("any");
    const tasks = ftrlLike.generate({ seed: 1, split: "train", count: 4 });
    const settings = trainConfig({ maxContextTokens: 16_384, promptsPerStep: 2, steps: 1 });
    const plan = await planTraining({ config: settings, model: config, dialect, tasks, heldOut: tasks });
    expect(plan.phases.map(({ phase }) => phase)).toContain("rollouts");
    expect(plan.parameters).toBe(8512);
  });

  it("reads a folder of 0.6 billion parameters without its weights", async () => {
    const sizes = { hidden_size: 1024, intermediate_size: 3072, num_hidden_layers: 28, vocab_size: 151_936 };
    const heads = { num_attention_heads: 16, num_key_value_heads: 8, head_dim: 128 };
    const folder = chatFolder("large", { ...tiny, ...sizes, ...heads });
    expect(statSync(join(folder, "model.safetensors")).size).toBeGreaterThan(1.1e9);
    const before = process.memoryUsage().rss;
    const { config } = await inspectModelFolder(folder);
    expect(paramSpecs(config).length).toBe(310);
    expect(process.memoryUsage().rss - before).toBeLessThan(2 ** 28);
  });

  it.each([
    [["--memory", "lots"], /--memory must be a number of bytes or a size like 24GiB/],
    [["--memory", "24"], /--memory 24 is 24 B, less than any device has\. Give a unit/],
    [["--tokens", "0"], /--tokens must be a whole number from 1/],
    [["--tokens", "64", "--no-pack"], /--no-pack packs nothing/],
    [["--tokens", "64", "--set", "tokenBudget=32"], /two values for one setting/],
    [["--token", "64"], /unknown option --token. Did you mean --tokens\?/],
    [["--set", "loraRnk=3"], /pact plan: unknown setting "loraRnk".*loraRank/],
    [["--rollout-tokens", "500"], /rollouts end at maxRolloutTokens 400/],
    [["--set", "truncation=3"], /truncation/],
    [["--env", "ftrl"], /pact plan: --env ftrl needs --data/],
  ])("refuses %j", async (args, message) => {
    const { code, error } = await run("plan", ...args);
    expect(code).toBeGreaterThan(0);
    expect(error).toMatch(message);
  });

  it("refuses a folder that holds no model", async () => {
    const { code, error } = await run("plan", "--model", join(root, "nothing"));
    expect(code).toBe(1);
    expect(error).toContain("there is no folder");
    const empty = join(root, "no-weights");
    mkdirSync(empty);
    writeFileSync(join(empty, "config.json"), "{}");
    expect((await run("plan", "--model", empty)).error).toMatch(/no-weights has no weights, neither/);
    const ofRun = join(root, "a-run");
    mkdirSync(join(ofRun, "checkpoints"), { recursive: true });
    expect((await run("plan", "--model", ofRun)).error).toMatch(
      /is the folder of a run.*one of its checkpoints/,
    );
  });

  it("has help", async () => {
    const { code, out } = await run("plan", "--help");
    expect(code).toBe(0);
    expect(out).toContain("--tokens <tokens>");
    expect(out).toContain("--memory <bytes>");
  });
});

describe("sizes of memory", () => {
  it.each([
    ["0.5KiB", 512],
    ["16 gb", 16e9],
    ["123", 123],
    ["24GiB", 24 * 2 ** 30],
    ["1.5 MiB", 1.5 * 2 ** 20],
  ])("%s is %d bytes", (text, bytes) => expect(parseBytes(text)).toBe(bytes));

  it.each([
    "",
    "0",
    "-1",
    "1e9",
    "GiB",
    "1 PiB",
    "1  GiB",
    "99999999999999999999",
    "constructor",
    "1toString",
  ])("%j is none", (text) => expect(parseBytes(text)).toBeUndefined());

  it("are shown with three digits, to half a unit of the last", () => {
    expect([0, 999, 1024, 10_240, 1_048_575, 3 * 2 ** 29].map(bytesText)).toEqual([
      "0 B",
      "999 B",
      "1.00 KiB",
      "10.0 KiB",
      "1.00 MiB",
      "1.50 GiB",
    ]);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 45 }), (bytes) => {
        const read = parseBytes(bytesText(bytes));
        expect(Math.abs((read ?? 0) / bytes - 1)).toBeLessThanOrEqual(0.006);
      }),
    );
  });
});
