/**
 * The report's look and its few lines of behaviour, inlined into the page. Colours are custom properties with a light
 * and a dark value; layout is one column on a phone and a grid on a wide screen. No fonts or files are loaded.
 */

/** The page's style sheet. */
export const styleSheet = `
:root{color-scheme:light dark;
--bg:#f7f7f5;--card:#fff;--ink:#1c1e21;--soft:#5c6370;--line:#e2e3e0;--grid:#ecedea;--accent:#2f5fd0;--up:#14794a;--down:#b3372b;
--s1:#2f5fd0;--s2:#d9822b;--s3:#14915c;--s4:#a346b8;--s5:#c43d4b;--s6:#63717f;--s7:#0f8f96;--s8:#8a6a1f;--s9:#d0569b;
--reasoning:#e9e2fb;--call:#d5e6fd;--answer:#cdf0d9;--observation:#fcebc2;--template:#e7e8e6;--prompt:#f1f1ee}
@media (prefers-color-scheme:dark){:root{
--bg:#131518;--card:#1b1e22;--ink:#e6e7e9;--soft:#98a0ab;--line:#2d3137;--grid:#262a2f;--accent:#7ea6ff;--up:#5ccf94;--down:#ff8d80;
--s1:#7ea6ff;--s2:#f0a45b;--s3:#55c794;--s4:#d28be4;--s5:#f57f8b;--s6:#9aa7b4;--s7:#4fc4cb;--s8:#cdaa55;--s9:#f08fc4;
--reasoning:#3a2f5c;--call:#1f3c66;--answer:#1d4a31;--observation:#503f16;--template:#2f3338;--prompt:#24272b}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Liberation Sans",sans-serif}
main{max-width:1120px;margin:0 auto;padding:28px 20px 60px}
h1{font-size:26px;line-height:1.2;margin:0 0 4px;letter-spacing:-.01em}
h2{font-size:18px;margin:36px 0 10px;letter-spacing:-.005em}
h3{font-size:14px;margin:0}
p{margin:0 0 10px}
.lead,.note{color:var(--soft)}
.note{font-size:13px;margin:6px 0 0}
code,.mono{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
.card,.chart,.tile{background:var(--card);border:1px solid var(--line);border-radius:10px}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(190px,1fr));gap:12px;margin:20px 0 0}
.tile{padding:14px 16px}
.tile .name{color:var(--soft);font-size:13px}
.tile .value{font-size:26px;line-height:1.25;font-weight:650;font-variant-numeric:tabular-nums;letter-spacing:-.01em}
.tile .value small{font-size:15px;font-weight:500;color:var(--soft)}
.tile .detail{font-size:13px;color:var(--soft)}
.up{color:var(--up)}.down{color:var(--down)}
.warning{border-left:4px solid var(--s2);padding:10px 14px;margin:16px 0 0}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
.scores th,.scores td{padding:7px 12px;text-align:right;white-space:nowrap;border-top:1px solid var(--line)}
.scores th:first-child{text-align:left;font-weight:500}
.scores th:first-child{position:sticky;left:0;background:var(--card)}
.scores thead th{border-top:0;color:var(--soft);font-size:13px;font-weight:500}
.scores thead tr:first-child th{padding-bottom:0;color:var(--ink);font-weight:600}
.scores tbody tr.total th,.scores tbody tr.total td{font-weight:650}
.scores .first{border-left:1px solid var(--line)}
.scores .swatch{display:inline-block;width:10px;height:10px;border-radius:3px;background:var(--c);margin-right:7px}
.scores small{color:var(--soft);font-size:12.5px}
.spread{padding:12px 16px}.spread text{fill:var(--ink);font-size:12px}.spread .tick{fill:var(--soft);font-size:11px}.spread circle{fill:var(--c);opacity:.55}.spread .mean{stroke:var(--c);stroke-width:3}.spread .reach{stroke:var(--c);stroke-width:1.5}
.stack{display:grid;gap:14px}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,300px),1fr));gap:14px}
.chart{margin:0;padding:12px 14px 10px}
.chart figcaption{display:flex;flex-wrap:wrap;gap:2px 14px;justify-content:space-between;align-items:baseline;min-height:24px}
.legend{display:flex;flex-wrap:wrap;gap:2px 12px;font-size:12.5px;color:var(--soft);font-variant-numeric:tabular-nums}
.legend b{color:var(--ink);font-weight:600}
.key i{display:inline-block;width:10px;height:10px;border-radius:3px;background:var(--c);margin-right:5px}
svg{display:block;width:100%;height:auto;margin-top:6px;touch-action:pan-y}
.s1{--c:var(--s1)}.s2{--c:var(--s2)}.s3{--c:var(--s3)}.s4{--c:var(--s4)}.s5{--c:var(--s5)}.s6{--c:var(--s6)}.s7{--c:var(--s7)}.s8{--c:var(--s8)}.s9{--c:var(--s9)}
path{fill:none;stroke:var(--c);stroke-linejoin:round;stroke-linecap:round}
.line{stroke-width:2}.thin{stroke-width:1;opacity:.4}
.dots{fill:var(--c)}.faint{opacity:.55}
.grid{stroke:var(--grid)}.grid.base{stroke:var(--soft);stroke-opacity:.55}
.cursor{stroke:var(--soft);stroke-dasharray:3 3}
.tick{fill:var(--soft);font-size:11px;font-variant-numeric:tabular-nums}
.reasons{padding:14px 16px}
.reason{display:grid;grid-template-columns:minmax(110px,190px) 1fr 96px;gap:4px 12px;align-items:center;padding:3px 0;font-size:14px}
.reason .track{background:var(--grid);border-radius:4px;height:12px;overflow:hidden}
.reason .fill{background:var(--accent);height:100%}
.reason .fill.before{background:var(--s6)}
.reason .n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums;color:var(--soft)}
.roles{display:flex;flex-wrap:wrap;gap:6px 14px;font-size:13px;margin:0 0 12px}
.roles span{padding:1px 8px;border-radius:4px}
.t-prompt{background:var(--prompt)}.t-reasoning{background:var(--reasoning)}.t-call{background:var(--call)}
.t-answer{background:var(--answer)}.t-observation{background:var(--observation)}.t-template{background:var(--template);color:var(--soft)}
.picker{display:flex;flex-wrap:wrap;gap:8px;align-items:center;margin:0 0 12px;font-size:14px}
select{font:inherit;font-size:14px;max-width:100%;padding:5px 8px;border:1px solid var(--line);border-radius:7px;background:var(--card);color:var(--ink)}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,420px),1fr));gap:14px}
.rollout{padding:14px 16px;min-width:0}
.rollout header{display:flex;flex-wrap:wrap;gap:2px 14px;align-items:baseline;justify-content:space-between;margin-bottom:8px}
.rollout .facts{font-size:13px;color:var(--soft);font-variant-numeric:tabular-nums}
.pair[hidden]{display:none}
.tokens{font:13px/1.85 ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;white-space:pre-wrap;overflow-wrap:anywhere;unicode-bidi:isolate}
.tokens span{border-radius:3px;padding:2px 0;box-shadow:inset -1px 0 0 color-mix(in srgb,var(--ink) 9%,transparent)}
.turn{display:block;margin:0 0 6px}
details{margin:0 0 10px}
.group>summary{padding:6px 0;border-bottom:1px solid var(--line);color:var(--ink);margin-bottom:10px}.group small{color:var(--soft)}
a{color:var(--accent)}
.settings.single{columns:1}
summary{cursor:pointer;color:var(--soft);font-size:14px}
.settings{columns:2;column-gap:32px;padding:14px 16px;font-size:13.5px}
.settings div{display:flex;justify-content:space-between;gap:14px;break-inside:avoid;border-bottom:1px solid var(--grid);padding:3px 0}
.settings dt{color:var(--soft)}.settings dd{margin:0;text-align:right;overflow-wrap:anywhere}
dl{margin:0}
footer{margin-top:40px;color:var(--soft);font-size:13px}
@media (max-width:640px){main{padding:18px 12px 40px}h1{font-size:22px}.tile .value{font-size:22px}.settings{columns:1}
.tiles{grid-template-columns:1fr 1fr}.reason{grid-template-columns:100px 1fr 88px}.scores th,.scores td{padding:6px 8px}.scores th:first-child{white-space:normal;min-width:92px}}
@media print{.picker{display:none}.pair[hidden]{display:grid}}
`;

