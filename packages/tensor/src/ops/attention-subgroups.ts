/**
 * The WGSL of attention where the lanes of a subgroup work together: each lane has a query (or, for dk and dv, a key) of its
 * own, neighbours of one head, and all lanes walk the same keys (or queries). A row that all need is loaded in pieces, a vec4
 * by each lane, and handed to all. Left out: head sizes that are no multiple of 4, and queries whose keys lie far apart, as
 * in decoding, where each would walk the keys of its neighbours (attention.ts).
 */
import { eachVector } from "./attention-wgsl.ts";

const each = (n: number, f: (i: number) => string) => Array.from({ length: n }, (_, i) => f(i));

/** Which lane a query or key block belongs to: item `mine` of `count`, of head `h`; the last block's lanes beyond it repeat. */
function placeOf(lanes: number, count: string, heads: string): string {
  return `let lane = i % ${lanes}u;
let own = i / ${lanes}u / ${heads} * ${lanes}u + lane;
let mine = min(own, ${count} - 1u);
let h = i / ${lanes}u % ${heads};`;
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

/** The sum of products of this lane's `mine` with row b of shared `name`. */
function dotShared(rows: ReturnType<typeof sharedRows>, mine: string, name: string, b: number, size: number) {
  return `(${each(size / 4, (c) => `dot(${mine}${c}, ${rows.handed(name, b, c)})`).join(" + ")})`;
}

/**
 * Runs `body` for blocks of keys from `j` on: all that any lane sees, part by part; `seesB` says whether this lane sees key B.
 * There are two parts, but a compiler that knew it would compile the body twice.
 */
function eachBlock(block: number, body: string): string {
  return `let r = p.offsetR + 4u * mine;
for (var part = 0u; part < p.parts; part++) {
  let begin = u32(ranges[r + 2u * part]);
  let end = u32(ranges[r + 2u * part + 1u]);
  let stop = subgroupMax(end);
  // An empty range may begin anywhere: it must not draw the others there.
  for (var j = subgroupMin(select(stop, begin, begin < end)); j < stop; j += ${block}u) {
    ${each(block, (b) => `let sees${b} = j + ${b}u >= begin && j + ${b}u < end;`).join(" ")}
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
  const keys = Array.from({ length: forwardBlock }, (_, b) => b);
  return `${placeOf(lanes, "p.queries", "p.heads")}
let g = h / (p.heads / p.kvHeads);
let n = mine * p.heads + h;
${eachVector(size, (c) => `let qv${c} = q[(p.offsetQ + n * ${size}u) / 4u + ${c}u] * p.scale; var sum${c} = vec4<f32>();`)}
${rows.places}
var top = -3.0e38;
var total = 0.0;
${eachBlock(
  forwardBlock,
  `${rows.load("kv", "k", keyRow("offsetK", size))}
    ${keys.map((b) => `let s${b} = select(-3.0e38, ${dotShared(rows, "qv", "kv", b, size)}, sees${b});`).join("\n    ")}
    let higher = ${keys.reduce((most, b) => `max(${most}, s${b})`, "top")};
    let keep = exp(top - higher);
    top = higher;
    ${keys.map((b) => `let w${b} = select(0.0, exp(s${b} - higher), sees${b});`).join(" ")}
    total = total * keep + ${keys.map((b) => `w${b}`).join(" + ")};
    ${rows.load("vv", "v", keyRow("offsetV", size))}
    ${eachVector(size, (c) => `sum${c} = sum${c} * keep + ${keys.map((b) => `w${b} * ${rows.handed("vv", b, c)}`).join(" + ")};`)}`,
)}
if (own < p.queries) {
  lse[n] = top + log(total);
  ${eachVector(size, (c) => `y[n * ${size / 4}u + ${c}u] = sum${c} * (1.0 / total);`)}
}`;
}

const queriesBlock = 1;

/** dq, and lse and δ side by side for the keys; parameters and buffers as in attention-backward.ts. */
export function queriesText(size: number, lanes: number): string {
  const rows = sharedRows(size, lanes, queriesBlock);
  return `${placeOf(lanes, "p.queries", "p.heads")}
let g = h / (p.heads / p.kvHeads);
let n = mine * p.heads + h;
${eachVector(
  size,
  (c) => `let qv${c} = q[(p.offsetQ + n * ${size}u) / 4u + ${c}u] * p.scale;
let dv${c} = dy[(p.offsetD + n * ${size}u) / 4u + ${c}u];
var sum${c} = vec4<f32>();`,
)}
var rowDelta = 0.0;
// A loop whose length the compiler does not know: written out, its loads take longer to compile than those of all else.
for (var c = 0u; c < p.pieces; c++) {
  rowDelta += dot(dy[(p.offsetD + n * ${size}u) / 4u + c], y[(p.offsetY + n * ${size}u) / 4u + c]);
}
let rowLse = lse[p.offsetL + n];
${rows.places}
${eachBlock(
  queriesBlock,
  `${rows.load("kv", "k", keyRow("offsetK", size))}
    ${rows.load("vv", "v", keyRow("offsetV", size))}
    ${each(
      queriesBlock,
      (b) => `let w${b} = select(0.0, exp(${dotShared(rows, "qv", "kv", b, size)} - rowLse), sees${b});
    let ds${b} = w${b} * (${dotShared(rows, "dv", "vv", b, size)} - rowDelta) * p.scale;`,
    ).join("\n    ")}
    ${eachVector(size, (c) => `sum${c} += ${each(queriesBlock, (b) => `ds${b} * ${rows.handed("kv", b, c)}`).join(" + ")};`)}`,
)}
if (own < p.queries) {
  stats[2u * n] = rowLse;
  stats[2u * n + 1u] = rowDelta;
  ${eachVector(size, (c) => `dq[n * ${size / 4}u + ${c}u] = sum${c};`)}
}`;
}

/** dk and dv: each lane has a key; parameters and buffers as in attention-backward.ts. */
export function keysText(size: number, lanes: number): string {
  const rows = sharedRows(size, lanes, 1);
  const queryRow = (offset: string) => () => `(p.${offset} / 4u + n * ${size / 4}u)`;
  const key = (c: number, buffer: string, offset: string) =>
    `${buffer}[(p.${offset} + at * ${size}u) / 4u + ${c}u]`;
  return `${placeOf(lanes, "p.keys", "p.kvHeads")}
let at = mine * p.kvHeads + h;
let group = p.heads / p.kvHeads;
${eachVector(
  size,
  (c) => `let kv${c} = ${key(c, "k", "offsetK")} * p.scale; let vv${c} = ${key(c, "v", "offsetV")};
var sumK${c} = vec4<f32>(); var sumV${c} = vec4<f32>();`,
)}
${rows.places}
let begin = u32(keys[p.offsetS + 2u * mine]);
let end = u32(keys[p.offsetS + 2u * mine + 1u]);
let stop = subgroupMax(end);
for (var row = subgroupMin(select(stop, begin, begin < end)); row < stop; row++) {
  // Lanes that read one place hand it over, too: four numbers in one load.
  let range = u32(ranges[p.offsetR + 4u * row + lane % 4u]);
  let seen = (mine >= subgroupBroadcast(range, 0u) && mine < subgroupBroadcast(range, 1u)) ||
    (mine >= subgroupBroadcast(range, 2u) && mine < subgroupBroadcast(range, 3u));
  for (var member = 0u; member < group; member++) {
    let n = row * p.heads + h * group + member;
    let stat = stats[2u * n + lane % 2u];
    ${rows.load("qv", "q", queryRow("offsetQ"))}
    ${rows.load("d", "dy", queryRow("offsetD"))}
    let w = select(0.0, exp(${dotShared(rows, "kv", "qv", 0, size)} - subgroupBroadcast(stat, 0u)), seen);
    let ds = w * (${dotShared(rows, "vv", "d", 0, size)} - subgroupBroadcast(stat, 1u)) * p.scale;
    ${eachVector(size, (c) => `sumK${c} += ds * ${rows.handed("qv", 0, c)}; sumV${c} += w * ${rows.handed("d", 0, c)};`)}
  }
}
if (own < p.keys) {
  ${eachVector(size, (c) => `dk[at * ${size / 4}u + ${c}u] = sumK${c}; dv[at * ${size / 4}u + ${c}u] = sumV${c};`)}
}`;
}
