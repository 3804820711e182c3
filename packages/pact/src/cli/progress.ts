/**
 * What a run shows while it works: a small block redrawn in place on a terminal, plain lines anywhere else.
 *
 * Stages come one after the other (load, evaluate, train, evaluate, report); each says how far it is in units of its
 * own (steps, tasks). The time left is that of the current stage, from its mean pace.
 */
import {
  cutTo,
  isLive,
  LiveBlock,
  type Paint,
  painter,
  printable,
  type TextStream,
  visibleLength,
} from "./terminal.ts";

/** Numbers shown beside the bar; absent ones are not shown. */
export interface LiveNumbers {
  readonly tokensPerSecond?: number;
  readonly reward?: number;
  /** Solve-F1 of the rollouts or of the tasks evaluated so far, 0 … 1. */
  readonly solveF1?: number;
  readonly loss?: number;
  /** Share of successful episodes so far, 0 … 1. */
  readonly success?: number;
  /** Episodes that failed, shown from the first on. */
  readonly failed?: number;
  /** Tokens read and written so far. */
  readonly tokens?: number;
  /** Kernels compiled, of how many that are waited for; absent when there is nothing to wait for. */
  readonly kernels?: { readonly built: number; readonly asked: number };
}

/** Where a stage is. */
export interface StageState extends LiveNumbers {
  readonly stage: string;
  /** What is counted: `step`, `task`. */
  readonly unit: string;
  readonly done: number;
  readonly total: number;
  /** Units that were done when the stage began, and do not count for the pace. Default 0. */
  readonly from?: number;
  /** Seconds since the stage began. */
  readonly seconds: number;
  /** `seconds` when the last unit was finished. */
  readonly paceSeconds: number;
  /** Reward of every step so far, drawn as a sparkline. */
  readonly history: readonly number[];
}

/** What a command calls while it works. */
export interface Progress {
  /** A lasting line: the device chosen, a warning, a result. */
  line(text: string): void;
  /** Begins a stage of `total` units, of which `done` (default 0) are done already. */
  stage(name: string, unit: string, total: number, done?: number): void;
  /** So many tokens were sampled: shown as a rate while a unit lasts. */
  sampled(tokens: number): void;
  /** The device has compiled `built` of the `asked` kernels that it needs so far: shown while some are missing. */
  compiled(built: number, asked: number): void;
  /** `done` units of the stage are finished; the same `done` again only refreshes the numbers. */
  advance(done: number, numbers?: LiveNumbers): void;
  /** Leaves the last state on the screen and gives the terminal back. Idempotent. */
  close(): void;
}

/** `95` → `1 min 35 s`; hours from 60 minutes on; negative and non-finite times → `?`. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds) || seconds < 0) return "?";
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
  return `${Math.floor(whole / 3600)} h ${String(Math.floor((whole % 3600) / 60)).padStart(2, "0")} min`;
}

/** Seconds the stage still needs at its mean pace so far; undefined before the first unit of its own. */
export function timeLeft(
  state: Pick<StageState, "done" | "total" | "from" | "seconds" | "paceSeconds">,
): number | undefined {
  const { from = 0 } = state;
  if (state.done <= from) return undefined;
  return Math.max(0, (state.paceSeconds / (state.done - from)) * (state.total - from) - state.seconds);
}

const eighths = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/** A bar of `width` columns filled to `fraction` (clamped to 0 … 1) in steps of an eighth of a column. */
export function bar(fraction: number, width: number): { full: string; empty: string } {
  const cells = Math.round(Math.min(1, Math.max(0, fraction)) * width * 8);
  const full = "█".repeat(Math.floor(cells / 8)) + eighths[cells % 8];
  return { full, empty: "░".repeat(width - full.length) };
}

/** The last `width` values as one row of block characters, lowest to highest. */
export function sparkline(values: readonly number[], width: number): string {
  const shown = values.filter(Number.isFinite).slice(-width);
  const low = Math.min(...shown);
  const range = Math.max(...shown) - low;
  return shown
    .map((v) => "▁▂▃▄▅▆▇█"[range > 0 ? Math.min(7, Math.floor(((v - low) / range) * 8)) : 0])
    .join("");
}

function numberParts(state: StageState, paint: Paint): string[] {
  const parts: string[] = [];
  const show = (label: string, value: number | undefined, digits: number): void => {
    if (value !== undefined && Number.isFinite(value))
      parts.push(`${paint("dim", label)} ${value.toFixed(digits)}`);
  };
  if (state.kernels)
    parts.push(paint("dim", `compiling kernels ${state.kernels.built}/${state.kernels.asked}`));
  show("reward", state.reward, 2);
  show("Solve-F1", state.solveF1, 3);
  show("loss", state.loss, 3);
  show("success", state.success, 3);
  if (state.failed !== undefined && state.failed > 0) parts.push(paint("bad", `${state.failed} failed`));
  if (state.tokens !== undefined) parts.push(`${state.tokens} tokens`);
  if (state.tokensPerSecond !== undefined) parts.push(`${Math.round(state.tokensPerSecond)} tokens/s`);
  return parts;
}

