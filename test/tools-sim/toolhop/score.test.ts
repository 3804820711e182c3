import { answersCorrectly, type Message, originalMatch, summariseToolHop } from "@pact/tools-sim";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

const assistant = (content: string): Message => ({ role: "assistant", content });
const tool = (content: string): Message => ({ role: "tool", content, name: "f" });

describe("originalMatch", () => {
  it.each([
    ["It is 2,010.", "2010", true],
    ["the answer is 2", "200", true],
    ["289", "289.0", true],
    ["289.0", "289", true],
    ["OSLO", "Oslo", true],
    // Commas are dropped from the output alone.
    ["Oslo, Norway", "Oslo, Norway", false],
    ["anything", "0", true],
    ["Bergen", "Oslo", false],
    ["", "Oslo", false],
  ])("%j holds %j: %s", (output, answer, expected) => {
    expect(originalMatch(output, answer)).toBe(expected);
  });

  it("finds an answer wherever it stands, and takes linear time", () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[a-z1-9]{1,8}$/), fc.string(), (answer, before) => {
        expect(originalMatch(`${before} ${answer}`, answer)).toBe(true);
      }),
    );
    const start = performance.now();
    originalMatch(`${"0.".repeat(500_000)}x`, "0".repeat(500_000));
    expect(performance.now() - start).toBeLessThan(1000);
  });
});

describe("answersCorrectly", () => {
  it.each<[string, Message[], boolean]>([
    ["the last message matches", [assistant("<answer>Vassar College</answer>")], true],
    [
      "the tool message before it matches",
      [tool('{"name": "Vassar College"}'), assistant("I do not know")],
      true,
    ],
    ["only an earlier tool message matches", [tool("Vassar College"), tool("no"), assistant("no")], false],
    ["the assistant says nothing", [tool("Vassar College"), assistant(" ")], false],
    ["the episode was cut after a call", [assistant("Vassar College"), tool("Vassar College")], false],
    ["there is no message", [], false],
    ["a user said it", [{ role: "user", content: "Vassar College" }, assistant("no")], false],
  ])("when %s", (_, messages, expected) => {
    expect(answersCorrectly(messages, "vassar college")).toBe(expected);
    expect(answersCorrectly(messages, "vassar college", originalMatch)).toBe(expected);
  });

  it("differs between the rules where they differ", () => {
    const messages = [assistant("Oslo, Norway 2")];
    expect(answersCorrectly(messages, "Norway, Oslo")).toBe(true);
    expect(answersCorrectly(messages, "Norway, Oslo", originalMatch)).toBe(false);
    expect(answersCorrectly(messages, "200")).toBe(false);
    expect(answersCorrectly(messages, "200", originalMatch)).toBe(true);
  });
});

it("summarises columns: errors per call over all calls, per query over episodes", () => {
  expect(summariseToolHop([])).toEqual({
    answerCorrectness: 0,
    answerCorrectnessOriginal: 0,
    invocationErrorPerCall: 0,
    invocationErrorPerQuery: 0,
  });
  const scores = [
    { correct: true, correctOriginal: true, calls: 3, callErrors: 0 },
    { correct: false, correctOriginal: true, calls: 5, callErrors: 2 },
    { correct: false, correctOriginal: true, calls: 0, callErrors: 0 },
    { correct: false, correctOriginal: false, calls: 0, callErrors: 0 },
  ];
  expect(summariseToolHop(scores)).toEqual({
    answerCorrectness: 0.25,
    answerCorrectnessOriginal: 0.75,
    invocationErrorPerCall: 0.25,
    invocationErrorPerQuery: 0.25,
  });
});
