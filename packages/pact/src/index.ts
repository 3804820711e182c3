/** Public names of @pact/pact. Inside the package, files import each other directly. */

export { activeChunkCount, activeChunks, type PrefixLevel } from "@pact/tools-sim";
export {
  type AdvantageEstimator,
  type AdvantageName,
  advantageEstimator,
  advantageRegistry,
} from "./advantage-registry.ts";
export {
  type GroupAdvantageOptions,
  groupAdvantages,
  type SoloTurn,
  type TurnAdvantageOptions,
  type TurnAdvantages,
  turnAdvantages,
} from "./advantages.ts";
export { type Assignment, greedyAssignment, optimalAssignment } from "./assignment.ts";
export {
  type ChatConversation,
  type ChatMessage,
  type ConversationOptions,
  type ConversationSample,
  type ConversationSplit,
  type FieldKind,
  type FieldSpan,
  hermesTags,
  type RenderedConversation,
  renderConversation,
  type TemplateTraits,
  type TurnSpan,
  type TurnTags,
  turnRoles,
} from "./chat/index.ts";
export { defaultConfig, type TraceComponent, type TrainConfig, trainConfig } from "./config.ts";
export {
  type ContextConfig,
  contextTokens,
  shownTurns,
  showsWholeTrace,
  tracedContext,
} from "./contexts.ts";
export type { MetricValues } from "./counts.ts";
export { type FrozenBatch, freezeBatch } from "./denominators.ts";
export {
  type Continuation,
  type Dialect,
  nativeDialect,
  type PastTurn,
  type PromptTask,
  type SampledTurn,
  type SplitReason,
} from "./dialect.ts";
export { type ChatDialect, type ChatDialectOptions, chatDialect } from "./dialect-chat.ts";
export { type DynamicSample, dynamicSample } from "./dynamic-sampling.ts";
export {
  AdvantageError,
  AssignmentError,
  BatchError,
  ConfigError,
  ContextLengthError,
  NonFiniteError,
  RenderError,
  RewardError,
  RolloutError,
} from "./errors.ts";
export { type EvaluateOptions, evaluate } from "./evaluate.ts";
export { termGradientNorm } from "./gradient-norms.ts";
export {
  type LatentGradients,
  type LatentTables,
  type LatentView,
  latentGradients,
  latentView,
} from "./latent.ts";
export { LossScale, type LossScaleState } from "./loss-scale.ts";
export { chordMix, chordPhiLosses } from "./losses/chord.ts";
export { cispoLosses, cispoStatistics, reinforceLosses } from "./losses/cispo.ts";
export { type FrozenRatio, frozenRatio, type TraceDenominator } from "./losses/denominator.ts";
export {
  type DistillationOptions,
  type Divergence,
  distillationAdvantages,
  distillationEstimates,
  distillationKl,
} from "./losses/distillation.ts";
export { entropyLoss } from "./losses/entropy.ts";
export { gspoLosses, gspoStatistics } from "./losses/gspo.ts";
export { exactKlPenalties, type KlEstimator, klEstimators, klPenalties } from "./losses/kl.ts";
export { type LuffyOptions, luffyLosses, shapedRatio } from "./losses/luffy.ts";
export {
  type ObjectiveInputs,
  type ObjectiveOptions,
  type ObjectiveTerms,
  pactObjective,
} from "./losses/objective.ts";
export {
  type ClipOptions,
  type ClipStatistics,
  clipStatistics,
  policyLosses,
  type RatioClip,
} from "./losses/policy.ts";
export {
  type PolicyLoss,
  type PolicyLossName,
  type PolicyTokens,
  policyLoss,
  policyLossRegistry,
} from "./losses/policy-registry.ts";
export {
  type PolicyBatch,
  type PolicyRecipe,
  type PolicyRecipeName,
  type PreparedPolicy,
  policyObjective,
  policyRecipe,
  policyRecipes,
} from "./losses/recipes.ts";
export { type Sequences, sampledSequences } from "./losses/sequences.ts";
export {
  type Aggregation,
  aggregationWeights,
  rolloutTokenWeights,
  type SftNormaliser,
  sftTokenWeights,
} from "./losses/weights.ts";
export { type Method, type MethodDefinition, methods, objectiveAt, type Phase, phaseAt } from "./methods.ts";
export { type MetricDefinition, metricDescriptions, metricTable } from "./metric-table.ts";
export { rolloutMetrics } from "./metrics-rollouts.ts";
export { tokenMetrics } from "./metrics-tokens.ts";
export {
  forwardParams,
  keepsStart,
  type Model,
  type ModelSettings,
  type SamplingParams,
  samplingParams,
  startDtype,
} from "./model.ts";
export { type MicroBatch, microBatches, packMicroBatches, unpackTrees } from "./pack.ts";
export {
  type PhasePlan,
  type PlanPhase,
  planTraining,
  type TrainingPlan,
  type TrainingPlanOptions,
} from "./plan.ts";
export type { PlanPart, PlanParts } from "./plan-parts.ts";
export { modelPolicy } from "./policy.ts";
export {
  type FtrlStep,
  type FtrlVariant,
  ftrlReward,
  type ToolRlReward,
  toolRlCallReward,
  toolRlReward,
} from "./published-rewards.ts";
export { referenceCalls, rolloutRecord, rolloutRewards } from "./records.ts";
export {
  type RenderedTrace,
  renderDelimiter,
  renderDocument,
  renderEpisode,
  renderObservations,
  renderPrompt,
  renderTrace,
  type Span,
  sftLabel,
  type TraceOptions,
  toolList,
} from "./render.ts";
export { renderReference, renderShown, type ShownTurns } from "./render-context.ts";
export {
  answerF1,
  type Call,
  callSimilarity,
  extractAnswer,
  pythonEquals,
  type RewardTurn,
  similarityMatrix,
  type TurnRewardOptions,
  type TurnRewards,
  turnRewards,
} from "./rewards.ts";
export { isSampled, type Role, roleCode, roles } from "./roles.ts";
export {
  collectRollouts,
  type PolicySession,
  type Rollout,
  type RolloutLimits,
  type RolloutOptions,
  type RolloutPolicy,
  type RolloutPrompt,
  type RolloutTask,
  type RolloutTurn,
  rolloutPrompt,
  type SampledTokens,
  withoutTrace,
} from "./rollout.ts";
export {
  type Checkpoint,
  type DecodingResult,
  type EvaluationResult,
  nullSink,
  type RoleSpan,
  type RolloutRecord,
  type RolloutStop,
  type RunConfig,
  type RunSink,
  rolloutStops,
  type SolveScores,
  type StepMetrics,
} from "./run-sink.ts";
export {
  type ChordMuOptions,
  callWeight,
  chordMu,
  expertShare,
  isAnchored,
  learningRate,
  prefixLevel,
  type Supervision,
  type SupervisionConfig,
  supervisionAt,
  tokenShare,
} from "./schedules.ts";
export type { PassEstimate, SuccessScores } from "./success.ts";
export type { StepPart, StepTimes } from "./timings.ts";
export {
  type ControlToken,
  controlTokens,
  roleSpans,
  sampledRoles,
  type TokenCodec,
  type TokenRun,
} from "./tokens.ts";
export type { TrainEvent, TrainOptions, TrainResult } from "./train-types.ts";
export { Trainer } from "./trainer.ts";
export { type Rewards, trainingRewards } from "./training-rewards.ts";
export {
  buildEpisode,
  buildTrees,
  lossTerm,
  type PromptTree,
  promptOnlyTrees,
  type RoutedPrompt,
  type ScoredRun,
  type ScoredToken,
  type TreeConfig,
} from "./trees.ts";
export {
  type BatchGradient,
  batchGradient,
  type Frozen,
  type FrozenLogProbs,
  frozenLogProbs,
  type UpdateOptions,
} from "./update.ts";
