/**
 * What is measured. Each workload prepares its data once and returns a function that does one unit of work and waits
 * for the device. W1, W3 and W6 have the sizes of the comparison with other engines.
 */
import { AdamW, configFromJson, initParams, type Params, packSequences, tokenLogProbs } from "@pact/nn";
import {
  add,
  type Device,
  key,
  matmul,
  mean,
  neg,
  randomNormal,
  scope,
  type Tensor,
  valueAndGrad,
  zeros,
} from "@pact/tensor";

export interface Workload {
  readonly name: string;
  readonly description: string;
  /** What one run is worth, for derived figures. */
  readonly unit: { readonly name: string; readonly amount: number };
  prepare(device: Device): () => Promise<void>;
}

async function wait(t: Tensor): Promise<void> {
  await t.device.synchronize();
  t.dispose();
}

function matmulOf(n: number): Workload {
  return {
    name: n === 512 ? "W1-512" : "W1-1024",
    description: `matmul ${n}×${n}×${n}, f32`,
    unit: { name: "GFLOP", amount: (2 * n ** 3) / 1e9 },
    prepare(device) {
      const [a, b] = [1, 2].map((seed) => randomNormal(key(seed), [n, n], { device }));
      return () => wait(matmul(a, b));
    },
  };
}

const trainingStep: Workload = {
  name: "W3",
  description: "GPT training step: V 128, D 128, H 4, L 4, F 512, T 128, B 8, AdamW",
  unit: { name: "tokens", amount: 1024 },
  prepare(device) {
    const config = configFromJson({
      model_type: "gpt",
      vocab_size: 128,
      hidden_size: 128,
      num_hidden_layers: 4,
      num_attention_heads: 4,
      intermediate_size: 512,
      max_position_embeddings: 128,
      activation_function: "gelu_tanh",
      layer_norm_eps: 1e-5,
      tie_word_embeddings: true,
    });
    const optimizer = new AdamW(initParams(config, key(0), { device }));
    const rows = Array.from({ length: 8 }, (_, b) =>
      Array.from({ length: 128 }, (_, t) => (7 * b + t * t) % 128),
    );
    const packed = packSequences(rows);
    const targets = Int32Array.from(packed.ids.keys()).filter((i) => i % 128 !== 0);
    const gradient = valueAndGrad((p: Params) => neg(mean(tokenLogProbs(config, p, packed, targets))));
    return async () => {
      const loss = scope(() => {
        const { value, grads } = gradient(optimizer.params);
        optimizer.step(grads, 1e-3);
        return value;
      });
      await loss.item();
      loss.dispose();
    };
  },
};

const tinyOperations: Workload = {
  name: "W6",
  description: "1000 additions of 256 numbers, one after another",
  unit: { name: "operations", amount: 1000 },
  prepare(device) {
    const one = zeros([256], { device });
    return () =>
      wait(
        scope(() => {
          let x = one;
          for (let i = 0; i < 1000; i++) x = add(x, one);
          return x;
        }),
      );
  },
};

export const workloads: readonly Workload[] = [matmulOf(512), matmulOf(1024), trainingStep, tinyOperations];
