/** The workloads in order. */
import { decodingTokens } from "./decoding.ts";
import { matmuls } from "./matmul.ts";
import { pactStep } from "./pact-step.ts";
import { raggedSteps } from "./ragged.ts";
import { rows } from "./rows.ts";
import { tinyOperations } from "./tiny.ts";
import { trainingMemory, trainingStep } from "./training.ts";
import type { Workload } from "./workload.ts";

export const workloads: readonly Workload[] = [
  matmuls,
  rows,
  trainingStep,
  raggedSteps,
  decodingTokens,
  tinyOperations,
  pactStep,
  trainingMemory,
];
