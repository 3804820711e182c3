/** Fields of a stranger's config.json, checked one by one. What they mean is in config-json.ts. */
import { isSize } from "./config.ts";
import { isObject } from "./safetensors-json.ts";

/** Takes fields out of untrusted JSON and collects what is wrong with them, so that one error names everything. */
export class Reader {
  readonly problems: string[];
  private readonly json: Record<string, unknown>;
  private readonly path: string;

  constructor(json: Record<string, unknown>, path = "", problems: string[] = []) {
    this.json = json;
    this.path = path;
    this.problems = problems;
  }

  problem(text: string): void {
    this.problems.push(text);
  }

  get(name: string): unknown {
    return Object.hasOwn(this.json, name) ? this.json[name] : undefined;
  }

  /** A whole number ≥ 1. Returns 1 after noting a problem, so that the checks that follow still make sense. */
  size(name: string, fallback?: number): number {
    const value = this.get(name) ?? fallback;
    if (isSize(value)) return value;
    this.expected(name, "a whole number ≥ 1", value);
    return 1;
  }

  /** A finite number > 0. Returns 1 after noting a problem. */
  positive(name: string, fallback?: number): number {
    const value = this.get(name) ?? fallback;
    if (typeof value === "number" && value > 0 && Number.isFinite(value)) return value;
    this.expected(name, "a number > 0", value);
    return 1;
  }

  flag(name: string, fallback: boolean): boolean {
    const value = this.get(name) ?? fallback;
    if (typeof value === "boolean") return value;
    this.expected(name, "true or false", value);
    return fallback;
  }

  mustBe(name: string, allowed: readonly unknown[]): void {
    const value = this.get(name);
    if (!allowed.includes(value))
      this.expected(
        name,
        allowed.map((v) => (v === undefined ? "absent" : JSON.stringify(v))).join(" or "),
        value,
      );
  }

  /** A record inside, or undefined if the field is absent or null. Faults join this reader's. */
  inner(name: string): Reader | undefined {
    const value = this.get(name);
    if (value === undefined || value === null) return undefined;
    if (isObject(value))
      return new Reader(value as Record<string, unknown>, `${this.path}${name}.`, this.problems);
    this.expected(name, "an object", value);
    return undefined;
  }

  /** Notes that a field is not `what`. */
  expected(name: string, what: string, value: unknown): void {
    this.problem(`${this.path}${name}: expected ${what}, received ${shown(value)}`);
  }
}

/** A stranger's value for a message, cut. */
function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}
