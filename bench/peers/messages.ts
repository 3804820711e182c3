/** What the parent asks of an engine's process, and what it answers: one reply for each request, in order. */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Counts } from "../counts.ts";
import type { Sample } from "../timing.ts";
import type { CaseName } from "./case.ts";

export type Request =
  | { readonly kind: "start"; readonly engine: string }
  | { readonly kind: "prepare"; readonly name: CaseName }
  | { readonly kind: "run" | "count" | "result" };

export interface Reply {
  readonly error?: string;
  readonly sample?: Sample;
  readonly counts?: Counts;
  readonly numbers?: readonly number[];
}

/** An engine in a process of its own. */
export class EngineProcess {
  private readonly child: ChildProcess;
  private constructor(child: ChildProcess) {
    this.child = child;
  }

  /** @throws Error with what the engine says if it does not start. */
  static async start(engine: string): Promise<EngineProcess> {
    const file = fileURLToPath(new URL("child.ts", import.meta.url));
    // The loader that runs this process runs that one.
    const child = fork(file, { execArgv: process.execArgv, stdio: ["ignore", "ignore", "ignore", "ipc"] });
    const started = new EngineProcess(child);
    try {
      await started.ask({ kind: "start", engine });
    } catch (error) {
      started.stop();
      throw error;
    }
    return started;
  }

  ask(request: Request): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const ended = () => reject(new Error("The process of the engine ended."));
      this.child.once("exit", ended);
      this.child.once("message", (reply: Reply) => {
        this.child.off("exit", ended);
        if (reply.error === undefined) resolve(reply);
        else reject(new Error(reply.error));
      });
      this.child.send(request);
    });
  }

  stop(): void {
    this.child.kill();
  }
}
