/**
 * Finding the operation that made a NaN or an infinity. While `checkFinite` runs, a kernel counts the non-finite elements
 * of every operation's inputs and outputs; the counts are read together at the end, and the first operation that made
 * some out of none is named. Left out: stopping at once (a device is only asked once, after the function).
 */
import { u32Params } from "./backends/webgpu/kernel.ts";
import { callerLine } from "./caller.ts";
import type { Device } from "./device.ts";
import { type DType, isFloat } from "./dtype.ts";
import { NonFiniteError } from "./errors.ts";
import type { Op } from "./op.ts";
import { copyInto } from "./ops/copy.ts";
import { outsideScopes } from "./scope.ts";
import type { Tensor } from "./tensor.ts";
import { describe, leavesOf } from "./tree.ts";
import { currentOrigin, type Origin, type Watcher, watchers } from "./watch.ts";

/** Invocations that share the counting of one tensor, and words each writes: NaNs, infinities. */
const lanes = 64;
const wordsPerCount = 2 * lanes;
/** Tensors counted into one buffer. */
const countsPerBuffer = 256;

/** A count of a tensor: place `slot` of buffer `buffer`, to be read later. */
interface Count {
  buffer: Tensor;
  slot: number;
}

/**
 * Non-finite elements of a contiguous tensor x, into counts[slot]: lane l counts x[l], x[l + lanes], …
 * On webgpu a test of bits, read as integers: WGSL lets a compiler assume that floats are never NaN.
 */
const countOp: Op<{ slot: number }> = {
  name: "countNonFinite",
  infer: () => [],
  cpu([x], [counts], { slot }) {
    for (let i = 0; i < x.data.length; i++) {
      const v = x.data[i];
      if (!Number.isFinite(v)) counts.data[slot * wordsPerCount + (Number.isNaN(v) ? 0 : 1)]++;
    }
  },
  webgpu([x], [counts], { slot }) {
    return [
      {
        key: `countNonFinite:${x.dtype}`,
        source: () => ({
          buffers: [
            { name: "x", type: "u32" },
            { name: "counts", type: "u32", write: true },
          ],
          params: u32Params("n", "slot"),
          main: `var nans = 0u;
var infinities = 0u;
for (var j = i; j < p.n; j += ${lanes}u) {
  ${magnitudeBits(x.dtype)}
  if (bits > exponent) { nans++; } else if (bits == exponent) { infinities++; }
}
counts[p.slot + 2u * i] = nans;
counts[p.slot + 2u * i + 1u] = infinities;`,
        }),
        buffers: [x, counts],
        params: [x.size, slot * wordsPerCount],
        count: lanes,
      },
    ];
  },
};

/** Declares `bits`, element j without its sign, and `exponent`, the bits of infinity. An f16 is half a word. */
function magnitudeBits(dtype: DType): string {
  return dtype === "f16"
    ? "let bits = (x[j >> 1u] >> (16u * (j & 1u))) & 0x7fffu; let exponent = 0x7c00u;"
    : "let bits = x[j] & 0x7fffffffu; let exponent = 0x7f800000u;";
}

/** Counts tensors into buffers of their devices, each tensor once. */
class Counter {
  private readonly buffers: Tensor[] = [];
  private readonly open = new Map<Device, { buffer: Tensor; used: number }>();
  private counted = new WeakMap<Tensor, Count>();

  /** The count of `t` as it is now; undefined if it can not hold a NaN or an infinity. */
  count(t: Tensor): Count | undefined {
    if (!isFloat(t.dtype) || t.size === 0 || t.disposed) return undefined;
    let count = this.counted.get(t);
    if (!count) {
      count = outsideScopes(() => this.start(t));
      this.counted.set(t, count);
    }
    return count;
  }

  /** Forgets what was counted, after tensors changed in place. */
  forget(): void {
    this.counted = new WeakMap();
  }

