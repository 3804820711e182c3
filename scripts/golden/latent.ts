/**
 * latent.json: an enumerable latent-trace model. Every trace h and rollout τ has two tokens, so
 * log π(τ) = log Σ_h p(h) π(τ | h) and its lower bound log p(h) + log π(τ | h) (arXiv 2606.16215, latent-trace view) can
 * be computed exactly, with their gradients, from four tables of logits.
 */
import {
  add,
  logSoftmax,
  logSumExp,
  reshape,
  slice,
  sub,
  sum,
  type Tensor,
  transpose,
  unsqueeze,
  valueAndGrad,
} from "@pact/tensor";
import {
  type Context,
  compareTensor,
  type GoldenTensor,
  type Outcome,
  readJson,
  runCase,
  toTensor,
} from "./format.ts";

type Tables<T> = { traceFirst: T; traceSecond: T; rolloutFirst: T; rolloutSecond: T };
type LatentFile = {
  vocab: number;
  logits: Tables<GoldenTensor>;
  logTrace: GoldenTensor;
  logTauGivenTrace: GoldenTensor;
  logTau: GoldenTensor;
  bound: GoldenTensor;
  logPosterior: GoldenTensor;
  gap: GoldenTensor;
  gradient: { rollout: number; trace: number; logTau: Tables<GoldenTensor>; bound: Tables<GoldenTensor> };
};

/** Checks the one case of latent.json; tolerance 1e-12 in f64, 1e-5 in f32. */
export async function checkLatent(context: Context, folder: string): Promise<Outcome[]> {
  return [await runCase("latent", () => checkTables(context, folder))];
}

async function checkTables(context: Context, folder: string): Promise<string[]> {
  const golden = await readJson<LatentFile>(folder, "latent.json");
  const allowed = context.dtype === "f64" ? 1e-12 : 1e-5;
  const tolerance = (reference: number) => allowed * Math.max(1, Math.abs(reference));
  const V = golden.vocab;
  const tables: Tables<Tensor> = {
    traceFirst: toTensor(context, golden.logits.traceFirst), // [h1]
    traceSecond: toTensor(context, golden.logits.traceSecond), // [h1, h2]
    rolloutFirst: toTensor(context, golden.logits.rolloutFirst), // [h1, h2, τ1]
    rolloutSecond: toTensor(context, golden.logits.rolloutSecond), // [h1, h2, τ1, τ2]
  };
  const compute = (logits: Tables<Tensor>) => {
    const pairs = add(unsqueeze(logSoftmax(logits.traceFirst), 1), logSoftmax(logits.traceSecond));
    const logTrace = reshape(pairs, [V * V]);
    const steps = add(unsqueeze(logSoftmax(logits.rolloutFirst), 3), logSoftmax(logits.rolloutSecond));
    const logTauGivenTrace = transpose(reshape(steps, [V * V, V * V]), 0, 1); // [τ, h]
    const bound = add(logTauGivenTrace, logTrace); // [τ, h]
    const logTau = logSumExp(bound, { axes: 1 }); // [τ]
    const logPosterior = sub(bound, unsqueeze(logTau, 1));
    return { logTrace, logTauGivenTrace, bound, logTau, logPosterior, gap: sub(unsqueeze(logTau, 1), bound) };
  };
  const problems: string[] = [];
  for (const [name, value] of Object.entries(compute(tables)))
    problems.push(
      ...(await compareTensor(name, value, golden[name as keyof LatentFile] as GoldenTensor, tolerance)),
    );

  const { rollout, trace } = golden.gradient;
  const objectives = {
    logTau: (p: Tables<Tensor>) => sum(slice(compute(p).logTau, [rollout], [rollout + 1])),
    bound: (p: Tables<Tensor>) => sum(slice(compute(p).bound, [rollout, trace], [rollout + 1, trace + 1])),
  };
  for (const name of ["logTau", "bound"] as const) {
    const { grads } = valueAndGrad(objectives[name])(tables);
    for (const [table, expected] of Object.entries(golden.gradient[name]))
      problems.push(
        ...(await compareTensor(
          `∂${name}/∂${table}`,
          grads[table as keyof Tables<Tensor>],
          expected,
          tolerance,
        )),
      );
  }
  return problems;
}
