// A tokenizer of a checkpoint folder: text goes through @huggingface/tokenizers, control tokens never do.
// The library is given the vocabulary without its added tokens, so no text can reach one. Decoding joins bytes.

import * as library from "@huggingface/tokenizers";
import { bytesOf, readBytes } from "./bytes.ts";
import { TokenizerError } from "./errors.ts";
import { decodeIds, type TokenizerLike, unknownControl, unknownId } from "./like.ts";
import { type JsonRecord, readPretrained, type TokenizerFiles } from "./pretrained-json.ts";

// The package's declarations import each other without file endings, which Node's resolution does not follow: what is
// used of it is declared here.
interface LibraryTokenizer {
  encode(text: string, options: { add_special_tokens: boolean }): { ids: number[] };
}
const { Tokenizer: LibraryTokenizer } = library as unknown as {
  readonly Tokenizer: new (
    tokenizer: JsonRecord,
    config: { clean_up_tokenization_spaces: boolean },
  ) => LibraryTokenizer;
};

/**
 * A byte-level BPE tokenizer as Hugging Face saves it. For every well-formed string `decode(encode(s)) === s`.
 *
 * Ids of text are those of the official libraries where the text is in Unicode form NFC and spells no added token. A text
 * that does spell one gets the ids of its characters; a text in another Unicode form keeps it (the NFC step that Qwen's
 * files name is left out). No BOS or EOS is added: a chat template writes them.
 *
 * @example
 * ```ts
 * const trained = trainBpe(["mayor mayor"], { vocabSize: 300, controlTokens: ["<|end|>"] });
 * const tokenizer = new PretrainedTokenizer({ tokenizer: trained.toJson(), config: { eos_token: "<|end|>" } });
 * tokenizer.decode(tokenizer.encode("a mayor<|end|>")); // → "a mayor<|end|>"
 * tokenizer.encode("<|end|>").includes(tokenizer.controlId("<|end|>")); // → false
 * tokenizer.special.get("eos_token"); // → "<|end|>"
 * ```
 */
export class PretrainedTokenizer implements TokenizerLike {
  readonly vocabSize: number;
  readonly controlTokens: readonly string[];
  /** "bos_token", "eos_token", "pad_token", "unk_token" → name, as far as the files say. */
  readonly special: ReadonlyMap<string, string>;
  /** Chat templates by name; a single one is called "default". */
  readonly chatTemplates: ReadonlyMap<string, string>;
  /** What it was made of; `saveTokenizer` writes it. */
  readonly files: TokenizerFiles;
  readonly #library: LibraryTokenizer;
  readonly #spelled: readonly (string | undefined)[];
  readonly #controls: ReadonlyMap<string, number>;
  readonly #names: ReadonlyMap<number, string>;

  /** @throws TokenizerError if a file is not that of a byte-level BPE tokenizer that loses no text, naming the field. */
  constructor(files: TokenizerFiles) {
    this.files = files;
    const parts = readPretrained(files);
    try {
      this.#library = new LibraryTokenizer(parts.model, { clean_up_tokenization_spaces: false });
    } catch (cause) {
      throw new TokenizerError(`loadTokenizer: tokenizer.json: ${(cause as Error).message}`, { cause });
    }
    this.#spelled = parts.spelled;
    this.#controls = parts.controls;
    this.#names = new Map([...parts.controls].map(([name, id]) => [id, name]));
    this.controlTokens = [...parts.controls.keys()];
    this.special = parts.special;
    this.chatTemplates = parts.chatTemplates;
    this.vocabSize = [...parts.controls.values()].reduce(
      (size, id) => Math.max(size, id + 1),
      parts.spelled.length,
    );
  }

  encode(text: string): number[] {
    return this.#library.encode(text, { add_special_tokens: false }).ids;
  }

  decode(ids: Iterable<number>): string {
    return decodeIds(this, ids);
  }

  tokenBytes(id: number): Uint8Array {
    const name = this.#names.get(id);
    const bytes = name === undefined ? readBytes(this.#spelled[id] ?? "") : bytesOf(name);
    if (bytes === undefined || bytes.length === 0) throw unknownId(id, this.vocabSize);
    return bytes;
  }

  controlId(name: string): number {
    const id = this.#controls.get(name);
    if (id === undefined) {
      throw unknownControl(name, this.controlTokens, "Add it to added_tokens in tokenizer.json");
    }
    return id;
  }

  isControl(id: number): boolean {
    return this.#names.has(id);
  }

  /**
   * The chat template to use: "tool_use" with tools where there is one, else "default".
   *
   * @throws TokenizerError if the checkpoint has no such template.
   */
  chatTemplate({ tools = false }: { tools?: boolean } = {}): string {
    const template =
      (tools ? this.chatTemplates.get("tool_use") : undefined) ?? this.chatTemplates.get("default");
    if (template === undefined) {
      throw new TokenizerError(
        `chatTemplate: the checkpoint has ${this.chatTemplates.size === 0 ? "no chat template" : `only ${JSON.stringify([...this.chatTemplates.keys()])}`}. ` +
          "Put one into chat_template.jinja, or pass your own to renderChat",
      );
    }
    return template;
  }
}
