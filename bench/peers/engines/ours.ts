/** This engine, on the same cases as the others: the workloads of `npm run bench`. */
import {
  capture,
  init,
  layerNorm,
  matmul,
  ones,
  reshape,
  scope,
  softmax,
  type Tensor,
  tensor,
  zeros,
} from "@pact/tensor";
import { rawDevice } from "../../raw/device.ts";
import { greedy } from "../../workloads/decoding.ts";
import { batch, raggedLengths } from "../../workloads/model.ts";
import { geluChain } from "../../workloads/rows.ts";
import { additions } from "../../workloads/tiny.ts";
import { training } from "../../workloads/training.ts";
import { type CaseName, type Engine, type PeerCase, samplePlaces, seededNumbers, trained } from "../case.ts";

export async function engine(): Promise<Engine> {
  const device = await init({ device: "webgpu" });
  const gpu = await rawDevice();
  if (!gpu) throw new Error("There is no adapter.");
  const uploaded = async (seed: number, shape: [number, number] | [number]) => {
    return reshape(tensor(await seededNumbers(seed, shape), { device }), shape);
  };
  const applied = (apply: () => Tensor): PeerCase => ({
    async run() {
      const y = scope(apply);
      await device.synchronize();
      y.dispose();
    },
    async result() {
      const y = scope(apply);
      const values = await y.data();
      y.dispose();
      return samplePlaces(values.length).map((place) => Number(values[place]));
    },
  });
  const matmulCase = async (n: number) => {
    const [a, b] = [await uploaded(1, [n, n]), await uploaded(2, [n, n])];
    return applied(() => matmul(a, b));
  };
  const rowsCase = async (shape: [number, number], apply: (x: Tensor) => Tensor) => {
    const x = await uploaded(3, shape);
    const captured = capture(apply);
    return applied(() => captured(x));
  };
  const cases: Record<CaseName, () => Promise<PeerCase>> = {
    matmul512: () => matmulCase(512),
    matmul1024: () => matmulCase(1024),
    softmax: () => rowsCase([4096, 512], (x) => softmax(x)),
    async layerNorm() {
      const [gain, bias] = [ones([256], { device }), zeros([256], { device })];
      return rowsCase([4096, 256], (x) => layerNorm(x, gain, bias, { eps: 1e-5 }));
    },
    geluChain: () => rowsCase([1024, 1024], geluChain),
    trainingStep: async () => trained([training(device, "captured").stepOn(batch())], 7),
    async raggedPass() {
      const { stepOn } = training(device, "captured");
      const steps = raggedLengths.map((length) => stepOn(batch(length)));
      return trained(steps, steps.length);
    },
    async decoding() {
      const { decode } = greedy(device);
      let rows: number[][] = [];
      const run = async () => {
        rows = await decode();
      };
      return { run, result: async () => rows.flat() };
    },
    async tinyOperations() {
      const x = await uploaded(4, [256]);
      return applied(() => additions(x));
    },
  };
  return { gpu, prepare: (name) => cases[name]() };
}
