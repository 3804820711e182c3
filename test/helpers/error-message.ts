/** What a mistake tells its user, for inline snapshots: `ShapeError (shape): matmul: inner dimensions differ: …`. */
import { PactError } from "@pact/tensor";

function shown(error: unknown): string {
  if (!(error instanceof PactError)) {
    throw new Error(`expected a PactError, received ${error instanceof Error ? error.stack : String(error)}`);
  }
  return `${error.name} (${error.code}): ${error.message}`;
}

/** Class, code and message of the error that `mistake` throws; fails if it throws none, or one that is no PactError. */
export function messageOf(mistake: () => unknown): string {
  try {
    mistake();
  } catch (error) {
    return shown(error);
  }
  throw new Error("expected an error, none was thrown");
}

/** The same for a mistake whose promise rejects. */
export async function rejectionOf(mistake: () => Promise<unknown>): Promise<string> {
  try {
    await mistake();
  } catch (error) {
    return shown(error);
  }
  throw new Error("expected a rejection, the promise was fulfilled");
}
