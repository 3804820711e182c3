/**
 * The processes of this program's sandboxes: a bounded number, one warmed ahead, each serving one sandbox and then ended.
 *
 * Starting one takes about 1.5 s and 150 MB. When all are taken, the one whose sandbox made no call for the longest time is
 * ended and replaced: a group of rollouts larger than the bound goes slowly, but it never waits for itself. Left out: reuse
 * of an interpreter after its task; no reset of Python was found that a tool could not have prepared for.
 */
import { availableParallelism } from "node:os";
import { type ProcessLimits, PythonProcess } from "./process.ts";

/** A sandbox's claim on a process. */
export interface Lease {
  process: PythonProcess;
  /** A call is running: the process is not taken away. */
  busy: boolean;
  /** Taken away for another sandbox; the next call asks for a new one. */
  evicted: boolean;
}

/** How long a warmed process is kept when no sandbox is open. */
const lingerMs = 10_000;

/** A bounded set of processes; `sharedPool` is the one that sandboxes use. */
export class ProcessPool {
  private readonly limit: number;
  /** In the order of their last call, oldest first. */
  private readonly leases = new Set<Lease>();
  private spare: PythonProcess | undefined;
  private ending = 0;
  private open = 0;
  private linger: NodeJS.Timeout | undefined;
  private readonly waiting: (() => void)[] = [];

  /** @param limit the most processes at a time, at least 1 */
  constructor(limit: number) {
    this.limit = limit;
  }

  /** A sandbox was made: a process is warmed for it while its caller prepares the first call. */
  enter(limits: ProcessLimits): void {
    this.open++;
    clearTimeout(this.linger);
    this.warm(limits);
  }

  /** A sandbox was closed. */
  leave(): void {
    this.open--;
    if (this.open > 0) return;
    this.linger = setTimeout(() => void this.drop(), lingerMs);
    this.linger.unref();
  }

  /** A process that runs Python and serves nobody else. */
  async acquire(limits: ProcessLimits): Promise<Lease> {
    for (;;) {
      const lease = this.claim(limits);
      if (!lease) {
        await new Promise<void>((resolve) => this.waiting.push(resolve));
        continue;
      }
      try {
        await lease.process.ready;
      } catch (error) {
        await this.release(lease);
        throw error;
      }
      this.warm(limits);
      return lease;
    }
  }

  /** Marks the start and the end of a call; an idle lease may be taken away. */
  use(lease: Lease, busy: boolean): void {
    lease.busy = busy;
    if (!this.leases.delete(lease)) return;
    this.leases.add(lease);
    if (!busy) this.wake();
  }

  /** Ends the process of a lease. */
  async release(lease: Lease): Promise<void> {
    if (this.leases.delete(lease)) await this.end(lease.process);
  }

  /** Ends the warmed process. */
  async drop(): Promise<void> {
    const { spare } = this;
    this.spare = undefined;
    if (spare) await this.end(spare);
  }

  private get count(): number {
    return this.leases.size + this.ending + (this.spare ? 1 : 0);
  }

  private claim(limits: ProcessLimits): Lease | undefined {
    const { spare } = this;
    let process: PythonProcess | undefined;
    if (spare?.alive && sameLimits(spare.limits, limits)) {
      this.spare = undefined;
      process = spare;
    } else if (this.count < this.limit) {
      process = new PythonProcess(limits);
    } else if (spare) {
      void this.drop();
    } else {
      const idle = [...this.leases].find((lease) => !lease.busy);
      if (idle) {
        idle.evicted = true;
        void this.release(idle);
      }
    }
    if (!process) return undefined;
    const lease = { process, busy: true, evicted: false };
    this.leases.add(lease);
    return lease;
  }

  private warm(limits: ProcessLimits): void {
    if (this.open > this.leases.size && !this.spare && this.count < this.limit)
      this.spare = new PythonProcess(limits);
  }

  private async end(process: PythonProcess): Promise<void> {
    this.ending++;
    await process.end();
    this.ending--;
    this.wake();
  }

  private wake(): void {
    this.waiting.shift()?.();
  }
}

function sameLimits(a: ProcessLimits, b: ProcessLimits): boolean {
  return a.memoryLimitBytes === b.memoryLimitBytes && a.maxOutputBytes === b.maxOutputBytes;
}

/** The processes of all sandboxes of this program: at most one per processor, and at least two. */
export const sharedPool = new ProcessPool(Math.max(2, availableParallelism()));
