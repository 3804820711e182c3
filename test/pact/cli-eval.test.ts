/** `pact eval` as a process of its own, against a server here that plays ftrl-like tasks by the teacher's script. */
import { spawn } from "node:child_process";
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { hash, openSuite, type TraceTurn } from "@pact/tools-sim";
import { afterAll, describe, expect, it } from "vitest";
import { chunk, completion, type Handler, json, startServer, stream, wait } from "../helpers/chat-server.ts";
import { requireData } from "../helpers/require.ts";

const root = mkdtempSync(join(tmpdir(), "pact-eval-"));
afterAll(() => rmSync(root, { recursive: true }));
const bin = fileURLToPath(new URL("../../packages/pact/bin/pact.mjs", import.meta.url));
const key = "sk-e2e-0123456789abcdef";

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly error: string;
}

/** Runs `pact eval`; `stopWhen` is asked every few milliseconds whether it is time to send the signal. */
function pactEval(
  args: readonly string[],
  stop?: { signal: NodeJS.Signals; when(): boolean },
  variables: NodeJS.ProcessEnv = {},
): Promise<Ended> {
  const child = spawn(process.execPath, [bin, "eval", "--model", "teacher", "--seed", "3", ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...variables },
  });
  let out = "";
  let error = "";
  child.stdout.on("data", (data) => {
    out += data;
  });
  child.stderr.on("data", (data) => {
    error += data;
  });
  const timer = setInterval(() => {
    if (!stop?.when()) return;
    clearInterval(timer);
    child.kill(stop.signal);
  }, 5);
  return new Promise((resolve) =>
    child.on("close", (code) => {
      clearInterval(timer);
      resolve({ code, out, error });
    }),
  );
}

const count = 8;
const suite = openSuite("ftrl-like", { seed: 3, count });
const byQuestion = new Map(suite.tasks.map(({ task }) => [task!.messages.at(-1)!.content, task!]));

/** True for the attempts that the scripted model gets wrong: by its seed, so that they are the same in every run. */
const isWrong = (seed: number) => seed % 3 === 0;
const seedOf = (taskId: string, attempt: number) => hash("endpoint", 3, taskId, attempt) >>> 1;

/** A model that follows the teacher's trace, except where it is wrong. */
const teacher: Handler = (response, { body }) => {
  const task = byQuestion.get(String(body.messages.findLast(({ role }) => role === "user")?.content));
  const turn = body.messages.filter(({ role }) => role === "assistant").length;
  if (task === undefined) return json(response, { error: { message: "unknown task" } }, 400);
  stream(response);
  const turns: TraceTurn[] = isWrong(Number(body.seed)) ? [] : task.trace!.turns;
  if (turn < turns.length) {
    const calls = turns[turn].calls.map(({ function: { name, arguments: args } }, index) => ({
      index,
      id: `t${turn}c${index}`,
      function: { name, arguments: JSON.stringify(args) },
    }));
    response.write(chunk({ role: "assistant", reasoning_content: "As the teacher does." }));
    response.write(chunk({ tool_calls: calls }) + chunk({}, "tool_calls"));
  } else response.write(chunk({ content: "<answer>done</answer>" }) + chunk({}, "stop"));
  const usage = { choices: [], usage: { prompt_tokens: 10, completion_tokens: 2 } };
  return response.end(`data: ${JSON.stringify(usage)}\n\ndata: [DONE]\n\n`);
};

/** The text of every file below a folder. */
function everything(folder: string): string {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile())
    .map((path) => `${path}\n${readFileSync(path, "utf8")}`)
    .join("\n");
}
const lines = (folder: string) =>
  existsSync(join(folder, "episodes.jsonl"))
    ? readFileSync(join(folder, "episodes.jsonl"), "utf8")
        .split("\n")
        .filter((line) => line !== "")
    : [];
const summaryIn = (folder: string) => JSON.parse(readFileSync(join(folder, "summary.json"), "utf8"));
const scoresIn = (folder: string) => {
  const { overall, categories, episodes, stopReasons, tokens } = summaryIn(folder);
  return { overall, categories, episodes, stopReasons, tokens };
};

/** Successes of each task by the rule above. */
const successes = (attempts: number) =>
  suite.tasks.map(({ taskId }) =>
    Array.from({ length: attempts }, (_, attempt) => !isWrong(seedOf(taskId, attempt))),
  );
const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

