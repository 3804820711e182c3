/** `pact train --model` with Hugging Face folders of three architectures, from the folder to a checkpoint that loads again. */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadModel, loadTokenizer, saveModel } from "@pact/nn";
import { createDevice, setDefaultDevice } from "@pact/tensor";
import { buildTraces, openSuite, scriptedTeacher, traceLine } from "@pact/tools-sim";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ModelFolderError, modelParams, readModelFolder } from "../../packages/pact/src/cli/base-policy.ts";
import { explainRollout } from "../../packages/pact/src/cli/explain.ts";
import { readStep } from "../../packages/pact/src/cli/explain-run.ts";
import { splitNote } from "../../packages/pact/src/cli/train-parts.ts";
import { ExplainError } from "../../packages/pact/src/errors.ts";
import { chatFamilies, family, makeChatFolder } from "./chat-folders.ts";
import { pact } from "./run-command.ts";

const root = mkdtempSync(join(tmpdir(), "pact-chat-folder-"));
const traces = join(root, "traces.jsonl");
afterAll(() => rmSync(root, { recursive: true }));
beforeAll(async () => {
  for (const own of chatFamilies) await makeChatFolder(join(root, own.name), own);
  // A few tasks instead of hundreds: each is rendered before the first step.
  const { tasks } = openSuite("ftrl-like", { seed: 1001, split: "train", count: 512 });
  const few = tasks.slice(0, 6);
  const built = buildTraces(few, { environment: "ftrl-like", teacher: scriptedTeacher(few) });
  const lines: string[] = [];
  for await (const { kept } of built) if (kept) lines.push(`${traceLine(kept)}\n`);
  writeFileSync(traces, lines.join(""));
});

// A KL term, so that rollouts of a random model, which all have one reward, still have a loss.
const settings = [
  ...["promptsPerStep=2", "rolloutsPerPrompt=2", "maxTurns=2", "maxTurnTokens=6", "maxRolloutTokens=30"],
  ...["maxContextTokens=8000", "klCoefficient=0.01", "learningRate=0.01", "anchorProbability=0.5"],
].flatMap((pair) => ["--set", pair]);
const short = [
  "--traces",
  traces,
  "--device",
  "cpu",
  "--eval-tasks",
  "4",
  "--steps",
  "2",
  "--checkpoint-every",
  "1",
  "--json",
];
const train = (name: string, runDir: string, ...more: readonly string[]) =>
  pact("train", "--model", join(root, name), ...short, ...settings, "--run-dir", runDir, ...more);

/** Without the times, which differ from run to run. */
const linesOf = (folder: string, name: string): object[] =>
  readFileSync(join(folder, name), "utf8")
    .trim()
    .split("\n")
    .map((line) => ({ ...JSON.parse(line), time: undefined }));

