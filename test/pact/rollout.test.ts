import { foldIn, key } from "@pact/tensor";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { countStops } from "../../packages/pact/src/counts.ts";
import { isSampled, roleCode } from "../../packages/pact/src/roles.ts";
import {
  collectRollouts,
  type RolloutOptions,
  rolloutPrompt,
  withoutTrace,
} from "../../packages/pact/src/rollout.ts";
import { controlTokens, roleSpans } from "../../packages/pact/src/tokens.ts";
import { testCodec, testDialect } from "./codec.ts";
import { callText, scriptedPolicy, scriptIds } from "./script.ts";
import { task, trace } from "./tasks.ts";

const prompt = rolloutPrompt(testDialect, withoutTrace(task), 0);
const options = (policy: RolloutOptions["policy"], given: Partial<RolloutOptions> = {}): RolloutOptions => ({
  dialect: testDialect,
  policy,
  rolloutsPerPrompt: 1,
  temperature: 1,
  maxTurns: 3,
  maxTurnTokens: 120,
  maxRolloutTokens: 400,
  key: key(5),
  ...given,
});
const say = (text: string) => scriptedPolicy(() => scriptIds(text));

const solved = `<think>hm</think>${callText("Bavo")}<|end|><think>got it</think><answer>Mira</answer><|end|>`;

describe("a rollout", () => {
  it("alternates sampled turns and observations, each token with its role", async () => {
    const [rollout] = await collectRollouts([prompt], options(say(solved)));
    expect(roleSpans(testCodec, rollout)).toEqual([
      { role: "reasoning", text: "<think>hm</think>" },
      { role: "call", text: `${callText("Bavo")}<|end|>` },
      { role: "template", text: "<|tool|>" },
      { role: "observation", text: "Mira" },
      { role: "template", text: "<|end|><|assistant|>" },
      { role: "reasoning", text: "<think>got it</think>" },
      { role: "answer", text: "<answer>Mira</answer><|end|>" },
    ]);
    expect(rollout.stop).toBe("answer");
    expect(rollout.turns.map((turn) => [turn.calls.length, turn.answer])).toEqual([
      [1, null],
      [0, "Mira"],
    ]);
    expect(rollout.score.solveF1).toBe(1);
    // M(τ) is what the policy sampled: those tokens have a turn and a log-prob, the others neither.
    rollout.roles.forEach((role, index) => {
      expect(isSampled(role)).toBe(rollout.turnOf[index] >= 0);
      expect(isSampled(role)).toBe(rollout.samplerLogProbs[index] < 0);
    });
    for (const turn of rollout.turns) expect(rollout.ids[turn.end - 1]).toBe(testCodec.controlId("<|end|>"));
  });

  it("keeps the sampled ids where encoding their text would give others", async () => {
    const word = [...testCodec.encode("a"), ...testCodec.encode("bc")];
    expect(testCodec.encode("abc")).not.toEqual(word);
    const script = [testCodec.controlId("<answer>"), ...word, testCodec.controlId("<|end|>")];
    const policy = scriptedPolicy(() => script);
    const [rollout] = await collectRollouts([prompt], options(policy));
    expect(rollout.ids).toEqual(script);
  });

  it("shows the policy exactly its own prompt, tokens and observations, in order", async () => {
    const policy = say(solved);
    const [rollout] = await collectRollouts([prompt], options(policy));
    expect(policy.shown[0]).toEqual([...prompt.tokens.ids, ...rollout.ids.slice(0, -1)]);
    expect(policy.sessions).toBe(0);
  });

  it("an answer beside a call does not end the episode and earns nothing by itself", async () => {
    const both = `${callText("Bavo")}<answer>Mira</answer><|end|>`;
    const [rollout] = await collectRollouts([prompt], options(say(both.repeat(3))));
    expect(rollout.stop).toBe("max_turns");
    expect(rollout.turns.map((turn) => turn.answer)).toEqual([null, null, null]);
  });

  it("broken calls become observations and are counted", async () => {
    const broken = "<tool_call>{oops</tool_call><|end|><answer>x</answer><|end|>";
    const [rollout] = await collectRollouts([prompt], options(say(broken)));
    expect(rollout.turns[0].malformedCalls).toBe(1);
    expect(rollout.turns[0].calls).toEqual([]);
    expect(rollout.stop).toBe("answer");
  });
});

