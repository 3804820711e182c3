/**
 * Texts of kernels in which one invocation walks a row of `q` steps, each of one element or of four neighbours, which software
 * adapters load in about the time of one. Totals are taken element by element all the same, so the two have the same bits.
 */
export class Rows {
  /** Elements of a step. */
  readonly width: 1 | 4;

  constructor(width: 1 | 4) {
    this.width = width;
  }

  get type(): "f32" | "vec4<f32>" {
    return this.width === 4 ? "vec4<f32>" : "f32";
  }

  /** The loop over the steps `j` of a row. */
  each(body: string): string {
    return `for (var j = 0u; j < q; j++) { ${body} }`;
  }

  /** Adds the elements of `value`, a name, to the number `name` in order. */
  total(name: string, value: string): string {
    return this.elements(value)
      .map((element) => `${name} += ${element};`)
      .join(" ");
  }

  /** Raises the number `name` to the largest element of `value`, a name. */
  highest(name: string, value: string): string {
    return this.elements(value)
      .map((element) => `${name} = max(${name}, ${element});`)
      .join(" ");
  }

  private elements(value: string): string[] {
    return this.width === 4 ? [..."xyzw"].map((c) => `${value}.${c}`) : [value];
  }
}
