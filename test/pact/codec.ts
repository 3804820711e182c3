/** A deliberately ambiguous tokenizer for tests: characters, plus ids for some pairs and for the frame of a call. */
import { nativeDialect } from "../../packages/pact/src/dialect.ts";
import { controlTokens, type TokenCodec } from "../../packages/pact/src/tokens.ts";

const PAIRS = [
  '{"name": "find_mayor", "arguments": {"town": "',
  '"}}',
  "ab",
  "bc",
  '": ',
  "in",
  "th",
  "er",
  " M",
  "ll",
];
const FIRST_PAIR = 0x180;
const FIRST_CONTROL = FIRST_PAIR + PAIRS.length;

/** Ids below this are characters, pairs and control tokens; characters above U+017F become "?". */
export const testVocabulary = FIRST_CONTROL + controlTokens.length;

/** "abc" encodes as [ab, c] although [a, bc] and [a, b, c] decode to the same text. */
export const testCodec: TokenCodec = {
  encode(text) {
    const ids: number[] = [];
    for (let index = 0; index < text.length; ) {
      const pair = PAIRS.findIndex((entry) => text.startsWith(entry, index));
      if (pair >= 0) ids.push(FIRST_PAIR + pair);
      else ids.push(text.charCodeAt(index) < FIRST_PAIR ? text.charCodeAt(index) : 63);
      index += pair >= 0 ? PAIRS[pair].length : 1;
    }
    return ids;
  },
  decode(ids) {
    let text = "";
    for (const id of ids) {
      if (id >= FIRST_CONTROL) text += controlTokens[id - FIRST_CONTROL];
      else if (id >= FIRST_PAIR) text += PAIRS[id - FIRST_PAIR];
      else text += String.fromCharCode(id);
    }
    return text;
  },
  controlId(name) {
    const index = (controlTokens as readonly string[]).indexOf(name);
    if (index < 0) throw new Error(`no control token ${name}`);
    return FIRST_CONTROL + index;
  },
};

/** The dialect of `testCodec`. */
export const testDialect = nativeDialect(testCodec);

/** Whether an id is a control token of `testCodec`. */
export function isControlId(id: number): boolean {
  return id >= FIRST_CONTROL;
}
