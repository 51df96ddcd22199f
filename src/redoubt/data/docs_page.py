"""The page that holds the sections of the data docs, with nothing loaded from elsewhere."""

STYLE = """body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; }
h5 { font-size: 1.1rem; margin: 1.5rem 0 .3rem; }
h6, .h6 { font-size: 1rem; font-weight: 600; margin: .5rem 0; }
table { border-collapse: collapse; width: 100%; }
td, th { border-bottom: 1px solid #ddd; padding: .3rem .6rem; text-align: left; vertical-align: top; }
a[data-toggle] { display: none; }
.badge { background: #e8eaed; border-radius: .3rem; padding: 0 .35rem; font-size: .9em; }
.fa-check-circle::before { content: "\\2714"; color: #17803d; }
.fa-times::before { content: "\\2718"; color: #c0262d; }
.fa-exclamation-triangle::before { content: "\\26A0"; color: #b45309; }
.popover, .cooltip .top { display: none; }
@media (prefers-color-scheme: dark) {
body { background: #16181c; color: #e6e6e6; }
td, th { border-color: #444; }
.badge { background: #3a3f47; }
}"""
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
<h1>{title}</h1>
{body}
</body>
</html>
"""
