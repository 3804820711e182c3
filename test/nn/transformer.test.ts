import {
  forwardHidden,
  InputError,
  logits,
  type Packed,
  ParameterError,
  packSequences,
  packTree,
  predecessors,
  targetLogits,
  tokenLogProbs,
} from "@pact/nn";
import { createDevice, gradcheck, logSoftmax, mul, sum, type Tensor, tensor } from "@pact/tensor";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { models as configurations, randomParams } from "./models.ts";

const device = await createDevice({ device: "cpu" });
const models = configurations.map((model) => ({ ...model, params: randomParams(model.config, device) }));

const tokens = fc.array(fc.nat(22), { minLength: 1, maxLength: 6 });

describe.each(models)("$name", ({ config, params }) => {
  const scoresOf = async (packed: Packed) => {
    const scores = logits(config, params, forwardHidden(config, params, packed));
    expect(scores.shape).toEqual([packed.ids.length, config.vocabSize]);
    return scores.data();
  };
  const rows = (data: ArrayLike<number>, from: number, count: number) =>
    Array.from(data).slice(from * config.vocabSize, (from + count) * config.vocabSize);

  it("a packed row equals its sequences one at a time", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(tokens, { minLength: 1, maxLength: 3 }), async (lists) => {
        const together = await scoresOf(packSequences(lists));
        let start = 0;
        for (const list of lists) {
          const alone = await scoresOf(packSequences([list]));
          expectClose(rows(together, start, list.length), alone);
          start += list.length;
        }
      }),
      { numRuns: 15 },
    );
  });

  it("a prefix tree equals prefix and branch as one sequence", async () => {
    const branches = fc.array(tokens, { minLength: 1, maxLength: 3 });
    await fc.assert(
      fc.asyncProperty(tokens, branches, async (prefix, list) => {
        const tree = await scoresOf(packTree({ prefix, branches: list }));
        let start = prefix.length;
        for (const branch of list) {
          const alone = await scoresOf(packSequences([[...prefix, ...branch]]));
          expectClose(rows(tree, start, branch.length), rows(alone, prefix.length, branch.length));
          expectClose(rows(tree, 0, prefix.length), rows(alone, 0, prefix.length));
          start += branch.length;
        }
      }),
      { numRuns: 15 },
    );
  });

  it("tokenLogProbs equals log-softmax of all logits, gathered at the predecessors", async () => {
    const packed = packTree({
      prefix: [3, 1, 4],
      branches: [
        [1, 5],
        [9, 2, 6],
      ],
    });
    const before = predecessors(packed);
    const targets = Int32Array.of(7, 3, 1, 5); // any order, first tokens of branches included
    const all = await logSoftmax(logits(config, params, forwardHidden(config, params, packed))).data();
    const expected = Array.from(targets, (t) => all[before[t] * config.vocabSize + packed.ids[t]]);
    expectClose(await tokenLogProbs(config, params, packed, targets).data(), expected);
    expect(targetLogits(config, params, packed, targets).shape).toEqual([4, config.vocabSize]);
  });

  it("leaves nothing behind but its result", () => {
    const before = device.memory().liveTensors;
    tokenLogProbs(config, params, packSequences([[1, 2, 3]]), Int32Array.of(1, 2)).dispose();
    expect(device.memory().liveTensors).toBe(before);
  });
});

describe("tokenLogProbs", () => {
  const { config, params } = models[1];

  it("keeps no logits of a large vocabulary, and gives the same", async () => {
    const wide = { ...config, vocabSize: 2048 };
    const own = randomParams(wide, device);
    const packed = packSequences(
      Array.from({ length: 300 }, (_, r) => [1, 2, 3, 4, 5, 6, 7, 2040 + (r % 8)]),
    );
    const targets = Int32Array.from(packed.ids.keys()).filter((i) => i % 8 > 0); // 2100 × 2048 logits
    const few = targets.filter((i) => i < 40 || i > 2360);
    const some = await tokenLogProbs(wide, own, packed, few).data();
    const all = await tokenLogProbs(wide, own, packed, targets).data();
    expectClose(
      Array.from(some),
      Array.from(few, (t) => all[targets.indexOf(t)]),
    );
  });

  const attn = "model.layers.0.self_attn";
  it.each([
    { of: models[1], names: [`${attn}.k_norm.weight`, "model.layers.1.self_attn.v_proj.weight"] },
    { of: models[3], names: [`${attn}.q_proj.bias`, `${attn}.k_proj.bias`, `${attn}.v_proj.bias`] },
    { of: models[4], names: [`${attn}.q_proj.weight`, `${attn}.k_proj.weight`] },
    { of: models[5], names: [`${attn}.o_proj.bias`, `${attn}.q_proj.bias`] },
    { of: models[5], names: ["gate", "up", "down"].map((part) => `model.layers.0.mlp.${part}_proj.bias`) },
  ])("has the gradients that finite differences find: $of.name, $names", async ({ of, names }) => {
    const { config, params } = of;
    const packed = packTree({ prefix: [2, 7], branches: [[1, 8], [2]] });
    const points = await Promise.all(
      names.map(async (name) => ({ shape: params[name].shape, data: await params[name].data() })),
    );
    const loss = (given: Tensor[]) => {
      // gradcheck has a device of its own, so the other parameters are drawn again there.
      const all = {
        ...randomParams(config, given[0].device),
        ...Object.fromEntries(names.map((name, i) => [name, given[i]])),
      };
      const logProbs = tokenLogProbs(config, all, packed, Int32Array.of(2, 3, 4));
      return sum(mul(logProbs, tensor(Float64Array.of(0.3, -1.2, 0.7), { device: logProbs.device })));
    };
    expect(await gradcheck(loss, points)).toBeLessThan(1e-6);
  });

  it("divides the logits by the temperature", async () => {
    const packed = packSequences([[1, 2]]);
    const scores = await targetLogits(config, params, packed, Int32Array.of(1)).data();
    const scaled = Array.from(scores, (x) => Math.exp(x / 0.5));
    const expected = Math.log(scaled[2] / scaled.reduce((a, b) => a + b));
    const actual = tokenLogProbs(config, params, packed, Int32Array.of(1), { temperature: 0.5 });
    expect(await actual.item()).toBeCloseTo(expected, 12);
  });

  it("refuses what it can not score", () => {
    const packed = packSequences([[1, 2], [3]]);
    expect(() => tokenLogProbs(config, params, packed, Int32Array.of(2))).toThrow(InputError);
    expect(() => tokenLogProbs(config, params, packed, Int32Array.of(2))).toThrowErrorMatchingInlineSnapshot(
      `[InputError: Token 2 of 3 has no predecessor that predicts it. Leave the first token of each sequence out of targets.]`,
    );
    expect(() => forwardHidden(config, params, packSequences([[23]]))).toThrow(
      /has id 23, the vocabulary 23 ids/,
    );
    const long = packSequences([Array.from({ length: 65 }, () => 1)]);
    expect(() => forwardHidden(config, params, long)).toThrow(/at position 64, the model takes 64 positions/);
    const { "model.norm.weight": _, ...incomplete } = params;
    expect(() => forwardHidden(config, incomplete, packed)).toThrow(ParameterError);
  });
});

function expectClose(actual: ArrayLike<number>, expected: ArrayLike<number>): void {
  expect(actual.length).toBe(expected.length);
  for (let i = 0; i < expected.length; i++)
    expect(Math.abs(actual[i] - expected[i]), `element ${i}`).toBeLessThan(
      1e-12 * Math.max(1, Math.abs(expected[i])),
    );
}
