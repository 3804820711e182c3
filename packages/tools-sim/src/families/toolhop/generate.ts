/**
 * Generates `toolhop-like` tasks: one question, several hops, one tool for each hop's sub-question. The first hops look
 * things up in a synthetic world, the last ones are exact functions of the value (text turned round, letters counted,
 * digits summed, dates moved), as in ToolHop (Ye et al., arXiv 2501.02506, data CC BY 4.0; nothing of it is used here).
 *
 * Scored by FTRL's Solve measures and by answer correctness. Train and held-out tasks share no entity, no relation and no
 * function. Left out: ToolHop's direct and free scenarios, and tools with several arguments.
 */
import { Random } from "../../rng.ts";
import type { ChainSetup, Split, Task, ToolDefinition } from "../../types.ts";
import { dateRelations, entityTypes, type Relation, relationsOf, World } from "../../world.ts";
import { maxNoise } from "../noise.ts";
import { checkDial, checkedDials, checkOptions, type DialDomain, type GenerateOptions } from "../options.ts";
import { argumentKey, chainValue } from "./runner.ts";
import { chainTrace } from "./teacher.ts";
import { type Transform, transformOf, transforms } from "./transforms.ts";

/** Difficulty dials of `toolHopLike.generate`, with their ranges and defaults. */
export interface ToolHopLikeDials {
  /** Fewest hops of a task, transforms included: 3 to 7 (3). */
  minHops: number;
  /** Most hops: `minHops` to 7 (4). */
  maxHops: number;
  /** Listed tools that the task does not need: 0 to 8 (2). */
  distractors: number;
  /** Chance that a first call times out: a share (0.08). */
  failureRate: number;
  /** Chance that a wording differs from the plain one, drawn for the question, each phrase and each tool: a share (0.5). */
  paraphrase: number;
  /** Chance, for each hop, that a second tool does the same: a share (0.2). */
  alternatives: number;
  /** Irrelevant fields in each observation: 0 to 4 (0). */
  noise: number;
  /** Distinct worlds that tasks are drawn from: 1 to 65536 (64). */
  worlds: number;
}

/** Defaults of `ToolHopLikeDials`. */
export const defaultToolHopDials: ToolHopLikeDials = {
  minHops: 3,
  maxHops: 4,
  distractors: 2,
  failureRate: 0.08,
  paraphrase: 0.5,
  alternatives: 0.2,
  noise: 0,
  worlds: 64,
};

const domains: { readonly [Name in keyof ToolHopLikeDials]: DialDomain } = {
  minHops: [3, 7],
  maxHops: [3, 7],
  distractors: [0, 8],
  failureRate: "share",
  paraphrase: "share",
  alternatives: "share",
  noise: [0, maxNoise],
  worlds: [1, 65_536],
};

/** The family of multi-hop tasks. */
export const toolHopLike = { id: "toolhop-like", generate } as const;

const entitiesPerType = 24;

/**
 * Generates tasks, each with its expert trace.
 *
 * @throws OptionError for a seed, count or dial outside its domain
 * @example
 * ```ts
 * const tasks = toolHopLike.generate({ seed: 1, split: "train", count: 8, dials: { maxHops: 7 } });
 * tasks.length; // → 8
 * ```
 */
function generate(options: GenerateOptions<ToolHopLikeDials>): Task[] {
  checkOptions("toolhop-like", options);
  const dials = checkedDials("toolhop-like", defaultToolHopDials, domains, options.dials ?? {});
  checkDial("toolhop-like", "maxHops", dials.maxHops, [dials.minHops, 7]);
  const { seed, split, count, start = 0 } = options;
  return Array.from({ length: count }, (_, i) => generateOne(seed, split, start + i, dials));
}

function generateOne(seed: number, split: Split, index: number, dials: ToolHopLikeDials): Task {
  const random = new Random("toolhop-like", seed, split, index);
  const world = new World({ seed, split, index: random.int(dials.worlds), entitiesPerType });
  const hops = dials.minHops + random.int(dials.maxHops - dials.minHops + 1);
  const { entity, steps, values } = drawChain(random, world, hops);
  const known = [...lookupsOf(split), ...transforms[split]].map(({ name }) => name);
  const others = random.shuffle(known.filter((name) => !steps.includes(name)));

  const functions: Record<string, string> = {};
  const equivalents: Record<string, string> = {};
  const unsolved: Record<string, string[]> = {};
  steps.forEach((step, hop) => {
    const [first, second] = random.shuffle(suffixes).map((suffix) => step + suffix);
    functions[first] = step;
    unsolved[first] = [String(values[hop])];
    if (random.chance(dials.alternatives)) {
      functions[second] = step;
      equivalents[second] = first;
    }
  });
  for (const name of others.slice(0, dials.distractors)) functions[name + random.pick(suffixes)] = name;

  const question = phraseQuestion(random, entity, steps, dials.paraphrase);
  const tools = random
    .shuffle(Object.keys(functions))
    .map((tool) => definition(tool, functions[tool], random.chance(dials.paraphrase)));
  const setup: ChainSetup = {
    kind: "toolhop-like",
    world: world.spec,
    functions,
    entity,
    steps,
    failureRate: dials.failureRate,
    failureSeed: random.next(),
    noise: dials.noise,
  };
  const id = `toolhop-like/${split}/${seed}/${index}`;
  const answer = values[values.length - 1];
  return {
    id,
    category: kindOf(steps[steps.length - 1]),
    question,
    messages: [{ role: "user", content: `${mandatoryPrompt}\nQuestion: ${question}` }],
    tools,
    unsolved,
    ...(Object.keys(equivalents).length === 0 ? {} : { equivalents }),
    answer: String(answer),
    setup,
    trace: chainTrace(id, setup),
  };
}

