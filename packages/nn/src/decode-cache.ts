/**
 * Keys and values of one growing text, kept between calls of `generateTokens`: the next prompt is read from where it departs
 * from the text. For conversations, whose prompts mostly begin with the last prompt and its reply.
 *
 * The text is a row of a `DecodeSession` (decode.ts) that is cut back to what prompt and text have in common, so what a
 * template rewrites is read again and nothing else. Left out: several texts, and moving a text into a larger cache: it is
 * read anew, in twice the room.
 */
import type { Tensor } from "@pact/tensor";
import { type DecodeEntry, DecodeSession } from "./decode.ts";
import type { GenerationModel } from "./generate.ts";

/** Smallest room for a text, in tokens. */
const leastRoom = 256;

/** What sampling needs of a session. */
export type Decoding = {
  prefill(): Tensor;
  append(entries: readonly DecodeEntry[]): Tensor;
  /** What may `follow` with tokens that nobody has read yet; without it a step begins when the one before has been read. */
  readonly ahead?: DecodeSession;
  /** Hears of tokens that `ahead` followed with, once they are known. */
  known?(ids: ArrayLike<number>): void;
};

/**
 * What a model has read of one text; give it to every `generateTokens` of a conversation as `cache`. It takes
 * 2 · L · room · Hkv · D elements, with room the next power of two over the longest prompt and its `maxTokens`, until
 * `dispose`, after which it is empty and can be used again. After a change of parameters in place, dispose it.
 *
 * @example
 * ```ts
 * const config = configFromJson({
 *   model_type: "gpt", activation_function: "gelu_tanh", vocab_size: 8, hidden_size: 4,
 *   num_hidden_layers: 1, num_attention_heads: 2, max_position_embeddings: 16,
 * });
 * const model = { config, params: initParams(config, key(0)) };
 * using cache = new DecodeCache();
 * const [reply] = await generate(model, [[1, 2, 3]], { maxTokens: 4, cache });
 * await generate(model, [[1, 2, 3, ...reply.ids, 5]], { maxTokens: 4, cache });
 * cache.reused; // → 6
 * ```
 */
export class DecodeCache {
  /** Tokens of the last prompt that were not read again. */
  reused = 0;
  private session: DecodeSession | undefined;
  private params: GenerationModel["params"] | undefined;
  private room = 0;
  /** The text: the session's row, behind the session's prompt, which is its first token. */
  private ids: number[] = [];

  /**
   * Goes on with a prompt; `generateTokens` calls it.
   *
   * @param more tokens that will be appended at most
   * @param tokensPerPass as in `DecodeOptions`, where a session is made
   * @throws CapacityError if prompt and `more` exceed the model's positions; InputError for an empty prompt
   */
  begin(
    { config, params }: GenerationModel,
    prompt: ArrayLike<number>,
    more: number,
    tokensPerPass?: number,
  ): Decoding {
    const needed = prompt.length + more;
    // The last token is read again: its logits are not kept.
    const most =
      params === this.params && needed <= this.room ? Math.min(prompt.length - 1, this.ids.length) : 0;
    let common = 0;
    while (common < most && this.ids[common] === prompt[common]) common++;
    if (common === 0) {
      this.dispose();
      const doubled = Math.max(leastRoom, 2 ** Math.ceil(Math.log2(needed)));
      this.room = Math.max(needed, Math.min(doubled, config.maxPositions));
      const first = Array.from(prompt).slice(0, 1);
      const rows = [{ prompt: 0, capacity: this.room - first.length }];
      this.session = new DecodeSession(config, params, { prompts: [first], rows, tokensPerPass });
      this.params = params;
    }
    const session = this.session as DecodeSession;
    if (common > 0) session.rewind(0, common - 1);
    this.ids.length = common;
    this.reused = common;
    return {
      prefill: () => {
        const logits = common === 0 ? session.prefill() : undefined; // [1, V]
        const rest = Array.from(prompt).slice(Math.max(1, common));
        const last = rest.length === 0 && logits ? logits : session.append([{ row: 0, ids: rest }]);
        this.ids = Array.from(prompt);
        return last;
      },
      append: (entries) => {
        const logits = session.append(entries);
        for (const { ids } of entries) this.ids.push(...Array.from(ids));
        return logits;
      },
      ahead: session,
      known: (ids) => {
        this.ids.push(...Array.from(ids));
      },
    };
  }

  /** Frees what was kept. */
  dispose(): void {
    this.session?.dispose();
    this.session = undefined;
    this.params = undefined;
    this.ids = [];
    this.room = 0;
    this.reused = 0;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
