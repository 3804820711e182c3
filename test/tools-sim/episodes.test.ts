/** Many episodes at once: order, bounds, failures, cancellation. */
import {
  assistantText,
  type Environment,
  type EpisodeSource,
  OptionError,
  openSuite,
  type Policy,
  runEpisode,
  runEpisodes,
} from "@pact/tools-sim";
import { describe, expect, it } from "vitest";

const { tasks } = openSuite("ftrl-like", { count: 8, seed: 5 });
const traces = new Map(tasks.map(({ taskId, task }) => [taskId, task!.trace!]));
const expert: Policy = async ({ taskId, messages }) => {
  const trace = traces.get(taskId)!;
  const turn = messages.filter(({ role }) => role === "assistant").length;
  return assistantText([...trace.turns, trace.final][turn]);
};

/** Sources that count how many environments are open. */
function counted(sources: readonly EpisodeSource[]) {
  const open = { now: 0, most: 0, closed: 0 };
  const wrapped = sources.map(
    (source): EpisodeSource => ({
      taskId: source.taskId,
      create() {
        const environment: Environment<unknown, string> = source.create();
        open.most = Math.max(open.most, ++open.now);
        return {
          ...environment,
          outcome: () => environment.outcome(),
          async close() {
            open.now--;
            open.closed++;
            await environment.close();
          },
        };
      },
    }),
  );
  return { open, wrapped };
}

describe("runEpisode", () => {
  it("plays the expert to success", async () => {
    const result = await runEpisode(tasks[0], expert);
    expect(result).toMatchObject({
      stopReason: "answer",
      truncated: false,
      outcome: { success: true, value: 1 },
    });
    expect(result.messages.at(-1)?.role).toBe("assistant");
    expect(result.messages.filter(({ role }) => role === "assistant")).toHaveLength(result.turns);
  });

  it("keeps what a failing policy did, and says why it failed", async () => {
    let turn = 0;
    const result = await runEpisode(tasks[0], async (context) => {
      if (turn++ > 0) throw new Error("no connection");
      return expert(context);
    });
    expect(result).toMatchObject({ stopReason: "failed", truncated: true, turns: 1, error: "no connection" });
  });
});

describe("runEpisodes", () => {
  it("yields in order whatever finishes first, with no more than so many open", async () => {
    const { open, wrapped } = counted(tasks);
    const seen: string[] = [];
    // Earlier tasks take longer.
    const slow: Policy = async (context) => {
      const place = tasks.findIndex(({ taskId }) => taskId === context.taskId);
      await new Promise((resolve) => setTimeout(resolve, 3 * (tasks.length - place)));
      return expert(context);
    };
    for await (const { taskId, attempt } of runEpisodes(wrapped, slow, { concurrency: 3, attempts: 2 })) {
      seen.push(`${taskId}/${attempt}`);
    }
    expect(seen).toEqual(tasks.flatMap(({ taskId }) => [`${taskId}/0`, `${taskId}/1`]));
    expect(open.most).toBe(3);
    expect(open).toMatchObject({ now: 0, closed: 16 });
  });

  it("closes everything when it is cancelled", async () => {
    const { open, wrapped } = counted(tasks);
    const controller = new AbortController();
    const hanging: Policy = ({ signal }) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason));
        if (open.now === 3) setTimeout(() => controller.abort(new Error("enough")), 5);
      });
    const run = async () => {
      for await (const _ of runEpisodes(wrapped, hanging, { concurrency: 3, signal: controller.signal }))
        break;
    };
    await expect(run()).rejects.toThrow("enough");
    expect(open).toMatchObject({ now: 0, closed: 3 });
  });

  it("closes everything when its reader leaves", async () => {
    const { open, wrapped } = counted(tasks);
    for await (const _ of runEpisodes(wrapped, expert, { concurrency: 4 })) break;
    expect(open.now).toBe(0);
  });

  it("refuses a concurrency that is none", async () => {
    await expect(runEpisodes(tasks, expert, { concurrency: 0 }).next()).rejects.toThrow(OptionError);
    await expect(runEpisodes(tasks, expert, { attempts: 1.5 }).next()).rejects.toThrow(OptionError);
  });
});

describe("openSuite", () => {
  it("names what is wrong", () => {
    expect(() => openSuite("nope")).toThrow(/environment "nope" is unknown; there are ftrl-like/);
    expect(() => openSuite("ftrl")).toThrow(/needs the published data/);
    expect(() => openSuite("ftrl-like", { data: "x" })).toThrow(/takes no data/);
    expect(() => openSuite("ftrl-like", { count: 0 })).toThrow(OptionError);
    expect(() => openSuite("ftrl-like", { category: "x" })).toThrow(
      /no task of category "x"; there are single_hop/,
    );
  });

  it("makes the same tasks from the same seed", () => {
    const ids = (seed: number) => openSuite("ftrl-like", { count: 5, seed }).tasks.map(({ task }) => task);
    expect(ids(7)).toEqual(ids(7));
    expect(ids(7)).not.toEqual(ids(8));
  });
});

it("gives each episode a signal of its own, so that many may listen", async () => {
  const warnings: Error[] = [];
  const note = (warning: Error) => warnings.push(warning);
  process.on("warning", note);
  const stop = new AbortController();
  const signals = new Set<AbortSignal>();
  let asked = 0;
  const waiting: Policy = ({ signal }) => {
    signals.add(signal);
    if (++asked === 32) setTimeout(() => stop.abort(new Error("stopped")));
    return new Promise((_resolve, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    });
  };
  const many = Array.from({ length: 4 }, () => tasks).flat();
  const results = runEpisodes(many, waiting, { concurrency: 32, signal: stop.signal });
  await expect(results.next()).rejects.toThrow("stopped");
  await new Promise((resolve) => setTimeout(resolve, 10));
  process.off("warning", note);
  expect(signals.size).toBe(32);
  expect([...signals].every((signal) => signal.aborted)).toBe(true);
  expect(warnings).toEqual([]);
});

describe("the order of results", () => {
  it("is that of their ends if asked for, without waiting for a slow one", async () => {
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const slowFirst: Policy = async (context) => {
      if (context.taskId === tasks[0].taskId) await held;
      return expert(context);
    };
    const seen: string[] = [];
    for await (const { taskId } of runEpisodes(tasks, slowFirst, { concurrency: 2, order: "finished" })) {
      seen.push(taskId);
      if (seen.length === tasks.length - 1) release();
    }
    expect(seen.at(-1)).toBe(tasks[0].taskId);
    expect([...seen].sort()).toEqual(tasks.map(({ taskId }) => taskId).sort());
  });

  it("leaves out what is to be skipped, in either order", async () => {
    for (const order of ["task", "finished"] as const) {
      const skip = (taskId: string, attempt: number) => taskId === tasks[1].taskId || attempt === 1;
      const seen: [string, number][] = [];
      for await (const { taskId, attempt } of runEpisodes(tasks.slice(0, 3), expert, {
        attempts: 3,
        order,
        skip,
      })) {
        seen.push([taskId, attempt]);
      }
      expect(seen.sort()).toEqual(
        [tasks[0], tasks[2]]
          .flatMap(({ taskId }) => [
            [taskId, 0],
            [taskId, 2],
          ])
          .sort(),
      );
    }
  });

  it("of endings still passes an abort on", async () => {
    const controller = new AbortController();
    const reason = new Error("enough");
    const run = async () => {
      for await (const _ of runEpisodes(tasks, expert, {
        order: "finished",
        signal: controller.signal,
        concurrency: 2,
      }))
        controller.abort(reason);
    };
    await expect(run()).rejects.toBe(reason);
  });
});
