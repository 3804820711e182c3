/**
 * What a teacher's episode must be to count as a trace: whole, well formed, free of protocol text in its observations, and
 * verified. Rules after arXiv 2606.16215; an episode without a final answer is dropped even where its last observation
 * verifies, since plain fine-tuning needs one.
 */
import { match } from "../scoring.ts";
import type { Task } from "../types.ts";
import type { PlayedEpisode } from "./teacher.ts";
import type { DropReason, Evidence } from "./types.ts";

/** Role text: chat-template tokens, or a line that begins with a role's name and a colon. */
const roleText = /<\|\w{1,40}\|>|^[ \t]{0,40}(?:system|user|assistant|human)[ \t]{0,9}:/im;
/** Tags of the call protocol. */
const callTags = /<\/?(?:tool_call|tool_response|tools|think|answer)>/i;

/** A reason to drop an episode, with what was found. */
export interface Defect {
  reason: DropReason;
  detail: string;
}

/**
 * The first reason why an episode is no trace, or what verified it.
 *
 * @example
 * ```ts
 * const [source] = openSuite("ftrl-like", { count: 1 }).tasks;
 * const result = await runEpisode(source, () => Promise.reject(new Error("down")));
 * const task: Pick<Task, "answer" | "tools" | "setup"> = { answer: "7", tools: [], setup: { kind: "ftrl", calls: [] } };
 * judgeEpisode({ result, turns: [] }, task); // → { reason: "teacher_failed", detail: "down" }
 * ```
 */
export function judgeEpisode(
  { result, turns }: PlayedEpisode,
  task: Pick<Task, "answer" | "tools" | "setup">,
): Defect | { verifiedBy: Evidence } {
  if (result.error !== undefined) return { reason: "teacher_failed", detail: result.error };
  const names = new Set(task.tools.map((tool) => tool.function.name));
  const toolTurns = turns.filter(({ parsed }) => parsed.blocks.length > 0);
  const final = turns.at(-1);
  const defect = turns
    .map((turn, index) => turnDefect(turn, index, names))
    .find((found) => found !== undefined);
  if (defect) return defect;
  if (result.truncated || final === undefined)
    return { reason: "turn_limit", detail: `no end after ${turns.length} turns (${result.stopReason})` };
  const { answer } = final.parsed;
  if (answer === undefined || answer === "")
    return { reason: "no_answer", detail: "the last turn has no text in <answer> tags" };
  if (toolTurns.length === 0) return { reason: "no_calls", detail: "the answer came without a call" };
  const last = toolTurns.at(-1)?.observations.at(-1)?.content ?? "";
  const verifiedBy = isJudgedByOutcome(task)
    ? result.outcome.success && ("outcome" as const)
    : evidenceOf(answer, last, task.answer);
  return !verifiedBy
    ? {
        reason: "not_verified",
        detail: isJudgedByOutcome(task)
          ? "the environment says that the task is not solved"
          : "neither the final answer nor the last observation holds the reference",
      }
    : { verifiedBy };
}

function turnDefect(
  { parsed, observations }: PlayedEpisode["turns"][number],
  index: number,
  names: ReadonlySet<string>,
): Defect | undefined {
  const found = (reason: DropReason, detail: string): Defect => ({
    reason,
    detail: `turn ${index}: ${detail}`,
  });
  if (parsed.errors.length > 0) return found("malformed_turn", parsed.errors[0].message);
  if (parsed.calls.length > 0 && parsed.answer !== undefined)
    return found("malformed_turn", "calls and an answer in one turn");
  if (observations.length !== parsed.calls.length)
    return found("malformed_turn", `${parsed.calls.length} calls and ${observations.length} observations`);
  const unknown = parsed.calls.find((call) => !names.has(call.function.name));
  if (unknown)
    return found("unknown_tool", `no tool is called ${JSON.stringify(unknown.function.name.slice(0, 100))}`);
  for (const { content } of observations) {
    const role = roleText.exec(content);
    if (role) return found("role_text_in_observation", JSON.stringify(role[0]));
    const tag = callTags.exec(content);
    if (tag) return found("call_tags_in_observation", JSON.stringify(tag[0]));
  }
  return undefined;
}

/** Stateful families are judged by the state that the calls left, which an answer can not show. */
function isJudgedByOutcome({ answer, setup }: Pick<Task, "answer" | "setup">): boolean {
  return setup.kind === "bfcl-like" || answer === "";
}

/** What verifies an episode that has a reference: FTRL's `match` against it. */
function evidenceOf(answer: string, last: string, reference: string): Evidence | undefined {
  if (match(answer, reference)) return "answer";
  return match(last, reference) ? "last_observation" : undefined;
}

/**
 * Whether observations hold the reference answer, each of its parts in any of them: what a context with them gives away.
 *
 * @example
 * ```ts
 * holdsAnswer(['{"mayor": "Mira"}'], "Mira"); // → true
 * ```
 */
export function holdsAnswer(observations: readonly string[], reference: string): boolean {
  return reference !== "" && match(observations.join("\n"), reference);
}
