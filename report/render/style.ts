/** The look of both pages: light and dark, on a phone, on a desk and on paper. No fonts, pictures or scripts from anywhere. */
export const style = `
:root {
  color-scheme: light dark;
  --paper: #f6f7f9; --card: #ffffff; --ink: #1b2330; --soft: #5b6676; --line: #dde2e9; --code: #f2f4f7;
  --accent: #2458c5; --go: #166b3a; --go-soft: #e3f4ea; --care: #9a5b00; --care-soft: #fff1d8;
  --stop: #b3261e; --stop-soft: #fde8e6; --calm-soft: #e6eefc;
  --added: #e2f5e8; --added-ink: #10552e; --removed: #fde7e7; --removed-ink: #8c1d18;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #12161c; --card: #1a2028; --ink: #e6eaf0; --soft: #9aa6b5; --line: #2e3742; --code: #141a21;
    --accent: #8ab0ff; --go: #6fd196; --go-soft: #16301f; --care: #f0b45b; --care-soft: #35280f;
    --stop: #ff8f86; --stop-soft: #3b1815; --calm-soft: #17243d;
    --added: #12301d; --added-ink: #a6e5bd; --removed: #3a1919; --removed-ink: #ffb9b3;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; overflow-wrap: anywhere; }
main { max-width: 68rem; margin: 0 auto; padding: 2rem 1.25rem 3rem; }
code, pre, .mono { font-family: ui-monospace, SFMono-Regular, "Cascadia Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: .86em; }
h1 { font-size: clamp(1.35rem, 1rem + 1.8vw, 2rem); line-height: 1.25; margin: 0; font-weight: 650; letter-spacing: -.012em; text-wrap: pretty; }
h2 { font-size: 1.15rem; margin: 2.5rem 0 .75rem; letter-spacing: -.005em; }
h3 { font-size: .95rem; margin: 0; font-weight: 600; }
p { margin: .35rem 0; }
ul { margin: 0; padding: 0; list-style: none; }
a { color: var(--accent); }
.eyebrow { color: var(--soft); font-size: .85rem; margin: 0 0 .6rem; }
.eyebrow b { color: var(--ink); font-weight: 600; }
.soft { color: var(--soft); font-size: .9rem; }
.verdict { border: 1px solid var(--line); border-left: .45rem solid var(--soft); background: var(--card); border-radius: .6rem; padding: 1.35rem 1.5rem 1.4rem; }
.verdict.failed, .verdict.danger { border-left-color: var(--stop); background: var(--stop-soft); }
.verdict.careful { border-left-color: var(--care); background: var(--care-soft); }
.verdict.calm { border-left-color: var(--accent); background: var(--calm-soft); }
.verdict.nothing { border-left-color: var(--go); background: var(--go-soft); }
.label { display: inline-block; font-size: .75rem; font-weight: 700; letter-spacing: .06em; text-transform: uppercase; margin: 0 0 .45rem; }
.failed .label, .danger .label { color: var(--stop); } .careful .label { color: var(--care); }
.calm .label { color: var(--accent); } .nothing .label { color: var(--go); }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .75rem; margin: 1rem 0 0; }
.figures > div { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: .7rem .95rem; }
.figures dt { color: var(--soft); font-size: .82rem; }
.figures dd { margin: 0; font-size: 1.3rem; font-weight: 650; font-variant-numeric: tabular-nums; }
.figures dd small { font-size: .8rem; font-weight: 400; color: var(--soft); display: block; line-height: 1.35; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: .95rem 1.1rem; margin: 0 0 .75rem; }
.card.loud { border-color: var(--stop); border-left-width: .35rem; }
.card > :first-child { margin-top: 0; } .card > :last-child { margin-bottom: 0; }
.loud h3 { color: var(--stop); } .loud li + li { margin-top: .7rem; } .loud p { margin: .1rem 0 0; }
.rows { padding: .35rem 1.1rem; } .rows li { padding: .45rem 0; border-top: 1px solid var(--line); } .rows li:first-child { border-top: 0; }
.tag + .what { margin-left: .3rem; }
.messages li { padding: .6rem 0 .6rem 1.5rem; border-top: 1px solid var(--line); position: relative; white-space: pre-line; }
.messages li:first-child { border-top: 0; padding-top: 0; } .messages li:last-child { padding-bottom: 0; }
.messages li::before { content: "!"; position: absolute; left: .3rem; font-weight: 800; color: var(--care); }
.messages.errors li::before { content: "✕"; color: var(--stop); }
.tag { display: inline-block; border-radius: 1rem; padding: .05rem .6rem; font-size: .78rem; font-weight: 600; border: 1px solid currentColor; white-space: nowrap; }
.tag.yes, .tag.replace { color: var(--care); } .tag.maybe { color: var(--care); border-style: dashed; }
.tag.no, .tag.create, .tag.import { color: var(--go); } .tag.update { color: var(--accent); } .tag.delete { color: var(--stop); }
.stage { margin: .9rem 0 1rem; } .stage > h3 { margin: 0 0 .45rem; color: var(--soft); font-weight: 600; }
.lane { list-style: none; display: flex; flex-wrap: wrap; gap: .5rem 1.6rem; margin: 0 0 .5rem; padding: 0; }
.lane li { flex: 1 1 15rem; max-width: 21rem; min-width: 0; background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: .7rem .9rem; position: relative; }
.lane li + li::before { content: "→"; position: absolute; left: -1.35rem; top: .75rem; color: var(--soft); }
.lane .name { display: flex; justify-content: space-between; gap: .5rem; align-items: baseline; font-weight: 650; }
.lane p { font-size: .88rem; } .lane .bad { color: var(--stop); }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: .6rem; background: var(--card); margin: 0 0 .75rem; }
.scroll:focus-visible, summary:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; overflow-wrap: normal; }
th, td { text-align: left; padding: .5rem .8rem; border-top: 1px solid var(--line); vertical-align: top; }
thead th { border-top: 0; color: var(--soft); font-weight: 600; font-size: .8rem; white-space: nowrap; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.nowrap, th[scope=row] { white-space: nowrap; }
th[scope=row] { position: sticky; left: 0; background: var(--card); }
.diff { margin: .7rem 0 0; background: var(--code); border: 1px solid var(--line); border-radius: .45rem; overflow: hidden; }
.diff > div { overflow-x: auto; } .diff pre { margin: 0; padding: .4rem 0; line-height: 1.5; display: table; min-width: 100%; }
.diff span { display: block; padding: 0 .9rem 0 .7rem; white-space: pre; overflow-wrap: normal; }
.diff .added { background: var(--added); color: var(--added-ink); } .diff .removed { background: var(--removed); color: var(--removed-ink); }
.diff mark { background: none; color: inherit; font-weight: 700; text-decoration: underline; text-decoration-thickness: 2px; text-underline-offset: .18em; }
.diff .gap { color: var(--soft); padding: .15rem .9rem .15rem .7rem; user-select: none; border-top: 1px dashed var(--line); border-bottom: 1px dashed var(--line); }
.diff pre > .gap:first-child { border-top: 0; padding-top: 0; }
details.resource { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; margin: 0 0 .5rem; }
summary { cursor: pointer; padding: .6rem .95rem; border-radius: .6rem; }
summary .what { font-weight: 600; } summary .tag { margin-right: .45rem; }
.diff + details.resource { margin: .7rem 0 0; }
.resource > div { padding: 0 .95rem .9rem; }
.group { color: var(--soft); font-size: .85rem; font-weight: 600; margin: 1.1rem 0 .4rem; }
.changes { display: grid; grid-template-columns: minmax(0, 1fr); gap: .55rem; } .changes .path { font-weight: 600; font-size: .84em; }
.value { display: block; padding: .1rem .55rem; border-radius: .3rem; white-space: pre-wrap; }
.value.before { background: var(--removed); color: var(--removed-ink); } .value.after { background: var(--added); color: var(--added-ink); margin-top: .15rem; }
.legend { display: flex; flex-wrap: wrap; gap: .35rem 1.1rem; font-size: .85rem; margin: .75rem 0 0; }
.legend li { display: flex; align-items: center; gap: .4rem; } .legend svg { flex: none; }
.gantt { overflow: visible; display: block; width: 100%; }
.gantt text { font: 12px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; fill: var(--ink); }
.gantt .axis { stroke: var(--line); stroke-width: 1; } .gantt .tick { fill: var(--soft); font-size: 11px; }
.gantt .name { font-weight: 600; font-size: 13px; } .gantt .time { fill: var(--soft); }
.gantt .idle { stroke: var(--soft); stroke-width: 1.5; stroke-dasharray: 2 4; } .gantt .lane { fill: var(--code); }
.gantt .why { fill: var(--stop); font-weight: 600; }
.gantt .failure, .gantt-mark .failure { stroke: var(--stop); stroke-width: 3; stroke-linecap: round; fill: none; }
.gantt .failure-ground { fill: var(--card); stroke: var(--stop); stroke-width: 1.5; } .gantt-mark .idle { stroke: var(--soft); stroke-width: 1.5; stroke-dasharray: 2 4; }
.gantt .step { fill: #fff; font-size: 11px; font-weight: 600; } .gantt path.idle { fill: none; }
.pattern { stroke: #fff; stroke-opacity: .38; stroke-width: 1.1; fill: none; } .pattern circle { fill: #fff; fill-opacity: .45; stroke: none; } .defs { position: absolute; }
.s-check { fill: #64748b; } .s-pull { fill: #1d63c8; } .s-drain { fill: #a8500a; } .s-install { fill: #6d3bd1; }
.s-reboot { fill: #9d174d; } .s-verify { fill: #157347; } .s-uncordon { fill: #0f6f6f; }
footer { margin-top: 2.5rem; padding-top: 1rem; border-top: 1px solid var(--line); color: var(--soft); font-size: .85rem; }
@media (max-width: 40rem) {
  main { padding: 1.1rem .85rem 2rem; } .verdict { padding: 1rem 1.05rem 1.1rem; }
  .figures { grid-template-columns: 1fr 1fr; gap: .55rem; } .lane { flex-direction: column; gap: .45rem; }
  .lane li { flex: none; max-width: none; } .lane li + li::before { content: none; } h2 { margin-top: 2rem; }
  .diff span { white-space: pre-wrap; overflow-wrap: anywhere; padding-left: .5rem; padding-right: .5rem; }
}
@media print {
  :root { color-scheme: light; --paper: #fff; --card: #fff; --ink: #000; --soft: #444; --line: #bbb; --code: #fff;
    --accent: #2458c5; --go: #166b3a; --go-soft: #fff; --care: #9a5b00; --care-soft: #fff; --stop: #b3261e; --stop-soft: #fff; --calm-soft: #fff;
    --added: #e2f5e8; --added-ink: #10552e; --removed: #fde7e7; --removed-ink: #8c1d18; }
  body { font-size: 11px; } main { max-width: none; padding: 0; }
  .diff span, .gap { white-space: pre-wrap; } .scroll, .diff > div { overflow: visible; }
  details.resource::details-content { content-visibility: visible; block-size: auto; }
  .card, .lane li, tr { break-inside: avoid; } h2, h3, summary { break-after: avoid; }
}
`;
