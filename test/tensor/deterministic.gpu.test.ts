/** Same bits run to run: a training step and sampling in two processes, cold and with a pool that other work filled. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { requireGpu } from "../helpers/require.ts";

const root = new URL("../../", import.meta.url);
const present = await requireGpu();

/** What a new process computes. */
async function child(device: string): Promise<Record<"cold" | "other" | "warm", Record<string, string>>> {
  const script = "test/helpers/deterministic-child.ts";
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ["--import", "tsx", "--conditions=source", script, device],
    { cwd: root },
  );
  return JSON.parse(stdout);
}

test.each(present ? ["cpu", "webgpu"] : ["cpu"])(
  "two processes on %s compute the same bits",
  async (device) => {
    const [first, second] = await Promise.all([child(device), child(device)]);
    expect(Object.keys(first.cold)).toEqual(["loss", "gradients", "norm", "state", "samples"]);
    expect(second).toEqual(first);
    expect(first.warm).toEqual(first.cold);
    // The hash sees the numbers: another batch gives another.
    for (const kind of ["loss", "gradients", "norm", "state"]) {
      expect(first.other[kind]).not.toBe(first.cold[kind]);
    }
  },
);
