"""What raw data look like: counts of classes, a histogram per column, example images, and the rules they break."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from redoubt.core.png import png_uri
from redoubt.data.shared.dataset import Raw

BINS = 24
# So many steps between values of a scale are bars of their own: bins across them would leave gaps.
STEPS = 40
# Images whose pixels are counted.
FEW = 1000
# A wide table shows its first columns, a category its most frequent values, a task its first classes.
COLUMNS, VALUES, CLASSES, PER_CLASS = 60, 12, 20, 3
# An image with longer sides is thinned out: it is to be recognized, not studied.
SIDE = 64
WIDTH, HEIGHT = 240, 90


def figures(raw: Raw) -> str:
    """Everything there is to see of the data, as HTML."""
    if raw.table is None:
        x, y = raw.images
        names = np.array(raw.schema.labels)[y]
        return (
            _section("Examples per class", _counts(pd.Series(names), raw.schema.labels))
            + _section(f"The first {PER_CLASS} images of each class", _samples(raw, x, y))
            + _section(f"Pixels, from 0 to {raw.levels}", _pixels(x[:FEW]))
        )
    table, target = raw.table, raw.schema.target
    parts = []
    if raw.schema.is_classification and target in table:
        parts.append(_section(f"Examples per class of {escape(target)}", _counts(table[target], raw.schema.labels)))
    kinds = {column.name: column.kind for column in raw.schema.columns}
    if not raw.schema.is_classification:
        kinds = {target: "number", **kinds}
    shown = [name for name in kinds if name in table][:COLUMNS]
    more = f", the first {COLUMNS} of {len(kinds)}" if len(kinds) > COLUMNS else ""
    drawn = "".join(_column(name, table[name], kinds[name], target) for name in shown)
    return "".join(parts) + _section(f"Columns{more}", f'<div class="all">{drawn}</div>')


def _pixels(x: NDArray[Any]) -> str:
    return f'<div class="all">{_histogram(f"the first {len(x):,} images", x.ravel().astype(float))}</div>'


def broken(report: Mapping[str, Any]) -> str:
    """The verdict in a sentence, and each broken rule with the rows that break it and what to do."""
    failed = [rule for rule in report["rules"] if not rule["passed"]]
    if not failed:
        return f'<p class="good">All {len(report["rules"])} rules hold on {report["rows"]:,} rows.</p>'
    told = (
        f'<p class="bad">{len(failed)} of {len(report["rules"])} rules are broken on {report["rows"]:,} rows: '
        "nothing is trained on them until that is fixed.</p>"
    )
    return told + "".join(_broken_rule(rule) for rule in failed)


def _broken_rule(rule: Mapping[str, Any]) -> str:
    where = f"column <code>{escape(str(rule['column']))}</code>" if rule["column"] else "the whole table"
    rows = "".join(
        f"<tr><td>{escape(str(each['row']))}</td><td>{'empty' if each['value'] is None else escape(str(each['value']))}"
        "</td></tr>"
        for each in rule["rows"]
    )
    table = f"<table><tr><th>row, from 0</th><th>value</th></tr>{rows}</table>" if rows else ""
    return (
        f'<div class="broken"><h3>{escape(rule["rule"])}, {where}</h3><p>Expected {escape(str(rule["expected"]))}; '
        f"found {escape(str(rule['observed']))}.</p>{table}<p>To fix: {escape(str(rule['fix']))}.</p></div>"
    )


def _section(title: str, body: str) -> str:
    return f"<h2>{title}</h2>\n{body}\n"


def _column(name: str, values: "pd.Series[Any]", kind: str, target: str) -> str:
    said = f"{name} (what is predicted)" if name == target else name
    if kind == "category" or not pd.api.types.is_numeric_dtype(values):
        frequent = [str(value) for value in values.value_counts().index[:VALUES]]
        return f"<figure><figcaption>{escape(said)}</figcaption>{_counts(values, frequent)}</figure>"
    return _histogram(said, values.to_numpy(float))


def _counts(values: "pd.Series[Any]", names: Sequence[str]) -> str:
    """A bar per name, as long as its share of the most frequent; the rest together."""
    found = values.astype(str).where(values.notna()).value_counts()
    counts = [(name, int(found.get(name, 0))) for name in names[:CLASSES]]
    rest = int(found.sum()) - sum(count for _, count in counts)
    counts += [(f"{len(found) - len(counts)} others", rest)] if rest else []
    counts += [("empty", int(values.isna().sum()))] if values.isna().any() else []
    most = max((count for _, count in counts), default=0) or 1
    return (
        '<div class="counts">'
        + "".join(_bar(name, count, count / most, len(values)) for name, count in counts)
        + "</div>"
    )


def _bar(name: str, count: int, length: float, of: int) -> str:
    return (
        f'<span>{escape(name)}</span><i style="width:{100 * length:.1f}%"></i>'
        f"<b>{count:,} <small>{100 * count / of:.1f} %</small></b>"
    )


def _histogram(said: str, values: NDArray[Any]) -> str:
    """Bars of equal width from the smallest to the largest finite value, or one per value where there are few."""
    finite = values[np.isfinite(values)]
    missing = len(values) - len(finite)
    caption = f"<figcaption>{escape(said)}{f', {missing:,} empty' if missing else ''}</figcaption>"
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, np.inf)
    if not np.isfinite(high - low):
        return f"<figure>{caption}<p>{'too far apart to be drawn' if len(finite) else 'no number'}</p></figure>"
    counts, edges = np.histogram(finite, **_bins(finite, low, high))
    ends = (
        f'<text x="0" y="{HEIGHT + 13}">{low:.4g}</text>'
        f'<text x="{WIDTH}" y="{HEIGHT + 13}" text-anchor="end">{high:.4g}</text>'
    )
    told = f"{escape(said)}: {len(finite):,} values from {low:.4g} to {high:.4g}, median {np.median(finite):.4g}"
    return (
        f'<figure>{caption}<svg viewBox="0 0 {WIDTH} {HEIGHT + 16}" role="img" aria-label="{told}">'
        f"{''.join(_bars(counts.tolist(), edges.tolist()))}{ends}</svg></figure>"
    )


def _bins(values: NDArray[Any], low: float, high: float) -> dict[str, Any]:
    """Where the bars of a histogram begin and end: around each step of a coarse scale, else of equal width."""
    if low == high:
        return {"bins": 1, "range": (low - 0.5, high + 0.5)}
    step = float(np.diff(np.unique(values)).min())
    # Divided the other way a step may be too small for float64.
    if step * STEPS >= high - low:
        return {"bins": round((high - low) / step) + 1, "range": (low - step / 2, high + step / 2)}
    return {"bins": BINS, "range": (low, high)}


def _bars(counts: Sequence[int], edges: Sequence[float]) -> Iterable[str]:
    most, wide = max(counts), WIDTH / len(counts)
    for index, count in enumerate(counts):
        if count:
            tall = max(1.0, HEIGHT * count / most)
            yield (
                f'<rect x="{index * wide:.1f}" y="{HEIGHT - tall:.1f}" width="{wide - 1:.1f}" height="{tall:.1f}">'
                f"<title>{edges[index]:.4g} to {edges[index + 1]:.4g}: {count:,}</title></rect>"
            )


def _samples(raw: Raw, x: NDArray[Any], y: NDArray[Any]) -> str:
    """The first images of each class, under its name."""
    shown = []
    for index, name in enumerate(raw.schema.labels[:CLASSES]):
        pictures = "".join(
            f'<img alt="{escape(name)}" title="row {row}" src="{png_uri(_bytes(x[row], raw.levels))}">'
            for row in np.flatnonzero(y == index)[:PER_CLASS].tolist()
        )
        shown.append(f"<figure><figcaption>{escape(name)}</figcaption>{pictures or 'none'}</figure>")
    return f'<div class="samples">{"".join(shown)}</div>'


def _bytes(image: NDArray[Any], levels: int) -> NDArray[np.uint8]:
    """An image as pixels from 0 to 255, thinned out where it is large; what is no number is black."""
    step = max(1, -(-max(image.shape[:2]) // SIDE))
    scaled = np.nan_to_num(image[::step, ::step].astype(float), posinf=levels, neginf=0.0) / levels
    pixels = np.rint(255 * scaled.clip(0, 1)).astype(np.uint8)
    return pixels if pixels.shape[-1] in (1, 3, 4) else pixels[..., :1]
