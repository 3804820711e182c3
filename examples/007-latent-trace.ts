// The latent-trace view of PACT, exact: a model so small that every trace h and every rollout τ can be enumerated.
//   log π(τ|x) = log Σ_h p(h|x) π(τ|x,h)  ≥  log p(h|x) + log π(τ|x,h),   and the gap is −log p(h|τ,x).
// It motivates the method and guarantees nothing; the last lines show why. Less than a second on the cpu device.
//   node --import tsx --conditions=source examples/007-latent-trace.ts
import { type LatentTables, latentGradients, latentView } from "@pact/pact";
import { init, tensor } from "@pact/tensor";

const device = await init({ device: "cpu" });
const [H, T] = [2, 3]; // vocabularies of traces and rollouts; both have two tokens
let drawn = 0;
const table = (...shape: number[]) => {
  const size = shape.reduce((a, b) => a * b, 1);
  return tensor(
    Float64Array.from({ length: size }, () => 2 * Math.sin(++drawn)),
    { shape, device },
  );
};
const tables: LatentTables = {
  traceFirst: table(H),
  traceSecond: table(H, H),
  rolloutFirst: table(H, H, T),
  rolloutSecond: table(H, H, T, T),
};
const view = latentView(tables);
const read = async (name: keyof typeof view) => Array.from(await view[name].data(), Number);
const [logTrace, given, logTau, bound, posterior, gap] = await Promise.all(
  (["logTrace", "logTauGivenTrace", "logTau", "bound", "logPosterior", "gap"] as const).map(read),
);

const rollout = 0;
const traces = H * H;
const shown = (value: number) => value.toFixed(4).padStart(9);
console.log(`rollout ${rollout}: log π(τ|x) = ${logTau[rollout].toFixed(4)}`);
console.log("trace   log p(h|x)  log π(τ|x,h)    bound      gap   p(h|τ,x)");
for (let h = 0; h < traces; h++) {
  const at = rollout * traces + h;
  const cells = [logTrace[h], given[at], bound[at], gap[at], Math.exp(posterior[at])].map(shown);
  console.log(`${String(h).padStart(5)}  ${cells.join("  ")}`);
}

/** A gradient as one list of numbers. */
async function flat(grads: LatentTables): Promise<number[]> {
  const parts = [grads.traceFirst, grads.traceSecond, grads.rolloutFirst, grads.rolloutSecond];
  return (await Promise.all(parts.map((part) => part.data()))).flatMap((part) => Array.from(part, Number));
}
const pairs = Array.from({ length: traces }, (_, h) => latentGradients(tables, rollout, h));
const exact = await flat(pairs[0].logTau);
const bounds = await Promise.all(pairs.map((pair) => flat(pair.bound)));
const dot = (a: readonly number[], b: readonly number[]) =>
  a.reduce((sum, value, i) => sum + value * b[i], 0);
const cosines = bounds.map((g) => dot(exact, g) / Math.sqrt(dot(exact, exact) * dot(g, g)));
console.log("cosine of ∇ bound_h with ∇ log π(τ|x):", cosines.map((c) => c.toFixed(3)).join("  "));

// Fisher's identity: the exact gradient is the posterior's mean of the bounds' gradients.
const mixed = exact.map((_, i) => {
  const terms = bounds.map((g, h) => Math.exp(posterior[rollout * traces + h]) * g[i]);
  return terms.reduce((sum, term) => sum + term, 0);
});
const difference = Math.max(...exact.map((value, i) => Math.abs(value - mixed[i])));
console.log(`∇ log π(τ|x) and Σ_h p(h|τ,x) ∇ bound_h differ by at most ${difference.toExponential(1)}`);

// With A < 0 one lowers the bound. Following it for a trace that the rollout does not point to may raise the likelihood.
const worst = cosines.indexOf(Math.min(...cosines));
const raises = cosines[worst] < 0;
console.log(`the bound of trace ${worst} points ${raises ? "away from" : "along"} the likelihood`);

const near = (a: number, b: number) => Math.abs(a - b) < 1e-12;
const total = logTau.reduce((sum, value) => sum + Math.exp(value), 0);
if (!near(total, 1)) throw new Error(`the rollouts' probabilities add up to ${total}`);
if (!gap.every((value, at) => value >= 0 && near(value, -posterior[at])))
  throw new Error("the gap is not −log p(h|τ,x)");
if (!(difference < 1e-12)) throw new Error("Fisher's identity does not hold");
if (!raises) throw new Error("expected one trace whose bound points away from the likelihood");
