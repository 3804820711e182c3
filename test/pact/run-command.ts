/** Runs the program in this process, with what it writes caught. */
import { vi } from "vitest";
import { main } from "../../packages/pact/src/cli.ts";

/** `pact …`: its exit code and what it wrote to standard output and standard error. */
export async function pact(
  ...args: readonly string[]
): Promise<{ code: number; out: string; error: string }> {
  let [out, error] = ["", ""];
  const outs = vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    out += String(text);
    return true;
  });
  const errors = vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    error += String(text);
    return true;
  });
  try {
    return { code: await main(args), out, error };
  } finally {
    outs.mockRestore();
    errors.mockRestore();
  }
}
