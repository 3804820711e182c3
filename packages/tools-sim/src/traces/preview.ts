/**
 * Finds where reasoning spells out the call that follows it: its JSON, `name(`, or its name together with the values of
 * all its arguments. What is said before stays; from there on it is an `explicit_call_preview` (arXiv 2606.16215).
 */
import { sentencesOf } from "./text.ts";
import type { StoredCall } from "./types.ts";

/** The beginning of a call's JSON. */
const callJson = /\{\s{0,99}"(?:name|function|arguments|parameters)"\s{0,9}:/;

/**
 * Whether a text spells out one of the calls.
 *
 * @example
 * ```ts
 * previewsCall('Call f with x = "Bavo".', [{ name: "f", arguments: { x: "Bavo" } }]); // → true
 * ```
 */
export function previewsCall(text: string, calls: readonly StoredCall[]): boolean {
  if (callJson.test(text)) return true;
  return calls.some(({ name, arguments: args }) => {
    if (!hasWord(text, name)) return false;
    if (text.includes(`${name}(`)) return true;
    const values = Object.values(args);
    return values.length > 0 && values.every((value) => hasWord(text, wordOf(value)));
  });
}

/** Most characters of an argument's text that are looked for. */
const valueLength = 2000;

function wordOf(value: unknown): string {
  return (typeof value === "string" ? value : JSON.stringify(value))
    .replace(/\s+/gu, " ")
    .trim()
    .slice(0, valueLength);
}

/** True if the text holds the word and no letter or digit touches it. An empty word is never missing. */
function hasWord(text: string, word: string): boolean {
  if (word === "") return true;
  for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + word.length)) {
    const before = text.slice(Math.max(0, at - 1), at);
    const after = text.slice(at + word.length, at + word.length + 1);
    if (!/[\p{L}\p{N}_]/u.test(before) && !/[\p{L}\p{N}_]/u.test(after)) return true;
  }
  return false;
}

/**
 * Cuts a paragraph before a call's JSON or before the sentence with which it comes to spell out a call.
 *
 * @returns what comes before and the rest; the rest is empty without a preview
 * @example
 * ```ts
 * cutAtPreview("We need it. Call f(x).", [{ name: "f", arguments: {} }]); // → ["We need it.", " Call f(x)."]
 * ```
 */
export function cutAtPreview(paragraph: string, calls: readonly StoredCall[]): [string, string] {
  if (!previewsCall(paragraph, calls)) return [paragraph, ""];
  // The shortest run of sentences from the start that previews, by bisection: longer runs preview as well.
  const sentences = sentencesOf(paragraph);
  let low = 0;
  let high = sentences.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (previewsCall(sentences.slice(0, middle + 1).join(""), calls)) high = middle;
    else low = middle + 1;
  }
  const sentence = sentences.slice(0, low).join("").length;
  const json = paragraph.search(callJson);
  const at = json < 0 ? sentence : Math.min(sentence, json);
  return [paragraph.slice(0, at), paragraph.slice(at)];
}
