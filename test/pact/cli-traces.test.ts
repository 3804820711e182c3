import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { assistantText, openSuite, readTraces, type TraceRecord } from "@pact/tools-sim";
import { afterAll, describe, expect, it } from "vitest";
import { traces } from "../../packages/pact/src/cli/traces.ts";
import { buildCommand } from "../../packages/pact/src/cli/traces-build.ts";
import { checkCommand } from "../../packages/pact/src/cli/traces-check.ts";
import { showCommand, traceLines } from "../../packages/pact/src/cli/traces-show.ts";
import { main } from "../../packages/pact/src/cli.ts";

const folder = mkdtempSync(join(tmpdir(), "pact-traces-"));
afterAll(() => rmSync(folder, { recursive: true }));
let files = 0;
const fresh = () => join(folder, `traces-${files++}.jsonl`);

/** A stream that remembers; no terminal. */
function sink() {
  let text = "";
  return {
    write: (piece: string) => {
      text += piece;
    },
    text: () => text,
  };
}
async function build(...args: string[]) {
  const out = sink();
  const error = sink();
  const code = await buildCommand(args, { out, error });
  return { code, out: out.text(), error: error.text() };
}
async function check(...args: string[]) {
  const out = sink();
  return { code: await checkCommand(args, out), out: out.text() };
}

const made = fresh();
await build("--tasks", "8", "--seed", "3", "--out", made);

