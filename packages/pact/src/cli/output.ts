/**
 * Output that can not be written: a full disk, a reader that is gone. Work goes on, for its folder holds all that counts;
 * but what was asked for on standard output is lost, and the exit code says so.
 */

/** What is needed of `process`. */
export interface OutputProcess {
  readonly stdout: { on(event: "error", listener: (error: NodeJS.ErrnoException) => void): unknown };
  readonly stderr: {
    on(event: "error", listener: () => void): unknown;
    write(text: string): unknown;
  };
  exitCode?: string | number | null | undefined;
  on(event: "exit", listener: (code: number) => void): unknown;
}

/**
 * Lets a command outlive its output: without listeners, a write that fails ends the process. If it then ends well although
 * standard output failed, it ends with 1 and says why. A reader that left early (`pact train | head`) had what it wanted,
 * unless it was to get `--json`.
 *
 * @param json whether the command was asked for `--json`
 * @example watchOutput(process, process.argv.includes("--json"));
 */
export function watchOutput(own: OutputProcess, json: boolean): void {
  let lost: NodeJS.ErrnoException | undefined;
  own.stdout.on("error", (error) => {
    if (json || error.code !== "EPIPE") lost ??= error;
  });
  own.stderr.on("error", () => undefined);
  own.on("exit", (code) => {
    if (code !== 0 || lost === undefined) return;
    own.exitCode = 1;
    own.stderr.write(
      `pact: standard output could not be written (${lost.code ?? lost.message}): what was printed there is lost, all else is done. ` +
        "Make room or write elsewhere; what a run found is in its folder too.\n",
    );
  });
}
