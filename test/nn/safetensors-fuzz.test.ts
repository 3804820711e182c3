/**
 * Safetensors files from strangers: truncated, mutated and random bytes end in a SafetensorsError or in tensors that fit
 * their shapes, before anything large is allocated and in time linear in the file.
 */
import {
  readSafetensors,
  readSafetensorsMetadata,
  type SafetensorsDType,
  type SafetensorsEntry,
  SafetensorsError,
  writeSafetensors,
} from "@pact/nn";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { file } from "./safetensors-file.ts";

/** Bytes per element, the array a dtype is read into, and how raw bytes are meant. */
const dtypes: Record<
  SafetensorsDType,
  { bytes: number; read: (raw: ArrayBuffer) => ArrayLike<number | bigint> }
> = {
  F64: { bytes: 8, read: (raw) => new Float64Array(raw) },
  F32: { bytes: 4, read: (raw) => new Float32Array(raw) },
  F16: { bytes: 2, read: (raw) => Array.from(new Uint16Array(raw), f16) },
  BF16: { bytes: 2, read: (raw) => Array.from(new Uint16Array(raw), bf16) },
  I64: { bytes: 8, read: (raw) => new BigInt64Array(raw) },
  I32: { bytes: 4, read: (raw) => new Int32Array(raw) },
  I16: { bytes: 2, read: (raw) => new Int16Array(raw) },
  I8: { bytes: 1, read: (raw) => new Int8Array(raw) },
  U64: { bytes: 8, read: (raw) => new BigUint64Array(raw) },
  U32: { bytes: 4, read: (raw) => new Uint32Array(raw) },
  U16: { bytes: 2, read: (raw) => new Uint16Array(raw) },
  U8: { bytes: 1, read: (raw) => new Uint8Array(raw) },
  BOOL: { bytes: 1, read: (raw) => new Uint8Array(raw) },
};

/** IEEE 754 binary16, from its definition. */
function f16(bits: number): number {
  const [sign, exponent, fraction] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
}

/** bfloat16 is the upper half of an f32. */
function bf16(bits: number): number {
  return new Float32Array(Uint32Array.of(bits * 2 ** 16).buffer)[0];
}

/** Bit patterns at the edges of the 16-bit formats: zeros, subnormals, largest, infinities, not-a-numbers. */
const edges = [
  0, 0x8000, 1, 0x8001, 0x3ff, 0x400, 0x7bff, 0x7c00, 0xfc00, 0x7c01, 0x7e00, 0x7f, 0x80, 0x7f7f, 0x7f80,
  0xff80, 0x7fc0,
];

const rawEntry = fc
  .record({
    dtype: fc.constantFrom(...(Object.keys(dtypes) as SafetensorsDType[])),
    shape: fc.array(fc.nat(4), { maxLength: 3 }),
    halves: fc.array(fc.oneof(fc.constantFrom(...edges), fc.nat(0xffff)), { minLength: 256, maxLength: 256 }),
  })
  .map(({ dtype, shape, halves }) => {
    const size = shape.reduce((a, b) => a * b, 1) * dtypes[dtype].bytes;
    const raw = new Uint8Array(Uint16Array.from(halves).buffer).slice(0, size);
    return { dtype, shape, raw: dtype === "BOOL" ? raw.map((b) => b & 1) : raw };
  });

const names = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.constantFrom("__proto__", "constructor", "toString", "0", 'a"b\\', "a\0b", "\ud800", "é😀", ""),
);
const rawFile = fc.uniqueArray(
  fc.tuple(
    names.filter((n) => n !== "__metadata__"),
    rawEntry,
  ),
  {
    selector: ([name]) => name,
    maxLength: 5,
  },
);

/** The bytes of a well-formed file with these tensors, written independently of the package. */
function bytesOf(
  entries: readonly (readonly [string, { dtype: string; shape: number[]; raw: Uint8Array }])[],
) {
  let end = 0;
  const fields = entries.map(([name, { dtype, shape, raw }]) => {
    const begin = end;
    end += raw.length;
    return `${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [begin, end] })}`;
  });
  return file(`{${fields.join(",")}}`, Uint8Array.from(entries.flatMap(([, { raw }]) => [...raw])));
}

