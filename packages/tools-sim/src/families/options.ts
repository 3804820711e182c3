/** What the generated families' options have in common, and the checks of their dials. */
import { OptionError } from "../errors.ts";
import type { Split } from "../types.ts";

/** What to generate. Task i depends on the seed, the split, i and the dials alone. */
export interface GenerateOptions<Dials> {
  seed: number;
  split: Split;
  count: number;
  /** Index of the first task (0); a data cursor. */
  start?: number;
  dials?: Partial<Dials>;
}

/** Domain of a dial: whole numbers from `low` to `high`, or a share in [0, 1]. */
export type DialDomain = readonly [low: number, high: number] | "share";

/**
 * Checks seed, split, count and start.
 *
 * @throws OptionError naming what is outside its domain
 */
export function checkOptions(family: string, options: GenerateOptions<object>): void {
  const { seed, split, count, start = 0 } = options;
  for (const [name, value] of Object.entries({ seed, count, start }))
    if (!Number.isSafeInteger(value) || value < 0)
      throw new OptionError(`${family}: ${name} must be an integer ≥ 0, got ${value}`);
  if (split !== "train" && split !== "heldout")
    throw new OptionError(`${family}: split must be "train" or "heldout", got ${JSON.stringify(split)}`);
}

/**
 * The defaults with the given dials in their place.
 *
 * @throws OptionError naming a dial that is unknown or outside its domain
 */
export function checkedDials<Dials extends { [Name in keyof Dials]: number }>(
  family: string,
  defaults: Dials,
  domains: { readonly [Name in keyof Dials]: DialDomain },
  given: Partial<Dials>,
): Dials {
  const names = Object.keys(defaults) as (keyof Dials & string)[];
  for (const name of Object.keys(given))
    if (!Object.hasOwn(defaults, name))
      throw new OptionError(`${family}: unknown dial ${JSON.stringify(name)}; there are ${names.join(", ")}`);
  const dials = { ...defaults, ...given };
  for (const name of names) checkDial(family, name, dials[name], domains[name]);
  return dials;
}

/** @throws OptionError if the value is outside the domain */
export function checkDial(family: string, name: string, value: number, domain: DialDomain): void {
  if (domain === "share") {
    if (!(value >= 0 && value <= 1))
      throw new OptionError(`${family}: ${name} must be in [0, 1], got ${value}`);
  } else if (!(Number.isInteger(value) && value >= domain[0] && value <= domain[1]))
    throw new OptionError(
      `${family}: ${name} must be a whole number from ${domain[0]} to ${domain[1]}, got ${value}`,
    );
}
