import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  bar,
  createProgress,
  duration,
  progressLine,
  progressLines,
  type StageState,
  sparkline,
  timeLeft,
} from "../../packages/pact/src/cli/progress.ts";
import { cutTo, isLive, painter, printable, visibleLength } from "../../packages/pact/src/cli/terminal.ts";

const state: StageState = {
  stage: "train",
  unit: "step",
  done: 18,
  total: 40,
  seconds: 90,
  paceSeconds: 90,
  reward: 1.234,
  solveF1: 0.41,
  loss: 0.8312,
  tokensPerSecond: 2404.4,
  history: [1, 1.1, 1.3, 1.2, 1.6],
};
const plain = (_: string, text: string): string => text;

/** A stream that keeps what is written, and a tiny terminal that shows what would be on the screen. */
class Screen {
  isTTY = true;
  columns = 60;
  text = "";
  listeners = new Set<() => void>();
  write(text: string): void {
    this.text += text;
  }
  on(_: "resize", listener: () => void): void {
    this.listeners.add(listener);
  }
  off(_: "resize", listener: () => void): void {
    this.listeners.delete(listener);
  }
  rows(): string[] {
    const rows: string[] = [""];
    let row = 0;
    const sequence = String.fromCharCode(27);
    for (const part of this.text.split(new RegExp(`(${sequence}\\[\\??[0-9]*[A-Za-z]|\n|\r)`))) {
      const up = /\[([0-9]+)A$/.exec(part);
      if (part === "\n") row++;
      else if (up) row -= Number(up[1]);
      else if (part.endsWith("[0J")) rows.length = row;
      else if (!part.startsWith(sequence) && part !== "\r") rows[row] = (rows[row] ?? "") + part;
      rows[row] ??= "";
    }
    return rows.filter((text) => text !== "");
  }
}

it("shows stage, step, bar, numbers and time left", () => {
  expect(progressLines(state, 100, plain)).toEqual([
    ` train  ██████████████████░░░░░░░░░░░░░░░░░░░░░░  step 18/40  1 min 50 s left`,
    ` reward 1.23 · Solve-F1 0.410 · loss 0.831 · 2404 tokens/s  ▁▂▅▃█`,
  ]);
  expect(progressLine(state)).toBe(
    "train step 18/40 · reward 1.23 · Solve-F1 0.410 · loss 0.831 · 2404 tokens/s · 1 min 50 s left",
  );
  expect(progressLine({ ...state, done: 40 })).toContain("in 1 min 30 s");
});

it("never draws a line wider than the terminal", () => {
  fc.assert(
    fc.property(fc.integer({ min: 20, max: 200 }), fc.nat({ max: 40 }), (columns, done) => {
      for (const line of progressLines(
        { ...state, done },
        columns,
        painter({ isTTY: true, write: () => {} }, {}),
      ))
        expect(visibleLength(cutTo(line, columns))).toBeLessThanOrEqual(columns);
    }),
  );
});

describe("parts", () => {
  it("durations", () => {
    expect([4.4, 95, 3725, Number.NaN, -1].map(duration)).toEqual([
      "4 s",
      "1 min 35 s",
      "1 h 02 min",
      "?",
      "?",
    ]);
  });
  it("time left is unknown before the first unit and never negative", () => {
    expect(timeLeft({ done: 0, total: 5, seconds: 3, paceSeconds: 0 })).toBeUndefined();
    expect(timeLeft({ done: 1, total: 5, seconds: 30, paceSeconds: 2 })).toBe(0);
  });
  it("time left counts the stage's own units: what a resumed run had done before says nothing of the pace", () => {
    expect(timeLeft({ from: 20, done: 20, total: 30, seconds: 3, paceSeconds: 0 })).toBeUndefined();
    expect(timeLeft({ from: 20, done: 22, total: 30, seconds: 9, paceSeconds: 8 })).toBe(31);
  });
  it("a bar has its width at every fraction", () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true }), fc.integer({ min: 0, max: 60 }), (fraction, width) => {
        const { full, empty } = bar(fraction, width);
        expect(full.length + empty.length).toBe(width);
      }),
    );
  });
  it("a sparkline of equal values is flat and ignores what is no number", () => {
    expect(sparkline([2, Number.NaN, 2], 9)).toBe("▁▁");
  });
  it("printable removes escape sequences of untrusted text", () => {
    expect(printable("a\u001b[2Jb\nc")).toBe("a [2Jb c");
  });
  it("colours respect NO_COLOR, TERM=dumb and pipes", () => {
    const stream = { isTTY: true, write: () => {} };
    expect(painter(stream, {})("good", "x")).toBe("\u001b[32mx\u001b[39m");
    expect(painter(stream, { NO_COLOR: "1" })("good", "x")).toBe("x");
    expect(painter({ write: () => {} }, {})("good", "x")).toBe("x");
    expect(isLive(stream, { TERM: "dumb" })).toBe(false);
    expect(isLive(stream, { NO_COLOR: "1" })).toBe(true);
  });
});

