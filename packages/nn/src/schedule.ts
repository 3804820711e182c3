/**
 * Learning-rate schedules as pure functions of the step: constant, linear and cosine decay, and warm-up–stable–decay,
 * each after an optional linear warm-up. Cosine: Loshchilov & Hutter, arXiv 1608.03983 eq. 5, one period; WSD: Hu et al.,
 * arXiv 2404.06395 §4. Left out: restarts.
 *
 * Step s runs from 0. During warm-up of w steps the rate is peak · (s + 1)/w, so the first step already moves; then
 * with progress p = min(1, (s − w)/(steps − w)) it goes from peak to floor = peak · finalFraction.
 */
import { ValueError } from "@pact/tensor";

/** A schedule: the learning rate of step `s` (0-based). */
export type Schedule = (step: number) => number;

/** What every schedule takes. Rates are per step, steps are counted from 0. */
export type ScheduleOptions = {
  /** Highest learning rate. */
  readonly peak: number;
  /** Steps of linear warm-up before it; default 0. */
  readonly warmup?: number;
};

/** What a decaying schedule takes besides. */
export type DecayOptions = ScheduleOptions & {
  /** Step at which the decay ends; later steps stay at the floor. */
  readonly steps: number;
  /** Final rate as a fraction of the peak; default 0. */
  readonly finalFraction?: number;
};

/**
 * Constant learning rate after warm-up: peak · min(1, (s + 1)/warmup).
 *
 * @throws ValueError if `peak` or `warmup` is negative or not finite
 * @example
 * ```ts
 * const rate = constantSchedule({ peak: 0.1, warmup: 10 });
 * [rate(0), rate(4), rate(10)]; // → [0.01, 0.05, 0.1]
 * ```
 */
export function constantSchedule({ peak, warmup = 0 }: ScheduleOptions): Schedule {
  check({ peak, warmup });
  return (step) => peak * warmupFactor(step, warmup);
}

/**
 * Linear decay after warm-up: peak · (1 − (1 − finalFraction) · p).
 *
 * @throws ValueError if a number is negative or not finite, or `steps` is not above `warmup`
 * @example
 * ```ts
 * const rate = linearSchedule({ peak: 0.1, steps: 100 });
 * [rate(0), rate(50), rate(100)]; // → [0.1, 0.05, 0]
 * linearSchedule({ peak: 0.1, steps: 10, warmup: 10 }); // → throws ValueError
 * ```
 */
export function linearSchedule(options: DecayOptions): Schedule {
  return decaySchedule(options, (progress) => 1 - progress);
}

/**
 * Cosine decay after warm-up: peak · (finalFraction + (1 − finalFraction) · (1 + cos πp)/2).
 *
 * @throws ValueError if a number is negative or not finite, or `steps` is not above `warmup`
 * @example
 * ```ts
 * const rate = cosineSchedule({ peak: 0.1, steps: 110, warmup: 10, finalFraction: 0.1 });
 * [rate(0), rate(10), rate(60), rate(110)]; // → [0.01, 0.1, 0.055, 0.01]
 * ```
 */
export function cosineSchedule(options: DecayOptions): Schedule {
  return decaySchedule(options, (progress) => (1 + Math.cos(Math.PI * progress)) / 2);
}

/** What a schedule takes that stays at its peak and decays at the end. */
export type WsdOptions = DecayOptions & {
  /** Steps of decay, the last before `steps`. */
  readonly decay: number;
  /** How it decays with progress p: `linear` 1 − p (default), or `sqrt` 1 − √p (Hägele et al., arXiv 2405.18392 §3). */
  readonly shape?: "linear" | "sqrt";
};

/**
 * Warm-up, stable, decay: the peak until step steps − decay, then down to the floor: with q the progress of the decay,
 * peak · (finalFraction + (1 − finalFraction) · (1 − q)).
 *
 * @throws ValueError if a number is negative or not finite, or warm-up and decay exceed `steps`
 * @example
 * ```ts
 * const rate = wsdSchedule({ peak: 0.1, steps: 100, warmup: 10, decay: 20 });
 * [rate(0), rate(50), rate(80), rate(90), rate(100)]; // → [0.01, 0.1, 0.1, 0.05, 0]
 * wsdSchedule({ peak: 0.1, steps: 10, decay: 11 }); // → throws ValueError
 * ```
 */
export function wsdSchedule({ decay, shape = "linear", ...options }: WsdOptions): Schedule {
  const { steps, warmup = 0 } = options;
  check({ decay });
  if (!(decay > 0 && decay + warmup <= steps))
    throw new ValueError(
      `schedule: decay (${decay}) and warmup (${warmup}) must fit into steps (${steps}), and decay be above 0; shorten one.`,
    );
  return decaySchedule(options, (_progress, step) => {
    const done = Math.min(1, Math.max(0, (step - (steps - decay)) / decay));
    return 1 - (shape === "sqrt" ? Math.sqrt(done) : done);
  });
}

function decaySchedule(options: DecayOptions, shape: (progress: number, step: number) => number): Schedule {
  const { peak, steps, warmup = 0, finalFraction = 0 } = options;
  check({ peak, warmup, steps, finalFraction });
  if (finalFraction > 1)
    throw new ValueError(
      `schedule: finalFraction is ${finalFraction}, expected at most 1; raise the peak instead.`,
    );
  if (steps <= warmup)
    throw new ValueError(`schedule: steps (${steps}) must be above warmup (${warmup}); lower the warm-up.`);
  return (step) => {
    if (step < warmup) return peak * warmupFactor(step, warmup);
    const progress = Math.min(1, (step - warmup) / (steps - warmup));
    return peak * (finalFraction + (1 - finalFraction) * shape(progress, step));
  };
}

function warmupFactor(step: number, warmup: number): number {
  return step < warmup ? (step + 1) / warmup : 1;
}

function check(values: Record<string, number>): void {
  for (const [name, value] of Object.entries(values)) {
    if (!(value >= 0 && Number.isFinite(value)))
      throw new ValueError(`schedule: ${name} must be a finite number ≥ 0, received ${value}.`);
  }
}
