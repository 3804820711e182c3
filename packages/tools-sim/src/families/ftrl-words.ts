/** The words of `ftrl-like` tasks: questions and tool definitions. */
import type { Random } from "../rng.ts";
import { calculatorName } from "../tools.ts";
import type { Category, Chain, ToolDefinition } from "../types.ts";
import type { Relation } from "../world.ts";

/** `the age of the mayor of "Bavo"`. */
function phraseChain(chain: Chain): string {
  const nouns = [...chain.relations].reverse().map((name) => `the ${name} of `);
  return `${nouns.join("")}"${chain.entity}"`;
}

const singleTemplates = ["What is P?", "Find P.", "Look up P.", "Tell me P."];
const listTemplates = ["What are P?", "Find P.", "Look up P.", "Tell me P."];
const sumTemplates = ["What is the sum of P?", "Find the sum of P.", "Add P.", "Look up and add P."];

/** A question for the chains' values, or for their sum: one of the usual wordings. */
export function phraseQuestion(random: Random, category: Category, chains: Chain[], sum: boolean): string {
  const templates = sum ? sumTemplates : category.startsWith("parallel") ? listTemplates : singleTemplates;
  const phrases = chains.map(phraseChain);
  const last = phrases.pop() as string;
  const list = phrases.length === 0 ? last : `${phrases.join(", ")} and ${last}`;
  // A function as the replacement, because "$" in a string would be special.
  return random.pick(templates).replace("P", () => list);
}

const otherTemplates = ["I need to know P.", "Kindly find out P."];
const otherSumTemplates = ["How much is P together?", "I need the total of P."];

/** Another wording than those of `phraseQuestion`: other templates, and `"Bavo"'s mayor` where there is one relation. */
export function rephraseQuestion(random: Random, chains: Chain[], sum: boolean): string {
  const phrases = chains.map((chain) =>
    chain.relations.length === 1 && random.chance(0.5)
      ? `"${chain.entity}"'s ${chain.relations[0]}`
      : phraseChain(chain),
  );
  const template = random.pick(sum ? otherSumTemplates : otherTemplates);
  return template.replace("P", () => phrases.join(" and "));
}

/** The tool that looks up a relation. */
export function lookupDefinition(name: string, relation: Relation, isReworded: boolean): ToolDefinition {
  return {
    type: "function",
    function: {
      name,
      description: isReworded
        ? `Answers: which ${relation.name} has this ${relation.from}?`
        : `Looks up the ${relation.name} of a ${relation.from}.`,
      parameters: {
        type: "object",
        properties: { [relation.from]: { type: "string", description: `Name of the ${relation.from}.` } },
        required: [relation.from],
      },
    },
  };
}

/** The tool that adds. */
export const calculatorDefinition: ToolDefinition = {
  type: "function",
  function: {
    name: calculatorName,
    description: "Adds two non-negative integers.",
    parameters: {
      type: "object",
      properties: { a: { type: "integer" }, b: { type: "integer" } },
      required: ["a", "b"],
    },
  },
};
