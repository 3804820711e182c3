/** The frame of a report: one page with its style and script inside, which requests nothing from anywhere. */
import { type Html, html, raw } from "./html.ts";
import { pageScript, styleSheet } from "./style.ts";

/**
 * A complete document. A Content-Security-Policy tells the browser too that nothing may be loaded.
 *
 * @param reloadSeconds the page reloads itself after so many; only for one that is served while a run goes on
 * @example pageOf("Report", html`<p>text</p>`).text
 */
export function pageOf(title: string, body: Html, reloadSeconds?: number): Html {
  const reload =
    reloadSeconds === undefined ? undefined : html`<meta http-equiv="refresh" content="${reloadSeconds}">`;
  return html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:">${reload}
<title>${title}</title><style>${raw(styleSheet)}</style></head>
<body><main>${body}
</main><script>${raw(pageScript)}</script></body></html>
`;
}
