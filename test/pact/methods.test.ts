/** The nine methods as whole runs, and every option of the method in one. */
import { paramsFromSafetensors } from "@pact/nn";
import type { Task } from "@pact/tools-sim";
import { beforeAll, describe, expect, expectTypeOf, it } from "vitest";
import type { TrainConfig } from "../../packages/pact/src/config.ts";
import { type Method, methods, phaseAt } from "../../packages/pact/src/methods.ts";
import type { RolloutPolicy, RolloutTask } from "../../packages/pact/src/rollout.ts";
import { decodeState } from "../../packages/pact/src/trainer-state.ts";
import { testCodec } from "./codec.ts";
import { cpuDevice } from "./device.ts";
import { longTasks, runTraining, scripted } from "./training.ts";

beforeAll(async () => {
  await cpuDevice();
});

const names = Object.keys(methods) as Method[];
const trained = names.filter((method) => methods[method].phases.length > 0);

describe("each method", () => {
  it.each(trained)("%s: stopped at any checkpoint and gone on with, bit for bit", async (method) => {
    const given: Partial<TrainConfig> = { method, steps: 4, checkpointEvery: 1, innerUpdates: 2 };
    const whole = await runTraining(given);
    for (const stop of [1, 2, 3]) {
      const { model: weights, state } = whole.checkpoints[stop - 1];
      const params = paramsFromSafetensors(whole.model, weights);
      const rest = await runTraining(given, {
        resume: { state: decodeState(state), params, lines: whole.lines.slice(0, stop) },
      });
      expect(rest.lines).toEqual(whole.lines.slice(stop));
      expect(rest.records).toEqual(whole.records.filter(({ step }) => step >= stop));
      expect(rest.checkpoints).toEqual(whole.checkpoints.slice(stop));
      expect(rest.trained).toEqual(whole.trained);
      expect(rest.result).toEqual(whole.result);
    }
  });

  it.each(trained)("%s: nothing of a marked trace reaches the sampler", async (method) => {
    const mark = "\u00a7\u00b6";
    const marked = longTasks.map((entry) => {
      const final = { chunks: [{ type: "other" as const, text: mark }], answer: entry.answer };
      const turns = entry.trace!.turns.map((turn) => ({
        ...turn,
        chunks: [{ type: "other" as const, text: mark }],
        observations: turn.observations.map(() => mark),
      }));
      return { ...entry, trace: { turns, final } };
    });
    const shown: number[][] = [];
    const policy = (): RolloutPolicy => {
      const inner = scripted();
      return {
        start(prompts, rows, temperature) {
          shown.push(...prompts.map((prompt) => [...prompt]));
          const session = inner.start(prompts, rows, temperature);
          return {
            first: (keys) => session.first(keys),
            next: (entries, keys) => {
              shown.push(...entries.map(({ ids }) => [...ids]));
              return session.next(entries, keys);
            },
            dispose: () => session.dispose(),
          };
        },
      };
    };
    const plain = await runTraining({ method });
    const { records } = await runTraining({ method }, { tasks: marked, policy });
    for (const ids of shown) expect(testCodec.decode(ids)).not.toContain(mark[0]);
    expect(shown.length > 0).toBe(methods[method].phases.includes("explore"));
    expect(records.map(({ spans }) => spans)).toEqual(plain.records.map(({ spans }) => spans));
  });

  it("rollout code can not be given a task with a trace", () => {
    expectTypeOf<Task>().not.toExtend<RolloutTask>();
    expectTypeOf<Omit<Task, "trace">>().toExtend<RolloutTask>();
  });

  it("is a run of its own", async () => {
    const runs = await Promise.all(names.map((method) => runTraining({ method })));
    const ends = runs.map((run) => JSON.stringify(run.trained));
    expect(new Set(ends).size).toBe(names.length);
  });
});