/** What reading gives: entries that fit their shapes, or a SafetensorsError; anything else fails the test. */
function readOrRefuse(bytes: Uint8Array): Map<string, SafetensorsEntry> | undefined {
  let entries: Map<string, SafetensorsEntry>;
  try {
    entries = readSafetensors(bytes);
  } catch (error) {
    expect(error).toBeInstanceOf(SafetensorsError);
    expect((error as Error).message.length).toBeLessThan(1000);
    expect(() => readSafetensorsMetadata(bytes)).not.toThrow(RangeError);
    return undefined;
  }
  for (const { shape, data } of entries.values()) expect(data.length).toBe(shape.reduce((a, b) => a * b, 1));
  return entries;
}

describe("any well-formed file", () => {
  it("is read as its bytes mean, in every dtype", () => {
    fc.assert(
      fc.property(rawFile, (entries) => {
        const back = readSafetensors(bytesOf(entries));
        expect(back.size).toBe(entries.length);
        for (const [name, { dtype, shape, raw }] of entries) {
          expect(back.get(name)).toMatchObject({ dtype, shape });
          expect(Array.from(back.get(name)!.data as ArrayLike<unknown>)).toEqual(
            Array.from(dtypes[dtype].read(raw.slice().buffer) as ArrayLike<unknown>),
          );
        }
      }),
      { numRuns: 300 },
    );
  });

  it("is written back to the same tensors, in every dtype and whatever the names", () => {
    fc.assert(
      fc.property(rawFile, fc.dictionary(fc.string(), fc.string()), (entries, metadata) => {
        const once = readSafetensors(bytesOf(entries));
        const written = writeSafetensors(once, metadata);
        const again = readSafetensors(written);
        expect(again.size).toBe(once.size);
        for (const [name, entry] of once) expect(again.get(name)).toEqual(entry);
        expect(new Map(Object.entries(metadata))).toEqual(readSafetensorsMetadata(written));
      }),
      { numRuns: 300 },
    );
  });

  it("is refused when any of its last bytes is missing, or one too many is there", () => {
    const entry = (dtype: SafetensorsDType, shape: number[], size: number) => ({
      dtype,
      shape,
      raw: new Uint8Array(size),
    });
    const whole = bytesOf([
      ["first", entry("F32", [2, 2], 16)],
      ["empty", entry("I64", [0], 0)],
      ["last", entry("BF16", [3], 6)],
    ]);
    expect(readSafetensors(whole).size).toBe(3);
    for (let length = 0; length < whole.length; length++)
      expect(() => readSafetensors(whole.subarray(0, length))).toThrow(SafetensorsError);
    expect(() => readSafetensors(whole.subarray(0, whole.length - 1))).toThrow(
      '"last" ends at 22, but the file holds 21',
    );
    expect(() => readSafetensors(Uint8Array.from([...whole, 0]))).toThrow(
      /holds 23 bytes of data, its tensors cover 22/,
    );
  });
});

