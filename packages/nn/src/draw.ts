/**
 * Drawing tokens for the rows of a session, one for each at a time: what is drawn stays on the device for the next step, and
 * ids with their log-probs are one small tensor to read back. On a GPU the next step of every row is begun before this one has
 * been read, so that device and host work at the same time.
 *
 * What is begun ahead is never wrong about a row that goes on: rows do not see each other. Rows that have ended are forgotten, and
 * rows that go on with more than the drawn token (an observation behind the end of a turn, which the host has to see first) are
 * appended the rest and drawn for once more. Leaves out when rows end (generate.ts; rollouts of packages/pact).
 */
import {
  type Captured,
  capture,
  concat,
  logProbGather,
  reshape,
  type SampleOptions,
  sampleTogether,
  scope,
  type Tensor,
  type TypedArray,
  take,
  tensor,
} from "@pact/tensor";
import { type DecodeEntry, DecodeSession } from "./decode.ts";
import type { Decoding } from "./decode-cache.ts";

/** How `TokenDraws` draws. */
export type DrawOptions = SampleOptions & {
  /** Whether to give log-probs under the model itself too, at temperature 1 and without truncation; default false. */
  readonly modelLogProbs?: boolean;
};

/** Drawn tokens, in the order of the rows they were asked for. */
export type DrawnTokens = {
  readonly ids: readonly number[];
  /** ln of their probabilities under the distribution drawn from. */
  readonly logProbs: readonly number[];
  /** ln of their probabilities under the model; empty unless asked for. */
  readonly modelLogProbs: readonly number[];
};

/** Tokens of some rows that the device computes. */
type Column = {
  readonly rows: readonly number[];
  readonly keys: Uint32Array;
  readonly ids: Tensor;
  readonly read: Tensor;
  readonly values: Promise<TypedArray>;
};

/** Where a row's token is. */
type Place = { readonly column: Column; readonly at: number };

/**
 * The tokens of a session's rows, drawn one after another. Keys hold two words per row; `following` are the keys of the tokens
 * after, for rows that go on: without them nothing is begun ahead, with others than `next` asks for later it is drawn again.
 *
 * @example
 * ```ts
 * const config = configFromJson({
 *   model_type: "gpt", activation_function: "gelu_tanh", vocab_size: 8, hidden_size: 4,
 *   num_hidden_layers: 1, num_attention_heads: 2, max_position_embeddings: 16,
 * });
 * const rows = [{ prompt: 0, capacity: 5 }, { prompt: 0, capacity: 5 }];
 * using session = new DecodeSession(config, initParams(config, key(0)), { prompts: [[1, 2, 3]], rows });
 * const draws = new TokenDraws(session, { temperature: 1 });
 * const { ids } = await draws.first(2, new Uint32Array(4));
 * // Row 1 goes on with what was drawn and with two tokens of somebody else.
 * const more = await draws.next([{ row: 1, ids: [ids[1], 4, 5] }], new Uint32Array(2));
 * more.ids.length; // → 1
 * session.length(1); // → 3
 * await draws.dispose();
 * ```
 */
export class TokenDraws {
  private readonly session: Decoding;
  private readonly ahead: DecodeSession | undefined;
  private readonly draw: (logits: Tensor, keys: Tensor) => readonly [Tensor, Tensor];
  /** The same without fusion, so that the bits are those of the operations; recorded when a number of rows comes again. */
  private readonly recorded: Captured<[Tensor, Tensor], readonly [Tensor, Tensor]>;
  private readonly sizes = new Set<number>();
  private readonly modelLogProbs: boolean;
  /** The token of each row that was given last. */
  private readonly given = new Map<number, number>();
  /** What was begun ahead: one token more for each row. */
  private begun: Column | undefined;

  /** @param session nothing is begun ahead on the cpu device, where nothing runs beside the host */
  constructor(session: DecodeSession | Decoding, { modelLogProbs = false, ...sampling }: DrawOptions) {
    this.session = session;
    const ahead = session instanceof DecodeSession ? session : session.ahead;
    this.ahead = ahead?.device.kind === "webgpu" ? ahead : undefined;
    this.modelLogProbs = modelLogProbs;
    this.draw = (logits, keys) => {
      const { ids, both } = sampleTogether(logits, keys, sampling);
      const flat = reshape(both, [both.size]);
      return [ids, modelLogProbs ? concat([flat, logProbGather(logits, ids)], 0) : flat];
    };
    this.recorded = capture(this.draw, { fuse: false, signatures: 8 });
  }

  /** The token behind the prompt of each of `count` rows. */
  async first(count: number, keys: Uint32Array, following?: Uint32Array): Promise<DrawnTokens> {
    const rows = Array.from({ length: count }, (_, row) => row);
    const column = this.begin(rows, keys, () => this.session.prefill());
    return this.give(
      rows.map((at) => ({ column, at })),
      rows,
      following,
    );
  }

  /**
   * Appends tokens to some rows, the ones drawn for them first of all, and draws the next of each. Rows that are left out keep
   * what they had before their last token. A call that is refused leaves everything as it was.
   *
   * @throws what `DecodeSession.append` throws
   */
  async next(
    entries: readonly DecodeEntry[],
    keys: Uint32Array,
    following?: Uint32Array,
  ): Promise<DrawnTokens> {
    const { begun } = this;
    // Before anything is taken back: a refused call leaves everything as it was.
    this.ahead?.check(entries, begun?.rows ?? []);
    this.begun = undefined;
    const rows = entries.map(({ row }) => row);
    try {
      const { places, rest } = this.served(begun, entries, keys);
      if (rest.length > 0) {
        const column = this.begin(
          rest.map(({ entry }) => entry.row),
          words(
            keys,
            rest.map(({ n }) => n),
          ),
          () => this.session.append(rest.map(({ entry }) => entry)),
        );
        for (const [at, { n }] of rest.entries()) places[n] = { column, at };
      }
      return await this.give(places, rows, following);
    } finally {
      if (begun) await freed(begun);
    }
  }

