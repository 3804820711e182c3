/** W3, one training step of the GPT, and W8, the memory it takes; W4 repeats the step over lengths. */
import {
  AdamW,
  initParams,
  type Params,
  type PlacedTargets,
  packSequences,
  placedLogProbs,
  placeTargets,
} from "@pact/nn";
import { capture, type Device, key, mean, neg, scope, type Tensor, valueAndGrad } from "@pact/tensor";
import { countCalls, countedOnce } from "../counts.ts";
import { interleaved, seconds } from "../timing.ts";
import { adamW, batch, gpt, learningRate, parameterCount } from "./model.ts";
import { agree, described, type Workload, WrongResult } from "./workload.ts";

/** How a step runs: told to the device operation by operation, or recorded once and replayed. */
export type Way = "eager" | "captured";

/** A training step of a model on `device`: `step(rows)` trains on one batch and returns its loss. */
export function training(device: Device, way: Way, config = gpt()) {
  const optimizer = new AdamW(initParams(config, key(0), { device }), adamW);
  const step = (placed: PlacedTargets): Tensor => {
    const loss = (p: Params) => neg(mean(placedLogProbs(config, p, placed)));
    const { value, grads } = valueAndGrad(loss)(optimizer.params);
    optimizer.step(grads, learningRate);
    return value;
  };
  const run = way === "captured" ? capture(step) : step;
  /** One step on rows that are packed beforehand and uploaded each time, as a new batch would be. */
  const stepOn = (rows: readonly (readonly number[])[]) => {
    const packed = packSequences(rows);
    const starts = new Set(rows.map((_, b) => rows.slice(0, b).reduce((sum, row) => sum + row.length, 0)));
    const targets = Int32Array.from(packed.ids.keys()).filter((i) => !starts.has(i));
    return async (): Promise<number> => {
      const loss = scope(() => run(placeTargets(config, packed, targets, { device })));
      const value = await loss.item();
      loss.dispose();
      return value;
    };
  };
  const parameters = Object.values(optimizer.params).reduce((sum, p) => sum + p.size, 0);
  return { stepOn, parameters };
}

export const trainingStep: Workload = {
  name: "W3",
  description: "training step of the GPT (V 128, D 128, H 4, L 4, F 512; T 128, B 8) with AdamW",
  async measure({ device, raw, signal, progress }) {
    const { stepOn, parameters } = training(device, "captured");
    if (parameters !== parameterCount)
      throw new WrongResult(`W3 has ${parameters} parameters, not ${parameterCount}.`);
    const step = stepOn(batch());
    const losses: number[] = [];
    const work = async () => {
      losses.push(await step());
    };
    const first = raw && countCalls(raw);
    const firstStepSeconds = await seconds(work);
    first?.stop();
    const eagerStep = training(device, "eager").stepOn(batch());
    const eagerLosses: number[] = [];
    const eagerWork = async () => {
      eagerLosses.push(await eagerStep());
    };
    await eagerWork();
    const times = await interleaved({ captured: work, eager: eagerWork }, 9, signal);
    checkLosses(losses);
    for (const [i, loss] of eagerLosses.entries()) agree(`W3: eager loss ${i}`, loss, losses[i], 1e-4);
    const { medianMs, ...spread } = times.captured;
    const tokensPerSecond = 1024 / (medianMs / 1000);
    progress(
      `${described(times.captured)}, eager ${described(times.eager)}, ${tokensPerSecond.toFixed(0)} tokens/s, first ${firstStepSeconds.toFixed(2)} s`,
    );
    const { pipelines, ...perStep } = raw ? await countedOnce(raw, work) : { pipelines: 0 };
    return {
      msPerStep: medianMs,
      ...spread,
      firstStepSeconds,
      tokensPerSecond,
      pipelines: first?.counts.pipelines ?? 0,
      pipelinesLater: pipelines,
      ...perStep,
      eager: { ...times.eager, ...(raw && (await countedOnce(raw, eagerWork))) },
      losses: losses.slice(0, 7),
    };
  },
};

/** A fresh model knows nothing: its loss is near ln V. It must fall, and stay a number. */
function checkLosses(losses: readonly number[]): void {
  agree("W3: first loss", losses[0], Math.log(128), 0.05);
  if (!(losses[6] < losses[0] - 0.3)) throw new WrongResult(`W3 does not learn: ${losses.slice(0, 7)}.`);
}

export const trainingMemory: Workload = {
  name: "W8",
  description: "peak bytes of a W3 step: weights, gradients, moments, activations",
  async measure({ device, raw, progress }) {
    const counter = raw && countCalls(raw);
    const step = training(device, "captured").stepOn(batch());
    device.resetPeak();
    await step();
    await step();
    counter?.stop();
    const MiB = 2 ** 20;
    const peakMiB = device.memory().peakBytes / MiB;
    const bufferMiB = counter && counter.counts.peakBufferBytes / MiB;
    progress(`${peakMiB.toFixed(1)} MiB of tensors, ${bufferMiB?.toFixed(1) ?? "no"} MiB of buffers`);
    return { peakMiB, bufferMiB };
  },
};
