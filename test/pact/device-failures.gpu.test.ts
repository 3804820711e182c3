/** A GPU that goes away, or is full, during a training run: what is saved, and that the run goes on from it. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { initParams, type Params, paramsFromSafetensors } from "@pact/nn";
import { DeviceLostError, key, OutOfMemoryError, setDefaultDevice } from "@pact/tensor";
import { afterAll, describe, expect, it } from "vitest";
import { readNewestCheckpoint } from "../../packages/pact/src/cli/checkpoints.ts";
import { explainFailure } from "../../packages/pact/src/cli/failures.ts";
import { FolderSink } from "../../packages/pact/src/cli/folder-sink.ts";
import { trainConfig } from "../../packages/pact/src/config.ts";
import { Trainer } from "../../packages/pact/src/trainer.ts";
import { decodeState } from "../../packages/pact/src/trainer-state.ts";
import { rawGpu, refuseBuffers } from "../helpers/raw-gpu.ts";
import { requireGpu } from "../helpers/require.ts";
import { testDialect } from "./codec.ts";
import { tinyModel } from "./device.ts";
import { task } from "./tasks.ts";

const present = await requireGpu();
const root = mkdtempSync(join(tmpdir(), "pact-device-"));
afterAll(() => rmSync(root, { recursive: true }));

const config = trainConfig({
  ...{ steps: 3, promptsPerStep: 1, rolloutsPerPrompt: 2, maxTurnTokens: 6, maxRolloutTokens: 12 },
  checkpointEvery: 1,
});

/** A run in a folder of its own; `onTokens` is called while it samples. */
async function run(folder: string, params: Params, onTokens: (step: number) => void, resume = false) {
  const { config: model } = await tinyModel(3);
  const saved = resume ? readNewestCheckpoint(folder, () => {}) : undefined;
  const weights = saved && paramsFromSafetensors(model, saved.model);
  const trainer: Trainer = new Trainer({
    ...{ config, model, params, dialect: testDialect, tasks: [task] },
    sink: new FolderSink(folder, { config: "{}", tokenizer: "{}" }),
    onTokens: () => onTokens(trainer.result.stepsDone),
    resume: saved && weights && { state: decodeState(saved.state), params: weights },
  });
  for await (const event of trainer.steps()) if (event.kind === "rollouts") onTokens(event.step + 0.5);
  return trainer.result.stepsDone;
}

const steps = (folder: string) =>
  readFileSync(join(folder, "metrics.jsonl"), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line).step);

describe.skipIf(!present)("a run whose GPU", () => {
  it("goes away says so, keeps the steps before it, and goes on with a new device", async () => {
    const folder = join(root, "lost");
    mkdirSync(folder);
    const { config: model } = await tinyModel(3);
    const { gpu, device } = await rawGpu();
    setDefaultDevice(device);
    const params = initParams(model, key(3), { device });
    const failed = await run(folder, params, (step) => step === 1 && gpu.destroy()).catch(
      (error: unknown) => error,
    );
    expect(failed).toBeInstanceOf(DeviceLostError);
    expect(String(explainFailure(folder, failed))).toMatch(
      /The device was lost: .* Saved: checkpoint step-000001, whole.* Wait until it is back, then go on with `pact train --resume/,
    );
    setDefaultDevice(present!);
    const again = initParams(model, key(3), { device: present! });
    expect(await run(folder, again, () => {}, true)).toBe(3);
    expect(steps(folder)).toEqual([0, 1, 2]);
    expect(existsSync(join(folder, "checkpoints", "step-000003"))).toBe(true);
  });

  it("is full amid an update keeps the steps before it", async () => {
    const folder = join(root, "full");
    mkdirSync(folder);
    const { config: model } = await tinyModel(3);
    const { gpu, device } = await rawGpu();
    setDefaultDevice(device);
    const params = initParams(model, key(3), { device });
    let free = () => {};
    const failed = await run(folder, params, (step) => {
      if (step === 1.5) free = refuseBuffers(gpu, 20_000);
    }).catch((error: unknown) => error);
    free();
    expect(failed).toBeInstanceOf(OutOfMemoryError);
    expect(String(explainFailure(folder, failed))).toMatch(/Out of memory: .* Saved: checkpoint step-000001/);
    expect(steps(folder)).toEqual([0]);
    setDefaultDevice(present!);
    device.destroy();
  });
});
