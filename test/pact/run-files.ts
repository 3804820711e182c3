/** What a run folder holds that must not depend on interruptions. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Logs without times, and checkpoints byte for byte, by file name. */
export function runFiles(folder: string): Record<string, string> {
  const files: Record<string, string> = {};
  for (const name of ["metrics.jsonl", "rollouts.jsonl", "evaluations.jsonl"]) {
    const lines = readFileSync(join(folder, name), "utf8").trimEnd().split("\n");
    files[name] = lines.map((line) => JSON.stringify({ ...JSON.parse(line), time: undefined })).join("\n");
  }
  for (const step of readdirSync(join(folder, "checkpoints"))) {
    if (step === "latest") continue;
    for (const file of readdirSync(join(folder, "checkpoints", step)))
      files[`${step}/${file}`] = readFileSync(join(folder, "checkpoints", step, file), "base64");
  }
  return files;
}
