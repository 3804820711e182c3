/** The words of `bfcl-like` stores. Train and held-out stores share no noun, no verb, no field and no state. */
import type { Split, StoreAction, StoreSetup, ToolDefinition } from "../../types.ts";

/** The nouns of a store: accounts hold coins, have an owner, and link to another account, their backup. */
export interface Theme {
  /** What a record is; also the argument key of every tool that takes one. */
  noun: string;
  /** What it holds. */
  units: string;
  /** Who is responsible for it. */
  keeper: string;
  /** What the record that it links to is called. */
  link: string;
}

/** The themes of each split; no word is in both. */
export const themes: Readonly<Record<Split, readonly Theme[]>> = {
  train: [
    { noun: "account", units: "coins", keeper: "owner", link: "backup" },
    { noun: "bay", units: "crates", keeper: "clerk", link: "spare" },
    { noun: "tank", units: "litres", keeper: "pilot", link: "reserve" },
  ],
  heldout: [
    { noun: "stall", units: "boxes", keeper: "vendor", link: "annex" },
    { noun: "yard", units: "logs", keeper: "ranger", link: "overflow" },
  ],
};

/** Verbs of the actions, two for each, and the two states: tool names, requests and observations are made of them. */
export interface StoreWords {
  verbs: Readonly<Record<Exclude<StoreAction, "none">, readonly [string, string]>>;
  open: string;
  closed: string;
}

/** The words of each split. */
export const storeWords: Readonly<Record<Split, StoreWords>> = {
  train: {
    verbs: {
      find: ["find", "seek"],
      link: ["follow", "trace"],
      read: ["read", "show"],
      open: ["unlock", "free"],
      close: ["lock", "bar"],
      move: ["send", "shift"],
      assign: ["sign", "give"],
    },
    open: "unlocked",
    closed: "locked",
  },
  heldout: {
    verbs: {
      find: ["get", "query"],
      link: ["reach", "step"],
      read: ["check", "view"],
      open: ["enable", "wake"],
      close: ["disable", "halt"],
      move: ["carry", "pass"],
      assign: ["appoint", "choose"],
    },
    open: "enabled",
    closed: "disabled",
  },
};

/** The theme and the words of a task. */
export function wordsOf(setup: Pick<StoreSetup, "split" | "theme">): Theme & StoreWords {
  const theme = themes[setup.split].find(({ noun }) => noun === setup.theme) ?? themes[setup.split][0];
  return { ...theme, ...storeWords[setup.split] };
}

/** Both names of the tool for an action: verb and object, `lockAccount` and `barAccount`. */
export function toolNames(
  theme: Theme,
  words: StoreWords,
  action: Exclude<StoreAction, "none">,
): readonly string[] {
  const objects: Partial<Record<StoreAction, string>> = {
    move: theme.units,
    assign: theme.keeper,
    link: theme.link,
  };
  const object = objects[action] ?? theme.noun;
  return words.verbs[action].map((verb) => verb + object[0].toUpperCase() + object.slice(1));
}

/** The definition of a tool for an action. */
export function storeTool(
  name: string,
  action: Exclude<StoreAction, "none">,
  theme: Theme,
  words: StoreWords,
  isReworded: boolean,
): ToolDefinition {
  const { noun, units, keeper, link } = theme;
  const id = { [noun]: { type: "integer" } };
  const { description, properties } = {
    find: { description: `the id of the ${noun} of that name`, properties: { name: { type: "string" } } },
    link: { description: `the id of the ${link} of one ${noun}`, properties: id },
    read: { description: `${units}, ${keeper} and state of one ${noun}`, properties: id },
    open: { description: `one ${noun} ${words.open}, so that it can change`, properties: id },
    close: { description: `one ${noun} ${words.closed}, so that it can not change`, properties: id },
    move: {
      description: `${units} of one ${noun} part of another`,
      properties: { from: { type: "integer" }, to: { type: "integer" }, [units]: { type: "integer" } },
    },
    assign: {
      description: `somebody the ${keeper} of one ${noun}`,
      properties: { ...id, [keeper]: { type: "string" } },
    },
  }[action];
  const [plain, other] = action === "find" || action === "link" || action === "read" ? gives : makes;
  return {
    type: "function",
    function: {
      name,
      description: `${isReworded ? other : plain} ${description}.`,
      parameters: { type: "object", properties, required: Object.keys(properties) },
    },
  };
}

const gives = ["Gives", "Use it to learn"] as const;
const makes = ["Makes", "Use it to make"] as const;