describe("stop reasons", () => {
  it.each([
    ["answer", "<answer>x</answer><|end|>", {}],
    ["no_action", "<think>hm</think><|end|>", {}],
    ["max_turns", `${callText("Bavo")}<|end|>`.repeat(3), { maxTurns: 2 }],
    ["turn_tokens", "<think>and so on and so on", { maxTurnTokens: 9 }],
    ["rollout_tokens", `${callText("Bavo")}<|end|>`.repeat(9), { maxRolloutTokens: 70, maxTurns: 9 }],
    ["rollout_tokens", "<think>and so on and so on", { maxRolloutTokens: 9 }],
  ] as const)("%s", async (stop, text, limits) => {
    const [rollout] = await collectRollouts([prompt], options(say(text), limits));
    expect(rollout.stop).toBe(stop);
  });

  it("partition the rollouts, whatever is sampled; limits hold and the last token is sampled", async () => {
    const ids = fc.oneof(
      fc.constantFrom(...controlTokens).map((name) => testCodec.controlId(name)),
      fc.integer({ min: 0, max: 0x17f }),
    );
    const piece = fc.oneof(
      fc.array(ids, { minLength: 1, maxLength: 12 }),
      fc.constantFrom(callText("Bavo"), "<answer>Mira</answer>", "<|end|>", "<think>").map(scriptIds),
    );
    const scripts = fc.array(
      fc.array(piece, { minLength: 1, maxLength: 8 }).map((parts) => parts.flat()),
      { minLength: 1, maxLength: 6 },
    );
    await fc.assert(
      fc.asyncProperty(scripts, async (rows) => {
        const limits = { maxTurnTokens: 60, maxRolloutTokens: 130, rolloutsPerPrompt: rows.length };
        const policy = scriptedPolicy((row) => rows[row]);
        const rollouts = await collectRollouts([prompt], options(policy, limits));
        const counts = countStops(rollouts);
        expect(Object.values(counts).reduce((a, b) => a + b, 0)).toBe(rows.length);
        for (const rollout of rollouts) {
          expect(rollout.ids.length).toBeLessThanOrEqual(130);
          expect(rollout.turnOf.at(-1)).toBe(rollout.turns.length - 1);
          expect(rollout.roles.length).toBe(rollout.ids.length);
          for (const turn of rollout.turns) expect(turn.end - turn.start).toBeLessThanOrEqual(60);
          // Sampled ids, in order, are what the policy said; the environment's tokens hold no sampled one.
          const sampled = rollout.ids.filter((_, index) => rollout.turnOf[index] >= 0);
          const script = rows[rollout.index];
          sampled.forEach((id, index) => {
            expect(id).toBe(script[Math.min(index, script.length - 1)]);
          });
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe("random streams", () => {
  it("depend on key, prompt stream, rollout and position alone", async () => {
    const other = rolloutPrompt(testDialect, withoutTrace({ ...task, question: "Another one?" }), 1);
    const policy = say(solved);
    await collectRollouts([prompt, other], options(policy, { rolloutsPerPrompt: 2 }));
    const together = policy.keys.map((words) => [...words]);
    await collectRollouts([other], options(policy, { rolloutsPerPrompt: 2 }));
    expect(policy.keys).toEqual(together.slice(2));
    await collectRollouts([prompt], options(policy, { key: key(6) }));
    expect(policy.keys[0]).not.toEqual(together[0]);
    expect(together[0].slice(0, 2)).toEqual([...foldIn(foldIn(foldIn(key(5), 0), 0), 0)]);
    expect(new Set(together.map((words) => words.join())).size).toBe(4);
  });
});

describe("the trace", () => {
  it("never reaches the sampler: a marked one leaves no token behind", async () => {
    const mark = "ÿ";
    const marked = structuredClone(trace);
    for (const turn of marked.turns) {
      for (const chunk of turn.chunks) chunk.text = mark;
      for (const call of turn.calls) call.function.arguments = { town: mark };
      turn.observations = turn.observations.map(() => mark);
    }
    marked.final = { chunks: [{ type: "other", text: mark }], answer: mark };
    const policy = say(solved);
    const clean = withoutTrace({ ...task, trace: marked });
    await collectRollouts([rolloutPrompt(testDialect, clean, 0)], options(policy));
    expect(policy.shown.flat()).not.toContain(testCodec.encode(mark)[0]);
  });

  it("is refused by type and at run time", () => {
    // @ts-expect-error a task with a trace is no RolloutTask
    expect(() => rolloutPrompt(testDialect, task, 0)).toThrowErrorMatchingInlineSnapshot(
      `[RolloutError: rolloutPrompt: task t1 carries an expert trace, which must not reach the sampler. Pass withoutTrace(task).]`,
    );
    expect(prompt.tokens.roles.every((role) => role === roleCode.prompt || role === roleCode.template)).toBe(
      true,
    );
  });
});

describe("failures", () => {
  it("end the session: a policy without tokens, an abort", async () => {
    const policy = say(solved);
    const silent = {
      start: (...given: Parameters<typeof policy.start>) => ({
        ...policy.start(...given),
        first: () => Promise.resolve({ ids: [], logProbs: [] }),
      }),
    };
    await expect(collectRollouts([prompt], options(silent))).rejects.toThrowErrorMatchingInlineSnapshot(
      `[RolloutError: The policy returned 0 tokens for 1 rows.]`,
    );
    expect(policy.sessions).toBe(0);
    const signal = AbortSignal.abort(new Error("enough"));
    await expect(collectRollouts([prompt], options(policy, { signal }))).rejects.toThrow("enough");
    expect(policy.sessions).toBe(0);
    expect(await collectRollouts([], options(policy))).toEqual([]);
  });
});
