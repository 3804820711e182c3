/**
 * What a training run must remember beside its weights to go on as if it had never stopped: the optimiser's moments and
 * the counters. Everything random is a pure function of the seed and the step (streams in trainer.ts), so the step is
 * the state of the sampler, the gate, the task order and every schedule; no step ever begins with part of a group.
 *
 * Stored as safetensors: `m` and `v` [P], the counters as metadata. Paths, times and devices never enter it, so two runs
 * of one seed on one device have the same file, byte for byte.
 */
import { type AdamW, readSafetensors, readSafetensorsMetadata, writeSafetensors } from "@pact/nn";
import { scope, tensor } from "@pact/tensor";
import { CheckpointError } from "./errors.ts";
import { LossScale, type LossScaleState } from "./loss-scale.ts";

/** Counters and moments of a run after `step` steps. */
export interface TrainerState {
  /** Steps done. */
  readonly step: number;
  /** Optimiser updates done; more than steps with several inner updates. */
  readonly optimizerSteps: number;
  readonly sampledTokens: number;
  readonly trainedTokens: number;
  readonly forwardTokens: number;
  /** AdamW's moments over its arena [P]. */
  readonly m: Float32Array | Float64Array;
  readonly v: Float32Array | Float64Array;
  /** Of a run in f16. */
  readonly lossScale?: LossScaleState;
}

/** Changes when what is stored changes its meaning. */
const formatVersion = "1";
const counters = ["step", "optimizerSteps", "sampledTokens", "trainedTokens", "forwardTokens"] as const;

/**
 * The state as the bytes of `state.safetensors`.
 *
 * @example const bytes = encodeState(state);
 */
export function encodeState(state: TrainerState): Uint8Array {
  const moment = (data: Float32Array | Float64Array) =>
    ({ dtype: data instanceof Float32Array ? "F32" : "F64", shape: [data.length], data }) as const;
  return writeSafetensors(
    [
      ["m", moment(state.m)],
      ["v", moment(state.v)],
    ],
    {
      formatVersion,
      ...Object.fromEntries(counters.map((name) => [name, String(state[name])])),
      ...(state.lossScale && {
        lossScale: String(state.lossScale.scale),
        lossScaleUpdates: String(state.lossScale.goodUpdates),
      }),
    },
  );
}

/**
 * Reads what `encodeState` wrote.
 *
 * @throws CheckpointError for another format version, or counters or moments that are missing or no numbers
 * @example decodeState(encodeState(state)).step === state.step
 */
export function decodeState(bytes: Uint8Array): TrainerState {
  const metadata = readSafetensorsMetadata(bytes);
  const version = metadata.get("formatVersion");
  if (version !== formatVersion) {
    throw new CheckpointError(
      `the state has format version ${JSON.stringify(version)}, this program reads "${formatVersion}". ` +
        "Resume with the version of the program that wrote it.",
    );
  }
  const entries = readSafetensors(bytes);
  const moment = (name: string) => {
    const data = entries.get(name)?.data;
    if (data instanceof Float32Array || data instanceof Float64Array) return data;
    throw new CheckpointError(`the state has no moment "${name}". Resume from an earlier checkpoint.`);
  };
  const count = (name: string) => {
    const text = metadata.get(name) ?? "";
    if (/^\d{1,15}$/.test(text)) return Number(text);
    throw new CheckpointError(
      `the state's counter ${name} is ${JSON.stringify(text)}. Resume from an earlier checkpoint.`,
    );
  };
  const [step, optimizerSteps, sampledTokens, trainedTokens, forwardTokens] = counters.map(count);
  const lossScale = metadata.has("lossScale")
    ? { scale: count("lossScale"), goodUpdates: count("lossScaleUpdates") }
    : undefined;
  if (lossScale && !LossScale.accepts(lossScale))
    throw new CheckpointError(
      `the state's lossScale is ${lossScale.scale}, no power of two from 1 to 2^24. Resume from an earlier checkpoint.`,
    );
  return {
    step,
    optimizerSteps,
    sampledTokens,
    trainedTokens,
    forwardTokens,
    m: moment("m"),
    v: moment("v"),
    ...(lossScale && { lossScale }),
  };
}

/**
 * The state of a run as it stands.
 *
 * @example const state = await captureState(optimizer, { step: 3, sampledTokens: 0, trainedTokens: 0, forwardTokens: 0 });
 */
export async function captureState(
  { m, v, steps }: AdamW,
  run: Omit<TrainerState, "optimizerSteps" | "m" | "v">,
): Promise<TrainerState> {
  const moments = [await m.data(), await v.data()] as (Float32Array | Float64Array)[];
  return { ...run, optimizerSteps: steps, m: moments[0], v: moments[1] };
}

/**
 * Puts the moments of a state into the optimiser of a run that goes on.
 *
 * @throws CheckpointError when the state is of a model of another size
 */
export function restoreOptimizer(optimizer: AdamW, state: TrainerState): void {
  const { device, dtype, size } = optimizer.m;
  if (state.m.length !== size || state.v.length !== size) {
    throw new CheckpointError(
      `the state has moments of ${state.m.length} parameters, the model has ${size}. Resume with the model of the run.`,
    );
  }
  const moment = (data: Float32Array | Float64Array) => tensor(data, { dtype, device });
  scope(() => {
    optimizer.restore({ m: moment(state.m), v: moment(state.v), steps: state.optimizerSteps });
  });
}
