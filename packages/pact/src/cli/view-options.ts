/** The options of `pact view` and its help, and nothing heavy. */
import { helpOption, type Positional } from "./options.ts";

/** The word of `pact view <folder>`. */
export const viewPositional: Positional = {
  name: "folder",
  help: "a run folder of pact train, or the folder of pact compare",
};

/** The table behind parsing and `--help` of `pact view`. */
export const viewOptions = {
  port: {
    kind: "integer",
    unit: "number",
    min: 0,
    max: 65535,
    default: 0,
    help: "port on 127.0.0.1; 0 takes a free one",
  },
  json: { kind: "flag", help: "print the address as one line of JSON" },
  help: helpOption,
} as const;

/** `pact view` for the dispatcher, without its `run`. */
export const viewHelp = {
  summary: "serve the report of a run or a comparison, fresh while it is going on",
  positional: viewPositional,
  description: [
    "Prints an address on this machine alone (127.0.0.1) and serves the report there until Ctrl-C: made from the logs at " +
      "each request, so that a run that is going on is shown as far as it is; the page reloads itself until the run has " +
      "ended. Nothing but reports is served, and nothing is written.",
    "A run that has ended has its report as a file too, report.html or comparison.html, which opens without a server.",
  ],
  options: viewOptions,
  examples: [["pact view runs/first --port 8080", "http://127.0.0.1:8080/"]],
} as const;
