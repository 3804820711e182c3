/**
 * Generates FTRL-like tasks: questions in FTRL's four categories (arXiv 2508.08791) over synthetic worlds,
 * with lookup tools, distractors, a calculator and tools that sometimes time out.
 *
 * Made for small models: a tool name is the relation's noun and a suffix drawn per task (it has to be read
 * off the tool list), lookups take one argument whose key is the entity's type, names are quoted wherever
 * they occur, numbers have 2 or 3 digits. Left out: optional arguments, ambiguous tools, free-form questions.
 */
import { OptionError } from "./errors.ts";
import {
  calculatorDefinition,
  lookupDefinition,
  phraseQuestion,
  rephraseQuestion,
} from "./families/ftrl-words.ts";
import { maxNoise } from "./families/noise.ts";
import { checkDial } from "./families/options.ts";
import { Random } from "./rng.ts";
import { teacherTrace } from "./teacher.ts";
import { calculatorName } from "./tools.ts";
import { type Category, type Chain, categories, type Split, type Task } from "./types.ts";
import { entityTypes, type Relation, relationOf, relations, relationsOf, World } from "./world.ts";

/** Difficulty dials of `ftrlLike.generate`, with their ranges and defaults. */
export interface FtrlLikeDials {
  /** Distinct worlds that tasks are drawn from: 1 or more (64). */
  worlds: number;
  /** Names per entity type in a world: 16 to 100 (24). */
  entitiesPerType: number;
  /** Relations in each chain of the multi-hop categories: 2 to 4 (2). */
  hops: number;
  /** Chains in the parallel categories: 2 to 4 (2). */
  parallel: number;
  /** Fewest tools listed: 1 or more (4). With `maxTools` it sets the number of distractors. */
  minTools: number;
  /** Most tools listed, unless a task needs more: `minTools` to 15 (6). */
  maxTools: number;
  /** Chance that a first call times out: a share (0.08). */
  failureRate: number;
  /** Share of parallel tasks that end in a sum; needs `parallel: 2` (0.3). */
  sumShare: number;
  /** Chance that a wording differs from the usual ones, drawn for the question and each tool: a share (0). */
  paraphrase: number;
  /** Chance, for each needed lookup, that a second tool does the same; needs two suffixes or more: a share (0). */
  alternatives: number;
  /** Irrelevant fields in each observation: 0 to 4 (0). */
  noise: number;
  /** Whether held-out tasks use relations of their own, which no train task uses (false). */
  splitRelations: boolean;
  /** Suffixes of tool names (`Finder`, `Lookup`, `Search`). */
  suffixes: readonly string[];
}

/** Defaults of `FtrlLikeDials`. */
export const defaultDials: FtrlLikeDials = {
  worlds: 64,
  entitiesPerType: 24,
  hops: 2,
  parallel: 2,
  minTools: 4,
  maxTools: 6,
  failureRate: 0.08,
  sumShare: 0.3,
  paraphrase: 0,
  alternatives: 0,
  noise: 0,
  splitRelations: false,
  suffixes: ["Finder", "Lookup", "Search"],
};

/** What to generate. Task i depends on the seed, the split and i alone. */
export interface FtrlLikeOptions {
  seed: number;
  split: Split;
  count: number;
  /** Index of the first task (0); a data cursor. */
  start?: number;
  /** One category only; without it tasks cycle through the four. */
  category?: Category;
  dials?: Partial<FtrlLikeDials>;
}

/** The generated family of tasks. */
export const ftrlLike = { id: "ftrl-like", generate } as const;

/**
 * Generates tasks, each with its expert trace.
 *
 * @throws OptionError for a seed, count or dial outside its domain
 * @example
 * ```ts
 * const tasks = ftrlLike.generate({ seed: 1, split: "train", count: 128 });
 * tasks.length; // → 128
 * ```
 */
