import {
  CapacityError,
  type GenerateOptions,
  generate,
  generateTokens,
  InputError,
  trainBpe,
} from "@pact/nn";
import { createDevice, mul, NonFiniteError } from "@pact/tensor";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TextStream } from "../../packages/nn/src/text-stream.ts";
import * as checks from "./generation.ts";
import { gpt, qwen3, randomParams } from "./models.ts";

const device = await createDevice({ device: "cpu" });
const params = randomParams(qwen3, device);
const model = { config: qwen3, params };

/** Token i is piece i; a byte-level tokenizer in small. */
const pieces = ["a", "b", "ab", "STOP", "ST", "OP", " ", "Ü", "x", "é"];
const bytes = pieces.map((piece) => new TextEncoder().encode(piece));
// Ids from 100 on are single bytes, so characters can be spread over tokens.
const tokenizer = {
  decode: (ids: number[]) =>
    new TextDecoder("utf-8", { ignoreBOM: true }).decode(
      Uint8Array.from(ids.flatMap((id) => (id >= 100 ? [id - 100] : [...bytes[id % 10]]))),
    ),
};

describe.each([
  { name: "gpt", config: gpt },
  { name: "qwen3", config: qwen3 },
])("generate with $name", ({ config }) => {
  it("draws what one step after another draws, to the bit", () =>
    checks.equalsStepByStep(config, randomParams(config, device)));

  it.each(checks.distributions)("gives the log-probs of the full forward: %j", async (options) => {
    await checks.equalsFullForward(config, randomParams(config, device), options, 1e-10);
  });
});

describe("generate", () => {
  const force = (id: number, rest: Partial<GenerateOptions> = {}): GenerateOptions => ({
    maxTokens: 4,
    temperature: 0,
    logitBias: { [id]: 1000 },
    ...rest,
  });

  it("draws with the row's own key, whatever its neighbours", () =>
    checks.dependsOnItsKeyAlone(qwen3, params, 1e-12));

  it("ends rows on stop tokens, which are reported and not in the text", async () => {
    const [row] = await generate(model, [[1]], force(3, { stopTokens: [3], tokenizer }));
    expect(row).toMatchObject({ ids: [3], text: "", finish: "token" });
    const [long] = await generate(model, [[1]], force(8, { stopTokens: [3], tokenizer }));
    expect(long).toMatchObject({ ids: [8, 8, 8, 8], text: "xxxx", finish: "length" });
  });

  it("ends rows on stop strings: the text is cut, the tokens stay", async () => {
    const [row] = await generate(model, [[1]], force(2, { stopStrings: ["ba"], tokenizer }));
    expect(row).toMatchObject({ ids: [2, 2], text: "a", finish: "string" });
    expect(row.logProbs.length).toBe(2);
  });

  it("yields columns of the rows that go on, and frees its memory when left", async () => {
    const before = device.memory().liveTensors;
    const rows: number[][] = [];
    const options = { maxTokens: 12, samples: 4, stopTokens: Array.from({ length: 11 }, (_, i) => i) };
    const ended = new Set<number>();
    for await (const column of generateTokens(model, checks.prompts, options)) {
      rows.push(column.map(({ row }) => row));
      expect(column.some(({ row }) => ended.has(row))).toBe(false);
      for (const { row, finish, id } of column) {
        if (finish) ended.add(row);
        expect(finish === "token").toBe(id < 11);
      }
    }
    expect(ended.size).toBe(12);
    expect(rows[0].length).toBe(12);
    expect(rows.at(-1)!.length).toBeLessThan(12);
    for await (const _ of generateTokens(model, checks.prompts, { maxTokens: 12 })) break;
    expect(device.memory().liveTensors).toBe(before);
  });

  it("stops with the reason of its signal", async () => {
    const controller = new AbortController();
    const columns: number[] = [];
    const run = async () => {
      for await (const column of generateTokens(model, [[1]], { maxTokens: 9, signal: controller.signal })) {
        columns.push(column.length);
        if (columns.length === 3) controller.abort(new Error("enough"));
      }
    };
    const before = device.memory().liveTensors;
    await expect(run()).rejects.toThrow("enough");
    expect(columns.length).toBe(3);
    expect(device.memory().liveTensors).toBe(before);
  });

  it("refuses what makes no sense", async () => {
    const run = (options: object, prompts: number[][] = [[1]]) =>
      generate(model, prompts, { maxTokens: 3, ...options });
    await expect(run({ maxTokens: 0 })).rejects.toThrow(/maxTokens is 0, expected a whole number ≥ 1/);
    await expect(run({ samples: 1.5 })).rejects.toThrow(InputError);
    await expect(run({ stopStrings: ["a"] })).rejects.toThrow(/there is no tokenizer/);
    await expect(run({ stopStrings: [""], tokenizer })).rejects.toThrow(/every text contains/);
    await expect(run({ keys: [] })).rejects.toThrow(/keys has 0 entries, expected 1/);
    for (const id of [23, -1, 1.5])
      await expect(run({ logitBias: { [id]: 1 } })).rejects.toThrow(/expected whole ids from 0 to 22/);
    for (const id of [-1, 0.5, Number.NaN])
      await expect(run({ stopTokens: [2, id] })).rejects.toThrow(/which is no id/);
    for (const tokensPerPass of [0, -1, Number.NaN, 1.5])
      await expect(run({ tokensPerPass })).rejects.toThrow(
        /tokensPerPass is .*, expected a whole number ≥ 1/,
      );
    for (const id of [0.5, Number.NaN])
      await expect(run({}, [[1, id]])).rejects.toThrow(/token 1 of an entry is/);
    await expect(run({ logitBias: { 2: Number.NaN } })).rejects.toThrow(InputError);
    await expect(run({ maxTokens: 65 })).rejects.toThrow(CapacityError);
    await expect(run({}, [[]])).rejects.toThrow(/prompt 0 is empty/);
    const broken = { ...params, "model.norm.weight": mul(params["model.norm.weight"], 1e308) };
    broken["model.norm.weight"] = mul(broken["model.norm.weight"], 1e308);
    await expect(generate({ config: qwen3, params: broken }, [[1]], { maxTokens: 2 })).rejects.toThrow(
      NonFiniteError,
    );
  });
});

