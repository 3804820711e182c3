/** The parts of `pact eval` that need no server: command line, folder, scores, table. */
import { mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bfclCategories, passAtK, suiteIds } from "@pact/tools-sim";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import {
  type EpisodeLine,
  type EpisodeRecord,
  EvalFolder,
  episodeKey,
} from "../../packages/pact/src/cli/eval-folder.ts";
import { evalOptions } from "../../packages/pact/src/cli/eval-options.ts";
import { scoresOf } from "../../packages/pact/src/cli/eval-scores.ts";
import { scoreTable } from "../../packages/pact/src/cli/eval-table.ts";
import { commandHelp } from "../../packages/pact/src/cli/help.ts";
import { parseOptions, UsageError } from "../../packages/pact/src/cli/options.ts";
import { progressLine } from "../../packages/pact/src/cli/progress.ts";
import { main } from "../../packages/pact/src/cli.ts";

const root = mkdtempSync(join(tmpdir(), "pact-eval-parts-"));
afterAll(() => rmSync(root, { recursive: true }));

function record(
  taskId: string,
  attempt: number,
  success: boolean,
  more: Partial<EpisodeRecord> = {},
): EpisodeRecord {
  const counts = { turns: 1, promptTokens: 0, completionTokens: 0 };
  return {
    taskId,
    attempt,
    category: "a",
    success,
    value: success ? 1 : 0,
    stopReason: "answer",
    ...counts,
    ...more,
  };
}

describe("option kinds", () => {
  const table = {
    name: { kind: "text", unit: "word", defaultText: "none", help: "a name" },
    share: { kind: "number", min: 0, max: 2, default: 0.5, help: "a share" },
    most: { kind: "integer", min: 1, max: 9, default: undefined, defaultText: "all", help: "a limit" },
  } as const;
  const parse = (...args: string[]) => parseOptions("pact test", table, args);
  it("have their defaults and values", () => {
    expect(parse()).toEqual({ name: undefined, share: 0.5, most: undefined });
    expect(parse("--name", "x y", "--share", "1.25", "--most", "9")).toEqual({
      name: "x y",
      share: 1.25,
      most: 9,
    });
    expect(parse("--name=-x", "--share", "2").name).toBe("-x");
  });
  it.each([
    [["--name", ""], "--name needs a text, received an empty one."],
    [["--share", "2.01"], '--share must be a number from 0 to 2; received "2.01".'],
    [["--share=-0.1"], '--share must be a number from 0 to 2; received "-0.1".'],
    [["--share", "1e-1"], '--share must be a number from 0 to 2; received "1e-1".'],
    [["--share", "NaN"], '--share must be a number from 0 to 2; received "NaN".'],
    [["--share", ""], '--share must be a number from 0 to 2; received "".'],
    [["--most", "1.5"], '--most must be a whole number from 1 to 9; received "1.5".'],
    [["--most", "0"], '--most must be a whole number from 1 to 9; received "0".'],
  ])("refuse %j", (args, message) => {
    expect(() => parse(...args)).toThrow(new UsageError(`pact test: ${message}`));
  });
  it("are explained in help", () => {
    expect(commandHelp("test", { summary: "s", description: [], options: table, examples: [] })).toContain(
      [
        "  --name <word>",
        "      A name. Default: none.",
        "  --share <number>",
        "      A share. Number from 0 to 2. Default: 0.5.",
        "  --most <number>",
        "      A limit. Whole number from 1 to 9. Default: all.",
      ].join("\n"),
    );
  });
});