describe.each(chatFamilies)("a $name folder", ({ name, stop, template }) => {
  const run = join(root, `run-${name}`);
  const checkpoint = (step: number) => join(run, "checkpoints", `step-00000${step}`);
  beforeAll(async () => {
    const { code, error } = await train(name, run);
    expect(error).toContain(`episodes are written by the model's chat template; ${stop} ends a turn`);
    expect(error.includes("leaves out the reasoning")).toBe(name === "llama");
    expect(code).toBe(0);
  });

  it("trains by its template, and evaluates before and after", async () => {
    const lines = linesOf(run, "metrics.jsonl") as { values: Record<string, number> }[];
    expect(lines).toHaveLength(2);
    expect(lines.every(({ values }) => Number.isFinite(values["loss/total"]))).toBe(true);
    expect(linesOf(run, "evaluations.jsonl")).toHaveLength(2);
    const [first] = linesOf(run, "rollouts.jsonl") as { spans: { role: string; text: string }[] }[];
    const text = first.spans.map((span) => span.text).join("");
    expect(text).toContain(
      name === "llama" ? "<|start_header_id|>user<|end_header_id|>" : "<|im_start|>user\n",
    );
    expect(first.spans.filter(({ role }) => role === "prompt").length).toBeGreaterThan(1);
  });

  it("has checkpoints that are folders of the same kind", async () => {
    setDefaultDevice(await createDevice({ device: "cpu" }));
    const names = ["config.json", "generation_config.json", "manifest.json", "model.safetensors"];
    expect(readdirSync(checkpoint(2)).sort()).toEqual(
      [...names, "state.safetensors", "tokenizer.json", "tokenizer_config.json"].sort(),
    );
    const start = await readModelFolder(join(root, name));
    const folder = await readModelFolder(checkpoint(2));
    expect(folder.config).toEqual(start.config);
    expect(folder.digest).not.toBe(start.digest);
    const tokenizer = await loadTokenizer(checkpoint(2));
    expect(tokenizer.chatTemplate()).toBe(template);
    const { generationConfig, configJson, params } = await loadModel(checkpoint(2));
    expect(generationConfig).toEqual({ temperature: 0.6 });
    expect(configJson).toMatchObject({ model_type: name, torch_dtype: "float32" });
    const before = await modelParams(start);
    const [moved, still] = await Promise.all([params, before].map((own) => own["model.norm.weight"].data()));
    expect(Array.from(moved)).not.toEqual(Array.from(still));
  });

  it("goes on exactly where it was stopped", async () => {
    const resumed = join(root, `resumed-${name}`);
    cpSync(run, resumed, { recursive: true });
    rmSync(join(resumed, "checkpoints", "step-000002"), { recursive: true });
    expect((await pact("train", "--resume", "--run-dir", resumed)).code).toBe(0);
    for (const file of ["model.safetensors", "state.safetensors", "config.json", "tokenizer_config.json"])
      expect(readFileSync(join(resumed, "checkpoints", "step-000002", file))).toEqual(
        readFileSync(join(checkpoint(2), file)),
      );
    for (const file of ["metrics.jsonl", "rollouts.jsonl", "evaluations.jsonl"])
      expect(linesOf(resumed, file)).toEqual(linesOf(run, file));
  });

  it("is explained to the logged loss at every step", async () => {
    const lines = linesOf(run, "rollouts.jsonl") as { phase: string; step: number }[];
    for (const step of [0, 1]) {
      const line = lines.findIndex((own) => own.phase === "train" && own.step === step) + 1;
      const explained = await explainRollout(run, String(line), { device: "cpu" }, () => {});
      expect(explained).toMatchObject({ agreement: "agrees", parametersOfStep: step });
      expect(explained.tokens.length).toBeGreaterThan(0);
    }
  });
});

