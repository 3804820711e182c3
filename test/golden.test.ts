/** The committed reference numbers through the public API in f64, and the checker itself: that it can fail. */
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createDevice } from "@pact/tensor";
import { afterAll, describe, expect, it } from "vitest";
import { checkFolder, main } from "../scripts/golden.ts";

const golden = fileURLToPath(new URL("golden", import.meta.url));
const device = await createDevice({ device: "cpu" });
const temporary = await mkdtemp(join(tmpdir(), "golden-"));
afterAll(() => rm(temporary, { recursive: true }));

/** A new folder with some golden files, the JSON ones edited. */
async function folderWith(
  name: string,
  edits: Record<string, (json: EditableFile) => void>,
): Promise<string> {
  const folder = join(temporary, name);
  await mkdir(folder, { recursive: true });
  for (const [path, edit] of Object.entries(edits)) {
    const json = JSON.parse(await readFile(join(golden, path), "utf8"));
    edit(json);
    await mkdir(join(folder, path, ".."), { recursive: true });
    await writeFile(join(folder, path), JSON.stringify(json));
  }
  return folder;
}

/** The parts of golden files that the tests below edit. */
type EditableFile = {
  cases: {
    name: string;
    op: string;
    kind: string;
    attrs: Record<string, unknown>;
    outputs: Record<string, { data: number[] }>;
  }[];
  logTau: { data: number[] };
  loss: number;
  trajectory: { float64: { gradNorm: number[] } };
};

describe("the committed golden data on cpu in f64", () => {
  it("has no failing case", async () => {
    expect(await checkFolder(golden, device)).toEqual({
      passed: 257,
      failed: 0,
      unsupported: 0,
      failures: [],
    });
  });
});

