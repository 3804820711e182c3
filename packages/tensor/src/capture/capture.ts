/**
 * `capture`: a function of tensors, recorded once per signature and replayed from then on. Recording computes nothing; the
 * first call already runs the recording, so first and later calls are the same commands with the same bits.
 */
import { requireOptions } from "../arguments.ts";
import { type Device, defaultDevice } from "../device.ts";
import { ValueError } from "../errors.ts";
import { isRecording } from "../recording.ts";
import { kernelVariants } from "../variants.ts";
import { watchers } from "../watch.ts";
import { activeRecording } from "./active.ts";
import { Recording } from "./recording.ts";
import { type Call, readCall } from "./signature.ts";

/** Settings of `capture`. */
export interface CaptureOptions {
  /** Signatures whose recordings are kept, the least recently used go first; default 16. */
  signatures?: number;
  /** Whether operations are fused into fewer kernels (fusion/fuse.ts); default true. Without, replays have the bits of `f`. */
  fuse?: boolean;
}

/** A captured function. */
export interface Captured<A extends readonly unknown[], R> {
  (...inputs: A): R;
  /** Recordings made so far: a number that keeps growing says that some input differs in each call. */
  readonly recordings: number;
  /** Forgets the recordings and gives back the memory that they keep. */
  dispose(): void;
  [Symbol.dispose](): void;
}

/**
 * `f`, a function of tensors, recorded at its first call and replayed at the next: the device is told the same commands
 * again, without running the JavaScript of `f`. Training steps gain most: many small operations, each time the same.
 *
 * Inputs are tensors, live scalars and anything else, in arrays and plain records to any depth; results likewise. Tensors and
 * live scalars may differ from call to call. All else is part of the signature, beside shapes, dtypes, the device's kernel
 * variants and layouts, that is strides, the offset of a view in its memory and that memory's size: with another signature `f`
 * is recorded anew. So windows of a larger tensor at other places are other recordings; copy them first, `concat([window])`, to
 * have one. Tensors that `f` takes from outside its inputs are the same memory in every replay, kept alive by it; their elements
 * may change in between, and operations in place (`adamWStep`) change them each time. Numbers and arrays from outside stay what
 * they were: of those that change, pass tensors, or `live` for settings of optimisers; use `onReplay` for what must happen at
 * every call.
 *
 * Results are tensors like any others, of the same bits at each replay; with `{ fuse: false }` those that `f` gives by itself,
 * otherwise fused kernels may round the last bits differently. Inside another capture, a gradient or `debug.checkFinite`, and on
 * a planning device, `f` itself is called. An input that `f` disposes of stays alive.
 *
 * @throws CaptureError if inputs are on two devices, if one lies in itself, or if `f` reads data, returns a promise, draws from
 *   a key or reads a live scalar; ValueError for a live scalar that is not finite; whatever `f` throws, and then nothing has been computed or changed; DeviceLostError if the device is gone.
 * @example
 * ```ts
 * const w = tensor([1, 2]);
 * const loss = capture((x: Tensor) => sum(mul(x, w)));
 * await loss(tensor([3, 4])).item(); // → 11
 * await loss(tensor([5, 6])).item(); // → 17
 * loss.recordings; // → 1
 * ```
 */
export function capture<A extends readonly unknown[], R>(
  f: (...inputs: A) => R,
  options: CaptureOptions = {},
): Captured<A, R> {
  requireOptions("capture", options, ["signatures", "fuse"]);
  const { signatures = 16, fuse = true } = options;
  if (!(Number.isInteger(signatures) && signatures >= 1))
    throw new ValueError(
      `capture: signatures is ${signatures}, expected a whole number of at least 1. Leave it out for 16: capture(f).`,
    );
  // NOTE: recordings pass inputs on as they come; that they are A is known here alone.
  const anyInputs = f as unknown as (...inputs: readonly unknown[]) => R;
  /** Least recently used first. */
  let kept: Recording<R>[] = [];
  const forget = (gone: (recording: Recording<R>) => boolean) => {
    for (const recording of kept) if (gone(recording)) recording.dispose();
    kept = kept.filter((recording) => !gone(recording));
  };
  const find = (call: Call, device: Device) =>
    kept.findIndex((r) => r.device === device && r.signature === call.signature && r.serves(call));
  const captured = (...inputs: A): R => {
    if (activeRecording() || isRecording() || watchers.size > 0) return f(...inputs);
    const read = readCall(inputs);
    const device = read.tensors.at(0)?.device ?? defaultDevice();
    try {
      device.assertUsable("capture");
    } catch (error) {
      forget((recording) => recording.device === device);
      throw error;
    }
    if (!device.backend.compile) return f(...inputs);
    const { matmul, attention } = kernelVariants(device) ?? {};
    const call = { ...read, signature: `${read.signature} ${matmul} ${attention}` };
    const at = find(call, device);
    if (at >= 0) {
      const [recording] = kept.splice(at, 1);
      kept.push(recording);
      return recording.run(call);
    }
    const recording = new Recording(anyInputs, inputs, call, device, fuse);
    counted.recordings++;
    kept.push(recording);
    if (kept.length > signatures) kept.shift()?.dispose();
    return recording.run(call);
  };
  const dispose = () => forget(() => true);
  const counted = Object.assign(captured, { dispose, [Symbol.dispose]: dispose, recordings: 0 });
  return counted;
}