describe("any other bytes end in a SafetensorsError or a file that is well-formed:", () => {
  it("random bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        readOrRefuse(bytes);
      }),
      { numRuns: 2000 },
    );
  });

  it("random headers of the right length", () => {
    const text = fc.oneof(
      fc.json({ maxDepth: 4 }),
      fc.string({ unit: fc.constantFrom(...'{}[]":,\\ 019eE.-FIU_\0é') }),
    );
    fc.assert(
      fc.property(text, fc.uint8Array({ maxLength: 8 }), (header, data) => {
        readOrRefuse(file(header, data));
      }),
      { numRuns: 2000 },
    );
  });

  it("mutated bytes, cut anywhere", () => {
    fc.assert(
      fc.property(
        rawFile,
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }),
        fc.nat(),
        (entries, changes, cut) => {
          const intact = bytesOf(entries);
          const bytes = intact.slice(0, cut % 3 === 0 ? cut % (intact.length + 1) : intact.length);
          for (const [at, value] of changes) if (bytes.length > 0) bytes[at % bytes.length] = value;
          readOrRefuse(bytes);
        },
      ),
      { numRuns: 1000 },
    );
  });

  it("mutated fields", () => {
    const odd = fc.oneof(
      fc.constantFrom<unknown>(
        -1,
        0.5,
        1e308,
        2 ** 53,
        2 ** 52,
        -0,
        null,
        true,
        "4",
        [],
        {},
        [[0]],
        "F8_E4M3",
        "__proto__",
      ),
      fc.nat(64),
      fc.array(fc.nat(9), { maxLength: 4 }),
    );
    const field = fc.constantFrom("dtype", "shape", "data_offsets");
    fc.assert(
      fc.property(
        rawFile,
        fc.array(fc.tuple(fc.nat(), field, odd), { minLength: 1, maxLength: 3 }),
        (entries, changes) => {
          const intact = bytesOf(entries);
          const length = Number(new DataView(intact.buffer).getBigUint64(0, true));
          const header = JSON.parse(new TextDecoder().decode(intact.subarray(8, 8 + length)));
          const tensors = Object.values<Record<string, unknown>>(header);
          for (const [which, name, value] of changes)
            if (tensors.length > 0) tensors[which % tensors.length][name] = value;
          readOrRefuse(file(JSON.stringify(header), intact.subarray(8 + length)));
        },
      ),
      { numRuns: 1000 },
    );
  });
});

describe("hostile files cost no more than they hold:", () => {
  /** Bytes of array buffers that `f` added; it must throw. */
  function allocated(f: () => unknown): number {
    const before = process.memoryUsage().arrayBuffers;
    expect(f).toThrow(SafetensorsError);
    return process.memoryUsage().arrayBuffers - before;
  }

  it("a fault in the last of large tensors is found before the first is copied", () => {
    const size = 2 ** 26;
    const tensor = (begin: number, end: number) => ({
      dtype: "U8",
      shape: [end - begin],
      data_offsets: [begin, end],
    });
    const faulty = { a: tensor(0, size / 2), b: tensor(size / 2 - 1, size) };
    const bytes = file(JSON.stringify(faulty), new Uint8Array(size));
    expect(allocated(() => readSafetensors(bytes))).toBeLessThan(2 ** 20);
  });

  it("claims of sizes that are not there allocate nothing", () => {
    const claim = (shape: number[], bytes: number) =>
      file(JSON.stringify({ w: { dtype: "U8", shape, data_offsets: [0, bytes] } }));
    expect(allocated(() => readSafetensors(claim([2 ** 40], 2 ** 40)))).toBeLessThan(2 ** 20);
    expect(allocated(() => readSafetensors(file("{}", undefined, 99_000_000n)))).toBeLessThan(2 ** 20);
  });

  it.each([
    ["brackets", "[".repeat(5_000_000)],
    ["braces", '{"a":'.repeat(1_000_000)],
    ["one long name", `{"${"n".repeat(20_000_000)}":1}`],
    ["a name of escapes", `{"${"\\n".repeat(5_000_000)}":1}`],
    ["an unclosed text", `{"${"\\".repeat(10_000_001)}`],
    ["spaces after a name", `{"a"${" ".repeat(10_000_000)}`],
    ["a long shape", `{"w":{"dtype":"U8","shape":[${"1,".repeat(2_000_000)}1],"data_offsets":[0,2]}}`],
    [
      "many overlapping tensors",
      `{${Array.from({ length: 100_000 }, (_, i) => `"${i}":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}`)}}`,
    ],
  ])("%s: refused with a short message, within seconds", (_, header) => {
    const bytes = file(header);
    const start = performance.now();
    let message = "";
    try {
      readSafetensors(bytes);
    } catch (error) {
      expect(error).toBeInstanceOf(SafetensorsError);
      message = (error as Error).message;
    }
    // A quadratic pass over these would take hours; a linear one takes a tenth of a second.
    expect(performance.now() - start).toBeLessThan(20_000);
    expect(message.length).toBeGreaterThan(0);
    expect(message.length).toBeLessThan(1000);
  });
});
