/**
 * One rollout while it runs: takes sampled tokens, acts at the end of each turn, and inserts what the environment says.
 *
 * A turn ends at its sampled stop token; only then is it parsed and acted upon, so nothing sampled can forge an
 * observation. Sampled ids and log-probs are recorded as they come and never encoded again. Left out: sampling, which is
 * the policy's, and the batch (rollout.ts).
 */

import { ChatTemplateError } from "@pact/nn";
import { foldIn, type Key } from "@pact/tensor";
import { createEnvironment, type Environment, type StopReason } from "@pact/tools-sim";
import type { Continuation, PastTurn } from "./dialect.ts";
import { RenderError, RolloutError } from "./errors.ts";
import type { Rollout, RolloutOptions, RolloutPrompt, RolloutTurn } from "./rollout.ts";
import type { RolloutSplit, RolloutStop } from "./run-sink.ts";

const stopOf: { readonly [Reason in StopReason]: RolloutStop } = {
  answer: "answer",
  no_call: "no_action",
  turn_limit: "max_turns",
  malformed: "environment",
};

/** State of one rollout while it runs. */
export class Episode {
  /** Why it ended; null while it goes on. */
  stop: RolloutStop | null = null;
  readonly #prompt: RolloutPrompt;
  readonly #index: number;
  readonly #options: RolloutOptions;
  readonly #environment: Environment;
  readonly #key: Key;
  readonly #ids: number[] = [];
  readonly #roles: number[] = [];
  readonly #turnOf: number[] = [];
  readonly #logProbs: number[] = [];
  readonly #turns: RolloutTurn[] = [];
  readonly #past: PastTurn[] = [];
  readonly #splits: RolloutSplit[] = [];
  #turnStart = 0;
  /** Tokens of new prompts, which `maxRolloutTokens` does not count. */
  #uncounted = 0;
  /** Tokens up to here are in the policy's cache. */
  #appended = 0;

  constructor(prompt: RolloutPrompt, index: number, options: RolloutOptions) {
    this.#prompt = prompt;
    this.#index = index;
    this.#options = options;
    const { maxTurns, createRunner, dialect } = options;
    this.#environment = createEnvironment(prompt.task, { maxTurns, createRunner, answers: dialect.answers });
    this.#environment.reset();
    this.#key = foldIn(foldIn(options.key, prompt.stream), index);
  }

  /** Gives back what the episode's tools hold. */
  close(): Promise<void> {
    return this.#environment.close();
  }

