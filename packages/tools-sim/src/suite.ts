/**
 * The tasks of an environment id, ready to be played: what `pact play`, `pact eval` and `pact traces` have in common.
 * Generated families need no data; published benchmarks are read from their folder or file.
 */
import { createBfclEnvironment } from "./bfcl/environment.ts";
import { type BfclCategory, bfclCategories, loadBfcl } from "./bfcl/load.ts";
import { createEnvironment, type Environment, type EnvironmentOptions } from "./environment.ts";
import type { EpisodeSource } from "./episodes.ts";
import { OptionError } from "./errors.ts";
import { bfclLike } from "./families/store/generate.ts";
import { toolHopLike } from "./families/toolhop/generate.ts";
import { ftrl } from "./ftrl.ts";
import { ftrlLike } from "./ftrl-like.ts";
import { createToolHopEnvironment, type ToolHopScenario, toolHopScenarios } from "./toolhop/environment.ts";
import { loadToolHop } from "./toolhop/load.ts";
import type { Split, Task } from "./types.ts";

/** A task with its category. */
export interface SuiteTask extends EpisodeSource {
  category: string;
  /** The task itself, for families whose tasks are of that type. */
  task?: Task;
  /** @param options what counts as an answer, for families with a `task`; benchmarks have rules of their own */
  create(options?: Pick<EnvironmentOptions, "answers">): Environment<unknown, string>;
}

/** The tasks of one environment id. */
export interface Suite {
  id: SuiteId;
  tasks: SuiteTask[];
  /** Lines of the data that were left out, with the reason; only with `skipInvalid`. */
  skipped: string[];
}

/** What `openSuite` takes. */
export interface SuiteOptions {
  /** Folder or file of the published data; required by the published benchmarks, refused by generated families. */
  data?: string;
  /** Seed of generated tasks; default 1. */
  seed?: number;
  /** Most tasks; default 100 generated ones, all published ones. */
  count?: number;
  /** Worlds of generated tasks; default `heldout`. */
  split?: Split;
  /** Only this category; of `toolhop` one of its scenarios, by default `mandatory`. */
  category?: string;
  /** Assistant turns before an episode is cut (BFCL: steps of a user turn); default the family's own. */
  maxTurns?: number;
  /** Leave out malformed lines and list them. */
  skipInvalid?: boolean;
}

type Open = (options: SuiteOptions) => Omit<Suite, "id">;

/** Tasks of the `Task` type, played by `createEnvironment`. */
function solveTasks(tasks: readonly Task[], { maxTurns }: SuiteOptions, usual: number): SuiteTask[] {
  return tasks.map((task) => ({
    taskId: task.id,
    category: task.category,
    task,
    create: (options) => createEnvironment(task, { maxTurns: maxTurns ?? usual, ...options }),
  }));
}

/** Tasks of a generated family. */
function generatedTasks(
  family: { generate(options: { seed: number; split: Split; count: number }): Task[] },
  options: SuiteOptions,
): Omit<Suite, "id"> {
  const { seed = 1, count = 100, split = "heldout" } = options;
  return { tasks: solveTasks(family.generate({ seed, split, count }), options, 10), skipped: [] };
}

const suites = {
  "ftrl-like": (options) => generatedTasks(ftrlLike, options),
  "toolhop-like": (options) => generatedTasks(toolHopLike, options),
  "bfcl-like": (options) => generatedTasks(bfclLike, options),
  ftrl: (options) => {
    const { maxTurns = 20, skipInvalid } = options;
    const { tasks, skipped } = ftrl.read(requireData("ftrl", options), { skipInvalid });
    // FTRL's evaluation allows 20 rounds, and takes a reply whose calls are all malformed for text.
    const rules = { maxTurns, malformed: "end" } as const;
    return {
      tasks: tasks.map((task) => ({
        taskId: task.id,
        category: task.category,
        task,
        create: (own) => createEnvironment(task, { ...rules, ...own }),
      })),
      skipped,
    };
  },
  toolhop: (options) => {
    const { category, maxTurns, skipInvalid } = options;
    const { tasks, skipped } = loadToolHop(requireData("toolhop", options), { skipInvalid });
    const scenarios: readonly ToolHopScenario[] = category === undefined ? ["mandatory"] : toolHopScenarios;
    return {
      tasks: scenarios.flatMap((scenario) =>
        tasks.map((task) => ({
          taskId: `toolhop/${scenario}/${task.id}`,
          category: scenario,
          create: () => createToolHopEnvironment(task, { scenario, maxTurns }),
        })),
      ),
      skipped,
    };
  },
  bfcl: (options) => {
    const { category, maxTurns, skipInvalid } = options;
    const categories = category === undefined ? bfclCategories : [requireCategory(category)];
    const { tasks, resources, skipped } = loadBfcl(requireData("bfcl", options), { categories, skipInvalid });
    return {
      tasks: tasks.map((task) => ({
        taskId: task.id,
        category: task.category,
        create: () => createBfclEnvironment(task, resources, { maxSteps: maxTurns }),
      })),
      skipped,
    };
  },
} as const satisfies Readonly<Record<string, Open>>;

/** An environment id that has tasks. */
export type SuiteId = keyof typeof suites;

/** Every id that `openSuite` takes. */
export const suiteIds = Object.keys(suites) as readonly SuiteId[];

/**
 * Opens the tasks of an environment id.
 *
 * @throws OptionError for an unknown id or category, data that is missing or not wanted, or a count below 1
 * @throws TaskFileError naming file, line and field of malformed data
 * @example
 * ```ts
 * openSuite("ftrl-like", { count: 4 }).tasks[0].create().reset().messages.at(-1)?.role; // → "user"
 * ```
 */
export function openSuite(id: string, options: SuiteOptions = {}): Suite {
  const known = suiteIds.find((name) => name === id);
  if (known === undefined) {
    throw new OptionError(`environment ${JSON.stringify(id)} is unknown; there are ${suiteIds.join(", ")}`);
  }
  const { count, category } = options;
  if (count !== undefined && (!Number.isInteger(count) || count < 1)) {
    throw new OptionError(`openSuite: count must be a positive whole number, got ${count}`);
  }
  if (id.endsWith("-like") && options.data !== undefined) {
    throw new OptionError(`environment ${id} generates its tasks and takes no data; leave data out`);
  }
  const { tasks, skipped } = suites[known](options);
  const kept = category === undefined ? tasks : tasks.filter((task) => task.category === category);
  if (kept.length === 0) {
    const categories = [...new Set(tasks.map((task) => task.category))];
    throw new OptionError(
      `environment ${id} has no task of category ${JSON.stringify(category)}; there are ${categories.join(", ")}`,
    );
  }
  return { id: known, tasks: kept.slice(0, count), skipped };
}

function requireData(id: string, { data }: SuiteOptions): string {
  if (data !== undefined) return data;
  throw new OptionError(`environment ${id} needs the published data; give the path of its folder as data`);
}

function requireCategory(name: string): BfclCategory {
  const known = bfclCategories.find((category) => category === name);
  if (known) return known;
  throw new OptionError(
    `bfcl has no category ${JSON.stringify(name)}; there are ${bfclCategories.join(", ")}`,
  );
}
