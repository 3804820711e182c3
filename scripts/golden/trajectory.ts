/**
 * AdamW trajectories of a model folder: ten steps on one batch, with a clip that is always active and, where present, one
 * that is active in some steps. Compared with the float64 reference; in float32 within losses 1e-5, norms 1e-4 and
 * parameter checksums 1e-3 (test/golden/README.md), each · max(1, |ref|) · `instability`.
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
    optimizer.weightDecay !== 0 &&
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
  course: Course,
  clip: number | null | undefined,
  finalParams?: Record<string, [number, number]>,
): Promise<string[]> {
  const { beta1, beta2, eps, weightDecay, lr } = model.reference.optimizer;
  const expected = course.float64;
  const clipNorm = clip ?? Number.POSITIVE_INFINITY;
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
  const factor = instability(course, lr);
  const bound = (suggested: number) => relative(exact ? 1e-9 : suggested * factor);
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

/**
 * How much further than the suggested bounds a float32 course may stray, 1 to 10. Adam turns the rounding noise of small
 * gradients into steps of the learning rate's size, and the suggestions were measured at 1e-3; and where the reference's
 * own float32 course is already further off than a tenth of a bound, the noise grows from step to step.
 */
function instability({ float64, float32 }: Course, lr: number): number {
  const farthest = (a: readonly number[], b: readonly number[]) =>
    Math.max(...a.map((x, i) => Math.abs(x - b[i])));
  const loss = float32 ? farthest(float32.loss, float64.loss) / 1e-5 : 0;
  const norm = float32 ? farthest(float32.gradNorm, float64.gradNorm) / 1e-4 : 0;
  return Math.min(10, Math.max(1, lr / 1e-3, 10 * loss, 10 * norm));
}
