/**
 * Qwen2, Qwen3 and Llama written a second time, in plain loops on doubles, one token sequence at a time, after the model
 * classes of transformers (modeling_qwen2.py, modeling_qwen3.py, modeling_llama.py): the yardstick of reference.test.ts.
 * It takes the fields of a config.json and raw arrays, and shares no code with the package.
 */

/** Arrays by their name in the checkpoint. */
export type Weights = ReadonlyMap<string, ArrayLike<number>>;
/** The fields of a config.json that are read here. */
export type Json = {
  model_type: string;
  vocab_size: number;
  hidden_size: number;
  num_hidden_layers: number;
  num_attention_heads: number;
  num_key_value_heads: number;
  head_dim?: number;
  intermediate_size: number;
  rms_norm_eps: number;
  rope_theta: number;
  tie_word_embeddings: boolean;
  rope_scaling?: Record<string, number | string>;
};

/** Logits [T, V] of one sequence. */
export function referenceLogits(json: Json, weights: Weights, ids: readonly number[]): number[][] {
  const width = json.hidden_size;
  const size = json.head_dim ?? width / json.num_attention_heads;
  const frequencies = invFreq(json, size);
  const linear = (name: string, x: number[]): number[] => {
    const w = weights.get(`${name}.weight`)!;
    const b = weights.get(`${name}.bias`);
    const y: number[] = [];
    for (let o = 0; o < w.length / x.length; o++) {
      let total = b ? b[o] : 0;
      for (let i = 0; i < x.length; i++) total += w[o * x.length + i] * x[i];
      y.push(total);
    }
    return y;
  };
  const rms = (name: string, x: number[]): number[] => {
    const w = weights.get(`${name}.weight`)!;
    let squares = 0;
    for (const value of x) squares += value * value;
    const scale = 1 / Math.sqrt(squares / x.length + json.rms_norm_eps);
    return x.map((value, i) => w[i] * (value * scale));
  };
  const heads = (x: number[]): number[][] => {
    const list: number[][] = [];
    for (let from = 0; from < x.length; from += size) list.push(x.slice(from, from + size));
    return list;
  };
  /** q·cos + rotate_half(q)·sin, as apply_rotary_pos_emb. */
  const rotate = (x: number[], position: number): number[] =>
    x.map((value, d) => {
      const angle = position * frequencies[d % (size / 2)];
      const other = d < size / 2 ? -x[d + size / 2] : x[d - size / 2];
      return value * Math.cos(angle) + other * Math.sin(angle);
    });

  const table = weights.get("model.embed_tokens.weight")!;
  let states = ids.map((id) => Array.from({ length: width }, (_, c) => table[id * width + c]));
  for (let layer = 0; layer < json.num_hidden_layers; layer++) {
    const at = `model.layers.${layer}`;
    const normed = states.map((x) => rms(`${at}.input_layernorm`, x));
    const headNorm = (name: string, x: number[]) =>
      json.model_type === "qwen3" ? rms(`${at}.self_attn.${name}`, x) : x;
    const project = (name: string) => normed.map((x) => heads(linear(`${at}.self_attn.${name}`, x)));
    const q = project("q_proj").map((list, t) => list.map((x) => rotate(headNorm("q_norm", x), t)));
    const k = project("k_proj").map((list, t) => list.map((x) => rotate(headNorm("k_norm", x), t)));
    const v = project("v_proj");
    const group = json.num_attention_heads / json.num_key_value_heads;
    states = states.map((x, t) => {
      const mixed = q[t].flatMap((query, h) => {
        const kv = Math.floor(h / group);
        const scores: number[] = [];
        for (let s = 0; s <= t; s++) {
          let dot = 0;
          for (let d = 0; d < size; d++) dot += query[d] * k[s][kv][d];
          scores.push(dot / Math.sqrt(size));
        }
        const high = Math.max(...scores);
        const weight = scores.map((score) => Math.exp(score - high));
        const total = weight.reduce((a, b) => a + b);
        return query.map((_, d) => weight.reduce((sum, w, s) => sum + (w / total) * v[s][kv][d], 0));
      });
      const out = linear(`${at}.self_attn.o_proj`, mixed);
      return x.map((value, c) => value + out[c]);
    });
    states = states.map((x) => {
      const y = rms(`${at}.post_attention_layernorm`, x);
      const up = linear(`${at}.mlp.up_proj`, y);
      const gate = linear(`${at}.mlp.gate_proj`, y).map((g) => g / (1 + Math.exp(-g)));
      const down = linear(
        `${at}.mlp.down_proj`,
        gate.map((g, i) => g * up[i]),
      );
      return x.map((value, c) => value + down[c]);
    });
  }
  const head = json.tie_word_embeddings ? "model.embed_tokens" : "lm_head";
  return states.map((x) => linear(head, rms("model.norm", x)));
}

/** `_compute_*_parameters` of modeling_rope_utils.py, step by step as there. */
export function invFreq(
  { rope_theta, rope_scaling }: Pick<Json, "rope_theta" | "rope_scaling">,
  size: number,
) {
  const list: number[] = [];
  for (let d = 0; d < size; d += 2) list.push(1 / rope_theta ** (d / size));
  if (!rope_scaling) return list;
  const factor = rope_scaling.factor as number;
  if (rope_scaling.rope_type === "linear") return list.map((f) => f / factor);
  const low = rope_scaling.low_freq_factor as number;
  const high = rope_scaling.high_freq_factor as number;
  const old = rope_scaling.original_max_position_embeddings as number;
  return list.map((f) => {
    const wavelength = (2 * Math.PI) / f;
    if (wavelength > old / low) return f / factor;
    if (wavelength < old / high) return f;
    const smooth = (old / wavelength - low) / (high - low);
    return ((1 - smooth) * f) / factor + smooth * f;
  });
}
