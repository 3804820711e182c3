/**
 * Generates `bfcl-like` tasks: one request with several goals over a small store of our own (accounts that hold coins, bays
 * that hold crates). Calls change state, ids have to be found first, and what is closed refuses changes until it is opened.
 * Scored as BFCL's multi-turn tasks are (Patil et al., Berkeley Function-Calling Leaderboard, Apache-2.0; nothing of it is
 * used here): the last public state equals the goal state, and the asked-for results were seen.
 *
 * Goals are about different records, so they can be met in any order. Left out: further user turns, withheld functions.
 */
import { Random } from "../../rng.ts";
import type {
  Split,
  StoreAction,
  StoreGoal,
  StoreRecord,
  StoreSetup,
  Task,
  ToolDefinition,
} from "../../types.ts";
import { drawName } from "../../world.ts";
import { maxNoise } from "../noise.ts";
import { checkedDials, checkOptions, type DialDomain, type GenerateOptions } from "../options.ts";
import { anchorOf, goalRecords, storeAnswer, storeTrace } from "./teacher.ts";
import { storeTool, storeWords, type Theme, themes, toolNames, wordsOf } from "./themes.ts";

/** Difficulty dials of `bfclLike.generate`, with their ranges and defaults. */
export interface BfclLikeDials {
  /** Goals of a request: 1 to 4 (2). */
  goals: number;
  /** Lookups from a name to a record: 1 by its name, more by links from another one: 1 to 4 (1). */
  hops: number;
  /** Records of the store, more only where the goals need them: 2 to 50 (8). */
  records: number;
  /** Listed tools that the task does not need, its own that spoil the state first: 0 to 8 (2). */
  distractors: number;
  /** Chance that a first call times out: a share (0.08). */
  failureRate: number;
  /** Chance that a wording differs from the plain one, drawn for each goal and each tool: a share (0.5). */
  paraphrase: number;
  /** Chance, for each needed action, that a second tool does the same: a share (0.2). */
  alternatives: number;
  /** Chance, for each goal that changes a record, that it is closed and has to be opened first: a share (0.3). */
  recoveries: number;
  /** Irrelevant fields in each observation: 0 to 4 (0). */
  noise: number;
}

/** Defaults of `BfclLikeDials`. */
export const defaultBfclDials: BfclLikeDials = {
  goals: 2,
  hops: 1,
  records: 8,
  distractors: 2,
  failureRate: 0.08,
  paraphrase: 0.5,
  alternatives: 0.2,
  recoveries: 0.3,
  noise: 0,
};

const domains: { readonly [Name in keyof BfclLikeDials]: DialDomain } = {
  goals: [1, 4],
  hops: [1, 4],
  records: [2, 50],
  distractors: [0, 8],
  failureRate: "share",
  paraphrase: "share",
  alternatives: "share",
  recoveries: "share",
  noise: [0, maxNoise],
};

/** The family of stateful tasks. */
export const bfclLike = { id: "bfcl-like", generate } as const;

/**
 * Generates tasks, each with its expert trace.
 *
 * @throws OptionError for a seed, count or dial outside its domain
 * @example
 * ```ts
 * const tasks = bfclLike.generate({ seed: 1, split: "train", count: 8, dials: { goals: 3 } });
 * tasks.length; // → 8
 * ```
 */
function generate(options: GenerateOptions<BfclLikeDials>): Task[] {
  checkOptions("bfcl-like", options);
  const dials = checkedDials("bfcl-like", defaultBfclDials, domains, options.dials ?? {});
  const { seed, split, count, start = 0 } = options;
  return Array.from({ length: count }, (_, i) => generateOne(seed, split, start + i, dials));
}

function generateOne(seed: number, split: Split, index: number, dials: BfclLikeDials): Task {
  const random = new Random("bfcl-like", seed, split, index);
  const theme = random.pick(themes[split]);
  // A goal takes two records at most, and links lead past all others before they come back.
  const numRecords = Math.max(dials.records, 2 * dials.goals, dials.hops + 1);
  const { records, spareName } = drawRecords(random, split, numRecords);
  const goals = drawGoals(random, dials.goals, records, spareName);
  const needsOpening = closeSome(random, goals, records, dials.recoveries);
  const setup: StoreSetup = {
    kind: "bfcl-like",
    split,
    theme: theme.noun,
    actions: {},
    records,
    goals,
    goalState: goalState(records, goals),
    hops: dials.hops,
    failureRate: dials.failureRate,
    failureSeed: random.next(),
    noise: dials.noise,
  };
  const { tools, equivalents, toolOf } = drawTools(random, setup, theme, dials);
  const id = `bfcl-like/${split}/${seed}/${index}`;
  const question = phraseRequest(random, setup, dials.paraphrase);
  return {
    id,
    category: needsOpening ? "recovery" : "plain",
    question,
    messages: [{ role: "user", content: question }],
    tools,
    unsolved: goldens(setup, toolOf),
    ...(Object.keys(equivalents).length === 0 ? {} : { equivalents }),
    answer: storeAnswer(goals.flatMap((goal) => amountOf(records, goal))),
    setup,
    trace: storeTrace(id, setup),
  };
}

