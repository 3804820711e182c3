/** Settings from a file and from pairs: what is taken, in which order, and what is refused by name. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { UsageError } from "../../packages/pact/src/cli/options.ts";
import { describeSettings, settingsOfFile, settingsOfPairs } from "../../packages/pact/src/cli/settings.ts";
import { requestOf } from "../../packages/pact/src/cli/train-request.ts";
import { main } from "../../packages/pact/src/cli.ts";
import { trainConfig } from "../../packages/pact/src/config.ts";

const folder = mkdtempSync(join(tmpdir(), "pact-settings-"));
afterAll(() => rmSync(folder, { recursive: true }));
const file = (name: string, text: string) => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};

describe("--set", () => {
  it("takes numbers, null, words and text with an equals sign", () => {
    expect(
      settingsOfPairs(["steps=20", "dualClip=null", "sftNormaliser=count", "learningRate=3e-4"]),
    ).toEqual({
      steps: 20,
      dualClip: null,
      sftNormaliser: "count",
      learningRate: 3e-4,
    });
    expect(settingsOfPairs(["sftNormaliser=a=b"])).toEqual({ sftNormaliser: "a=b" });
  });

  it("names what is wrong", () => {
    expect(() => settingsOfPairs(["steps"])).toThrow(/--set needs key=value, received "steps"/);
    expect(() => settingsOfPairs(["=3"])).toThrow(UsageError);
    expect(() => settingsOfPairs(["step=3"])).toThrow(
      /unknown setting "step" of --set\. Did you mean steps\?/,
    );
    expect(() => settingsOfPairs(["steps=3", "steps=4"])).toThrow(/gives steps twice/);
    expect(() => settingsOfPairs(["__proto__=3"])).toThrow(/unknown setting "__proto__"/);
  });
});

describe("--config", () => {
  it("reads JSON and modules", async () => {
    expect(await settingsOfFile(file("a.json", '{"steps": 3}'))).toEqual({ steps: 3 });
    expect(await settingsOfFile(file("a.mjs", "export default { steps: 2 + 2 };"))).toEqual({ steps: 4 });
    expect(await settingsOfFile(file("a.ts", "export default { steps: 5 as number };"))).toEqual({
      steps: 5,
    });
  });

  it("names the file and what is wrong with it", async () => {
    await expect(settingsOfFile(join(folder, "no.json"))).rejects.toThrow(/no\.json can not be read/);
    await expect(settingsOfFile(file("b.json", "{"))).rejects.toThrow(/b\.json can not be read/);
    await expect(settingsOfFile(file("c.json", "[1]"))).rejects.toThrow(/c\.json must hold an object/);
    await expect(settingsOfFile(file("d.json", '{"stesp": 1}'))).rejects.toThrow(
      /unknown setting "stesp" in .*d\.json\. Did you mean steps\?/,
    );
    await expect(settingsOfFile(file("e.mjs", "export const steps = 1;"))).rejects.toThrow(
      /must hold an object/,
    );
    await expect(settingsOfFile(file("f.mjs", "throw new Error('no')"))).rejects.toThrow(
      /can not be loaded: no/,
    );
  });
});

it("a value out of range is an error before anything is made", async () => {
  const errors: string[] = [];
  const output = { out: () => {}, error: (text: string) => errors.push(text) };
  expect(await main(["train", "--set", "gamma=7", "--run-dir", join(folder, "run")], output)).toBe(2);
  expect(errors.join("")).toContain("pact train: Option gamma must be a number from 0 to 1, received 7");
  expect(() => readFileSync(join(folder, "run"))).toThrow();
});

it("an option wins over the file, a pair over the file too, and an option and a pair may not disagree", async () => {
  const path = file("steps.json", '{"steps": 3, "gamma": 0.5, "method": "matchtir"}');
  const given = ["--config", path, "--set", "gamma=0.7"];
  const { config } = await requestOf([...given, "--steps", "5"]);
  expect([config.steps, config.gamma, config.method]).toEqual([5, 0.7, "matchtir"]);
  expect((await requestOf(given)).config.steps).toBe(3);
  expect((await requestOf(["--steps", "5", "--set", "steps=5"])).config.steps).toBe(5);
  await expect(requestOf(["--steps", "5", "--set", "steps=3"])).rejects.toThrow(
    /--steps and --set steps give two values for one setting/,
  );
});

it("settings are described by what differs", () => {
  expect(describeSettings(trainConfig())).toBe("settings: all defaults");
  expect(describeSettings(trainConfig({ steps: 3, gamma: 1 }))).toBe(
    "settings: steps 3, gamma 1; the rest defaults",
  );
});
