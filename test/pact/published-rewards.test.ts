import { type Call, type FtrlStep, ftrlReward, toolRlCallReward, toolRlReward } from "@pact/pact";
import { parseAssistant } from "@pact/tools-sim";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { goldenCases } from "./golden.ts";

const variants = ["f1", "rate", "precision", "precisionRecall"] as const;
const step: FtrlStep = {
  response: "",
  calls: [],
  unsolved: { f: ["1", "2"] },
  solveRate: 0,
  answer: "1,500",
};

describe("ftrlReward", () => {
  it.each(goldenCases("rewards.json", "ftrl").map((entry) => [entry.name, entry] as const))(
    "golden: %s",
    (_, { inputs, outputs }) => {
      const { response, feedback, ...rest } = inputs as unknown as FtrlStep & { feedback: string[] };
      const calls = parseAssistant(response).calls.map((call, i) => ({
        name: call.function.name,
        output: feedback[i],
      }));
      for (const variant of variants)
        expect(ftrlReward({ ...rest, response, calls }, variant)).toBeCloseTo(
          (outputs as Record<string, number>)[variant],
          12,
        );
    },
  );

  it("is 2s / (c + 1), s, s / c, s² / c of s solved in c calls", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), fc.nat(12), (c, wanted) => {
        const s = Math.min(c, wanted);
        const calls = Array.from({ length: c }, (_, i) => ({ name: "f", output: i < s ? "gold" : "no" }));
        const unsolved = { f: Array.from({ length: 12 }, () => "gold") };
        const of = variants.map((variant) => ftrlReward({ ...step, calls, unsolved }, variant));
        expect(of).toEqual([(2 * s) / (c + 1), s, s / c, (s * s) / c]);
      }),
    );
  });

  it.each([
    ["nothing", "", -0.5],
    ["end marks alone", " <|im_end|>\n<|endoftext|>", -0.5],
    ["a broken call", "<tool_call>{", -0.3],
    ["the end of a call", "1500 </tool_call>", -0.3],
    ["a tag of a parsed response", "<tool_parsed_response>", -0.3],
    ["the answer, commas dropped", "It is 1500.<|im_end|>", 1 / 3],
    ["another text", "no idea", 0],
  ])("without calls: %s", (_, response, expected) => {
    for (const variant of variants) expect(ftrlReward({ ...step, response }, variant)).toBe(expected);
  });

  it("gives 0.5 to a reply without answer once everything is solved", () => {
    const done = { ...step, unsolved: { f: [] }, response: "done" };
    expect(ftrlReward({ ...done, solveRate: 1 })).toBe(0.5);
    expect(ftrlReward({ ...done, solveRate: 0.99 })).toBe(0);
    expect(ftrlReward({ ...done, solveRate: 1, answer: null })).toBe(0.5);
  });
});

const call = '{"name": "f", "parameters": {"x": 1}}';
const block = `<tool_call>\n${call}\n</tool_call>`;

describe("toolRlReward", () => {
  it.each(goldenCases("rewards.json", "toolrl").map((entry) => [entry.name, entry] as const))(
    "golden: %s",
    (_, { inputs, outputs }) => {
      const { response, groundTruth } = inputs as { response: string; groundTruth: string };
      const reward = toolRlReward(response, groundTruth);
      for (const [name, value] of Object.entries(outputs))
        expect(reward[name as keyof typeof reward]).toBeCloseTo(value as number, 12);
    },
  );

  it.each([
    ["both blocks", `<think>a</think>\n${block}\n<response>r</response>`, 1],
    ["a line break at the end", `<think></think>\n${block}\n<response></response>\n`, 1],
    ["blocks in the other order", `<think>a</think>\n<response>r</response>\n${block}`, 0],
    ["a block twice", `<think>a</think>\n${block}\n${block}\n<response>r</response>`, 0],
    ["text between", `<think>a</think>\n${block} so\n<response>r</response>`, 0],
    ["text behind", `<think>a</think>\n${block}\n<response>r</response> so`, 0],
    ["no thought", `${block}\n<response>r</response>`, 0],
    ["one block missing", `<think>a</think>\n${block}`, 0],
    ["an empty call block", "<think>a</think>\n<tool_call>\n</tool_call>\n<response>r</response>", 0],
  ])("format: %s", (_, response, expected) => {
    const reference = `<think>x</think>\n${block}\n<response>y</response>`;
    expect(toolRlReward(response, reference).format).toBe(expected);
  });

  it("wants nothing but a thought where the reference has neither block", () => {
    expect(toolRlReward("<think>a</think>", "<think>x</think>")).toEqual({
      score: 1,
      format: 1,
      correctness: 0,
    });
    expect(toolRlReward("<think>a</think> b", "<think>x</think>").format).toBe(0);
  });

  it.each(["null", "[]", "{}", '{"name": 1, "parameters": {}}', '{"name": "f", "parameters": []}', "{", ""])(
    "gives −3 to a block that holds %j",
    (line) => {
      const response = `<think>a</think>\n<tool_call>\n${line}\n</tool_call>`;
      expect(toolRlReward(response, `<think>a</think>\n${block}`).correctness).toBe(-3);
    },
  );

  it("stays linear in long texts that almost fit", () => {
    const long = `<think>${"</think>\n<tool_call>\n".repeat(20_000)}`;
    const start = performance.now();
    expect(toolRlReward(long, `<think>a</think>\n${block}`)).toEqual({
      score: -3,
      format: 0,
      correctness: -3,
    });
    expect(performance.now() - start).toBeLessThan(1000);
  });
});

describe("toolRlCallReward", () => {
  it.each(goldenCases("rewards.json", "toolrl_matchtir").map((entry) => [entry.name, entry] as const))(
    "golden: %s",
    (_, { inputs, outputs }) => {
      type Reference = { name: string; parameters: Call["arguments"] };
      const { predicted, reference } = inputs as { predicted: Call[]; reference: Reference[] };
      const calls = reference.map(({ name, parameters }) => ({ name, arguments: parameters }));
      expect(toolRlCallReward(predicted, calls)).toBeCloseTo((outputs as { score: number }).score, 12);
    },
  );

  it("is 3 for the reference in any order and stays in [−3, 3]", () => {
    const calls = fc.array(
      fc.record({
        name: fc.constantFrom("f", "g"),
        arguments: fc.dictionary(fc.constantFrom("a", "b", "__proto__"), fc.integer({ min: 0, max: 2 })),
      }),
      { minLength: 1, maxLength: 5 },
    );
    fc.assert(
      fc.property(calls, calls, (predicted, reference) => {
        expect(toolRlCallReward([...reference], reference)).toBeCloseTo(3, 12);
        const reward = toolRlCallReward(predicted, reference);
        expect(reward).toBeGreaterThanOrEqual(-3);
        expect(reward).toBeLessThanOrEqual(3 + 1e-12);
      }),
    );
  });
});
