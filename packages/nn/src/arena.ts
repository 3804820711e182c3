/**
 * What optimisers over one flat vector share: where each parameter lies in it, which group it belongs to, copying tensors
 * in and looking at them as views, and the norm for clipping. Each parameter starts at a multiple of 64 elements.
 */
import {
  add,
  concat,
  div,
  full,
  minimum,
  ones,
  reshape,
  scope,
  slice,
  sqrt,
  square,
  sum,
  type Tensor,
  zeros,
} from "@pact/tensor";
import { ParameterError } from "./errors.ts";
import type { Params } from "./params.ts";

/** Parameters that an optimiser treats apart; of several groups that match, the first counts. */
export type ParameterGroup = {
  /** Full names, or a predicate of the name. */
  readonly match: readonly string[] | ((name: string) => boolean);
  /** Multiplies the learning rate; default 1. */
  readonly rateScale?: number;
  /** Weight decay of all its tensors; default that of the optimiser, on tensors with two or more dimensions. */
  readonly weightDecay?: number;
  /** Not trained: no gradient, no state; default false. */
  readonly frozen?: boolean;
};

/** Each parameter starts at a multiple of this many elements: 256 bytes in f32, WebGPU's offset alignment. */
const alignment = 64;

/** Longest stretch of equal numbers that the host makes at once. */
const fillChunk = 2 ** 18;

/** Longest stretch whose squares are held at once for the norm. */
const normChunk = 2 ** 24;

type Place = {
  readonly name: string;
  readonly shape: readonly number[];
  readonly start: number;
  readonly size: number;
  readonly decay: number;
  readonly rateScale: number;
};

/** Elements [start, end) with one learning rate. */
export type Section = { readonly start: number; readonly end: number; readonly rateScale: number };

/** The layout of an optimiser's vectors [P]: the order of the record, or by learning rate where groups have several. */
export class Arena {
  /** P. */
  readonly size: number;
  readonly sections: readonly Section[];
  /** The parameters of frozen groups, as they were given. */
  readonly frozen: Params = {};
  private readonly places: Place[] = [];
  private readonly owner: string;
  private readonly gap: Tensor; // zeros to fill the arena between parameters

  /** @param weightDecay of tensors with two or more dimensions outside groups that have their own */
  constructor(owner: string, params: Params, weightDecay: number, groups: readonly ParameterGroup[]) {
    this.owner = owner;
    if (Object.keys(params).length === 0) throw new ParameterError(`${owner} needs at least one parameter.`);
    checkGroups(owner, params, groups);
    const ranked = Object.entries(params).flatMap(([name, { shape, size }]) => {
      const group = groups.find(({ match }) =>
        typeof match === "function" ? match(name) : match.includes(name),
      );
      if (group?.frozen) this.frozen[name] = params[name];
      if (group?.frozen) return [];
      const decay = group?.weightDecay ?? (shape.length >= 2 ? weightDecay : 0);
      return [{ name, shape, size, decay, rateScale: group?.rateScale ?? 1 }];
    });
    if (ranked.length === 0)
      throw new ParameterError(`${owner}: every parameter is frozen. Leave one group of them trained.`);
    const scales = [...new Set(ranked.map(({ rateScale }) => rateScale))];
    let end = 0;
    this.sections = scales.map((rateScale) => {
      const start = end;
      for (const entry of ranked.filter((one) => one.rateScale === rateScale)) {
        this.places.push({ ...entry, start: end });
        end = Math.ceil((end + entry.size) / alignment) * alignment;
      }
      return { start, end, rateScale };
    });
    this.size = end;
    const { dtype, device } = params[this.places[0].name];
    this.gap = zeros([alignment], { dtype, device });
  }

  /** Copies tensors into one vector with the arena's layout [P]. */
  flatten(tensors: Params): Tensor {
    return scope(() => {
      const pieces = this.places.map(({ name, shape, size }) => {
        const part = Object.hasOwn(tensors, name) ? tensors[name] : undefined;
        if (part?.shape.join() !== shape.join())
          throw new ParameterError(
            `${this.owner}: "${name}" needs a gradient of shape [${shape}], received ${part ? `[${part.shape}]` : "none"}.`,
          );
        return this.padded([reshape(part, [size])], size);
      });
      return concat(pieces.flat(), 0);
    });
  }