describe("the command line of pact eval", () => {
  /** Runs the program with what it says. */
  async function run(...args: string[]): Promise<{ code: number; said: string }> {
    let said = "";
    const write = (text: string) => {
      said += text;
    };
    return { code: await main(["eval", ...args], { out: write, error: write }), said };
  }
  it("knows every environment that has tasks", () => {
    expect([...evalOptions.env.choices].sort()).toEqual([...suiteIds].sort());
  });
  it("explains itself in lines that fit", async () => {
    const { code, said } = await run("--help");
    expect(code).toBe(0);
    for (const name of Object.keys(evalOptions)) expect(said).toContain(`  --${name}`);
    const prose = said.slice(0, said.indexOf("Examples")).split("\n");
    expect(Math.max(...prose.map((line) => line.length))).toBeLessThanOrEqual(80);
  });
  const server = ["--endpoint", "http://127.0.0.1:9/v1", "--model", "m"];
  it.each([
    [[], 2, "--endpoint <url> is missing"],
    [["--endpoint", "http://127.0.0.1:9/v1"], 2, "--model <name> is missing"],
    [[...server, "--resume"], 2, "--resume needs --out <path>"],
    [
      [...server, "--api-key-env", "PACT_NO_SUCH_VARIABLE"],
      2,
      '"PACT_NO_SUCH_VARIABLE" of --api-key-env is not set',
    ],
    [["--endpoint", "ftp://h", "--model", "m"], 1, "must begin with http:// or https://"],
    [[...server, "--env", "bfcl"], 1, "environment bfcl needs the published data"],
    [[...server, "--data", "x"], 1, "takes no data"],
    [[...server, "--category", "none"], 1, "there are single_hop"],
  ])("%j: code %d", async (args, code, message) => {
    const result = await run(...args);
    expect(result.code).toBe(code);
    expect(result.said).toContain(message);
  });
  it("does not let a key cross a network unencrypted, and does not repeat it", async () => {
    process.env.PACT_API_KEY = "sk-parts-0123456789";
    const { code, said } = await run("--endpoint", "http://example.org/v1", "--model", "m");
    expect(code).toBe(1);
    expect(said).toContain("--insecure");
    expect(said).not.toContain("sk-parts");
    // Children of this process would have inherited it.
    expect(process.env.PACT_API_KEY).toBeUndefined();
  });
});

describe("the folder", () => {
  const settings = { model: "m", seed: 1 };
  const line = (taskId: string, text = ""): EpisodeLine => ({
    ...record(taskId, 0, true),
    score: { solved: 1 },
    messages: [{ role: "user", content: text }],
  });
  it("is read back whole, whatever the length of lines and wherever the last one was cut", () => {
    const path = join(root, "lengths");
    const texts = ["", "é".repeat(700_000), "short", "🦊".repeat(600_000), "x".repeat(2 ** 20 - 150), "end"];
    {
      using folder = EvalFolder.open(path, settings, false);
      for (const [i, text] of texts.entries()) folder.append(line(`t${i}`, text));
    }
    const log = join(path, "episodes.jsonl");
    const { size } = statSync(log);
    expect(readFileSync(log, "utf8").split("\n")).toHaveLength(texts.length + 1);
    for (const cut of [0, 1, 2, 60]) {
      if (cut > 0) truncateSync(log, size - cut);
      using folder = EvalFolder.open(path, settings, true);
      const whole = cut === 0 ? texts.length : texts.length - 1;
      expect([...folder.records.keys()]).toEqual(texts.slice(0, whole).map((_, i) => episodeKey(`t${i}`, 0)));
      expect(folder.records.get(episodeKey("t0", 0))).toEqual(record("t0", 0, true));
      if (cut > 0) folder.append(line("t5", "end"));
      expect(statSync(log).size).toBe(size);
    }
  });
  it("counts the later of two lines on one episode", () => {
    const path = join(root, "later");
    {
      using folder = EvalFolder.open(path, settings, false);
      folder.append({ ...line("t"), error: "gone" });
      folder.append(line("t"));
    }
    using folder = EvalFolder.open(path, settings, true);
    expect([...folder.records.values()]).toEqual([record("t", 0, true)]);
  });
  it("names every setting that differs, and binds nobody while it has no episode", () => {
    const path = join(root, "settings");
    EvalFolder.open(path, settings, false)[Symbol.dispose]();
    using folder = EvalFolder.open(path, { model: "n", seed: 2 }, false);
    folder.append(line("t"));
    expect(() => EvalFolder.open(path, { model: "m", temperature: 1 }, false)).toThrow(
      'model was "n" and is "m"; seed was 2 and is nothing; temperature was nothing and is 1',
    );
    expect(JSON.parse(readFileSync(join(path, "config.json"), "utf8"))).toEqual({ model: "n", seed: 2 });
  });
  it("refuses lines of other shapes by file and line, whatever they hold", () => {
    const path = join(root, "shapes");
    EvalFolder.open(path, settings, false)[Symbol.dispose]();
    const log = join(path, "episodes.jsonl");
    const good = JSON.stringify(record("t", 0, true));
    const bad = [
      "{",
      "null",
      "[]",
      "7",
      '"text"',
      "{}",
      good.replace("true", '"yes"'),
      good.replace('"value":1', '"value":2'),
      good.replace("}", ',"verdicts":{"x":1}}'),
      good.replace("}", ',"calls":{"made":1}}'),
    ];
    for (const text of bad) {
      writeFileSync(log, `${good}\n${text}\n`);
      expect(() => EvalFolder.open(path, settings, false)).toThrow(`${log}:2: not an episode`);
    }
    fc.assert(
      fc.property(fc.json(), (text) => {
        writeFileSync(log, `${text}\n`);
        expect(() => EvalFolder.open(path, settings, false)).toThrow("not an episode");
      }),
      { numRuns: 30 },
    );
  });
});