describe("TextStream", () => {
  const stream = (ids: number[], stops: string[]) => {
    const text = new TextStream(tokenizer, stops);
    const parts: string[] = [];
    for (const id of ids) {
      parts.push(text.push(id));
      if (text.stopped) break;
    }
    return { parts: [...parts, text.end()], used: parts.length, stopped: text.stopped };
  };

  it("finds stop strings across tokens and holds back what may become one", () => {
    expect(stream([0, 4, 5, 1], ["STOP"])).toEqual({ parts: ["a", "", "", ""], used: 3, stopped: true });
    expect(stream([0, 4, 1], ["STOP"])).toEqual({ parts: ["a", "", "STb", ""], used: 3, stopped: false });
    expect(stream([0, 4], ["STOP"])).toEqual({ parts: ["a", "", "ST"], used: 2, stopped: false });
  });

  it("waits for the last byte of a character", () => {
    const [one, two] = new TextEncoder().encode("é");
    expect(stream([0, 100 + one, 100 + two, 1], []).parts).toEqual(["a", "", "é", "b", ""]);
    expect(stream([0, 100 + one], []).parts).toEqual(["a", "", "\uFFFD"]);
  });

  it("is the whole text cut at the first stop string, for any tokens", () => {
    const any = fc.array(fc.oneof(fc.nat(9), fc.integer({ min: 100 + 0x61, max: 100 + 0xff })), {
      maxLength: 12,
    });
    const stops = fc.array(fc.constantFrom("ab", "STOP", "ba", "P ", "é", "Üx"), { maxLength: 3 });
    fc.assert(
      fc.property(any, stops, (ids, list) => {
        const { parts, used, stopped } = stream(ids, list);
        const whole = tokenizer.decode(ids.slice(0, used));
        const at = list.map((stop) => whole.indexOf(stop)).filter((i) => i >= 0);
        expect(stopped).toBe(at.length > 0);
        expect(parts.join("")).toBe(at.length > 0 ? whole.slice(0, Math.min(...at)) : whole);
      }),
    );
  });

  it("works on a trained tokenizer", () => {
    const trained = trainBpe(["the end of the end"], { vocabSize: 270 });
    const ids = trained.encode("the end of the end");
    const text = new TextStream(trained, ["of"]);
    const parts = [...ids].map((id) => text.push(id));
    expect(text.stopped).toBe(true);
    expect(parts.join("").startsWith("the end ")).toBe(true);
  });
});
