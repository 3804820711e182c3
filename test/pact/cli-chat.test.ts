/** `pact chat` as a whole, in a pipe: the shipped base, tiny folders of every architecture, tasks, commands, Ctrl-C. */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { loadModel, lora, loraToPeft } from "@pact/nn";
import { add, createDevice, key, type Tensor } from "@pact/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AdapterFolderError } from "../../packages/pact/src/cli/adapter-folder.ts";
import { digestOf } from "../../packages/pact/src/cli/base-policy.ts";
import { chat } from "../../packages/pact/src/cli/chat.ts";
import { ChatModelError } from "../../packages/pact/src/cli/chat-model.ts";
import { UsageError } from "../../packages/pact/src/cli/options.ts";
import { eventsOf, TestSignals, testConsole } from "./chat-console.ts";
import { chatFamilies, family, makeChatFolder } from "./chat-folders.ts";

const work = mkdtempSync(join(tmpdir(), "pact-chat-"));
const folderOf = (name: string) => join(work, name);

beforeAll(async () => {
  for (const own of chatFamilies) await makeChatFolder(folderOf(own.name), own);
});
afterAll(() => rmSync(work, { recursive: true }));

/** Runs the command on the cpu device with these lines as its input. */
async function run(args: readonly string[], lines: readonly string[] = []) {
  const console = testConsole(lines);
  const code = await chat(["--device", "cpu", ...args], console, new TestSignals());
  return { code, shown: console.shown(), told: console.told() };
}

/** The same with `--json`: its events. */
async function events(args: readonly string[], lines: readonly string[] = []) {
  return eventsOf((await run(["--json", ...args], lines)).shown);
}

/** Adapters of one layer of the Qwen3 folder, as PEFT saves them. */
async function makeAdapter(folder: string, change: (weight: Tensor) => Tensor): Promise<void> {
  const device = await createDevice({ device: "cpu" });
  const { config, params } = await loadModel(folderOf("qwen3"), { device });
  const { settings, weights } = lora(config, params, { rank: 2, targets: ["o_proj"], key: key(1) });
  const changed = Object.entries(weights).map(([name, weight]) => [name, change(weight)]);
  const files = await loraToPeft({ settings, weights: Object.fromEntries(changed) });
  device.destroy();
  mkdirSync(folder);
  writeFileSync(join(folder, "adapter_config.json"), JSON.stringify(files["adapter_config.json"]));
  writeFileSync(join(folder, "adapter_model.safetensors"), files["adapter_model.safetensors"]);
}

describe.each(chatFamilies)("a folder of $name", ({ name }) => {
  const args = ["--model", folderOf(name), "--max-tokens", "8"];

  it("answers each line, and reads no turn twice", async () => {
    const [first, second, ...more] = await events(args, ["Who is the mayor?", "", "And now?"]);
    expect(more).toEqual([]);
    expect(first).toMatchObject({ type: "turn", turn: 1, reusedTokens: 0, observations: [] });
    expect(first.tokens).toBeGreaterThan(0);
    const { promptTokens, tokens } = first as { promptTokens: number; tokens: number };
    // All but the last sampled token, which was never read.
    expect(second.reusedTokens).toBe(promptTokens + tokens - 1);
    expect(second.promptTokens).toBeGreaterThan(promptTokens + tokens);
  });

  it("says the same for the same seed, and something else for another", async () => {
    const texts = async (...more: string[]) =>
      (await events([...args, ...more], ["Hi", "Who?"])).map(({ text }) => text);
    const once = await texts();
    expect(await texts()).toEqual(once);
    expect(await texts("--seed", "2")).not.toEqual(once);
    expect(await texts("--temperature", "0")).toEqual(await texts("--temperature", "0", "--seed", "2"));
  });
});

const hf = ["--model", folderOf("qwen3")];

