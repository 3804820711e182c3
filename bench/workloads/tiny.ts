/** W6: 1000 additions of 256 numbers, one after another, beside 1000 dispatches without the engine. */
import { add, capture, scope, type Tensor, zeros } from "@pact/tensor";
import { countedOnce } from "../counts.ts";
import { readBack } from "../raw/device.ts";
import { rawAdditions } from "../raw/dispatches.ts";
import { interleaved, untilReturn, type Work } from "../timing.ts";
import { agree, type Context, described, type Workload } from "./workload.ts";

export const tinyCount = 1000;

/** x + count, one at a time. */
export function additions(x: Tensor, count = tinyCount): Tensor {
  return scope(() => {
    let sum = x;
    for (let i = 0; i < count; i++) sum = add(sum, 1);
    return sum;
  });
}

export const tinyOperations: Workload = {
  name: "W6",
  description: "1000 additions of 256 numbers, one after another, beside 1000 raw dispatches",
  async measure({ device, raw, signal, progress }: Context) {
    const x = zeros([256], { device });
    const count = tinyCount;
    /** The ways the engine can run them. */
    const ways = {
      eager: () => additions(x),
      captured: capture(() => additions(x), { fuse: false }),
      fused: capture(() => additions(x)),
    };
    const done = async (sum: Tensor) => {
      await device.synchronize();
      sum.dispose();
    };
    const work = (run: () => Tensor) => () => done(run());
    for (const [name, run] of Object.entries(ways)) {
      const sum = run();
      agree(`W6 ${name}`, Number((await sum.data())[255]), count, 0);
      sum.dispose();
    }
    const engine: Record<string, Work> = {};
    for (const [name, run] of Object.entries(ways)) engine[name] = work(run);
    if (!raw) return interleaved(engine, 9, signal);
    const hand = rawAdditions(raw, count);
    await hand.run();
    agree("W6 raw", (await readBack(raw, hand.x))[255], count, 0);
    const times = await interleaved<string>({ ...engine, raw: hand.run }, 25, signal);
    const bare = times.raw;
    const results: Record<string, unknown> = { raw: bare };
    for (const [name, run] of Object.entries(ways)) {
      const timing = times[name];
      const ofRaw = timing.medianMs / bare.medianMs;
      const perOperation = (1000 * timing.medianMs) / count;
      progress(
        `${name}: ${perOperation.toFixed(1)} µs an operation, ${ofRaw.toFixed(2)} of raw (${described(bare)})`,
      );
      const counted = await countedOnce(raw, engine[name]);
      const host = await untilReturn(run, done, 25, signal);
      const hostMicrosecondsPerDispatch = (1000 * host.medianMs) / counted.dispatches;
      progress(
        `${name}: the call returns after ${hostMicrosecondsPerDispatch.toFixed(1)} µs a dispatch (${described(host)}, ${counted.dispatches} dispatches)`,
      );
      const ofRawProcessor = timing.processorMs / bare.processorMs;
      results[name] = {
        ...timing,
        microsecondsPerOperation: perOperation,
        hostMicrosecondsPerDispatch,
        ofRaw,
        ofRawProcessor,
        ...counted,
      };
    }
    return results;
  },
};
