/** Untrusted text on its way to a terminal. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { harmless, jsonLine, ReplyText } from "../../packages/pact/src/cli/chat-text.ts";
import type { Paint } from "../../packages/pact/src/cli/terminal.ts";

const paint: Paint = (style, text) => `{${style}:${text}}`;
const plain: Paint = (_, text) => text;

/** Text of what terminals, tags and byte-level models make of trouble. */
const trouble = fc
  .array(
    fc.oneof(
      fc.string({ unit: "binary", maxLength: 4 }),
      fc.constantFrom(
        "<think>",
        "</think>",
        "<tool_call>",
        "</tool_call>",
        "<",
        "<to",
        "\u001b[2J",
        "\u009b1A",
      ),
      fc.constantFrom("\u001b]0;title\u0007", "\r", "\n", "\t", "\u202e", "\u2066", "\u007f", "\0"),
    ),
    { maxLength: 12 },
  )
  .map((pieces) => pieces.join(""));
const controls = /[^\P{Cc}\n\t]|[\u200e\u200f\u202a-\u202e\u2066-\u2069]/u;

describe("harmless", () => {
  it("shows what a terminal would act upon", () => {
    expect(harmless("a\u001b[2Jb\r\u009b\u202e\n\t")).toBe("a\\x1b[2Jb\\x0d\\x9b\\u202e\n\t");
  });

  it("leaves no control character and every other character", () => {
    fc.assert(
      fc.property(trouble, (text) => {
        const shown = harmless(text);
        expect(shown).not.toMatch(controls);
        if (!controls.test(text)) expect(shown).toBe(text);
      }),
    );
  });
});

it("a line of JSON holds no character that a terminal acts upon, and the same value", () => {
  fc.assert(
    fc.property(trouble, (text) => {
      const line = jsonLine({ text });
      expect(line).toMatch(/^[^\p{Cc}]*\n$/u);
      expect(JSON.parse(line)).toEqual({ text });
    }),
  );
});

describe("a reply as it comes", () => {
  const all = (pieces: readonly string[], used: Paint, margin = "") => {
    const text = new ReplyText(used, margin);
    return pieces.map((piece) => text.push(piece)).join("") + text.end();
  };

  it("dims reasoning and highlights calls, tags included", () => {
    expect(all(["<think>Hm.</think>Yes <tool_call>{}</tool_call>."], paint)).toBe(
      "{dim:<think>}{dim:Hm.}{dim:</think>}Yes {accent:<tool_call>}{accent:{}}{accent:</tool_call>}.",
    );
  });

  it("is the same text wherever it is cut, and in the same colours", () => {
    const colours = (text: string) => {
      // One letter per character: its colour.
      let style = " ";
      return [...text.matchAll(/\{(\w)\w*:|\}|[\s\S]/g)].flatMap(([part, named]) => {
        if (named !== undefined || part === "}") style = named ?? " ";
        return named !== undefined || part === "}" ? [] : [`${part}${style}`];
      });
    };
    const noBraces = trouble.map((text) => text.replaceAll(/[{}]/g, ""));
    fc.assert(
      fc.property(noBraces, fc.array(fc.nat(40), { maxLength: 5 }), (text, cuts) => {
        const characters = [...text];
        const at = [0, ...cuts.filter((cut) => cut < characters.length).sort((a, b) => a - b)];
        const pieces = at.map((start, index) => characters.slice(start, at[index + 1]).join(""));
        expect(all(pieces, plain)).toBe(harmless(text));
        expect(colours(all(pieces, paint))).toEqual(colours(all([text], paint)));
      }),
    );
  });

  it("holds back no more than the beginning of a tag", () => {
    const text = new ReplyText(plain);
    expect(text.push("a <thin")).toBe("a ");
    expect(text.push("g>")).toBe("<thing>");
    expect(text.push("b<")).toBe("b");
    expect(text.end()).toBe("<");
  });

  it("begins further lines with the margin", () => {
    expect(all(["a\n", "b"], plain, "  ")).toBe("a\n  b");
  });
});
