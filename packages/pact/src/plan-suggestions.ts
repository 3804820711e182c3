/**
 * Settings that would take less memory than a plan, each planned itself. Left out: whether a run learns as well with them.
 */
import { type TrainConfig, trainConfig } from "./config.ts";
import { ConfigError } from "./errors.ts";
import { narrowestLayer } from "./model.ts";
import { planTraining, type TrainingPlan, type TrainingPlanOptions } from "./plan.ts";

/** A change of a run, and what the run would then take. */
export interface PlanSuggestion {
  readonly settings: Partial<TrainConfig>;
  /** Held-out tasks of each evaluation, where fewer of them are the change. */
  readonly heldOut?: number;
  readonly plan: TrainingPlan;
}

/** A change of a run, not yet planned. */
export type PlanChange = Pick<PlanSuggestion, "settings" | "heldOut">;

/** What is worth a suggestion: a fiftieth. */
const worthwhile = 0.98;
/** Rank of suggested adapters. */
const suggestedRank = 16;
/** Held-out tasks that are suggested where the evaluation takes most. */
const fewHeldOut = 16;

/**
 * The changes that can take less memory: recomputed blocks, half the tokens of a pass, half the prompts of a step, LoRA, f16,
 * fewer held-out tasks.
 *
 * @param hasHalf whether the device computes in f16
 */
export function possibleChanges(
  { config, model, heldOut = [] }: Pick<TrainingPlanOptions, "config" | "model" | "heldOut">,
  hasHalf: boolean,
): PlanChange[] {
  const changes: PlanChange[] = [];
  const half = (value: number): number => Math.max(1, Math.floor(value / 2));
  if (!config.activationCheckpointing) changes.push({ settings: { activationCheckpointing: true } });
  if (config.pack) changes.push({ settings: { tokenBudget: half(config.tokenBudget) } });
  if (config.promptsPerStep > 1) changes.push({ settings: { promptsPerStep: half(config.promptsPerStep) } });
  const { side } = narrowestLayer(model, config);
  if (config.loraRank === 0) changes.push({ settings: { loraRank: Math.min(suggestedRank, side) } });
  if (config.precision === "f32" && hasHalf) changes.push({ settings: { precision: "f16" } });
  if (heldOut.length > fewHeldOut) changes.push({ settings: {}, heldOut: fewHeldOut });
  return changes;
}

/**
 * Plans changes one by one, and those that help together.
 *
 * @param onPlan called after each plan; they are one more than `changes`
 * @returns those that take less than `plan`, the greatest saving first
 */
export async function planSuggestions(
  options: TrainingPlanOptions,
  plan: TrainingPlan,
  changes: readonly PlanChange[],
  onPlan: () => void = () => {},
): Promise<PlanSuggestion[]> {
  const tried: PlanSuggestion[] = [];
  const attempt = async (change: PlanChange): Promise<void> => {
    const changed = await planChanged(options, change);
    if (changed) tried.push({ ...change, plan: changed });
    onPlan();
  };
  for (const change of changes) await attempt(change);
  // What takes less in one phase may be of use together with what takes less in another.
  const helping = tried.filter((one) => one.plan.peakBytes <= plan.peakBytes && lowersPhase(one.plan, plan));
  const settings = Object.assign({}, ...helping.map((one) => one.settings));
  const heldOut = helping.find((one) => one.heldOut !== undefined)?.heldOut;
  if (helping.length > 1) await attempt({ settings, heldOut });
  return tried
    .filter((one) => one.plan.peakBytes < worthwhile * plan.peakBytes)
    .toSorted((a, b) => a.plan.peakBytes - b.plan.peakBytes);
}

function lowersPhase(changed: TrainingPlan, plan: TrainingPlan): boolean {
  return changed.phases.some(({ phase, peakBytes }) => {
    const before = plan.phases.find((one) => one.phase === phase);
    return before !== undefined && peakBytes < worthwhile * before.peakBytes;
  });
}

/** The plan with a change; undefined where the method has no such setting. */
async function planChanged(
  options: TrainingPlanOptions,
  { settings, heldOut }: PlanChange,
): Promise<TrainingPlan | undefined> {
  try {
    // The scale of adapters follows their rank.
    const { loraAlpha: _, ...given } = options.config;
    const kept = options.config.loraRank > 0 ? options.config : given;
    const config = trainConfig({ ...kept, ...settings });
    return await planTraining({ ...options, config, heldOut: options.heldOut?.slice(0, heldOut) });
  } catch (error) {
    if (error instanceof ConfigError) return undefined;
    throw error;
  }
}
