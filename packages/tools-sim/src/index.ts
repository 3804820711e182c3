/** Public names of @pact/tools-sim. */

export { type BfclOptions, type BfclStopReason, createBfclEnvironment } from "./bfcl/environment.ts";
export {
  type BfclCategory,
  type BfclData,
  type BfclFunction,
  type BfclResources,
  type BfclTask,
  bfclCategories,
  loadBfcl,
} from "./bfcl/load.ts";
export { BfclMachine } from "./bfcl/machine.ts";
export { type BfclFailure, type BfclScore, scoreBfcl } from "./bfcl/score.ts";
export {
  type ChatClient,
  type ChatClientOptions,
  type CompletionRequest,
  createChatClient,
} from "./endpoint/client.ts";
export { EndpointError, type EndpointErrorKind } from "./endpoint/error.ts";
export { type ChatPolicyOptions, chatPolicy } from "./endpoint/policy.ts";
export type { Completion, Usage } from "./endpoint/reply.ts";
export type { RetryClock } from "./endpoint/retry.ts";
export { redactor } from "./endpoint/secret.ts";
export {
  createEnvironment,
  type Environment,
  type EnvironmentOptions,
  type Outcome,
  type StepResult,
  type StopReason,
} from "./environment.ts";
export {
  type EpisodeResult,
  type EpisodeSource,
  type Policy,
  type PolicyContext,
  type RunEpisodesOptions,
  runEpisode,
  runEpisodes,
} from "./episodes.ts";
export { EnvironmentError, OptionError, SchemaError, TaskFileError, ToolsSimError } from "./errors.ts";
export { noiseFields } from "./families/noise.ts";
export type { DialDomain, GenerateOptions } from "./families/options.ts";
export {
  type EpisodeRecord,
  type EpisodeScore,
  observedAnswers,
  outcomeOf,
  scoreEpisode,
} from "./families/score.ts";
export { type BfclLikeDials, bfclLike, defaultBfclDials } from "./families/store/generate.ts";
export { openStore, type Store, type StoreResult } from "./families/store/store.ts";
export { type StoreWords, storeWords, type Theme, themes } from "./families/store/themes.ts";
export { defaultToolHopDials, type ToolHopLikeDials, toolHopLike } from "./families/toolhop/generate.ts";
export {
  applyTransform,
  type Transform,
  transforms,
  type ValueKind,
} from "./families/toolhop/transforms.ts";
export { type FtrlData, type FtrlReadOptions, ftrl } from "./ftrl.ts";
export { defaultDials, type FtrlLikeDials, type FtrlLikeOptions, ftrlLike } from "./ftrl-like.ts";
export { type Estimate, estimate } from "./interval.ts";
export { canonicalJson, spacedJson, toolCallJson } from "./json.ts";
export {
  conversationToOpenAI,
  fromOpenAI,
  type OpenAIMessage,
  type ReadMessage,
  toOpenAI,
} from "./messages.ts";
export {
  assistantText,
  type ParsedAssistant,
  type ParsedBlock,
  type ParseError,
  type ParseErrorKind,
  type ParseOptions,
  parseAssistant,
  parseLimits,
  parseMessage,
  parseReply,
  type ReplyFormat,
} from "./parser.ts";
export { passAtK, passHatK } from "./pass.ts";
export {
  type ParsedPythonBlock,
  type PythonCallError,
  parsePythonCalls,
  pythonCallLimits,
} from "./python/calls.ts";
export {
  type EnvironmentId,
  environmentIds,
  requireEnvironmentId,
} from "./registry.ts";
export { resultLimits } from "./result-text.ts";
export { hash, Random } from "./rng.ts";
export { SandboxError } from "./sandbox/errors.ts";
export { ProcessPool } from "./sandbox/pool.ts";
export {
  createSandbox,
  type Sandbox,
  type SandboxFailure,
  type SandboxOptions,
  type SandboxResult,
} from "./sandbox/sandbox.ts";
export type { StandardResult, StandardSchema } from "./schema.ts";
export { match, meanSolveScore, type SolveScore, solvedGoldens, solveScore } from "./scoring.ts";
export {
  type DocumentOptions,
  defaultHabits,
  type PretrainingDocument,
  pretrainingDocument,
  type SloppyHabits,
  sloppyEpisode,
} from "./sloppy.ts";
export {
  openSuite,
  type Suite,
  type SuiteId,
  type SuiteOptions,
  type SuiteTask,
  suiteIds,
} from "./suite.ts";
export { contextTurns, teacherTrace } from "./teacher.ts";
export {
  type AnyTool,
  type ExecuteOptions,
  executeTool,
  type InputOf,
  type Tool,
  type ToolContext,
  type Tools,
  tool,
  toolDefinitions,
} from "./tool.ts";
export {
  createToolEnvironment,
  type ToolEnvironmentOptions,
  type ToolEpisode,
  type ToolTurn,
} from "./tool-environment.ts";
export {
  createToolHopEnvironment,
  type ToolHopOptions,
  type ToolHopScenario,
  toolHopScenarios,
} from "./toolhop/environment.ts";
export {
  loadToolHop,
  type ToolHopData,
  type ToolHopHop,
  type ToolHopLoadOptions,
  type ToolHopTask,
} from "./toolhop/load.ts";
export {
  answersCorrectly,
  originalMatch,
  summariseToolHop,
  type ToolHopScore,
  type ToolHopSummary,
} from "./toolhop/score.ts";
export { createRunner, type Observation, type SyncToolRunner, type ToolRunner } from "./tools.ts";
export { type Annotator, annotationLimits } from "./traces/annotator.ts";
export { type BuildTracesOptions, type BuiltTrace, buildTraces } from "./traces/build.ts";
export {
  checkTrace,
  summariseTraces,
  type TraceCheck,
  type TraceFault,
  type TraceSummary,
} from "./traces/check.ts";
export {
  type ReadTrace,
  readTraces,
  type TraceFile,
  toExpertTrace,
  traceLine,
  withTraces,
} from "./traces/file.ts";
export { activeChunkCount, activeChunks, type PrefixLevel, prefixLevels } from "./traces/levels.ts";
export type { TurnContext } from "./traces/rules.ts";
export { type SegmentOptions, segmentTurn } from "./traces/segment.ts";
export { scriptedTeacher, type Teacher, teacherMessages } from "./traces/teacher.ts";
export { normaliseReasoning } from "./traces/text.ts";
export {
  type DroppedTrace,
  type DropReason,
  dropReasons,
  type Evidence,
  evidences,
  type SegmentedReasoning,
  type Segmenter,
  type StoredCall,
  type StoredFinal,
  type StoredTurn,
  segmenters,
  type TraceRecord,
  type TurnPattern,
  turnPatterns,
} from "./traces/types.ts";
export {
  type Category,
  type Chain,
  type ChainSetup,
  type Chunk,
  type ChunkType,
  categories,
  chunkTypes,
  type Episode,
  type ExpertTrace,
  type FinalTurn,
  type Json,
  type JsonObject,
  type JsonSchema,
  type Message,
  type RecordedCall,
  type RecordedSetup,
  type Split,
  type StoreAction,
  type StoreGoal,
  type StoreRecord,
  type StoreSetup,
  type SyntheticSetup,
  type Task,
  type ToolCall,
  type ToolDefinition,
  type TraceTurn,
  type WorldSpec,
} from "./types.ts";
export {
  dateRelations,
  drawName,
  type EntityType,
  entityTypes,
  heldOutRelations,
  type Relation,
  relations,
  splitOfName,
  World,
} from "./world.ts";
