/** Training steps and decoding, captured and by themselves, for any device. */
import {
  AdamW,
  DecodeSession,
  initParams,
  type Params,
  packSequences,
  placedLogProbs,
  placeTargets,
  Sgd,
} from "@pact/nn";
import { capture, type Device, debug, key, live, mean, neg, scope, valueAndGrad } from "@pact/tensor";
import { bitsOf } from "../helpers/capture-checks.ts";
import { gpt, qwen3 } from "./models.ts";

/** Four steps on other batches, of other lengths and at other rates: losses, norms and the trained parameters. */
export async function trainedSteps(device: Device, family: "gpt" | "qwen3", captured: boolean) {
  const config = family === "gpt" ? gpt : qwen3;
  const params = initParams(config, key(3), { device });
  const optimizer = family === "gpt" ? new AdamW(params) : new Sgd(params);
  let rate = 0.1;
  const step = (batch: ReturnType<typeof placeTargets>) => {
    const loss = (p: Params) => neg(mean(placedLogProbs(config, p, batch)));
    const { value, grads } = valueAndGrad(loss)(optimizer.params);
    const norm = optimizer.step(
      grads,
      live(() => rate),
    );
    return { value, norm };
  };
  using replayed = capture(step, { fuse: false });
  const bits: string[] = [];
  for (const rows of [
    [[1, 2, 3, 4]],
    [[4, 3, 2, 1]],
    [
      [5, 6],
      [7, 8, 9],
    ],
    [[9, 8, 7, 6]],
  ]) {
    const targets = Int32Array.from([1, 3]);
    const batch = placeTargets(config, packSequences(rows), targets, { device });
    bits.push(...(await bitsOf(captured ? replayed(batch) : scope(() => step(batch)))));
    rate /= 2;
  }
  bits.push(...(await bitsOf([optimizer.arena])));
  return { bits, steps: optimizer.steps, recordings: replayed.recordings };
}

/** Logits of a decoding session token by token; with `eager` no step is recorded. */
export async function decoded(device: Device, eager: boolean) {
  const params = initParams(qwen3, key(3), { device });
  const rows = [0, 0, 1].map((prompt) => ({ prompt, capacity: 8 }));
  using session = new DecodeSession(qwen3, params, { prompts: [[1, 2, 3], [4]], rows });
  const bits = await bitsOf(session.prefill());
  const steps = [
    [0, 1, 2],
    [0, 1, 2],
    [2, 0, 1],
    [0, 2],
    [0, 2],
    [0, 2],
    [1, 0, 2],
  ];
  for (const [n, live] of steps.entries()) {
    const entries = live.map((row) => ({ row, ids: [(5 * n + row) % 23] }));
    const append = () => session.append(entries);
    bits.push(...(await bitsOf(eager ? await debug.checkFinite(append) : append())));
  }
  bits.push(...(await bitsOf(session.append([{ row: 1, ids: [7, 8] }]))));
  return bits;
}
