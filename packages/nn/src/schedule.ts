/**
 * Learning-rate schedules as pure functions of the step: constant, linear and cosine decay, each after an optional
 * linear warm-up. Cosine: Loshchilov & Hutter, arXiv 1608.03983 eq. 5, one period. Left out: restarts.
 *
 * Step s runs from 0. During warm-up of w steps the rate is peak · (s + 1)/w, so the first step already moves; then
 * with progress p = min(1, (s − w)/(steps − w)) it goes from peak to floor = peak · finalFraction.
 */
import { ValueError } from "@pact/tensor";

/** A schedule: the learning rate of step `s` (0-based). */
export type Schedule = (step: number) => number;

/** What every schedule takes. */
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
 * Constant learning rate after warm-up.
 *
 * @throws ValueError if `peak` or `warmup` is negative or not finite
 * @example constantSchedule({ peak: 1e-3, warmup: 10 })(0); // 1e-4
 */
export function constantSchedule({ peak, warmup = 0 }: ScheduleOptions): Schedule {
  check({ peak, warmup });
  return (step) => peak * warmupFactor(step, warmup);
}

/**
 * Linear decay after warm-up: peak · (1 − (1 − finalFraction) · p).
 *
 * @throws ValueError if a number is negative or not finite, or `steps` is not above `warmup`
 * @example linearSchedule({ peak: 1e-3, steps: 100 })(50); // 5e-4
 */
export function linearSchedule(options: DecayOptions): Schedule {
  return decaySchedule(options, (progress) => 1 - progress);
}

/**
 * Cosine decay after warm-up: peak · (finalFraction + (1 − finalFraction) · (1 + cos πp)/2).
 *
 * @throws ValueError if a number is negative or not finite, or `steps` is not above `warmup`
 * @example cosineSchedule({ peak: 1e-3, steps: 100, warmup: 10, finalFraction: 0.1 })(100); // 1e-4
 */
export function cosineSchedule(options: DecayOptions): Schedule {
  return decaySchedule(options, (progress) => (1 + Math.cos(Math.PI * progress)) / 2);
}

function decaySchedule(options: DecayOptions, shape: (progress: number) => number): Schedule {
  const { peak, steps, warmup = 0, finalFraction = 0 } = options;
  check({ peak, warmup, steps, finalFraction });
  if (steps <= warmup)
    throw new ValueError(`schedule: steps (${steps}) must be above warmup (${warmup}); lower the warm-up.`);
  return (step) => {
    if (step < warmup) return peak * warmupFactor(step, warmup);
    const progress = Math.min(1, (step - warmup) / (steps - warmup));
    return peak * (finalFraction + (1 - finalFraction) * shape(progress));
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
