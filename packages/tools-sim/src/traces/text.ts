/**
 * Reasoning as segmentation sees it: white space and role noise normalised, split into paragraphs. Every piece keeps the
 * white space in front of it, so that the pieces joined with nothing are the text.
 */

/** Chat-template tokens (with the role that follows an opening one) and the tags of the protocol. */
const templateNoise = /<\|im_start\|>[ \t]*(?:assistant|user|system|tool)?|<\|\w{0,40}\|>/gi;
const tagNoise = /<\/?(?:think|tool_call|tool_response|answer|tools)>/gi;
/** Everything a terminal or a tokenizer could trip over; line feeds and tabs are white space and stay. */
const controlNoise = /[^\P{Cc}\n\t]/gu;
const roleLabels = /^(?:(?:assistant|user|system|tool)[ ]?:[ ]?)+/i;

/**
 * Reasoning without template tokens, protocol tags, role labels at the start of a line and control characters; one space
 * between words, at most one empty line between paragraphs, none at the ends. Normalising twice changes nothing.
 *
 * @example
 * ```ts
 * normaliseReasoning("assistant: Need  it.\r\n\r\n\r\nUse f.</think>"); // → "Need it.\n\nUse f."
 * ```
 */
export function normaliseReasoning(source: string): string {
  const lines = source
    .replace(/\r\n?|[\u2028\u2029]/g, "\n")
    // NOTE: noise becomes a space, never nothing: pieces left and right of it must not join into new noise.
    .replace(templateNoise, " ")
    .replace(tagNoise, " ")
    .replace(controlNoise, " ")
    .split("\n")
    .map((line) => line.replace(/\s+/gu, " ").trim().replace(roleLabels, ""));
  return lines
    .join("\n")
    .replace(/\n{3,}/g, "\n\n")
    .trim();
}

/**
 * The paragraphs of normalised reasoning, each but the first with the empty line in front of it.
 *
 * @example
 * ```ts
 * paragraphsOf("Need it.\n\nUse f."); // → ["Need it.", "\n\nUse f."]
 * ```
 */
export function paragraphsOf(reasoning: string): string[] {
  return reasoning === "" ? [] : reasoning.split(/(?=\n\n)/);
}

/**
 * The sentences and lines of a paragraph, each with the white space in front of it.
 *
 * @example
 * ```ts
 * sentencesOf("Need it. Use f."); // → ["Need it.", " Use f."]
 * ```
 */
export function sentencesOf(paragraph: string): string[] {
  return paragraph.split(/(?<=[.!?])(?=\s)|(?<=\S)(?=\n)/).filter((piece) => piece !== "");
}
