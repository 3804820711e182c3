/**
 * `pact doctor --tune`: measures the variants of the heavy kernels on this machine's adapter, in turn, and writes the fastest
 * of each into the table of kernels (kernel-table.ts). Left out: the ladders behind the variants (bench/kernels).
 */
import {
  add,
  attention,
  attentionSpans,
  chooseVariants,
  type Device,
  type KernelVariant,
  type KernelVariants,
  kernelVariants,
  key,
  matmul,
  randomNormal,
  scope,
  slice,
  sum,
  type Tensor,
  transpose,
  valueAndGrad,
  variantsOf,
} from "@pact/tensor";

/** Best milliseconds of one variant. */
export interface TunedRow {
  readonly operation: keyof KernelVariants;
  readonly variant: KernelVariant;
  readonly ms: number;
}

/** Rounds after one that compiles. */
const rounds = 3;
const operations = ["matmul", "attention"] as const;

/** Sizes of a small decoder: 256 tokens, width 128, 4 heads. */
const tokens = 256;
const width = 128;

/** The work of each operation: products as in a linear layer, its gradients and a decoding step, attention with its gradient. */
function worksOf(device: Device): Record<keyof KernelVariants, () => Tensor> {
  const x = randomNormal(key(1), [tokens, width], { device });
  const w = randomNormal(key(2), [2 * width, width], { device });
  const heads = randomNormal(key(3), [tokens, 4, width / 4], { device });
  const ranges = Int32Array.from({ length: 4 * tokens }, (_, i) => (i % 4 === 3 ? (i + 1) / 4 : 0));
  const spans = attentionSpans(ranges, tokens, { device });
  const attend = valueAndGrad((q: Tensor) => sum(attention(q, q, q, spans)));
  return {
    matmul: () => {
      const y = matmul(x, w, { transposeB: true }); // [tokens, 2 width]
      const one = matmul(slice(x, [0, 0], [1, width]), w, { transposeB: true });
      return add(sum(one), sum(matmul(transpose(matmul(y, w)), x)));
    },
    attention: () => attend(heads).value,
  };
}

/**
 * Measures every variant that `device` can run and has it run the fastest.
 *
 * @returns a row for each, and what was chosen
 * @throws DeviceError on the cpu device
 */
export async function tune(device: Device): Promise<{ rows: readonly TunedRow[]; variants: KernelVariants }> {
  let variants = kernelVariants(device) ?? { matmul: "tiles", attention: "tiles" };
  const works = worksOf(device);
  const rows: TunedRow[] = [];
  for (const operation of operations) {
    const able: readonly KernelVariant[] = variantsOf(device, operation);
    const best = new Map<KernelVariant, number>();
    for (let round = 0; round <= rounds; round++) {
      for (const variant of able) {
        // Of this operation's own variants, which the type can not follow through its name.
        chooseVariants(device, { ...variants, [operation]: variant } as KernelVariants);
        const began = performance.now();
        const y = scope(works[operation]);
        await device.synchronize();
        y.dispose();
        const ms = performance.now() - began;
        // The first round compiles.
        if (round > 0) best.set(variant, Math.min(best.get(variant) ?? ms, ms));
      }
    }
    const measured = able.map((variant) => ({ operation, variant, ms: best.get(variant) ?? 0 }));
    rows.push(...measured);
    const fastest = measured.reduce((a, b) => (b.ms < a.ms ? b : a));
    variants = { ...variants, [operation]: fastest.variant } as KernelVariants;
  }
  chooseVariants(device, variants);
  return { rows, variants };
}

/** The rows for people, the chosen ones marked. */
export function tuneText(rows: readonly TunedRow[], variants: KernelVariants): string {
  return rows
    .map(({ operation, variant, ms }) => {
      const mark = variants[operation] === variant ? "  chosen" : "";
      return `${operation.padEnd(10)}${variant.padEnd(11)}${ms.toFixed(2).padStart(9)} ms${mark}`;
    })
    .join("\n");
}
