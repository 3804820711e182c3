/** `pact merge`: the merged folder computes what base and adapters do, and what can not be merged is refused by name. */
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  forwardHidden,
  inspectModel,
  loadModel,
  lora,
  loraFromPeft,
  loraToPeft,
  mergeLora,
  type Params,
  type PeftFiles,
  packSequences,
  saveModel,
  withLora,
} from "@pact/nn";
import { cast, key, mul, narrowBf16, randomNormal, widenBf16 } from "@pact/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readModelFolder } from "../../packages/pact/src/cli/base-policy.ts";
import { makeBase } from "./base.ts";
import { cpuDevice } from "./device.ts";
import { pact } from "./run-command.ts";

const root = mkdtempSync(join(tmpdir(), "pact-merge-"));
const base = join(root, "base");
const adapter = join(root, "adapter");
const packed = packSequences([[1, 2, 3, 4, 5]]);
let peft: PeftFiles;

function writeAdapter(folder: string, files: PeftFiles): void {
  mkdirSync(folder);
  writeFileSync(join(folder, "adapter_config.json"), JSON.stringify(files["adapter_config.json"]));
  writeFileSync(join(folder, "adapter_model.safetensors"), files["adapter_model.safetensors"]);
}

beforeAll(async () => {
  await makeBase(base);
  await cpuDevice();
  const { config, params } = await loadModel(base);
  await saveModel(base, { config, params }, { dtype: "BF16" });
  writeFileSync(join(base, "chat_template.jinja"), "{{ messages }}");
  const fresh = lora(config, params, { rank: 2, alpha: 5, targets: ["v_proj", "down_proj"], key: key(4) });
  const weights = Object.entries(fresh.weights).map(([name, value], index) => {
    const drawn = mul(randomNormal(key(index), value.shape), 0.1);
    return [name, cast(drawn, "f32")] as const;
  });
  peft = await loraToPeft({ ...fresh, weights: Object.fromEntries(weights) }, { baseModel: base });
  writeAdapter(adapter, peft);
});
afterAll(() => rmSync(root, { recursive: true }));

const numbers = async (params: Params) => {
  const entries = Object.entries(params).map(async ([name, value]) => [name, await value.data()] as const);
  return Object.fromEntries(await Promise.all(entries));
};

