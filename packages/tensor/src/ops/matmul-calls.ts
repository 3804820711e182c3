/**
 * How a matrix product starts its kernels: which text reads its operands where they lie, and into how many parts a long sum
 * is cut. Which variant runs is variants.ts; the texts are matmul-wgsl.ts (a tile per invocation), matmul-subgroups.ts,
 * matmul-shared.ts and matmul-few.ts.
 */
import { type BufferType, bufferType, type KernelCall, u32Params } from "../backends/webgpu/kernel.ts";
import { computeType } from "../dtype.ts";
import { ShapeError } from "../errors.ts";
import { broadcastStrides, formatShape, type Shape, sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { kernelVariants, subgroupLanes } from "../variants.ts";
import { fewColumns, fewRows, fewSource } from "./matmul-few.ts";
import { sharedSource, sharedTile } from "./matmul-shared.ts";
import { laneColumns, type Reads, subgroupSource } from "./matmul-subgroups.ts";
import { kernelText, type Layout } from "./matmul-wgsl.ts";
import { reduceCall, sumKernel } from "./reduce-wgsl.ts";

const leading = (shape: Shape) => shape.slice(0, -2);

/** Strides of the leading dimensions, merged to one; null if they do not walk in even steps. */
export function batchStride(x: Tensor, batch: Shape): number | null {
  const strides = broadcastStrides(leading(x.shape), leading(x.strides), batch);
  let step: number | null = null;
  let size = 1;
  for (let d = batch.length - 1; d >= 0; d--) {
    if (batch[d] === 1) continue;
    if (step === null) step = strides[d];
    else if (strides[d] !== step * size) return null;
    size *= batch[d];
  }
  return step ?? 0;
}

/** The last two axes of an operand and how its batch walks: what the kernels get of it. */
interface Operand {
  readonly x: Tensor;
  readonly offset: number;
  /** Steps along m or n, along k, and from batch entry to batch entry. */
  readonly outer: number;
  readonly inner: number;
  readonly batch: number;
}

/** One product for the kernels: out [batches, m, n] in memory. */
export interface Product {
  readonly a: Operand;
  readonly b: Operand;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly batches: number;
}

/** out = a·b as the kernels see it; `sa` and `sb` are the steps from batch entry to batch entry. */
export function productOf(a: Tensor, b: Tensor, out: Tensor, sa = 0, sb = 0): Product {
  const [m, n] = out.shape.slice(-2);
  return {
    a: { x: a, offset: a.offset, outer: a.strides[a.rank - 2], inner: a.strides[a.rank - 1], batch: sa },
    b: { x: b, offset: b.offset, outer: b.strides[b.rank - 1], inner: b.strides[b.rank - 2], batch: sb },
    ...{ m, n, k: a.shape[a.rank - 1], batches: sizeOf(leading(out.shape)) },
  };
}

/** The kernel starts of out = a·b; a batch that does not walk in even steps is refused. */
export function matmulCalls(a: Tensor, b: Tensor, out: Tensor): KernelCall[] {
  const batch = leading(out.shape);
  const [sa, sb] = [batchStride(a, batch), batchStride(b, batch)];
  if (sa === null || sb === null) {
    throw new ShapeError(
      `matmul: a is ${formatShape(a.shape)}, b is ${formatShape(b.shape)}; expected leading axes in even steps, one is a view with others. ` +
        "Copy it: reshape(a, a.shape).",
    );
  }
  const product = productOf(a, b, out, sa, sb);
  const lanes = subgroupLanes(a.device, "matmul");
  const shared = kernelVariants(a.device)?.matmul === "shared";
  // One column: y = a·b is yᵀ = bᵀ·aᵀ in the same memory, one row that many columns share.
  const turned =
    (lanes > 0 || shared) && product.n === 1
      ? { ...product, a: product.b, b: product.a, m: 1, n: product.m }
      : product;
  if (lanes > 0)
    return inParts(turned, out, subgroupChunk(turned, lanes), (target, chunk) =>
      subgroupCall(turned, target, chunk, lanes),
    );
  if (shared && turned.m <= sharingFrom) return [fewCall(turned, out)];
  // Few columns would leave most of a workgroup idle.
  if (shared && product.n > sharingFrom)
    return inParts(product, out, sharedChunk(product), (target, chunk) => sharedCall(product, target, chunk));
  return inParts(product, out, tileChunk(product, out), (target, chunk) => tileCall(product, target, chunk));
}

/** Rows and columns above which a workgroup computes 64 × 64 results. */
const sharingFrom = 16;

/**
 * The starts of a product whose sums are cut into parts of `chunk` along k: each part is computed as a batch entry is, and
 * another kernel adds them up in order.
 */
export function inParts(
  { k }: Product,
  out: Tensor,
  chunk: number,
  start: (target: Tensor, chunk: number) => KernelCall,
): KernelCall[] {
  if (chunk >= k) return [start(out, k)];
  const partial = out.device.empty([Math.ceil(k / chunk), out.size], computeType(out.dtype));
  const calls = [start(partial, chunk), reduceCall(sumKernel, partial, out, [0], 1)];
  partial.dispose();
  return calls;
}

/** Each workgroup computes 64 × 64 results. */
export function sharedCall(product: Product, target: Tensor, chunk: number): KernelCall {
  const { a, b, m, n } = product;
  const [innerA, innerB] = [a.inner === 1, b.inner === 1];
  const tiles = Math.ceil(m / sharedTile) * Math.ceil(n / sharedTile);
  return {
    key: `matmul:shared:${innerA}:${innerB}:${a.x.dtype}>${target.dtype}`,
    source: () => ({
      ...sharedSource(innerA, innerB, a.x.dtype, target.dtype),
      params: u32Params(...paramNames),
    }),
    buffers: [a.x, b.x, target],
    params: params(product, target, chunk, tiles),
    count: copies(product, chunk) * tiles * 64,
  };
}

/** Workgroups that keep a GPU busy; a guess, no GPU was at hand to measure on. */
const busyWorkgroups = 128;

/** Products of few results are cut along k, into no parts shorter than subgroups take. */
function sharedChunk({ m, n, k, batches }: Product): number {
  if (batches > 1) return k;
  const tiles = Math.ceil(m / sharedTile) * Math.ceil(n / sharedTile);
  const parts = Math.min(Math.ceil(busyWorkgroups / tiles), Math.floor(k / shortest));
  return Math.ceil(k / Math.max(parts, Math.ceil(k / longest), 1));
}

/** Each workgroup computes a few rows of a few columns. */
export function fewCall(product: Product, target: Tensor): KernelCall {
  const { a, b, m, n, k } = product;
  const inner = b.inner === 1;
  const tiles = Math.ceil(m / fewRows) * Math.ceil(n / fewColumns(inner));
  return {
    key: `matmul:few:${inner}:${a.x.dtype}>${target.dtype}`,
    source: () => ({
      ...fewSource(inner, a.x.dtype, target.dtype),
      params: u32Params(...paramNames),
    }),
    buffers: [a.x, b.x, target],
    params: params(product, target, k, tiles),
    count: copies(product, k) * tiles * 64,
  };
}

/** Sums longer than this are cut into parts of it, summed afterwards: cache-sized pieces, more lanes at work. */
const tileChunkLength = 256;

function tileChunk({ k, batches }: Product, out: Tensor): number {
  const cut = k > 3 * tileChunkLength && out.size <= 2 ** 17 && batches === 1;
  return cut ? tileChunkLength : k;
}

/** Subgroups that keep a software adapter's threads busy: a few workgroups each. */
const busySubgroups = 32;
/** Neither parts shorter than this (they do not pay), nor sums longer than `longest` in one go (they lose digits). */
const shortest = 256;
const longest = 4096;

function subgroupChunk(product: Product, lanes: number): number {
  const { m, n, k, batches } = product;
  if (batches > 1) return k;
  const tiles = Math.ceil(m / shapeOf(product, lanes).rows) * Math.ceil(n / (lanes * laneColumns));
  const parts = Math.min(Math.ceil(busySubgroups / tiles), Math.floor(k / shortest));
  return Math.ceil(k / Math.max(parts, Math.ceil(k / longest), 1) / 4) * 4;
}

/**
 * What a subgroup reads at once, and its rows: more would gain little and compile for seconds with eight lanes, but not with
 * four (docs/log.md). Both follow from where operands lie, not from sizes, so that another size compiles nothing; but for
 * products of few rows, as in decoding, which would else compute rows that are not there. Each result is the same sum in the
 * same order.
 */
function shapeOf({ a, b, m, n, k }: Product, lanes: number): { reads: Reads; rows: number } {
  const rows = (most: number) => [lanes / 2, 8].find((few) => m <= few && few < most) ?? most;
  const more = lanes < 8 ? 2 : 1;
  if (fits(b, b.outer, n, b.inner)) return { reads: "columns", rows: rows(16 * more) };
  const inner = fits(a, a.inner, k, a.outer) && fits(b, b.inner, k, b.outer);
  return inner ? { reads: "inner", rows: rows(8 * more) } : { reads: "single", rows: rows(16) };
}

/** NOTE: with the two of every kernel these are the 64 bytes that travel inside a command; one more costs lavapipe 22 µs a start. */
const paramNames = "m n k chunk tiles offsetA offsetB offsetOut batchA batchB am ak bk bn".split(" ");

/** Values of `paramNames`. Where k is cut, its parts take the place of the batch: each starts where its chunk does. */
function params({ a, b, m, n, k }: Product, target: Tensor, chunk: number, tiles: number): number[] {
  const split = chunk < k;
  return [
    ...[m, n, k, chunk, tiles, a.offset, b.offset, target.offset],
    ...(split ? [chunk * a.inner, chunk * b.inner] : [a.batch, b.batch]),
    ...[a.outer, a.inner, b.inner, b.outer],
  ];
}

const copies = ({ k, batches }: Product, chunk: number) => (chunk < k ? Math.ceil(k / chunk) : batches);

/** Whether vec4 loads along one dimension are aligned everywhere. */
function fits({ offset, batch }: Operand, along: number, size: number, other: number): boolean {
  return along === 1 && size % 4 === 0 && other % 4 === 0 && offset % 4 === 0 && batch % 4 === 0;
}

/** `shape` other than by default is for measuring. */
export function subgroupCall(
  product: Product,
  target: Tensor,
  chunk: number,
  lanes: number,
  { reads, rows } = shapeOf(product, lanes),
): KernelCall {
  const { a, b, m, n } = product;
  const tiles = Math.ceil(m / rows) * Math.ceil(n / (lanes * laneColumns));
  return {
    key: `matmul:subgroups:${rows}:${reads}:${a.x.dtype}>${target.dtype}`,
    source: () => ({
      ...subgroupSource(reads, lanes, rows, a.x.dtype, target.dtype),
      params: u32Params(...paramNames),
    }),
    buffers: [a.x, b.x, target],
    params: params(product, target, chunk, tiles),
    count: copies(product, chunk) * tiles * lanes,
  };
}

function layoutOf(x: Operand, size: number, k: number): Layout {
  if (fits(x, x.inner, k, x.outer)) return "inner";
  return fits(x, x.outer, size, x.inner) ? "outer" : "scalar";
}

/**
 * Rows and columns of the tile that one invocation computes, by the layouts of a and b. Larger tiles load less per
 * multiply-add; past these sizes registers spill (docs/log.md).
 */
const tileSizes: Readonly<Record<string, readonly [number, number]>> = {
  "inner:inner": [8, 8],
  "inner:outer": [8, 8],
  "outer:inner": [4, 4],
  "outer:outer": [8, 8],
  "scalar:scalar": [4, 4],
};

/** `tile` other than by default is for measuring. */
export function tileCall(
  product: Product,
  target: Tensor,
  chunk: number,
  tile?: readonly [number, number],
): KernelCall {
  const { a, b, m, n, k } = product;
  let la = layoutOf(a, m, k);
  let lb = layoutOf(b, n, k);
  // Vector loads need both sides: tiles advance by 4 along k as soon as one operand is read along k.
  if (la === "scalar" || lb === "scalar" || ((la === "inner" || lb === "inner") && k % 4 !== 0))
    la = lb = "scalar";
  const element = a.x.dtype === "f16" ? "f16" : "f32";
  const type: BufferType = la === "scalar" ? element : `vec4<${element}>`;
  const [tileM, tileN] = tile ?? tileSizes[`${la}:${lb}`];
  const tiles = Math.ceil(m / tileM) * Math.ceil(n / tileN);
  return {
    key: `matmul:${la}:${lb}:${tileM}x${tileN}:${a.x.dtype}>${target.dtype}`,
    source: () => ({
      buffers: [
        { name: "a", type },
        { name: "b", type },
        { name: "out", type: bufferType(target.dtype), write: true },
      ],
      params: u32Params(...paramNames),
      put: `fn put(at: u32, value: f32) { out[p.offsetOut + at] = ${bufferType(target.dtype)}(value); }`,
      main: kernelText(la, lb, tileM, tileN),
    }),
    buffers: [a.x, b.x, target],
    params: params(product, target, chunk, tiles),
    count: copies(product, chunk) * tiles,
  };
}
