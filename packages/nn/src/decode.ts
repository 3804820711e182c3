/**
 * Decoding with a flat key/value cache: rows (rollouts) that share prompts grow by any number of tokens at a time, and
 * each call gives the logits of every appended run's last token.
 *
 * Per layer the cache is two tensors [S, Hkv, D] of S slots, cut once into consecutive stretches: first the prompts, then
 * one stretch per row. A row sees its prompt's stretch and its own up to now: two ranges, as in training (pack.ts), so
 * cached log-probs equal those of the full forward to rounding. Lengths are run-time values: no new pipelines.
 * K rows of one prompt share its keys and values (Hydragen, arXiv 2402.05099). Left out: paging, eviction, beams.
 */
import {
  assignRows,
  attention,
  attentionSpans,
  type Captured,
  capture,
  concat,
  type Device,
  scope,
  slice,
  type Tensor,
  take,
  tensor,
  zeros,
} from "@pact/tensor";
import type { TransformerConfig } from "./config.ts";
import { laidOut, type Run, type Stretch, type Tokens } from "./decode-layout.ts";
import { CapacityError, InputError } from "./errors.ts";
import type { Params } from "./params.ts";
import {
  blockType,
  checkIds,
  logits,
  type PlacedPacked,
  placeTokens,
  runDecoder,
  tokenEmbedding,
} from "./transformer.ts";

/** What a `DecodeSession` decodes: prompts, and rows that continue them. */
export type DecodeOptions = {
  /** Token ids of each prompt; at least one token each. */
  readonly prompts: readonly ArrayLike<number>[];
  /** One entry per row: which prompt it continues, and how many tokens it may grow by (observations included). */
  readonly rows: readonly { readonly prompt: number; readonly capacity: number }[];
  /** Tokens per pass over the model, default 4096: bounds the memory of activations, not what can be appended. */
  readonly tokensPerPass?: number;
};

/** Tokens to append to one row of a `DecodeSession`, at least one. */
export type DecodeEntry = { readonly row: number; readonly ids: ArrayLike<number> };

/** Tokens of one pass on the device, and those among them whose hidden states are wanted. */
type Pass = PlacedPacked & { readonly slots: Tensor };

const nothing: Stretch = { start: 0, capacity: 0, length: 0 };

/**
 * A batch of rows decoded from live parameters: `prefill` once, then `append` as often as rows have room. The cache takes
 * 2 · L · Σ(prompt lengths + capacities) · Hkv · D elements of the blocks' type until `dispose`.
 *
 * @example
 * ```ts
 * const config = configFromJson({
 *   model_type: "gpt", activation_function: "gelu_tanh", vocab_size: 8, hidden_size: 4,
 *   num_hidden_layers: 1, num_attention_heads: 2, max_position_embeddings: 16,
 * });
 * const rows = [{ prompt: 0, capacity: 5 }, { prompt: 0, capacity: 5 }];
 * using session = new DecodeSession(config, initParams(config, key(0)), { prompts: [[1, 2, 3]], rows });
 * session.prefill(); // → f32[2, 8]
 * session.append([{ row: 1, ids: [4, 5] }]); // → f32[1, 8]
 * session.remaining(1); // → 3
 * ```
 */
export class DecodeSession {
  private readonly config: TransformerConfig;
  private readonly params: Params;
  private readonly options: DecodeOptions;
  private readonly prompts: Stretch[] = [];
  private readonly rows: Stretch[] = [];
  private readonly keys: Tensor[]; // per layer [S, Hkv, D]
  private readonly values: Tensor[];
  private readonly slots: number;
  private readonly tokensPerPass: number;
  /** One token for each of some rows: most calls, each batch size recorded when it comes a second time. */
  private readonly step: Captured<[Pass], Tensor>;
  /** Batch sizes that came. */
  private readonly sizes = new Set<number>();

