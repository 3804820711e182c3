// Writes the tokenizer files of a checkpoint folder, as load.ts reads them.

import { jsonText } from "../folder/json-text.ts";
import { tokenizerFileNames } from "./load.ts";
import { PretrainedTokenizer } from "./pretrained.ts";
import type { TokenizerFiles } from "./pretrained-json.ts";

/**
 * Writes the files of a tokenizer into a checkpoint folder, where `loadTokenizer` and transformers' `AutoTokenizer` read
 * them; those of an earlier tokenizer in the folder are removed, other files stay. Files are written aside and renamed at
 * the end, so an error leaves the folder as it was. Works in Node.
 *
 * @param files `PretrainedTokenizer.files`; or for a trained one, `toJson()` as `tokenizer` and, as the library needs them in
 *   Python, names of special tokens in `config`
 * @throws TokenizerError if `loadTokenizer` would refuse them; CheckpointError if the folder can not be written
 *
 * @example
 * ```ts
 * const trained = trainBpe(["mayor mayor"], { vocabSize: 300, controlTokens: ["<|end|>"] });
 * const folder = `${(await import("node:os")).tmpdir()}/pact-example-tokenizer`;
 * const chatTemplate = "{% for m in messages %}{{ m.content }}<|end|>{% endfor %}";
 * await saveTokenizer(folder, { tokenizer: trained.toJson(), config: { eos_token: "<|end|>" }, chatTemplate });
 * (await loadTokenizer(folder)).special.get("eos_token"); // → "<|end|>"
 * ```
 */
export async function saveTokenizer(folder: string, files: TokenizerFiles): Promise<void> {
  new PretrainedTokenizer(files); // what can not be read is not written
  // Without a class of its own, transformers looks for one by the model's type.
  const config = { tokenizer_class: "PreTrainedTokenizerFast", ...(files.config as object | undefined) };
  const [tokenizerName, configName, specialName, addedName, templateName] = tokenizerFileNames;
  const texts = new Map<string, string | undefined>([
    [tokenizerName, JSON.stringify(files.tokenizer, null, 2)],
    [configName, jsonText(config)],
    [specialName, files.specialTokens === undefined ? undefined : jsonText(files.specialTokens)],
    [addedName, files.addedTokens === undefined ? undefined : jsonText(files.addedTokens)],
    [templateName, files.chatTemplate],
  ]);
  const { FolderWriter } = await import("../folder/write.ts");
  await FolderWriter.using(folder, async (writer) => {
    for (const [name, text] of texts)
      if (text !== undefined) await writer.write(name, [new TextEncoder().encode(text)]);
    await writer.commit((name) => texts.has(name));
  });
}
