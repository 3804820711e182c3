/**
 * The environment ids of the command line. Ids without `-like` are the published benchmarks and need a path to their data.
 */
import { EnvironmentError } from "./errors.ts";

/** Every environment id. */
export const environmentIds = ["ftrl-like", "toolhop-like", "bfcl-like", "ftrl", "toolhop", "bfcl"] as const;

/** One of `environmentIds`. */
export type EnvironmentId = (typeof environmentIds)[number];

/**
 * The id, if such an environment exists.
 *
 * @throws EnvironmentError naming the ids that exist, for one that is unknown
 * @example
 * ```ts
 * requireEnvironmentId("ftrl-like"); // → "ftrl-like"
 * ```
 */
export function requireEnvironmentId(id: string): EnvironmentId {
  const known = environmentIds.find((name) => name === id);
  if (known !== undefined) return known;
  throw new EnvironmentError(
    `environment ${JSON.stringify(id)} is unknown; there are ${environmentIds.join(", ")}`,
  );
}
