/** SGD and parameter groups on WebGPU: PyTorch's steps to f32. */
import { AdamW, Sgd } from "@pact/nn";
import { describe, it } from "vitest";
import { requireGpu } from "../helpers/require.ts";
import * as torch from "./torch-steps.ts";

const device = (await requireGpu())!;

describe.skipIf(!device)("on webgpu", () => {
  it.each(torch.sgdRuns)("Sgd walks with PyTorch: $options", ({ options, expected }) =>
    torch.walksWithTorch(
      device,
      (p) => new Sgd(p, { clipNorm: Number.POSITIVE_INFINITY, ...options }),
      expected,
      2e-6,
    ),
  );

  it("Sgd walks with PyTorch in groups, clipped by the norm over all of them", () => {
    const { options, expected, norms } = torch.clippedGroups;
    return torch.walksWithTorch(device, (p) => new Sgd(p, options), expected, 2e-6, norms);
  });

  it("AdamW walks with PyTorch in groups", () => {
    const { options, expected } = torch.adamGroups;
    return torch.walksWithTorch(device, (p) => new AdamW(p, options), expected, 2e-6);
  });
});
