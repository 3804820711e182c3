/** Public names of @pact/nn; one line per file, in the order of a forward pass. */

export { clipScale, globalNorm, type ParameterGroup } from "./arena.ts";
export { paramsFromSafetensors, paramsToSafetensors } from "./checkpoint.ts";
export { type TransformerConfig, validateConfig } from "./config.ts";
export { configFromJson, configToJson } from "./config-json.ts";
export { type DecodeEntry, type DecodeOptions, DecodeSession } from "./decode.ts";
export { DecodeCache, type Decoding } from "./decode-cache.ts";
export { type DrawnTokens, type DrawOptions, TokenDraws } from "./draw.ts";
export {
  CapacityError,
  CheckpointError,
  ConfigError,
  InputError,
  ParameterError,
  SafetensorsError,
} from "./errors.ts";
export {
  type FinishReason,
  type GenerateOptions,
  type Generation,
  type GenerationModel,
  generate,
  generateTokens,
  type SampledToken,
} from "./generate.ts";
export { type InitOptions, initParams } from "./init.ts";
export {
  type PlacedTargets,
  placedLogProbs,
  placeTargets,
  targetLogits,
  tokenLogProbs,
} from "./log-probs.ts";
export {
  type Lora,
  type LoraOptions,
  type LoraSettings,
  lora,
  loraLayers,
  mergeLora,
  unmergeLora,
  withLora,
} from "./lora.ts";
export { loraFromPeft, loraToPeft, type PeftFiles } from "./lora-peft.ts";
export { type MemoryPlan, type PlanOptions, planMemory } from "./memory-plan.ts";
export {
  inspectModel,
  type LoadModelOptions,
  loadModel,
  type Model,
  type ModelHeaders,
  type ModelProgress,
  readFolderText,
  type SaveModelOptions,
  saveModel,
} from "./model-folder.ts";
export { AdamW, type AdamWOptions } from "./optim.ts";
export { concatPacked, type Packed, type PrefixTree, packSequences, packTree, predecessors } from "./pack.ts";
export { type ParamSpec, type Params, paramSpecs } from "./params.ts";
export { castBlocks } from "./precision.ts";
export { type RopeScaling, ropeFrequencies } from "./rope-scaling.ts";
export {
  readSafetensors,
  readSafetensorsMetadata,
  type SafetensorsData,
  type SafetensorsEntry,
  writeSafetensors,
} from "./safetensors.ts";
export type { SafetensorsDType } from "./safetensors-header.ts";
export {
  constantSchedule,
  cosineSchedule,
  type DecayOptions,
  linearSchedule,
  type Schedule,
  type ScheduleOptions,
  type WsdOptions,
  wsdSchedule,
} from "./schedule.ts";
export { Sgd, type SgdOptions } from "./sgd.ts";
export type {
  AddedToken,
  ChatTemplateProblem,
  RenderChatOptions,
  TokenizerFiles,
  TokenizerJson,
  TokenizerLike,
  TokenizerParts,
  TrainBpeOptions,
} from "./tokenizer/index.ts";
export {
  ChatTemplate,
  ChatTemplateError,
  loadTokenizer,
  PretrainedTokenizer,
  renderChat,
  saveTokenizer,
  splitControls,
  Tokenizer,
  TokenizerError,
  tokenizerFileNames,
  trainBpe,
} from "./tokenizer/index.ts";
export {
  type ForwardOptions,
  forwardHidden,
  logits,
  type PlacedPacked,
  type PlacedTokens,
} from "./transformer.ts";
