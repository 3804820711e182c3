/**
 * `pact view <folder>`: serves the report of a run or of a comparison to this machine alone.
 *
 * Reports are made from the logs when they are asked for; nothing else is served and nothing is written. An address is
 * `/` or `/<run>/` with the name of one of the comparison's runs: no text of a request ever becomes a path.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join, resolve } from "node:path";
import { comparisonReport } from "../report/comparison-report.ts";
import { readRun } from "../report/read-run.ts";
import { runReport } from "../report/report.ts";
import { liveComparison } from "./comparison-folder.ts";
import { Interrupt, interruptedExitCode } from "./interrupt.ts";
import { parseOptions, takePositional, UsageError } from "./options.ts";
import { viewOptions, viewPositional } from "./view-options.ts";

/** How often a page of something that is going on reloads itself. */
const reloadSeconds = 5;
/** Connections at a time; a browser opens six. */
const mostConnections = 16;

/** A report that is being served. */
export interface Viewer {
  readonly url: string;
  close(): Promise<void>;
}

/**
 * Runs the command until Ctrl-C.
 *
 * @returns 130
 * @throws UsageError for a wrong command line, Error for a folder that holds no run or a port that is taken
 * @example process.exitCode = await view(["runs/first"]);
 */
export async function view(args: readonly string[]): Promise<number> {
  const { word, rest } = takePositional("pact view", viewPositional, args);
  const options = parseOptions("pact view", viewOptions, rest);
  if (word === undefined)
    throw new UsageError("pact view: no folder given, e.g. pact view runs/first. See `pact view --help`.");
  const viewer = await serveReport(resolve(word), options.port);
  process.stdout.write(
    options.json ? `${JSON.stringify({ url: viewer.url })}\n` : `${viewer.url}\nCtrl-C ends it.\n`,
  );
  await new Promise<void>((end) => {
    const interrupt = new Interrupt(end);
    interrupt.signal.addEventListener("abort", () => interrupt[Symbol.dispose]());
  });
  await viewer.close();
  return interruptedExitCode;
}

/**
 * Serves a folder's report.
 *
 * @param port 0 for a free one
 * @throws Error if the folder holds neither a run nor a comparison, or the port is taken
 * @example const { url, close } = await serveReport("runs/first", 0);
 */
export async function serveReport(folder: string, port: number): Promise<Viewer> {
  // Fails here rather than at the first request.
  if ((await liveComparison(folder)) === undefined) await readRun(folder);
  const once = shareWork((path) => pageAt(folder, path));
  const server = createServer((request, response) => void answer(request, response, server, once));
  server.maxConnections = mostConnections;
  server.headersTimeout = 5000;
  server.requestTimeout = 10_000;
  await new Promise<void>((listening, fail) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      const why = error.code === "EADDRINUSE" ? "is taken" : `can not be used (${error.code})`;
      fail(new Error(`port ${port} of 127.0.0.1 ${why}. Choose another with --port, or leave it out.`));
    });
    server.listen(port, "127.0.0.1", listening);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    close: () =>
      new Promise((closed) => {
        server.close(() => closed());
        server.closeAllConnections();
      }),
  };
}

/** The page of a request's path; undefined for none. */
async function pageAt(folder: string, path: string): Promise<string | undefined> {
  const comparison = await liveComparison(folder);
  if (comparison === undefined) return path === "/" ? runPage(folder) : undefined;
  if (path === "/") {
    const isGoingOn = comparison.runs.some(({ outcome }) => outcome === "running" || outcome === "waiting");
    return comparisonReport(folder, comparison, {
      reloadSeconds: isGoingOn ? reloadSeconds : undefined,
      linkOf: (name) => `/${name}/`,
    });
  }
  const run = comparison.runs.find((own) => path === `/${own.folder}/` && own.outcome !== "waiting");
  return run && runPage(join(folder, run.folder));
}

async function runPage(folder: string): Promise<string> {
  const { summary } = await readRun(folder);
  return runReport(folder, summary === undefined ? reloadSeconds : undefined);
}

/** Requests for the same page at the same time share one making of it. */
function shareWork(make: (path: string) => Promise<string | undefined>): typeof make {
  const running = new Map<string, Promise<string | undefined>>();
  return (path) => {
    const found = running.get(path);
    if (found) return found;
    const started = make(path).finally(() => running.delete(path));
    running.set(path, started);
    return started;
  };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  server: Server,
  page: (path: string) => Promise<string | undefined>,
): Promise<void> {
  const send = (status: number, type: string, body: string): void => {
    const headers = {
      "content-type": `${type}; charset=utf-8`,
      "content-length": Buffer.byteLength(body),
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
      "x-frame-options": "DENY",
      "referrer-policy": "no-referrer",
    };
    response.writeHead(status, headers).end(request.method === "HEAD" ? undefined : body);
  };
  const text = (status: number, body: string): void => send(status, "text/plain", `${body}\n`);
  if (request.method !== "GET" && request.method !== "HEAD") return text(405, "Only GET and HEAD.");
  // A page elsewhere whose name is made to point here must not read a report.
  const port = (server.address() as AddressInfo | null)?.port;
  if (request.headers.host !== `127.0.0.1:${port}` && request.headers.host !== `localhost:${port}`)
    return text(403, "This address is for this machine alone.");
  try {
    const found = await page((request.url ?? "/").split("?")[0]);
    if (found === undefined) text(404, "There is no such report.");
    else send(200, "text/html", found);
  } catch (error) {
    text(500, `The report can not be made: ${error instanceof Error ? error.message : String(error)}`);
  }
}
