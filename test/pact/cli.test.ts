import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { nearest, parseOptions, UsageError } from "../../packages/pact/src/cli/options.ts";
import { trainOptions } from "../../packages/pact/src/cli/train-options.ts";
import { main } from "../../packages/pact/src/cli.ts";

/** Runs the program with its output captured. */
async function run(...args: string[]): Promise<{ code: number; out: string; error: string }> {
  let out = "";
  let error = "";
  const code = await main(args, {
    out: (text) => {
      out += text;
    },
    error: (text) => {
      error += text;
    },
  });
  return { code, out, error };
}

const full = mkdtempSync(join(tmpdir(), "pact-cli-"));
writeFileSync(join(full, "config.json"), "{}");
afterAll(() => rmSync(full, { recursive: true }));

describe("help", () => {
  it("is what -h and the word help ask for, too", async () => {
    const shown = async (...args: string[]) => {
      const texts: string[] = [];
      expect(await main(args, { out: (text) => texts.push(text), error: () => {} })).toBe(0);
      return texts.join("");
    };
    expect(await shown("-h")).toBe(await shown("--help"));
    expect(await shown("help")).toBe(await shown("--help"));
    expect(await shown("help", "doctor")).toBe(await shown("doctor", "--help"));
    expect(await shown("doctor", "-h")).toBe(await shown("doctor", "--help"));
  });

  it("of the program lists the commands that exist", async () => {
    const { code, out } = await run("--help");
    expect(code).toBe(0);
    expect(out).toMatchInlineSnapshot(`
      "pact: Privileged Trace Co-Training of tool-use agents, on a tensor engine of its own.

      Usage: pact <command> [options]

      Commands
        train    train the base policy with PACT and report before and after
        eval     run and score a served model on an environment
        compare  train several methods with several seeds and compare them
        plan     predict the memory of a training run before anything is allocated
        view     serve the report of a run or a comparison, fresh while it is going on
        explain  print one training rollout token by token: where its loss comes from
        merge    work the LoRA adapters of a run into its model: a plain model folder
        chat     talk to a model in the terminal, or watch it solve a task
        play     play one episode of an environment by hand
        traces   make, check and look at expert traces
        doctor   print the adapter and driver that compute here, and what is missing

      Options
        --help     show this help; after a command, that command's options
        --version  print the version

      Exit codes: 0 done, 1 failed, 2 wrong command line, 130 stopped by Ctrl-C
      (pressed once, the work is saved; a second press ends the program at once).
      PACT_DEBUG=1 adds the stack to an error.
      "
    `);
  });
  it("of train is made from its option table", async () => {
    const { code, out } = await run("train", "--help");
    expect(code).toBe(0);
    expect(out).toMatchInlineSnapshot(`
      "pact train: train the base policy with PACT and report before and after

      Usage: pact train [options]

      Evaluates the base policy on held-out tasks, trains it, evaluates it again
      (sampled at temperature 1 and greedy), and writes a run folder: config.json,
      metrics.jsonl, rollouts.jsonl, evaluations.jsonl, summary.json, checkpoints/ and
      report.html.

      Ctrl-C once finishes the current step, then saves the checkpoint and a report of
      what was done; twice stops at once. A run that was stopped or killed goes on
      with --resume: same seed, same device, same bits as one never interrupted.

      Counts of tokens are of work, sampled + trained on: a token counts once when it
      is sampled, and once more in every optimiser update that trains on it.

      Options
        --env <ftrl-like|toolhop-like|bfcl-like|ftrl>
            Tasks: one of the generated families, or the published FTRL rows with
            their recorded tool outputs (needs --data). Default: ftrl-like.
        --data <path>
            Folder with the FTRL files, or a file of rows with codes; only with --env
            ftrl. Default: none.
        --traces <path>
            Trace file of pact traces build; only its tasks are trained on, with its
            traces. Default: the traces that come with the tasks.
        --method <pact|vanilla|sft|grpo|ftrl|toolrl|chord|matchtir|sft-matchtir>
            Objective: PACT, or one of the methods it is compared with
            (docs/algorithms/pact.md); vanilla trains nothing. Default: pact.
        --config <path>
            File of training settings: .json, or a .ts or .mjs module with a default
            export (your own: it runs). Default: none.
        --set <key=value>
            One training setting, over the file's; the value is JSON or text, e.g.
            --set promptsPerStep=8. May be given several times.
        --model <path>
            Model folder to start from: a run's checkpoint, or a Hugging Face folder
            (Qwen3, Qwen2, Llama) with a chat template. Default: the base policy
            shipped with the package.
        --device <auto|webgpu|cpu>
            Where tensors live; auto takes the best WebGPU adapter and falls back to
            cpu. Default: auto.
        --seed <number>
            Seed of every random stream; same seed and device, same run. Whole number
            from 0 to 4294967295. Default: 1.
        --steps <steps>
            Optimiser batches; every schedule runs over this length. Whole number from
            1 to 1000000. Default: 30.
        --run-dir <path>
            Folder for everything the run writes; must be new or empty. Default:
            runs/<time>-<method>-seed<seed>.
        --eval-tasks <tasks>
            Held-out tasks of each evaluation; of ftrl-like in equal parts from the
            four categories. Whole number from 4 to 100000. Default: 200.
        --eval-every <steps>
            Evaluate after every so many steps as well; 0: only before and after
            training. Whole number from 0 to 1000000. Default: 0.
        --eval-rollouts <rollouts>
            K, sampled rollouts per held-out task, for avg@k, pass@k and pass^k; the
            greedy one is beside them. Whole number from 1 to 64. Default: 1.
        --resume
            Go on with the run in --run-dir from its newest checkpoint, with its own
            settings.
        --no-pack
            Compute every rollout and the expert sequence one by one, instead of as
            one prefix tree per prompt; slower, the same numbers up to rounding.
        --checkpoint-every <steps>
            Save a checkpoint after every so many steps, and at the end; 0: only at
            the end. Whole number from 0 to 1000000. Default: 10.
        --json
            Print progress to standard error and the result as one line of JSON to
            standard output.
        --help
            Show this help and do nothing else.

      Examples
        pact train
            the whole road with its defaults; the same as npm start in a checkout
        pact train --method matchtir --seed 2 --run-dir runs/matchtir-2
            a baseline beside it
        pact train --set learningRate=3e-4 --set rolloutsPerPrompt=8
            other settings; config.ts documents each
        pact train --resume --run-dir runs/matchtir-2
            go on with a run that was stopped or killed
        pact train --env ftrl --data data/ftrl --steps 2
            the published FTRL rows
      "
    `);
    for (const name of Object.keys(trainOptions)) expect(out).toContain(`--${name}`);
    expect(Math.max(...out.split("\n").map((line) => line.length))).toBeLessThanOrEqual(80);
  });
  it("of doctor does not look for an adapter", async () => {
    const { code, out } = await run("doctor", "--help");
    expect(code).toBe(0);
    expect(out).toContain("pact doctor");
  });
  it("--version is the version of package.json", async () => {
    expect(await run("--version")).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
    });
  });
});

