/**
 * Sampling continuations of prompts: rows that stop on their own conditions over one `DecodeSession` (decode.ts), the
 * distribution truncated on the device (`sampleTokens`), and per step only the drawn ids and two log-probs read back.
 *
 * Every row has its own random stream, and token n is drawn with `foldIn(its key, n)`: what a row says depends on its
 * prompt and its key, not on the rows beside it (to the rounding of the kernels). On a GPU the next step is begun with ids
 * that the host has not seen yet (draw.ts): what is drawn is the same.
 * Left out: beams, speculative decoding.
 */
import { foldIn, type Key, key, NonFiniteError, tensor } from "@pact/tensor";
import type { TransformerConfig } from "./config.ts";
import { DecodeSession } from "./decode.ts";
import type { DecodeCache } from "./decode-cache.ts";
import { type DrawnTokens, TokenDraws } from "./draw.ts";
import { InputError } from "./errors.ts";
import type { Params } from "./params.ts";
import { type Decoder, TextStream } from "./text-stream.ts";
import { tokenEmbedding } from "./transformer.ts";

/** What `generate` samples from: a configuration and its parameters (with adapters: `{ ...params, ...weights }`). */
export type GenerationModel = { readonly config: TransformerConfig; readonly params: Params };

/** Options of `generate`; all but `maxTokens` have defaults. */
export type GenerateOptions = {
  /** Most tokens per row; at least 1. */
  readonly maxTokens: number;
  /** Continuations of each prompt, which share its keys and values; default 1. */
  readonly samples?: number;
  /** Default 1; 0 takes the likeliest token. */
  readonly temperature?: number;
  /** Keeps the k likeliest tokens; default all. See `SampleOptions` for ties. */
  readonly topK?: number;
  /** Keeps the likeliest tokens up to this mass; default 1, all. */
  readonly topP?: number;
  /** Keeps tokens at least this many times as likely as the likeliest; default 0, all. */
  readonly minP?: number;
  /** Added to the logits of token ids; −Infinity forbids one. */
  readonly logitBias?: Readonly<Record<number, number>>;
  /** A row ends after any of these ids, which its tokens include and its text does not. */
  readonly stopTokens?: readonly number[];
  /** A row ends when its text contains any of these, also across tokens; the text is cut before it, the tokens stay. */
  readonly stopStrings?: readonly string[];
  /** Makes text of tokens; without it text is "" and there can be no stop strings. */
  readonly tokenizer?: Decoder;
  /** Stream of random numbers, default `key(0)`: sample s of prompt p draws with `foldIn(foldIn(key, p), s)`. */
  readonly key?: Key;
  /** Or the stream of each row, prompt by prompt. */
  readonly keys?: readonly Key[];
  /** Keeps keys and values for the next call, for one prompt with one sample; default: they are freed. */
  readonly cache?: DecodeCache;
  /** Ends sampling with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Tokens per pass over the model; see `DecodeOptions`. */
  readonly tokensPerPass?: number;
};

/** Why a row ended: a stop token, a stop string, or `maxTokens`. */
export type FinishReason = "token" | "string" | "length";

/** One sampled token of one row. */
export type SampledToken = {
  /** prompt · samples + sample. */
  readonly row: number;
  readonly id: number;
  /** ln of its probability under the distribution it was drawn from: bias, temperature, truncation (greedy: softmax). */
  readonly logProb: number;
  /** ln of its probability under the model itself: temperature 1, no bias, no truncation. */
  readonly modelLogProb: number;
  /** Characters of the row's text that are certain now. */
  readonly text: string;
  /** Set on the last token of a row. */
  readonly finish?: FinishReason;
};

/** One finished row. */
export type Generation = {
  readonly prompt: number;
  readonly ids: readonly number[];
  readonly logProbs: readonly number[];
  readonly modelLogProbs: readonly number[];
  readonly text: string;
  readonly finish: FinishReason;
};

/** A row while it grows. */
type Row = {
  readonly row: number;
  readonly text: TextStream | undefined;
  last: number;
  /** The words of its key for each token. */
  keyAt(step: number): readonly number[];
};

