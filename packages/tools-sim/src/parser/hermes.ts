/**
 * One call in the Hermes syntax, `{"name": "f", "arguments": {"x": 1}}`, as it stands between `<tool_call>` tags.
 * Some models write `arguments` as JSON in a string, as OpenAI's API has it; Qwen's and FTRL's harnesses read that, too.
 * Source: the Hermes function-calling convention (NousResearch/Hermes-Function-Calling), as in Qwen3's chat template.
 */
import { isObject } from "../json.ts";
import type { ToolCall } from "../types.ts";
import { memberText, parseJson } from "./json-text.ts";
import { type CallDefect, checkedCall } from "./shapes.ts";

/** The call of a block's body, with `argumentsText`; never throws. */
export function readHermesCall(body: string): ToolCall | CallDefect {
  const read = parseJson(body);
  if (read.defect) return read.defect;
  const { value } = read;
  if (!isObject(value)) return { kind: "invalid_shape", message: "call is not a JSON object" };
  if (Object.hasOwn(value, "__proto__"))
    return { kind: "forbidden_key", message: "key __proto__ is not allowed" };
  const own = (key: string) => (Object.hasOwn(value, key) ? value[key] : undefined);
  const args = own("arguments");
  if (typeof args !== "string") return checkedCall(own("name"), args, memberText(body, "arguments"));
  const inner = parseJson(args);
  return inner.defect ?? checkedCall(own("name"), inner.value, args.trim());
}
