/**
 * The WGSL of attention where the lanes of a subgroup work together: each lane has queries (or, for dk and dv, keys) of its
 * own, neighbours of one head, and all lanes walk the same keys (or queries). A row that all need is loaded in pieces, a vec4
 * by each lane, and handed to all. Left out: head sizes that are no multiple of 4, and queries whose keys lie far apart, as
 * in decoding, where each would walk the keys of its neighbours (attention.ts).
 */
import { eachVector, itemsOfLane } from "./attention-wgsl.ts";

const each = (n: number, f: (i: number) => string) => Array.from({ length: n }, (_, i) => f(i));

/** One binary function of WGSL over several values. */
const most = (f: "max" | "min", values: string[]) => values.reduce((a, b) => `${f}(${a}, ${b})`);

/**
 * Which queries or keys a lane has: places `mine0`, `mine1` … of `count`, of head `h`, `lanes` apart, so that lanes have
 * neighbours; the last block's places beyond the last repeat it.
 */
function placeOf(lanes: number, count: string, heads: string): string {
  const items = itemsOfLane(lanes);
  return `let lane = i % ${lanes}u;
let h = i / ${lanes}u % ${heads};
let block = i / ${lanes}u / ${heads} * ${lanes * items}u + lane;
${each(items, (t) => `let own${t} = block + ${t * lanes}u; let mine${t} = min(own${t}, ${count} - 1u);`).join("\n")}`;
}

/**
 * `block` rows of `buffer` that all lanes read, from row `first` on, loaded as vec4 pieces spread over the lanes. `at` is the
 * place of row `r` in vec4; rows past the end repeat the last one.
 */
function sharedRows(size: number, lanes: number, block: number) {
  const quads = size / 4;
  const loads = Math.ceil((block * quads) / lanes);
  const even = (block * quads) % lanes === 0;
  const piece = (l: number) =>
    even ? `(lane + ${l * lanes}u)` : `min(lane + ${l * lanes}u, ${block * quads - 1}u)`;
  return {
    /** Which row of a block and which piece of it each load of this lane is. */
    places: each(
      loads,
      (l) => `let row${l} = ${piece(l)} / ${quads}u; let piece${l} = ${piece(l)} % ${quads}u;`,
    ).join(" "),
    load: (name: string, buffer: string, at: (row: string) => string) =>
      each(loads, (l) => `let ${name}${l} = ${buffer}[${at(`row${l}`)} + piece${l}];`).join(" "),
    /** Piece `c` of row `b` of the block. */
    handed(name: string, b: number, c: number): string {
      const n = b * quads + c;
      return `subgroupBroadcast(${name}${Math.floor(n / lanes)}, ${n % lanes}u)`;
    },
  };
}

/** Lets of the pieces of row b of shared `name`, handed to this lane: `name`_b_c. */
function taken(rows: ReturnType<typeof sharedRows>, name: string, b: number, size: number): string {
  return eachVector(size, (c) => `let ${name}_${b}_${c} = ${rows.handed(name, b, c)};`);
}

/** The sum of products of this lane's `mine`c_t with row b of shared `name`. */
function dotShared(mine: string, t: number, name: string, b: number, size: number) {
  return `(${each(size / 4, (c) => `dot(${mine}${c}_${t}, ${name}_${b}_${c})`).join(" + ")})`;
}

/**
 * Runs `body` for blocks of keys from `j` on: all that any lane sees, part by part; `seesB_T` says whether item T of this lane
 * sees key B. There are two parts, but a compiler that knew it would compile the body twice.
 */
function eachBlock(items: number, block: number, body: string): string {
  return `for (var part = 0u; part < p.parts; part++) {
  ${each(items, (t) => `let begin${t} = u32(ranges[p.offsetR + 4u * mine${t} + 2u * part]); let end${t} = u32(ranges[p.offsetR + 4u * mine${t} + 2u * part + 1u]);`).join("\n  ")}
  let stop = subgroupMax(${most(
    "max",
    each(items, (t) => `end${t}`),
  )});
  // An empty range may begin anywhere: it must not draw the others there.
  for (var j = subgroupMin(${most(
    "min",
    each(items, (t) => `select(stop, begin${t}, begin${t} < end${t})`),
  )}); j < stop; j += ${block}u) {
    ${each(items, (t) => each(block, (b) => `let sees${b}_${t} = j + ${b}u >= begin${t} && j + ${b}u < end${t};`).join(" ")).join("\n    ")}
    ${body}
  }
}`;
}