  /** Random key of the next token, or of the one `later` tokens after it. */
  tokenKey(later = 0): Key {
    return foldIn(this.#key, this.#ids.length + later);
  }

  /** Tokens that the policy has not been shown yet; from then on they count as shown. */
  pending(): number[] {
    const ids = this.#ids.slice(this.#appended);
    this.#appended = this.#ids.length;
    return ids;
  }

  /** It waits for `restart`: what is to be sampled next stands behind a new prompt. */
  get isSplit(): boolean {
    return this.stop === null && this.#splits.at(-1)?.end === this.#ids.length;
  }

  /** The prompt of a split rollout, whole, and how many tokens may follow it. */
  restart(): { readonly prompt: readonly number[]; readonly capacity: number } {
    const { start, end } = this.#splits[this.#splits.length - 1];
    this.#appended = end;
    return { prompt: this.#ids.slice(start, end), capacity: this.#options.maxRolloutTokens - this.#counted };
  }

  /** Tokens so far that `maxRolloutTokens` counts. */
  get #counted(): number {
    return this.#ids.length - this.#uncounted;
  }

  /** Takes one sampled token; at the end of a turn, acts on it. */
  async take(id: number, logProb: number): Promise<void> {
    this.#ids.push(id);
    this.#turnOf.push(this.#turns.length);
    this.#logProbs.push(logProb);
    const turnTokens = this.#ids.length - this.#turnStart;
    if (this.#options.dialect.isStop(id)) await this.#act();
    else if (turnTokens >= this.#options.maxTurnTokens) this.#cut("turn_tokens");
    else if (this.#counted >= this.#options.maxRolloutTokens) this.#cut("rollout_tokens");
  }

  async #act(): Promise<void> {
    const { ids, text } = this.#endTurn();
    const { observations, parsed, stopReason } = await this.#environment.step(text, {
      signal: this.#options.signal,
    });
    this.#turns.push({
      start: this.#turnStart,
      end: this.#ids.length,
      text,
      calls: parsed.calls.map(({ function: { name, arguments: args } }) => ({ name, arguments: args })),
      // Only an answer that ends the episode counts: one beside a call could be repeated and rewarded every turn.
      answer: stopReason === "answer" ? (parsed.answer ?? null) : null,
      outputs: observations.flatMap(({ content }, index) =>
        parsed.blocks[index].call === undefined ? [] : [content],
      ),
      malformedCalls: parsed.blocks.filter((block) => block.error !== undefined).length,
      failedCalls: observations.filter(({ error }, index) => error && parsed.blocks[index].call !== undefined)
        .length,
      complete: true,
    });
    if (stopReason !== undefined) {
      this.stop = stopOf[stopReason];
      return;
    }
    this.#past.push({ ids, parsed, observations });
    const rendered = this.#continuation();
    if (rendered === undefined) {
      this.stop = "environment";
      return;
    }
    const { split } = rendered;
    // A new prompt counts as what it stands for, or as more where it is longer: x and the counted tokens always fit.
    const counted = split
      ? Math.max(this.#counted, rendered.ids.length - this.#prompt.tokens.ids.length)
      : this.#counted + rendered.ids.length;
    // Room for the observations and one more sampled token; a row never ends in tokens that nobody sampled.
    if (counted >= this.#options.maxRolloutTokens) {
      this.stop = "rollout_tokens";
      return;
    }
    const start = this.#ids.length;
    rendered.ids.forEach((id, position) => {
      this.#ids.push(id);
      this.#roles.push(rendered.roles[position]);
      this.#turnOf.push(-1);
      this.#logProbs.push(0);
    });
    if (split) this.#splits.push({ start, end: this.#ids.length, ...split });
    this.#uncounted = this.#ids.length - counted;
    this.#turnStart = this.#ids.length;
  }

  /** What follows the turn just taken; undefined where a chat template refuses what was sampled. */
  #continuation(): Continuation | undefined {
    try {
      return this.#options.dialect.afterTurn(this.#prompt.task, this.#past);
    } catch (error) {
      if (error instanceof ChatTemplateError || error instanceof RenderError) return undefined;
      throw error;
    }
  }

  /** Ends a turn before its stop token. It is not acted upon, so it earns nothing. */
  #cut(reason: RolloutStop): void {
    const { text } = this.#endTurn();
    this.#turns.push({
      start: this.#turnStart,
      end: this.#ids.length,
      text,
      calls: [],
      answer: null,
      outputs: [],
      malformedCalls: 0,
      failedCalls: 0,
      complete: false,
    });
    this.stop = reason;
  }

  /** Ids and text of the turn just ended; gives its tokens their roles. */
  #endTurn(): { readonly ids: readonly number[]; readonly text: string } {
    const ids = this.#ids.slice(this.#turnStart);
    const { text, roles } = this.#options.dialect.turn(ids);
    for (const role of roles) this.#roles.push(role);
    return { ids, text };
  }

  /** The rollout, once it has stopped. */
  finish(): Rollout {
    if (this.stop === null) throw new RolloutError("A rollout was finished before it stopped.");
    return {
      prompt: this.#prompt,
      index: this.#index,
      ids: this.#ids,
      roles: this.#roles,
      turnOf: this.#turnOf,
      samplerLogProbs: this.#logProbs,
      turns: this.#turns,
      ...(this.#splits.length > 0 && { splits: this.#splits }),
      stop: this.stop,
      score: this.#environment.score(),
      success: this.#environment.outcome().success,
    };
  }
}