/**
 * The page's script: the rollout picker, and the values under the pointer in each chart. It reads only what is in the
 * page and writes text, never markup.
 */
export const pageScript = `
const picker=document.getElementById("picker");
if(picker){const show=()=>{for(const r of document.querySelectorAll("[data-rollout]"))r.hidden=r.dataset.rollout!==picker.value};picker.addEventListener("change",show);show()}
for(const svg of document.querySelectorAll("svg[data-x]")){
const xs=JSON.parse(svg.dataset.x),series=JSON.parse(svg.dataset.series),cursor=svg.querySelector(".cursor"),values=svg.parentNode.querySelectorAll(".legend b"),last=[...values].map(v=>v.textContent),title=svg.parentNode.querySelector("h3"),name=title.textContent;
svg.addEventListener("pointermove",e=>{const r=svg.getBoundingClientRect(),x=(e.clientX-r.left)/r.width*svg.viewBox.baseVal.width;let n=0;xs.forEach((p,i)=>{if(Math.abs(p[1]-x)<Math.abs(xs[n][1]-x))n=i});
cursor.setAttribute("x1",xs[n][1]);cursor.setAttribute("x2",xs[n][1]);series.forEach((s,i)=>{values[i].textContent=s[1][n]});title.textContent=name+", step "+xs[n][0]});
svg.addEventListener("pointerleave",()=>{cursor.setAttribute("x1",-9);cursor.setAttribute("x2",-9);values.forEach((v,i)=>{v.textContent=last[i]});title.textContent=name})}
`;