/**
 * The block for a state at a width: a bar line and a line of numbers, which drops what does not fit from the right.
 *
 * @example progressLines({ stage: "train", unit: "step", done: 3, total: 36, seconds: 30, paceSeconds: 30, history: [] }, 80, (_, t) => t)
 */
export function progressLines(state: StageState, columns: number, paint: Paint): string[] {
  const count = `${state.unit} ${state.done}/${state.total}`;
  const left = timeLeft(state);
  const time =
    state.done >= state.total
      ? `in ${duration(state.seconds)}`
      : left === undefined
        ? ""
        : `${duration(left)} left`;
  const fixed = state.stage.length + count.length + time.length + 8;
  const width = Math.max(0, Math.min(40, columns - fixed));
  const { full, empty } = bar(state.total > 0 ? state.done / state.total : 0, width);
  const head = [
    paint("bold", state.stage),
    width >= 4 ? paint("accent", full) + paint("dim", empty) : "",
    count,
    paint("dim", time),
  ];
  const lines = [` ${head.filter((part) => part !== "").join("  ")}`];
  let numbers = "";
  for (const part of numberParts(state, paint)) {
    const longer = numbers === "" ? ` ${part}` : `${numbers}${paint("dim", " · ")}${part}`;
    if (visibleLength(longer) > columns - 2) break;
    numbers = longer;
  }
  const room = columns - visibleLength(numbers) - 4;
  if (state.history.length > 1 && room >= 8)
    numbers += `  ${paint("accent", sparkline(state.history, Math.min(40, room)))}`;
  if (numbers !== "") lines.push(numbers);
  return lines;
}

/** One plain line for a state: what a log file gets. */
export function progressLine(state: StageState): string {
  const left = timeLeft(state);
  const parts = [
    `${state.stage} ${state.unit} ${state.done}/${state.total}`,
    ...numberParts(state, (_, text) => text),
  ];
  if (state.done >= state.total) parts.push(`in ${duration(state.seconds)}`);
  else if (left !== undefined) parts.push(`${duration(left)} left`);
  return parts.join(" · ");
}

/**
 * Progress on a stream: a live block on a terminal, otherwise plain lines (every step; at most ten per evaluation).
 *
 * @param now clock in seconds, for tests
 */
export function createProgress(
  stream: TextStream,
  now: () => number = () => performance.now() / 1000,
): Progress {
  const paint = painter(stream);
  const live = isLive(stream);
  let state: StageState | undefined;
  const histories = new Map<string, readonly number[]>();
  let began = now();
  /** When the device began to compile, if it does. */
  let compiling: number | undefined;
  // Tokens sampled in the current unit, and when it began.
  let unit = { began, tokens: 0 };
  const block = new LiveBlock(stream, (columns) => {
    if (state === undefined) return [];
    return progressLines({ ...state, seconds: now() - began }, columns, paint).map((line) =>
      cutTo(line, columns),
    );
  });
  // The clock moves on between two steps; unref: it never keeps the process alive.
  const ticker = live ? setInterval(() => state !== undefined && block.update(), 500).unref() : undefined;
  const say = (text: string): void => {
    if (live) block.print(text);
    else stream.write(`${text}\n`);
  };
  return {
    line: (text) => say(printable(text)),
    stage(name, kind, total, done = 0) {
      // A stage that is over stays on the screen as one line.
      if (live && state !== undefined) block.print(` ${paint("good", "✓")} ${progressLine(state)}`);
      began = now();
      unit = { began, tokens: 0 };
      // Training that goes on after an evaluation keeps its curve.
      const history = histories.get(name) ?? [];
      state = { stage: name, unit: kind, done, total, from: done, seconds: 0, paceSeconds: 0, history };
      if (live) block.update();
      else say(`${name} …`);
    },
    advance(done, numbers = {}) {
      if (state === undefined) return;
      const further = done > state.done;
      const { reward } = numbers;
      const history = reward !== undefined && further ? [...state.history, reward] : state.history;
      histories.set(state.stage, history);
      const tenth = Math.floor((10 * done) / state.total) > Math.floor((10 * state.done) / state.total);
      const seconds = now() - began;
      state = { ...state, ...numbers, done, seconds, history };
      // Numbers that change within a unit are drawn by the ticker.
      if (!further) return;
      state = { ...state, paceSeconds: seconds };
      unit = { began: now(), tokens: 0 };
      if (live) block.update();
      else if (state.unit === "step" || tenth) say(progressLine(state));
    },
    sampled(tokens) {
      unit.tokens += tokens;
      const elapsed = now() - unit.began;
      // A rate of the first moments would jump about.
      if (state !== undefined && elapsed > 0.5) state = { ...state, tokensPerSecond: unit.tokens / elapsed };
    },
    compiled(built, asked) {
      compiling ??= now();
      const kernels = built < asked ? { built, asked } : undefined;
      if (state !== undefined) state = { ...state, kernels };
      if (live && state !== undefined) block.update();
      if (kernels) return;
      const took = now() - compiling;
      compiling = undefined;
      if (!live && took >= 1) say(`${asked} kernels compiled, the last ones in ${duration(took)}`);
    },
    close() {
      clearInterval(ticker);
      block.close();
    },
  };
}
