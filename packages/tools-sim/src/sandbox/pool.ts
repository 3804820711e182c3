/**
 * The processes of this program's sandboxes: a bounded number, one warmed ahead, each serving one sandbox and then ended.
 *
 * Starting one takes about 1.5 s and 150 MB. There are as many as open sandboxes that have made a call, up to the bound,
 * which memory gives: they mostly wait while a model writes. When all are taken, the one whose sandbox made no call for
 * the longest time is ended and replaced: a group of rollouts larger than the bound goes slowly, but it never waits for
 * itself. Left out: reuse of an interpreter after its task; no reset of Python was found that a tool could not have
 * prepared for.
 */
import { availableParallelism, totalmem } from "node:os";
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
  private readonly startsAtOnce: number;
  private starting = 0;
  /** In the order of their last call, oldest first. */
  private readonly leases = new Set<Lease>();
  private spare: PythonProcess | undefined;
  private ending = 0;
  private open = 0;
  private linger: NodeJS.Timeout | undefined;
  private readonly waiting: (() => void)[] = [];

  /**
   * @param limit the most processes at a time, at least 1
   * @param startsAtOnce the most that start at the same time, at least 1; default all. A start has a time limit, which many
   * at once on few processors would miss.
   */
  constructor(limit: number, startsAtOnce = limit) {
    this.limit = limit;
    this.startsAtOnce = startsAtOnce;
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
      // The end of another's start wakes one that waits.
      if (this.starting >= this.startsAtOnce) return undefined;
      process = this.start(limits);
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
    const isFree = this.count < this.limit && this.starting < this.startsAtOnce;
    if (this.open > this.leases.size && !this.spare && isFree) this.spare = this.start(limits);
  }

  private start(limits: ProcessLimits): PythonProcess {
    const process = new PythonProcess(limits);
    this.starting++;
    const started = () => {
      this.starting--;
      this.wake();
    };
    process.ready.then(started, started);
    return process;
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

/** What an idle process is reckoned at; Python's own limit is reached by few. */
const processBytes = 192 * 2 ** 20;

/**
 * The bound on processes for a machine: a quarter of the memory, at most 64; but two, and one per processor, always.
 *
 * @example
 * ```ts
 * processLimit(2 * 2 ** 30, 1); // → 2
 * ```
 */
export function processLimit(memoryBytes: number, processors: number): number {
  return Math.max(2, processors, Math.min(64, Math.floor(memoryBytes / 4 / processBytes)));
}

/** Memory that this program may use: that of its control group, where it is in one with a limit. */
function availableBytes(): number {
  const limit = process.constrainedMemory();
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem();
}

/** The processes of all sandboxes of this program. */
export const sharedPool = new ProcessPool(
  processLimit(availableBytes(), availableParallelism()),
  Math.max(2, availableParallelism()),
);
