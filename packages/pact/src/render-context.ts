/**
 * Renderings of a trace for a context that nobody trains on, where parts of its turns may be missing: as earlier turns, or
 * as reference material in the user turn. Which parts: contexts.ts.
 */
import type { Task, TraceTurn } from "@pact/tools-sim";
import { sftLabel, writeCall, writeObservations, writeQuestion, writeReasoning } from "./render.ts";
import { type TokenCodec, type TokenRun, TokenWriter } from "./tokens.ts";

/** Turns of a trace as a context shows them: any part of a turn may be missing. */
export type ShownTurns = readonly Pick<TraceTurn, "chunks" | "calls" | "observations">[];

/**
 * A trace for a context that nobody trains on, in the form of `renderTrace`, where parts of turns may be missing. Each
 * turn keeps its stop token.
 * @example
 * ```ts
 * const codec = trainBpe([], { vocabSize: 269, controlTokens }); // bytes and control tokens
 * const [shown] = [renderShown(codec, [{ chunks: [], calls: [], observations: ["7"] }])];
 * codec.decode(shown.ids); // → "<|end|><|tool|>7<|end|>"
 * ```
 */
export function renderShown(codec: TokenCodec, turns: ShownTurns): TokenRun {
  const writer = new TokenWriter(codec);
  turns.forEach((turn, index) => {
    if (index > 0) writer.control("<|assistant|>", "template");
    writeReasoning(writer, turn.chunks, [], false);
    for (const call of turn.calls) writeCall(writer, call, sftLabel.context);
    writer.control("<|end|>", "call");
    writeObservations(writer, turn.observations);
  });
  return writer;
}

/**
 * The prompt of a task with a trace as reference material at the end of the user turn: a line `Reference:`, then for
 * each turn its reasoning and calls, and a line for each observation. The role tokens of turns do not occur in it.
 * @example
 * ```ts
 * const codec = trainBpe([], { vocabSize: 269, controlTokens }); // bytes and control tokens
 * const { ids } = renderReference(codec, { tools: [], question: "Who?" }, []);
 * codec.decode(ids); // → "<|system|><|end|><|user|>Who?\nReference:<|end|><|assistant|>"
 * ```
 */
export function renderReference(
  codec: TokenCodec,
  task: Pick<Task, "tools" | "question">,
  turns: ShownTurns,
): TokenRun {
  const writer = new TokenWriter(codec);
  writeQuestion(writer, task);
  writer.text("\nReference:", "template");
  for (const turn of turns) {
    writer.text("\n", "template");
    writeReasoning(writer, turn.chunks, [], false);
    for (const call of turn.calls) writeCall(writer, call, sftLabel.context);
    for (const observation of turn.observations) {
      writer.text("\n", "template");
      writer.text(observation, "observation");
    }
  }
  writer.control("<|end|>", "template");
  writer.control("<|assistant|>", "template");
  return writer;
}
