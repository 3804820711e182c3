/** What `pact explain` prints for a person: a row per token, then what each term adds to the loss. */
import type { TermName } from "../explain.ts";
import { isSampled, type Role, roleCode } from "../roles.ts";
import type { ExplainedToken, Explanation } from "./explain.ts";
import { wrap } from "./help.ts";
import { cutTo, type Paint, printable, type Style } from "./terminal.ts";

/** Columns where the terminal does not say. */
const usualColumns = 120;
const narrowestToken = 10;
const widestToken = 28;

const roleStyles: Readonly<Record<Role, Style>> = {
  prompt: "dim",
  reasoning: "accent",
  call: "good",
  answer: "bold",
  observation: "dim",
  template: "dim",
};

const termLabels: Readonly<Record<TermName, string>> = {
  x: "L^x",
  h: "L^h",
  "sft/reasoning": "SFT reasoning",
  "sft/call": "SFT calls",
  "sft/answer": "SFT answer",
  kl: "KL",
  entropy: "entropy",
};

/** A column: its heading, width, and text for a token; those with the greatest `drop` go first on a narrow terminal. */
interface Column {
  readonly name: string;
  readonly width: number;
  readonly drop: number;
  readonly text: (token: ExplainedToken) => string;
}

/**
 * The lines of an explanation.
 *
 * @param columns width of the terminal
 * @param withExpert also list the expert's tokens
 */
export function explanationLines(
  explanation: Explanation,
  paint: Paint,
  { columns = usualColumns, withExpert = false }: { columns?: number; withExpert?: boolean } = {},
): string[] {
  const { rollout, step, line, taskId, reward, solveF1, stop, anchored, notes } = explanation;
  const context = anchored ? "behind its prompt alone, z = 1" : "behind its trace, z = 0";
  const lines = [
    paint("bold", printable(`${taskId}/${rollout}@${step}`)) +
      paint("dim", `  line ${line} of rollouts.jsonl`),
    `reward ${reward.toFixed(3)}, Solve-F1 ${solveF1.toFixed(3)}, ended: ${printable(stop)}; trained ${context}`,
    ...notes.flatMap((note) => wrap(note, 0, columns)),
    "",
    ...tokenTable(explanation.tokens, paint, columns),
  ];
  if (withExpert && explanation.expert.length > 0)
    lines.push(
      "",
      paint("bold", "expert tokens of its prompt"),
      ...tokenTable(explanation.expert, paint, columns),
    );
  lines.push("", ...termTable(explanation, paint));
  return lines.map((text) => cutTo(text, columns));
}

function tokenTable(tokens: readonly ExplainedToken[], paint: Paint, columns: number): string[] {
  const shown = fitting(columnsOf(tokens), columns);
  const used = 15 + shown.reduce((sum, { width }) => sum + width + 1, 0);
  const room = Math.max(narrowestToken, Math.min(widestToken, columns - used));
  const head = `${"#".padStart(4)} ${"role".padEnd(9)} ${"token".padEnd(room)}`;
  const lines = [paint("dim", [head, ...shown.map(({ name, width }) => name.padStart(width))].join(" "))];
  for (let index = 0; index < tokens.length; index++) {
    const token = tokens[index];
    const role = (token.role === "observation" ? "observed" : token.role).padEnd(9);
    if (!isSampled(roleCode[token.role])) {
      // What the environment wrote has no loss: a stretch of it is one line.
      let end = index;
      while (end + 1 < tokens.length && tokens[end + 1].role === token.role) end += 1;
      const count = end - index + 1;
      const text = visible(
        tokens
          .slice(index, end + 1)
          .map((own) => own.text)
          .join(""),
      );
      lines.push(
        paint(
          "dim",
          `${String(token.position).padStart(4)} ${role} ${count === 1 ? "1 token" : `${count} tokens`}: ${text}`,
        ),
      );
      index = end;
      continue;
    }
    const cells = shown.map(({ width, text }) => text(token).padStart(width));
    const label = cutTo(visible(token.text), room).padEnd(room);
    const styled = paint(roleStyles[token.role], `${role} ${label}`);
    const row = [`${String(token.position).padStart(4)} ${styled}`, ...cells].join(" ");
    lines.push(token.clip === "none" ? row : row.replace(/ (clipped|dual) /, (state) => paint("bad", state)));
  }
  return lines;
}