describe("a reply", () => {
  it("is written to standard output, everything else to standard error", async () => {
    const { code, shown, told } = await run([...hf, "--max-tokens", "4"], ["Hi", "/tools"]);
    expect(code).toBe(0);
    expect(told).toContain("no tools");
    expect(told).toContain("cut: --max-tokens allows no more");
    expect(shown).not.toContain("no tools");
    expect(shown.length).toBeGreaterThan(1);
    // What a random model says holds control characters: none of them may come through.
    const long = await run([...hf, "--max-tokens", "300", "--temperature", "3"], ["Hi"]);
    expect(long.shown).toMatch(/\\x[01]/);
    expect(long.shown).not.toMatch(/[^\P{Cc}\n\t]/u);
  });

  it("ends before a stop string", async () => {
    const [{ text }] = await events([...hf, "--max-tokens", "40"], ["Hi"]);
    const stop = [...String(text)][9];
    const [stopped] = await events([...hf, "--max-tokens", "40", "--stop", stop], ["Hi"]);
    expect(stopped.finish).toBe("string");
    expect(String(text).startsWith(String(stopped.text))).toBe(true);
    expect(stopped.text).not.toContain(stop);
  });

  it("follows the system message and the template's switch for reasoning", async () => {
    const tokens = async (...more: string[]) =>
      (await events([...hf, "--max-tokens", "1", ...more], ["Hi"]))[0].promptTokens as number;
    const plain = await tokens();
    expect(await tokens("--system", "Be kind.")).toBeGreaterThan(plain + 5);
    expect(await tokens("--no-think")).toBe(plain + 6);
  });

  it("is counted as failed where none is possible, with exit code 1", async () => {
    const { code, told, shown } = await run([...hf, "--max-tokens", "4"], ["x".repeat(9000), "Hi"]);
    expect(code).toBe(1);
    expect(told).toMatch(
      /the conversation has \d+ tokens, and the model reads at most 8192\. \/reset begins anew/,
    );
    expect(shown).not.toBe(""); // the second message got one
  });

  it("may begin inside of reasoning that the template opened", async () => {
    // Reasoning of earlier turns is kept.
    const opening = family("qwen3")
      .template.replace("loop.index0 > ns.last and ", "")
      .replace(/\{%- if enable_thinking.*/, "{{- '<think>' }}{%- endif %}");
    await makeChatFolder(folderOf("thinker"), family("qwen3"), {
      "tokenizer_config.json": JSON.stringify({ eos_token: "<|im_end|>", chat_template: opening }),
    });
    const args = ["--model", folderOf("thinker"), "--max-tokens", "6"];
    const [first, second] = await events(args, ["Hi", "Who?"]);
    expect(first.text).toBe(`<think>${first.reasoning}`);
    expect(first.content).toBe("");
    expect(second.reusedTokens).toBe((first.promptTokens as number) + 5); // the opening tag is there once
    expect((await run(args, ["Hi"])).shown.startsWith("<think>")).toBe(true);
  });

  it("is none, and why, where the template writes nothing", async () => {
    await makeChatFolder(folderOf("blank"), family("qwen3"), {
      "tokenizer_config.json": JSON.stringify({ eos_token: "<|im_end|>", chat_template: "{{ '' }}" }),
    });
    const { code, told } = await run(["--model", folderOf("blank")], ["Hi"]);
    expect([code, told]).toEqual([1, expect.stringContaining("prompt 0 is empty")]);
  });

  it("is that of the adapters, where there are some", async () => {
    await makeAdapter(folderOf("fresh"), (x) => x);
    await makeAdapter(folderOf("trained"), (x) => add(x, 0.5));
    const text = async (...more: string[]) =>
      (await events([...hf, "--max-tokens", "8", "--temperature", "0", ...more], ["Hi"]))[0].text;
    const base = await text();
    expect(await text("--adapter", folderOf("fresh"))).toBe(base);
    expect(await text("--adapter", folderOf("trained"))).not.toBe(base);
  });

  it("is given beside the model that the adapters belong to, as far as they say which", async () => {
    const adapter = folderOf("own");
    await makeAdapter(adapter, (x) => x);
    const config = join(adapter, "adapter_config.json");
    const whole = JSON.parse(readFileSync(config, "utf8"));
    const told = async (named: string, model = folderOf("qwen3")) => {
      writeFileSync(config, JSON.stringify({ ...whole, base_model_name_or_path: named }));
      return (await run(["--model", model, "--adapter", adapter])).told;
    };
    const cached = join(work, "models--Org--Some-0.5B", "snapshots", "1");
    await makeChatFolder(cached, family("qwen3"));
    for (const [named, model] of [[folderOf("qwen3")], ["Org/QWEN3"], ["Org/Some-0.5B", cached]])
      expect(await told(named, model), named).not.toContain("the adapters");
    expect(await told("")).toMatch(/the adapters in .*own name no model: their shapes fit .*qwen3/);
    expect(await told("Org/Other")).toMatch(/name the model "Org\/Other", this is .*qwen3: their shapes fit/);
    expect(await told(cached)).toMatch(/name the model ".*snapshots\/1", this is .*qwen3/);
    const manifest = join(adapter, "manifest.json");
    writeFileSync(manifest, JSON.stringify({ base: await digestOf(folderOf("qwen3")) }));
    expect(await told("Org/Other")).not.toContain("the adapters");
    const others = "0123456789abcdef".repeat(4);
    writeFileSync(manifest, JSON.stringify({ base: others }));
    const refused = await told("Org/Other").catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(AdapterFolderError);
    expect(String(refused)).toMatch(
      /belong to another model than .*qwen3: .* SHA-256 0123456789ab…, these [0-9a-f]{12}…\. Give .*names "Org\/Other"/,
    );
    writeFileSync(manifest, "[]");
    await expect(told("")).rejects.toThrow(/manifest\.json in .*own is no JSON object/);
    rmSync(manifest);
    // The shipped base has other layers.
    await expect(run(["--adapter", adapter])).rejects.toThrow(/does not fit the model/);
  });
});

it("a folder plays a task in its own format, and may answer without tags", async () => {
  const args = [...hf, "--env", "ftrl-like", "--max-tokens", "40"];
  const [task, { text, finish }, ...more] = await events(args);
  expect([task.type, finish, more]).toEqual(["task", "length", []]); // what is cut is not acted upon
  const characters = [...String(text)];
  const stop = characters.find((one, at) => at > 4 && characters.indexOf(one) === at && /\w/.test(one)) ?? "";
  const score = (await events([...args, "--stop", stop])).at(-1);
  expect(score).toMatchObject({ type: "score", stopReason: "answer", success: false });
});

describe("the shipped base", () => {
  it("solves a task with its tools, and takes messages behind it", async () => {
    const task = ["--env", "ftrl-like", "--task", "3", "--temperature", "0"];
    const lines = await events(task, ['Tell me the founder of "Keto".']);
    const score = lines.findIndex(({ type }) => type === "score");
    expect(lines[0]).toMatchObject({ type: "task", title: expect.stringContaining("ftrl-like/heldout/1") });
    const turns = lines.slice(1, score);
    expect(turns.flatMap(({ observations }) => observations as object[])).toContainEqual(
      expect.objectContaining({ role: "tool", name: "founderLookup" }),
    );
    // Behind its first turn it reads only what is new: what the tool gave.
    for (const { promptTokens, reusedTokens } of turns.slice(1) as Record<string, number>[])
      expect(promptTokens - reusedTokens).toBeLessThan(20);
    expect(lines[score]).toMatchObject({ success: true, stopReason: "answer" });
    expect(lines.length).toBeGreaterThan(score + 1);
    const { shown } = await run(task);
    expect(shown).toContain("tool founderLookup");
    expect(shown).toContain("solved, value 1.000, stop reason answer");
  }, 60_000);
});

describe("commands", () => {
  it("save the conversation, once", async () => {
    const path = join(work, "talk.json");
    const save = `/save ${path}`;
    const { told } = await run([...hf, "--max-tokens", "2"], ["/system Kind.", "Hi", save, save, "/save"]);
    const saved = JSON.parse(readFileSync(path, "utf8"));
    expect(saved.messages.map(({ role }: { role: string }) => role)).toEqual(["system", "user", "assistant"]);
    expect(saved.messages[2]).not.toHaveProperty("ids");
    expect(told).toContain("is there already");
    expect(told).toContain("/save needs the name of a file");
  });

  it("are listed, guessed and left by /quit", async () => {
    const { told, shown } = await run(hf, ["/help", "/halp", "/dance", "/quit", "never read"]);
    expect(told).toContain("/retry");
    expect(told).toContain("unknown command /halp; did you mean /help?");
    expect(told).toContain("unknown command /dance");
    expect(shown).toBe("");
  });
});

describe("Ctrl-C", () => {
  it("stops the reply; from a pipe it also leaves", async () => {
    const console = testConsole(["Tell me", "never read"]);
    const signals = new TestSignals();
    console.output.once("data", () => signals.press());
    const code = await chat(["--device", "cpu", ...hf, "--max-tokens", "2000"], console, signals);
    expect(code).toBe(130);
    expect(console.told()).toContain("stopped; /retry asks again");
    expect(signals.listenerCount("SIGINT")).toBe(0);
    expect(signals.exits).toEqual([]);
  });

  it("at a terminal leaves the conversation where it is, until it is pressed again", async () => {
    const console = testConsole();
    Object.assign(console.input, { isTTY: true });
    Object.assign(console.output, { isTTY: true, columns: 80 });
    const signals = new TestSignals();
    const until = async (text: RegExp) => {
      while (![console.shown(), console.told()].some((part) => text.test(part)))
        await new Promise((resolve) => setTimeout(resolve, 5));
    };
    const done = chat(["--device", "cpu", ...hf, "--max-tokens", "2000"], console, signals);
    await until(/> /);
    console.input.write("Tell me\r");
    await until(/Tell me\r?\n+[^\n]/);
    signals.press();
    await until(/stopped; \/retry asks again/);
    console.input.write("\u0003");
    await until(/\^C/);
    expect(await done).toBe(130);
  }, 20_000);
});

describe("what can not be used", () => {
  it.each<[string, readonly string[], RegExp]>([
    ["a task without an environment", ["--task", "3"], /--task is for --env/],
    ["an unknown task", ["--env", "ftrl-like", "--task", "x"], /no task "x"; there are 100/],
    ["an unknown option", ["--modle", "x"], /Did you mean --model/],
    ["an empty stop string", ["--stop", ""], /--stop needs a text/],
    ["a temperature out of range", ["--temperature", "11"], /from 0 to 10/],
  ])("%s", async (_, args, message) => {
    const error = await run(args).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(UsageError);
    expect(String(error)).toMatch(message);
  });

  it("a folder that is not there, has no template, or no end of a turn", async () => {
    await makeChatFolder(folderOf("mute"), family("qwen3"), { "tokenizer_config.json": "{}" });
    await makeChatFolder(folderOf("endless"), family("qwen3"), {
      "tokenizer_config.json": JSON.stringify({ chat_template: "{{ messages[0].content }}" }),
      "generation_config.json": "{}",
    });
    for (const [name, message] of [
      ["none", /there is no folder .* Give --model/],
      ["mute", /has no chat template.*chat_template\.jinja/],
      ["endless", /names no token that ends a turn.*eos_token/],
    ] as const) {
      const error = await run(["--model", folderOf(name)]).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(ChatModelError);
      expect(String(error)).toMatch(message);
    }
    await expect(run(["--no-think"])).rejects.toThrow(/does not read enable_thinking.*Leave out --no-think/);
    await expect(run(["--precision", "f16"])).rejects.toThrow(/does not compute in it/);
    await expect(run(["--adapter", work])).rejects.toThrow(/no readable adapter_config\.json/);
  });
});

it("runs as a program in a pipe", () => {
  const program = fileURLToPath(new URL("../../packages/pact/src/cli.ts", import.meta.url));
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [
      "--import",
      "tsx",
      "--conditions=source",
      program,
      "chat",
      "--device",
      "cpu",
      ...hf,
      "--max-tokens",
      "3",
      "--json",
    ],
    { input: "Who?\nWho else?\n", encoding: "utf8" },
  );
  expect([status, stderr.split("\n").at(-2)]).toEqual([0, expect.stringMatching(/^load|^ {2}\(cut/)]);
  expect(eventsOf(stdout).map(({ type }) => type)).toEqual(["turn", "turn"]);
}, 60_000);
