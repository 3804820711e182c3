/**
 * Public names whose checked example is still to be written. Take yours off when it is done; the list only shrinks.
 */
const names = {
  tensor: "debug",
  nn: "",
};

/** The names as `package: name`. */
export const pending: ReadonlySet<string> = new Set(
  Object.entries(names).flatMap(([pkg, list]) =>
    list
      .split(/\s+/)
      .filter((name) => name !== "")
      .map((name) => `${pkg}: ${name}`),
  ),
);
