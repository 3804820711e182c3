/** `pact train` with adapters: what a run keeps of them, that it goes on exactly, and that `pact explain` reads them. */
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { configFromJson, loraFromPeft, paramsFromSafetensors } from "@pact/nn";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { chat } from "../../packages/pact/src/cli/chat.ts";
import { explainRollout } from "../../packages/pact/src/cli/explain.ts";
import { makeBase } from "./base.ts";
import { TestSignals, testConsole } from "./chat-console.ts";
import { cpuDevice } from "./device.ts";
import { pact } from "./run-command.ts";
import { runFiles } from "./run-files.ts";

const root = mkdtempSync(join(tmpdir(), "pact-lora-"));
const base = join(root, "base");
const whole = join(root, "whole");

const settings = [
  ...["promptsPerStep=2", "rolloutsPerPrompt=2", "maxTurns=2", "maxTurnTokens=8", "maxRolloutTokens=40"],
  // A KL term, so that rollouts of the tiny base, which all have one reward, still have a loss.
  ...["maxContextTokens=8000", "klCoefficient=0.01", "learningRate=1"],
  ...["loraRank=2", "loraAlpha=6", 'loraTargets=["q_proj","up_proj"]'],
].flatMap((pair) => ["--set", pair]);
const run = [
  "--model",
  base,
  "--device",
  "cpu",
  "--eval-tasks",
  "4",
  "--steps",
  "3",
  "--checkpoint-every",
  "1",
];

beforeAll(async () => {
  await makeBase(base);
  expect((await pact("train", ...run, ...settings, "--run-dir", whole, "--json")).code).toBe(0);
}, 120_000);
afterAll(() => rmSync(root, { recursive: true }));

const checkpoint = (step: number, name: string) =>
  readFileSync(join(whole, "checkpoints", `step-00000${step}`, name));

