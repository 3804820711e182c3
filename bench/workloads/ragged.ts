/**
 * W4: training steps at 16 lengths from 64 to 128, eight rows each. A pass over the lengths is compared with steps at
 * T = 128 over the same number of tokens, both after two steps at T = 128: what is left is what a new length costs. Told
 * operation by operation, and with each length recorded in the first pass and replayed in the second.
 */
import { countCalls } from "../counts.ts";
import { type Sample, sampled, timingOf } from "../timing.ts";
import { batch, raggedLengths } from "./model.ts";
import { training, type Way } from "./training.ts";
import type { Context, Workload } from "./workload.ts";

export const raggedSteps: Workload = {
  name: "W4",
  description: "training steps over 16 lengths from 64 to 128, against as many tokens at T = 128",
  async measure(context) {
    const eager = await passes("eager", context);
    return { eager, captured: await passes("captured", context) };
  },
};

async function passes(way: Way, { device, raw, signal, progress }: Context) {
  const { stepOn } = training(device, way);
  const whole = stepOn(batch());
  await whole();
  await whole();
  const ragged = raggedLengths.map((length) => stepOn(batch(length)));
  const tokens = 8 * raggedLengths.reduce((sum, length) => sum + length, 0);
  const steps = Math.round(tokens / 1024);
  const checked = (step: () => Promise<number>) => {
    signal.throwIfAborted();
    return step();
  };
  /** Milliseconds for `tokens` tokens at T = 128. */
  const even = async () => {
    const { milliseconds, processorMs } = await sampled(async () => {
      for (let i = 0; i < steps; i++) await checked(whole);
    });
    const share = tokens / (1024 * steps);
    return { milliseconds: milliseconds * share, processorMs: processorMs * share };
  };
  const pass = () =>
    sampled(async () => {
      for (const step of ragged) await checked(step);
    });
  const evens = [await even()];
  const counter = raw && countCalls(raw);
  const first = await pass();
  counter?.stop();
  evens.push(await even());
  const second = await pass();
  evens.push(await even());
  const same = timingOf(evens);
  const ofEven = ({ milliseconds, processorMs }: Sample) => ({
    seconds: milliseconds / 1000,
    ofEven: milliseconds / same.medianMs,
    ofEvenProcessor: processorMs / same.processorMs,
  });
  const result = { first: ofEven(first), second: ofEven(second) };
  progress(
    `${way}: first pass ${result.first.ofEven.toFixed(2)}, second ${result.second.ofEven.toFixed(2)} of the time at T = 128`,
  );
  const newPipelines = counter?.counts.pipelines ?? 0;
  return { tokens, evenSeconds: same.medianMs / 1000, ...result, newPipelines };
}
