"""The page of the data docs: what the data look like, then Great Expectations' sections; it loads nothing."""

from html import escape

STYLE = """:root { color-scheme: light dark; --paper: #fff; --ink: #1f2937; --quiet: #6b7280; --line: #e5e7eb;
  --accent: #1d4ed8; --good: #15803d; --bad: #b91c1c; }
@media (prefers-color-scheme: dark) {
:root {
--paper: #111827;
--ink: #e5e7eb;
--quiet: #a1a9b6;
--line: #374151;
--accent: #93c5fd;
--good: #4ade80;
--bad: #f87171; } }
body { font: 15px/1.55 system-ui, "DejaVu Sans", sans-serif; margin: 0 auto; max-width: 70rem;
  padding: 1.5rem 1rem 5rem; color: var(--ink); background: var(--paper); overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; margin: .4rem 0; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; }
h3 { font-size: 1rem; margin: .3rem 0; }
h5 { font-size: 1.05rem; margin: 1.5rem 0 .3rem; }
h6, .h6 { font-size: 1rem; font-weight: 600; margin: .5rem 0; }
a { color: var(--accent); }
summary { cursor: pointer; color: var(--accent); }
small, .note, figcaption { color: var(--quiet); font-size: .82rem; }
table { border-collapse: collapse; width: 100%; }
td, th { border-bottom: 1px solid var(--line); padding: .3rem .6rem .3rem 0; text-align: left; vertical-align: top;
  overflow-wrap: normal; }
.good, .bad, .broken { border-left: 4px solid var(--good); padding: .1rem 0 .1rem .8rem; }
.bad, .broken { border-color: var(--bad); }
.broken { margin: 1rem 0; }
.broken table { width: auto; }
.all { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(15rem, 100%), 1fr)); gap: 1.2rem 1.6rem; }
figure { margin: 0; min-width: 0; }
figcaption { font-weight: 600; margin-bottom: .2rem; }
svg { display: block; width: 100%; max-width: 24rem; height: auto; border-top: 1px solid var(--line); }
svg rect { fill: var(--accent); }
svg text { font: 11px system-ui, sans-serif; fill: var(--quiet); }
.counts { display: grid; grid-template-columns: fit-content(12rem) minmax(3rem, 22rem) auto; gap: .15rem .7rem;
  align-items: center; justify-content: start; font-variant-numeric: tabular-nums; font-size: .88rem; }
.counts i { background: var(--accent); height: .8rem; min-width: 1px; }
.counts b { font-weight: 400; white-space: nowrap; }
@media (max-width: 40rem) {
  td, th { overflow-wrap: anywhere; padding-right: .3rem; }
  .all { grid-template-columns: 1fr 1fr; }
  .all figure:has(.counts) { grid-column: 1 / -1; }
}
.samples { display: flex; flex-wrap: wrap; gap: .8rem 1.4rem; }
.samples img { width: 3.4rem; height: 3.4rem; object-fit: contain; image-rendering: pixelated; margin-right: 3px;
  border: 1px solid var(--line); }
a[data-toggle] { display: none; }
.badge { background: var(--line); border-radius: .3rem; padding: 0 .35rem; font-size: .9em; }
.popover, .cooltip .top { display: none; }
.fa-check-circle::before { content: "\\2714"; color: var(--good); }
.fa-times::before { content: "\\2718"; color: var(--bad); }
.fa-exclamation-triangle::before { content: "\\26A0"; color: #b45309; }"""
FRAME = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{style}
</style>
</head>
<body>
<p class="note"><a href="../../{task}.html">Report on {task}</a> &middot;
<a href="../../index.html#{task}">all tasks</a></p>
<h1>{title}</h1>
<p>{source}: {origin}</p>
{verdict}
{figures}
<h2>Every rule, by Great Expectations</h2>
<p class="note">Names in parentheses are figures derived from each row: of an image its darkest, brightest and mean
pixel; of a row its digest (equal rows are repeated ones), and how many rows its class has.</p>
<details{open}><summary>{rules} rules</summary>
{body}
</details>
</body>
</html>
"""


def page(task: str, about: tuple[str, str], parts: tuple[str, str], rules: tuple[int, bool], body: str) -> str:
    """The whole page.

    Args:
        task: its name, of which the report's pages are called.
        about: the source and its origin.
        parts: HTML of the verdict and of the figures.
        rules: how many there are, and whether all hold.
        body: Great Expectations' sections as HTML.
    """
    count, passed = rules
    return FRAME.format(
        title=f"Data docs: {escape(task)}",
        style=STYLE,
        task=escape(task),
        source=escape(about[0]),
        origin=escape(about[1]),
        verdict=parts[0],
        figures=parts[1],
        rules=count,
        open="" if passed else " open",
        body=body,
    )
