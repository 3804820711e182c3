/**
 * The role of every token: who wrote it and what it is, one of six, never a bit.
 *
 * In a rollout the policy sampled exactly the tokens of role reasoning, call and answer (tags and the stop token
 * included): they are M(τ) of arXiv 2606.16215. Observations and template come from the environment and renderer.
 */

/**
 * Role names; a role's code is its index here.
 *
 * @example
 * ```ts
 * roles[4]; // → "observation"
 * ```
 */
export const roles = ["prompt", "reasoning", "call", "answer", "observation", "template"] as const;

/** Name of a token's role. */
export type Role = (typeof roles)[number];

/**
 * Code of a role as stored in `Uint8Array`s.
 *
 * @example
 * ```ts
 * roleCode.observation; // → 4
 * ```
 */
export const roleCode: { readonly [Name in Role]: number } = {
  prompt: 0,
  reasoning: 1,
  call: 2,
  answer: 3,
  observation: 4,
  template: 5,
};

/**
 * Whether tokens of a role are the policy's own in a rollout, that is in M(τ).
 *
 * @example
 * ```ts
 * [roleCode.call, roleCode.template].map(isSampled); // → [true, false]
 * ```
 */
export function isSampled(code: number): boolean {
  return code === roleCode.reasoning || code === roleCode.call || code === roleCode.answer;
}