/** What ToolHop's mandatory scenario asks for, in our words. */
const mandatoryPrompt =
  "Answer the question with the given tools: call one at every step and take the answer from a tool, not from memory. " +
  "Then give the answer alone, as short as it can be, in answer tags. Write dates as year-month-day and numbers in digits.";

const suffixes = ["Tool", "Service", "Query"] as const;

function lookupsOf(split: Split): readonly Relation[] {
  return [...relationsOf(split, true), ...dateRelations[split]];
}

/** The kind of a task's answer: ToolHop's `answer_type`. */
function kindOf(step: string): string {
  const kind = transformOf(step)?.to;
  return kind === "digits" || kind === "number" ? "number" : (kind ?? "text");
}

/** A chain whose values are all distinct, so that each golden belongs to one call. */
function drawChain(
  random: Random,
  world: World,
  hops: number,
): { entity: string; steps: string[]; values: (string | number)[] } {
  for (;;) {
    const numTransforms = 1 + random.int(2);
    const path = drawPath(random, world.spec.split, hops - numTransforms, numTransforms);
    if (path === undefined) continue;
    const entity = random.pick(world.entities[path.from]);
    const values: (string | number)[] = [];
    for (const step of path.steps)
      values.push(chainValue(world, step, values.at(-1) ?? entity) as string | number);
    const texts = [entity, ...values].map((value) => String(value).toLowerCase());
    if (new Set(texts).size === texts.length) return { entity, steps: path.steps, values };
  }
}

/** Distinct relations that compose, then distinct transforms that do; undefined where a draw leads nowhere. */
function drawPath(
  random: Random,
  split: Split,
  numLookups: number,
  numTransforms: number,
): { from: (typeof entityTypes)[number]; steps: string[] } | undefined {
  const from = random.pick(entityTypes);
  const steps: string[] = [];
  let at: Relation["to"] = from;
  for (let h = 0; h < numLookups; h++) {
    const isLast = h === numLookups - 1;
    const options = lookupsOf(split).filter(
      (relation) =>
        relation.from === at &&
        !steps.includes(relation.name) &&
        (isLast || (relation.to !== "number" && relation.to !== "date")),
    );
    if (options.length === 0) return undefined;
    const relation = random.pick(options);
    steps.push(relation.name);
    at = relation.to;
  }
  let kind: Transform["to"] = at === "number" || at === "date" ? at : "text";
  for (let t = 0; t < numTransforms; t++) {
    const options = transforms[split].filter(
      ({ name, from: taken }) => taken === kind && !steps.includes(name),
    );
    if (options.length === 0) return undefined;
    const transform = random.pick(options);
    if (transform.isNarrow && random.chance(0.75)) return undefined;
    steps.push(transform.name);
    kind = transform.to;
  }
  return { from, steps };
}

const templates = ["What is P?", "Find P.", "Tell me P.", "Kindly find out P.", "I need to know P."] as const;

/** `What is the sum of the digits of the age of the mayor of "Bavo"?` */
function phraseQuestion(
  random: Random,
  entity: string,
  steps: readonly string[],
  paraphrase: number,
): string {
  const reword = () => random.chance(paraphrase);
  const phrase = steps.reduce((of, step, hop) => {
    const wordings = transformOf(step)?.phrases;
    // Functions as replacements, because "$" in a string would be special.
    if (wordings !== undefined) return wordings[reword() ? 1 : 0].replace("P", () => of);
    return hop === 0 && reword() ? `${of}'s ${step}` : `the ${step} of ${of}`;
  }, `"${entity}"`);
  const template = reword() ? random.pick(templates.slice(1)) : templates[0];
  return template.replace("P", () => phrase);
}

function definition(name: string, step: string, isReworded: boolean): ToolDefinition {
  const key = argumentKey(step) as string;
  const transform = transformOf(step);
  const subject =
    transform?.phrases[isReworded ? 1 : 0].replace("P", `a ${key}`) ?? `the ${step} of a ${key}`;
  return {
    type: "function",
    function: {
      name,
      description: isReworded ? `Answers: what is ${subject}?` : `Gives ${subject}.`,
      parameters: {
        type: "object",
        properties: { [key]: { type: key === "number" ? "integer" : "string" } },
        required: [key],
      },
    },
  };
}