/** Open records with distinct names, ids and amounts; links go once round all of them. */
function drawRecords(
  random: Random,
  split: Split,
  count: number,
): { records: StoreRecord[]; spareName: () => string } {
  // The answer where no amount is asked for is "done", which must be nobody's name.
  const names = new Set<string>(["Done"]);
  const spareName = () => {
    for (;;) {
      const name = drawName(random, split);
      if (!names.has(name)) {
        names.add(name);
        return name;
      }
    }
  };
  const distinct = (low: number, size: number) => {
    const drawn = new Set<number>();
    while (drawn.size < count) drawn.add(low + random.int(size));
    return [...drawn];
  };
  const ids = distinct(1000, 9000);
  const amounts = distinct(100, 900);
  const records = ids.map((id, i) => ({
    id,
    name: spareName(),
    keeper: spareName(),
    amount: amounts[i],
    isOpen: true,
    link: ids[(i + 1) % count],
  }));
  return { records: random.shuffle(records), spareName };
}

/** Goals about different records. */
function drawGoals(
  random: Random,
  count: number,
  records: readonly StoreRecord[],
  spareName: () => string,
): StoreGoal[] {
  const free = random.shuffle(records.map(({ id }) => id));
  const take = () => free.pop() as number;
  const draws: readonly (() => StoreGoal)[] = [
    () => ({ kind: "report", record: take() }),
    () => ({ kind: "close", record: take() }),
    () => ({ kind: "assign", record: take(), keeper: spareName() }),
    () => ({ kind: "move", from: take(), to: take(), amount: 10 + random.int(90) }),
  ];
  return Array.from({ length: count }, () => random.pick(draws)());
}

/** Closes one record of some goals that have to change it; whether it closed any. */
function closeSome(random: Random, goals: StoreGoal[], records: StoreRecord[], share: number): boolean {
  let hasClosed = false;
  for (const goal of goals) {
    if ((goal.kind !== "move" && goal.kind !== "assign") || !random.chance(share)) continue;
    const id = random.pick(goalRecords(goal));
    for (const record of records) if (record.id === id) record.isOpen = false;
    hasClosed = true;
  }
  return hasClosed;
}

/** The state in which every goal is met and nothing else has changed but what had to be opened. */
function goalState(records: readonly StoreRecord[], goals: readonly StoreGoal[]): StoreRecord[] {
  const state = records.map((record) => ({ ...record }));
  const change = (id: number, apply: (record: StoreRecord) => void) => {
    for (const record of state) if (record.id === id) apply(record);
  };
  for (const goal of goals) {
    if (goal.kind === "report") continue;
    for (const id of goalRecords(goal))
      change(id, (record) => {
        record.isOpen = goal.kind !== "close";
      });
    if (goal.kind === "assign")
      change(goal.record, (record) => {
        record.keeper = goal.keeper;
      });
    if (goal.kind === "move") {
      change(goal.from, (record) => {
        record.amount -= goal.amount;
      });
      change(goal.to, (record) => {
        record.amount += goal.amount;
      });
    }
  }
  return state;
}

function amountOf(records: readonly StoreRecord[], goal: StoreGoal): number[] {
  return goal.kind === "report"
    ? records.filter(({ id }) => id === goal.record).map(({ amount }) => amount)
    : [];
}

const actionOfGoal = { report: "read", close: "close", assign: "assign", move: "move" } as const;

const allActions = ["find", "link", "read", "open", "close", "move", "assign"] as const;

