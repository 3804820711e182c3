// Public names of the tokenizer.

export { TokenizerError } from "./errors.ts";
export type { AddedToken, TokenizerJson } from "./json.ts";
export type { TokenizerParts } from "./merge.ts";
export { Tokenizer } from "./tokenizer.ts";
export { type TrainBpeOptions, trainBpe } from "./train.ts";