function generate(options: FtrlLikeOptions): Task[] {
  const { seed, split, count, start = 0, category } = options;
  const dials = checkedDials(options.dials ?? {});
  requireInteger("seed", seed, 0);
  requireInteger("count", count, 0);
  requireInteger("start", start, 0);
  if (split !== "train" && split !== "heldout")
    throw new OptionError(`ftrl-like: split must be "train" or "heldout", got ${JSON.stringify(split)}`);
  if (category !== undefined && !categories.includes(category))
    throw new OptionError(`ftrl-like: category must be one of ${categories.join(", ")}, got ${category}`);
  const tasks: Task[] = [];
  for (let index = start; index < start + count; index++)
    tasks.push(generateOne(seed, split, index, category ?? categories[index % categories.length], dials));
  return tasks;
}

function requireInteger(name: string, value: number, low: number): void {
  if (!Number.isSafeInteger(value) || value < low)
    throw new OptionError(`ftrl-like: ${name} must be an integer ≥ ${low}, got ${value}`);
}

function checkedDials(given: Partial<FtrlLikeDials>): FtrlLikeDials {
  for (const name of Object.keys(given))
    if (!Object.hasOwn(defaultDials, name))
      throw new OptionError(
        `ftrl-like: unknown dial ${JSON.stringify(name)}; there are ${Object.keys(defaultDials).join(", ")}`,
      );
  const dials = { ...defaultDials, ...given };
  requireInteger("worlds", dials.worlds, 1);
  requireInteger("entitiesPerType", dials.entitiesPerType, 16);
  requireInteger("hops", dials.hops, 2);
  requireInteger("parallel", dials.parallel, 2);
  requireInteger("minTools", dials.minTools, 1);
  requireInteger("maxTools", dials.maxTools, dials.minTools);
  // 100 per type fit comfortably into the held-out fifth of the name space; 4 hops of 4 chains find distinct names.
  if (
    dials.entitiesPerType > 100 ||
    dials.hops > 4 ||
    dials.parallel > 4 ||
    dials.maxTools > relations.length
  )
    throw new OptionError(
      `ftrl-like: at most 100 entitiesPerType, 4 hops, 4 parallel, ${relations.length} tools; got ${JSON.stringify(dials)}`,
    );
  for (const name of ["failureRate", "sumShare", "paraphrase", "alternatives"] as const)
    checkDial("ftrl-like", name, dials[name], "share");
  checkDial("ftrl-like", "noise", dials.noise, [0, maxNoise]);
  if (dials.suffixes.length === 0 || !dials.suffixes.every((suffix) => /^\w{1,20}$/.test(suffix)))
    throw new OptionError("ftrl-like: suffixes must be words of 1 to 20 letters, digits or _");
  if (dials.alternatives > 0 && new Set(dials.suffixes).size < 2)
    throw new OptionError("ftrl-like: alternatives above 0 need two different suffixes or more");
  return dials;
}

