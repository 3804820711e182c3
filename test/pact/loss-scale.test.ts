/** The dynamic loss scale by itself, and what is computed again because of it. */
import { cast, DisposedError, type Tensor, tensor } from "@pact/tensor";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { finiteGradient, termGradientNorm } from "../../packages/pact/src/gradient-norms.ts";
import { LossScale } from "../../packages/pact/src/loss-scale.ts";
import { packMicroBatches } from "../../packages/pact/src/pack.ts";
import { lossTerm } from "../../packages/pact/src/trees.ts";
import { cpuDevice, tinyModel } from "./device.ts";

beforeAll(() => cpuDevice());

describe("a loss scale", () => {
  it("is a power of two in its bounds whatever happens, and goes on from its state", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom("halve", "update"), { maxLength: 400 }), (moves) => {
        const scale = new LossScale();
        let twin = new LossScale(scale.state);
        for (const move of moves) {
          scale[move]();
          twin[move]();
          expect(LossScale.accepts(scale.state)).toBe(true);
          expect(twin.state).toEqual(scale.state);
          twin = new LossScale(twin.state);
        }
      }),
    );
  });

  it("grows after a hundred updates up to 2^24, and can not be halved below 1", () => {
    const scale = new LossScale({ scale: 2 ** 23, goodUpdates: 99 });
    scale.update();
    expect(scale.state).toEqual({ scale: 2 ** 24, goodUpdates: 0 });
    for (let update = 0; update < 100; update++) scale.update();
    expect(scale.value).toBe(2 ** 24);
    for (let half = 0; half < 24; half++) expect(scale.halve()).toBe(true);
    expect(scale.halve()).toBe(false);
    expect(scale.value).toBe(1);
  });
});

describe("a gradient under a loss scale", () => {
  /** Gradients that are infinite above `limit`; the scales that they were asked with. */
  const gradients = (limit: number, loss = 1) => {
    const asked: number[] = [];
    const made: Tensor[] = [];
    const compute = async (lossScale: number) => {
      asked.push(lossScale);
      const w = tensor([lossScale > limit ? Number.POSITIVE_INFINITY : 3, 4]);
      made.push(w);
      return { grads: { w }, loss, logProbs: [], kl: null, entropy: null };
    };
    return { asked, made, compute };
  };

  it("is computed again with half the scale until it is finite", async () => {
    const scale = new LossScale({ scale: 2 ** 10, goodUpdates: 5 });
    const { asked, made, compute } = gradients(2 ** 8);
    const { gradient, norm } = await finiteGradient(scale, compute);
    expect(asked).toEqual([1024, 512, 256]);
    expect(norm).toBe(5);
    expect(scale.state).toEqual({ scale: 256, goodUpdates: 0 });
    for (const dropped of made.slice(0, 2))
      await expect((async () => dropped.data())()).rejects.toThrow(DisposedError);
    expect(gradient.grads.w).toBe(made[2]);
  });

  it("of one term alone, for the log, leaves the scale as it is", async () => {
    const { config, params } = await tinyModel();
    const f32 = Object.fromEntries(Object.entries(params).map(([name, value]) => [name, cast(value, "f32")]));
    const scored = [
      {
        position: 1,
        term: lossTerm.traced,
        rollout: 0,
        advantage: 1,
        policyWeight: 1e36, // its square is no float
        sftWeight: 0,
        samplerLogProb: 0,
      },
    ];
    const batches = packMicroBatches([{ prefix: { ids: [5, 6], scored }, branches: [] }], 100);
    const scale = new LossScale({ scale: 4, goodUpdates: 7 });
    const norm = await termGradientNorm(
      { config, params: f32 },
      batches,
      { sftWeight: 0 },
      [lossTerm.traced],
      undefined,
      scale,
    );
    expect(norm).toBe(Number.POSITIVE_INFINITY);
    expect(scale.state).toEqual({ scale: 4, goodUpdates: 7 });
  });

  it("is given back as it is where no scale helps", async () => {
    const scale = new LossScale({ scale: 4, goodUpdates: 0 });
    const infinite = gradients(0);
    expect((await finiteGradient(scale, infinite.compute)).norm).toBe(Number.POSITIVE_INFINITY);
    expect(infinite.asked).toEqual([4, 2, 1]);
    const broken = gradients(2 ** 30, Number.NaN);
    expect((await finiteGradient(new LossScale(), broken.compute)).norm).toBeNaN();
    expect(broken.asked).toEqual([2 ** 16]);
    const plain = gradients(0);
    expect((await finiteGradient(undefined, plain.compute)).norm).toBe(Number.POSITIVE_INFINITY);
    expect(plain.asked).toEqual([1]);
  });
});