  /** The vector [P] that holds decay/unit at each parameter, 0 in the gaps. */
  decays(unit: number): Tensor {
    const { dtype, device } = this.gap;
    return scope(() => {
      const longest = Math.min(fillChunk, Math.max(...this.places.map(({ size }) => size)));
      const filled = new Map(
        [...new Set(this.places.map(({ decay }) => decay))].map((decay) => [
          decay,
          full([longest], decay / unit, { dtype, device }),
        ]),
      );
      const pieces = this.places.map(({ decay, size }) => {
        const block = filled.get(decay) ?? this.gap;
        const starts = Array.from({ length: Math.ceil(size / longest) }, (_, i) => i * longest);
        return this.padded(
          starts.map((start) => slice(block, [0], [Math.min(longest, size - start)])),
          size,
        );
      });
      return concat(pieces.flat(), 0);
    });
  }

  /** A vector of zeros [P]. */
  zeros(): Tensor {
    const { dtype, device } = this.gap;
    return zeros([this.size], { dtype, device });
  }

  /** The parameters in `vector` [P] as views. */
  views(vector: Tensor): Params {
    return Object.fromEntries(
      this.places.map(({ name, shape, start, size }) => [
        name,
        scope(() => reshape(slice(vector, [start], [start + size]), shape)),
      ]),
    );
  }

  /** The part of `vector` [P] in a section; itself if there is only one. */
  part(vector: Tensor, { start, end }: Section): Tensor {
    return this.sections.length === 1 ? vector : slice(vector, [start], [end]);
  }

  dispose(): void {
    this.gap.dispose();
  }

  /** Flat pieces of `size` elements together, and what fills the arena up to the next parameter. */
  private padded(pieces: Tensor[], size: number): Tensor[] {
    const rest = size % alignment;
    return rest > 0 ? [...pieces, slice(this.gap, [0], [alignment - rest])] : pieces;
  }
}

function checkGroups(owner: string, params: Params, groups: readonly ParameterGroup[]): void {
  groups.forEach(({ match, rateScale = 1, weightDecay = 0 }, index) => {
    const missing = typeof match === "function" ? [] : match.filter((name) => !Object.hasOwn(params, name));
    if (missing.length > 0)
      throw new ParameterError(
        `${owner}: group ${index} names ${JSON.stringify(missing)}, which are no parameters. Match by a predicate: (name) => name.endsWith(".bias").`,
      );
    for (const [name, value] of Object.entries({ rateScale, weightDecay })) {
      if (!(value >= 0 && Number.isFinite(value)))
        throw new ParameterError(
          `${owner}: ${name} of group ${index} is ${value}, expected a finite number ≥ 0. To keep its parameters as they are pass { frozen: true }.`,
        );
    }
  });
}

/** Settings of optimisers that are not just any finite number ≥ 0. */
const bounds: Readonly<Record<string, readonly [holds: (value: number) => boolean, expected: string]>> = {
  beta1: [(value) => value >= 0 && value < 1, "a number from 0 to below 1"],
  beta2: [(value) => value >= 0 && value < 1, "a number from 0 to below 1"],
  clipNorm: [(value) => value > 0, "a number above 0; for no clipping pass Infinity"],
};

/**
 * Checks the numbers among an optimiser's options.
 *
 * @throws ParameterError naming the first that makes no step
 */
export function checkSettings(owner: string, settings: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(settings)) {
    if (typeof value !== "number") continue;
    const [holds, expected] = bounds[name] ?? [
      (one: number) => one >= 0 && Number.isFinite(one),
      "a finite number ≥ 0",
    ];
    if (!holds(value)) throw new ParameterError(`${owner}: ${name} is ${value}, expected ${expected}.`);
  }
}

/**
 * Global norm ‖g‖ = √Σg² of a flat gradient [P], a scalar on the device.
 *
 * @example
 * ```ts
 * await globalNorm(tensor([3, 4])).item(); // → 5
 * ```
 */
export function globalNorm(flat: Tensor): Tensor {
  return scope(() => {
    const chunks = Array.from({ length: Math.max(1, Math.ceil(flat.size / normChunk)) }, (_, i) =>
      scope(() => sum(square(slice(flat, [i * normChunk], [Math.min(flat.size, (i + 1) * normChunk)])))),
    );
    return sqrt(chunks.reduce((a, b) => add(a, b)));
  });
}

/**
 * Factor that brings a gradient of norm `norm` down to `clip`: min(1, clip/(norm + 1e-6)), a scalar on the device.
 *
 * As in PyTorch's `clip_grad_norm_`. `clip` = Infinity gives 1.
 *
 * @example
 * ```ts
 * await clipScale(tensor(4), 1).item(); // → 0.25
 * await clipScale(tensor(0.5), 1).item(); // → 1
 * ```
 */
export function clipScale(norm: Tensor, clip: number): Tensor {
  if (clip === Number.POSITIVE_INFINITY) return ones([], { dtype: norm.dtype, device: norm.device }); // WGSL has no reliable infinities
  return scope(() => minimum(div(clip, add(norm, 1e-6)), 1));
}
