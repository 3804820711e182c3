/**
 * Takes down what a function does with tensors instead of doing it: in place of the device's backend it notes each
 * operation and gives memory that is only planned. Host values are uploaded at once, as constants. Leaves out calls,
 * signatures and replays (capture.ts).
 */
import type { Runner } from "../backends/backend.ts";
import type { Device } from "../device.ts";
import type { DType, TypedArray } from "../dtype.ts";
import { CaptureError } from "../errors.ts";
import type { Op } from "../op.ts";
import { clearOp, copyIntoOp } from "../ops/copy.ts";
import { outsideScopes } from "../scope.ts";
import { stridesOf } from "../shape.ts";
import { BorrowedStorage, type Storage, type Tensor } from "../tensor.ts";
import { planned, type Recording, recordedBy } from "./active.ts";
import { type Memory, type MemoryKind, type Step, stepOf, type Value } from "./program.ts";
import { bytesOf } from "./signature.ts";

/** Host values of at most this many elements are uploaded once, however often a function makes them. */
const sharedElements = 16;

/** A memory of the recording with what keeps it. */
interface Place extends Memory {
  kind: MemoryKind;
  storage: Storage | undefined;
}

export class Recorder implements Recording, Runner {
  readonly steps: Step[] = [];
  readonly places: Place[] = [];
  /** What runs at the start of each replay, and what takes it back where the replay fails. */
  readonly actions: { readonly run: () => void; readonly undo: (() => void) | undefined }[] = [];
  /** Inputs whose memory the function also uses by itself: numbers of `inputs`. */
  readonly pinned = new Set<number>();
  /** Memory given to the function in place of each input's. */
  readonly standIns: readonly Storage[];
  private readonly device: Device;
  private readonly inputs: readonly Storage[];
  private readonly memories = new Map<Storage, number>();
  /** Constants that the function made of host values, and the small ones among them by content. */
  private readonly uploaded = new Set<number>();
  private readonly shared = new Map<string, number>();

  constructor(device: Device, inputs: readonly Storage[]) {
    this.device = device;
    this.inputs = inputs;
    for (const input of inputs) this.runner(input.device);
    this.standIns = inputs.map(({ dtype, size }) => {
      const standIn = new BorrowedStorage(device, dtype, size, planned);
      this.memories.set(standIn, this.place("input", dtype, size));
      return standIn;
    });
  }

  runner(device: Device): Runner {
    if (device === this.device) return this;
    throw new CaptureError(
      `capture: the function works on two devices, ${this.device.kind} and another ${device.kind}; expected one. ` +
        "Capture the part on each device apart.",
    );
  }

  onReplay(run: () => void, undo?: () => void): void {
    this.actions.push({ run, undo });
  }

  storage(device: Device, dtype: DType, size: number, data?: TypedArray): Storage {
    this.runner(device);
    const storage = new BorrowedStorage(device, dtype, size, planned);
    this.memories.set(storage, data ? this.constantOf(dtype, data) : this.place("temporary", dtype, size));
    return storage;
  }

  /** Takes down one operation. */
  run<A>(op: Op<A>, inputs: readonly Tensor[], outputs: readonly Tensor[], attrs: A): void {
    for (const y of outputs) this.makeWritable(y);
    const to = outputs.map((y) => this.value(y));
    const targets = new Set(to.map(({ memory }) => memory));
    if (targets.size < to.length)
      throw new CaptureError(
        `${op.name}: two tensors that it changes share memory, an input's with one that the function closes over; expected ` +
          "memory of its own for each. Use one of the two.",
      );
    const from = inputs.map((x) => {
      const value = this.value(x);
      return targets.has(value.memory) ? this.copied(x, value) : value;
    });
    this.steps.push(stepOf(op, from, to, attrs));
  }

  zero(target: Tensor): void {
    this.run(clearOp, [], [target], null);
  }

  /** Where a tensor lies. */
  value({ storage, shape, strides, offset, dtype }: Tensor): Value {
    return { memory: this.memoryOf(storage), shape, strides, offset, dtype };
  }

  /** The value of a tensor that is handed out: constants made by the function are copied, temporaries become results. */
  result(tensor: Tensor): Value {
    let value = this.value(tensor);
    if (this.uploaded.has(value.memory)) {
      this.makeWritable(tensor);
      value = this.value(tensor);
    }
    const place = this.places[value.memory];
    if (place.kind === "temporary") place.kind = "result";
    return value;
  }

  /** True if the function uses the memory of a tensor from outside that is no input. */
  closesOver(storage: Storage): boolean {
    return this.memories.has(storage);
  }

  /** Gives back the constants outside `memories`. */
  keepOnly(memories: ReadonlySet<number>): void {
    this.places.forEach((place, i) => {
      if (memories.has(i)) return;
      place.storage?.release();
      place.storage = undefined;
    });
  }

  /** Gives back the constants. */
  dispose(): void {
    this.keepOnly(new Set());
  }

  private place(kind: MemoryKind, dtype: DType, size: number, more: Partial<Place> = {}): number {
    return this.places.push({ kind, dtype, size, storage: undefined, ...more }) - 1;
  }

  private memoryOf(storage: Storage): number {
    const known = this.memories.get(storage);
    if (known !== undefined) return known;
    // Made outside: an input that the function also reaches by itself, or a constant, kept for the replays.
    const input = this.inputs.indexOf(storage);
    if (input >= 0) this.pinned.add(input);
    else storage.retain();
    const { dtype, size } = storage;
    const memory = input >= 0 ? input : this.place("constant", dtype, size, { storage });
    this.memories.set(storage, memory);
    return memory;
  }

  private constantOf(dtype: DType, data: TypedArray): number {
    const key = data.length <= sharedElements ? `${dtype}:${bytesOf(data)}` : undefined;
    const known = key === undefined ? undefined : this.shared.get(key);
    if (known !== undefined) return known;
    const tensor = recordedBy(undefined, () =>
      outsideScopes(() => this.device.fromHost([data.length], dtype, data)),
    );
    const { storage } = tensor;
    storage.retain();
    tensor.dispose();
    const scalar = data.length === 1 ? data[0] : undefined;
    const memory = this.place("constant", dtype, data.length, { storage, scalar });
    this.uploaded.add(memory);
    if (key !== undefined) this.shared.set(key, memory);
    return memory;
  }

  /** Host values that the function made and changes begin anew at each replay: it gets a copy to change. */
  private makeWritable({ storage }: Tensor): void {
    const memory = this.memoryOf(storage);
    if (!this.uploaded.has(memory)) return;
    const { dtype, size } = storage;
    const copy = this.place("temporary", dtype, size);
    const whole = { shape: [size], strides: [1], offset: 0, dtype };
    this.steps.push(stepOf(copyIntoOp, [{ memory, ...whole }], [{ memory: copy, ...whole }], null));
    this.memories.set(storage, copy);
  }

  /** A copy of an input that lies in the memory which the operation writes. */
  private copied({ size, shape, dtype }: Tensor, value: Value): Value {
    const memory = this.place("temporary", dtype, size);
    const copy = { memory, shape, strides: stridesOf(shape), offset: 0, dtype };
    this.steps.push(stepOf(copyIntoOp, [value], [copy], null));
    return copy;
  }
}