  private start(t: Tensor): Count {
    const { device } = t;
    let open = this.open.get(device);
    if (!open || open.used === countsPerBuffer) {
      const buffer = device.empty([countsPerBuffer * wordsPerCount], "u32");
      device.runner.zero(buffer);
      this.buffers.push(buffer);
      open = { buffer, used: 0 };
      this.open.set(device, open);
    }
    const count = { buffer: open.buffer, slot: open.used++ };
    // A view is copied first: its elements need not lie together, nor at the start of the buffer.
    const whole = t.contiguous && t.size === t.storage.size;
    const x = whole ? t : device.empty(t.shape, t.dtype);
    if (!whole) copyInto(t, x);
    device.backend.run(countOp, [x], [count.buffer], { slot: count.slot });
    if (!whole) x.dispose();
    return count;
  }

  /** Reads all counts; the returned function looks one up. */
  async read(): Promise<(count: Count | undefined) => Found> {
    const read = new Map<Tensor, ArrayLike<number>>();
    for (const b of this.buffers) read.set(b, await b.data());
    return (count) => {
      const found = { nans: 0, infinities: 0 };
      if (!count) return found;
      const words = read.get(count.buffer);
      for (let i = 0; words && i < wordsPerCount; i += 2) {
        found.nans += words[count.slot * wordsPerCount + i];
        found.infinities += words[count.slot * wordsPerCount + i + 1];
      }
      return found;
    };
  }

  dispose(): void {
    for (const b of this.buffers) b.dispose();
  }
}

interface Found {
  nans: number;
  infinities: number;
}

/** One operation that ran. */
interface Entry {
  op: string;
  origin: Origin | undefined;
  line: string;
  /** Shapes and dtypes. */
  inputs: string;
  outputs: string;
  counts: (Count | undefined)[];
  made: (Count | undefined)[];
  /** A number given to the operation is infinite. */
  literal: boolean;
}

const isBad = (f: Found) => f.nans + f.infinities > 0;
const total = (found: Found[]): Found => ({
  nans: found.reduce((s, f) => s + f.nans, 0),
  infinities: found.reduce((s, f) => s + f.infinities, 0),
});

/**
 * The operation to blame: the first that made non-finite numbers out of finite ones. If there is none but the result is
 * non-finite: the first that made a NaN out of infinities, else the first that used non-finite data.
 */
function culprit(entries: readonly Entry[], look: (c: Count | undefined) => Found, resultBad: boolean) {
  const all = entries.map((entry) => {
    const [read, made] = [total(entry.counts.map(look)), total(entry.made.map(look))];
    return { entry, made, fed: entry.literal || isBad(read), read };
  });
  const maker = all.find(({ made, fed }) => isBad(made) && !fed);
  if (maker || !resultBad) return maker;
  return all.find(({ made, read }) => made.nans > 0 && read.nans === 0) ?? all.find(({ fed }) => fed);
}

function amount({ nans, infinities }: Found, of: string): string {
  const parts = [nans > 0 ? `${nans} NaN` : "", infinities > 0 ? `${infinities} infinite` : ""];
  return `${parts.filter((p) => p !== "").join(" and ")} among the elements of ${of}`;
}

function complaint({ entry, made, fed, read }: NonNullable<ReturnType<typeof culprit>>): string {
  const { op, origin, line, inputs, outputs } = entry;
  const where = origin ? `${op} in the derivative of ${origin.name}` : op;
  const at = origin?.line ? `${origin.line} (the forward call), ${line}` : line;
  const what = !fed
    ? `made ${amount(made, outputs)} out of finite inputs`
    : made.nans > 0 && read.nans === 0
      ? `made ${amount(made, outputs)} out of infinite inputs`
      : `was the first to use the non-finite data that reached the result (${amount(read, inputs)})`;
  return (
    `checkFinite: ${where} ${what}; inputs ${inputs}; called at ${at}. ` +
    "Look at its inputs there: await x.data(); keep them in range with clamp(x, { min, max }), or replace elements with where(condition, x, 0)."
  );
}

