/**
 * The kind `pact_total`: the whole PACT objective (arXiv 2606.16215 eq. 12–14) through `pactObjective`. The file gives
 * log-probs in both contexts; the gate picks one per prompt before the objective sees it, as the trainer's packing does.
 */
import { klPenalties, pactObjective, policyLosses, sftTokenWeights } from "@pact/pact";
import { concat, reshape, type Tensor, tensor, where } from "@pact/tensor";
import { type Attrs, type Batch, checkObjective, numberOf } from "./batch.ts";
import { average, clipOptions, normaliser, perPrompt, sftLambda, surrogateWeights } from "./surrogate.ts";

/** Checks the per-prompt parts, the loss and the gradients of one case. */
export async function checkTotal(batch: Batch, attrs: Attrs): Promise<string[]> {
  const { device } = batch.context;
  const gate = batch.values("gate");
  const prompts = batch.values("prompt");
  const anchored = tensor(
    Int32Array.from(prompts, (p) => gate[p]),
    { shape: [batch.rows, 1], dtype: "bool", device },
  );
  const policy = surrogateWeights(batch, prompts, average(attrs));
  const sft = batch
    .rowsOf("labels")
    .map((labels) => sftTokenWeights(labels, sftLambda(attrs), normaliser(attrs)));
  const routedSft = sft.flatMap((row, p) => row.map((weight) => (gate[p] === 1 ? 0 : weight / gate.length)));

  /** Rollout tokens of [rows, columns] followed by expert tokens, as one flat row. */
  const joined = (rollouts: Tensor, expert: Tensor) =>
    concat([reshape(rollouts, [-1]), reshape(expert, [-1])]);
  const numbers = (rollouts: readonly number[], expert: readonly number[]) =>
    joined(batch.floats(rollouts), flat(batch, expert));
  const nothing = policy.map(() => 0);
  const noExpert = routedSft.map(() => 0);
  const sides = (x: string, h: string) =>
    joined(where(anchored, batch.tensor(x), batch.tensor(h)), flat(batch, noExpert));
  const options = {
    ...clipOptions(attrs),
    sftWeight: numberOf(attrs, "betaSft") ?? 0.1,
    klCoefficient: numberOf(attrs, "klCoef") ?? 0,
  };
  const loss = (p: Record<string, Tensor>) => {
    const logProbs = joined(where(anchored, p.newX, p.newH), p.sftLogProbs);
    return pactObjective(
      {
        logProbs,
        oldLogProbs: sides("oldX", "oldH"),
        referenceLogProbs: batch.has("refX") ? sides("refX", "refH") : undefined,
        advantages: numbers(batch.values("advantages"), noExpert),
        policyWeights: numbers(policy, noExpert),
        sftWeights: numbers(nothing, routedSft),
      },
      options,
    ).loss;
  };

  const problems = await checkObjective(batch, loss, ["newX", "newH", "sftLogProbs"]);
  const parts: Record<string, number[]> = {};
  for (const side of ["X", "H"]) {
    const [fresh, old] = ["new", "old"].map((when) => batch.tensor(when + side));
    const reference = batch.has(`ref${side}`) ? batch.tensor(`ref${side}`) : fresh;
    const losses = await policyLosses(fresh, old, batch.tensor("advantages"), options).data();
    const kl = await klPenalties(fresh, reference).data();
    parts[`loss${side}`] = perPrompt(batch, prompts, policy, losses);
    parts[`kl${side}`] = perPrompt(batch, prompts, policy, kl);
  }
  const logProbs = batch.rowsOf("sftLogProbs");
  parts.lossSft = sft.map((row, i) => row.reduce((total, weight, j) => total - weight * logProbs[i][j], 0));
  parts.perPrompt = gate.map((z, i) => {
    const side = z === 1 ? "X" : "H";
    const routed = parts[`loss${side}`][i] + options.klCoefficient * parts[`kl${side}`][i];
    return z === 1 ? routed : routed + options.sftWeight * parts.lossSft[i];
  });
  for (const [name, values] of Object.entries(parts)) problems.push(...batch.expect(name, values));
  return problems;
}

function flat({ context: { dtype, device } }: Batch, values: readonly number[]): Tensor {
  return tensor(Float64Array.from(values), { dtype, device });
}
