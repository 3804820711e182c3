/** What a kept cache must do on any device: say what sampling without it says, and read no more than it has to. */
import { DecodeCache, generate, type Params, type TransformerConfig } from "@pact/nn";
import { key } from "@pact/tensor";
import { expect } from "vitest";

/** Prompts of a conversation, given the reply before; each with how many of its tokens are kept. */
const turns: readonly ((past: readonly number[], reply: readonly number[]) => [number[], number])[] = [
  () => [[3, 1, 4, 1, 5], 0],
  // Goes on behind the reply: its last token was sampled and never read.
  (past, reply) => [[...past, ...reply, 9, 2], past.length + reply.length - 1],
  // The past is written otherwise from its fourth token on.
  (past) => [[...past.slice(0, 3), 8, 8], 3],
  // The same again, and a beginning of it: the last token is read for its logits.
  (past) => [[...past], past.length - 1],
  (past) => [past.slice(0, 3), 2],
  // Another first token: nothing in common.
  (past) => [[7, ...past], 0],
  (past, reply) => [[...past, ...reply.slice(0, 2)], past.length + 1],
];

/** A conversation with a cache, turn by turn beside samples without one. */
export async function saysTheSame(config: TransformerConfig, params: Params, tolerance: number) {
  const model = { config, params };
  using cache = new DecodeCache();
  let past: number[] = [];
  let reply: readonly number[] = [];
  for (const [turn, next] of turns.entries()) {
    const [prompt, kept] = next(past, reply);
    const options = { maxTokens: 6, key: key(turn), topP: 0.9 };
    const [fresh] = await generate(model, [prompt], options);
    const [row] = await generate(model, [prompt], { ...options, cache });
    expect(row.ids).toEqual(fresh.ids);
    row.logProbs.forEach((p, n) => {
      expect(Math.abs(p - fresh.logProbs[n])).toBeLessThan(tolerance);
    });
    expect([turn, cache.reused]).toEqual([turn, kept]);
    [past, reply] = [prompt, row.ids];
  }
}
