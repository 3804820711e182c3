/**
 * HTML by tagged template: every value is escaped unless it is HTML made by `html` itself. The report shows text that
 * a model or a task file wrote, so forgetting to escape must not be possible by accident.
 */

/** Markup that is safe to insert; only `html` and `raw` make it. */
export class Html {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/** What may stand in a template: text and numbers are escaped, lists are joined, undefined and false are nothing. */
export type HtmlValue = Html | string | number | undefined | false | readonly HtmlValue[];

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/**
 * Escapes text for element content and quoted attributes. Control characters other than tab and newline and
 * lone surrogates become the replacement character, so that a NUL or an escape sequence can not confuse the parser.
 *
 * @example escapeHtml("<b>") // "&lt;b&gt;"
 */
export function escapeHtml(text: string): string {
  return text
    .replace(/[&<>"']/g, (character) => entities[character])
    .replace(/[^\P{Cc}\t\n]|\p{Cs}/gu, "\uFFFD");
}

/** Marks markup written in this package as safe. NOTE: never for text from a run folder. */
export function raw(markup: string): Html {
  return new Html(markup);
}

/**
 * Template tag: `html\`<p>${text}</p>\`` escapes `text`.
 *
 * @example html`<p>${"<b>"}</p>`.text // "<p>&lt;b&gt;</p>"
 */
export function html(parts: TemplateStringsArray, ...values: readonly HtmlValue[]): Html {
  let text = parts[0];
  for (let i = 0; i < values.length; i++) text += render(values[i]) + parts[i + 1];
  return new Html(text);
}

function render(value: HtmlValue): string {
  if (value instanceof Html) return value.text;
  if (value === undefined || value === false) return "";
  if (typeof value === "string") return escapeHtml(value);
  if (typeof value === "number") return escapeHtml(String(value));
  return value.map(render).join("");
}
