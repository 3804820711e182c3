/** W5: eight prompts of 16 tokens continued by 64 tokens each, greedily; the likeliest tokens of a full forward. */
import {
  forwardHidden,
  type GenerationModel,
  generate,
  initParams,
  logits,
  packSequences,
  predecessors,
} from "@pact/nn";
import { type Device, key, scope } from "@pact/tensor";
import { countedOnce } from "../counts.ts";
import { interleaved, seconds } from "../timing.ts";
import { type Decoding, decoding, gpt } from "./model.ts";
import { described, type Workload, WrongResult } from "./workload.ts";

/** The W5 model on `device`, and its greedy continuations: the new tokens of each row. */
export function greedy(device: Device, config = gpt(), { prompts, newTokens }: Decoding = decoding) {
  const model = { config, params: initParams(config, key(0), { device }) };
  const decode = async () => {
    const made = await generate(model, prompts, { maxTokens: newTokens, temperature: 0 });
    return made.map(({ ids }) => [...ids]);
  };
  return { model, decode };
}

export const decodingTokens: Workload = {
  name: "W5",
  description: "decoding, batch 8, 64 new tokens each after prompts of 16",
  async measure({ device, raw, signal, progress }) {
    const { model, decode } = greedy(device);
    let rows: number[][] = [];
    const work = async () => {
      rows = await decode();
    };
    const firstCallSeconds = await seconds(work);
    await checkGreedy(model, decoding.prompts, rows);
    const { engine } = await interleaved({ engine: work }, 7, signal);
    const tokens = rows.flat().length;
    const tokensPerSecond = tokens / (engine.medianMs / 1000);
    progress(`${tokensPerSecond.toFixed(0)} tokens/s, ${described(engine)}`);
    const { pipelines, peakBufferBytes, ...counted } = raw ? await countedOnce(raw, work) : {};
    const perToken = Object.fromEntries(
      Object.entries(counted).map(([name, count]) => [`${name}PerToken`, count / decoding.newTokens]),
    );
    return { ...engine, tokensPerSecond, firstCallSeconds, ...perToken };
  },
};

/** Every token must be the likeliest, or as likely to rounding, after all tokens before it. */
export async function checkGreedy(
  { config, params }: GenerationModel,
  prompts: readonly (readonly number[])[],
  rows: readonly number[][],
): Promise<void> {
  const packed = packSequences(rows.map((ids, row) => [...prompts[row], ...ids]));
  const scores = scope(() => logits(config, params, forwardHidden(config, params, packed))); // [N, V]
  const values = await scores.data();
  scores.dispose();
  const before = predecessors(packed);
  for (const [token, id] of packed.ids.entries()) {
    if (packed.positions[token] < prompts[0].length) continue;
    const row = values.subarray(before[token] * config.vocabSize, (before[token] + 1) * config.vocabSize);
    const best = Array.from(row, Number).reduce((a, b) => Math.max(a, b));
    if (Number(row[id]) < best - 1e-4)
      throw new WrongResult(`W5: token ${token} is ${id} with logit ${row[id]}; the likeliest has ${best}.`);
  }
}