/** A server that solves tasks as their script does, wrapped in what a model would say. */
async function withServer<T>(
  reply: (request: { messages: { role: string; content: string }[] }) => string | number,
  use: (url: string) => Promise<T>,
): Promise<T> {
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (piece) => {
      body += piece;
    });
    request.on("end", () => {
      const content = reply(JSON.parse(body));
      if (typeof content === "number") return void response.writeHead(content).end();
      response.writeHead(200, { "content-type": "application/json" });
      response.end(
        JSON.stringify({ choices: [{ finish_reason: "stop", message: { role: "assistant", content } }] }),
      );
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    return await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

/** What the script says at this point of a conversation, found by the question. */
function scripted(messages: { role: string; content: string }[]): string {
  const { tasks } = openSuite("ftrl-like", { count: 8, seed: 3, split: "train" });
  const trace = tasks.find(({ task }) => messages[1].content.endsWith(`Question: ${task!.question}`))!.task!
    .trace!;
  const turn = messages.filter(({ role }) => role === "assistant").length;
  return assistantText(trace.turns[turn] ?? trace.final);
}

describe("pact traces build", () => {
  it("writes traces that check, and says what they are", async () => {
    const out = fresh();
    const { code, out: text } = await build("--tasks", "8", "--seed", "3", "--out", out, "--json");
    expect(code).toBe(0);
    const result = JSON.parse(text);
    expect(result).toMatchObject({ out, traces: 8, dropped: [], answerShare: 1 });
    expect(readFileSync(out, "utf8")).toBe(readFileSync(made, "utf8"));
    expect(existsSync(`${out}.partial`)).toBe(false);
    expect((await check("--traces", out)).out).toMatch(/8 traces[\s\S]*no faults\n$/);
  });
  it("goes on where it was interrupted, with the same settings alone", async () => {
    const out = fresh();
    const whole = readFileSync(made, "utf8");
    const settings = {
      env: "ftrl-like",
      data: "",
      tasks: 8,
      seed: 3,
      split: "train",
      teacher: "scripted",
      annotator: "none",
    };
    const lines = whole
      .split("\n")
      .slice(0, 3)
      .map((line) => JSON.stringify({ kept: JSON.parse(line) }));
    writeFileSync(`${out}.partial`, `${JSON.stringify({ settings })}\n${lines.join("\n")}\n{"kept": {"id`);
    await expect(build("--tasks", "8", "--seed", "3", "--out", out)).rejects.toThrow("go on with --resume");
    await expect(build("--tasks", "8", "--seed", "4", "--out", out, "--resume")).rejects.toThrow(
      "begun with other settings",
    );
    const { out: text } = await build("--tasks", "8", "--seed", "3", "--out", out, "--resume");
    expect(text).toContain("3 tasks are done already");
    expect(readFileSync(out, "utf8")).toBe(whole);
  });
  it("asks a served teacher and a served annotator", async () => {
    const out = fresh();
    let asked = 0;
    const reply = ({ messages }: { messages: { role: string; content: string }[] }) => {
      if (!messages[0].content.startsWith("You label"))
        return scripted(messages).replace("<think>", "<think>Hm. ");
      asked++;
      return asked === 1
        ? "I can not"
        : '{"chunks": [{"first": 0, "last": 0, "until": "Hm.", "type": "other", "keep": false}, {"first": 0, "last": 0, "type": "task_restate"}]}';
    };
    await withServer(reply, async (url) => {
      const { code } = await build(
        "--tasks",
        "8",
        "--seed",
        "3",
        "--out",
        out,
        "--teacher",
        "endpoint",
        "--endpoint",
        url,
        "--model",
        "m",
        "--annotator",
        "endpoint",
      );
      expect(code).toBe(0);
    });
    expect((await check("--traces", out)).code).toBe(0);
    const kept = readTraces(out).traces.map(({ trace }) => trace);
    expect(kept).toHaveLength(8);
    expect(kept[0].teacher).toBe("m");
    const cut = new Set(kept.flatMap(({ turns }) => turns.map(({ segmentedBy }) => segmentedBy)));
    expect(cut.has("teacher")).toBe(false);
    expect(cut.size).toBeGreaterThan(0);
  });
  it("stops when the server is gone, and can be resumed", async () => {
    const out = fresh();
    const args = [
      "--tasks",
      "8",
      "--seed",
      "3",
      "--out",
      out,
      "--teacher",
      "endpoint",
      "--model",
      "m",
      "--concurrency",
      "1",
    ];
    await withServer(
      () => 404,
      async (url) => {
        await expect(build(...args, "--endpoint", url)).rejects.toThrow("failed 5 times in a row");
      },
    );
    expect(existsSync(out)).toBe(false);
    await withServer(
      ({ messages }) => scripted(messages),
      async (url) => {
        expect((await build(...args, "--endpoint", url, "--resume")).code).toBe(0);
      },
    );
    expect(readTraces(out).traces).toHaveLength(8);
  });
  it("writes the server's key nowhere", async () => {
    const out = fresh();
    const key = "sk-4f1d9a7c55e0";
    process.env.PACT_TEST_TRACES_KEY = key;
    try {
      const args = ["--tasks", "8", "--seed", "3", "--out", out, "--teacher", "endpoint", "--model", "m"];
      await withServer(
        () => 401,
        async (url) => {
          const failed = build(...args, "--endpoint", url, "--api-key-env", "PACT_TEST_TRACES_KEY");
          await expect(failed).rejects.toThrow("failed 5 times");
          await expect(failed).rejects.not.toThrow(key);
        },
      );
      expect(readFileSync(`${out}.partial`, "utf8")).not.toContain(key);
    } finally {
      delete process.env.PACT_TEST_TRACES_KEY;
    }
  });
  it("refuses what it can not do", async () => {
    await expect(build("--out", made)).rejects.toThrow("exists and is never overwritten");
    await expect(build("--out", fresh(), "--resume")).rejects.toThrow("to resume");
    await expect(build("--out", fresh(), "--teacher", "endpoint")).rejects.toThrow(
      "needs --endpoint <url> and --model <name>",
    );
    await expect(build("--out", fresh(), "--annotator", "endpoint")).rejects.toThrow("--annotator-model");
    await expect(
      build(
        "--out",
        fresh(),
        "--teacher",
        "endpoint",
        "--endpoint",
        "http://127.0.0.1:9/v1",
        "--model",
        "m",
        "--api-key-env",
        "PACT_NO_SUCH_KEY",
      ),
    ).rejects.toThrow("PACT_NO_SUCH_KEY of --api-key-env is not set");
    await expect(build("--seeed", "3")).rejects.toThrow("Did you mean --seed?");
    await expect(traces([])).rejects.toThrow("build, check or show");
    await expect(traces(["biuld"])).rejects.toThrow("Did you mean build?");
  });
});

describe("pact traces check", () => {
  it("finds faults by file and line, and ends with 1", async () => {
    const path = fresh();
    const [first, second, third] = readFileSync(made, "utf8").split("\n");
    const lying = { ...(JSON.parse(second) as TraceRecord), answerInObservations: false };
    writeFileSync(path, [first, JSON.stringify(lying), third.slice(0, 40)].join("\n"));
    const { code, out } = await check("--traces", path);
    expect(code).toBe(1);
    expect(out).toContain(`${path}:2: field "answerInObservations" must be true`);
    expect(out).toContain(`${path}:3: not valid JSON`);
    expect(out).toContain("2 faults");
    const json = JSON.parse((await check("--traces", path, "--skip-invalid", "--json")).out);
    expect(json).toMatchObject({ ok: false, traces: 2 });
    expect(json.faults).toHaveLength(1);
    expect(json.skipped).toHaveLength(1);
    writeFileSync(path, "");
    expect(await check("--traces", path)).toMatchObject({ code: 1 });
    await expect(check()).rejects.toThrow("--traces <path> is missing");
  });
});

describe("pact traces show", () => {
  it("shows what a level supervises", async () => {
    const out = sink();
    expect(await showCommand(["--traces", made, "--level", "1"], out)).toBe(0);
    const [trace] = readTraces(made).traces.map((read) => read.trace);
    expect(out.text()).toContain(trace.question);
    expect(out.text().match(/^ {2}● /gm)).toHaveLength(trace.turns.length);
    expect(out.text()).toContain("final turn  part of no context");
    const none = sink();
    await showCommand(["--traces", made, "--level", "0", "--id", readTraces(made).traces[1].trace.id], none);
    expect(none.text()).not.toMatch(/^ {2}● /m);
    await expect(showCommand(["--traces", made, "--id", "x"], out)).rejects.toThrow(
      "no trace of x; it begins with",
    );
  });
  it("is bounded and lets no escape sequence through", () => {
    const [{ trace }] = readTraces(made).traces;
    const turn = { ...trace.turns[0], observations: [`\u001b[2J${"x".repeat(10_000)}`] };
    const lines = traceLines(
      { ...trace, id: "\u001b]0;x\u0007", turns: Array.from({ length: 100 }, () => turn) },
      4,
      (_, text) => text,
    );
    expect(lines.join("")).not.toMatch(/[^\P{Cc}\n]/u);
    expect(lines.join("").length).toBeLessThan(150_000);
    expect(lines.join("\n")).toContain("… and 60 more turns");
  });
});

describe("the program", () => {
  it("has help with examples for each part", async () => {
    for (const word of ["build", "check", "show"]) {
      const help = sink();
      expect(await main(["traces", word, "--help"], { out: help.write, error: () => {} })).toBe(0);
      const out = help.text();
      expect(out).toContain(`Usage: pact traces ${word} [options]`);
      expect(out).toContain(`Examples\n  pact traces ${word}`);
      expect(Math.max(...out.split("\n").map((line) => line.length))).toBeLessThanOrEqual(140);
    }
  });
  it("saves what is done at Ctrl-C, and ends with 130", async () => {
    const bin = fileURLToPath(new URL("../../packages/pact/bin/pact.mjs", import.meta.url));
    const out = fresh();
    const args = [
      "--tasks",
      "8",
      "--seed",
      "3",
      "--out",
      out,
      "--teacher",
      "endpoint",
      "--model",
      "m",
      "--concurrency",
      "1",
    ];
    let replies = 0;
    let stop = () => {};
    const code = await withServer(
      ({ messages }) => {
        // Late in the third task at the earliest: two are done by then.
        if (messages.filter(({ role }) => role === "assistant").length === 0 && ++replies === 4) stop();
        return scripted(messages);
      },
      async (url) => {
        const child = spawn(process.execPath, [bin, "traces", "build", ...args, "--endpoint", url], {
          stdio: "ignore",
        });
        stop = () => child.kill("SIGINT");
        const [exit] = await once(child, "exit");
        return exit;
      },
    );
    expect(code).toBe(130);
    expect(existsSync(out)).toBe(false);
    const done = readFileSync(`${out}.partial`, "utf8").trim().split("\n").length - 1;
    expect(done).toBeGreaterThanOrEqual(2);
    expect(done).toBeLessThan(8);
    await withServer(
      ({ messages }) => scripted(messages),
      async (url) => expect((await build(...args, "--endpoint", url, "--resume")).code).toBe(0),
    );
    expect(readTraces(out).traces).toHaveLength(8);
  });
  it("checks a file as a child process", () => {
    const bin = fileURLToPath(new URL("../../packages/pact/bin/pact.mjs", import.meta.url));
    const text = execFileSync(process.execPath, [bin, "traces", "check", "--traces", made], {
      encoding: "utf8",
    });
    expect(text).toMatch(/^8 traces[\s\S]*no faults\n$/);
  });
});
