/**
 * W7: one PACT step, the traced context: a prompt of 160 tokens, a trace of 160 and 8 rollouts of 96, forward, backward and
 * AdamW. Packed, prompt and trace are computed once; one by one they stand before every rollout.
 */
import { AdamW, initParams, type Params } from "@pact/nn";
import {
  type BatchGradient,
  batchGradient,
  lossTerm,
  type MicroBatch,
  microBatches,
  type PromptTree,
  type ScoredRun,
} from "@pact/pact";
import { add, type Device, key, scope, square, sum } from "@pact/tensor";
import { countedOnce } from "../counts.ts";
import { interleaved } from "../timing.ts";
import { gpt, learningRate, madeUpTokens } from "./model.ts";
import { agree, described, type Workload } from "./workload.ts";

/** Tokens of prompt, trace and each rollout. */
type Sizes = Readonly<Record<"prompt" | "trace" | "rollouts" | "rollout", number>>;

const stepSizes: Sizes = { prompt: 160, trace: 160, rollouts: 8, rollout: 96 };
const objective = { sftWeight: 0.1, clipLow: 0.2, clipHigh: 0.2 };

/** x → h* → { τ_1 … τ_8 }, every token of trace and rollouts scored. */
function tree({ prompt, trace, rollouts, rollout }: Sizes): PromptTree {
  const scoredTrace = Array.from({ length: trace }, (_, i) => ({
    position: prompt + i,
    term: lossTerm.sftReasoning,
    rollout: -1,
    advantage: 0,
    policyWeight: 0,
    sftWeight: 1 / trace,
    samplerLogProb: 0,
  }));
  const branch = (index: number): ScoredRun => ({
    ids: madeUpTokens(rollout, index + 1),
    scored: Array.from({ length: rollout }, (_, position) => ({
      position,
      term: lossTerm.traced,
      rollout: index,
      advantage: index % 2 === 0 ? 1 : -1.5,
      policyWeight: 1 / (rollouts * rollout),
      sftWeight: 0,
      samplerLogProb: -4,
    })),
  });
  return {
    prefix: { ids: madeUpTokens(prompt + trace, 0), scored: scoredTrace },
    branches: Array.from({ length: rollouts }, (_, index) => branch(index)),
  };
}

/** A model with one way to lay out the step. */
export function stepper(device: Device, pack: boolean, sizes = stepSizes, config = gpt(512)) {
  const optimizer = new AdamW(initParams(config, key(0), { device }));
  const batches = microBatches([tree(sizes)], { pack, tokenBudget: 4096 });
  const gradient = () => batchGradient({ config, params: optimizer.params }, batches, objective);
  const step = async () => {
    const { grads } = await gradient();
    optimizer.step(grads, learningRate).dispose();
    await device.synchronize();
    disposeParams(grads);
  };
  return { step, gradient, tokens: tokensOf(batches) };
}

function disposeParams(params: Params): void {
  for (const value of Object.values(params)) value.dispose();
}

/** Σg² of a gradient. */
async function squaredNorm(grads: Params): Promise<number> {
  const total = scope(() =>
    Object.values(grads)
      .map((gradient) => sum(square(gradient)))
      .reduce(add),
  );
  const value = await total.item();
  total.dispose();
  return value;
}

/** However a step is laid out, it is the same loss with the same gradient. */
export async function checkSame(one: BatchGradient, other: BatchGradient): Promise<void> {
  agree("W7: packed loss", one.loss, other.loss, 1e-5);
  agree("W7: packed gradient", await squaredNorm(one.grads), await squaredNorm(other.grads), 1e-4);
}

function tokensOf(batches: readonly MicroBatch[]): number {
  return batches.reduce((sum, { packed }) => sum + packed.ids.length, 0);
}

export const pactStep: Workload = {
  name: "W7",
  description: "one PACT step (prompt 160, trace 160, 8 rollouts of 96), packed against one by one",
  async measure({ device, raw, signal, progress }) {
    const [packed, single] = [stepper(device, true), stepper(device, false)];
    const [one, other] = [await packed.gradient(), await single.gradient()];
    await checkSame(one, other);
    for (const { grads } of [one, other]) disposeParams(grads);
    for (const { step } of [packed, single]) await step();
    const times = await interleaved({ packed: packed.step, oneByOne: single.step }, 5, signal);
    const speedup = times.oneByOne.medianMs / times.packed.medianMs;
    const fewerTokens = single.tokens / packed.tokens;
    progress(
      `packed ${described(times.packed)}, one by one ${described(times.oneByOne)}: ${speedup.toFixed(2)} times faster, ${fewerTokens.toFixed(2)} times fewer tokens`,
    );
    return {
      speedup,
      speedupProcessor: times.oneByOne.processorMs / times.packed.processorMs,
      fewerTokens,
      packed: { ...times.packed, tokens: packed.tokens, ...(raw && (await countedOnce(raw, packed.step))) },
      oneByOne: {
        ...times.oneByOne,
        tokens: single.tokens,
        ...(raw && (await countedOnce(raw, single.step))),
      },
    };
  },
};
