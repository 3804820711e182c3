import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { splitText } from "../../packages/nn/src/tokenizer/bytes.ts";
import { TokenizerError } from "../../packages/nn/src/tokenizer/errors.ts";
import { Tokenizer } from "../../packages/nn/src/tokenizer/tokenizer.ts";
import { trainBpe } from "../../packages/nn/src/tokenizer/train.ts";

const controlTokens = ["<|user|>", "<|end|>", "<tool_call>", "</tool_call>"];
const corpus = [
  'Who is the mayor of "Bavo"? Who is the mayor of "Miraku"?',
  "find_mayor(town: text)\nfind_owner(company: text, year?: number)",
  '{"name": "find_mayor", "arguments": {"town": "Bavo"}}',
  '{"name": "find_owner", "arguments": {"company": "Miraku", "year": 1984}}',
];
const trained = trainBpe(corpus, { vocabSize: 330, controlTokens });

// Any well-formed text, with the fragments that are easiest to get wrong made frequent.
const anyText = fc
  .array(
    fc.oneof(
      fc.string({ unit: "binary" }),
      fc.constantFrom(
        ...controlTokens,
        ...corpus,
        " ",
        "\n",
        "\uFEFF",
        "é",
        "e\u0301",
        "👩‍👩‍👧",
        "__proto__",
      ),
    ),
    { maxLength: 8 },
  )
  .map((parts) => parts.join(""));

describe("splitText", () => {
  it("loses nothing", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        expect(splitText(text).join("")).toBe(text);
      }),
    );
  });

  it("keeps words, digits and symbols apart", () => {
    expect(splitText('find_mayor: "Bavo" in 1984, ok')).toEqual([
      "find",
      "_",
      "mayor",
      ': "',
      "Bavo",
      '"',
      " in",
      " ",
      "1",
      "9",
      "8",
      "4",
      ",",
      " ok",
    ]);
  });
});

describe("Tokenizer", () => {
  it("decodes what it encoded", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        expect(trained.decode(trained.encode(text))).toBe(text);
      }),
      { numRuns: 500 },
    );
  });

  it("never gives a control id for text", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        expect(trained.encode(text).filter((id) => trained.isControl(id))).toEqual([]);
      }),
    );
  });

  it("writes control tokens by name and finds their ids", () => {
    const ids = [
      trained.controlId("<|user|>"),
      ...trained.encode("Bavo<|end|>"),
      trained.controlId("<|end|>"),
    ];
    expect(trained.decode(ids)).toBe("<|user|>Bavo<|end|><|end|>");
    expect(ids.filter((id) => trained.isControl(id))).toHaveLength(2);
    expect(trained.controlTokens.map((name) => trained.controlId(name))).toEqual(
      controlTokens.map((_, index) => trained.vocabSize - controlTokens.length + index),
    );
  });

  it("spells a quoted name the same in question, call and observation", () => {
    const name = trained.encode("Miraku").join();
    for (const text of ['mayor of "Miraku"?', '{"town": "Miraku"}', 'The mayor is "Miraku".']) {
      expect(trained.encode(text).join()).toContain(name);
    }
  });

  it("replaces what is not UTF-8 instead of failing", () => {
    expect(trained.decode([0xff, 0x41])).toBe("\uFFFDA");
    expect(trained.decode(trained.encode("\uD800"))).toBe("\uFFFD");
  });

  it("encodes long hostile text in bounded time", () => {
    const text = "a".repeat(20_000) + " ".repeat(20_000) + '"'.repeat(20_000);
    expect(trained.decode(trained.encode(text))).toBe(text);
  });

  it("rejects ids and names it does not have", () => {
    for (const id of [-1, 1.5, trained.vocabSize, Number.NaN]) {
      expect(() => trained.decode([id])).toThrow(TokenizerError);
    }
    expect(() => trained.controlId("<|admin|>")).toThrowErrorMatchingInlineSnapshot(
      `[TokenizerError: controlId: no control token "<|admin|>"; this tokenizer has ["<|user|>","<|end|>","<tool_call>","</tool_call>"]. Train it with trainBpe(texts, { controlTokens: […] })]`,
    );
  });

  it("rejects merges that use later ids or repeat a token", () => {
    expect(() => new Tokenizer({ merges: [[97, 256]], controlTokens: [] })).toThrow(TokenizerError);
    expect(
      () =>
        new Tokenizer({
          merges: [
            [97, 98],
            [97, 98],
          ],
          controlTokens: [],
        }),
    ).toThrow(TokenizerError);
    expect(() => new Tokenizer({ merges: [], controlTokens: ["<a>", "<a>"] })).toThrow(TokenizerError);
    expect(() => new Tokenizer({ merges: [], controlTokens: [""] })).toThrow(TokenizerError);
  });
});

