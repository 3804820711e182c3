/** Random choices of the trainer that need no tensor: one number from a key, and the order of an epoch. */
import { foldIn, type Key } from "@pact/tensor";

/**
 * A uniform number in [0, 1) from a key, on the host.
 *
 * @example uniformOf(foldIn(key(1), slot)) < q
 */
export function uniformOf(k: Key): number {
  return k[0] / 2 ** 32;
}

/**
 * The numbers 0 … count − 1 in an order that the key alone decides.
 *
 * @example shuffled(key(7), 3) // some order of 0, 1, 2
 */
export function shuffled(k: Key, count: number): number[] {
  const draws = Array.from({ length: count }, (_, index) => uniformOf(foldIn(k, index)));
  return draws.map((_, index) => index).sort((a, b) => draws[a] - draws[b] || a - b);
}

/**
 * `length` places from `start` on of an endless sequence that passes over 0 … count − 1 in a new order each time.
 *
 * @example endlessly(key(7), 512, 16 * step, 16) // the tasks of a step
 */
export function endlessly(k: Key, count: number, start: number, length: number): number[] {
  const picked: number[] = [];
  while (picked.length < length) {
    const position = start + picked.length;
    const pass = shuffled(foldIn(k, Math.floor(position / count)), count);
    const from = position % count;
    picked.push(...pass.slice(from, from + length - picked.length));
  }
  return picked;
}
