/**
 * AdamW trajectories of a model folder: ten steps on one batch, with a clip that is always active and, where present, one
 * that is active in some steps. Compared with the float64 reference; in float32 within losses 1e-5, norms 1e-4 and
 * parameter checksums 1e-3 (test/golden/README.md).
 */
import { AdamW, type Params } from "@pact/nn";
import { square, sum, valueAndGrad } from "@pact/tensor";
import { compare, relative } from "./format.ts";
import { batchLoss, type Course, type GoldenModel } from "./reference.ts";

/** Runs both trajectories. */
export async function checkTrajectories(model: GoldenModel): Promise<string[]> {
  const { optimizer, trajectory, trajectoryClipPartlyActive: partly, finalParams } = model.reference;
  const decayed = Object.entries(model.params).filter(([, p]) => p.rank >= 2);
  if (
    decayed
      .map(([name]) => name)
      .sort()
      .join() !== [...optimizer.decayed].sort().join()
  )
    return ["optimizer.decayed is not the set of parameters with two or more dimensions"];
  const problems = await checkCourse(
    model,
    "trajectory",
    trajectory,
    optimizer.clipGlobalNorm,
    finalParams?.float64,
  );
  if (partly)
    problems.push(...(await checkCourse(model, "trajectoryClipPartlyActive", partly, partly.clipGlobalNorm)));
  return problems;
}

async function checkCourse(
  model: GoldenModel,
  name: string,
  { float64: expected }: Course,
  clipNorm: number,
  finalParams?: Record<string, [number, number]>,
): Promise<string[]> {
  const { beta1, beta2, eps, weightDecay, lr } = model.reference.optimizer;
  const optimizer = new AdamW(model.params, { beta1, beta2, eps, weightDecay, clipNorm });
  const lossOf = (params: Params) => batchLoss(model.config, params, model.reference.inputIds);
  const losses: number[] = [];
  const norms: number[] = [];
  for (const _ of expected.loss) {
    const { value, grads } = valueAndGrad(lossOf)(optimizer.params);
    const norm = optimizer.step(grads, lr);
    losses.push(await value.item());
    norms.push(await norm.item());
    for (const used of [value, norm, ...Object.values(grads)]) used.dispose();
  }
  const exact = model.context.dtype === "f64";
  const bound = (float32: number) => (exact ? relative(1e-9) : () => float32);
  const problems = [
    ...compare(`${name}.loss`, losses, expected.loss, bound(1e-5)),
    ...compare(`${name}.gradNorm`, norms, expected.gradNorm, bound(1e-4)),
    ...compare(
      `${name}.finalLoss`,
      [await lossOf(optimizer.params).item()],
      [expected.finalLoss],
      bound(1e-5),
    ),
  ];
  for (const [parameter, checksum] of Object.entries(finalParams ?? {})) {
    // True gradient 0: Adam divides rounding noise by itself, so the value means little in f64 and nothing in f32.
    const noise = parameter.endsWith("k_proj.bias");
    if (noise && !exact) continue;
    const tensor = optimizer.params[parameter];
    const actual = [await sum(tensor).item(), await sum(square(tensor)).item()];
    problems.push(
      ...compare(`finalParams ${parameter}`, actual, checksum, noise ? relative(1e-8) : bound(1e-3)),
    );
  }
  optimizer.dispose();
  return problems;
}