describe("a Hugging Face folder", () => {
  it("trains the same from shards, with LoRA, one rollout by itself", async () => {
    setDefaultDevice(await createDevice({ device: "cpu" }));
    const sharded = join(root, "sharded");
    cpSync(join(root, "qwen2"), sharded, { recursive: true });
    const model = await loadModel(sharded);
    await saveModel(sharded, model, { dtype: "BF16", maxShardBytes: 8000 });
    expect(readdirSync(sharded)).not.toContain("model.safetensors");
    const lora = ["--set", "loraRank=2", "--no-pack"];
    const [whole, parts] = [join(root, "lora-whole"), join(root, "lora-parts")];
    expect((await train("qwen2", whole, ...lora)).code).toBe(0);
    expect((await train("sharded", parts, ...lora)).code).toBe(0);
    const adapter = (folder: string) =>
      readFileSync(join(folder, "checkpoints", "step-000002", "adapter_model.safetensors"));
    expect(adapter(parts)).toEqual(adapter(whole));
    expect(
      readFileSync(join(parts, "checkpoints", "step-000002", "tokenizer_config.json"), "utf8"),
    ).toContain("chat_template");
    const started = (await readModelFolder(sharded)).digest;
    expect(started).not.toBe((await readModelFolder(join(root, "qwen2"))).digest);
  });

  const damaged = (change: (folder: string) => void): string => {
    const folder = mkdtempSync(join(root, "damaged-"));
    cpSync(join(root, "qwen3"), folder, { recursive: true });
    change(folder);
    return folder;
  };
  const rewrite = (name: string, change: (json: Record<string, unknown>) => object) => (folder: string) =>
    writeFileSync(
      join(folder, name),
      JSON.stringify(change(JSON.parse(readFileSync(join(folder, name), "utf8")))),
    );

  it.each([
    [
      "without a chat template",
      rewrite("tokenizer_config.json", ({ chat_template: _, ...rest }) => rest),
      /has no chat template, so nobody knows how to write episodes/,
    ],
    [
      "whose template lists no tools",
      (folder: string) =>
        writeFileSync(
          join(folder, "chat_template.jinja"),
          "{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}",
        ),
      /the chat template .* leaves out tool definitions/s,
    ],
    [
      "whose files lead out of it",
      (folder: string) => {
        writeFileSync(`${folder}.secret`, "secret");
        symlinkSync(`${folder}.secret`, join(folder, "chat_template.jinja"));
      },
      /chat_template\.jinja.*it is a symbolic link out of the folder/,
    ],
    [
      "whose template is none",
      (folder: string) => writeFileSync(join(folder, "chat_template.jinja"), "{% for %}"),
      /the chat template in .* is not usable/,
    ],
    [
      "whose tokenizer is of a larger model",
      rewrite("config.json", (json) => ({ ...json, vocab_size: 300 })),
      /has 300 tokens, its tokenizer \d+: config.json and tokenizer.json are not of one model/,
    ],
    [
      "whose tokenizer is none",
      rewrite("tokenizer.json", (json) => ({ ...json, model: { type: "Unigram" } })),
      /its tokenizer in .* is not usable/,
    ],
    [
      "of an unknown architecture",
      rewrite("config.json", (json) => ({ ...json, model_type: "mamba" })),
      /config.json in .* is not usable/,
    ],
    ["without weights", (folder: string) => rmSync(join(folder, "model.safetensors")), /model.safetensors/],
    [
      "whose weights are cut off",
      (folder: string) => writeFileSync(join(folder, "model.safetensors"), "abc"),
      /model.safetensors in .* is not usable/,
    ],
  ])("%s is a typed error before anything else", async (_, change, message) => {
    const failed = readModelFolder(damaged(change));
    await expect(failed).rejects.toThrow(ModelFolderError);
    await expect(failed).rejects.toThrow(message);
  });

  it("says at the start that its template can not hold traces, and leaves no run behind", async () => {
    const folder = damaged((place) => {
      const { template } = family("qwen3");
      writeFileSync(
        join(place, "chat_template.jinja"),
        template.replace(
          "{%- set ns = namespace(last=-1) %}",
          "{{- messages | length }}{%- set ns = namespace(last=-1) %}",
        ),
      );
    });
    const runDir = join(root, "never");
    const { code, error } = await pact(
      "train",
      "--model",
      folder,
      ...short,
      ...settings,
      "--run-dir",
      runDir,
    );
    expect(code).toBe(1);
    expect(error).toMatch(/rewrites what stands before the expert's turn/);
    expect(error).not.toContain("evaluate before");
    expect(readdirSync(root)).not.toContain("never");
  });
});

describe("the splits of a recorded rollout", () => {
  /** The first training rollout of the run, with these splits in its line. */
  const read = (splits: unknown) => {
    const folder = mkdtempSync(join(root, "splits-"));
    cpSync(join(root, "run-qwen3"), folder, { recursive: true });
    const lines = linesOf(folder, "rollouts.jsonl") as { phase: string }[];
    const at = lines.findIndex(({ phase }) => phase === "train");
    const changed = lines.map((line, index) => JSON.stringify(index === at ? { ...line, splits } : line));
    writeFileSync(join(folder, "rollouts.jsonl"), `${changed.join("\n")}\n`);
    return readStep(folder, String(at + 1));
  };

  it("are read back", async () => {
    const splits = [
      { start: 1, end: 2, kind: "dropped", reason: "a" },
      { start: 3, end: 5, kind: "history", reason: "b" },
    ];
    expect((await read(splits)).rollouts[0].splits).toEqual(splits);
  });

  it.each([
    ["no list", { start: 1, end: 2 }],
    ["no spans", ["1-2"]],
    ["fractions", [{ start: 1.5, end: 2 }]],
    ["nothing before it", [{ start: 0, end: 2 }]],
    ["an end before its start", [{ start: 2, end: 2 }]],
    ["an end beyond the rollout", [{ start: 1, end: 6 }]],
    [
      "an overlap",
      [
        { start: 1, end: 3 },
        { start: 2, end: 4 },
      ],
    ],
  ])("are refused with %s", async (_, splits) => {
    await expect(read(splits)).rejects.toThrow(ExplainError);
    await expect(read(splits)).rejects.toThrow(/splits is missing or malformed/);
  });
});

it("says how many rollouts were split, and why", () => {
  const split = { splits: [{ start: 1, end: 2, kind: "dropped", reason: "it drops" }] };
  const rollouts = [{}, split, split] as unknown as Parameters<typeof splitNote>[1];
  expect(splitNote(3, rollouts)).toBe(
    "step 4: 2 of 3 rollouts went on behind a new prompt and train in parts, because it drops",
  );
  expect(splitNote(3, rollouts.slice(0, 1))).toBeUndefined();
});