describe("scores", () => {
  it("of BFCL have the unweighted mean of the four categories, overall is over all tasks", () => {
    const records = bfclCategories.flatMap((category, c) =>
      Array.from({ length: 2 + 2 * c }, (_, i) =>
        record(`${category}_${i}`, 0, i % 2 === 0 || c === 0, { category }),
      ),
    );
    const { overall, categories, multiTurn } = scoresOf(records, 1, bfclCategories);
    expect(bfclCategories.map((category) => categories[category].success.mean)).toEqual([1, 0.5, 0.5, 0.5]);
    expect(multiTurn?.success.mean).toBe(0.625);
    expect(overall?.success.mean).toBe(11 / 20);
    expect(multiTurn?.passAtK.map(({ k, mean }) => [k, mean])).toEqual([[1, 0.625]]);
    expect(
      scoresOf(
        records.filter(({ category }) => category !== "base"),
        1,
        bfclCategories,
      ).multiTurn,
    ).toBeUndefined();
  });
  it("leave failed episodes out, and estimate pass@k where there are k attempts", () => {
    const records = [
      record("x", 0, true),
      record("x", 1, false),
      record("x", 2, false, { error: "gone" }),
      record("y", 0, true),
      record("y", 1, true, { error: "gone" }),
      record("y", 2, false, { error: "gone" }),
    ];
    const { overall } = scoresOf(records, 3);
    expect(overall).toMatchObject({ tasks: 2, episodes: 3, success: { mean: 0.75 } });
    expect(overall?.passAtK.map(({ k, tasks, mean }) => [k, tasks, mean])).toEqual([
      [1, 2, 0.75],
      [2, 1, 1],
    ]);
    expect(overall?.passHatK.map(({ mean }) => mean)).toEqual([0.75, 0]);
    expect(scoresOf([records[2]], 3)).toEqual({ overall: null, categories: {} });
  });
  it("have a family's further verdicts, and ToolHop's invocation error per call and per query", () => {
    const toolhop = (taskId: string, correct: boolean, made: number, failed: number) =>
      record(taskId, 0, correct, { verdicts: { correct, correctOriginal: true }, calls: { made, failed } });
    const all = scoresOf([toolhop("x", true, 6, 0), toolhop("y", false, 2, 2)], 1);
    expect(all.overall).toMatchObject({
      verdicts: { correct: { mean: 0.5 }, correctOriginal: { mean: 1 } },
      invocationError: { perCall: 0.25, perQuery: { mean: 0.5 } },
    });
    const shown = scoreTable(all, (_, text) => text).join("\n");
    expect(shown).toContain("correctOriginal  1.000 [");
    expect(shown).toContain("invocation error  0.250 of calls, 0.500 [0.000, 1.000] of episodes");
    const plain = scoresOf([record("x", 0, true)], 1).overall;
    expect(plain).not.toHaveProperty("verdicts");
    expect(plain).not.toHaveProperty("invocationError");
  });
  it("do not depend on the order of episodes", () => {
    const outcomes = fc.array(fc.tuple(fc.nat(5), fc.nat(3), fc.boolean(), fc.constantFrom("a", "b")), {
      minLength: 1,
      maxLength: 12,
    });
    fc.assert(
      fc.property(outcomes, fc.nat(), (list, turn) => {
        const unique = new Map(
          list.map(([task, attempt, success, category]) => [
            `${category}${task} ${attempt}`,
            record(`${category}${task}`, attempt, success, { category }),
          ]),
        );
        const records = [...unique.values()];
        const at = turn % records.length;
        const turned = [...records.slice(at), ...records.slice(0, at)].reverse();
        expect(scoresOf(turned, 4)).toEqual(scoresOf(records, 4));
        const { passAtK: at1 } = scoresOf(records, 1).overall!;
        const each = [...new Set(records.map(({ taskId }) => taskId))].map((id) => {
          const all = records.filter(({ taskId }) => taskId === id);
          return passAtK(all.length, all.filter(({ success }) => success).length, 1);
        });
        expect(at1[0].mean).toBeCloseTo(each.reduce((sum, v) => sum + v, 0) / each.length, 10);
      }),
      { numRuns: 25 },
    );
  });
  it("are printed as a table, with Solve scores where there are some", () => {
    const solve = { solveP: 0.5, solveR: 1, solveF1: 2 / 3 };
    const records = [
      record("x", 0, true, { solve }),
      record("x", 1, false, { solve }),
      record("y", 0, true, { solve, category: "longer_name" }),
      record("y", 1, true, { solve, category: "longer_name" }),
    ];
    expect(scoreTable(scoresOf(records, 2), (_, text) => text).join("\n")).toMatchInlineSnapshot(`
      "                tasks  success               Solve-P  Solve-R  Solve-F1
        a                 1  0.500 [0.500, 0.500]  0.500    1.000    0.667 [0.667, 0.667]
        longer_name       1  1.000 [0.025, 1.000]  0.500    1.000    0.667 [0.667, 0.667]
        all tasks         2  0.750 [0.500, 1.000]  0.500    1.000    0.667 [0.667, 0.667]

        k    pass@k                pass^k
        1    0.750 [0.500, 1.000]  0.750 [0.500, 1.000]
        2    1.000 [0.158, 1.000]  0.500 [0.000, 1.000]"
    `);
    // FTRL's Solve-P is 1 for an episode without a call, and its mean stays so; alone it says nothing.
    const none = { solveP: 1, solveR: 0, solveF1: 0 };
    const silent = scoresOf(
      [record("x", 0, true, { solve }), record("y", 0, false, { solve: none, category: "b" })],
      1,
    );
    expect(silent.categories.b.solveP?.mean).toBe(1);
    expect(scoreTable(silent, (_, text) => text).slice(1)).toEqual([
      "  a               1  1.000 [0.025, 1.000]  0.500    1.000    0.667 [0.667, 0.667]",
      "  b               1  0.000 [0.000, 0.975]  –        0.000    0.000 [0.000, 0.975]",
      "  all tasks       2  0.500 [0.000, 1.000]  0.750    0.500    0.333 [0.000, 0.667]",
      "  P is – where no call was made; its definition has 1 there, and so have the logs and --json",
    ]);
    expect(scoreTable({ overall: null, categories: {} }, (_, text) => text)).toEqual([
      "  no episode has finished",
    ]);
    const plain = scoreTable(scoresOf([record("x", 0, true)], 1), (_, text) => text).join("\n");
    expect(plain).not.toContain("Solve");
    expect(plain).not.toContain("pass@k");
  });
});

it("progress shows success, failures from the first on, and tokens", () => {
  const state = {
    stage: "evaluate",
    unit: "episode",
    done: 3,
    total: 8,
    seconds: 6,
    paceSeconds: 6,
    history: [],
  };
  expect(progressLine({ ...state, success: 0.5, failed: 0, tokens: 1200 })).toBe(
    "evaluate episode 3/8 · success 0.500 · 1200 tokens · 10 s left",
  );
  expect(progressLine({ ...state, success: 0.5, failed: 2, tokens: 1200 })).toContain(" · 2 failed · ");
});
