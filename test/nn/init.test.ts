import { ConfigError, initParams, paramSpecs } from "@pact/nn";
import { createDevice, key } from "@pact/tensor";
import { describe, expect, it } from "vitest";
import { gpt, qwen3, untied } from "./models.ts";

const device = await createDevice({ device: "cpu" });
const wide = { ...gpt, hiddenSize: 60, headSize: 20, vocabSize: 500, numLayers: 8 };

async function moments(values: Promise<ArrayLike<number>>): Promise<{ mean: number; deviation: number }> {
  const list = Array.from(await values);
  const mean = list.reduce((a, b) => a + b, 0) / list.length;
  return { mean, deviation: Math.sqrt(list.reduce((a, b) => a + (b - mean) ** 2, 0) / list.length) };
}

describe("initParams", () => {
  it("makes every parameter of the configuration, in order, with its shape", () => {
    for (const config of [gpt, qwen3, untied]) {
      const params = initParams(config, key(0), { device });
      expect(Object.entries(params).map(([name, { shape }]) => ({ name, shape }))).toEqual(
        paramSpecs(config).map(({ name, shape }) => ({ name, shape })),
      );
    }
    expect(paramSpecs(untied).at(-1)?.name).toBe("lm_head.weight");
  });

  it("draws weights with deviation std and residual ones with std/√2L", async () => {
    const params = initParams(wide, key(1), { device, std: 0.05 });
    const embedding = await moments(params["wte.weight"].data());
    expect(Math.abs(embedding.mean)).toBeLessThan(0.002); // 30 000 draws: standard error 0.0003
    expect(embedding.deviation).toBeCloseTo(0.05, 2);
    const residual = await moments(params["h.3.mlp.fc_out.weight"].data());
    expect(residual.deviation * 4).toBeCloseTo(0.05, 2); // √(2·8) = 4
    expect(new Set(await params["h.0.ln_1.weight"].data())).toEqual(new Set([1]));
    expect(new Set(await params["h.0.attn.q_proj.bias"].data())).toEqual(new Set([0]));
  });

  it("is a function of the key, with a stream of its own for each parameter", async () => {
    const values = async (seed: number, name: string) => [
      ...(await initParams(wide, key(seed), { device })[name].data()),
    ];
    const query = "h.0.attn.q_proj.weight";
    expect(await values(2, query)).toEqual(await values(2, query));
    expect(await values(2, query)).not.toEqual(await values(3, query));
    expect(await values(2, query)).not.toEqual(await values(2, "h.0.attn.k_proj.weight"));
  });

  it("refuses a configuration that can not be used", () => {
    expect(() => initParams({ ...qwen3, headSize: 3 }, key(0), { device })).toThrow(ConfigError);
  });
});