/**
 * Samples continuations and yields them column by column: at each step the next token of every row that has not ended.
 * Leaving the loop frees the cache.
 *
 * @param prompts token ids of each prompt, at least one each
 * @throws InputError for options that make no sense, CapacityError if prompt and `maxTokens` exceed the model's positions,
 *   NonFiniteError if the model's logits hold NaN, and the reason of an aborted signal
 * @example
 * ```ts
 * const config = configFromJson({
 *   model_type: "gpt", activation_function: "gelu_tanh", vocab_size: 8, hidden_size: 4,
 *   num_hidden_layers: 1, num_attention_heads: 2, max_position_embeddings: 16,
 * });
 * const columns = generateTokens({ config, params: initParams(config, key(0)) }, [[1, 2]], { maxTokens: 3, samples: 2 });
 * const rows: number[] = [];
 * for await (const column of columns) rows.push(...column.map(({ row }) => row));
 * rows; // → [0, 1, 0, 1, 0, 1]
 * ```
 */
export async function* generateTokens(
  { config, params }: GenerationModel,
  prompts: readonly ArrayLike<number>[],
  options: GenerateOptions,
): AsyncGenerator<readonly SampledToken[], void, undefined> {
  const { maxTokens, samples = 1, stopTokens = [], stopStrings = [], tokenizer, signal } = options;
  check(options, prompts.length);
  const promptOfRow = prompts.flatMap((_, prompt) => new Array<number>(samples).fill(prompt));
  const keys = options.keys ?? promptOfRow.map((prompt, row) => streamOf(options, prompt, row % samples));
  let live = promptOfRow.map((_, row): Row => {
    const text = tokenizer && new TextStream(tokenizer, stopStrings);
    return { row, keyAt: (step) => foldIn(keys[row], step), text, last: 0 };
  });
  const rows = promptOfRow.map((prompt) => ({ prompt, capacity: maxTokens - 1 }));
  const { cache, tokensPerPass } = options;
  using own = cache ? undefined : new DecodeSession(config, params, { prompts, rows, tokensPerPass });
  const session = own ?? cache!.begin({ config, params }, prompts[0], maxTokens - 1, tokensPerPass);
  const { device } = tokenEmbedding(config, params);
  const { temperature = 1, topK, topP, minP, logitBias } = options;
  const bias = logitBias && tensor(biasOf(config, logitBias), { device }); // [V]
  const sampling = { temperature, topK, topP, minP, bias };
  const draws = new TokenDraws(session, { ...sampling, modelLogProbs: true });
  const keysAt = (step: number) => Uint32Array.from(live.flatMap((row) => row.keyAt(step)));
  try {
    for (let step = 0; step < maxTokens && live.length > 0; step++) {
      signal?.throwIfAborted();
      const entries = live.map(({ row, last }) => ({ row, ids: [last] }));
      const following = step + 1 < maxTokens ? keysAt(step + 1) : undefined;
      const drawn = await (step === 0
        ? draws.first(live.length, keysAt(step), following)
        : draws.next(entries, keysAt(step), following)
      )
        .then((values) => checked(values, live, step))
        .catch((error) => {
          cache?.dispose(); // what it holds may be what failed
          throw error;
        });
      const column = live.map((row, i): SampledToken => {
        const [id, logProb, modelLogProb] = [drawn.ids[i], drawn.logProbs[i], drawn.modelLogProbs[i]];
        row.last = id;
        const stop = stopTokens.includes(id);
        let text = stop ? "" : (row.text?.push(id) ?? "");
        let finish: FinishReason | undefined;
        if (stop) finish = "token";
        else if (row.text?.stopped) finish = "string";
        else if (step + 1 === maxTokens) finish = "length";
        if (finish) text += row.text?.end() ?? "";
        return { row: row.row, id, logProb, modelLogProb, text, ...(finish && { finish }) };
      });
      live = live.filter((_, i) => column[i].finish === undefined);
      yield column;
    }
  } finally {
    await draws.dispose();
    bias?.dispose();
  }
}

