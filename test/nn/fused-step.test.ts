/** A training step of a small GPT, captured: how few operations are left of it, and that it has the same bits. */
import { AdamW, configFromJson, initParams, type Params, packSequences, tokenLogProbs } from "@pact/nn";
import { capture, key, mean, neg, setDefaultDevice, type Tensor, valueAndGrad } from "@pact/tensor";
import { expect, test } from "vitest";
import { reference as device } from "../helpers/properties.ts";

setDefaultDevice(device);

const config = configFromJson({
  model_type: "gpt",
  vocab_size: 16,
  hidden_size: 8,
  num_hidden_layers: 4,
  num_attention_heads: 2,
  intermediate_size: 16,
  max_position_embeddings: 16,
  activation_function: "gelu_tanh",
  layer_norm_eps: 1e-5,
  tie_word_embeddings: false,
});

/** Four packed rows of 16 tokens; each predicts all of its tokens but the first. */
const packed = packSequences(
  Array.from({ length: 4 }, (_, r) => Array.from({ length: 16 }, (_, t) => (r + t * t) % 16)),
);
const targets = Int32Array.from(packed.ids.keys()).filter((i) => i % 16 > 0);

function trainer() {
  const optimizer = new AdamW(initParams(config, key(0), { device }));
  const gradient = valueAndGrad((p: Params) => neg(mean(tokenLogProbs(config, p, packed, targets))));
  return (): Tensor => {
    const { value, grads } = gradient(optimizer.params);
    optimizer.step(grads, 1e-2);
    return value;
  };
}

test("a step of four layers is at most 140 operations, and learns bit for bit as without fusion", async () => {
  const losses = async (fuse: boolean) => {
    using step = capture(trainer(), { fuse });
    const values: number[] = [];
    let dispatches = 0;
    for (let i = 0; i < 3; i++) {
      const before = device.stats().dispatches;
      const loss = step();
      dispatches = device.stats().dispatches - before;
      values.push(await loss.item());
    }
    return { values, dispatches };
  };
  const [fused, plain] = [await losses(true), await losses(false)];
  expect(fused.values).toEqual(plain.values);
  expect(plain.dispatches).toBeGreaterThan(250);
  expect(fused.dispatches).toBeLessThanOrEqual(140);
});
