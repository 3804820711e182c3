/**
 * The rollouts a report shows, and how: every span coloured by its role, a long prompt folded away, one turn a block.
 *
 * Chosen are tasks evaluated both before and after training (the largest gain, the middle one, the largest loss; so
 * a report shows failures too) and the best and worst rollouts of the last training steps.
 */
import { isSampled, type Role, roleCode } from "../roles.ts";
import type { RoleSpan } from "../run-sink.ts";
import { type Html, html, raw } from "./html.ts";
import type { RolloutRow } from "./read-run.ts";

/** One entry of the picker: a rollout, or the same task before and after training. */
export interface Exhibit {
  /** Heading of its group in the picker. */
  readonly group: string;
  readonly label: string;
  readonly rollouts: readonly {
    readonly title: string;
    readonly row: RolloutRow;
    /** The command that takes its loss apart. */
    readonly hint?: string;
  }[];
}

/** Prompts up to this many characters are shown unfolded. */
const longestOpenPrompt = 700;

/** What the colours mean, in the order of the legend. */
const legend: readonly (readonly [Role, string])[] = [
  ["prompt", "prompt"],
  ["reasoning", "reasoning (sampled)"],
  ["call", "tool call (sampled)"],
  ["answer", "answer (sampled)"],
  ["observation", "tool observation"],
  ["template", "template"],
];

/**
 * Chooses what to show; order: before/after pairs, best, worst.
 *
 * @param count rollouts of each kind, default 3
 */
export function chooseExhibits(rows: readonly RolloutRow[], count = 3): Exhibit[] {
  const pairs: { before: RolloutRow; after: RolloutRow; gain: number }[] = [];
  const evaluated = rows.filter((row) => row.phase === "evaluate");
  const steps = evaluated.map((row) => row.step);
  const first = steps.reduce((a, b) => Math.min(a, b), 0);
  const last = steps.reduce((a, b) => Math.max(a, b), 0);
  const episode = (row: RolloutRow): string => JSON.stringify([row.decoding, row.rollout, row.taskId]);
  const before = new Map(evaluated.filter((row) => row.step === first).map((row) => [episode(row), row]));
  for (const after of last > first ? evaluated.filter((row) => row.step === last) : []) {
    const earlier = before.get(episode(after));
    if (earlier !== undefined) pairs.push({ before: earlier, after, gain: after.solveF1 - earlier.solveF1 });
  }
  pairs.sort((a, b) => b.gain - a.gain);
  const middle = Math.floor(pairs.length / 2);
  const chosenPairs = [
    ...pairs.slice(0, Math.min(count, middle)),
    ...pairs.slice(middle, middle + 1),
    ...pairs.slice(Math.max(middle + 1, pairs.length - count)),
  ];
  const exhibits: Exhibit[] = chosenPairs.map(({ before: a, after: b }) => ({
    group: "Same held-out task, before and after training",
    label: `${b.category} · ${b.decoding} · Solve-F1 ${score(a.solveF1)} → ${score(b.solveF1)} · ${b.taskId}`,
    rollouts: [
      { title: "Before training", row: a },
      { title: "After training", row: b },
    ],
  }));
  const trained = rows.filter((row) => row.phase === "train").sort((a, b) => b.reward - a.reward);
  const best = trained.slice(0, Math.min(count, Math.ceil(trained.length / 2)));
  const worst = trained.slice(Math.max(best.length, trained.length - count)).reverse();
  const groups: readonly (readonly [string, readonly RolloutRow[]])[] = [
    ["Highest reward of the last steps", best],
    ["Lowest reward of the last steps", worst],
  ];
  for (const [group, chosen] of groups)
    for (const row of chosen)
      exhibits.push({
        group,
        label: `${row.category} · step ${row.step + 1} · reward ${row.reward.toFixed(2)} · Solve-F1 ${score(row.solveF1)} · ${row.taskId}`,
        rollouts: [
          {
            title: `Training step ${row.step + 1}`,
            row,
            hint: `pact explain <run> ${row.taskId}/${row.rollout}@${row.step}`,
          },
        ],
      });
  return exhibits;
}

function score(value: number): string {
  return value.toFixed(2);
}

/** The section: legend, picker, and every exhibit (the page's script shows one at a time; without it, all are shown). */
export function rolloutSection(exhibits: readonly Exhibit[]): Html | undefined {
  if (exhibits.length === 0) return undefined;
  const groups = [...new Set(exhibits.map((exhibit) => exhibit.group))];
  return html`<section><h2>Rollouts</h2>
<p class="lead">What the policy wrote, token roles by colour. Only reasoning, calls and answers are sampled and trained; observations come from the tools.</p>
<div class="roles">${legend.map(([role, name]) => html`<span class="t-${role}">${name}</span>`)}</div>
<div class="picker"><label for="picker">Show</label><select id="picker">${groups.map(
    (group) =>
      html`<optgroup label="${group}">${exhibits.map((exhibit, i) =>
        exhibit.group === group ? html`<option value="${i}">${exhibit.label}</option>` : undefined,
      )}</optgroup>`,
  )}</select></div>
${exhibits.map((exhibit, i) => html`<div class="pair" data-rollout="${i}">${exhibit.rollouts.map(({ title, row, hint }) => rolloutCard(title, row, hint))}</div>`)}</section>`;
}

function rolloutCard(title: string, row: RolloutRow, hint: string | undefined): Html {
  const first = row.spans.findIndex((span) => isSampled(roleCode[span.role]));
  const split = first < 0 ? row.spans.length : first;
  const prompt = row.spans.slice(0, split);
  const promptLength = prompt.reduce((sum, span) => sum + span.text.length, 0);
  return html`<article class="card rollout"><header><h3>${title}</h3><span class="facts">reward ${row.reward.toFixed(2)} · Solve-F1 ${score(row.solveF1)} · ${plural(row.turns, "turn")} · ${plural(row.sampledTokens, "token")} · ended: ${row.stop.replaceAll("_", " ")}</span></header>
<details${raw(promptLength <= longestOpenPrompt ? " open" : "")}><summary>Prompt, ${promptLength.toLocaleString("en-US")} characters</summary><div class="tokens">${prompt.map(spanHtml)}</div></details>
<div class="tokens">${turns(row.spans.slice(split)).map((turn) => html`<div class="turn">${turn.map(spanHtml)}</div>`)}</div>${hint === undefined ? undefined : html`<p class="note">Token by token: <code>${hint}</code></p>`}</article>`;
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

function spanHtml({ role, text }: RoleSpan): Html {
  return html`<span class="t-${role}" title="${role}">${text}</span>`;
}

/** Starts a new block where the environment (its template tokens included) or the policy begins to speak. */
function turns(spans: readonly RoleSpan[]): RoleSpan[][] {
  const blocks: RoleSpan[][] = [];
  let previous: boolean | undefined;
  for (const span of spans) {
    const sampled = isSampled(roleCode[span.role]);
    if (sampled === previous) blocks[blocks.length - 1].push(span);
    else blocks.push([span]);
    previous = sampled;
  }
  return blocks;
}
