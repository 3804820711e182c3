/**
 * Tokenizer files and adapters from strangers: fields that are missing, exchanged or nonsense end in a typed error, or in a
 * tokenizer that keeps its promises, or adapters that fit. Weights and config.json are in model-folder-fuzz.test.ts.
 */
import { lora, loraFromPeft, loraToPeft, PretrainedTokenizer, Tokenizer } from "@pact/nn";
import { createDevice, key, PactError } from "@pact/tensor";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { qwenLikeFiles } from "../helpers/qwen-like.ts";
import { qwen3, randomParams } from "./models.ts";

const device = await createDevice({ device: "cpu" });

const odd = fc.constantFrom<unknown>(
  ...[
    null,
    true,
    false,
    0,
    1,
    -1,
    1.5,
    1e9,
    Number.NaN,
    "",
    "x",
    "BPE",
    "(",
    "__proto__",
    "constructor",
    "a b",
  ],
  ...[
    [],
    {},
    [[]],
    [null],
    ["a", "b"],
    { Regex: "[" },
    { Regex: [] },
    { String: "a" },
    { content: "<x>", id: 3 },
  ],
  ...[{ type: "Sequence" }, { type: "Split", pattern: [] }, { type: "ByteLevel" }, { type: "Digits" }],
);
/** Where to change a value, as shares of the number of its fields level by level, and how. */
const change = fc.record({
  path: fc.array(fc.double({ min: 0, max: 0.999, noNaN: true }), { minLength: 1, maxLength: 5 }),
  kind: fc.constantFrom("set", "set", "set", "drop", "add"),
  value: odd,
});
type Change = { readonly path: readonly number[]; readonly kind: string; readonly value: unknown };

/** A copy of the value with the change made. */
function changed(value: unknown, { path, kind, value: put }: Change): unknown {
  if (typeof value !== "object" || value === null || path.length === 0) return put;
  const entries = Object.entries(value);
  const [share, ...rest] = path;
  const at = Math.floor(share * entries.length);
  const last = rest.length === 0 || typeof entries[at]?.[1] !== "object";
  if (kind === "add" && last) entries.splice(at, 0, ["toString", put]);
  else if (kind === "drop" && last) entries.splice(at, 1);
  else if (entries.length > 0)
    entries[at] = [entries[at][0], changed(entries[at][1], { path: rest, kind, value: put })];
  return Array.isArray(value) ? entries.map(([, inner]) => inner) : Object.fromEntries(entries);
}

/** What `make` gives, or undefined if it throws an error of the package. */
function made<T>(make: () => T): T | undefined {
  try {
    return make();
  } catch (error) {
    expect(error).toBeInstanceOf(PactError);
    expect((error as Error).message.length).toBeLessThan(100_000);
    return undefined;
  }
}

const changes = fc.array(change, { minLength: 1, maxLength: 3 });
const texts = ["the mayor 12 é <|im_end|><think> __proto__\n\n", " constructor toString 👩‍👩‍👧"];

describe("files of strangers", () => {
  it("make a tokenizer that loses no text and gives no control id for any, or none", () => {
    const files = {
      ...qwenLikeFiles(),
      specialTokens: { eos_token: "<|im_end|>" },
      addedTokens: { "<z>": 900 },
    };
    const { tokenizer: whole } = files;
    const short = {
      ...files,
      tokenizer: { ...whole, model: { ...(whole.model as object), vocab: {}, merges: [] } },
    };
    let loaded = 0;
    const property = fc.property(changes, fc.boolean(), (made_, cut) => {
      // The vocabulary is most of the fields; without it changes fall elsewhere.
      const { tokenizer, ...rest } = cut ? short : files;
      let spoilt = changed({ tokenizer, ...rest }, made_[0]) as typeof files;
      for (const one of made_.slice(1)) spoilt = changed(spoilt, one) as typeof files;
      const own = spoilt.tokenizer as { model?: object } | undefined;
      if (cut && typeof own?.model === "object" && own.model !== null) {
        const { vocab, merges } = whole.model as { vocab: object; merges: unknown[] };
        spoilt = { ...spoilt, tokenizer: { ...own, model: { ...own.model, vocab, merges } } };
      }
      const result = made(() => new PretrainedTokenizer(spoilt));
      if (result === undefined) return;
      loaded++;
      for (const text of texts) {
        const ids = result.encode(text);
        expect(result.decode(ids)).toBe(text);
        expect(ids.some((id) => result.isControl(id))).toBe(false);
      }
    });
    fc.assert(property, { numRuns: 300 });
    expect(loaded).toBeGreaterThan(20);
  });

  it("make one of ours, or none", () => {
    const file = new Tokenizer({ merges: [[97, 98]], controlTokens: ["<e>"] }).toJson();
    const property = fc.property(changes, (list) => {
      const spoilt = list.reduce<unknown>(changed, file);
      const loaded = made(() => Tokenizer.fromJson(spoilt));
      expect(loaded?.decode(loaded.encode("abc<e>")) ?? "abc<e>").toBe("abc<e>");
    });
    fc.assert(property, { numRuns: 300 });
  });

  it("make adapters that fit, or none", async () => {
    const params = randomParams(qwen3, device);
    const files = await loraToPeft(lora(qwen3, params, { rank: 2, key: key(1) }));
    const spoil = fc.array(fc.tuple(fc.nat(3000), fc.nat(255)), { maxLength: 2 });
    const property = fc.property(changes, spoil, (list, bytes) => {
      const weights = files["adapter_model.safetensors"].slice();
      for (const [at, byte] of bytes) weights[at] = byte;
      const json = list.reduce<unknown>(changed, files["adapter_config.json"]) as Record<string, unknown>;
      const given = { "adapter_config.json": json, "adapter_model.safetensors": weights };
      const adapters = made(() => loraFromPeft(qwen3, given, { device }));
      if (adapters === undefined) return;
      expect(adapters.settings.rank).toBe(2);
      expect(Number.isFinite(adapters.settings.alpha)).toBe(true);
      for (const weight of Object.values(adapters.weights)) weight.dispose();
    });
    fc.assert(property, { numRuns: 500 });
  });
});