function generateOne(
  seed: number,
  split: Split,
  index: number,
  category: Category,
  dials: FtrlLikeDials,
): Task {
  const random = new Random("ftrl-like", seed, split, index, category);
  const world = new World({
    seed,
    split,
    index: random.int(dials.worlds),
    entitiesPerType: dials.entitiesPerType,
  });
  const isParallel = category.startsWith("parallel");
  const sum = isParallel && dials.parallel === 2 && random.chance(dials.sumShare);
  const numChains = isParallel ? dials.parallel : 1;
  const hops = category.endsWith("multi_hop") ? dials.hops : 1;
  const known = relationsOf(split, dials.splitRelations);
  const { chains, values } = drawChains(random, world, known, numChains, hops, sum);
  // Dials that came later draw from a stream of their own: at their defaults nothing else may change.
  const extra = new Random("ftrl-like dials", seed, split, index, category);

  // Tools: those needed, then distractors. Each gets its own suffix.
  const needed = [...new Set(chains.flatMap((chain) => chain.relations))];
  const total = Math.max(
    needed.length + (sum ? 1 : 0),
    dials.minTools + random.int(dials.maxTools - dials.minTools + 1),
  );
  const calculator = sum || (needed.length < total && random.chance(0.3));
  const others = random.shuffle(
    known.map((relation) => relation.name).filter((name) => !needed.includes(name)),
  );
  const listed = [...needed, ...others.slice(0, total - needed.length - (calculator ? 1 : 0))];
  const lookups: Record<string, string> = {};
  const toolOf = new Map<string, string>();
  for (const name of listed) {
    const tool = name + random.pick(dials.suffixes);
    lookups[tool] = name;
    toolOf.set(name, tool);
  }
  const equivalents: Record<string, string> = {};
  for (const name of needed) {
    if (!extra.chance(dials.alternatives)) continue;
    const first = toolOf.get(name) as string;
    const second = extra.pick(dials.suffixes.map((suffix) => name + suffix).filter((tool) => tool !== first));
    lookups[second] = name;
    equivalents[second] = first;
  }
  const tools = Object.keys(lookups).map((tool) =>
    lookupDefinition(tool, relationOf(lookups[tool]) as Relation, extra.chance(dials.paraphrase)),
  );
  if (calculator) tools.push(calculatorDefinition);

  const unsolved: Record<string, string[]> = {};
  chains.forEach((chain, c) => {
    chain.relations.forEach((name, h) => {
      const tool = toolOf.get(name) as string;
      unsolved[tool] = [...(unsolved[tool] ?? []), String(values[c][h])];
    });
  });
  const finals = values.map((path) => path[path.length - 1]);
  let answer = finals.join(", ");
  if (sum) {
    answer = String(finals.reduce<number>((total, value) => total + Number(value), 0));
    unsolved[calculatorName] = [answer];
  }
  const usual = phraseQuestion(random, category, chains, sum);
  const question = extra.chance(dials.paraphrase) ? rephraseQuestion(extra, chains, sum) : usual;
  const task: Task = {
    id: `ftrl-like/${split}/${seed}/${category}/${index}`,
    category,
    question,
    messages: [{ role: "user", content: question }],
    tools: random.shuffle(tools),
    unsolved,
    ...(Object.keys(equivalents).length === 0 ? {} : { equivalents }),
    answer,
    setup: {
      kind: "ftrl-like",
      world: world.spec,
      lookups,
      calculator,
      chains,
      sum,
      failureRate: dials.failureRate,
      failureSeed: random.next(),
      ...(dials.noise === 0 ? {} : { noise: dials.noise }),
    },
  };
  task.trace = teacherTrace(task);
  return task;
}

/** Chains whose lookups, and whose values per tool, are all distinct: each golden belongs to one call. */
function drawChains(
  random: Random,
  world: World,
  known: readonly Relation[],
  count: number,
  hops: number,
  numbers: boolean,
): { chains: Chain[]; values: (string | number)[][] } {
  for (;;) {
    const chains: Chain[] = [];
    // Half of the parallel questions ask the same thing of several entities.
    const shared = count > 1 && random.chance(0.5) ? drawPath(random, known, hops, numbers) : undefined;
    for (let c = 0; c < count; c++) {
      const path = shared ?? drawPath(random, known, hops, numbers);
      const from = (relationOf(path[0]) as Relation).from;
      chains.push({ entity: random.pick(world.entities[from]), relations: path });
    }
    const values = chains.map((chain) => followChain(world, chain));
    const goldens = chains.flatMap((chain, c) => chain.relations.map((name, h) => `${name} ${values[c][h]}`));
    const names = [...chains.map((chain) => chain.entity), ...values.flat()];
    if (new Set(goldens).size === goldens.length && new Set(names).size === names.length)
      return { chains, values };
  }
}

/** Distinct relations that compose; the last one gives a number if asked for. */
function drawPath(random: Random, known: readonly Relation[], hops: number, endsInNumber: boolean): string[] {
  for (;;) {
    const path: string[] = [];
    let at: Relation["to"] = random.pick(entityTypes);
    for (let h = 0; h < hops; h++) {
      const isLast = h === hops - 1;
      const options = known.filter(
        (relation) =>
          relation.from === at &&
          !path.includes(relation.name) &&
          (isLast ? !endsInNumber || relation.to === "number" : relation.to !== "number"),
      );
      if (options.length === 0) break;
      const relation = random.pick(options);
      path.push(relation.name);
      at = relation.to;
    }
    if (path.length === hops) return path;
  }
}

function followChain(world: World, chain: Chain): (string | number)[] {
  const path: (string | number)[] = [];
  let at: string | number = chain.entity;
  for (const name of chain.relations) {
    at = world.value(name, String(at)) as string | number;
    path.push(at);
  }
  return path;
}
