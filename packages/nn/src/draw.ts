/**
 * Drawing columns of tokens, one for each row of a session: a captured function of the logits gives ids, which the next
 * step takes as they are, and one small tensor to read back, of ids and log-probs. On a GPU the next column is begun before
 * this one has been read, so that the device does not wait for the host. Leaves out when rows end (generate.ts).
 */
import {
  type Captured,
  capture,
  cast,
  concat,
  logProbGather,
  type SampleOptions,
  sampleTokens,
  scope,
  type Tensor,
  type TypedArray,
  tensor,
} from "@pact/tensor";
import type { DecodeSession } from "./decode.ts";
import type { Decoding } from "./decode-cache.ts";

/** What a column is drawn for: a row of the session, its last token, and the words of its key for each column. */
export type DrawnRow = {
  readonly row: number;
  readonly last: number;
  keyAt(step: number): readonly number[];
};

/** A column that the device computes. */
type Column = { readonly ids: Tensor; readonly read: Tensor; readonly values: Promise<TypedArray> };

/** The columns of a session, in order. */
export class Columns {
  private readonly session: Decoding;
  /** The session, if it can take ids from the device and give them back. */
  private readonly ahead: DecodeSession | undefined;
  /** Each number of rows is recorded once; without fusion, so that the bits are those of the operations. */
  private readonly sample: Captured<[Tensor, Tensor], readonly [Tensor, Tensor]>;
  /** The column after the last that was given, and how many of these were begun for nothing. */
  private next: Column | undefined;
  private lost = 0;

  /** @param ahead `session` itself, if columns may be begun before the one before them was read */
  constructor(session: Decoding, ahead: DecodeSession | undefined, options: SampleOptions) {
    this.session = session;
    this.ahead = ahead;
    this.sample = capture(
      (logits: Tensor, keys: Tensor) => {
        const { ids, logProbs } = sampleTokens(logits, keys, options);
        // Whole numbers up to 2^24 are exact in f32, and vocabularies are smaller.
        const parts = [cast(ids, logProbs.dtype), logProbs, logProbGather(logits, ids)];
        return [ids, concat(parts, 0)] as const;
      },
      { fuse: false, signatures: 4 },
    );
  }

  /**
   * Column `step`: ids, log-probs as drawn and log-probs of the model, one after another, of each row.
   *
   * @param rows those of the column before that have not ended; after an end call `forget` first
   * @param more whether another column may follow
   */
  async draw(step: number, rows: readonly DrawnRow[], more: boolean): Promise<TypedArray> {
    const { session, ahead } = this;
    const entries = rows.map(({ row, last }) => ({ row, ids: [last] }));
    const column =
      this.next ?? this.begin(step, rows, () => (step === 0 ? session.prefill() : session.append(entries)));
    this.next = undefined;
    try {
      // Where rows end often, at most about one step in eight is computed for nothing.
      if (ahead && more && 8 * this.lost <= step) {
        const names = rows.map(({ row }) => row);
        this.next = this.begin(step + 1, rows, () => ahead.follow(names, column.ids));
      }
      return await column.values;
    } finally {
      await freed(column);
    }
  }

  /** Takes back what was begun for `rows` after column `step`: one of them has ended. */
  async forget(step: number, rows: readonly DrawnRow[]): Promise<void> {
    if (!this.next) return;
    for (const { row } of rows) this.ahead?.rewind(row, step);
    this.lost++;
    await this.drop();
  }

  /** Waits for what was begun and frees everything. */
  async dispose(): Promise<void> {
    await this.drop();
    this.sample.dispose();
  }

  private async drop(): Promise<void> {
    const { next } = this;
    this.next = undefined;
    if (next) await freed(next);
  }

  /** Draws from the logits and begins to read what was drawn. */
  private begin(step: number, rows: readonly DrawnRow[], logits: () => Tensor): Column {
    const words = Uint32Array.from(rows.flatMap((row) => row.keyAt(step)));
    const [ids, read] = scope(() => {
      const scores = logits(); // [E, V]
      const keys = tensor(words, { shape: [rows.length, 2], device: scores.device });
      return this.sample(scores, keys);
    });
    const values = read.data();
    values.catch(() => undefined); // a column begun ahead may fail before anyone asks for it; who asks is told
    return { ids, read, values };
  }
}

/** Frees a column once it has been read, or could not be. */
async function freed({ ids, read, values }: Column): Promise<void> {
  await values.catch(() => undefined);
  ids.dispose();
  read.dispose();
}
