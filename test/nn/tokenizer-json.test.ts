import { describe, expect, it } from "vitest";
import { TokenizerError } from "../../packages/nn/src/tokenizer/errors.ts";
import type { TokenizerJson } from "../../packages/nn/src/tokenizer/json.ts";
import { Tokenizer } from "../../packages/nn/src/tokenizer/tokenizer.ts";
import { trainBpe } from "../../packages/nn/src/tokenizer/train.ts";

const tokenizer = trainBpe(["find the mayor, find the owner: toString constructor constructor"], {
  vocabSize: 280,
  controlTokens: ["<|user|>", "<|end|>"],
});
const copy = (): TokenizerJson => structuredClone(tokenizer.toJson());

describe("tokenizer.json", () => {
  it("survives a round trip as text and as a value", () => {
    const text = JSON.stringify(tokenizer.toJson());
    for (const loaded of [Tokenizer.fromJson(text), Tokenizer.fromJson(JSON.parse(text))]) {
      expect(loaded.toJson()).toEqual(tokenizer.toJson());
      expect(loaded.encode("find a constructor<|end|>")).toEqual(
        tokenizer.encode("find a constructor<|end|>"),
      );
      expect(loaded.controlId("<|end|>")).toBe(tokenizer.controlId("<|end|>"));
    }
  });

  it("has the layout the official libraries read", () => {
    const { model, added_tokens, pre_tokenizer } = tokenizer.toJson();
    expect(model.type).toBe("BPE");
    expect(model.vocab.Ġ).toBe(32);
    expect(Object.keys(model.vocab)).toHaveLength(256 + model.merges.length);
    expect(added_tokens[1]).toMatchObject({ id: tokenizer.vocabSize - 1, content: "<|end|>", special: true });
    expect(pre_tokenizer).toMatchInlineSnapshot(`
      {
        "pretokenizers": [
          {
            "behavior": "Isolated",
            "invert": false,
            "pattern": {
              "Regex": " \\p{L}+|\\p{L}+|\\p{N}|[^\\p{L}\\p{N}]+?(?= \\p{L})|[^\\p{L}\\p{N}]+",
            },
            "type": "Split",
          },
          {
            "add_prefix_space": false,
            "trim_offsets": false,
            "type": "ByteLevel",
            "use_regex": false,
          },
        ],
        "type": "Sequence",
      }
    `);
  });

  const damage: [string, (file: TokenizerJson) => unknown][] = [
    ["no JSON", () => "{"],
    ["a number", () => 3],
    ["an array", () => []],
    ["another model", (file) => ({ ...file, model: { ...file.model, type: "WordPiece" } })],
    ["another pattern", (file) => ({ ...file, pre_tokenizer: { type: "Whitespace" } })],
    ["a normalizer", (file) => ({ ...file, normalizer: { type: "NFC" } })],
    ["no merges", (file) => ({ ...file, model: { ...file.model, merges: undefined } })],
    ["a merge of unknown tokens", (file) => ({ ...file, model: { ...file.model, merges: ["zz qq"] } })],
    ["a merge of three", (file) => ({ ...file, model: { ...file.model, merges: ["a b c"] } })],
    ["a merge twice", (file) => ({ ...file, model: { ...file.model, merges: ["a b", "a b"] } })],
    ["a merge that is no text", (file) => ({ ...file, model: { ...file.model, merges: [7] } })],
    ["a moved id", (file) => ({ ...file, model: { ...file.model, vocab: { ...file.model.vocab, a: 98 } } })],
    [
      "an extra token",
      (file) => ({ ...file, model: { ...file.model, vocab: { ...file.model.vocab, zzzz: 1 } } }),
    ],
    ["a control id out of place", (file) => ({ ...file, added_tokens: file.added_tokens.slice(1) })],
    [
      "a control that is not special",
      (file) => ({ ...file, added_tokens: [{ ...file.added_tokens[0], special: false }] }),
    ],
    [
      "a control without text",
      (file) => ({ ...file, added_tokens: [{ ...file.added_tokens[0], content: null }] }),
    ],
  ];
  it.each(damage)("is refused with %s", (_, spoil) => {
    expect(() => Tokenizer.fromJson(spoil(copy()))).toThrow(TokenizerError);
  });

  it("names the field that is wrong", () => {
    const file = copy();
    file.model.merges[1] = "qq zz";
    expect(() => Tokenizer.fromJson(file)).toThrowErrorMatchingInlineSnapshot(
      `[TokenizerError: tokenizer.json: model.merges[1]: expected "left right" of two earlier tokens that join to a new one, received qq zz. Only files written by Tokenizer.toJson are read here; train one with trainBpe]`,
    );
  });
});