describe("pact train with loraRank", () => {
  it("keeps adapters and their state, and no model", async () => {
    await cpuDevice();
    expect(readdirSync(join(whole, "checkpoints", "step-000003")).sort()).toEqual([
      "adapter_config.json",
      "adapter_model.safetensors",
      "base_config.json",
      "manifest.json",
      "state.safetensors",
      "tokenizer.json",
    ]);
    const adapterConfig = JSON.parse(String(checkpoint(3, "adapter_config.json")));
    expect(adapterConfig).toMatchObject({
      peft_type: "LORA",
      r: 2,
      lora_alpha: 6,
      base_model_name_or_path: base,
      target_modules: ["model.layers.0.self_attn.q_proj", "model.layers.0.mlp.up_proj"],
    });
    const config = configFromJson(JSON.parse(String(checkpoint(3, "base_config.json"))));
    const adapters = loraFromPeft(config, {
      "adapter_config.json": adapterConfig,
      "adapter_model.safetensors": checkpoint(3, "adapter_model.safetensors"),
    });
    const b = await adapters.weights["model.layers.0.mlp.up_proj.lora_B.weight"].data();
    expect(Math.max(...Array.from(b, (value) => Math.abs(Number(value))))).toBeGreaterThan(1e-3);
    const count = Object.values(adapters.weights).reduce((sum, { size }) => sum + size, 0);
    const start = paramsFromSafetensors(config, readFileSync(join(base, "model.safetensors")));
    expect(count).toBeLessThan(Object.values(start).reduce((sum, { size }) => sum + size, 0) / 10);
    // Moments of the adapters alone, each parameter at a multiple of 64 elements.
    expect(checkpoint(3, "state.safetensors").length).toBeLessThan(2 * 4 * (count + 64 * 4) + 1000);
  });

  it("evaluates with the adapters: they have changed what the tiny base says", () => {
    const lines = readFileSync(join(whole, "rollouts.jsonl"), "utf8").trim().split("\n");
    const said = (step: number) =>
      lines
        .map((text) => JSON.parse(text))
        .filter((line) => line.phase !== "train" && line.step === step)
        .map((line) => JSON.stringify({ ...line, step: 0 }));
    expect(said(0).length).toBe(8);
    expect(said(3).length).toBe(8);
    expect(said(3)).not.toEqual(said(0));
  });

  it("goes on from any checkpoint as if it had never stopped, byte for byte", async () => {
    for (const stop of [1, 2]) {
      const copy = join(root, `stopped-${stop}`);
      cpSync(whole, copy, { recursive: true });
      for (let step = stop + 1; step <= 3; step++)
        rmSync(join(copy, "checkpoints", `step-00000${step}`), { recursive: true });
      writeFileSync(join(copy, "checkpoints", "latest"), `step-00000${stop}\n`);
      const { code, error } = await pact("train", "--resume", "--run-dir", copy, "--json");
      expect(code).toBe(0);
      expect(error).toContain(`going on at step ${stop}`);
      expect(runFiles(copy)).toEqual(runFiles(whole));
    }
  });

  it("is explained: the tokens' losses add up to the logged one, from the start and from a checkpoint", async () => {
    const lines = readFileSync(join(whole, "rollouts.jsonl"), "utf8").trim().split("\n");
    for (const step of [0, 2]) {
      const line = lines.findIndex((text) => {
        const record = JSON.parse(text);
        return record.phase === "train" && record.step === step;
      });
      const explained = await explainRollout(whole, String(line + 1), { device: "cpu" }, () => {});
      expect(explained).toMatchObject({ step, parametersOfStep: step, agreement: "agrees" });
    }
  });

  it("is explained with an entropy term, whose forward pass needs base and adapters", async () => {
    const folder = join(root, "entropy");
    const entropy = ["--set", "entropyWeight=0.01", "--steps", "1", "--run-dir", folder, "--json"];
    expect((await pact("train", ...run, ...settings, ...entropy)).code).toBe(0);
    const lines = readFileSync(join(folder, "rollouts.jsonl"), "utf8").split("\n");
    const first = lines.findIndex((text) => text.includes('"phase":"train"')) + 1;
    const explained = await explainRollout(folder, String(first), { device: "cpu" }, () => {});
    expect(explained.agreement).toBe("agrees");
    expect(explained.terms.find(({ term }) => term === "entropy")?.step).not.toBe(0);
  });

  it("refuses a rank that a layer can not use before anything is loaded, and leaves no folder behind", async () => {
    const folder = join(root, "wide");
    const wide = [...run, "--set", "loraRank=17", "--run-dir", folder];
    const { code, error } = await pact("train", ...wide);
    expect([code, error]).toEqual([1, expect.stringMatching(/loraRank is 17, .*q_proj \[16,16\]/)]);
    expect(error).not.toContain("evaluate before");
    expect(existsSync(folder)).toBe(false);
  });

  it("refuses f16 on a device without it, by name, and leaves no folder behind", async () => {
    const folder = join(root, "no-f16");
    const { code, error } = await pact("train", ...run, "--set", "precision=f16", "--run-dir", folder);
    expect(code).toBe(1);
    expect(error).toMatch(
      /precision is f16, and this cpu device .* does not compute in it\. Set precision f32/,
    );
    expect(existsSync(folder)).toBe(false);
  });

  it("is talked to beside its own base, and beside no other of the same shapes", async () => {
    const other = join(root, "other");
    cpSync(base, other, { recursive: true });
    const weights = readFileSync(join(base, "model.safetensors"));
    weights[weights.length - 1] ^= 1;
    writeFileSync(join(other, "model.safetensors"), weights);
    const args = ["--device", "cpu", "--adapter", join(whole, "checkpoints", "step-000003")];
    const told = async (model: string) => {
      const console = testConsole([]);
      await chat(["--model", model, ...args], console, new TestSignals());
      return console.told();
    };
    expect(await told(base)).not.toContain("the adapters");
    await expect(told(other)).rejects.toThrow(/belong to another model than .*other: .*names ".*base"\./);
    // As checkpoints were before manifests noted the base: the run itself did.
    const manifest = join(args[3], "manifest.json");
    const noted = readFileSync(manifest, "utf8");
    writeFileSync(manifest, JSON.stringify({ ...JSON.parse(noted), base: undefined }));
    await expect(told(other)).rejects.toThrow(/belong to another model than .*other:/);
    writeFileSync(manifest, noted);
    const merged = await pact("merge", args[3], "--model", other, "--out", join(root, "merged"));
    expect([merged.code, merged.error]).toEqual([1, expect.stringContaining("its weights differ")]);
  });

  it("refuses a checkpoint of adapters where a model is wanted, and says what makes one of it", async () => {
    const folder = join(whole, "checkpoints", "step-000003");
    const { code, error } = await pact("train", "--model", folder, "--run-dir", join(root, "refused"));
    expect(code).toBe(1);
    expect(error).toMatch(/holds LoRA adapters, not a model\. Make one of them: pact merge .*step-000003/);
    const chat = await pact("chat", "--model", folder, "--device", "cpu");
    expect([chat.code, chat.error]).toEqual([
      1,
      expect.stringMatching(/holds LoRA adapters.*pact chat --model/),
    ]);
  });
});
