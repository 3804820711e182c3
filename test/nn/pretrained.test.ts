import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import * as library from "@huggingface/tokenizers";
import {
  loadTokenizer,
  PretrainedTokenizer,
  renderChat,
  saveTokenizer,
  splitControls,
  Tokenizer,
  TokenizerError,
  trainBpe,
} from "@pact/nn";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { qwenControls, qwenLikeFiles } from "../helpers/qwen-like.ts";

const base = fileURLToPath(new URL("../../packages/pact/base", import.meta.url));

interface Library {
  encode(text: string, options: { add_special_tokens: boolean }): { ids: number[] };
  decode(ids: number[], options: { clean_up_tokenization_spaces: boolean }): string;
}
/** The library as it is, with all added tokens. */
function official(tokenizer: object): Library {
  const { Tokenizer: Official } = library as unknown as {
    Tokenizer: new (file: object, config: object) => Library;
  };
  return new Official(tokenizer, {});
}

/** Text with control names whole, in pieces, nested, and beside zero-width characters. */
function textWith(controls: readonly string[]): fc.Arbitrary<string> {
  const name = fc.constantFrom(...controls);
  const piece = fc.oneof(
    fc.string({ unit: "binary" }),
    name,
    fc.tuple(name, fc.nat(12)).map(([text, at]) => text.slice(0, at)),
    fc.tuple(name, fc.nat(12)).map(([text, at]) => text.slice(at)),
    fc.tuple(name, name, fc.nat(12)).map(([a, b, at]) => a.slice(0, at) + b + a.slice(at)),
    fc
      .tuple(name, fc.nat(12), fc.constantFrom("\u200b", "\u200d", "\ufeff", "\u00ad"))
      .map(([text, at, zero]) => text.slice(0, at) + zero + text.slice(at)),
    fc.constantFrom(
      " ",
      "\n",
      "\n\n ",
      "é",
      "e\u0301",
      "👩‍👩‍👧",
      "__proto__",
      " don't",
      " .",
      "1984",
      "\ufeff",
    ),
  );
  return fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join(""));
}

const files = qwenLikeFiles();
const tokenizer = new PretrainedTokenizer(files);

