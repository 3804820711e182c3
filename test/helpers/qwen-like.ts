/** Tokenizer files with the layout of Qwen's (NFC, its kind of pattern, added tokens special and not), trained on a few lines. */
import { type TokenizerFiles, trainBpe } from "@pact/nn";

const corpus =
  "Who is the mayor of Bavo? You are a helpful assistant. user assistant system tool response name arguments " +
  '{"name": "find_mayor", "arguments": {"town": "Bavo"}} I think the mayor is known. think the the mayor\n\n';

/** Added tokens; the second half is not special, as in Qwen's files, and some are beginnings of others. */
export const qwenControls = [
  "<|endoftext|>",
  "<|im_start|>",
  "<|im_end|>",
  "<tool_call>",
  "</tool_call>",
  "<tool_response>",
  "</tool_response>",
  "<think>",
  "</think>",
  "<|im_end|>|",
];

const pattern =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/** The files; ids of added tokens begin after a hole of ten. Default texts are a few words. */
export function qwenLikeFiles(
  chatTemplate?: string,
  { texts = [corpus, corpus], vocabSize = 340 } = {},
): TokenizerFiles & { tokenizer: Record<string, unknown> } {
  const trained = trainBpe(texts, { vocabSize }).toJson();
  const vocabulary = Object.keys(trained.model.vocab).length;
  return {
    tokenizer: {
      ...trained,
      normalizer: { type: "NFC" },
      pre_tokenizer: {
        type: "Sequence",
        pretokenizers: [
          { type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false },
          { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: false },
        ],
      },
      post_processor: { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: false },
      added_tokens: qwenControls.map((content, index) => ({
        id: vocabulary + 10 + index,
        content,
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
        special: index < 3,
      })),
    },
    config: { eos_token: "<|im_end|>", pad_token: { content: "<|endoftext|>" }, bos_token: null },
    chatTemplate,
  };
}
