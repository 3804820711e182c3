/**
 * A tokenizer for whatever a model samples. Models often have more ids than their tokenizer (vocabularies are padded): such
 * an id is the text U+FFFD here, so that nothing a policy does is an error.
 */
import type { TokenizerLike } from "@pact/nn";

const replacement = "\ufffd";
const replacementBytes = new TextEncoder().encode(replacement);

/** The tokenizer, with U+FFFD for ids that it does not have. */
export function withGaps(tokenizer: TokenizerLike): TokenizerLike {
  const bytesOf = (id: number): Uint8Array | undefined => {
    try {
      return tokenizer.tokenBytes(id);
    } catch {
      return undefined;
    }
  };
  return {
    vocabSize: tokenizer.vocabSize,
    controlTokens: tokenizer.controlTokens,
    encode: (text) => tokenizer.encode(text),
    controlId: (name) => tokenizer.controlId(name),
    isControl: (id) => tokenizer.isControl(id),
    tokenBytes: (id) => bytesOf(id) ?? replacementBytes,
    decode(ids) {
      let text = "";
      let known: number[] = [];
      for (const id of ids) {
        if (bytesOf(id) !== undefined) known.push(id);
        else {
          text += tokenizer.decode(known) + replacement;
          known = [];
        }
      }
      return text + tokenizer.decode(known);
    },
  };
}
