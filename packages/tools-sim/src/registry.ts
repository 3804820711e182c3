/**
 * The environment ids of the command line, and which of them exist. Ids without `-like` are the published
 * benchmarks and need a path to their data.
 */
import { EnvironmentError } from "./errors.ts";

/** Every environment id, built or planned. */
export const environmentIds = ["ftrl-like", "toolhop-like", "bfcl-like", "ftrl", "toolhop", "bfcl"] as const;

/** One of `environmentIds`. */
export type EnvironmentId = (typeof environmentIds)[number];

/** The ids that can be used now. */
export const builtEnvironmentIds = ["ftrl-like", "toolhop-like", "bfcl-like", "ftrl", "bfcl"] as const;

/** One of `builtEnvironmentIds`. */
export type BuiltEnvironmentId = (typeof builtEnvironmentIds)[number];

/**
 * The id, if such an environment exists.
 *
 * @throws EnvironmentError naming the ids that exist, for one that is unknown or not built
 * @example requireEnvironmentId("ftrl-like")
 */
export function requireEnvironmentId(id: string): BuiltEnvironmentId {
  const built = builtEnvironmentIds.find((name) => name === id);
  if (built !== undefined) return built;
  const isKnown = environmentIds.some((name) => name === id);
  throw new EnvironmentError(
    `environment ${JSON.stringify(id)} ${isKnown ? "is not built yet" : "is unknown"}; there are ${builtEnvironmentIds.join(", ")}`,
  );
}