  /**
   * Reserves the cache; `prefill` fills in the prompts.
   *
   * @throws InputError for an empty prompt or a row whose prompt does not exist
   * @throws CapacityError if a prompt with its row would exceed the model's positions
   */
  constructor(config: TransformerConfig, params: Params, options: DecodeOptions) {
    this.config = config;
    this.params = params;
    this.options = options;
    const { tokensPerPass = 1 } = options;
    if (!Number.isInteger(tokensPerPass) || tokensPerPass < 1)
      throw new InputError(
        `DecodeSession: tokensPerPass is ${tokensPerPass}, expected a whole number ≥ 1. Leave it out for 4096.`,
      );
    let end = 0;
    const reserve = (capacity: number): Stretch => {
      const stretch = { start: end, capacity, length: 0 };
      end += capacity;
      return stretch;
    };
    options.prompts.forEach((ids, index) => {
      if (ids.length === 0)
        throw new InputError(`DecodeSession: prompt ${index} is empty; it needs at least one token.`);
      this.prompts.push(reserve(ids.length));
    });
    options.rows.forEach(({ prompt, capacity }, index) => {
      const room = config.maxPositions - (this.prompts[prompt]?.capacity ?? Number.NaN);
      if (Number.isNaN(room))
        throw new InputError(
          `DecodeSession: row ${index} continues prompt ${prompt} of ${options.prompts.length}.`,
        );
      if (!Number.isInteger(capacity) || capacity < 0 || capacity > room)
        throw new CapacityError(
          `DecodeSession: row ${index} asks for ${capacity} tokens; after its prompt the model's ${config.maxPositions} positions leave ${room}. Lower the row's capacity or shorten the prompt.`,
        );
      this.rows.push(reserve(capacity));
    });
    this.slots = end;
    const { device } = tokenEmbedding(config, params);
    const dtype = blockType(config, params);
    const cache = () => zeros([end, config.numKvHeads, config.headSize], { dtype, device });
    this.keys = Array.from({ length: config.numLayers }, cache);
    this.values = Array.from({ length: config.numLayers }, cache);
    this.tokensPerPass = options.tokensPerPass ?? 4096;
    // Without fusion: what is sampled does not depend on whether a step was recorded.
    this.step = capture((tokens: Pass) => logits(config, params, this.pass(tokens)), {
      fuse: false,
      signatures: 8,
    });
  }

  /**
   * Runs the prompts, each once, and returns the logits after every row's prompt.
   *
   * @returns [R, V] for the R rows
   * @throws InputError if called twice
   */
  prefill(): Tensor {
    if (this.prompts.some((prompt) => prompt.length > 0))
      throw new InputError("DecodeSession: prefill was called before; make a new session for new prompts.");
    const { prompts, rows } = this.options;
    const runs = prompts.map((ids, index) => ({ ids, own: this.prompts[index], prompt: nothing }));
    return scope(() => {
      const last = this.run(runs); // [prompts, C]
      const scores = logits(this.config, this.params, last); // [prompts, V]
      const promptOfRow = Int32Array.from(rows, (row) => row.prompt);
      return take(scores, tensor(promptOfRow, { dtype: "i32", device: scores.device }), 0);
    });
  }

  /**
   * Appends tokens to some rows, any number each, and returns the logits after each entry's last token.
   *
   * @param entries rows in any order, each at most once, each with at least one token
   * @returns [E, V] in the order of `entries`
   * @throws CapacityError before anything is written if a row has no room left for its tokens
   * @throws InputError for an unknown or repeated row, or an entry without tokens
   */
  append(entries: readonly DecodeEntry[]): Tensor {
    return this.decode(entries);
  }

  /**
   * Appends one token to each of some rows as `append` does, of ids that are on the device: nothing waits for the host to
   * know them. `rewind` takes them back.
   *
   * @param ids [E] i32 below the vocabulary's size, which is not checked
   */
  follow(rows: readonly number[], ids: Tensor): Tensor {
    return this.decode(
      rows.map((row) => ({ row, ids: [0] })),
      ids,
    );
  }

  /**
   * Throws what `append` would throw for the entries, if each row of `begun` had the token before its last alone.
   */
  check(entries: readonly DecodeEntry[], begun: readonly number[]): void {
    for (const { ids } of this.runsOf(entries, new Set(begun))) checkIds(this.config, ids);
  }

  private decode(entries: readonly DecodeEntry[], onDevice?: Tensor): Tensor {
    const runs = this.runsOf(entries);
    const single = runs.every(({ ids }) => ids.length === 1) && runs.length <= this.tokensPerPass;
    const again = single && this.sizes.has(runs.length);
    if (single) this.sizes.add(runs.length);
    return scope(() =>
      again ? this.replay(runs, onDevice) : logits(this.config, this.params, this.run(runs, onDevice)),
    );
  }

  /** The entries with the places of their rows; rows of `begun` have room for one token more than they say. */
  private runsOf(entries: readonly DecodeEntry[], begun: ReadonlySet<number> = new Set()): Run[] {
    const seen = new Set<number>();
    return entries.map(({ row, ids }) => {
      const own = this.rows[row];
      if (!own || seen.has(row) || ids.length === 0)
        throw new InputError(
          `DecodeSession.append: row ${row} ${!own ? `does not exist (there are ${this.rows.length})` : seen.has(row) ? "is given twice; join its tokens in one entry" : "has no tokens; leave it out"}.`,
        );
      seen.add(row);
      const prompt = this.prompts[this.options.rows[row].prompt];
      if (prompt.length === 0) throw new InputError("DecodeSession.append: call prefill() first.");
      const room = this.remaining(row) + (begun.has(row) ? 1 : 0);
      if (ids.length > room)
        throw new CapacityError(
          `DecodeSession.append: row ${row} has room for ${room} more tokens, received ${ids.length}. Stop the row or reserve a larger capacity.`,
        );
      return { ids, own, prompt };
    });
  }

