/** Elementwise operations from outside the package that a fused kernel can not hold together, and what else they stand beside. */
import * as t from "@pact/tensor";

const scaling = (name: string, k: number, helpers: string, call: string) =>
  t.elementwise<null>({
    name,
    dtypes: ["f32"],
    cpu: ([x]) => x * k,
    wgsl: ([x]) => `${call}(${x})`,
    helpers,
    domains: [],
  });

const text = (call: string, k: number) => `fn ${call}(x: f32) -> f32 { return x * ${k}.0; }`;
/** Two that call different functions by one name, and one that calls its function what fused kernels call theirs. */
const twice = scaling("twice", 2, text("scaled", 2), "scaled");
const thrice = scaling("thrice", 3, text("scaled", 3), "scaled");
const fourfold = scaling("fourfold", 4, `\n  ${text("put", 4)}`, "put");
const fivefold = scaling(
  "fivefold",
  5,
  `const factor = 5.0;\nfn other(x: f32) -> f32 { var s = x; return s * factor; }`,
  "other",
);
/** One whose function reads its parameter. */
const limited = t.elementwise<{ top: number }>({
  name: "limited",
  dtypes: ["f32"],
  cpu: ([x], { top }) => Math.min(x, top),
  wgsl: ([x]) => `limit(${x})`,
  helpers: "fn limit(x: f32) -> f32 { return min(x, p.top); }",
  params: { names: ["top"], values: ({ top }) => [top] },
  domains: [],
});

const by = (op: typeof twice) => (x: t.Tensor) => t.apply(op, [x], null);

/** Functions of x [4, 4], each with what they are called in a test. */
export const customFunctions: readonly (readonly [string, (x: t.Tensor) => t.Tensor])[] = [
  ["two texts of one name", (x) => by(thrice)(by(twice)(x))],
  ["a name of the kernel's own", (x) => t.add(by(fourfold)(t.mul(x, 0.5)), 1)],
  ["constants", (x) => t.sum(by(fivefold)(by(fivefold)(by(twice)(x))), { axes: [0] })],
  ["a parameter", (x) => t.mul(t.apply(limited, [t.apply(limited, [x], { top: 3 })], { top: 2 }), 2)],
  ["behind a product", (x) => by(thrice)(by(twice)(t.matmul(x, x)))],
];
