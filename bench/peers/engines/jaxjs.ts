/** jax-js on WebGPU. */
import {
  blockUntilReady,
  defaultDevice,
  getWebGPUDevice,
  init,
  type Array as Jax,
  jit,
  nn,
  numpy as np,
} from "@jax-js/jax";
import { adamW, batch, raggedLengths } from "../../workloads/model.ts";
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
import { decode } from "./jaxjs-decoding.ts";
import { type TrainingState, trainingStep, type Weights } from "./jaxjs-model.ts";

export async function engine(): Promise<Engine> {
  const devices = await init("webgpu");
  if (!devices.includes("webgpu")) throw new Error("jax-js found no WebGPU.");
  defaultDevice("webgpu");
  return { gpu: getWebGPUDevice(), prepare: (name) => cases[name]() };
}

const upload = (values: Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer>, shape: readonly number[]): Jax =>
  np.array(values, { dtype: values instanceof Int32Array ? np.int32 : np.float32 }).reshape([...shape]);

async function uploaded(seed: number, shape: readonly number[]): Promise<Jax> {
  const array = upload(await seededNumbers(seed, shape), shape);
  return await array.blockUntilReady();
}

/** A function of arrays that stay. */
async function applied(inputs: readonly Jax[], apply: (...inputs: Jax[]) => Jax): Promise<PeerCase> {
  const once = () => apply(...inputs.map((input) => input.ref));
  return {
    async run() {
      const y = once();
      await y.blockUntilReady();
      y.dispose();
    },
    async result() {
      const values = await once().data();
      return samplePlaces(values.length).map((place) => values[place]);
    },
  };
}

async function matmulCase(n: number): Promise<PeerCase> {
  const [a, b] = [await uploaded(1, [n, n]), await uploaded(2, [n, n])];
  return applied([a, b], jit((x: Jax, y: Jax) => np.matmul(x, y)) as (...inputs: Jax[]) => Jax);
}

async function rowsCase(shape: readonly number[], apply: (x: Jax) => Jax): Promise<PeerCase> {
  return applied([await uploaded(3, shape)], jit(apply) as (...inputs: Jax[]) => Jax);
}

function geluChain(x: Jax): Jax {
  const cube = x.ref.mul(x.ref).mul(x.ref);
  const inner = x.ref.add(cube.mul(0.044715)).mul(Math.sqrt(2 / Math.PI));
  return x.mul(0.5).mul(np.tanh(inner).add(1));
}

/** Training on batches by `step`, all from the same first weights. */
async function training() {
  const weights = await seededWeights();
  const made = (values: (name: string) => Float32Array<ArrayBuffer>): Weights =>
    Object.fromEntries(
      Object.entries(weights).map(([name, { shape }]) => [name, upload(values(name), shape)]),
    );
  const zeros = (name: string) => new Float32Array(weights[name].values.length);
  let state: TrainingState = {
    params: made((name) => weights[name].values),
    m: made(zeros),
    v: made(zeros),
  };
  await blockUntilReady(state);
  const step = jit(trainingStep);
  let steps = 0;
  return (rows: readonly (readonly number[])[]) => {
    const length = rows[0].length;
    const flat = Int32Array.from(rows.flat());
    const targets = flat.map((_, i) => (i % length === length - 1 ? 0 : flat[i + 1]));
    const share = 1 / (rows.length * (length - 1));
    const shares = Float32Array.from(flat, (_, i) => (i % length === length - 1 ? 0 : share));
    const [ids, next, kept] = [
      upload(flat, [flat.length]),
      upload(targets, [flat.length]),
      upload(shares, [flat.length]),
    ];
    return async (): Promise<number> => {
      steps++;
      const { beta1, beta2 } = adamW;
      const corrections = [beta1, beta2].map((beta) => upload(Float32Array.of(1 / (1 - beta ** steps)), []));
      const made = step(state, ids.ref, next.ref, kept.ref, corrections[0], corrections[1]);
      state = made.state as TrainingState;
      return (await (made.loss as Jax).data())[0];
    };
  };
}

const cases: Record<CaseName, () => Promise<PeerCase>> = {
  matmul512: () => matmulCase(512),
  matmul1024: () => matmulCase(1024),
  softmax: () => rowsCase([4096, 512], (x) => nn.softmax(x, -1)),
  async layerNorm() {
    const [gain, bias] = [np.ones([256]), np.zeros([256])];
    const apply = jit((x: Jax, g: Jax, b: Jax) => nn.standardize(x, -1, { epsilon: 1e-5 }).mul(g).add(b));
    return applied([await uploaded(3, [4096, 256]), gain, bias], apply as (...inputs: Jax[]) => Jax);
  },
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
    const weights = Object.entries(await seededWeights());
    const params = Object.fromEntries(
      weights.map(([name, { shape, values }]) => [name, upload(values, shape)]),
    );
    await blockUntilReady(params);
    let tokens: number[] = [];
    const run = async () => {
      tokens = await decode(params);
    };
    return { run, result: async () => tokens };
  },
  async tinyOperations() {
    const x = await uploaded(4, [256]);
    return applied([x], (input) => {
      let sum = input;
      for (let i = 0; i < tinyCount; i++) sum = sum.add(1);
      return sum;
    });
  },
};
