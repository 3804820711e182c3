/**
 * One recording of a captured function, for one signature: it is made by running the function without computing, and
 * replayed with the tensors of each call.
 */
import type { Bindings, Replay } from "../backends/backend.ts";
import type { Device } from "../device.ts";
import { CaptureError } from "../errors.ts";
import { fuse } from "../fusion/fuse.ts";
import { type LiveScalar, live } from "../live.ts";
import { scope } from "../scope.ts";
import { type Storage, Tensor } from "../tensor.ts";
import { leavesOf, replaceLeaves } from "../tree.ts";
import { recordedBy } from "./active.ts";
import { inPlace } from "./in-place.ts";
import type { Memory, Value } from "./program.ts";
import { pruned } from "./prune.ts";
import { Recorder } from "./recorder.ts";
import { type Call, withStandIns } from "./signature.ts";

export class Recording<R> {
  readonly signature: string;
  readonly device: Device;
  private readonly recorder: Recorder;
  private readonly replay: Replay;
  private readonly memories: readonly Memory[];
  /** What the function returned, on memory that is only planned, and where each tensor in it lies. */
  private readonly result: R;
  private readonly values: ReadonlyMap<Tensor, Value>;
  private readonly scalars: { current: LiveScalar }[];
  /** The memory of inputs that the function also reaches by itself: a recording holds for these only. */
  private readonly pinned: ReadonlyMap<number, Storage>;
  private running = false;
  private disposed = false;

  constructor(
    f: (...inputs: readonly unknown[]) => R,
    inputs: readonly unknown[],
    call: Call,
    device: Device,
    fused: boolean,
  ) {
    this.signature = call.signature;
    this.device = device;
    this.recorder = new Recorder(device, call.storages);
    this.scalars = call.scalars.map((current) => ({ current }));
    try {
      const { result, values } = this.record(f, inputs, call);
      this.result = result;
      this.values = values;
      const { places, steps, pinned } = this.recorder;
      this.memories = places.map(({ kind, dtype, size, scalar }) => ({ kind, dtype, size, scalar }));
      this.pinned = new Map([...pinned].map((input) => [input, call.storages[input]]));
      const plain = pruned({ memories: this.memories, steps });
      const program = inPlace(fused ? fuse(plain) : plain);
      const replay = device.backend.compile?.(program, device);
      if (!replay) throw new CaptureError("capture: this device computes nothing. Call the function itself.");
      this.replay = replay;
      const used = program.steps.flatMap(({ inputs, outputs }) => [...inputs, ...outputs]);
      this.recorder.keepOnly(new Set([...used, ...values.values()].map(({ memory }) => memory)));
    } catch (error) {
      this.recorder.dispose();
      throw error;
    }
  }

  private record(f: (...inputs: readonly unknown[]) => R, inputs: readonly unknown[], call: Call) {
    const { recorder } = this;
    const storageOf = new Map(call.storages.map((storage, i) => [storage, recorder.standIns[i]]));
    let scalar = 0;
    let result: R | undefined;
    const values = new Map<Tensor, Value>();
    recordedBy(recorder, () =>
      scope(() => {
        const standIns = withStandIns(
          inputs,
          ({ storage, shape, strides, offset }) =>
            new Tensor(storageOf.get(storage) ?? storage, shape, strides, offset),
          () => {
            const slot = this.scalars[scalar++];
            return live(() => slot.current.value);
          },
        );
        result = f(...standIns);
        refusePromise(result);
        for (const tensor of leavesOf(result)) {
          tensor.assertAlive("capture", "a result");
          values.set(tensor, recorder.result(tensor));
        }
      }),
    );
    // NOTE: f ran, or threw.
    return { result: result as R, values };
  }

  /**
   * True if the recording serves a call of its signature: whether inputs are on its device, and whether they are memory that
   * the function reaches by itself.
   */
  serves({ storages }: Call): boolean {
    return storages.every((storage, i) => {
      if (storage.device !== this.device) return false;
      const pinned = this.pinned.get(i);
      return pinned ? pinned === storage : !this.recorder.closesOver(storage);
    });
  }

  /** Runs the steps with the tensors of `call`. */
  run(call: Call): R {
    const { recorder } = this;
    this.scalars.forEach((slot, i) => {
      slot.current = call.scalars[i];
    });
    const done: typeof recorder.actions = [];
    this.running = true;
    try {
      for (const action of recorder.actions) {
        action.run();
        done.push(action);
      }
      return this.compute(call);
    } catch (error) {
      for (const { undo } of done.reverse()) undo?.();
      throw error;
    } finally {
      this.running = false;
      if (this.disposed) recorder.dispose();
    }
  }

  private compute(call: Call): R {
    const { device, memories, recorder } = this;
    return scope(() => {
      const storages = memories.map(({ kind, dtype, size }, i) => {
        if (kind === "input") return call.storages[i];
        if (kind === "result") return device.empty([size], dtype, "capture").storage;
        return recorder.places[i].storage;
      });
      const bindings: Bindings = storages.map((storage) => storage?.handle);
      this.replay.run(bindings);
      device.notePeak();
      const made = new Map<Tensor, Tensor>();
      for (const [tensor, { memory, shape, strides, offset }] of this.values) {
        const storage = storages[memory];
        if (storage) made.set(tensor, new Tensor(storage, shape, strides, offset));
      }
      return replaceLeaves(this.result, (leaf) => made.get(leaf) ?? leaf);
    });
  }

  /** Gives back the constants; if it runs, when it has run. */
  dispose(): void {
    this.disposed = true;
    if (!this.running) this.recorder.dispose();
  }
}

function refusePromise(result: unknown): void {
  if (!(result instanceof Promise)) return;
  // NOTE: the rest of the async function still runs, on tensors that are gone; its failure says nothing new.
  result.catch(() => undefined);
  throw new CaptureError(
    "capture: the function returned a promise, expected tensors: only what runs before the first await could be captured. " +
      "Make it synchronous, and read its results outside: const y = step(x); await y.data().",
  );
}
