/**
 * What every engine of the comparison does: the same cases on the same numbers. A case is one thing that is timed; its
 * result is compared between the engines, so that no time is reported of something that was not computed.
 */
import { initParams } from "@pact/nn";
import { concat, createDevice, key, randomNormal } from "@pact/tensor";
import { gpt } from "../workloads/model.ts";

/** One unit of work of an engine, prepared. */
export interface PeerCase {
  /** Does it once and waits until the device has done it. */
  run(): Promise<void>;
  /** Numbers that say whether it is right: the same of every engine. */
  result(): Promise<readonly number[]>;
}

/** One engine in a process of its own. */
export interface Engine {
  /** The device it computes on, whose calls are counted. */
  readonly gpu: GPUDevice;
  /** Uploads what a case needs. */
  prepare(name: CaseName): Promise<PeerCase>;
}

/** The engines, in the order in which they take their turns: names in results. */
export const engineNames = ["ours", "jaxjs", "tfjs"] as const;

export type EngineName = (typeof engineNames)[number];

/** The workloads of the comparison and their cases. */
export const peerWorkloads = {
  W1: ["matmul512", "matmul1024"],
  W2: ["softmax", "layerNorm", "geluChain"],
  W3: ["trainingStep"],
  W4: ["raggedPass"],
  W5: ["decoding"],
  W6: ["tinyOperations"],
} as const;

export type WorkloadName = keyof typeof peerWorkloads;
export type CaseName = (typeof peerWorkloads)[WorkloadName][number];

/** Operations of W6, one after another. */
export const tinyCount = 1000;

/** Numbers N(0, 1) of a shape: the same in every engine. */
export async function seededNumbers(
  seed: number,
  shape: readonly number[],
): Promise<Float32Array<ArrayBuffer>> {
  const device = await createDevice({ device: "cpu" });
  const numbers = await randomNormal(key(seed), shape, { device }).data();
  device.destroy();
  return numbers as Float32Array<ArrayBuffer>;
}

/** A weight of the model, flat. */
export interface Weight {
  readonly shape: number[];
  readonly values: Float32Array<ArrayBuffer>;
}

/**
 * The first weights of the model by name, the same in every engine. Query, key and value projections of a layer are one
 * weight `attn.qkv_proj`, as a user of the other engines would write it: fewer and larger products.
 */
export async function seededWeights(): Promise<Record<string, Weight>> {
  const device = await createDevice({ device: "cpu" });
  const params = initParams(gpt(), key(0), { device });
  const weights: Record<string, Weight> = {};
  const parts = (name: string) => ["q", "k", "v"].map((part) => name.replace("q_proj", `${part}_proj`));
  for (const [name, tensor] of Object.entries(params)) {
    if (/[kv]_proj/.test(name)) continue;
    const joined = name.includes("q_proj");
    const sources = joined ? concat(parts(name).map((part) => params[part])) : tensor;
    weights[name.replace("q_proj", "qkv_proj")] = {
      shape: [...sources.shape],
      values: (await sources.data()) as Float32Array<ArrayBuffer>,
    };
  }
  device.destroy();
  return weights;
}

/** Places of a result that is too large to send: 64 of `size`, spread. */
export function samplePlaces(size: number): number[] {
  return Array.from({ length: 64 }, (_, i) => (i * 7919 + 13) % size);
}

/** A case of training: runs all `steps`, and keeps the losses of the first `kept` steps. */
export function trained(steps: readonly (() => Promise<number>)[], kept: number): PeerCase {
  const losses: number[] = [];
  const run = async () => {
    for (const step of steps) losses.push(await step());
  };
  return { run, result: async () => losses.slice(0, kept) };
}
