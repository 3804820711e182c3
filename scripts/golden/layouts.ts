/**
 * Adapters between the files' batched layout [B, H, T, D] and the engine's packed one [N, H, D] with N = B·T:
 * batches become documents of one packed row.
 */
import { attention, attentionSpans, permute, reshape, rope, type Tensor, tensor } from "@pact/tensor";
import { numbers, Unsupported } from "./format.ts";
import type { Adapter } from "./ops.ts";

/** [B, H, T, D] → [B·T, H, D]. */
function packHeads(x: Tensor): Tensor {
  const [batch, heads, time, size] = x.shape;
  return reshape(permute(x, [0, 2, 1, 3]), [batch * time, heads, size]);
}

/** [B·T, H, D] → [B, H, T, D]. */
function unpackHeads(x: Tensor, batch: number): Tensor {
  const [tokens, heads, size] = x.shape;
  return permute(reshape(x, [batch, tokens / batch, heads, size]), [0, 2, 1, 3]);
}

/** Rotary positions: `positions` [T] are the same for every batch, [B, T] differ. */
export const ropeCase: Adapter = (x, { theta }, golden) => {
  const batch = x.x.shape[0];
  const flat = numbers(golden.inputs.positions);
  const all =
    golden.inputs.positions.shape.length === 2 ? flat : Array.from({ length: batch }, () => flat).flat();
  const positions = tensor(Int32Array.from(all), { dtype: "i32", device: x.x.device });
  return unpackHeads(rope(packHeads(x.x), positions, { theta: theta as number }), batch);
};

/** Attention, full, causal (queries at the end of the keys) or inside packed segments. */
export const attentionCase: Adapter = (x, { causal }, golden) => {
  const [batch, , queries] = x.q.shape;
  const keys = x.k.shape[2];
  const segments = golden.inputs.segments ? numbers(golden.inputs.segments) : undefined;
  const ranges = new Int32Array(batch * queries * 4);
  for (let b = 0; b < batch; b++) {
    for (let i = 0; i < queries; i++) {
      let start = b * keys;
      if (segments) start += segmentStart(segments.slice(b * keys, (b + 1) * keys), i);
      const end = b * keys + (causal === true ? keys - queries + i + 1 : keys);
      ranges.set([0, 0, start, end], 4 * (b * queries + i));
    }
  }
  const spans = attentionSpans(ranges, batch * keys, { device: x.q.device });
  return unpackHeads(attention(packHeads(x.q), packHeads(x.k), packHeads(x.v), spans), batch);
};

/** First position of the segment that position `i` is in; segments must be contiguous to be a range. */
function segmentStart(segments: readonly number[], i: number): number {
  const start = segments.indexOf(segments[i]);
  if (segments.slice(start, i).some((segment) => segment !== segments[i]))
    throw new Unsupported("a segment that is not contiguous");
  return start;
}