/**
 * Runs `f` and looks for NaN and infinity in what every operation inside makes, forward and backward.
 *
 * Resolves with the result of `f` if all is finite. Rejects with an error that names the first operation whose output
 * holds a NaN or an infinity although its inputs held none, whether it ran "in the derivative of" another, how many
 * elements there are, the inputs' shapes and dtypes, and the line that called it. Infinities that come with the data
 * (maskedFill with −Infinity under a softmax) are no fault, unless the result of `f` (a tree) holds non-finite numbers:
 * then the operation is named that made a NaN of them, or else first used them.
 *
 * `f` may be async; operations of other code that runs meanwhile are checked, too. Calls nest. It costs a kernel per
 * tensor and a stack trace per operation; nothing while it is not in use. When it rejects, tensors of the result that
 * operations inside made are disposed. If `f` throws and an operation is to blame, that is reported, with the thrown error
 * as `cause`.
 *
 * @throws NonFiniteError as described.
 * @example
 * ```ts
 * const x = tensor([1, 0, -1]);
 * await (await debug.checkFinite(() => exp(x))).data(); // → [2.7182818, 1, 0.3678794]
 * await debug.checkFinite(() => log(x)); // → throws NonFiniteError
 * await debug.checkFinite(() => grad((x: Tensor) => sum(sqrt(x)))(abs(x))); // → throws NonFiniteError
 * ```
 */
async function checkFinite<R>(f: () => R | Promise<R>): Promise<R> {
  const counter = new Counter();
  const entries: Entry[] = [];
  const made = new WeakSet<Tensor>();
  const watcher: Watcher = (op, inputs, attrs) => {
    const counts = inputs.map((t) => counter.count(t));
    const literal = Object.values(attrs ?? {}).some((v) => typeof v === "number" && !Number.isFinite(v));
    const line = callerLine();
    return (outputs) => {
      const inPlace = outputs.some((t) => inputs.includes(t));
      if (inPlace) counter.forget();
      const floats = outputs.some((t) => isFloat(t.dtype));
      if (!inPlace) for (const t of outputs) made.add(t);
      if (!floats) return;
      entries.push({
        op,
        origin: currentOrigin(),
        line,
        inputs: inputs.map(describe).join(", "),
        outputs: outputs.map(describe).join(", "),
        counts,
        made: outputs.map((t) => counter.count(t)),
        literal,
      });
    };
  };
  watchers.add(watcher);
  try {
    let result: R | undefined;
    let failure: { error: unknown } | undefined;
    try {
      result = await f();
    } catch (error) {
      failure = { error };
    }
    watchers.delete(watcher);
    const results = leavesOf(result);
    const resultCounts = results.map((t) => counter.count(t));
    const look = await counter.read();
    const found = total(resultCounts.map(look));
    const blamed = culprit(entries, look, isBad(found));
    if (blamed || isBad(found)) {
      for (const t of results) if (made.has(t)) t.dispose();
      throw new NonFiniteError(
        blamed
          ? complaint(blamed)
          : `checkFinite: the result holds ${amount(found, results.map(describe).join(", "))}, and no operation inside used or made such numbers. ` +
              "They came in with the data: look at what the function returns, await x.data().",
        failure && { cause: failure.error },
      );
    }
    if (failure) throw failure.error;
    return result as R;
  } finally {
    watchers.delete(watcher);
    counter.dispose();
  }
}

/**
 * Tools for finding mistakes: `checkFinite(f)` names the operation that made a NaN or an infinity.
 *
 * @throws NonFiniteError as `checkFinite` says.
 * @example
 * ```ts
 * const loss = await debug.checkFinite(() => mean(log(tensor([1, Math.E]))));
 * await loss.item(); // → 0.5
 * await debug.checkFinite(() => div(tensor([0, 1]), tensor([0, 1]))); // → throws NonFiniteError
 * ```
 */
export const debug = { checkFinite };
