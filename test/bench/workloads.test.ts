/** Each workload at a small size on the cpu device: it computes what it says, and its check notices what is wrong. */
import { configFromJson } from "@pact/nn";
import { createDevice, key, mul, randomNormal, setDefaultDevice, type Tensor, zeros } from "@pact/tensor";
import { describe, expect, test } from "vitest";
import { checkGreedy, greedy } from "../../bench/workloads/decoding.ts";
import { workloads } from "../../bench/workloads/index.ts";
import { checkProduct, product } from "../../bench/workloads/matmul.ts";
import { batch, raggedLengths } from "../../bench/workloads/model.ts";
import { checkSame, stepper } from "../../bench/workloads/pact-step.ts";
import { checkRows, rowOperations } from "../../bench/workloads/rows.ts";
import { additions } from "../../bench/workloads/tiny.ts";
import { training } from "../../bench/workloads/training.ts";
import { WrongResult } from "../../bench/workloads/workload.ts";

const device = await createDevice({ device: "cpu" });
setDefaultDevice(device);

/** The GPT of the workloads, narrow and with one layer. */
const config = configFromJson({
  model_type: "gpt",
  vocab_size: 128,
  hidden_size: 8,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  intermediate_size: 16,
  max_position_embeddings: 64,
  activation_function: "gelu_tanh",
  layer_norm_eps: 1e-5,
  tie_word_embeddings: false,
});

test("there are W1 to W8", () => {
  expect(workloads.map(({ name }) => name)).toEqual(["W1", "W2", "W3", "W4", "W5", "W6", "W7", "W8"]);
});

test("W1: a product, and one wrong entry", async () => {
  const { a, b, work } = product(device, 12);
  await work();
  const [left, right] = [await a.data(), await b.data()];
  const result = Array.from({ length: 144 }, (_, at) => {
    let sum = 0;
    for (let k = 0; k < 12; k++) sum += left[12 * Math.floor(at / 12) + k] * right[12 * k + (at % 12)];
    return sum;
  });
  checkProduct(12, left, right, result);
  result[1] += 1;
  expect(() => checkProduct(12, left, right, result)).toThrow(WrongResult);
});

describe("W2", () => {
  test.each(Object.entries(rowOperations(device)))("%s", async (name, operation) => {
    const small = { ...operation, shape: [5, operation.shape[1]] as const };
    const x = randomNormal(key(3), small.shape, { device });
    await checkRows(name, small, x);
    const wrong = { ...small, apply: (given: Tensor) => mul(small.apply(given), 1.001) };
    await expect(checkRows(name, wrong, x)).rejects.toThrow(WrongResult);
  });
});

describe("W3 and W4", () => {
  test("captured steps give the losses of eager ones, and learn", async () => {
    const losses = async (way: "eager" | "captured") => {
      const step = training(device, way, config).stepOn(batch(8));
      const made: number[] = [];
      for (let i = 0; i < 4; i++) made.push(await step());
      return made;
    };
    const eager = await losses("eager");
    expect(eager[0]).toBeCloseTo(Math.log(128), 1);
    expect(eager[3]).toBeLessThan(eager[0]);
    for (const [i, loss] of (await losses("captured")).entries()) expect(loss).toBeCloseTo(eager[i], 5);
  });

  test("16 lengths from 64 to 128", () => {
    expect(raggedLengths).toHaveLength(16);
    expect(new Set(raggedLengths).size).toBe(16);
    expect([Math.min(...raggedLengths), Math.max(...raggedLengths)]).toEqual([64, 128]);
  });
});

test("W5: the likeliest tokens, and another one", async () => {
  const decoding = { prompts: batch(6), newTokens: 5 };
  const { model, decode } = greedy(device, config, decoding);
  const rows = await decode();
  expect(rows.map((row) => row.length)).toEqual(Array(8).fill(5));
  await checkGreedy(model, decoding.prompts, rows);
  rows[3][2] = (rows[3][2] + 1) % 128;
  await expect(checkGreedy(model, decoding.prompts, rows)).rejects.toThrow(WrongResult);
});

test("W6: as many additions as asked for", async () => {
  const sum = additions(zeros([256], { device }), 20);
  expect([...new Set(await sum.data())]).toEqual([20]);
});

test("W7: packed and one by one are one loss with one gradient, of fewer tokens", async () => {
  const sizes = { prompt: 7, trace: 5, rollouts: 3, rollout: 4 };
  const [packed, single] = [true, false].map((pack) => stepper(device, pack, sizes, config));
  expect([packed.tokens, single.tokens]).toEqual([7 + 5 + 3 * 4, 7 + 5 + 3 * (7 + 5 + 4)]);
  const [one, other] = [await packed.gradient(), await single.gradient()];
  await checkSame(one, other);
  await expect(checkSame(one, { ...other, loss: other.loss * 1.001 })).rejects.toThrow(WrongResult);
  await packed.step();
});
