/** Sizes of memory as people write and read them. */

const units: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
};

/**
 * The bytes that a text names: a number with or without a unit, in powers of 1000 or 1024.
 *
 * @returns undefined for what is no size of at least one byte
 * @example parseBytes("1.5 GiB") // 1610612736
 */
export function parseBytes(text: string): number | undefined {
  const [, number, unit] = /^(\d{1,15}(?:\.\d{1,9})?) ?([a-z]{0,3})$/i.exec(text) ?? [];
  if (number === undefined || !Object.hasOwn(units, unit.toLowerCase())) return undefined;
  const bytes = Math.round(Number(number) * units[unit.toLowerCase()]);
  return bytes >= 1 && Number.isSafeInteger(bytes) ? bytes : undefined;
}

/**
 * Bytes for people, with three digits.
 *
 * @example bytesText(3 * 2 ** 29) // "1.50 GiB"
 */
export function bytesText(bytes: number): string {
  const names = ["B", "KiB", "MiB", "GiB", "TiB"];
  let [value, unit] = [bytes, 0];
  while (value >= 999.5 && unit < names.length - 1) [value, unit] = [value / 1024, unit + 1];
  const digits = unit === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return `${value.toFixed(digits)} ${names[unit]}`;
}
