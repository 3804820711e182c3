/**
 * pass@k and pass^k: how often at least one, or each, of k attempts at a task succeeds, estimated without bias from n
 * attempts of which c succeeded.
 *
 * Sources: pass@k = 1 − C(n−c, k) / C(n, k), M. Chen et al., "Evaluating Large Language Models Trained on Code"
 * (arXiv 2107.03374, eq. 1); pass^k = C(c, k) / C(n, k), S. Yao et al., "τ-bench" (arXiv 2406.12045, §3). Both are
 * products of k ratios here, so that no binomial coefficient overflows.
 */
import { OptionError } from "./errors.ts";

/**
 * The chance that at least one of k attempts succeeds, where c of n did.
 *
 * @throws OptionError unless 0 ≤ c ≤ n and 1 ≤ k ≤ n, all whole numbers
 * @example
 * ```ts
 * passAtK(4, 1, 2); // → 0.5
 * ```
 */
export function passAtK(n: number, c: number, k: number): number {
  check("passAtK", n, c, k);
  return 1 - chanceOfAll(n, n - c, k);
}

/**
 * The chance that each of k attempts succeeds, where c of n did.
 *
 * @throws OptionError unless 0 ≤ c ≤ n and 1 ≤ k ≤ n, all whole numbers
 * @example
 * ```ts
 * passHatK(4, 3, 2); // → 0.5
 * ```
 */
export function passHatK(n: number, c: number, k: number): number {
  check("passHatK", n, c, k);
  return chanceOfAll(n, c, k);
}

/** C(m, k) / C(n, k) = Π (m − i) / (n − i): k of n drawn without replacement are all among m. */
function chanceOfAll(n: number, m: number, k: number): number {
  let chance = 1;
  for (let i = 0; i < k && chance > 0; i++) chance *= (m - i) / (n - i);
  return chance;
}

function check(name: string, n: number, c: number, k: number): void {
  const whole = [n, c, k].every((value) => Number.isSafeInteger(value));
  if (!whole || c < 0 || c > n || k < 1 || k > n)
    throw new OptionError(
      `${name}: needs whole numbers with 0 ≤ c ≤ n and 1 ≤ k ≤ n, got n = ${n}, c = ${c}, k = ${k}`,
    );
}