describe("methods by definition", () => {
  it("vanilla trains nothing and writes no checkpoint", async () => {
    const { lines, records, checkpoints, result, trained: end } = await runTraining({ method: "vanilla" });
    expect([lines, records, checkpoints]).toEqual([[], [], []]);
    expect(result.stepsDone).toBe(0);
    expect(end).toEqual((await runTraining({ method: "vanilla", seed: 9 })).trained);
  });

  it("SFT→MatchTIR is SFT for half of the steps and then samples", async () => {
    const both = await runTraining({ method: "sft-matchtir", steps: 4 });
    const sft = await runTraining({ method: "sft", steps: 4 });
    expect(both.lines.slice(0, 2)).toEqual(sft.lines.slice(0, 2));
    expect(both.records.map(({ step }) => step)).toEqual([2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3]);
    expect(both.lines[2].values["loss/x"]).not.toBeNull();
    expect([0, 1, 2].map((step) => phaseAt({ method: "sft-matchtir", steps: 3 }, step))).toEqual([
      "imitate",
      "imitate",
      "explore",
    ]);
  });

  it.each(["grpo", "ftrl", "toolrl", "matchtir"] as const)(
    "%s is PACT with its fixed options",
    async (method) => {
      const named = await runTraining({ method });
      const spelled = await runTraining({ ...methods[method].fixed });
      expect(spelled.trained).toEqual(named.trained);
      expect(spelled.lines).toEqual(named.lines);
    },
  );

  it("CHORD adds up to its loss, with either variant", async () => {
    for (const chordVariant of ["phi", "mu"] as const) {
      const { lines } = await runTraining({ method: "chord", chordVariant });
      for (const { values } of lines) {
        const share = values["schedule/expert_share"]!;
        const total = (1 - share) * values["loss/x"]! + share * values["loss/sft"]!;
        expect(values["loss/total"]).toBeCloseTo(total, 5);
      }
      expect(lines[0].values["schedule/expert_share"]).toBe(chordVariant === "phi" ? 0.1 : 0.9);
    }
  });

  it("L^h behind empty traces is L^x, bit for bit, however the trace is shown", async () => {
    const empty = longTasks.map((entry) => ({ ...entry, trace: { ...entry.trace!, turns: [] } }));
    const tasks = { tasks: empty };
    const matchtir = await runTraining({ method: "matchtir" }, tasks);
    for (const given of [{}, { traceRendering: "reference" }, { traceContext: "safe" }] as const) {
      const traced = await runTraining({ anchor: "none", ...given }, tasks);
      expect(traced.trained).toEqual(matchtir.trained);
    }
    const unseen = await runTraining({ anchor: "none", traceComponents: [], sftWeight: 0 });
    expect(unseen.trained).toEqual((await runTraining({ method: "matchtir" })).trained);
  });
});

describe("the default switches", () => {
  it("train as they did before there were others", async () => {
    const { lines } = await runTraining({ steps: 3, warmupSteps: 3, learningRate: 1e-3, clipNorm: 1 });
    // Recorded when x → h* → delimiter → {τ_k} was the only tree; five digits, because devices' sines differ in the last.
    const expected = [
      [29.98974, 2.865065, 382],
      [60.03338, 5.19944, 904],
      [59.95075, 6.502917, 1427],
    ];
    lines.forEach(({ values }, step) => {
      const [loss, norm, forward] = expected[step];
      expect(values["loss/total"]! / loss).toBeCloseTo(1, 5);
      expect(values["gradient/norm"]! / norm).toBeCloseTo(1, 5);
      expect(values["tokens/forward"]).toBe(forward);
    });
  });
});

describe("terms add up to the logged loss", () => {
  const cases: Partial<TrainConfig>[] = [
    { anchor: "mix", anchorWeight: 0.7 },
    { ratioDenominator: "behaviour" },
    { ratioDenominator: "traceTruncated", traceContext: "safe" },
    { policyLoss: "cispo", innerUpdates: 2 },
    { policyLoss: "reinforce", innerUpdates: 2 },
    { policyLoss: "gspo", innerUpdates: 2 },
    { klCoefficient: 0.5, klEstimator: "k2" },
    { entropyWeight: 0.2 },
    { traceRendering: "reference", rolloutAverage: "token-mean" },
  ];
  it.each(cases.map((given) => [JSON.stringify(given), given] as const))("%s", async (_, given) => {
    const { lines } = await runTraining({ sftWeight: 0.5, ...given });
    for (const { values } of lines) {
      const term = (name: string) => values[name] ?? 0;
      const total =
        term("loss/x") +
        term("loss/h") +
        0.5 * term("loss/sft") +
        (given.klCoefficient ?? 0) * term("loss/kl") -
        (given.entropyWeight ?? 0) * term("loss/entropy");
      expect(Math.abs(values["loss/total"]! - total)).toBeLessThanOrEqual(
        1e-5 * Math.max(1, Math.abs(total)),
      );
    }
  });

  it("metrics of a switch are there with it and null without", async () => {
    const last = async (given: Partial<TrainConfig>) => (await runTraining(given)).lines[1].values;
    const plain = await last({});
    const only: [Partial<TrainConfig>, string][] = [
      [{ ratioDenominator: "behaviour", anchor: "none" }, "trace/context_gap"],
      [{ ratioDenominator: "traceTruncated", anchor: "none" }, "trace/truncated"],
      [{ klCoefficient: 0.1 }, "loss/kl"],
      [{ entropyWeight: 0.1 }, "loss/entropy"],
      [{ reasoningSchedule: "token" }, "schedule/reasoning_share"],
      [{ callSchedule: "token" }, "schedule/call_share"],
      [{ method: "chord" }, "schedule/expert_share"],
    ];
    for (const [given, name] of only) {
      expect(plain[name], name).toBeNull();
      expect((await last(given))[name], name).not.toBeNull();
    }
    expect(plain["trace/anchored"]).not.toBeNull();
    expect((await last({ anchor: "mix" }))["trace/anchored"]).toBeNull();
  });
});

