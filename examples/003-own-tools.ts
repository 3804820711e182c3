// An environment over tools of one's own, played by a scripted policy.   npx tsx --conditions=source examples/003-own-tools.ts
import { createToolEnvironment, tool } from "@pact/tools-sim";
import { z } from "zod"; // or Valibot, ArkType, or plain JSON Schema

// A function, so that every episode starts with the same shelf.
const shop = () => {
  const shelf = new Map([
    ["lamp", 2],
    ["chair", 1],
  ]);
  return {
    look: tool({
      description: "Says how many of an item are left.",
      inputSchema: z.object({ item: z.string() }),
      execute: ({ item }) => ({ item, left: shelf.get(item) ?? 0 }),
    }),
    buy: tool({
      description: "Buys some of an item.",
      inputSchema: z.object({ item: z.string(), count: z.int().positive() }),
      execute({ item, count }) {
        const left = shelf.get(item) ?? 0;
        if (left < count) throw new Error(`only ${left} left`); // the policy reads this
        shelf.set(item, left - count);
        return { bought: count };
      },
    }),
  };
};

const environment = createToolEnvironment({
  id: "two-lamps",
  messages: [{ role: "user", content: "Buy two lamps." }],
  tools: shop,
  score: ({ calls }) => {
    const bought = calls.some(({ call, observation }) => call.function.name === "buy" && !observation.error);
    return { success: bought, value: bought ? 1 : 0 };
  },
});

// What a policy may answer, in four syntaxes; the second and third make mistakes that it is told about.
const replies = [
  '<tool_call>{"name": "look", "arguments": {"item": "lamp"}}</tool_call>',
  "<tool_call><function=buy><parameter=item>lamp</parameter><parameter=count>two</parameter></function></tool_call>",
  "[buy(item='lamp', count=3)]",
  '<tool_call>{"name": "buy", "arguments": {"item": "lamp", "count": 2}}</tool_call>',
  "<answer>Two lamps are on their way.</answer>",
];
const { messages, tools } = environment.reset();
console.log(
  messages[0].content,
  tools.map((each) => each.function.name),
);
for (const reply of replies) {
  const { observations, stopReason } = await environment.step(reply);
  console.log(observations.map(({ content }) => content).join(" ") || stopReason);
}
const { success, value } = environment.outcome();
console.log(success ? "solved" : "not solved", value);
if (!success) throw new Error("the lamps were not bought");