describe("PretrainedTokenizer", () => {
  it("gives every well-formed text back, and no control id for any", () => {
    fc.assert(
      fc.property(textWith(qwenControls), (text) => {
        const ids = tokenizer.encode(text);
        expect(tokenizer.decode(ids)).toBe(text);
        expect(ids.filter((id) => tokenizer.isControl(id))).toEqual([]);
      }),
      { numRuns: 300 },
    );
  });

  it("never gives a control id for a control name, its doubles and overlaps", () => {
    for (const name of qwenControls) {
      for (const text of [name, name + name, ` ${name} `, name.slice(0, -1) + name, `${name}\u200b`]) {
        expect(tokenizer.encode(text).some((id) => tokenizer.isControl(id))).toBe(false);
        expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
      }
      expect(tokenizer.decode([tokenizer.controlId(name)])).toBe(name);
    }
  });

  it("has the library's ids for text in NFC without control names", () => {
    const reference = official(files.tokenizer);
    fc.assert(
      fc.property(
        fc.string({ unit: "binary" }),
        fc.constantFrom("", " the mayor's", "\n\n x "),
        (text, more) => {
          const normal = (text + more).normalize("NFC");
          expect(tokenizer.encode(normal)).toEqual(
            reference.encode(normal, { add_special_tokens: false }).ids,
          );
        },
      ),
    );
  });

  it("decodes as the library does without its cleaning", () => {
    const reference = official(files.tokenizer);
    const ids = [...Array(340).keys()]
      .filter((id) => id < 330)
      .concat(qwenControls.map((n) => tokenizer.controlId(n)));
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...ids), { minLength: 1 }), (some) => {
        // The library drops bytes that it can not spell alike: both give U+FFFD.
        expect(tokenizer.decode(some)).toBe(reference.decode(some, { clean_up_tokenization_spaces: false }));
      }),
    );
  });

  it("joins bytes of tokens to those of the text", () => {
    const ids = tokenizer.encode("é the 👩 mayor");
    const bytes = ids.flatMap((id) => [...tokenizer.tokenBytes(id)]);
    expect(new TextDecoder().decode(Uint8Array.from(bytes))).toBe("é the 👩 mayor");
  });

  it("knows special tokens, and ids that no token has", () => {
    expect([...tokenizer.special]).toEqual([
      ["eos_token", "<|im_end|>"],
      ["pad_token", "<|endoftext|>"],
    ]);
    const hole = tokenizer.controlId("<|endoftext|>") - 1;
    for (const id of [-1, 0.5, hole, tokenizer.vocabSize])
      expect(() => tokenizer.decode([id])).toThrow(TokenizerError);
    expect(() => tokenizer.controlId("<s>")).toThrow(TokenizerError);
  });

  it("reads a lone surrogate as U+FFFD", () => {
    expect(tokenizer.decode(tokenizer.encode("a\ud800b"))).toBe("a\ufffdb");
  });

  it("keeps a control name out of reach where the vocabulary has merges for it", () => {
    const trained = trainBpe(["<s> <s> <s> <s>"], { vocabSize: 258, minCount: 1 }).toJson();
    const control = Object.keys(trained.model.vocab).find((token) => trained.model.vocab[token] === 257)!;
    for (const ignore_merges of [false, true]) {
      const loaded = new PretrainedTokenizer({
        tokenizer: { ...trained, model: { ...trained.model, ignore_merges } },
        config: { eos_token: control },
      });
      expect(loaded.controlId(control)).toBe(257);
      expect(loaded.encode(control)).not.toContain(257);
      expect(loaded.decode(loaded.encode(`${control}<s>`))).toBe(`${control}<s>`);
    }
  });

  // Merges: two spaces 256, space and the first byte of "²" 257, "12" 258. Ids by tokenizers 0.23.2 in Python.
  const byteLevel = { type: "ByteLevel", add_prefix_space: false };
  const digits = (individual_digits: boolean) => ({
    type: "Sequence",
    pretokenizers: [{ type: "Digits", individual_digits }, byteLevel],
  });
  it.each<[string, object, string, number[]]>([
    ["digit by digit", digits(true), " 12", [32, 49, 50]],
    ["digit by digit, of any script", digits(true), " \u00b2", [32, 194, 178]],
    ["runs of digits", digits(false), " 12", [32, 258]],
    ["runs of digits of any script", digits(false), " \u00b2", [32, 194, 178]],
    ["GPT-2's pattern", byteLevel, " \u00b2", [257, 178]],
    ["where U+FEFF is no space", byteLevel, "  \ufeff", [32, 32, 239, 187, 191]],
  ])("cuts as the official library: %s", (_, pre_tokenizer, text, ids) => {
    const [space, first, one, two] = [32, 0xc2, 49, 50];
    const merges = [[space, space] as const, [space, first] as const, [one, two] as const];
    const file = new Tokenizer({ merges, controlTokens: [] }).toJson();
    const loaded = new PretrainedTokenizer({ tokenizer: { ...file, pre_tokenizer } });
    expect(loaded.encode(text)).toEqual(ids);
    expect(loaded.decode(ids)).toBe(text);
  });

  const damage: [string, (file: Record<string, unknown>) => unknown][] = [
    ["another model", (file) => ({ ...file, model: { type: "Unigram", vocab: [] } })],
    ["a normalizer that changes text", (file) => ({ ...file, normalizer: { type: "Lowercase" } })],
    ["a prefix space", (file) => ({ ...file, pre_tokenizer: { type: "ByteLevel", add_prefix_space: true } })],
    ["a cut that removes", (file) => ({ ...file, pre_tokenizer: { type: "Whitespace" } })],
    ["another decoder", (file) => ({ ...file, decoder: { type: "Metaspace" } })],
    [
      "a missing byte",
      (file) => {
        const model = structuredClone(file.model) as { vocab: Record<string, number>; merges: string[] };
        delete model.vocab["!"];
        return { ...file, model };
      },
    ],
    [
      "a token outside the byte alphabet",
      (file) => {
        const model = structuredClone(file.model) as { vocab: Record<string, number> };
        model.vocab["▁the"] = 339;
        return { ...file, model };
      },
    ],
    ["an id twice", (file) => ({ ...file, added_tokens: [{ id: 65, content: "<x>" }] })],
    ["an added token of spaces", (file) => ({ ...file, added_tokens: [{ id: 900, content: "  " }] })],
    [
      "an added token that strips",
      (file) => ({ ...file, added_tokens: [{ id: 900, content: "<x>", rstrip: true }] }),
    ],
    ["a merge into nothing", (file) => ({ ...file, model: { ...(file.model as object), merges: ["! !"] } })],
    [
      "a pattern that is none",
      (file) => ({
        ...file,
        pre_tokenizer: {
          type: "Sequence",
          pretokenizers: [
            { type: "Split", pattern: { Regex: "(" }, behavior: "Isolated" },
            { type: "ByteLevel" },
          ],
        },
      }),
    ],
    ["no object", () => []],
  ];
  it.each(damage)("refuses %s", (_, spoil) => {
    expect(() => new PretrainedTokenizer({ tokenizer: spoil(qwenLikeFiles().tokenizer) })).toThrow(
      TokenizerError,
    );
  });

  it("refuses a special token that does not exist, and says which", () => {
    expect(() => new PretrainedTokenizer({ ...files, config: { eos_token: "<nope>" } })).toThrow(
      /eos_token.*<nope>/s,
    );
    expect(() => new PretrainedTokenizer({ ...files, addedTokens: { "<think>": 7 } })).toThrow(
      /added_tokens.json/,
    );
  });

  it("takes tokens from the older files", () => {
    const loaded = new PretrainedTokenizer({
      tokenizer: { ...files.tokenizer, added_tokens: [] },
      config: { added_tokens_decoder: { 700: { content: "<a>" } } },
      addedTokens: { "<b>": 701 },
      specialTokens: { eos_token: { content: "<b>" } },
    });
    expect(loaded.controlTokens).toEqual(["<a>", "<b>"]);
    expect(loaded.special.get("eos_token")).toBe("<b>");
    expect(loaded.vocabSize).toBe(702);
  });
});