describe("every option of the method changes the run it belongs to", () => {
  const changes: [change: Partial<TrainConfig>, base?: Partial<TrainConfig>][] = [
    [{ reward: "outcome" }],
    [{ reward: "ftrl" }],
    [{ reward: "toolrl" }],
    [{ advantage: "turn-mean" }],
    [{ advantage: "grpo" }],
    [{ advantage: "dr-grpo" }, { advantage: "grpo" }],
    [{ advantage: "rloo" }, { advantage: "dr-grpo" }],
    [{ anchor: "mix" }],
    [{ anchor: "none" }],
    [{ anchorWeight: 0.3 }, { anchor: "mix" }],
    [{ ratioDenominator: "behaviour" }],
    [{ ratioDenominator: "traceTruncated" }],
    [{ truncation: 0.5 }, { ratioDenominator: "traceTruncated" }],
    [{ traceContext: "safe" }],
    [{ traceContext: "scheduled" }, { traceContext: "safe" }],
    [{ traceComponents: ["calls", "observations"] }],
    [{ traceComponents: ["reasoning", "observations"] }],
    [{ traceComponents: ["reasoning", "calls"] }],
    [{ traceComponents: [] }],
    [{ traceRendering: "reference" }],
    [{ reasoningSchedule: "token" }],
    [{ reasoningSchedule: "fixed" }],
    [{ callSchedule: "token" }],
    [{ callSchedule: "fixed" }],
    [{ chordVariant: "mu" }, { method: "chord" }],
    [{ chordWeight: 0.3 }, { method: "chord" }],
    [{ policyLoss: "gspo" }, { innerUpdates: 2 }],
    [{ policyLoss: "cispo" }, { innerUpdates: 2 }],
    [{ policyLoss: "reinforce" }, { innerUpdates: 2 }],
    [{ clipHigh: 0.3 }, { policyLoss: "gspo", innerUpdates: 3, clipLow: 0.3 }],
    [{ rolloutAverage: "token" }],
    [{ rolloutAverage: "token-mean" }],
    [{ rolloutAverage: "seq-mean-token-sum" }],
    [{ rolloutAverage: "seq-mean-token-sum-norm" }],
    [{ klEstimator: "k1" }, { klCoefficient: 1 }],
    [{ klEstimator: "k2" }, { klCoefficient: 1 }],
    [{ klEstimator: "k3+" }, { klCoefficient: 1 }],
    [{ entropyWeight: 0.3 }],
  ];
  const bases = new Map<string, ReturnType<typeof runTraining>>();
  it.each(changes.map(([change, base = {}]) => [JSON.stringify(change), change, base] as const))(
    "%s",
    async (_, change, base) => {
      const name = JSON.stringify(base);
      const plain = bases.get(name) ?? runTraining(base);
      bases.set(name, plain);
      expect((await runTraining({ ...base, ...change })).trained).not.toEqual((await plain).trained);
    },
  );

  it("pack changes how many tokens a forward has, and the rest by rounding only", async () => {
    const packed = await runTraining({ tokenBudget: 1_000_000 });
    const apart = await runTraining({ pack: false });
    expect(apart.result.forwardTokens).toBeGreaterThan(packed.result.forwardTokens);
    expect(apart.result.trainedTokens).toBe(packed.result.trainedTokens);
    const [a, b] = [packed, apart].map(({ lines }) => lines[0].values["loss/total"]!);
    expect(Math.abs(a - b)).toBeLessThanOrEqual(1e-5 * Math.abs(a));
  });
});
