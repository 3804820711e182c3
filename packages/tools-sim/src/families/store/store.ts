/**
 * The store of a `bfcl-like` task: records that are found, read, opened, closed, changed and linked. A call changes state
 * or is refused and changes nothing; what is closed can not change until it is opened.
 */
import { failureLog, timeoutContent } from "../../failures.ts";
import { canonicalJson, spacedJson } from "../../json.ts";
import type { Json, JsonObject, StoreAction, StoreRecord, StoreSetup, ToolCall } from "../../types.ts";
import { noisyJson } from "../noise.ts";
import { wordsOf } from "./themes.ts";

/** What a call gave: the observation's text, with the fields of a success or the reason of a failure. */
export interface StoreResult {
  content: string;
  action?: StoreAction;
  fields?: JsonObject;
  error?: string;
}

/** A store that is called: `call` runs a call, `records` are the state so far. */
export interface Store {
  call(call: ToolCall): StoreResult;
  readonly records: readonly StoreRecord[];
}

/**
 * A fresh store; two of one setup behave alike. Errors do not echo arguments, because an echo could match a golden.
 *
 * @example
 * ```ts
 * const [task] = bfclLike.generate({ seed: 1, split: "train", count: 1 });
 * const { setup } = task;
 * if (setup.kind !== "bfcl-like") throw new Error("Its tasks are stores.");
 * openStore(setup).call({ type: "function", function: { name: "none", arguments: {} } }).error; // → "unknown tool"
 * ```
 */
export function openStore(setup: StoreSetup): Store {
  const records = setup.records.map((record) => ({ ...record }));
  const timesOut = failureLog(setup);
  return {
    records,
    call(call) {
      const { name, arguments: args } = call.function;
      const action = Object.hasOwn(setup.actions, name) ? setup.actions[name] : undefined;
      if (action === undefined)
        return { content: spacedJson({ error: "unknown tool" }), error: "unknown tool" };
      if (timesOut(call)) return { content: timeoutContent, action, error: "timeout" };
      const result = act(setup, records, action, args);
      if (typeof result === "string")
        return { content: spacedJson({ error: result }), action, error: result };
      const content = noisyJson(result, setup.noise, setup.failureSeed, name, canonicalJson(args));
      return { content, action, fields: result };
    },
  };
}

/** The keys of an action's arguments. */
export function argumentKeys(setup: StoreSetup, action: StoreAction): readonly string[] {
  const { noun, units, keeper } = wordsOf(setup);
  if (action === "find") return ["name"];
  if (action === "move") return ["from", "to", units];
  return action === "assign" ? [noun, keeper] : [noun];
}

/** Carries an action out; the fields of its observation, or why it was refused. */
function act(
  setup: StoreSetup,
  records: StoreRecord[],
  action: StoreAction,
  args: JsonObject,
): JsonObject | string {
  const { noun, units, keeper, link, open, closed } = wordsOf(setup);
  if (action === "none") return "not found";
  const keys = argumentKeys(setup, action);
  if (Object.keys(args).length !== keys.length || !keys.every((key) => Object.hasOwn(args, key)))
    return "bad arguments";
  const byId = (id: Json) => records.find((record) => record.id === id);

  if (action === "find") {
    const found = records.find((record) => record.name === args.name);
    return found === undefined ? "not found" : { [noun]: found.id };
  }
  if (action === "move") {
    const [from, to, amount] = [byId(args.from), byId(args.to), args[units]];
    if (from === undefined || to === undefined) return "not found";
    if (from === to || typeof amount !== "number" || !Number.isInteger(amount) || amount < 1)
      return "bad arguments";
    if (!from.isOpen) return `from is ${closed}`;
    if (!to.isOpen) return `to is ${closed}`;
    if (amount > from.amount) return `not enough ${units}`;
    from.amount -= amount;
    to.amount += amount;
    return { from: from.id, to: to.id, [units]: amount };
  }
  const record = byId(args[noun]);
  if (record === undefined) return "not found";
  switch (action) {
    case "link":
      return { [link]: record.link };
    case "read":
      return {
        [noun]: record.id,
        [units]: record.amount,
        [keeper]: record.keeper,
        state: record.isOpen ? open : closed,
      };
    case "assign": {
      const name = args[keeper];
      if (typeof name !== "string" || name === "" || name.length > 100) return "bad arguments";
      if (!record.isOpen) return `${noun} is ${closed}`;
      record.keeper = name;
      return { [noun]: record.id, [keeper]: name };
    }
    case "open":
    case "close":
      if (record.isOpen === (action === "open")) return `already ${record.isOpen ? open : closed}`;
      record.isOpen = action === "open";
      return { [noun]: record.id, state: record.isOpen ? open : closed };
  }
}
