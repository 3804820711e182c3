/** What a model folder holds, and the loss that its gradients and trajectories are of. */
import {
  type Params,
  packSequences,
  type SafetensorsEntry,
  type TransformerConfig,
  tokenLogProbs,
} from "@pact/nn";
import { mean, neg, type Tensor } from "@pact/tensor";
import type { Context } from "./format.ts";

/** Losses and norms before each step, and the loss after the last. */
export type Course = { float64: Losses; float32?: Losses };

type Losses = { loss: number[]; gradNorm: number[]; finalLoss: number };

/** The parts of reference.json that are checked. */
export type Reference = {
  loss: number;
  optimizer: {
    lr: number;
    beta1: number;
    beta2: number;
    eps: number;
    weightDecay: number;
    decayed: string[];
    clipGlobalNorm?: number | null; // absent or null: no clipping
  };
  trajectory: Course;
  trajectoryClipPartlyActive?: Course & { clipGlobalNorm: number };
  finalParams?: { float64: Record<string, [sum: number, sumOfSquares: number]> };
  inputIds: number[][];
  greedy?: { prompt: number[]; tokens: number[] };
  packed?: { inputIds: number[][]; segments: number[][] };
  tree?: {
    inputIds: number[][];
    segments: number[][];
    weights: number[][];
    logProbs: number[][];
    loss: number;
  };
  lossBf16Weights?: number;
};

/** A loaded model folder. */
export type GoldenModel = {
  readonly context: Context;
  readonly config: TransformerConfig;
  readonly params: Params;
  readonly reference: Reference;
  readonly arrays: ReadonlyMap<string, SafetensorsEntry>;
};

/** Mean cross-entropy of token t + 1 from tokens ≤ t over all rows of a batch. */
export function batchLoss(config: TransformerConfig, params: Params, inputIds: number[][]): Tensor {
  const packed = packSequences(inputIds);
  const targets = packed.positions.map((position, i) => (position > 0 ? i : -1)).filter((i) => i >= 0);
  return neg(mean(tokenLogProbs(config, params, packed, targets)));
}