describe("wrong command lines end with code 2 and one line", () => {
  const cases: readonly (readonly [args: readonly string[], message: string])[] = [
    [
      [],
      "pact: no command given. Commands: train, eval, compare, plan, view, explain, merge, chat, play, traces, doctor. See `pact --help`.",
    ],
    [["trian"], 'pact: unknown command "trian". Did you mean train? See `pact --help`.'],
    [["zzzzzzzz"], 'pact: unknown command "zzzzzzzz". See `pact --help`.'],
    [["__proto__"], 'pact: unknown command "__proto__". See `pact --help`.'],
    [["--hlep"], 'pact: unknown option "--hlep". Did you mean --help? See `pact --help`.'],
    [
      ["train", "--stpes", "3"],
      "pact train: unknown option --stpes. Did you mean --steps? See `pact train --help`.",
    ],
    [["train", "-s", "3"], "pact train: unknown option -s. Did you mean --set? See `pact train --help`."],
    [["train", "ftrl"], 'pact train: unexpected argument "ftrl". See `pact train --help`.'],
    [["train", "--steps"], "pact train: --steps needs a value. See `pact train --help`."],
    [["train", "--steps", "--json"], "pact train: --steps needs a value. See `pact train --help`."],
    [["train", "--json=yes"], 'pact train: --json takes no value, received "yes". See `pact train --help`.'],
    [
      ["train", "--steps", "0"],
      'pact train: --steps must be a whole number from 1 to 1000000; received "0".',
    ],
    [
      ["train", "--steps", "1e3"],
      'pact train: --steps must be a whole number from 1 to 1000000; received "1e3".',
    ],
    [
      ["train", "--seed=-1"],
      'pact train: --seed must be a whole number from 0 to 4294967295; received "-1".',
    ],
    [
      ["train", "--eval-tasks", "3"],
      'pact train: --eval-tasks must be a whole number from 4 to 100000; received "3".',
    ],
    [["train", "--run-dir", ""], "pact train: --run-dir needs a path, received an empty one."],
    [
      ["train", "--device", "gpu"],
      'pact train: --device must be one of auto, webgpu, cpu; received "gpu". Did you mean --device webgpu?',
    ],
    [
      ["train", "--method", "ppo"],
      'pact train: --method must be one of pact, vanilla, sft, grpo, ftrl, toolrl, chord, matchtir, sft-matchtir; received "ppo". Did you mean --method grpo?',
    ],
    [
      ["train", "--env", "ftrl-lik"],
      'pact train: --env must be one of ftrl-like, toolhop-like, bfcl-like, ftrl; received "ftrl-lik". Did you mean --env ftrl-like?',
    ],
    [
      ["train", "--env", "ftrl"],
      "pact train: --env ftrl needs --data <path>, the folder with the FTRL files.",
    ],
    [
      ["train", "--data", "x"],
      "pact train: --data belongs to --env ftrl; --env ftrl-like generates its tasks.",
    ],
    [
      ["doctor", "--jsn"],
      "pact doctor: unknown option --jsn. Did you mean --json? See `pact doctor --help`.",
    ],
  ];
  it.each(cases)("%j", async (args, message) => {
    expect(await run(...args)).toEqual({ code: 2, out: "", error: `${message}\n` });
  });
});

