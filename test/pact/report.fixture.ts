/**
 * A realistic run folder without a run: numbers drawn from smooth curves plus seeded noise, rollouts in the project's
 * rendering. Used by the tests of the report and to look at it.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { writeWhole } from "../../packages/pact/src/cli/disk.ts";
import { FolderSink } from "../../packages/pact/src/cli/folder-sink.ts";
import { defaultConfig } from "../../packages/pact/src/config.ts";
import type {
  DecodingResult,
  RoleSpan,
  RolloutRecord,
  RolloutStop,
} from "../../packages/pact/src/run-sink.ts";

export const categories = ["single_hop", "parallel_single_hop", "multi_hop", "parallel_multi_hop"];

/** Mulberry32: enough noise for a drawing, the same on every run. */
function noise(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

function decoding(f1: number, random: () => number): DecodingResult {
  const scores = (value: number, tasks: number) => ({
    solveP: value * 1.06,
    solveR: value * 0.97,
    solveF1: value,
    tasks,
  });
  const spread = [0.16, 0.05, -0.06, -0.15];
  const answered = Math.round(120 + 60 * f1);
  return {
    ...scores(f1, 200),
    solveF1Error: 0.028,
    attempts: 1,
    success: { mean: f1, low: f1 - 0.06, high: f1 + 0.06 },
    passAtK: [{ k: 1, tasks: 200, mean: f1, low: f1 - 0.06, high: f1 + 0.06 }],
    passHatK: [{ k: 1, tasks: 200, mean: f1, low: f1 - 0.06, high: f1 + 0.06 }],
    categories: Object.fromEntries(
      categories.map((name, i) => [name, scores(Math.max(0, f1 + spread[i] + 0.03 * (random() - 0.5)), 50)]),
    ),
    stops: {
      answer: answered,
      no_action: 14,
      max_turns: 200 - answered - 20,
      turn_tokens: 4,
      rollout_tokens: 2,
      environment: 0,
    },
    meanReward: 2 * f1,
    meanCalls: 2.3,
    meanTokens: 118,
    skipped: 0,
  };
}

/** Text that must arrive in the report as text. */
export const hostileText = `<script>alert("1")</script><img src=x onerror=alert(2)> </span>&amp; "quoted" 'single' \u0000\u001b[31m`;

function spans(town: string, mayor: string, good: boolean, answer: string): RoleSpan[] {
  const call = (name: string): string =>
    `<tool_call>{"name": "${name}", "arguments": {"town": "${town}"}}</tool_call><|end|>`;
  return [
    {
      role: "prompt",
      text: `<|system|>find_mayor_q(town: string)\nlist_rivers(town: string)\nmath_add(a: number, b: number)\npopulation_x(town: string, year?: number)<|end|><|user|>Who is the mayor of "${town}"? Then give the number of people who live there.<|end|>`,
    },
    { role: "template", text: "<|assistant|>" },
    {
      role: "reasoning",
      text: `<think>I need the mayor of "${town}". The tool find_mayor_q takes a town.</think>`,
    },
    { role: "call", text: call(good ? "find_mayor_q" : "find_major") },
    { role: "template", text: "<|tool|>" },
    {
      role: "observation",
      text: good ? mayor : 'Error: unknown tool "find_major". Tools: find_mayor_q, list_rivers, math_add',
    },
    { role: "template", text: "<|end|><|assistant|>" },
    {
      role: "reasoning",
      text: good
        ? "<think>Now the population, same town.</think>"
        : "<think>The call failed. Another try with the same name.</think>",
    },
    { role: "call", text: call(good ? "population_x" : "list_rivers") },
    { role: "template", text: "<|tool|>" },
    { role: "observation", text: good ? "48210" : "Ondra, Velm" },
    { role: "template", text: "<|end|><|assistant|>" },
    { role: "reasoning", text: "<think>Both are known.</think>" },
    { role: "answer", text: `<answer>${answer}</answer><|end|>` },
  ];
}

/** Writes a run of `steps` steps into `folder`; `interrupted` leaves out what comes after training. */
export async function writeFixtureRun(
  folder: string,
  { steps = 40, interrupted = false } = {},
): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const random = noise(7);
  let clock = 0;
  const sink = new FolderSink(folder, { config: "{}", tokenizer: "{}" }, () => clock);
  await sink.config({
    train: { ...defaultConfig, steps },
    model: {
      model_type: "qwen3",
      hidden_size: 96,
      num_hidden_layers: 2,
      num_attention_heads: 4,
      vocab_size: 512,
    },
    parameters: 238_464,
    device: { kind: "webgpu", description: "SwiftShader Device (Subzero), swiftshader" },
    environment: { id: "ftrl-like", options: { seed: 1, noise: hostileText } },
    trainingTasks: 512,
    heldOutTasks: 200,
    evaluation: { every: 0, rollouts: 1 },
  });
  const record = (
    step: number,
    i: number,
    phase: "train" | "evaluate",
    good: boolean,
    answer = "Mira",
  ): RolloutRecord => {
    const town = ["Bavo", "Tilde", "Orlen", "Sava", "Quill", "Narda"][i % 6];
    return {
      step,
      phase,
      decoding: i % 2 === 0 ? "sampled" : "greedy",
      taskId: `ftrl-like-heldout-${i}`,
      category: categories[i % 4],
      rollout: 0,
      stop: (good ? "answer" : "max_turns") as RolloutStop,
      turns: 3,
      sampledTokens: good ? 96 : 141,
      reward: good ? 2.4 + 0.01 * i : 0.4 + 0.01 * i,
      turnRewards: [1, 1, good ? 0.4 : 0],
      solveF1: good ? 1 : 0,
      advantages: [],
      spans: spans(town, "Mira Voss", good, answer),
    };
  };
  await sink.evaluation({
    step: 0,
    sampled: decoding(0.27, random),
    greedy: decoding(0.51, random),
    tokens: 61_000,
    time: { seconds: 31 },
  });
  for (let i = 0; i < 8; i++) await sink.rollout(record(0, i, "evaluate", i === 3));
  for (let step = 0; step < steps; step++) {
    const t = steps > 1 ? step / (steps - 1) : 0;
    const near = (value: number, width: number): number => value + width * (random() - 0.5);
    clock += near(5.2, 1.5);
    await sink.metrics({
      step,
      values: {
        "reward/mean": near(0.9 + 1.1 * (1 - Math.exp(-3 * t)), 0.3),
        "solve/f1": near(0.28 + 0.25 * (1 - Math.exp(-3 * t)), 0.1),
        "loss/x": near(0.01, 0.05),
        "loss/h": near(-0.02, 0.08),
        "loss/sft": near(0.15 + 0.5 * Math.exp(-4 * t), 0.05),
        "policy/entropy": near(0.35 - 0.2 * t, 0.04),
        "trace/gap": step % 7 === 3 ? null : near(-0.28 + 0.1 * t, 0.04),
        "gradient/norm": near(1.6 - 0.5 * t, 0.5),
        "rollout/calls": near(2.3 + 0.3 * t, 0.3),
        "rollout/malformed": near(0.2 - 0.1 * t, 0.05),
        "rollout/think": near(0.7 + 0.2 * t, 0.05),
        "reward/zero_variance": near(0.1, 0.1),
        "sft/call_nll": near(0.12 + 0.4 * Math.exp(-4 * t), 0.04),
        "sft/reasoning_nll": t < 0.8 ? near(0.2 + 0.5 * Math.exp(-4 * t), 0.05) : null,
        "rollout/tokens": near(130 - 25 * t, 20),
      },
    });
    for (let i = 0; i < 4; i++)
      await sink.rollout(
        record(step, i, "train", i < 2, i === 0 && step === steps - 1 ? hostileText : "Mira"),
      );
  }
  await sink.checkpoint({ step: steps, model: new Uint8Array([1, 2, 3]), state: new Uint8Array([4]) });
  if (!interrupted) {
    await sink.evaluation({
      step: steps,
      sampled: decoding(0.49, random),
      greedy: decoding(0.62, random),
      tokens: 58_000,
      time: { seconds: 30 },
    });
    for (let i = 0; i < 8; i++) await sink.rollout(record(steps, i, "evaluate", i !== 6 && i !== 3));
  }
  writeWhole(
    join(folder, "summary.json"),
    JSON.stringify({ outcome: interrupted ? "stopped" : "done", seconds: 281.4, tokens: 702_311 }),
  );
}
