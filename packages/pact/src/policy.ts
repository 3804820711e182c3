/** The model as a rollout policy: nn's cached decoding from the live parameters, with counter-based sampling. */
import { DecodeSession, type Params, TokenDraws, type TransformerConfig } from "@pact/nn";
import type { PolicySession, RolloutPolicy } from "./rollout.ts";

/**
 * A policy that samples from `params` as they are when a session starts and while it runs.
 *
 * Temperature 0 is greedy. Log-probs are those at the sampling temperature (greedy: at 1); nothing of the
 * distribution is cut off, so the sampler's and the trainer's log-probs mean the same thing.
 * @example
 * ```ts
 * const config = configFromJson({
 *   model_type: "qwen3", vocab_size: 16, hidden_size: 8, intermediate_size: 8, num_hidden_layers: 1,
 *   num_attention_heads: 1, num_key_value_heads: 1, head_dim: 8, max_position_embeddings: 32, tie_word_embeddings: true,
 * });
 * const session = modelPolicy(config, initParams(config, key(0))).start([[5, 6]], [{ prompt: 0, capacity: 4 }], 1);
 * const { ids, logProbs } = await session.first(Uint32Array.from(key(1)));
 * const more = await session.next([{ row: 0, ids: [Number(ids[0])] }], Uint32Array.from(key(2)));
 * more.ids.length; // → 1
 * Number(logProbs[0]) < 0; // → true
 * await session.dispose();
 * ```
 */
export function modelPolicy(config: TransformerConfig, params: Params): RolloutPolicy {
  return {
    start(prompts, rows, temperature): PolicySession {
      const session = new DecodeSession(config, params, { prompts, rows });
      const draws = new TokenDraws(session, { temperature });
      return {
        first: (keys, following) => draws.first(rows.length, keys, following),
        next: (entries, keys, following) => draws.next(entries, keys, following),
        async dispose() {
          await draws.dispose();
          session.dispose();
        },
      };
    },
  };
}
