/** The cpu device for tests, made once, and tiny models on it. */
import { initParams, type TransformerConfig } from "@pact/nn";
import { createDevice, type Device, key, setDefaultDevice } from "@pact/tensor";
import type { Model } from "../../packages/pact/src/model.ts";
import { testVocabulary } from "./codec.ts";

let device: Promise<Device> | undefined;

/** The cpu device, also the default one from then on. */
export async function cpuDevice(): Promise<Device> {
  device ??= createDevice({ device: "cpu" }).then((made) => {
    setDefaultDevice(made);
    return made;
  });
  return device;
}

/** A one-layer model over the test vocabulary in f64; sizes are distinct primes where they may be. */
export async function tinyModel(seed = 0): Promise<Model> {
  const config: TransformerConfig = {
    modelType: "qwen3",
    vocabSize: testVocabulary,
    hiddenSize: 7,
    numLayers: 1,
    numHeads: 2,
    numKvHeads: 1,
    headSize: 4,
    intermediateSize: 11,
    maxPositions: 2048,
    normEps: 1e-6,
    ropeTheta: 1e4,
    tieWordEmbeddings: true,
  };
  return { config, params: initParams(config, key(seed), { device: await cpuDevice(), dtype: "f64" }) };
}
