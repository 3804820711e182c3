/** The errors of the sandbox that are the caller's to mend; what a tool does wrong comes back as a result. */
import { ToolsSimError } from "../errors.ts";

/** The sandbox can not run here: Pyodide is missing, or its process does not start. */
export class SandboxError extends ToolsSimError {
  constructor(message: string) {
    super("sandbox", message);
  }
}
