/**
 * `npm run golden -- --dir <folder> [--device cpu|webgpu] [--json]`: checks a folder of golden reference numbers
 * (test/golden/README.md describes the format) through the public API of the packages, and prints
 * `{passed, failed, unsupported, failures: [{name, reason}]}`. Exits with 1 if anything failed.
 *
 * One count per case of ops.json, rl_losses.json, rewards.json and latent.json; a subfolder with `reference.json` is a
 * model and counts once each for logits, loss, gradients, trajectory, greedy, packed, tree and bf16 as far as it has
 * them. Absent files are ignored. On cpu everything runs in f64; on webgpu tensors are f32, plain numbers stay f64.
 */
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { createDevice, type Device } from "@pact/tensor";
import { type Context, GoldenFolderError, listFolder, type Report, summarise } from "./golden/format.ts";
import { checkLatent } from "./golden/latent.ts";
import { checkLosses } from "./golden/losses.ts";
import { checkModel } from "./golden/models.ts";
import { checkOps } from "./golden/ops.ts";
import { checkRewards } from "./golden/rewards.ts";

const usage = `npm run golden -- [--dir <folder>] [--device cpu|webgpu] [--json]

  --dir <folder>   folder of the golden format; default test/golden
  --device <name>  cpu (f64, default) or webgpu (f32)
  --json           print one line of JSON instead of an indented report
  --help           this text
`;

/** Checks every file of `folder` on `device` and counts the outcomes. */
export async function checkFolder(folder: string, device: Device): Promise<Report> {
  const context: Context = { device, dtype: device.kind === "cpu" ? "f64" : "f32" };
  const { files, models } = await listFolder(folder);
  const outcomes = [];
  if (files.has("ops.json")) outcomes.push(...(await checkOps(context, folder)));
  if (files.has("rl_losses.json")) outcomes.push(...(await checkLosses(context, folder)));
  if (files.has("rewards.json")) outcomes.push(...(await checkRewards(folder)));
  if (files.has("latent.json")) outcomes.push(...(await checkLatent(context, folder)));
  for (const model of models) outcomes.push(...(await checkModel(context, folder, model)));
  return summarise(outcomes);
}

/** Runs the command line and returns its exit status: 0 all right, 1 something failed, 2 wrong usage. */
export async function main(args: readonly string[], print: (text: string) => void): Promise<number> {
  let values: { dir: string; device: string; json: boolean; help: boolean };
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: {
        dir: { type: "string", default: "test/golden" },
        device: { type: "string", default: "cpu" },
        json: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    }));
    if (values.device !== "cpu" && values.device !== "webgpu")
      throw new TypeError(`--device takes cpu or webgpu, received "${values.device}"`);
  } catch (error) {
    print(`${(error as Error).message}\n\n${usage}`);
    return 2;
  }
  if (values.help) {
    print(usage);
    return 0;
  }
  const device = await createDevice({ device: values.device as "cpu" | "webgpu" });
  try {
    const report = await checkFolder(resolve(values.dir), device);
    print(JSON.stringify(report, null, values.json ? 0 : 2));
    return report.failed > 0 ? 1 : 0;
  } catch (error) {
    if (!(error instanceof GoldenFolderError)) throw error;
    print(error.message);
    return 2;
  } finally {
    device.destroy();
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href)
  process.exitCode = await main(process.argv.slice(2), (text) => console.log(text));
