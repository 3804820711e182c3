/** TensorFlow.js on WebGPU. */
import * as tf from "@tensorflow/tfjs";
import { WebGPUBackend } from "@tensorflow/tfjs-backend-webgpu";
import { batch, raggedLengths } from "../../workloads/model.ts";
import {
  type CaseName,
  type Engine,
  type PeerCase,
  samplePlaces,
  seededNumbers,
  seededWeights,
  tinyCount,
  trained,
} from "../case.ts";
import { decode } from "./tfjs-decoding.ts";
import { causalMask, type TrainingState, trainingStep, type Weights } from "./tfjs-model.ts";

export async function engine(): Promise<Engine> {
  // Else it computes small tensors in JavaScript as long as their numbers are there.
  tf.env().set("WEBGPU_CPU_FORWARD", false);
  if (!(await tf.setBackend("webgpu"))) throw new Error("TensorFlow.js found no WebGPU.");
  await tf.ready();
  return { gpu: backend().device, prepare: (name) => cases[name]() };
}

function backend(): WebGPUBackend {
  const found = tf.backend();
  if (found instanceof WebGPUBackend) return found;
  throw new Error("TensorFlow.js does not compute on WebGPU.");
}

async function finished(): Promise<void> {
  const webgpu = backend();
  webgpu.ensureCommandEncoderReady();
  webgpu.endComputePassEncoder();
  webgpu.submitQueue();
  await webgpu.queue.onSubmittedWorkDone();
}

async function uploaded(seed: number, shape: [number, number] | [number]): Promise<tf.Tensor> {
  return tf.tensor(await seededNumbers(seed, shape), shape);
}

function applied(apply: () => tf.Tensor): PeerCase {
  return {
    async run() {
      const y = tf.tidy(apply);
      await finished();
      y.dispose();
    },
    async result() {
      const y = tf.tidy(apply);
      const values = await y.data();
      y.dispose();
      return samplePlaces(values.length).map((place) => values[place]);
    },
  };
}

async function matmulCase(n: number): Promise<PeerCase> {
  const [a, b] = [await uploaded(1, [n, n]), await uploaded(2, [n, n])];
  return applied(() => tf.matMul(a, b));
}

async function rowsCase(shape: [number, number], apply: (x: tf.Tensor) => tf.Tensor): Promise<PeerCase> {
  const x = await uploaded(3, shape);
  return applied(() => apply(x));
}

function geluChain(x: tf.Tensor): tf.Tensor {
  const cube = x.mul(x).mul(x);
  const inner = x.add(cube.mul(0.044715)).mul(Math.sqrt(2 / Math.PI));
  return x.mul(0.5).mul(inner.tanh().add(1));
}

async function layerNormCase(): Promise<PeerCase> {
  const [gain, bias] = [tf.ones([256]), tf.zeros([256])];
  return rowsCase([4096, 256], (x) => {
    const { mean, variance } = tf.moments(x, -1, true);
    return x.sub(mean).mul(variance.add(1e-5).rsqrt()).mul(gain).add(bias);
  });
}

/** Training on batches by `step`, all from the same first weights. */
async function training() {
  const weights = Object.entries(await seededWeights());
  const made = (values: (flat: Float32Array) => Float32Array): Weights =>
    Object.fromEntries(
      weights.map(([name, { shape, values: flat }]) => [name, tf.variable(tf.tensor(values(flat), shape))]),
    );
  const zeros = (flat: Float32Array) => new Float32Array(flat.length);
  const state: TrainingState = { params: made((flat) => flat), m: made(zeros), v: made(zeros) };
  let steps = 0;
  return (rows: readonly (readonly number[])[]) => {
    const length = rows[0].length;
    const flat = Int32Array.from(rows.flat());
    const last = (i: number) => i % length === length - 1;
    const share = 1 / (rows.length * (length - 1));
    const prepared = {
      ids: tf.tensor1d(flat, "int32"),
      targets: tf.tensor1d(
        flat.map((_, i) => (last(i) ? 0 : flat[i + 1])),
        "int32",
      ),
      weights: tf.tensor1d(Float32Array.from(flat, (_, i) => (last(i) ? 0 : share))),
      mask: causalMask(length),
      rows: rows.length,
    };
    return async (): Promise<number> => {
      steps++;
      const loss = trainingStep(state, prepared, steps);
      const [value] = await loss.data(); // whatever was asked for before is done before
      loss.dispose();
      return value;
    };
  };
}

const cases: Record<CaseName, () => Promise<PeerCase>> = {
  matmul512: () => matmulCase(512),
  matmul1024: () => matmulCase(1024),
  softmax: () => rowsCase([4096, 512], (x) => tf.softmax(x)),
  layerNorm: layerNormCase,
  geluChain: () => rowsCase([1024, 1024], geluChain),
  trainingStep: async () => trained([(await training())(batch())], 7),
  async raggedPass() {
    const prepare = await training();
    return trained(
      raggedLengths.map((length) => prepare(batch(length))),
      raggedLengths.length,
    );
  },
  async decoding() {
    const params: Weights = {};
    for (const [name, { shape, values }] of Object.entries(await seededWeights()))
      params[name] = tf.variable(tf.tensor(values, shape));
    let tokens: number[] = [];
    const run = async () => {
      tokens = await decode(params);
    };
    return { run, result: async () => tokens };
  },
  async tinyOperations() {
    const x = await uploaded(4, [256]);
    return applied(() => {
      let sum = x;
      for (let i = 0; i < tinyCount; i++) sum = sum.add(1);
      return sum;
    });
  },
};