function columnsOf(tokens: readonly ExplainedToken[]): Column[] {
  const main = (token: ExplainedToken) => token.terms[0];
  const has = (name: TermName) => tokens.some(({ terms }) => terms.some(({ term }) => term === name));
  const part = (name: TermName) => (token: ExplainedToken) => {
    const found = token.terms.find(({ term }) => term === name);
    return found ? small(found.contribution) : "";
  };
  const all: (Column | false)[] = [
    { name: "log π|x", width: 8, drop: 0, text: ({ prompt }) => fixed(prompt) },
    { name: "|x,h*", width: 8, drop: 0, text: ({ trace }) => fixed(trace) },
    { name: "ratio", width: 6, drop: 0, text: ({ ratio }) => fixed(ratio) },
    { name: "after", width: 6, drop: 3, text: ({ after }) => (after ? fixed(after.ratio) : "") },
    { name: "A", width: 7, drop: 0, text: ({ advantage }) => fixed(advantage) },
    { name: "clip", width: 7, drop: 1, text: ({ clip }) => clip },
    { name: "term", width: 4, drop: 5, text: (token) => (main(token) ? main(token).term.slice(0, 4) : "") },
    { name: "weight", width: 8, drop: 2, text: (token) => (main(token) ? small(main(token).weight) : "") },
    { name: "loss", width: 8, drop: 4, text: (token) => (main(token) ? fixed(main(token).value) : "") },
    {
      name: "adds",
      width: 9,
      drop: 0,
      text: (token) => (main(token) ? small(main(token).contribution) : ""),
    },
    has("kl") && { name: "KL adds", width: 9, drop: 0, text: part("kl") },
    has("entropy") && { name: "H adds", width: 9, drop: 0, text: part("entropy") },
  ];
  return all
    .filter((column) => column !== false)
    .filter(({ name }) => name !== "after" || tokens.some(({ after }) => after !== undefined));
}

/** Drops columns until the rest fits beside a narrow token. */
function fitting(columns: readonly Column[], available: number): Column[] {
  const shown = [...columns];
  const width = () => 15 + narrowestToken + shown.reduce((sum, column) => sum + column.width + 1, 0);
  while (width() > available) {
    const worst = Math.max(...shown.map(({ drop }) => drop));
    if (worst === 0) break;
    shown.splice(
      shown.findIndex(({ drop }) => drop === worst),
      1,
    );
  }
  return shown;
}

function termTable({ terms, total, size, logged, agreement, rounding }: Explanation, paint: Paint): string[] {
  const cells = (values: readonly (number | string)[]) =>
    values.map((value) => (typeof value === "number" ? signed(value) : value).padStart(13)).join("");
  const sum = (pick: (term: Explanation["terms"][number]) => number) =>
    terms.reduce((all, own) => all + pick(own), 0);
  const lines = [
    paint("dim", `${"adds to the loss".padEnd(16)}${cells(["this rollout", "its prompt", "the step"])}`),
    ...terms.map((own) => termLabels[own.term].padEnd(16) + cells([own.rollout, own.prompt, own.step])),
    paint("bold", "sum".padEnd(16) + cells([sum((own) => own.rollout), sum((own) => own.prompt), total])),
  ];
  const name = "logged loss/total".padEnd(42);
  if (agreement === "not logged")
    return [...lines, `${name}${"–".padStart(13)}`, "the run ended before the step did"];
  const difference = Math.abs(total - logged!).toExponential(1);
  const allowed = (rounding * Math.max(1, size)).toExponential(1);
  const verdict =
    agreement === "agrees"
      ? paint("good", `agrees: difference ${difference}, rounding allowed ${allowed}`)
      : agreement === "other parameters"
        ? `differs by ${difference}: computed with other parameters than the logged loss`
        : paint(
            "bad",
            `DIFFERS by ${difference}, rounding allowed ${allowed}: the files or this program changed`,
          );
  return [...lines, `${name}${signed(logged!).padStart(13)}`, verdict];
}

/** A token's text with white space and control characters made visible. */
function visible(text: string): string {
  return printable(text.replaceAll("\n", "⏎").replaceAll("\t", "⇥"));
}

function fixed(value: number | undefined): string {
  return value === undefined ? "" : value.toFixed(Math.abs(value) >= 100 ? 1 : 3).replace("-", "−");
}

function small(value: number): string {
  return value === 0 ? "0" : value.toExponential(1).replaceAll("-", "−");
}

function signed(value: number): string {
  return value.toFixed(6).replace("-", "−");
}
