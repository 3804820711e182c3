/** Public names of @pact/pact. Inside the package, files import each other directly. */
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
  type BatchConfig,
  buildEpisode,
  buildTree,
  contextTokens,
  lossTerm,
  type MicroBatch,
  type PromptTree,
  packMicroBatches,
  type RoutedPrompt,
  type ScoredRun,
  type ScoredToken,
} from "./batch.ts";
export { defaultConfig, type Method, type TrainConfig, trainConfig } from "./config.ts";
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
export { klPenalties } from "./losses/kl.ts";
export {
  type ObjectiveInputs,
  type ObjectiveOptions,
  type ObjectiveTerms,
  pactObjective,
} from "./losses/objective.ts";
export { type ClipOptions, type ClipStatistics, clipStatistics, policyLosses } from "./losses/policy.ts";
export {
  type Aggregation,
  aggregationWeights,
  rolloutTokenWeights,
  type SftNormaliser,
  sftTokenWeights,
} from "./losses/weights.ts";
export { type MetricValues, metricDescriptions, rolloutMetrics, tokenMetrics } from "./metrics.ts";
export { modelPolicy } from "./policy.ts";
export { activeChunkCount } from "./prefix.ts";
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
export { callWeight, isAnchored, learningRate, type PrefixLevel, prefixLevel } from "./schedules.ts";
export {
  type ControlToken,
  controlTokens,
  roleSpans,
  sampledRoles,
  type TokenCodec,
  type TokenRun,
} from "./tokens.ts";
export { type TrainEvent, Trainer, type TrainOptions, type TrainResult } from "./trainer.ts";
export {
  type BatchGradient,
  batchGradient,
  type FrozenLogProbs,
  frozenLogProbs,
  type Model,
  termGradientNorm,
} from "./update.ts";
