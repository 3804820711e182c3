/** Typed errors of @pact/pact; all extend tensor's `PactError` and end with what to do. */
import { PactError } from "@pact/tensor";

/**
 * A training option that is unknown, out of range, or contradicts another.
 *
 * @example
 * ```ts
 * policyLoss("ppo"); // → throws ConfigError
 * ```
 */
export class ConfigError extends PactError {
  /** The option that would change nothing under the method and the other options, if that is what is wrong. */
  readonly withoutEffect: string | undefined;

  constructor(message: string, withoutEffect?: string) {
    super("config", message);
    this.withoutEffect = withoutEffect;
  }
}

/**
 * Weights that can not be assigned one to one.
 *
 * @example
 * ```ts
 * optimalAssignment([[Number.NaN]]); // → throws AssignmentError
 * ```
 */
export class AssignmentError extends PactError {
  constructor(message: string) {
    super("assignment", message);
  }
}

/**
 * A reward that is not defined for its inputs.
 *
 * @example
 * ```ts
 * turnRewards([], [], "", { unmatchedPenalty: -1 }); // → throws RewardError
 * ```
 */
export class RewardError extends PactError {
  constructor(message: string) {
    super("reward", message);
  }
}

/**
 * Rewards or groups that do not fit together.
 *
 * @example
 * ```ts
 * groupAdvantages([1, 0], [0]); // → throws AdvantageError
 * ```
 */
export class AdvantageError extends PactError {
  constructor(message: string) {
    super("advantage", message);
  }
}

/**
 * Messages, traces or token ids that can not be rendered.
 *
 * @example
 * ```ts
 * const tool: ToolDefinition = { type: "function", function: { name: "f", description: "", parameters: {} } };
 * toolList([tool, tool]); // → throws RenderError
 * ```
 */
export class RenderError extends PactError {
  constructor(message: string) {
    super("render", message);
  }
}

/**
 * A context longer than the configured limit; contexts are never cut silently.
 *
 * @example
 * ```ts
 * new ContextLengthError("too long").code; // → "context-length"
 * ```
 */
export class ContextLengthError extends PactError {
  constructor(message: string) {
    super("context-length", message);
  }
}

/**
 * A policy or environment that broke the rollout protocol.
 *
 * @example
 * ```ts
 * new RolloutError("two traces").code; // → "rollout"
 * ```
 */
export class RolloutError extends PactError {
  constructor(message: string) {
    super("rollout", message);
  }
}

/**
 * A training batch without anything to train, or with inconsistent parts.
 *
 * @example
 * ```ts
 * rolloutTokenWeights([-1], 1); // → throws BatchError
 * ```
 */
export class BatchError extends PactError {
  constructor(message: string) {
    super("batch", message);
  }
}

/**
 * A loss or gradient that is NaN or infinite; training stops instead of writing it into the parameters.
 *
 * @example
 * ```ts
 * frozenRatio([Number.NaN], [0]); // → throws NonFiniteError
 * ```
 */
export class NonFiniteError extends PactError {
  constructor(message: string) {
    super("non-finite", message);
  }
}

/** A checkpoint that is damaged, of another format, or of another run. */
export class CheckpointError extends PactError {
  constructor(message: string) {
    super("checkpoint", message);
  }
}

/** A rollout whose loss can not be taken apart: it is not in the run, or the run lacks what its loss came from. */
export class ExplainError extends PactError {
  constructor(message: string) {
    super("explain", message);
  }
}
