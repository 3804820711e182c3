import { readFile } from "node:fs/promises";
import type { SafetensorsDType, SafetensorsEntry } from "@pact/nn";
import { readSafetensors, readSafetensorsMetadata, SafetensorsError, writeSafetensors } from "@pact/nn";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { file } from "./safetensors-file.ts";

const f32 = (shape: number[], values: number[]): SafetensorsEntry => ({
  dtype: "F32",
  shape,
  data: Float32Array.from(values),
});

const constructors = {
  F64: Float64Array,
  F32: Float32Array,
  I32: Int32Array,
  I16: Int16Array,
  I8: Int8Array,
  U32: Uint32Array,
  U16: Uint16Array,
  U8: Uint8Array,
  BOOL: Uint8Array,
} as const;

const anyEntry: fc.Arbitrary<SafetensorsEntry> = fc
  .record({
    dtype: fc.constantFrom(...(Object.keys(constructors) as (keyof typeof constructors)[])),
    shape: fc.array(fc.nat(4), { maxLength: 3 }),
    seed: fc.nat(255),
  })
  .map(({ dtype, shape, seed }) => {
    const size = shape.reduce((a, b) => a * b, 1);
    return {
      dtype,
      shape,
      data: new constructors[dtype](Array.from({ length: size }, (_, i) => (seed + i) % 2)),
    };
  });

const names = fc.oneof(
  fc.string(),
  fc.constantFrom("__proto__", "constructor", "toString", 'a"b\\', "é😀", ""),
);
const anyFile = fc.uniqueArray(
  fc.tuple(
    names.filter((n) => n !== "__metadata__"),
    anyEntry,
  ),
  { selector: ([name]) => name, maxLength: 6 },
);

describe("writeSafetensors and readSafetensors", () => {
  it("give back what was written, whatever the names", () => {
    fc.assert(
      fc.property(anyFile, (entries) => {
        const back = readSafetensors(writeSafetensors(entries));
        expect(back.size).toBe(entries.length);
        for (const [name, entry] of entries) expect(back.get(name)).toEqual(entry);
      }),
    );
  });

  it("keep 64-bit integers exact and 16-bit floats widened", () => {
    const entries: [string, SafetensorsEntry][] = [
      ["i", { dtype: "I64", shape: [2], data: BigInt64Array.of(-(2n ** 63n), 2n ** 53n + 1n) }],
      ["u", { dtype: "U64", shape: [1], data: BigUint64Array.of(2n ** 64n - 1n) }],
      ["b", { dtype: "BF16", shape: [2], data: Float32Array.of(1.00390625, -3) }],
      ["h", { dtype: "F16", shape: [2], data: Float32Array.of(0.333251953125, 70000) }],
    ];
    const back = readSafetensors(writeSafetensors(entries));
    expect(back.get("i")?.data).toEqual(entries[0][1].data);
    expect(back.get("u")?.data).toEqual(entries[1][1].data);
    expect(back.get("b")?.data).toEqual(Float32Array.of(1, -3)); // the tie goes to even
    expect(back.get("h")?.data).toEqual(Float32Array.of(0.333251953125, Number.POSITIVE_INFINITY));
  });

  it("keep metadata, and the same bytes whatever the order of entries", () => {
    const [a, b] = [f32([1], [1]), f32([2], [2, 3])];
    const bytes = writeSafetensors(
      [
        ["a", a],
        ["b", b],
      ],
      { format: "pt" },
    );
    expect(
      writeSafetensors(
        [
          ["b", b],
          ["a", a],
        ],
        { format: "pt" },
      ),
    ).toEqual(bytes);
    expect([...readSafetensorsMetadata(bytes)]).toEqual([["format", "pt"]]);
  });

  it("lay data out so that the official reader takes it: header padded to 8 bytes, no holes", () => {
    const bytes = writeSafetensors([
      ["byte", { dtype: "U8", shape: [3], data: Uint8Array.of(1, 2, 3) }],
      ["w", f32([1], [1])],
    ]);
    const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
    expect(length % 8).toBe(0);
    const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
    expect(header).toEqual({
      w: { dtype: "F32", shape: [1], data_offsets: [0, 4] },
      byte: { dtype: "U8", shape: [3], data_offsets: [4, 7] },
    });
  });

  it("read a file another program wrote, also from a Buffer that shares its memory", async () => {
    const bytes = await readFile(new URL("../golden/qwen3/f32/model.safetensors", import.meta.url));
    const shifted = Buffer.concat([Buffer.from("x"), bytes]).subarray(1);
    const entries = readSafetensors(shifted);
    expect(entries.get("model.embed_tokens.weight")?.shape).toEqual([101, 40]);
    expect(readSafetensorsMetadata(shifted).get("format")).toBe("pt");
    expect(readSafetensors(writeSafetensors(entries, { format: "pt" }))).toEqual(entries);
  });
});

