/** Parts of `pact train`: loading the weights (for `pact explain` too), with progress where it takes long, and what is said of split rollouts. */
import type { Params } from "@pact/nn";
import type { TrainConfig } from "../config.ts";
import { startDtype } from "../model.ts";
import type { Rollout } from "../rollout.ts";
import { type ModelFolder, modelParams } from "./base-policy.ts";
import type { Progress } from "./progress.ts";

/** Reading takes as long that it is shown from here on. */
const largeModelBytes = 200e6;

/** The weights on the default device. */
export function loadParams(base: ModelFolder, config: TrainConfig, progress?: Progress): Promise<Params> {
  let shown = -1;
  return modelParams(base, startDtype(config), ({ bytes, totalBytes }) => {
    if (progress === undefined || totalBytes < largeModelBytes) return;
    if (shown < 0) progress.stage("load model", "percent", 100);
    const percent = Math.floor((100 * bytes) / totalBytes);
    if (percent > shown) progress.advance(percent);
    shown = percent;
  });
}

/** What to say of rollouts that a chat template split; undefined if it split none. */
export function splitNote(step: number, rollouts: readonly Rollout[]): string | undefined {
  const split = rollouts.filter(({ splits }) => splits !== undefined);
  const reason = split[0]?.splits?.[0].reason;
  if (reason === undefined) return undefined;
  return (
    `step ${step + 1}: ${split.length} of ${rollouts.length} rollouts went on behind a new prompt and train in parts, ` +
    `because ${reason}`
  );
}