  /** Waits for what was begun and frees everything. */
  async dispose(): Promise<void> {
    const { begun } = this;
    this.begun = undefined;
    if (begun) await freed(begun);
    this.recorded.dispose();
  }

  /** Which entries what was begun serves, and what is left to append for the others; takes back what nobody wants. */
  private served(begun: Column | undefined, entries: readonly DecodeEntry[], keys: Uint32Array) {
    const places: Place[] = [];
    const rest: { readonly entry: DecodeEntry; readonly n: number }[] = [];
    const open = new Map(begun?.rows.map((row, at) => [row, at]));
    for (const [n, entry] of entries.entries()) {
      const { row, ids } = entry;
      const at = open.get(row);
      open.delete(row);
      const told = ids.length > 0 && ids[0] === this.given.get(row);
      if (!begun || at === undefined) rest.push({ entry, n });
      else if (told && ids.length > 1) {
        this.session.known?.([ids[0]]);
        rest.push({ entry: { row, ids: Array.from(ids).slice(1) }, n });
      } else if (told && sameWords(begun.keys, at, keys, n)) {
        this.session.known?.(ids);
        places[n] = { column: begun, at };
      } else {
        this.takeBack(row);
        rest.push({ entry, n });
      }
    }
    for (const row of open.keys()) this.takeBack(row);
    return { places, rest };
  }

  private takeBack(row: number): void {
    this.ahead?.rewind(row, this.ahead.length(row) - 1);
  }

  /** Begins the step after, reads the places, and frees their columns. */
  private async give(
    places: readonly Place[],
    rows: readonly number[],
    following?: Uint32Array,
  ): Promise<DrawnTokens> {
    const columns = [...new Set(places.map(({ column }) => column))];
    try {
      if (following) this.begun = this.goOn(places, rows, following);
      const values = new Map<Column, TypedArray>();
      for (const column of columns) values.set(column, await column.values);
      const part = (k: number) =>
        places.map(({ column, at }) => Number(values.get(column)?.[k * column.rows.length + at]));
      const [ids, logProbs] = [part(0), part(1)];
      rows.forEach((row, n) => {
        this.given.set(row, ids[n]);
      });
      return { ids, logProbs, modelLogProbs: this.modelLogProbs ? part(2) : [] };
    } finally {
      await Promise.all(columns.map(freed));
    }
  }

  /** The next token of every row that has room, from ids that the host has not seen. */
  private goOn(
    places: readonly Place[],
    rows: readonly number[],
    following: Uint32Array,
  ): Column | undefined {
    const { ahead } = this;
    if (!ahead) return undefined;
    const going = [...rows.keys()].filter((n) => ahead.remaining(rows[n]) > 0);
    if (going.length === 0) return undefined;
    const names = going.map((n) => rows[n]);
    const from = going.map((n) => places[n]);
    return this.begin(names, words(following, going), () => ahead.follow(names, idsAt(from)));
  }

  /** Draws from the logits and begins to read what was drawn. */
  private begin(rows: readonly number[], keys: Uint32Array, logits: () => Tensor): Column {
    const again = this.sizes.has(rows.length);
    this.sizes.add(rows.length);
    const [ids, read] = scope(() => {
      const scores = logits(); // [E, V]
      const onDevice = tensor(keys, { shape: [rows.length, 2], device: scores.device });
      return (again ? this.recorded : this.draw)(scores, onDevice);
    });
    const values = read.data();
    values.catch(() => undefined); // a column begun ahead may fail before anyone asks for it; who asks is told
    return { rows, keys, ids, read, values };
  }
}

/** The ids at `places`, on the device [N]. */
function idsAt(places: readonly Place[]): Tensor {
  const [{ column }] = places;
  const { ids } = column;
  if (places.length === ids.size && places.every((place, n) => place.column === column && place.at === n))
    return ids;
  const columns = [...new Set(places.map((place) => place.column))];
  let end = 0;
  const starts = new Map(
    columns.map((each) => {
      end += each.rows.length;
      return [each, end - each.rows.length];
    }),
  );
  const at = Int32Array.from(places, (place) => (starts.get(place.column) ?? 0) + place.at);
  const all =
    columns.length === 1
      ? ids
      : concat(
          columns.map((each) => each.ids),
          0,
        );
  return take(all, tensor(at, { device: ids.device }), 0);
}

/** The keys of some rows, two words each. */
function words(keys: Uint32Array, rows: readonly number[]): Uint32Array {
  return Uint32Array.from(rows.flatMap((n) => [keys[2 * n], keys[2 * n + 1]]));
}

function sameWords(a: Uint32Array, i: number, b: Uint32Array, k: number): boolean {
  return a[2 * i] === b[2 * k] && a[2 * i + 1] === b[2 * k + 1];
}

/** Frees a column once it has been read, or could not be. */
async function freed({ ids, read, values }: Column): Promise<void> {
  await values.catch(() => undefined);
  ids.dispose();
  read.dispose();
}