describe("readSafetensors refuses", () => {
  const header = (value: object) => JSON.stringify(value);
  const w = { dtype: "F32", shape: [1], data_offsets: [0, 4] };
  const four = new Uint8Array(4);

  it.each<[string, Uint8Array, RegExp]>([
    ["a file shorter than its length field", new Uint8Array(7), /7 bytes; a safetensors file starts/],
    ["a header longer than the file", file("{}", undefined, 3n), /header claims 3 bytes, but the file has 2/],
    [
      "an absurd header length",
      file("{}", undefined, 2n ** 64n - 1n),
      /header claims 18446744073709551615 bytes/,
    ],
    ["a header that is not JSON", file("{"), /not JSON/],
    ["a header that is not UTF-8", Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0, 0xff), /not JSON in UTF-8/],
    ["a header that is no object", file("[]"), /must be a JSON object/],
    ["a tensor that is no object", file(header({ w: 3 })), /"w" must be an object/],
    ["a missing field", file(header({ w: { dtype: "F32", shape: [1] } }), four), /needs data_offsets/],
    [
      "an unknown dtype",
      file(header({ w: { ...w, dtype: "F8_E4M3" } }), four),
      /dtype "F8_E4M3"; known are F64/,
    ],
    [
      "a dtype named like an object's property",
      file(header({ w: { ...w, dtype: "constructor" } }), four),
      /dtype "constructor"/,
    ],
    ["a negative shape", file(header({ w: { ...w, shape: [-1] } }), four), /shape of whole numbers/],
    ["a fractional shape", file(header({ w: { ...w, shape: [0.5] } }), four), /shape of whole numbers/],
    [
      "a shape that does not fit its bytes",
      file(header({ w: { ...w, shape: [2] } }), four),
      /needs 8 bytes.*hold 4/,
    ],
    [
      "a shape too large to count",
      file(header({ w: { ...w, shape: [2 ** 40, 2 ** 40] } }), four),
      /not a countable/,
    ],
    ["offsets backwards", file(header({ w: { ...w, data_offsets: [4, 0] } }), four), /0 ≤ begin ≤ end/],
    [
      "offsets beyond the end",
      file(header({ w: { ...w, shape: [2], data_offsets: [0, 8] } }), four),
      /ends at 8.*4 bytes.*truncated/,
    ],
    ["overlapping tensors", file(header({ a: w, b: w }), four), /they overlap/],
    ["a hole", file(header({ a: { ...w, data_offsets: [4, 8] } }), new Uint8Array(8)), /there is a hole/],
    [
      "data that belongs to no tensor",
      file(header({ a: w }), new Uint8Array(8)),
      /8 bytes of data, its tensors cover 4/,
    ],
    ["a tensor named twice", file(`{"w": ${header(w)}, "w": ${header(w)}}`, four), /key "w" twice/],
    [
      "a name repeated through an escape",
      file(`{"w": ${header(w)}, "\\u0077": ${header(w)}}`, four),
      /key "w" twice/,
    ],
    [
      "a field named twice",
      file('{"w": {"dtype": "F32", "dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}', four),
      /key "dtype" twice/,
    ],
    ["a byte order mark", file("\ufeff{}"), /not JSON in UTF-8/],
    ["a NUL after the JSON", file("{}\0"), /not JSON in UTF-8/],
    ["a tensor that is null", file(header({ w: null })), /"w" must be an object/],
    ["a tensor that is an array", file(header({ w: [1] })), /"w" must be an object/],
    [
      "a dtype that is no text",
      file(header({ w: { ...w, dtype: { a: 1 } } }), four),
      /dtype object; known are/,
    ],
    ["a dtype that is null", file(header({ w: { ...w, dtype: null } }), four), /dtype null/],
    ["a shape that is no list", file(header({ w: { ...w, shape: 1 } }), four), /"w" needs a shape/],
    ["a shape of text", file(header({ w: { ...w, shape: ["1"] } }), four), /"w" needs a shape/],
    ["a shape of null", file(header({ w: { ...w, shape: [null] } }), four), /"w" needs a shape/],
    ["a shape of −0", file('{"w":{"dtype":"F32","shape":[-0],"data_offsets":[0,0]}}'), /"w" needs a shape/],
    [
      "a shape of 1e308",
      file('{"w":{"dtype":"F32","shape":[1e308],"data_offsets":[0,4]}}', four),
      /"w" needs a shape/,
    ],
    [
      "a shape of 1e999",
      file('{"w":{"dtype":"F32","shape":[1e999],"data_offsets":[0,4]}}', four),
      /"w" needs a shape/,
    ],
    [
      "a shape whose product overflows before a 0",
      file(header({ w: { ...w, shape: [2 ** 52, 2 ** 52, 0], data_offsets: [0, 0] } })),
      /"w" has shape .*not a countable/,
    ],
    [
      "offsets of 1e308",
      file('{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,1e308]}}', four),
      /"w" needs data_offsets/,
    ],
    [
      "a negative offset",
      file(header({ w: { ...w, data_offsets: [-4, 0] } }), four),
      /"w" needs data_offsets/,
    ],
    [
      "a fractional offset",
      file(header({ w: { ...w, data_offsets: [0.5, 4.5] } }), four),
      /"w" needs data_offsets/,
    ],
    ["three offsets", file(header({ w: { ...w, data_offsets: [0, 4, 8] } }), four), /"w" needs data_offsets/],
    [
      "an empty tensor inside another",
      file(header({ a: w, b: { dtype: "F32", shape: [0], data_offsets: [2, 2] } }), four),
      /"b" begins at 2.*they overlap/,
    ],
    [
      "a bool that is neither 0 nor 1",
      file(header({ w: { dtype: "BOOL", shape: [4], data_offsets: [0, 4] } }), Uint8Array.of(0, 1, 7, 0)),
      /"w" of dtype BOOL holds 7 at element 2/,
    ],
    [
      "fields under __proto__ only",
      file(`{"w": {"__proto__": {"dtype": "F32"}}}`),
      /"w" has dtype undefined/,
    ],
    ["a faulty tensor called __proto__", file('{"__proto__": {"dtype": "X"}}'), /"__proto__" has dtype "X"/],
    ["a faulty tensor called constructor", file('{"constructor": 1}'), /"constructor" must be an object/],
    [
      "a name with a NUL, which the message escapes",
      file(header({ "a\0b": 1 })),
      /"a\\u0000b" must be an object/,
    ],
    ["metadata that is no object", file(header({ __metadata__: ["a"] })), /__metadata__ must be an object/],
    ["metadata with a key twice", file('{"__metadata__": {"a": "1", "a": "2"}}'), /key "a" twice/],
    ["an object inside a tensor's field", file('{"w": {"dtype": {"a": {"b": {}}}}}'), /nests deeper than 3/],
    [
      "metadata that is no object of strings",
      file(header({ __metadata__: { a: 1 } })),
      /__metadata__ "a" must be a string/,
    ],
  ])("%s", (_, bytes, message) => {
    expect(() => readSafetensors(bytes)).toThrow(SafetensorsError);
    expect(() => readSafetensors(bytes)).toThrow(message);
  });
});