it("a run folder that is not empty is refused before anything is loaded, with code 1", async () => {
  const { code, error } = await run("train", "--run-dir", full);
  expect(code).toBe(1);
  expect(error).toBe(
    `pact: the run folder ${full} is not empty; a run never overwrites another. Choose another with --run-dir <path>, go on with the one in it with --resume, or empty it.\n`,
  );
});

it("a missing data folder is named, with code 1, and leaves no run folder behind", async () => {
  const { code, error } = await run(
    "train",
    "--env",
    "ftrl",
    "--data",
    join(full, "none"),
    "--run-dir",
    join(full, "r"),
  );
  expect(code).toBe(1);
  expect(error).toContain(`the folder ${join(full, "none")} has no test.no_code.jsonl`);
  expect(readdirSync(full)).toEqual(["config.json"]);
});

describe("parseOptions", () => {
  it("gives the table's defaults, and what was given instead", () => {
    const defaults = parseOptions("pact train", trainOptions, []);
    expect(defaults).toEqual({
      env: "ftrl-like",
      data: undefined,
      method: "pact",
      config: undefined,
      set: [],
      model: undefined,
      device: "auto",
      seed: 1,
      steps: 30,
      "run-dir": undefined,
      "eval-tasks": 200,
      "eval-every": 0,
      "eval-rollouts": 1,
      resume: false,
      "no-pack": false,
      "checkpoint-every": 10,
      json: false,
      help: false,
    });
    const given =
      "--env ftrl --data d --method sft --config c.json --set a=1 --set b=2 --model m --device cpu --seed 7 --steps 3 --run-dir r --eval-tasks 8 --eval-every 2 --eval-rollouts 4 --resume --no-pack --checkpoint-every 0 --json";
    expect(parseOptions("pact train", trainOptions, given.split(" "))).toEqual({
      env: "ftrl",
      data: "d",
      method: "sft",
      config: "c.json",
      set: ["a=1", "b=2"],
      model: "m",
      device: "cpu",
      seed: 7,
      steps: 3,
      "run-dir": "r",
      "eval-tasks": 8,
      "eval-every": 2,
      "eval-rollouts": 4,
      resume: true,
      "no-pack": true,
      "checkpoint-every": 0,
      json: true,
      help: false,
    });
  });
  it("either parses or throws a UsageError, whatever is typed", () => {
    const word = fc.oneof(
      fc.constantFrom(
        ...Object.keys(trainOptions).map((name) => `--${name}`),
        "--",
        "-",
        "--no-json",
        "--steps=5",
      ),
      fc.string(),
    );
    fc.assert(
      fc.property(fc.array(word, { maxLength: 5 }), (args) => {
        try {
          const values = parseOptions("pact train", trainOptions, args);
          expect(Object.keys(values)).toEqual(Object.keys(trainOptions));
        } catch (error) {
          expect(error).toBeInstanceOf(UsageError);
        }
      }),
    );
  });
});

describe("nearest", () => {
  it("finds a word from one with a single slip", () => {
    const words = Object.keys(trainOptions).filter((name) => name.length > 3);
    fc.assert(
      fc.property(fc.constantFrom(...words), fc.nat(), fc.constantFrom("", "x"), (word, at, slip) => {
        const i = at % word.length;
        expect(nearest(word.slice(0, i) + slip + word.slice(i + 1), words)).toBe(word);
      }),
    );
  });
  it("suggests nothing for something else", () => {
    expect(nearest("--", ["steps", "seed"])).toBeUndefined();
    expect(nearest("learning-rate", ["steps", "seed"])).toBeUndefined();
    expect(nearest("x", [])).toBeUndefined();
  });
});
