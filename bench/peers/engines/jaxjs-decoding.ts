/**
 * W5 in jax-js: two functions under `jit`, one for the prompts and one for each token, over keys and values with room for
 * all tokens, so that nothing is compiled again; the tokens are read at the end.
 */
import { type Array as Jax, jit, nn, numpy as np, tree } from "@jax-js/jax";
import { decoding, gpt } from "../../workloads/model.ts";
import { type Cache, consumed, logits, type Weights } from "./jaxjs-model.ts";

type Caches = { keys: Jax[]; values: Jax[] };

const { prompts, newTokens } = decoding;
const [rows, promptLength] = [prompts.length, prompts[0].length];
const room = promptLength + newTokens;

function likeliest(scores: Jax): Jax {
  return np.argmax(scores, -1);
}

const readPrompts = jit((params: Weights, ids: Jax): { next: Jax; caches: Caches } => {
  const places = np.arange(promptLength);
  const mask = np.greaterEqual(places.ref.reshape([promptLength, 1]), places.reshape([1, promptLength]));
  const caches: Caches = { keys: [], values: [] };
  const wider = (x: Jax) =>
    np.pad(x, [
      [0, 0],
      [0, 0],
      [0, newTokens],
      [0, 0],
    ]);
  const keep = (_: number, { keys, values }: Cache): Cache => {
    caches.keys.push(wider(keys.ref));
    caches.values.push(wider(values.ref));
    return { keys, values };
  };
  const layout = {
    rows,
    length: promptLength,
    places: (table: Jax) => table.slice([0, promptLength]),
  };
  const scores = logits(params, ids, layout, mask, keep);
  consumed(params);
  const last = scores.reshape([rows, promptLength, -1]).slice([], promptLength - 1);
  return { next: likeliest(last), caches };
});

const readToken = jit(
  (params: Weights, ids: Jax, position: Jax, before: Caches): { next: Jax; caches: Caches } => {
    const places = np.arange(room);
    const mask = np.lessEqual(places.ref, position.ref).reshape([1, room]);
    const here = np.equal(places, position.ref).reshape([1, 1, room, 1]);
    const caches: Caches = { keys: [], values: [] };
    const keep = (layer: number, { keys, values }: Cache): Cache => {
      caches.keys.push(np.where(here.ref, keys, before.keys[layer]));
      caches.values.push(np.where(here.ref, values, before.values[layer]));
      return { keys: caches.keys[layer].ref, values: caches.values[layer].ref };
    };
    const { maxPositions } = gpt();
    const row = (table: Jax) =>
      np.matmul(nn.oneHot(position, maxPositions).reshape([1, maxPositions]), table);
    const scores = logits(params, ids, { rows, length: 1, places: row }, mask, keep);
    here.dispose();
    consumed(params);
    return { next: likeliest(scores), caches };
  },
);

/** Greedy continuations of the prompts, row by row. */
export async function decode(params: Weights): Promise<number[]> {
  const integers = (values: number[]) => np.array(Int32Array.from(values), { dtype: np.int32 });
  const kept = () => tree.ref(params);
  let { next, caches } = readPrompts(kept(), integers(prompts.flat())) as { next: Jax; caches: Caches };
  const made: Jax[] = [next.ref];
  for (let token = 1; token < newTokens; token++) {
    const position = integers([promptLength + token - 1]).reshape([]);
    ({ next, caches } = readToken(kept(), next, position, caches) as { next: Jax; caches: Caches });
    made.push(next.ref);
  }
  next.dispose();
  tree.dispose(caches);
  const columns: ArrayLike<number>[] = [];
  for (const column of made) columns.push(await column.data());
  return Array.from({ length: rows }, (_, row) => columns.map((column) => column[row])).flat();
}