/**
 * Samples continuations of prompts to their ends; the options and errors are those of `generateTokens`.
 *
 * @returns one generation per row: the samples of the first prompt, then of the second, …
 * @example
 * ```ts
 * const config = configFromJson({
 *   model_type: "gpt", activation_function: "gelu_tanh", vocab_size: 8, hidden_size: 4,
 *   num_hidden_layers: 1, num_attention_heads: 2, max_position_embeddings: 16,
 * });
 * const model = { config, params: initParams(config, key(0)) };
 * const [row] = await generate(model, [[1, 2]], { maxTokens: 5, temperature: 0, logitBias: { 7: 50 } });
 * row.ids; // → [7, 7, 7, 7, 7]
 * row.finish; // → "length"
 * ```
 */
export async function generate(
  model: GenerationModel,
  prompts: readonly ArrayLike<number>[],
  options: GenerateOptions,
): Promise<Generation[]> {
  const rows = prompts.length * (options.samples ?? 1);
  const columns: (readonly SampledToken[])[] = [];
  for await (const column of generateTokens(model, prompts, options)) columns.push(column);
  return Array.from({ length: rows }, (_, row): Generation => {
    const tokens = columns.flatMap((column) => column.filter((token) => token.row === row));
    return {
      prompt: Math.floor(row / (options.samples ?? 1)),
      ids: tokens.map(({ id }) => id),
      logProbs: tokens.map(({ logProb }) => logProb),
      modelLogProbs: tokens.map(({ modelLogProb }) => modelLogProb),
      text: tokens.map(({ text }) => text).join(""),
      finish: tokens.at(-1)?.finish ?? "length",
    };
  });
}

function checked(drawn: DrawnTokens, live: readonly Row[], step: number): DrawnTokens {
  const broken = drawn.logProbs.findIndex(Number.isNaN);
  if (broken >= 0)
    throw new NonFiniteError(
      `generate: the logits for token ${step} of row ${live[broken].row} hold NaN, or nothing but −∞. Unless logitBias forbids every token, look for the parameter or operation they come from: debug.checkFinite(() => forwardHidden(config, params, packed)).`,
    );
  return drawn;
}

function biasOf({ vocabSize }: TransformerConfig, logitBias: Readonly<Record<number, number>>): Float32Array {
  const bias = new Float32Array(vocabSize);
  for (const [id, value] of Object.entries(logitBias)) {
    const known = Number.isInteger(Number(id)) && Number(id) >= 0 && Number(id) < vocabSize;
    if (!known || Number.isNaN(value) || value === Number.POSITIVE_INFINITY)
      throw new InputError(
        `generate: logitBias gives id ${id} the bias ${value}; expected whole ids from 0 to ${vocabSize - 1} with finite numbers or −Infinity. Force an id with a large one: { ${id}: 100 }.`,
      );
    bias[Number(id)] = value;
  }
  return bias;
}

function streamOf({ key: stream = key(0) }: GenerateOptions, prompt: number, sample: number): Key {
  return foldIn(foldIn(stream, prompt), sample);
}

function check(options: GenerateOptions, prompts: number): void {
  const { maxTokens, samples = 1, stopTokens = [], stopStrings = [], tokenizer, keys, cache } = options;
  const fault = (text: string) => {
    throw new InputError(`generate: ${text}`);
  };
  for (const [name, value] of Object.entries({ maxTokens, samples })) {
    if (!Number.isInteger(value) || value < 1)
      fault(`${name} is ${value}, expected a whole number ≥ 1. Pass { ${name}: 1 } or more.`);
  }
  const lost = stopTokens.find((id) => !Number.isInteger(id) || id < 0);
  if (lost !== undefined)
    fault(`stopTokens holds ${lost}, which is no id; ids are whole numbers ≥ 0. Leave it out.`);
  if (stopStrings.length > 0 && !tokenizer)
    fault("stopStrings need text, and there is no tokenizer. Pass { tokenizer } or use stopTokens.");
  if (stopStrings.includes("")) fault('stopStrings holds "", which every text contains. Leave it out.');
  if (cache && prompts * samples !== 1)
    fault(`cache keeps one row, and there are ${prompts * samples}. Leave it out, or sample one at a time.`);
  if (keys && keys.length !== prompts * samples)
    fault(
      `keys has ${keys.length} entries, expected ${prompts * samples}, one per row. Or pass one: { key }.`,
    );
}