describe("createProgress", () => {
  it("redraws in place on a terminal, keeps lasting lines above, and leaves the cursor visible", () => {
    const screen = new Screen();
    let clock = 0;
    const progress = createProgress(screen, () => clock);
    progress.line("device chosen");
    progress.stage("train", "step", 4);
    for (let done = 1; done <= 3; done++) {
      clock += 2;
      progress.advance(done, { reward: done, loss: 1 });
      if (done === 2) progress.line("half way");
    }
    screen.columns = 90;
    for (const listener of screen.listeners) listener();
    progress.close();
    progress.close();
    const rows = screen.rows().map((row) => row.trim());
    expect(rows.slice(0, 2)).toEqual(["device chosen", "half way"]);
    expect(rows.filter((row) => row.includes("step 3/4"))).toHaveLength(1);
    expect(screen.text.lastIndexOf("\u001b[?25h")).toBeGreaterThan(screen.text.lastIndexOf("\u001b[?25l"));
    expect(screen.listeners.size).toBe(0);
  });
  it("shows a rate and the time left while a step samples, and keeps the curve across an evaluation", () => {
    const screen = new Screen();
    let clock = 0;
    const progress = createProgress(screen, () => clock);
    progress.stage("train", "step", 4);
    clock = 10;
    progress.advance(1, { reward: 1, tokensPerSecond: 5 });
    clock = 10.1;
    progress.sampled(100);
    clock = 12;
    progress.sampled(100);
    progress.advance(1, {});
    progress.stage("evaluate", "task", 8);
    progress.stage("train", "step", 4, 1);
    clock = 14;
    progress.sampled(300);
    progress.advance(2, { reward: 2 });
    progress.close();
    const rows = screen.rows().map((row) => row.trim());
    expect(rows.some((row) => /train step 1\/4 .*· 100 tokens\/s · 28 s left/.test(row))).toBe(true);
    expect(rows.some((row) => row.includes("step 2/4"))).toBe(true);
    expect(rows.some((row) => row.includes("150 tokens/s") && row.includes("▁█"))).toBe(true);
  });
  it("says how far the compiler is while kernels are missing, elsewhere once if it took a while", () => {
    const screen = new Screen();
    const progress = createProgress(screen, () => 0);
    progress.compiled(1, 2);
    progress.compiled(2, 2);
    progress.stage("train", "step", 2);
    progress.compiled(9, 20);
    expect(screen.rows().at(-1)).toContain("compiling kernels 9/20");
    progress.compiled(20, 20);
    expect(screen.rows().at(-1)).not.toContain("kernels");
    progress.close();
    const written: string[] = [];
    let clock = 0;
    const plain = createProgress({ write: (part) => written.push(part) }, () => clock);
    for (const built of [1, 2, 3, 4]) {
      plain.compiled(built, 3 + Math.floor(built / 4));
      clock += 0.7;
    }
    plain.close();
    expect(written).toEqual(["3 kernels compiled, the last ones in 1 s\n"]);
  });
  it("writes plain lines elsewhere: every step, ten of an evaluation, no escape sequences", () => {
    const written: string[] = [];
    const progress = createProgress({ write: (part) => written.push(part) }, () => 0);
    progress.stage("evaluate", "task", 200);
    for (let done = 1; done <= 200; done++) progress.advance(done, { solveF1: 0.5 });
    progress.stage("train", "step", 2);
    progress.advance(1, { reward: 1 });
    progress.advance(2, { reward: 1 });
    progress.close();
    const text = written.join("");
    const lines = text.trimEnd().split("\n");
    expect(lines).toHaveLength(1 + 10 + 1 + 2);
    expect(text).not.toContain("\u001b");
  });
});
