/**
 * What every environment promises, as one suite: each family calls it with a way to make environments and a scripted
 * policy that solves them. Skips carry their reason.
 */
import { type Environment, EnvironmentError, type Message, runEpisode } from "@pact/tools-sim";
import { describe, expect, it } from "vitest";

/** How the suite makes and plays environments of a family. */
export interface EnvironmentCase {
  name: string;
  /** A fresh environment of one fixed task. */
  create(): Environment<unknown, string>;
  /** The replies that solve the task, in order. */
  solution: readonly (string | Message)[];
}

const nonsense = [
  "",
  "no call at all",
  "<tool_call>",
  '<tool_call>{"name": 3}</tool_call>',
  '<tool_call>{"name": "no_such_tool", "arguments": {}}</tool_call>',
  '<tool_call>{"name": "__proto__", "arguments": {"__proto__": 1}}</tool_call>',
  `<tool_call>{"name": "x", "arguments": ${"[".repeat(5000)}</tool_call>`,
  "<think>",
  "\ud800",
];

/** Registers the suite for one family. */
export function conformsToEnvironment({ name, create, solution }: EnvironmentCase): void {
  const play = async (replies: readonly (string | Message)[]) => {
    const environment = create();
    const transcript: unknown[] = [environment.reset()];
    let last: Awaited<ReturnType<typeof environment.step>> | undefined;
    for (const reply of replies) {
      if (last?.done) break;
      last = await environment.step(reply);
      transcript.push(last);
    }
    const outcome = environment.outcome();
    await environment.close();
    return { transcript, outcome, last };
  };

  describe(`${name} is an environment`, () => {
    it("that its solution solves", async () => {
      const { outcome, last } = await play(solution);
      expect(last).toMatchObject({ done: true, terminated: true, truncated: false });
      // NOTE: the value may be below 1: an expert meets failing tools too, and Solve-F1 counts every call.
      expect(outcome.success).toBe(true);
      expect(outcome.value).toBeGreaterThan(0.5);
    });

    it("that answers alike whenever it is made, also when two run interleaved", async () => {
      const alone = await play(solution);
      const [a, b] = await Promise.all([play(solution), play(solution)]);
      expect(a.transcript).toEqual(alone.transcript);
      expect(b.transcript).toEqual(alone.transcript);
    });

    it("that is used once, in order, and closed at any time", async () => {
      const environment = create();
      await expect(environment.step("x")).rejects.toThrow(EnvironmentError);
      environment.reset();
      expect(() => environment.reset()).toThrow(EnvironmentError);
      await environment.close();
      await environment.close();
    });

    it("whose answers are its own: changing them changes no later episode", async () => {
      const environment = create();
      const { messages, tools } = environment.reset();
      for (const message of messages) message.content = "changed";
      tools.length = 0;
      await environment.close();
      const again = create();
      const start = again.reset();
      expect(start.messages.some(({ content }) => content === "changed")).toBe(false);
      await again.close();
    });

    it("that nonsense neither crashes nor hangs, and that ends at last", async () => {
      for (const reply of nonsense) {
        const result = await runEpisode({ taskId: name, create }, async () => reply);
        expect(result.turns).toBeGreaterThan(0);
        expect(result.error).toBeUndefined();
        expect(result.outcome.value).toBeGreaterThanOrEqual(0);
        expect(result.outcome.value).toBeLessThanOrEqual(1);
      }
    });

    it("whose steps say either terminated or truncated when done, and neither before", async () => {
      const environment = create();
      environment.reset();
      for (const reply of solution) {
        const step = await environment.step(reply);
        expect(step.done).toBe(step.stopReason !== undefined);
        expect(step.terminated !== step.truncated).toBe(step.done);
        if (!step.done) expect(step.messages.length).toBeGreaterThan(0);
        else break;
      }
      await expect(environment.step("more")).rejects.toThrow(EnvironmentError);
      await environment.close();
    });
  });
}