  /**
   * Forgets a row's tokens after its first `length`; what is appended next stands there.
   *
   * @throws InputError for a length that the row does not have
   */
  rewind(row: number, length: number): void {
    const own = this.rows[row];
    if (!own || !Number.isInteger(length) || length < 0 || length > own.length)
      throw new InputError(
        `DecodeSession.rewind: row ${row} can not go back to ${length} tokens; ${own ? `it has ${own.length}` : `there are ${this.rows.length} rows`}.`,
      );
    own.length = length;
  }

  /** Where the cache is. */
  get device(): Device {
    return this.keys[0].device;
  }

  /** Tokens a row has grown by. */
  length(row: number): number {
    return this.rows[row].length;
  }

  /** Tokens a row may still grow by. */
  remaining(row: number): number {
    return this.rows[row].capacity - this.rows[row].length;
  }

  /** Frees the cache. */
  dispose(): void {
    this.step.dispose();
    for (const cache of [...this.keys, ...this.values]) cache.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Runs the runs' tokens through the model, filling the cache; returns each run's last hidden state [runs, C]. */
  private run(runs: readonly Run[], onDevice?: Tensor): Tensor {
    const tokens = laidOut(runs);
    const total = tokens.ids.length;
    const { tokensPerPass } = this;
    // Keys of a pass are in the cache before its queries look, and later passes only add later tokens: any cut is right.
    const last: Tensor[] = [];
    for (let begin = 0; begin < total; begin += tokensPerPass) {
      const end = Math.min(total, begin + tokensPerPass);
      const ends = tokens.last.filter((i) => i >= begin && i < end);
      // The last block is for the runs' last tokens alone; a pass that has none fills the cache, and any one row is least.
      const few = ends.length > 0 ? ends : [end - 1];
      const some = few.length < end - begin ? few : undefined;
      const hidden = scope(() => this.pass(this.place(tokens, begin, end, onDevice, some)));
      if (ends.length > 0) last.push(hidden);
    }
    for (const { ids: list, own } of runs) own.length += list.length;
    return last.length === 1 ? last[0] : concat(last, 0);
  }

  /** One token for each run, as the call before: the same commands once more. Returns their logits [runs, V]. */
  private replay(runs: readonly Run[], onDevice?: Tensor): Tensor {
    const scores = this.step(this.place(laidOut(runs), 0, runs.length, onDevice));
    for (const { own } of runs) own.length++;
    return scores;
  }

  /** Tokens [begin, end) on the device, with the ids that are there already, if any, and which of them are wanted, if not all. */
  private place(
    { ids, positions, slots, ranges }: Tokens,
    begin: number,
    end: number,
    onDevice?: Tensor,
    wanted?: readonly number[],
  ): Pass {
    const { device } = this;
    const placed = placeTokens(this.config, ids.subarray(begin, end), positions.subarray(begin, end), device);
    const integers = (values: readonly number[]) => tensor(Int32Array.from(values), { device });
    const spans = (ranged: Int32Array) => attentionSpans(ranged, this.slots, { device, gradients: false });
    return {
      positions: placed.positions,
      ids: onDevice ? slice(onDevice, [begin], [end]) : placed.ids,
      spans: spans(ranges.subarray(4 * begin, 4 * end)),
      slots: tensor(slots.subarray(begin, end), { device }),
      ...(wanted && {
        wanted: {
          rows: integers(wanted.map((i) => i - begin)),
          positions: integers(wanted.map((i) => positions[i])),
          spans: spans(Int32Array.from(wanted.flatMap((i) => [...ranges.subarray(4 * i, 4 * i + 4)]))),
        },
      }),
    };
  }

  /** Runs tokens through the model, filling the cache; returns the hidden states [M, C] of those that are wanted. */
  private pass(tokens: Pass): Tensor {
    const last = this.config.numLayers - 1;
    return runDecoder(this.config, this.params, tokens, (query, key, value, layer) => {
      assignRows(this.keys[layer], tokens.slots, key);
      assignRows(this.values[layer], tokens.slots, value);
      const spans = (layer === last ? tokens.wanted?.spans : undefined) ?? tokens.spans;
      return attention(query, this.keys[layer], this.values[layer], spans);
    });
  }
}