describe("pact eval", () => {
  it("plays, scores and writes a folder, and its key goes to the server alone", async () => {
    await using server = await startServer(teacher);
    const folder = join(root, "whole");
    const args = [
      "--endpoint",
      server.url,
      "--tasks",
      String(count),
      "--attempts",
      "3",
      "--temperature",
      "0.7",
    ];
    const { code, out, error } = await pactEval([...args, "--out", folder, "--json"], undefined, {
      PACT_API_KEY: key,
    });
    expect(error).toContain(`${count} tasks of ftrl-like, teacher at ${server.url}/chat/completions`);
    expect(code).toBe(0);
    expect(out.trimEnd()).not.toContain("\n");
    const summary = JSON.parse(out);
    expect(summary).toEqual(summaryIn(folder));

    const expected = successes(3);
    const counts = expected.map((attempts) => attempts.filter(Boolean).length);
    // The scripted model is neither always right nor always wrong, or this would test little.
    expect(new Set(counts).size).toBeGreaterThan(2);
    expect(summary).toMatchObject({
      outcome: "done",
      env: "ftrl-like",
      episodes: { total: 24, finished: 24, failed: 0, missing: 0 },
      failures: [],
      skipped: [],
      stopReasons: { answer: 24 },
      overall: {
        tasks: count,
        episodes: 24,
        success: { mean: expect.closeTo(mean(counts.map((c) => c / 3)), 12) },
      },
    });
    const { passAtK, passHatK, success, solveR, solveF1, value } = summary.overall;
    expect(passAtK.map(({ k, tasks }: { k: number; tasks: number }) => [k, tasks])).toEqual([
      [1, count],
      [2, count],
      [3, count],
    ]);
    // Of 3 attempts: any of the 3 pairs, by hand for 0 … 3 successes.
    expect(passAtK[0].mean).toBeCloseTo(success.mean, 12);
    expect(passHatK[0].mean).toBeCloseTo(success.mean, 12);
    expect(passAtK[1].mean).toBeCloseTo(mean(counts.map((c) => [0, 2 / 3, 1, 1][c])), 12);
    expect(passHatK[1].mean).toBeCloseTo(mean(counts.map((c) => [0, 0, 1 / 3, 1][c])), 12);
    expect(passAtK[2].mean).toBeCloseTo(mean(counts.map((c) => (c > 0 ? 1 : 0))), 12);
    expect(passHatK[2].mean).toBeCloseTo(mean(counts.map((c) => (c === 3 ? 1 : 0))), 12);
    // Without calls Solve-R and Solve-F1 are 0, with the teacher's they are 1 up to timeouts.
    expect(solveR.mean).toBeCloseTo(success.mean, 12);
    expect(value).toEqual(solveF1);
    expect(Object.keys(summary.categories)).toHaveLength(4);

    expect(readdirSync(folder).sort()).toEqual(["config.json", "episodes.jsonl", "summary.json"]);
    expect(lines(folder)).toHaveLength(24);
    const requests = server.requests.length;
    expect(summary.tokens).toEqual({ prompt: 10 * requests, completion: 2 * requests });
    const seeds = new Set(server.requests.map(({ body }) => body.seed));
    expect(seeds.size).toBe(24);
    for (const { headers, body } of server.requests) {
      expect(headers.authorization).toBe(`Bearer ${key}`);
      expect(body).toMatchObject({ model: "teacher", temperature: 0.7, stream: true });
    }
    expect(out + error + everything(folder)).not.toContain(key);
    expect(out + error + everything(folder)).not.toContain(Buffer.from(key).toString("base64").slice(0, 16));

    // The same command again has nothing to do, and another setting is refused by name.
    const again = await pactEval([...args, "--out", folder, "--resume"]);
    expect(again.code).toBe(0);
    expect(again.out).toContain("going on: 24 of 24 episodes are finished");
    expect(again.out).toMatch(/all tasks {2,}8 {2}0\.\d{3} \[0\.\d{3}, [01]\.\d{3}\]/);
    expect(server.requests).toHaveLength(requests);
    const other = await pactEval([...args, "--out", folder, "--temperature", "0.2", "--attempts", "2"]);
    expect(other.code).toBe(1);
    expect(other.error).toContain("attempts was 3 and is 2; temperature was 0.7 and is 0.2");
    expect(lines(folder)).toHaveLength(24);
  });

  it("goes on after a kill, also with a half-written line, and comes to the same scores", async () => {
    let slow = true;
    await using server = await startServer(async (...request) => {
      if (slow) await wait(30);
      return teacher(...request);
    });
    const args = [
      "--endpoint",
      server.url,
      "--tasks",
      String(count),
      "--attempts",
      "2",
      "--concurrency",
      "2",
    ];
    const folder = join(root, "killed");
    const killed = await pactEval([...args, "--out", folder], {
      signal: "SIGKILL",
      when: () => lines(folder).length >= 4,
    });
    expect(killed.code).toBeNull();
    const kept = lines(folder).length;
    expect(kept).toBeGreaterThanOrEqual(4);
    expect(kept).toBeLessThan(16);
    expect(existsSync(join(folder, "summary.json"))).toBe(false);
    const finished = new Set(
      lines(folder).map((line) => `${JSON.parse(line).taskId} ${JSON.parse(line).attempt}`),
    );
    appendFileSync(join(folder, "episodes.jsonl"), lines(folder)[0].slice(0, 100));

    slow = false;
    const before = server.requests.length;
    const resumed = await pactEval([...args, "--out", folder, "--resume"]);
    expect(resumed.code).toBe(0);
    expect(resumed.out).toContain(`going on: ${kept} of 16 episodes are finished`);
    const asked = new Set(server.requests.slice(before).map(({ body }) => body.seed));
    expect(asked.size).toBe(16 - kept);
    for (const { taskId } of suite.tasks)
      for (const attempt of [0, 1])
        expect(asked.has(seedOf(taskId, attempt))).toBe(!finished.has(`${taskId} ${attempt}`));
    expect(lines(folder).map((line) => JSON.parse(line))).toHaveLength(16);

    const whole = join(root, "unkilled");
    expect((await pactEval([...args, "--out", whole])).code).toBe(0);
    expect(scoresIn(folder)).toEqual(scoresIn(whole));
  });

  it("ends cleanly at Ctrl-C, with code 130, and can be gone on with", async () => {
    let slow = true;
    await using server = await startServer(async (...request) => {
      if (slow) await wait(40);
      return teacher(...request);
    });
    const folder = join(root, "stopped");
    const args = ["--endpoint", server.url, "--tasks", String(count), "--concurrency", "1", "--out", folder];
    const stopped = await pactEval(args, { signal: "SIGINT", when: () => lines(folder).length >= 2 });
    expect(stopped.code).toBe(130);
    expect(stopped.error).toBe("");
    expect(stopped.out).toContain("finished episodes are kept");
    const { outcome, episodes } = summaryIn(folder);
    expect(outcome).toBe("stopped");
    expect(episodes).toEqual({
      total: 8,
      finished: lines(folder).length,
      failed: 0,
      missing: 8 - lines(folder).length,
    });
    slow = false;
    expect((await pactEval(args)).code).toBe(0);
    expect(summaryIn(folder).episodes).toEqual({ total: 8, finished: 8, failed: 0, missing: 0 });
  });

  it("counts episodes that failed apart, exits with 1, and tries them again", async () => {
    const unlucky = suite.tasks[2];
    let broken = true;
    await using server = await startServer((response, received, ...rest) => {
      const asked = received.body.messages.some(
        ({ content }) => content === unlucky.task!.messages.at(-1)!.content,
      );
      if (broken && asked) return json(response, { error: { message: `too long; key ${key}` } }, 400);
      return teacher(response, received, ...rest);
    });
    const folder = join(root, "failing");
    const args = ["--endpoint", server.url, "--tasks", String(count), "--out", folder];
    const first = await pactEval(args, undefined, { PACT_API_KEY: key });
    expect(first.code).toBe(1);
    expect(first.out).toContain("1 of 8 episodes failed");
    expect(first.out).toContain(
      `${unlucky.taskId}, attempt 1: ${server.url}/chat/completions: HTTP 400: too long; key [redacted]`,
    );
    expect(first.out + first.error + everything(folder)).not.toContain(key);
    const { outcome, episodes, failures, overall } = summaryIn(folder);
    expect(outcome).toBe("done");
    expect(episodes).toEqual({ total: 8, finished: 7, failed: 1, missing: 0 });
    expect(failures).toEqual([
      { taskId: unlucky.taskId, attempt: 0, error: expect.stringContaining("HTTP 400") },
    ]);
    expect(overall.tasks).toBe(7);
    const others = successes(1).flatMap(([success], i) => (i === 2 ? [] : [success ? 1 : 0]));
    expect(overall.success.mean).toBeCloseTo(mean(others), 12);

    broken = false;
    const second = await pactEval(args);
    expect(second.code).toBe(0);
    expect(summaryIn(folder)).toMatchObject({
      episodes: { finished: 8, failed: 0, missing: 0 },
      failures: [],
    });
    expect(summaryIn(folder).overall.success.mean).toBeCloseTo(
      mean(successes(1).map(([s]) => (s ? 1 : 0))),
      12,
    );
  });

  it("ends at once where the server refuses everything, and lets the settings be corrected", async () => {
    await using server = await startServer((response, received, count) =>
      received.headers.authorization === `Bearer ${key}`
        ? teacher(response, received, count)
        : json(response, { error: { message: `wrong key ${received.headers.authorization}` } }, 401),
    );
    const folder = join(root, "refused");
    const args = ["--endpoint", server.url, "--tasks", "4", "--out", folder, "--concurrency", "2"];
    const wrong = await pactEval([...args, "--api-key-env", "OTHER_KEY"], undefined, {
      OTHER_KEY: "sk-wrong-987654321",
    });
    expect(wrong.code).toBe(1);
    expect(wrong.error).toContain("HTTP 401: wrong key Bearer [redacted] (status). Check the key");
    expect(wrong.error.trimEnd()).not.toContain("\n");
    expect(wrong.out + wrong.error + everything(folder)).not.toContain("sk-wrong");
    expect(server.requests.length).toBeLessThanOrEqual(2);
    expect(summaryIn(folder)).toMatchObject({
      outcome: "failed",
      episodes: { finished: 0, missing: 4 },
      overall: null,
    });
    const right = await pactEval([...args, "--temperature", "1"], undefined, { PACT_API_KEY: key });
    expect(right.code).toBe(0);
    expect(summaryIn(folder).episodes.finished).toBe(4);
  });

  it("ends when the server is gone, keeps what there is, and goes on when it is back", async () => {
    let isGone = false;
    let answered = 0;
    await using server = await startServer((response, ...rest) => {
      isGone ||= answered >= 12;
      if (isGone) return response.destroy();
      answered++;
      return teacher(response, ...rest);
    });
    const folder = join(root, "gone");
    const args = [
      "--endpoint",
      server.url,
      "--tasks",
      "8",
      "--attempts",
      "4",
      "--concurrency",
      "2",
      "--retries",
      "0",
    ];
    const lost = await pactEval([...args, "--out", folder]);
    expect(lost.code).toBe(1);
    expect(lost.error).toContain("Check that the server is running");
    const { outcome, episodes } = summaryIn(folder);
    expect(outcome).toBe("failed");
    expect(episodes.finished).toBeGreaterThan(0);
    // At most five failures in a row and the ones under way: not all of the 32 episodes were thrown away.
    expect(episodes.failed).toBeLessThanOrEqual(6);
    expect(episodes.missing).toBe(32 - episodes.finished - episodes.failed);
    answered = Number.NEGATIVE_INFINITY;
    isGone = false;
    expect((await pactEval([...args, "--out", folder])).code).toBe(0);
    expect(summaryIn(folder).episodes).toEqual({ total: 32, finished: 32, failed: 0, missing: 0 });
  });

  it("names a folder that can not be gone on with", async () => {
    const args = ["--endpoint", "http://127.0.0.1:9/v1", "--tasks", "4"];
    const none = join(root, "none");
    const missing = await pactEval([...args, "--out", none, "--resume"]);
    expect(missing).toMatchObject({
      code: 1,
      error: expect.stringContaining("holds no evaluation to go on with"),
    });
    expect(existsSync(none)).toBe(false);
    const foreign = join(root, "foreign");
    mkdirSync(foreign);
    writeFileSync(join(foreign, "notes.txt"), "mine");
    const full = await pactEval([...args, "--out", foreign]);
    expect(full).toMatchObject({
      code: 1,
      error: expect.stringContaining("holds something that is no evaluation"),
    });
    expect(readdirSync(foreign)).toEqual(["notes.txt"]);
    const damaged = join(root, "damaged");
    cpSync(join(root, "stopped"), damaged, { recursive: true });
    const log = join(damaged, "episodes.jsonl");
    const [head, ...tail] = readFileSync(log, "utf8").split("\n");
    writeFileSync(log, [head, '{"taskId": 3}', ...tail].join("\n"));
    const broken = await pactEval([...args, "--out", damaged]);
    expect(broken).toMatchObject({ code: 1, error: expect.stringContaining(`${log}:2: not an episode`) });
  });

  const bfcl = requireData("benchmarks/bfcl");
  it.skipIf(bfcl === undefined)("plays BFCL, granted turns included", async () => {
    await using server = await startServer((response) => {
      stream(response);
      response.end(chunk({ content: "I can not do that." }) + chunk({}, "stop"));
    });
    const folder = join(root, "bfcl");
    const { code } = await pactEval([
      ...["--env", "bfcl", "--data", bfcl ?? "", "--endpoint", server.url],
      ...["--tasks", "3", "--category", "miss_func", "--out", folder],
    ]);
    expect(code).toBe(0);
    const summary = summaryIn(folder);
    expect(summary.episodes).toEqual({ total: 3, finished: 3, failed: 0, missing: 0 });
    // Whoever calls nothing is wrong; one category is no Multi-Turn score.
    expect(summary.categories.miss_func.success).toMatchObject({ mean: 0, low: 0 });
    expect(summary.multiTurn).toBeUndefined();
    expect(summary.overall.solveF1).toBeUndefined();
    for (const { body } of server.requests) expect(Array.isArray(body.tools)).toBe(true);
  });

  const toolhop = requireData("benchmarks/toolhop");
  it.skipIf(toolhop === undefined)(
    "plays ToolHop, and gives both rules and the invocation error",
    async () => {
      await using server = await startServer((response, { body }) => {
        const isFirst = body.messages.every(({ role }) => role !== "tool");
        const call = { id: "a", type: "function", function: { name: "no_such_tool", arguments: "{}" } };
        json(
          response,
          completion(isFirst ? { content: null, tool_calls: [call] } : { content: "I give up." }),
        );
      });
      const folder = join(root, "toolhop");
      const { code, out } = await pactEval([
        ...["--env", "toolhop", "--data", toolhop ?? "", "--endpoint", server.url],
        ...["--tasks", "3", "--out", folder, "--no-stream"],
      ]);
      expect(code).toBe(0);
      expect(out).toContain("invocation error  1.000 of calls");
      const { overall, categories } = summaryIn(folder);
      expect(Object.keys(categories)).toEqual(["mandatory"]);
      expect(overall.invocationError).toMatchObject({ perCall: 1, perQuery: { mean: 1 } });
      // A short answer may be in the words of giving up by chance.
      expect(overall.success.mean).toBeLessThan(1);
      expect(overall.verdicts.correct).toEqual(overall.success);
      expect(overall.verdicts.correctOriginal.mean).toBeLessThan(1);
    },
  );

  it.each(["toolhop-like", "bfcl-like"])("plays %s", async (env) => {
    await using server = await startServer((response) =>
      json(response, completion({ content: "I can not." })),
    );
    const folder = join(root, env);
    const { code } = await pactEval([
      "--env",
      env,
      "--endpoint",
      server.url,
      "--tasks",
      "4",
      "--out",
      folder,
    ]);
    expect(code).toBe(0);
    const { overall, episodes } = summaryIn(folder);
    expect(episodes).toEqual({ total: 4, finished: 4, failed: 0, missing: 0 });
    expect(overall.success.mean).toBe(0);
    expect(overall.solveR.mean).toBeLessThan(1);
    expect(Object.keys(overall.verdicts).length).toBeGreaterThan(0);
  });

  const ftrl = requireData("benchmarks/ftrl");
  it.skipIf(ftrl === undefined)(
    "plays FTRL rows, and leaves out malformed ones only if asked to",
    async () => {
      await using server = await startServer((response) =>
        json(response, completion({ content: "I can not." })),
      );
      const data = join(root, "ftrl-data");
      cpSync(ftrl ?? "", data, { recursive: true });
      const rows = join(data, "test.no_code.jsonl");
      const all = readFileSync(rows, "utf8").split("\n");
      writeFileSync(rows, [...all.slice(0, 2), "{", ...all.slice(3)].join("\n"));
      const args = ["--env", "ftrl", "--data", data, "--endpoint", server.url, "--tasks", "4"];
      const strict = await pactEval([...args, "--out", join(root, "ftrl-strict")]);
      expect(strict).toMatchObject({ code: 1, error: expect.stringContaining("test.no_code.jsonl:3") });
      expect(existsSync(join(root, "ftrl-strict"))).toBe(false);
      const folder = join(root, "ftrl");
      const { code, out } = await pactEval([...args, "--out", folder, "--skip-invalid"]);
      expect(code).toBe(0);
      expect(out).toContain("left out 1 malformed line of the data:");
      expect(summaryIn(folder)).toMatchObject({
        episodes: { total: 4, finished: 4, failed: 0 },
        skipped: [expect.stringContaining("test.no_code.jsonl:3")],
        overall: { solveP: { mean: 1 }, solveR: { mean: 0 } },
      });
      // The same folder from elsewhere, and as it was stored before paths were kept from the root.
      const near = relative(process.cwd(), data);
      const config = join(folder, "config.json");
      const again = [...args.map((word) => (word === data ? near : word)), "--out", folder, "--skip-invalid"];
      expect((await pactEval(again)).code).toBe(0);
      writeFileSync(config, readFileSync(config, "utf8").replace(JSON.stringify(data), JSON.stringify(near)));
      expect((await pactEval([...args, "--out", folder, "--skip-invalid"])).code).toBe(0);
    },
  );
});
