/**
 * latent.json: the enumerable latent-trace model (arXiv 2606.16215, latent-trace view) through the public API: every
 * quantity, and the gradients of one log-likelihood and one bound.
 */
import { type LatentTables, latentGradients, latentView } from "@pact/pact";
import {
  type Context,
  compareTensor,
  type GoldenTensor,
  type Outcome,
  readJson,
  runCase,
  toTensor,
} from "./format.ts";

const tableNames = ["traceFirst", "traceSecond", "rolloutFirst", "rolloutSecond"] as const;
const quantities = ["logTrace", "logTauGivenTrace", "logTau", "bound", "logPosterior", "gap"] as const;

type GoldenTables = Record<(typeof tableNames)[number], GoldenTensor>;
type LatentFile = Record<(typeof quantities)[number], GoldenTensor> & {
  logits: GoldenTables;
  gradient: { rollout: number; trace: number; logTau: GoldenTables; bound: GoldenTables };
};

/** Checks the one case of latent.json; tolerance 1e-12 in f64, 1e-5 in f32. */
export async function checkLatent(context: Context, folder: string): Promise<Outcome[]> {
  return [await runCase("latent", () => checkTables(context, folder))];
}

async function checkTables(context: Context, folder: string): Promise<string[]> {
  const golden = await readJson<LatentFile>(folder, "latent.json");
  const allowed = context.dtype === "f64" ? 1e-12 : 1e-5;
  const tolerance = (reference: number) => allowed * Math.max(1, Math.abs(reference));
  const tables: LatentTables = {
    traceFirst: toTensor(context, golden.logits.traceFirst),
    traceSecond: toTensor(context, golden.logits.traceSecond),
    rolloutFirst: toTensor(context, golden.logits.rolloutFirst),
    rolloutSecond: toTensor(context, golden.logits.rolloutSecond),
  };
  const problems: string[] = [];
  const view = latentView(tables);
  for (const name of quantities)
    problems.push(...(await compareTensor(name, view[name], golden[name], tolerance)));
  const gradients = latentGradients(tables, golden.gradient.rollout, golden.gradient.trace);
  for (const of of ["logTau", "bound"] as const) {
    for (const table of tableNames) {
      const expected = golden.gradient[of][table];
      problems.push(...(await compareTensor(`∂${of}/∂${table}`, gradients[of][table], expected, tolerance)));
    }
  }
  return problems;
}