describe("checkFolder", () => {
  const only =
    (...names: string[]) =>
    (json: EditableFile) => {
      json.cases = json.cases.filter((c) => names.includes(c.name));
    };

  it("fails a case whose output or gradient differs in the tenth digit, and says where", async () => {
    const folder = await folderWith("ops", {
      "ops.json": (json) => {
        only("tanh", "exp", "maximum_ties")(json);
        json.cases[0].outputs[0].data[2] += 2e-10;
        json.cases[2].op = "minimum";
      },
    });
    const report = await checkFolder(folder, device);
    expect(report).toMatchObject({ passed: 1, failed: 2, unsupported: 0 });
    expect(report.failures.map(({ name }) => name).sort()).toEqual(
      ["ops/maximum_ties", `ops/${await firstOf(folder)}`].sort(),
    );
    expect(report.failures.map(({ reason }) => reason).join()).toContain("output 0[2] is");
  });

  async function firstOf(folder: string): Promise<string> {
    return JSON.parse(await readFile(join(folder, "ops.json"), "utf8")).cases[0].name;
  }

  it("counts operations and kinds that do not exist as unsupported, also names of object properties", async () => {
    const folder = await folderWith("unknown", {
      "ops.json": (json) => {
        only("tanh", "exp")(json);
        json.cases[0].op = "constructor";
        json.cases[1].op = "fourier";
      },
      "rewards.json": (json) => {
        json.cases = [{ ...json.cases[0], kind: "toString" }];
      },
    });
    expect(await checkFolder(folder, device)).toEqual({ passed: 0, failed: 0, unsupported: 3, failures: [] });
  });

  it("takes a dim as a number, a list, null or nothing, and a keepdim that is left out", async () => {
    const x = { dtype: "float64", shape: [3, 2], data: [3, 1, 2, 5, 1, 4], requiresGrad: false };
    const floats = (shape: number[], ...data: number[]) => ({ dtype: "float64", shape, data });
    const whole = (shape: number[], ...data: number[]) => ({ dtype: "int64", shape, data });
    const cases = [
      ["sum", { dim: [] }, floats([], 16)],
      ["amin", { dim: [0, -1] }, floats([], 1)],
      ["max", { dim: [-1] }, floats([3], 3, 5, 4), whole([3], 0, 1, 1)],
      ["max", { dim: null }, floats([], 5)],
      ["min", { dim: 0, keepdim: true }, floats([1, 2], 1, 1), whole([1, 2], 2, 0)],
      ["argmax", { dim: null }, whole([], 3)],
      ["argmin", { dim: [-2], keepdim: true }, whole([1, 2], 2, 0)],
      ["var", { dim: null }, floats([], 8 / 3)],
      ["std", { dim: null, correction: 0 }, floats([], Math.sqrt(20 / 9))],
      ["cumsum", { dim: -2 }, floats([3, 2], 3, 1, 5, 6, 6, 10)],
      ["topk", { k: 2, dim: 0, largest: false }, floats([2, 2], 1, 1, 2, 4), whole([2, 2], 2, 0, 1, 2)],
    ].map(([op, attrs, ...outputs], i) => ({ name: `${op} ${i}`, op, attrs, inputs: { x }, outputs }));
    const folder = await folderWith("dims", { "ops.json": (json) => Object.assign(json, { cases }) });
    expect(await checkFolder(folder, device)).toEqual({
      passed: cases.length,
      failed: 0,
      unsupported: 0,
      failures: [],
    });
  });

  it("fails losses, rewards and the latent model when their numbers are wrong", async () => {
    const wrong = (output: string) => (json: EditableFile) => {
      json.cases = json.cases.slice(0, 1);
      json.cases[0].outputs[output].data[0] += 1e-3;
    };
    const folder = await folderWith("numbers", {
      "rl_losses.json": wrong("advantages"),
      "latent.json": (json) => {
        json.logTau.data[3] += 1e-9;
      },
      "rewards.json": (json) => {
        json.cases = json.cases.slice(0, 1);
        Object.assign(json.cases[0].outputs, { greedyAssignment: [null] });
      },
    });
    expect(await checkFolder(folder, device)).toMatchObject({ passed: 0, failed: 3, unsupported: 0 });
  });

  it("takes the documented default for a loss attribute that is null or left out, and numbers that are not the default", async () => {
    // Attributes equal to their defaults in these cases: without them the numbers must stay the same.
    const defaults: Record<string, string[]> = {
      grpo_continuous: ["estimator", "normByStd", "eps"],
      ppo_token_mean: ["lossMode", "agg", "clipLow", "clipHigh", "dualClip"],
      gspo_wide: ["agg", "clipLow", "clipHigh"],
      agg_token_mean: ["agg"],
      agg_seq_mean_token_sum_norm: ["lossScaleFactor"],
      kl_k3: ["estimator"],
      entropy_loss: ["agg"],
      dr_grpo_end_to_end: ["clipLow", "clipHigh", "dualClip"],
      chord_phi_token: ["average"],
      chord_mix: ["mu", "clipLow", "clipHigh"],
      chord_mu_schedule: ["warmup", "decay", "peak", "valley"],
      pact_surrogate_rollout: ["clipLow", "clipHigh", "dualClip", "average"],
      pact_sft_weights_s18: ["normaliser", "lambda"],
      pact_total_all_trace: ["betaSft", "normaliser", "clipLow", "clipHigh", "dualClip", "average", "klCoef"],
      pact_schedule_S24: ["lambdaStart", "lambdaEnd", "levels"],
      "pact_gate_q0.4": ["q"],
      turns_ragged: ["gamma", "eps"],
    };
    for (const value of [undefined, null]) {
      const folder = await folderWith(`attributes-${value}`, {
        "rl_losses.json": (json) => {
          only(...Object.keys(defaults))(json);
          for (const { name, attrs } of json.cases) {
            // dualClip null is no dual clip, not the default of PPO.
            for (const key of defaults[name])
              if (!(key === "dualClip" && name.startsWith("ppo") && value === null)) attrs[key] = value;
          }
        },
      });
      const count = Object.keys(defaults).length;
      expect(await checkFolder(folder, device)).toEqual({
        passed: count,
        failed: 0,
        unsupported: 0,
        failures: [],
      });
    }
    const folder = await folderWith("attributes-wrong", {
      "rl_losses.json": (json) => {
        only("chord_mix", "gspo", "kl_k1")(json);
        Object.assign(json.cases.find((c) => c.name === "chord_mix")!.attrs, { mu: 0.2 });
        Object.assign(json.cases.find((c) => c.name === "gspo")!.attrs, { clipLow: 0.5 });
        Object.assign(json.cases.find((c) => c.name === "kl_k1")!.attrs, { estimator: "k9" });
      },
    });
    expect(await checkFolder(folder, device)).toMatchObject({ passed: 0, failed: 2, unsupported: 1 });
  });

  it("checks each section of a model by itself", async () => {
    const folder = await folderWith("models", {
      "gpt/reference.json": (json) => {
        json.loss += 1e-6;
        json.trajectory.float64.gradNorm[7] += 1e-6;
      },
    });
    for (const file of ["config.json", "model.safetensors", "reference.safetensors"])
      await cp(join(golden, "gpt", file), join(folder, "gpt", file));
    const report = await checkFolder(folder, device);
    expect(report.failures.map(({ name }) => name)).toEqual(["gpt/loss", "gpt/trajectory"]);
    expect(report).toMatchObject({ passed: 3, unsupported: 0 });
  });

  it("counts a model of an unknown type as unsupported", async () => {
    const folder = join(temporary, "other");
    await cp(join(golden, "gpt"), join(folder, "gpt"), { recursive: true });
    await rm(join(folder, "gpt", "config.json"), { force: true });
    await writeFile(join(folder, "gpt", "config.json"), '{"model_type": "mamba"}');
    expect(await checkFolder(folder, device)).toMatchObject({ passed: 0, failed: 0, unsupported: 5 });
  });
});

describe("npm run golden", () => {
  const run = async (...args: string[]) => {
    const lines: string[] = [];
    const status = await main(args, (text) => lines.push(text));
    return { status, text: lines.join("\n") };
  };

  it("prints one line of JSON and exits with 1 if anything failed", async () => {
    const folder = await folderWith("cli", {
      "latent.json": (json) => {
        json.logTau.data[0] += 1;
      },
    });
    const { status, text } = await run("--dir", folder, "--json");
    expect(status).toBe(1);
    expect(JSON.parse(text)).toMatchObject({ passed: 0, failed: 1, failures: [{ name: "latent" }] });
    expect(text).not.toContain("\n");
    expect((await run("--dir", await folderWith("empty", {}))).status).toBe(0);
  });

  it("explains itself and refuses what it does not know", async () => {
    expect(await run("--help")).toMatchObject({
      status: 0,
      text: expect.stringContaining("--device <name>"),
    });
    expect(await run("--devise", "cpu")).toMatchObject({
      status: 2,
      text: expect.stringContaining("--devise"),
    });
    expect(await run("--device", "tpu")).toMatchObject({
      status: 2,
      text: expect.stringContaining('received "tpu"'),
    });
    expect(await run("--dir", join(temporary, "absent"))).toMatchObject({
      status: 2,
      text: expect.stringContaining("Pass one with --dir"),
    });
  });
});
