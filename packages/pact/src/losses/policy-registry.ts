/**
 * The policy losses by name, with one signature: `vanilla` (PPO with dual clip), `gspo`, `cispo`, `reinforce`.
 *
 * A loss of your own has the same shape; a recipe (recipes.ts) takes it in place of a name.
 */
import type { Tensor } from "@pact/tensor";
import { ConfigError } from "../errors.ts";
import { cispoClip, cispoLosses, cispoStatistics, reinforceLosses } from "./cispo.ts";
import { requireFinite } from "./finite.ts";
import { gspoClip, gspoLosses, gspoStatistics } from "./gspo.ts";
import { type ClipOptions, type ClipStatistics, clipStatistics, policyLosses } from "./policy.ts";
import type { Sequences } from "./sequences.ts";

/** M sampled tokens: on the device for losses, on the host for statistics. */
export interface PolicyTokens<Values> {
  /** log π_θ [M]. */
  readonly newLogProbs: Values;
  /** log π_old [M], of the same tokens in the same context. */
  readonly oldLogProbs: Values;
  /** A [M]. */
  readonly advantages: Values;
  /** Rollout of each token, −1 for none; needed where the ratio is one of a rollout. */
  readonly sequences?: Sequences;
}

/** A policy loss: per-token losses, what its clip did, and its defaults. */
export interface PolicyLoss {
  readonly name: string;
  /** What the importance ratio belongs to. */
  readonly ratio: "token" | "sequence" | "none";
  /** Every clip option that this loss takes, with its default. */
  readonly defaults: ClipOptions;
  /** Loss of every token [M], to be weighted and summed. */
  losses(tokens: PolicyTokens<Tensor>, options?: ClipOptions): Tensor;
  /** What clipping did, from numbers read back; all 0 for no tokens. */
  statistics(tokens: PolicyTokens<ArrayLike<number>>, options?: ClipOptions): ClipStatistics;
}

/** Names of `policyLossRegistry`. */
export type PolicyLossName = "vanilla" | "gspo" | "cispo" | "reinforce";

/**
 * Every policy loss by name.
 *
 * - `vanilla`: `policyLosses`, PPO's clip with a dual clip for A < 0 (arXiv 1707.06347, 1912.09729)
 * - `gspo`: `gspoLosses`, one ratio per rollout (arXiv 2507.18071)
 * - `cispo`: `cispoLosses`, −sg[clip(r)] A log π (arXiv 2506.13585)
 * - `reinforce`: `reinforceLosses`, −A log π; `oldLogProbs` only enters its statistics
 *
 * @throws ConfigError for a clip option the loss does not take or that is out of range, BatchError for missing rollouts
 * @example
 * ```ts
 * const tokens = { newLogProbs: tensor([-1]), oldLogProbs: tensor([-1]), advantages: tensor([2]) };
 * await policyLossRegistry.cispo.losses(tokens, { clipHigh: 0.28 }).data(); // → [2]
 * policyLossRegistry.cispo.losses(tokens, { dualClip: 3 }); // → throws ConfigError
 * ```
 */
export const policyLossRegistry: Readonly<Record<PolicyLossName, PolicyLoss>> = {
  vanilla: entry({
    name: "vanilla",
    ratio: "token",
    defaults: { clipLow: 0.2, clipHigh: 0.2, dualClip: 3 },
    losses: (t, options) => policyLosses(t.newLogProbs, t.oldLogProbs, t.advantages, options),
    statistics: (t, options) => clipStatistics(t.newLogProbs, t.oldLogProbs, t.advantages, options),
  }),
  gspo: entry({
    name: "gspo",
    ratio: "sequence",
    defaults: gspoClip,
    losses: (t, options) =>
      gspoLosses(t.newLogProbs, t.oldLogProbs, t.advantages, t.sequences ?? [], options),
    statistics: (t, options) =>
      gspoStatistics(t.newLogProbs, t.oldLogProbs, t.advantages, t.sequences ?? [], options),
  }),
  cispo: entry({
    name: "cispo",
    ratio: "token",
    defaults: cispoClip,
    losses: (t, options) => cispoLosses(t.newLogProbs, t.oldLogProbs, t.advantages, options),
    statistics: (t, options) => cispoStatistics(t.newLogProbs, t.oldLogProbs, options),
  }),
  reinforce: entry({
    name: "reinforce",
    ratio: "none",
    defaults: {},
    losses: (t) => reinforceLosses(t.newLogProbs, t.advantages),
    statistics: (t) => ({
      ...clipStatistics(t.newLogProbs, t.oldLogProbs, t.advantages),
      clipFraction: 0,
      dualClipFraction: 0,
    }),
  }),
};

/**
 * The policy loss called `name`.
 *
 * @throws ConfigError for an unknown name
 * @example
 * ```ts
 * policyLoss("gspo").defaults.clipHigh; // → 4e-4
 * ```
 */
export function policyLoss(name: string): PolicyLoss {
  if (Object.hasOwn(policyLossRegistry, name)) return policyLossRegistry[name as PolicyLossName];
  throw new ConfigError(
    `policyLoss: no policy loss "${name}". Take one of ${Object.keys(policyLossRegistry).join(", ")}.`,
  );
}

/** The same loss with its options and host numbers checked first. */
function entry(loss: PolicyLoss): PolicyLoss {
  return {
    ...loss,
    losses(tokens, options = {}) {
      checkClip(loss, options);
      return loss.losses(tokens, options);
    },
    statistics(tokens, options = {}) {
      checkClip(loss, options);
      for (const name of ["newLogProbs", "oldLogProbs", "advantages"] as const)
        requireFinite(`${loss.name}: ${name}`, tokens[name]);
      return loss.statistics(tokens, options);
    },
  };
}

/** An option without effect is refused, as is one that would not clip. */
function checkClip({ name, defaults }: PolicyLoss, options: ClipOptions): void {
  const given = Object.entries(options) as [keyof ClipOptions, number | null | undefined][];
  for (const [option, value] of given) {
    if (value === undefined || (option === "dualClip" && value === null)) continue;
    if (!Object.hasOwn(defaults, option)) {
      const taken = Object.keys(defaults).join(", ") || "no clip options";
      throw new ConfigError(
        `${name}: ${option} is ${value}, but this policy loss takes ${taken}. Leave ${option} out.`,
      );
    }
    const minimum = option === "dualClip" ? 1 : 0;
    if (value === null || !(value >= minimum && Number.isFinite(value)))
      throw new ConfigError(`${name}: ${option} is ${value}, expected a number from ${minimum}. Correct it.`);
  }
}
