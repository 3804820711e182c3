/** The last line of `--json`: where it was measured and what. */
import { execFileSync } from "node:child_process";

/** Where figures come from. */
export interface Place {
  readonly adapterName: string;
  readonly driver: string;
}

/** `{adapter, driver, commit, W1: {…}, …}` in one line; numbers keep five significant digits. */
export function resultLine(
  { adapterName, driver }: Place,
  results: Readonly<Record<string, unknown>>,
): string {
  const round = (_: string, value: unknown) =>
    typeof value === "number" && !Number.isInteger(value) ? Number(value.toPrecision(5)) : value;
  return JSON.stringify({ adapter: adapterName, driver, commit: commit(), ...results }, round);
}

/** The commit, with a + where files differ from it. */
function commit(): string {
  const git = (...args: string[]) =>
    execFileSync("git", args, { encoding: "utf8", cwd: import.meta.dirname }).trim();
  try {
    return git("rev-parse", "--short", "HEAD") + (git("status", "--porcelain", "-uno") === "" ? "" : "+");
  } catch {
    return "unknown"; // not a checkout
  }
}