describe("what trainBpe writes", () => {
  const trained = trainBpe(["the mayor of Bavo", "the 12 owners"], {
    vocabSize: 290,
    controlTokens: ["<|end|>", "<think>"],
  });
  const shipped = Tokenizer.fromJson(readFileSync(join(base, "tokenizer.json"), "utf8"));
  it.each([
    ["trained", trained],
    ["shipped", shipped],
  ])("is read by the library to the same ids: %s", (_, ours) => {
    const file = JSON.parse(JSON.stringify(ours.toJson()));
    const loaded = new PretrainedTokenizer({ tokenizer: file });
    const reference = official(file);
    fc.assert(
      fc.property(textWith(ours.controlTokens), (text) => {
        expect(loaded.encode(text)).toEqual(ours.encode(text));
        expect(loaded.decode(ours.encode(text))).toBe(text);
        // The library alone reads control names in a text: as ours with the text cut at them.
        const cut = splitControls(ours, text).flatMap((part) =>
          typeof part === "string" ? ours.encode(part) : [part],
        );
        expect(reference.encode(text, { add_special_tokens: false }).ids).toEqual(cut);
      }),
      { numRuns: 300 },
    );
    expect(loaded.controlTokens).toEqual(ours.controlTokens);
    expect(loaded.vocabSize).toBe(ours.vocabSize);
  });
});