describe("pact merge", () => {
  it("of a PEFT folder writes a model in the base's type, rounded once, with tokenizer and template", async () => {
    const out = join(root, "merged");
    const { code, out: printed } = await pact("merge", adapter, "--out", out, "--json");
    expect(code).toBe(0);
    expect(JSON.parse(printed)).toMatchObject({
      out,
      model: base,
      rank: 2,
      alpha: 5,
      layers: 2,
      dtype: "BF16",
    });
    expect(readdirSync(out).sort()).toEqual([
      "chat_template.jinja",
      "config.json",
      "model.safetensors",
      "tokenizer.json",
    ]);
    expect(JSON.parse(readFileSync(join(out, "config.json"), "utf8")).torch_dtype).toBe("bfloat16");
    // Checkpoints of a run that starts from it hold f32, and say so.
    expect(JSON.parse((await readModelFolder(out)).files.config).torch_dtype).toBe("float32");
    await cpuDevice();
    const { config, params } = await loadModel(base);
    const exact = await numbers(mergeLora(params, loraFromPeft(config, peft)));
    const found = await numbers((await loadModel(out)).params);
    expect(Object.keys(found)).toEqual(Object.keys(exact));
    for (const [name, values] of Object.entries(exact))
      expect(found[name], name).toEqual(widenBf16(narrowBf16(Float32Array.from(values))));
    expect(found["model.layers.0.mlp.down_proj.weight"]).not.toEqual(
      await params["model.layers.0.mlp.down_proj.weight"].data(),
    );
  });

  it("in f32 computes what the base with its adapters does", async () => {
    const out = join(root, "merged-f32");
    expect((await pact("merge", adapter, "--model", base, "--out", out, "--dtype", "f32")).code).toBe(0);
    const { config, params } = await loadModel(base);
    const beside = await forwardHidden(config, withLora(params, loraFromPeft(config, peft)), packed).data();
    const merged = await loadModel(out);
    const worked = await forwardHidden(merged.config, merged.params, packed).data();
    const plain = await forwardHidden(config, params, packed).data();
    const furthest = (a: ArrayLike<number>) =>
      Math.max(...Array.from(beside, (value, i) => Math.abs(Number(value) - a[i])));
    // Values of about 1 after two dozen f32 operations in another order.
    expect(furthest(worked as Float32Array)).toBeLessThan(2e-5);
    expect(furthest(plain as Float32Array)).toBeGreaterThan(1e-2);
  });

  it("of a run takes its newest checkpoint and the model that it started from", async () => {
    const run = join(root, "run");
    const sets = ["promptsPerStep=2", "maxTurns=1", "maxTurnTokens=8", "maxRolloutTokens=40", "loraRank=1"];
    const args = ["--method", "sft", "--model", base, "--device", "cpu", "--eval-tasks", "4", "--steps", "2"];
    const options = [...args, ...sets.flatMap((pair) => ["--set", pair]), "--run-dir", run, "--json"];
    expect((await pact("train", ...options)).code).toBe(0);
    const out = join(root, "of-run");
    const { code, out: printed } = await pact("merge", run, "--out", out);
    expect(code).toBe(0);
    expect(printed).toContain("merged    7 layers of rank 1, alpha 1, BF16");
    expect((await inspectModel(out)).config).toEqual((await inspectModel(base)).config);
    // Of the same shape, and yet another model.
    const wrong = await pact("merge", run, "--model", out, "--out", join(root, "wrong"));
    expect(wrong.code).toBe(1);
    expect(wrong.error).toMatch(/is not the one the run started from: its weights differ/);
    expect(existsSync(join(root, "wrong"))).toBe(false);
    // What comes out is a model to train on.
    const again = [...options.slice(0, -3), "--run-dir", join(root, "again"), "--json"];
    again[again.indexOf(base)] = out;
    expect((await pact("train", ...again)).code).toBe(0);
  }, 60_000);

  it("refuses by name what can not be merged, and writes nothing", async () => {
    const out = join(root, "none");
    const refuse = async (reason: RegExp, code: number, ...args: readonly string[]) => {
      const result = await pact("merge", ...args);
      expect(result.error).toMatch(reason);
      expect(result.code).toBe(code);
      expect(existsSync(out)).toBe(false);
    };
    await refuse(/give the folder of a run or of adapters/, 2, "--out", out);
    await refuse(/--out <path> is missing/, 2, adapter);
    await refuse(/is there already and not an empty folder/, 2, adapter, "--out", base);
    await refuse(/no readable adapter_config\.json/, 1, base, "--out", out);
    const broken = join(root, "broken");
    writeAdapter(broken, peft);
    for (const [text, reason] of [
      ["{", /adapter_config\.json in .* is not JSON/],
      ["[1]", /is no JSON object/],
      ['{"peft_type": "IA3"}', /peft_type: expected "LORA"/],
    ] as const) {
      writeFileSync(join(broken, "adapter_config.json"), text);
      await refuse(reason, 1, broken, "--model", base, "--out", out);
    }
    const leading = join(root, "leading");
    cpSync(base, leading, { recursive: true });
    writeFileSync(join(root, "secret"), "secret");
    rmSync(join(leading, "chat_template.jinja"));
    symlinkSync(join(root, "secret"), join(leading, "chat_template.jinja"));
    await refuse(/chat_template\.jinja: it is a symbolic link/, 1, adapter, "--model", leading, "--out", out);
    const nameless = join(root, "nameless");
    const elsewhere = join(root, "elsewhere");
    const named = (name: string) => {
      const json = { ...peft["adapter_config.json"], base_model_name_or_path: name };
      return { ...peft, "adapter_config.json": json };
    };
    writeAdapter(nameless, named(""));
    writeAdapter(elsewhere, named("some/model"));
    await refuse(/names no model\. Give the one/, 2, nameless, "--out", out);
    await refuse(
      /the model "some\/model", which the adapters name, is no folder here/,
      2,
      elsewhere,
      "--out",
      out,
    );
  });
});