describe("trainBpe", () => {
  it("merges the most frequent pair first, ties by the smaller ids", () => {
    // ab and bc occur three times each: a < b wins. Then (ab)c.
    const tokenizer = trainBpe(["abc abc abc"], { vocabSize: 258 });
    expect(tokenizer.toJson().model.merges).toEqual(["a b", "ab c"]);
  });

  it("does not depend on the order of the texts", () => {
    fc.assert(
      fc.property(fc.shuffledSubarray(corpus, { minLength: corpus.length }), (shuffled) => {
        expect(trainBpe(shuffled, { vocabSize: 330, controlTokens }).toJson()).toEqual(trained.toJson());
      }),
      { numRuns: 10 },
    );
  });

  it("counts pairs as a full recount does", () => {
    const words = fc.array(fc.string({ unit: fc.constantFrom("a", "b", "c"), minLength: 1, maxLength: 9 }), {
      minLength: 1,
      maxLength: 12,
    });
    fc.assert(
      fc.property(words, (list) => {
        const merges = trainBpe([list.join(" ")], { vocabSize: 262, minCount: 1 }).toJson().model.merges;
        expect(merges).toEqual(recountedMerges(list.join(" "), 6));
      }),
    );
  });

  it("stops when no pair repeats", () => {
    expect(trainBpe(["abc"], { vocabSize: 400 }).vocabSize).toBe(256);
    expect(trainBpe(["abc"], { vocabSize: 400, minCount: 1 }).vocabSize).toBe(258);
  });

  it("rejects a least count that is none", () => {
    for (const minCount of [0, 1.5, Number.NaN])
      expect(() => trainBpe(corpus, { vocabSize: 300, minCount })).toThrow(
        /minCount must be a whole number ≥ 1/,
      );
  });

  it("rejects a vocabulary too small for bytes and control tokens", () => {
    expect(() => trainBpe(corpus, { vocabSize: 258, controlTokens })).toThrowErrorMatchingInlineSnapshot(
      `[TokenizerError: trainBpe: vocabSize must be an integer of at least 260 (256 bytes + 4 control tokens), received 258]`,
    );
  });
});

/** The same algorithm by the book: strings of the byte alphabet, every pair counted anew at each step (ASCII words only). */
function recountedMerges(text: string, count: number): string[] {
  const spell = (piece: string): string[] => [...piece].map((letter) => (letter === " " ? "Ġ" : letter));
  const words = splitText(text).map(spell);
  const order = new Map<string, number>([
    [" ", 32],
    ["Ġ", 32],
    ["a", 97],
    ["b", 98],
    ["c", 99],
  ]);
  const merges: string[] = [];
  while (merges.length < count) {
    const counts = new Map<string, number>();
    for (const word of words) {
      for (let i = 0; i + 1 < word.length; i++) {
        const pair = `${word[i]} ${word[i + 1]}`;
        counts.set(pair, (counts.get(pair) ?? 0) + 1);
      }
    }
    const rank = (pair: string): number => {
      const [left, right] = pair.split(" ").map((token) => order.get(token)!);
      return left * 1000 + right;
    };
    const best = [...counts].sort(([a, m], [b, n]) => n - m || rank(a) - rank(b))[0];
    if (best === undefined) break;
    const [left, right] = best[0].split(" ");
    merges.push(best[0]);
    order.set(left + right, 256 + merges.length - 1);
    for (const word of words) {
      for (let i = 0; i + 1 < word.length; i++) {
        if (word[i] === left && word[i + 1] === right) word.splice(i, 2, left + right);
      }
    }
  }
  return merges;
}
