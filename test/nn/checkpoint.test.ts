import {
  ParameterError,
  paramsFromSafetensors,
  paramsToSafetensors,
  readSafetensors,
  writeSafetensors,
} from "@pact/nn";
import { createDevice } from "@pact/tensor";
import { describe, expect, it } from "vitest";
import { gpt, qwen3, randomParams } from "./models.ts";

const device = await createDevice({ device: "cpu" });
const params = randomParams(qwen3, device);

describe("checkpoints", () => {
  it("give back the same parameters", async () => {
    const bytes = await paramsToSafetensors(params, { dtype: "F64", metadata: { step: "3" } });
    const back = paramsFromSafetensors(qwen3, bytes, { device, dtype: "f64" });
    expect(Object.keys(back)).toEqual(Object.keys(params));
    for (const [name, value] of Object.entries(params)) {
      expect(back[name].shape).toEqual(value.shape);
      expect(await back[name].data()).toEqual(await value.data());
    }
  });

  it("round to bf16 on request and load as f32", async () => {
    const bytes = await paramsToSafetensors(params, { dtype: "BF16" });
    const name = "model.layers.1.mlp.up_proj.weight";
    const [rounded, exact] = [
      await paramsFromSafetensors(qwen3, bytes, { device })[name].data(),
      await params[name].data(),
    ];
    rounded.forEach((value, i) => {
      expect(Math.abs(value - exact[i])).toBeLessThanOrEqual(Math.abs(exact[i]) * 2 ** -8);
    });
  });

  it("accept a stored copy of a tied head", async () => {
    const entries = readSafetensors(await paramsToSafetensors(params));
    entries.set("lm_head.weight", entries.get("model.embed_tokens.weight")!);
    expect(Object.keys(paramsFromSafetensors(qwen3, writeSafetensors(entries), { device }))).toEqual(
      Object.keys(params),
    );
  });

  it("name everything that does not fit", async () => {
    const entries = readSafetensors(await paramsToSafetensors(params));
    entries.delete("model.norm.weight");
    entries.set("extra", { dtype: "F32", shape: [1], data: Float32Array.of(1) });
    entries.set("model.layers.0.self_attn.q_norm.weight", {
      dtype: "F32",
      shape: [2],
      data: Float32Array.of(1, 2),
    });
    entries.set("model.layers.0.self_attn.k_norm.weight", {
      dtype: "I32",
      shape: [4],
      data: new Int32Array(4),
    });
    const load = () => paramsFromSafetensors(qwen3, writeSafetensors(entries), { device });
    expect(load).toThrow(ParameterError);
    expect(load).toThrowErrorMatchingInlineSnapshot(`
      [ParameterError: The checkpoint does not fit the configuration (is the config.json beside it?):
        - unexpected "extra"
        - "model.layers.0.self_attn.q_norm.weight" has shape [2], expected [4]
        - "model.layers.0.self_attn.k_norm.weight" has dtype I32, expected F32, F64, F16 or BF16
        - missing "model.norm.weight" [10]]
    `);
    expect(() => paramsFromSafetensors(gpt, writeSafetensors(entries), { device })).toThrow(
      /missing "wte.weight"/,
    );
  });
});
