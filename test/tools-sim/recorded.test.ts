/**
 * The conformance commands of FTRL and ToolHop. The outputs in fixtures/ were recorded with CPython 3.11, which executed the
 * sources beside them as FTRL's evaluation does.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import * as ftrl from "../../scripts/conformance/ftrl.ts";
import * as toolHop from "../../scripts/conformance/toolhop.ts";
import { requireData } from "../helpers/require.ts";

const fixture = (name: string) => fileURLToPath(new URL(`fixtures/${name}`, import.meta.url));
const ftrlFiles = ["--data", fixture("ftrl-codes.jsonl"), "--calls", fixture("ftrl-codes-calls.jsonl")];
const toolHopFiles = ["--data", fixture("toolhop.json"), "--calls", fixture("toolhop-calls.jsonl")];
const folder = mkdtempSync(join(tmpdir(), "recorded-"));
afterAll(() => rmSync(folder, { recursive: true }));

async function run(command: { main: typeof ftrl.main }, args: string[]) {
  const lines: string[] = [];
  const status = await command.main(args, (line) => lines.push(line));
  return { status, lines, totals: lines.at(-1)?.startsWith("{") ? JSON.parse(lines.at(-1)!) : undefined };
}

function written(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

describe("Python tools of many styles", () => {
  it("give what CPython gave: FTRL", async () => {
    const { lines, totals, status } = await run(ftrl, [...ftrlFiles, "--probes", "--json"]);
    expect(lines).toHaveLength(1);
    expect(totals).toEqual({
      rows: 4,
      calls: 105,
      executed: 105,
      replayed: 0,
      equal: 105,
      solvedAsRecorded: 85,
    });
    expect(status).toBe(0);
  }, 240_000);

  it("give what CPython gave: ToolHop, each hop with its own source", async () => {
    expect(await run(toolHop, [...toolHopFiles, "--json"])).toMatchObject({
      status: 0,
      totals: { rows: 2, calls: 4, executed: 4, replayed: 0, equal: 4, solvedAsRecorded: 4 },
    });
  }, 120_000);

  it("are reported where they give something else", async () => {
    const calls = readFileSync(fixture("toolhop-calls.jsonl"), "utf8").replace(
      'Ottilie Brandt\\"}',
      'Otto\\"}',
    );
    const path = written("changed.jsonl", calls);
    const { status, lines } = await run(toolHop, ["--data", fixture("toolhop.json"), "--calls", path]);
    expect(status).toBe(1);
    expect(lines[0]).toContain('toolhop/7: ship_finder({"name": "Marel"})');
    expect(lines[0]).toContain('recorded {"captain": "Otto"}');
    expect(JSON.parse(lines.at(-1)!)).toMatchObject({ executed: 4, equal: 3, solvedAsRecorded: 4 });
  }, 120_000);
});

describe("the command line", () => {
  it.each([ftrl, toolHop])("explains itself and names what is missing", async (command) => {
    expect(await run(command, ["--help"])).toMatchObject({
      status: 0,
      lines: [expect.stringContaining("--calls <file>")],
    });
    expect(await run(command, ["--data", "x"])).toMatchObject({
      status: 2,
      lines: [expect.stringContaining("--data and --calls are needed")],
    });
    expect((await run(command, ["--nonsense"])).status).toBe(2);
  });

  it("names file, line and field of bad data, or leaves it out on request", async () => {
    const good = readFileSync(fixture("toolhop-calls.jsonl"), "utf8");
    const data = written(
      "bad.jsonl",
      `${JSON.stringify(JSON.parse(readFileSync(fixture("toolhop.json"), "utf8"))[1])}\n{}\n`,
    );
    const calls = written("bad-calls.jsonl", `${good}[]\n`);
    const args = ["--data", data, "--calls", calls];
    expect(await run(toolHop, args)).toMatchObject({
      status: 2,
      lines: [expect.stringMatching(/bad-calls\.jsonl:3: expected a JSON object/)],
    });
    const { lines, status } = await run(toolHop, [...args, "--skip-invalid"]);
    expect(lines.slice(0, 2)).toEqual([
      expect.stringMatching(/^left out: .*bad-calls\.jsonl:3: expected a JSON object/),
      expect.stringMatching(/^left out: .*bad\.jsonl:2: field "id" is missing/),
    ]);
    expect(JSON.parse(lines[2])).toMatchObject({ rows: 1, calls: 0 });
    expect(status).toBe(0);
    const rows = written("rows.jsonl", "{}\n");
    const none = written("none.jsonl", "\n");
    expect(await run(ftrl, ["--data", rows, "--calls", none])).toMatchObject({
      status: 2,
      lines: [expect.stringMatching(/rows\.jsonl:1: field "data_source" is missing/)],
    });
  });
});

const publishedFtrl = requireData("benchmarks/ftrl");
it.skipIf(!publishedFtrl)("replays the published FTRL rows, which have no source", async () => {
  const files = [
    "--data",
    join(publishedFtrl!, "test.no_code.jsonl"),
    "--calls",
    join(publishedFtrl!, "derived_calls.jsonl"),
  ];
  expect(await run(ftrl, [...files, "--json"])).toMatchObject({
    status: 0,
    totals: { rows: 200, calls: 799, executed: 0, replayed: 799, equal: 0, solvedAsRecorded: 799 },
  });
});

const publishedToolHop = requireData("benchmarks/toolhop");
it.skipIf(!publishedToolHop)("replays the published ToolHop subset, which has no source", async () => {
  const data = join(publishedToolHop!, "toolhop_subset100.no_code.jsonl");
  const files = ["--data", data, "--calls", join(publishedToolHop!, "derived_calls.jsonl")];
  expect(await run(toolHop, [...files, "--json"])).toMatchObject({
    status: 0,
    totals: { rows: 100, calls: 428, executed: 0, replayed: 428, equal: 0, solvedAsRecorded: 428 },
  });
});