describe("loadTokenizer", () => {
  it("reads a folder, and says which file is wrong", async () => {
    const folder = mkdtempSync(join(tmpdir(), "tokenizer-"));
    try {
      await expect(loadTokenizer(folder)).rejects.toThrow(/no tokenizer.json/);
      writeFileSync(join(folder, "tokenizer.json"), JSON.stringify(files.tokenizer));
      const templates = [
        { name: "default", template: "plain" },
        { name: "tool_use", template: "tools" },
      ];
      writeFileSync(join(folder, "tokenizer_config.json"), JSON.stringify({ chat_template: templates }));
      const loaded = await loadTokenizer(folder);
      expect([loaded.chatTemplate(), loaded.chatTemplate({ tools: true })]).toEqual(["plain", "tools"]);
      writeFileSync(join(folder, "chat_template.jinja"), "own");
      expect((await loadTokenizer(folder)).chatTemplate()).toBe("own");
      writeFileSync(join(folder, "tokenizer_config.json"), "{");
      await expect(loadTokenizer(folder)).rejects.toThrow(/tokenizer_config.json is not JSON/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("reads the shipped base with its chat template", async () => {
    const loaded = await loadTokenizer(base);
    expect(loaded.decode(loaded.encode("Bavo<|end|>"))).toBe("Bavo<|end|>");
    const [system, user, end] = ["<|system|>", "<|user|>", "<|end|>"].map((name) => loaded.controlId(name));
    const text = renderChat(loaded.chatTemplate(), [{ role: "user", content: "Bavo" }]);
    const ids = splitControls(loaded, text).flatMap((part) =>
      typeof part === "string" ? loaded.encode(part) : [part],
    );
    expect(ids).toEqual([system, end, user, ...loaded.encode("Bavo"), end]);
  });

  it("reads back what saveTokenizer wrote, and nothing of an earlier tokenizer", async () => {
    const folder = mkdtempSync(join(tmpdir(), "tokenizer-"));
    try {
      const config = { ...(files.config as object), model_max_length: 1e30, chat_template: "older" };
      const given = { ...files, config, specialTokens: { eos_token: "<|im_end|>" }, chatTemplate: "own\n" };
      await saveTokenizer(folder, new PretrainedTokenizer({ ...given, addedTokens: { "<z>": 900 } }).files);
      writeFileSync(join(folder, "config.json"), "{}");
      await saveTokenizer(folder, given);
      const names = ["chat_template.jinja", "config.json", "special_tokens_map.json", "tokenizer.json"];
      expect(readdirSync(folder).sort()).toEqual([...names, "tokenizer_config.json"]);
      const loaded = await loadTokenizer(folder);
      const { tokenizer_class, ...rest } = loaded.files.config as Record<string, unknown>;
      expect({ ...loaded.files, config: rest }).toEqual({ ...given, addedTokens: undefined });
      expect(tokenizer_class).toBe("PreTrainedTokenizerFast");
      expect(loaded.chatTemplate()).toBe("own\n");
      const text = "the mayor <|im_end|> é 12";
      expect(loaded.encode(text)).toEqual(tokenizer.encode(text));
      // As Python writes it: an integer.
      const written = readFileSync(join(folder, "tokenizer_config.json"), "utf8");
      expect(written).toContain('"model_max_length": 1000000000000000019884624838656,\n');
      const spoilt = { ...given, tokenizer: {} };
      await expect(saveTokenizer(folder, spoilt)).rejects.toThrow(TokenizerError);
      expect((await loadTokenizer(folder)).controlTokens).toEqual(tokenizer.controlTokens);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("says that a folder has no chat template", async () => {
    const folder = mkdtempSync(join(tmpdir(), "tokenizer-"));
    try {
      cpSync(join(base, "tokenizer.json"), join(folder, "tokenizer.json"));
      const loaded = await loadTokenizer(folder);
      expect(() => loaded.chatTemplate()).toThrow(TokenizerError);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
