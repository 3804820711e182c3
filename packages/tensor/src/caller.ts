/**
 * Where in the user's program a call came from: the first stack line outside this package and outside node_modules.
 */

const here = decodeURIComponent(new URL(".", import.meta.url).pathname);

/** Deep enough to reach the user's line through nested scopes, gradients and derivatives. */
const depth = 200;

/** `file:line:column` of the user's line on the stack, or `unknown` where all of it is a library's. */
export function callerLine(): string {
  // Under V8 the stack has ten lines unless asked; other engines ignore the limit.
  const limits = Error as { stackTraceLimit?: number };
  const before = limits.stackTraceLimit;
  limits.stackTraceLimit = depth;
  const stack = new Error().stack ?? "";
  limits.stackTraceLimit = before;
  const places = stack
    .split("\n")
    .map((line) => /(?:[(@]|^\s*at )(?:async )?([^()@]+:\d+:\d+)\)?$/.exec(line)?.[1])
    .filter((place) => place !== undefined)
    .map((place) => place.replace(/^file:\/\//, ""));
  const users = places.find(
    (p) => !p.startsWith("node:") && !p.includes("/node_modules/") && !p.includes(here),
  );
  return users ?? "unknown";
}