/** Where a key's row lies in vec4, relative to the buffer's offset. */
const keyRow = (offset: string, size: number) => (row: string) =>
  `((p.${offset} + (min(j + ${row}, p.keys - 1u) * p.kvHeads + g) * ${size}u) / 4u)`;

/** Keys walked at once: the running sums are rescaled once for all of them. */
const forwardBlock = 2;

/** y and lse; parameters and buffers as in attention.ts. */
export function forwardText(size: number, lanes: number): string {
  const rows = sharedRows(size, lanes, forwardBlock);
  const items = itemsOfLane(lanes);
  const keys = Array.from({ length: forwardBlock }, (_, b) => b);
  return `${placeOf(lanes, "p.queries", "p.heads")}
let g = h / (p.heads / p.kvHeads);
${each(
  items,
  (t) => `let n${t} = mine${t} * p.heads + h;
${eachVector(size, (c) => `let qv${c}_${t} = q[(p.offsetQ + n${t} * ${size}u) / 4u + ${c}u] * p.scale; var sum${c}_${t} = vec4<f32>();`)}
var top${t} = -3.0e38;
var total${t} = 0.0;`,
).join("\n")}
${rows.places}
${eachBlock(
  items,
  forwardBlock,
  `${rows.load("kv", "k", keyRow("offsetK", size))}
    ${keys.map((b) => taken(rows, "kv", b, size)).join(" ")}
    ${each(
      items,
      (
        t,
      ) => `${keys.map((b) => `let s${b}_${t} = select(-3.0e38, ${dotShared("qv", t, "kv", b, size)}, sees${b}_${t});`).join("\n    ")}
    let higher${t} = ${keys.reduce((most, b) => `max(${most}, s${b}_${t})`, `top${t}`)};
    let keep${t} = exp(top${t} - higher${t});
    top${t} = higher${t};
    ${keys.map((b) => `let w${b}_${t} = select(0.0, exp(s${b}_${t} - higher${t}), sees${b}_${t});`).join(" ")}
    total${t} = total${t} * keep${t} + ${keys.map((b) => `w${b}_${t}`).join(" + ")};`,
    ).join("\n    ")}
    ${rows.load("vv", "v", keyRow("offsetV", size))}
    ${keys.map((b) => taken(rows, "vv", b, size)).join(" ")}
    ${each(items, (t) => eachVector(size, (c) => `sum${c}_${t} = sum${c}_${t} * keep${t} + ${keys.map((b) => `w${b}_${t} * vv_${b}_${c}`).join(" + ")};`)).join("\n    ")}`,
)}
${each(
  items,
  (t) => `if (own${t} < p.queries) {
  lse[n${t}] = top${t} + log(total${t});
  ${eachVector(size, (c) => `y[n${t} * ${size / 4}u + ${c}u] = sum${c}_${t} * (1.0 / total${t});`)}
}`,
).join("\n")}`;
}

const queriesBlock = 1;

/** dq, and lse and δ side by side for the keys; parameters and buffers as in attention-backward.ts. */
export function queriesText(size: number, lanes: number): string {
  const rows = sharedRows(size, lanes, queriesBlock);
  const items = itemsOfLane(lanes);
  return `${placeOf(lanes, "p.queries", "p.heads")}
let g = h / (p.heads / p.kvHeads);
${each(
  items,
  (t) => `let n${t} = mine${t} * p.heads + h;
${eachVector(
  size,
  (c) => `let qv${c}_${t} = q[(p.offsetQ + n${t} * ${size}u) / 4u + ${c}u] * p.scale;
let dv${c}_${t} = dy[(p.offsetD + n${t} * ${size}u) / 4u + ${c}u];
var sum${c}_${t} = vec4<f32>();`,
)}
var rowDelta${t} = 0.0;`,
).join("\n")}
// A loop whose length the compiler does not know: written out, its loads take longer to compile than those of all else.
for (var c = 0u; c < p.pieces; c++) {
  ${each(items, (t) => `rowDelta${t} += dot(dy[(p.offsetD + n${t} * ${size}u) / 4u + c], y[(p.offsetY + n${t} * ${size}u) / 4u + c]);`).join("\n  ")}
}
${each(items, (t) => `let rowLse${t} = lse[p.offsetL + n${t}];`).join(" ")}
${rows.places}
${eachBlock(
  items,
  queriesBlock,
  `${rows.load("kv", "k", keyRow("offsetK", size))}
    ${rows.load("vv", "v", keyRow("offsetV", size))}
    ${each(
      queriesBlock,
      (b) => `${taken(rows, "kv", b, size)} ${taken(rows, "vv", b, size)}
    ${each(
      items,
      (
        t,
      ) => `let w${b}_${t} = select(0.0, exp(${dotShared("qv", t, "kv", b, size)} - rowLse${t}), sees${b}_${t});
    let ds${b}_${t} = w${b}_${t} * (${dotShared("dv", t, "vv", b, size)} - rowDelta${t}) * p.scale;`,
    ).join("\n    ")}`,
    ).join("\n    ")}
    ${each(items, (t) => eachVector(size, (c) => `sum${c}_${t} += ${each(queriesBlock, (b) => `ds${b}_${t} * kv_${b}_${c}`).join(" + ")};`)).join("\n    ")}`,
)}
${each(
  items,
  (t) => `if (own${t} < p.queries) {
  stats[2u * n${t}] = rowLse${t};
  stats[2u * n${t} + 1u] = rowDelta${t};
  ${eachVector(size, (c) => `dq[n${t} * ${size / 4}u + ${c}u] = sum${c}_${t};`)}
}`,
).join("\n")}`;
}

