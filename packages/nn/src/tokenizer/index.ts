// Public names of the tokenizer.

export { ChatTemplate, type RenderChatOptions, renderChat } from "./chat-template.ts";
export { ChatTemplateError, type ChatTemplateProblem, TokenizerError } from "./errors.ts";
export type { AddedToken, TokenizerJson } from "./json.ts";
export { splitControls, type TokenizerLike } from "./like.ts";
export { loadTokenizer, tokenizerFileNames } from "./load.ts";
export type { TokenizerParts } from "./merge.ts";
export { PretrainedTokenizer } from "./pretrained.ts";
export type { TokenizerFiles } from "./pretrained-json.ts";
export { saveTokenizer } from "./save.ts";
export { Tokenizer } from "./tokenizer.ts";
export { type TrainBpeOptions, trainBpe } from "./train.ts";