describe("writeSafetensors refuses", () => {
  const entry = (dtype: SafetensorsDType, shape: number[]) => ({ dtype, shape, data: Float32Array.of(1, 2) });
  it.each<[string, [string, SafetensorsEntry][], RegExp]>([
    ["a shape that does not fit", [["w", entry("F32", [3])]], /shape \[3\] = 3 elements but 2 values/],
    [
      "an array of the wrong type",
      [["w", entry("I32", [2])]],
      /dtype I32 needs a Int32Array, received a Float32Array/,
    ],
    [
      "a name twice",
      [
        ["w", entry("F32", [2])],
        ["w", entry("F32", [2])],
      ],
      /"w" is given twice/,
    ],
    [
      "a shape of fractions",
      [["w", entry("F32", [0.5, 4])]],
      /"w" has shape \[0.5,4\], which is not a countable/,
    ],
    [
      "a shape of negatives",
      [["w", entry("F32", [-1, -2])]],
      /"w" has shape \[-1,-2\], which is not a countable/,
    ],
    [
      "a bool that is neither 0 nor 1",
      [["w", { dtype: "BOOL", shape: [1], data: Uint8Array.of(2) }]],
      /"w" of dtype BOOL holds 2 at element 0/,
    ],
    ["the reserved name", [["__metadata__", entry("F32", [2])]], /reserved/],
  ])("%s", (_, entries, message) => {
    expect(() => writeSafetensors(entries)).toThrow(SafetensorsError);
    expect(() => writeSafetensors(entries)).toThrow(message);
  });
});
