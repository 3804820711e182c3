/** A served model as a policy. */
import type { Policy, PolicyContext } from "../episodes.ts";
import { hash } from "../rng.ts";
import type { ChatClient } from "./client.ts";
import type { Completion } from "./reply.ts";

/** How a served model is asked. */
export interface ChatPolicyOptions {
  /** Left to the server if absent, as is the next. */
  temperature?: number;
  /** Most tokens of one turn. */
  maxTokens?: number;
  /** With a seed, each attempt at each task asks with a seed of its own, the same in every run. */
  seed?: number;
  /** Called with every answer, for counting. */
  onCompletion?(context: PolicyContext, completion: Completion): void;
}

/**
 * A policy that asks a served model for every turn.
 *
 * @example
 * ```ts
 * const policy = chatPolicy(createChatClient({ baseUrl, model }), { temperature: 0.7, seed: 1 });
 * for await (const { outcome } of runEpisodes(sources, policy)) console.log(outcome);
 * ```
 */
export function chatPolicy(client: ChatClient, options: ChatPolicyOptions = {}): Policy {
  const { temperature, maxTokens, seed, onCompletion } = options;
  return async (context) => {
    const { taskId, attempt, messages, tools, signal } = context;
    const completion = await client.complete({
      messages,
      tools,
      temperature,
      maxTokens,
      // Servers read a signed 32-bit number.
      seed: seed === undefined ? undefined : hash("endpoint", seed, taskId, attempt) >>> 1,
      signal,
    });
    onCompletion?.(context, completion);
    return completion.message;
  };
}