/** dk and dv: each lane has keys; parameters and buffers as in attention-backward.ts. */
export function keysText(size: number, lanes: number): string {
  const items = itemsOfLane(lanes);
  const rows = sharedRows(size, lanes, 1);
  const queryRow = (offset: string) => () => `(p.${offset} / 4u + n * ${size / 4}u)`;
  const key = (c: number, t: number, buffer: string, offset: string) =>
    `${buffer}[(p.${offset} + at${t} * ${size}u) / 4u + ${c}u]`;
  return `${placeOf(lanes, "p.keys", "p.kvHeads")}
let group = p.heads / p.kvHeads;
${each(
  items,
  (t) => `let at${t} = mine${t} * p.kvHeads + h;
${eachVector(
  size,
  (
    c,
  ) => `let kv${c}_${t} = ${key(c, t, "k", "offsetK")} * p.scale; let vv${c}_${t} = ${key(c, t, "v", "offsetV")};
var sumK${c}_${t} = vec4<f32>(); var sumV${c}_${t} = vec4<f32>();`,
)}
let begin${t} = u32(keys[p.offsetS + 2u * mine${t}]);
let end${t} = u32(keys[p.offsetS + 2u * mine${t} + 1u]);`,
).join("\n")}
${rows.places}
let stop = subgroupMax(${most(
    "max",
    each(items, (t) => `end${t}`),
  )});
for (var row = subgroupMin(${most(
    "min",
    each(items, (t) => `select(stop, begin${t}, begin${t} < end${t})`),
  )}); row < stop; row++) {
  // Lanes that read one place hand it over, too: four numbers in one load.
  let range = u32(ranges[p.offsetR + 4u * row + lane % 4u]);
  ${each(4, (n) => `let r${n} = subgroupBroadcast(range, ${n}u);`).join(" ")}
  ${each(items, (t) => `let seen${t} = (mine${t} >= r0 && mine${t} < r1) || (mine${t} >= r2 && mine${t} < r3);`).join("\n  ")}
  for (var member = 0u; member < group; member++) {
    let n = row * p.heads + h * group + member;
    let stat = stats[2u * n + lane % 2u];
    let rowLse = subgroupBroadcast(stat, 0u);
    let rowDelta = subgroupBroadcast(stat, 1u);
    ${rows.load("qv", "q", queryRow("offsetQ"))}
    ${rows.load("d", "dy", queryRow("offsetD"))}
    ${taken(rows, "qv", 0, size)} ${taken(rows, "d", 0, size)}
    ${each(
      items,
      (t) => `let w${t} = select(0.0, exp(${dotShared("kv", t, "qv", 0, size)} - rowLse), seen${t});
    let ds${t} = w${t} * (${dotShared("vv", t, "d", 0, size)} - rowDelta) * p.scale;
    ${eachVector(size, (c) => `sumK${c}_${t} += ds${t} * qv_0_${c}; sumV${c}_${t} += w${t} * d_0_${c};`)}`,
    ).join("\n    ")}
  }
}
${each(
  items,
  (t) => `if (own${t} < p.keys) {
  ${eachVector(size, (c) => `dk[at${t} * ${size / 4}u + ${c}u] = sumK${c}_${t}; dv[at${t} * ${size / 4}u + ${c}u] = sumV${c}_${t};`)}
}`,
).join("\n")}`;
}
