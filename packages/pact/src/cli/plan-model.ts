/** What a plan needs of a model folder: its sizes and how episodes become its tokens; no weights. */
import { fileURLToPath } from "node:url";
import { inspectModel, loadTokenizer, type TransformerConfig } from "@pact/nn";
import { type Dialect, nativeDialect } from "../dialect.ts";
import { chatDialect } from "../dialect-chat.ts";
import { controlTokens } from "../tokens.ts";

/** A model folder without its weights. */
export interface PlannedModel {
  readonly config: TransformerConfig;
  readonly dialect: Dialect;
}

/** Path of the shipped base, the same from `src/cli` and from `dist/cli`. */
const baseFolder = fileURLToPath(new URL("../../base/", import.meta.url));

/**
 * Reads `config.json`, the headers of the weights, the tokenizer and its chat template: our own folders, and those of the
 * official library.
 *
 * @param folder default: the shipped base
 * @throws errors of `inspectModel` and `loadTokenizer`; RenderError or ChatTemplateError if its template holds no episodes
 */
export async function readPlannedModel(folder: string = baseFolder): Promise<PlannedModel> {
  const { config } = await inspectModel(folder);
  const tokenizer = await loadTokenizer(folder);
  if (tokenizer.vocabSize > config.vocabSize)
    throw new Error(
      `the model in ${folder} has ${config.vocabSize} tokens, its tokenizer ${tokenizer.vocabSize}: ` +
        "config.json and tokenizer.json are not of one model. Copy both from the folder the model was saved in.",
    );
  const isNative = controlTokens.every((name) => tokenizer.controlTokens.includes(name));
  const dialect = isNative
    ? nativeDialect(tokenizer)
    : chatDialect(tokenizer, tokenizer.chatTemplate({ tools: true }));
  return { config, dialect };
}
