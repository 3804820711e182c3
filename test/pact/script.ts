/** A scripted policy: says given texts turn by turn, and records everything it was shown. */
import type { PolicySession, RolloutPolicy } from "../../packages/pact/src/rollout.ts";
import { controlTokens } from "../../packages/pact/src/tokens.ts";
import { testCodec } from "./codec.ts";

const pattern = new RegExp(`(${controlTokens.map((name) => name.replace(/[|]/g, "\\|")).join("|")})`);

/** Ids of a text in which control names mean control tokens. */
export function scriptIds(text: string): number[] {
  return text
    .split(pattern)
    .filter((part) => part !== "")
    .flatMap((part) =>
      (controlTokens as readonly string[]).includes(part)
        ? [testCodec.controlId(part)]
        : testCodec.encode(part),
    );
}

/** A call in the form the policy writes it. */
export function callText(town: string): string {
  return `<tool_call>{"name": "find_mayor", "arguments": {"town": "${town}"}}</tool_call>`;
}

export interface ScriptedPolicy extends RolloutPolicy {
  /** Ids each row was shown, prompt first. */
  readonly shown: number[][];
  /** Key words each row was given, in order. */
  readonly keys: number[][];
  sessions: number;
}

/**
 * Row r says the tokens of `script(r)` one by one; observations are not counted. A row whose script is over repeats
 * its last token. Log-probs are −(1 + position)/100.
 */
export function scriptedPolicy(script: (row: number) => readonly number[]): ScriptedPolicy {
  const policy: ScriptedPolicy = {
    shown: [],
    keys: [],
    sessions: 0,
    start(prompts, rows): PolicySession {
      policy.sessions += 1;
      const said = rows.map(() => 0);
      policy.shown.length = 0;
      policy.keys.length = 0;
      for (const { prompt } of rows) {
        policy.shown.push([...prompts[prompt]]);
        policy.keys.push([]);
      }
      const say = (listed: readonly number[], keys: Uint32Array) => {
        const positions = listed.map((row, index) => {
          policy.keys[row].push(keys[2 * index], keys[2 * index + 1]);
          said[row] += 1;
          return said[row] - 1;
        });
        return Promise.resolve({
          ids: listed.map((row, index) => {
            const ids = script(row);
            return ids[Math.min(positions[index], ids.length - 1)];
          }),
          logProbs: positions.map((position) => -(1 + position) / 100),
        });
      };
      return {
        first: (keys) =>
          say(
            rows.map((_, row) => row),
            keys,
          ),
        next: (entries, keys) => {
          for (const { row, ids } of entries) policy.shown[row].push(...ids);
          return say(
            entries.map(({ row }) => row),
            keys,
          );
        },
        dispose: () => {
          policy.sessions -= 1;
        },
      };
    },
  };
  return policy;
}