/** Fills `setup.actions`: the needed tools, second ones for some, then those that are not needed. */
function drawTools(
  random: Random,
  setup: StoreSetup,
  theme: Theme,
  dials: BfclLikeDials,
): { tools: ToolDefinition[]; equivalents: Record<string, string>; toolOf: Map<StoreAction, string> } {
  const words = storeWords[setup.split];
  const tools: ToolDefinition[] = [];
  const equivalents: Record<string, string> = {};
  const toolOf = new Map<StoreAction, string>();
  const list = (name: string, action: (typeof allActions)[number], of: Theme) => {
    setup.actions[name] = of === theme ? action : "none";
    tools.push(storeTool(name, action, of, words, random.chance(dials.paraphrase)));
  };
  const needed = new Set<StoreAction>(["find", ...setup.goals.map((goal) => actionOfGoal[goal.kind])]);
  if (setup.hops > 1) needed.add("link");
  if (setup.records.some(({ isOpen }) => !isOpen)) needed.add("open");
  const spoiling = random.shuffle(allActions.filter((action) => !needed.has(action)));
  for (const action of allActions.filter((candidate) => needed.has(candidate))) {
    const [first, second] = random.shuffle(toolNames(theme, words, action));
    list(first, action, theme);
    toolOf.set(action, first);
    if (random.chance(dials.alternatives)) {
      list(second, action, theme);
      equivalents[second] = first;
    }
  }
  const other = random.pick(themes[setup.split].filter((candidate) => candidate !== theme));
  const distractors = [
    ...spoiling.map((action) => ({ action, of: theme })),
    ...random.shuffle(allActions).map((action) => ({ action, of: other })),
  ];
  for (const { action, of } of distractors.slice(0, dials.distractors))
    list(random.pick(toolNames(of, words, action)), action, of);
  return { tools: random.shuffle(tools), equivalents, toolOf };
}

/** One golden for each call that has to succeed, in FTRL's format. */
function goldens(setup: StoreSetup, toolOf: ReadonlyMap<StoreAction, string>): Record<string, string[]> {
  const { open, closed } = wordsOf(setup);
  const unsolved: Record<string, string[]> = {};
  const add = (action: StoreAction, golden: string | number) => {
    const tool = toolOf.get(action) as string;
    unsolved[tool] = [...(unsolved[tool] ?? []), String(golden)];
  };
  const idOf = new Map(setup.records.map((record) => [record.id, record]));
  for (const goal of setup.goals) {
    for (const target of goalRecords(goal)) {
      let record = anchorOf(setup, target);
      add("find", record.id);
      for (let hop = 1; hop < setup.hops; hop++) {
        add("link", record.link);
        record = idOf.get(record.link) as StoreRecord;
      }
      if (!record.isOpen) add("open", `${target}, ${open}`);
    }
    if (goal.kind === "report") add("read", `${goal.record}, ${amountOf(setup.records, goal)}`);
    if (goal.kind === "close") add("close", `${goal.record}, ${closed}`);
    if (goal.kind === "assign") add("assign", `${goal.record}, ${goal.keeper}`);
    if (goal.kind === "move") add("move", `${goal.from}, ${goal.to}, ${goal.amount}`);
  }
  return unsolved;
}

/** `Send 12 coins from the account "Bavo" to the account "Rita". Tell me the coins of the backup of the account "Node". …` */
function phraseRequest(random: Random, setup: StoreSetup, paraphrase: number): string {
  const { verbs, closed } = wordsOf(setup);
  const sentences = setup.goals.map((goal) => phraseGoal(setup, goal, random.chance(paraphrase)));
  return `${sentences.join(" ")} Where something to change is ${closed}, ${verbs.open[0]} it and leave it so.`;
}

function phraseGoal(setup: StoreSetup, goal: StoreGoal, isReworded: boolean): string {
  const { noun, units, keeper, link, verbs, closed } = wordsOf(setup);
  const name = (id: number) =>
    `${`the ${link} of `.repeat(setup.hops - 1)}the ${noun} "${anchorOf(setup, id).name}"`;
  if (goal.kind === "report")
    return `${isReworded ? `Find out the number of ${units}` : `Tell me the ${units}`} of ${name(goal.record)}.`;
  if (goal.kind === "close")
    return isReworded
      ? `Make ${name(goal.record)} ${closed}.`
      : `${capital(verbs.close[0])} ${name(goal.record)}.`;
  if (goal.kind === "assign")
    return isReworded
      ? `Let the ${keeper} of ${name(goal.record)} be "${goal.keeper}".`
      : `Make "${goal.keeper}" the ${keeper} of ${name(goal.record)}.`;
  const verb = capital(verbs.move[isReworded ? 1 : 0]);
  return `${verb} ${goal.amount} ${units} from ${name(goal.from)} to ${name(goal.to)}.`;
}

function capital(word: string): string {
  return word[0].toUpperCase() + word.slice(1);
}
