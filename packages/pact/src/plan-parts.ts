/** What the bytes of a peak are: the tensors that were alive, sorted by what they are for (plan.ts). */
import type { TransformerConfig } from "@pact/nn";
import type { PlannedTensor, Tensor } from "@pact/tensor";

/** What bytes on the device are. */
export type PlanPart = "parameters" | "optimizer" | "gradients" | "cache" | "logits" | "activations";

/** Bytes by what they are; their sum is the peak. */
export type PlanParts = { readonly [Part in PlanPart]: number };

/** What is known of a run's tensors, to tell them apart. */
export interface KnownTensors {
  /** What lasts for the whole run. */
  readonly lasting: ReadonlySet<PlannedTensor>;
  /** Weights as loaded, and those that are trained. */
  readonly loaded: readonly Tensor[];
  /** Whether those that were loaded are given back by now. */
  readonly isReleased: boolean;
  readonly trained: readonly Tensor[];
  readonly model: TransformerConfig;
}

type Kind = Pick<PlannedTensor, "shape" | "dtype">;

const keyOf = ({ shape, dtype }: Kind): string => `${dtype}[${shape}]`;

/** Takes tensors of given kinds, each kind as often as it was given. */
class Counted {
  readonly #left = new Map<string, number>();

  constructor(kinds: readonly Kind[], times: number) {
    for (const kind of kinds) this.#left.set(keyOf(kind), (this.#left.get(keyOf(kind)) ?? 0) + times);
  }

  takes(tensor: Kind): boolean {
    const left = this.#left.get(keyOf(tensor)) ?? 0;
    this.#left.set(keyOf(tensor), left - 1);
    return left > 0;
  }
}

/**
 * Sorts the tensors of a peak. Where two kinds have one shape, a guess is made: what has a parameter's shape counts as its
 * gradient while training, and as its copy in another type while sampling.
 *
 * @param isSampling whether the peak is of a phase that samples
 * @example const { logits } = partsOf(device.atPeak(), false, known);
 */
export function partsOf(
  tensors: readonly PlannedTensor[],
  isSampling: boolean,
  { lasting, loaded, isReleased, trained, model }: KnownTensors,
): PlanParts {
  const slots = `,${model.numKvHeads},${model.headSize}`;
  // Two of each: those of the micro-batches before, and those of this one.
  const gradients = new Counted(isSampling ? [] : trained, 2);
  const copies = new Counted(isSampling ? loaded.map(({ shape }) => ({ shape, dtype: "f16" })) : [], 1);
  const partOf = (tensor: PlannedTensor): Exclude<PlanPart, "optimizer"> => {
    const { op, shape } = tensor;
    if (isSampling && op === "zeros" && `,${shape.slice(1)}` === slots) return "cache";
    if (op === "cast" && copies.takes(tensor)) return "parameters";
    if (gradients.takes(tensor)) return "gradients";
    return shape.length === 2 && shape[1] === model.vocabSize ? "logits" : "activations";
  };
  const bytes = { parameters: 0, optimizer: 0, gradients: 0, cache: 0, logits: 0, activations: 0 };
  for (const tensor of tensors) {
    if (lasting.has(tensor)) bytes.optimizer += tensor.bytes;
    else bytes[partOf(tensor)] += tensor.bytes;
  }
  // What is trained is a view of the optimiser's vector.
  const own = Math.min(bytes.optimizer, (isReleased ? 0 : bytesIn(loaded)) + bytesIn(trained));
  return { ...bytes, parameters: bytes.parameters + own, optimizer: bytes.optimizer - own };
}

function bytesIn(tensors: readonly Tensor[]): number {
  return tensors.reduce((sum, { size, dtype }) => sum + size * (dtype === "f16" ? 2 : 4), 0);
}
