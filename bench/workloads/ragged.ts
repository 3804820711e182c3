/**
 * W4: training steps at 16 lengths from 64 to 128, eight rows each. A pass over the lengths is compared with steps at
 * T = 128 over the same number of tokens, both after two steps at T = 128: what is left is what a new length costs. Told
 * operation by operation, and with each length recorded in the first pass and replayed in the second.
 */
import { countCalls } from "../counts.ts";
import { seconds } from "../timing.ts";
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
  /** Seconds for `tokens` tokens at T = 128. */
  const even = async () => {
    const taken = await seconds(async () => {
      for (let i = 0; i < steps; i++) await checked(whole);
    });
    return (taken * tokens) / (1024 * steps);
  };
  const pass = () =>
    seconds(async () => {
      for (const step of ragged) await checked(step);
    });
  const evens = [await even()];
  const counter = raw && countCalls(raw);
  const firstSeconds = await pass();
  counter?.stop();
  evens.push(await even());
  const secondSeconds = await pass();
  evens.push(await even());
  const evenSeconds = evens.toSorted((a, b) => a - b)[1];
  const [first, second] = [firstSeconds / evenSeconds, secondSeconds / evenSeconds];
  progress(`${way}: first pass ${first.toFixed(2)}, second ${second.toFixed(2)} of the time at T = 128`);
  const newPipelines = counter?.counts.pipelines ?? 0;
  return { tokens, evenSeconds, firstSeconds, secondSeconds, first, second, newPipelines };
}
