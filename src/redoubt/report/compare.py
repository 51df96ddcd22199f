"""Two measured models side by side: settings that differ, every figure of both, and whether it differs for sure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

from markupsafe import Markup

from redoubt.core.types import Norm
from redoubt.evaluation.paired import correlation, unpacked
from redoubt.report.chart import NORMS, Chart, Series, group

TEST = (
    "95 % interval of the difference by Newcombe's score method, from the Wilson intervals of both; paired where both "
    "were measured on the same examples"
)
CLEAN = (("clean", "clean, network"), ("clean_guarded", "clean, defended"))
COLUMNS = {
    "undefended": "undefended",
    "oblivious": "oblivious",
    "adaptive": "adaptive",
    "certified": "certified (network)",
    "certified_guarded": "certified (defended)",
}
# Of the chart: what is drawn, and its dash.
DRAWN = (("undefended", "2 3"), ("adaptive", ""), ("certified_guarded", "6 3"))


@dataclass(frozen=True)
class Side:
    """One of the two.

    Attributes:
        name: as it was named.
        task: what its model does.
        model: which of the task's it is.
        settings: what its figures depend on, flat.
        numbers: what was measured of it on the test split.
    """

    name: str
    task: str
    model: str
    settings: Mapping[str, Any]
    numbers: Mapping[str, Any]


@dataclass(frozen=True)
class Row:
    """One figure of both.

    Attributes:
        what: of the model.
        threat: norm and eps; empty for clean accuracy.
        norm: of the threat.
        eps: its size.
        a: the first one's rate.
        b: the second one's.
        difference: of b from a, in shares.
        low: lower end of its 95 % interval.
        high: its upper end.
        paired: whether it is that of the same examples.
    """

    what: str
    threat: str
    norm: str
    eps: float
    a: Mapping[str, Any]
    b: Mapping[str, Any]
    difference: float
    low: float
    high: float
    paired: bool

    @property
    def differs(self) -> bool:
        """Whether the difference is larger than chance explains: its interval leaves out 0."""
        return self.low > 0 or self.high < 0


def settings_that_differ(a: Side, b: Side) -> list[tuple[str, Any, Any]]:
    """Name and both values, None where one has none, of every setting that is not the same."""
    names = sorted({*a.settings, *b.settings})
    return [
        (name, a.settings.get(name), b.settings.get(name))
        for name in names
        if a.settings.get(name) != b.settings.get(name)
    ]


def rows(a: Side, b: Side) -> list[Row]:
    """Every figure that both have: clean accuracy, then each threat that both met."""
    same = a.numbers.get("examples") == b.numbers.get("examples") and bool(a.numbers.get("examples"))
    right = [each.numbers.get("right", {}) if same else {} for each in (a, b)]
    found = [
        _row((told, "", "", 0.0), (a.numbers.get(key), b.numbers.get(key)), [each.get(key) for each in right])
        for key, told in CLEAN
    ]
    other = {(cell["norm"], cell["eps"]): cell for cell in b.numbers["cells"]}
    for cell in a.numbers["cells"]:
        norm, eps = cell["norm"], cell["eps"]
        beside = other.get((norm, eps), {})
        threat = f"{NORMS[norm]} {eps:g}"
        kept = [each.get("robust", {}) if same else {} for each in (cell, beside)]
        found += [
            _row((told, threat, norm, eps), (cell.get(column), beside.get(column)), [each.get(column) for each in kept])
            for column, told in COLUMNS.items()
        ]
    return [row for row in found if row is not None]


def at_own_eps(a: Side, found: Sequence[Row]) -> list[Row]:
    """The rows at the task's own eps, where it is known and both met it; else all of them.

    Args:
        a: whose settings say the eps.
        found: of `rows`.
    """
    kept = [row for row in found if not row.norm or a.settings.get(f"eps/{row.norm}") == row.eps]
    return kept if any(row.norm for row in kept) else list(found)


def _row(threat: tuple[str, str, str, float], rates: tuple[Any, Any], kept: list[str | None]) -> Row | None:
    """One figure of both; paired where the examples are known that each kept."""
    a, b = rates
    if not a or not b:
        return None
    each = [unpacked(bits, int(a["n"])) for bits in kept if bits is not None]
    paired = len(each) == len(rates) and a["n"] == b["n"]
    return Row(*threat, a, b, *difference(a, b, correlation(*each) if paired else 0.0), paired)


def difference(a: Mapping[str, float], b: Mapping[str, float], phi: float = 0.0) -> tuple[float, float, float]:
    """The second share minus the first, with its 95 % interval (Newcombe 1998, method 10, by both Wilson intervals).

    Args:
        a: the first rate.
        b: the second one.
        phi: how much they go together on the same examples; 0 of other examples.

    Returns:
        The difference, and both ends of the interval.
    """
    found = b["share"] - a["share"]
    down, up = (b["share"] - b["low"], a["high"] - a["share"]), (b["high"] - b["share"], a["share"] - a["low"])
    low, high = (sqrt(max(one**2 - 2 * phi * one * other + other**2, 0.0)) for one, other in (down, up))
    return found, found - low, found + high


def notes(a: Side, b: Side) -> list[str]:
    """What must be known to read the table."""
    told = []
    if a.task != b.task:
        told.append(f"the tasks differ, {a.task} and {b.task}: the figures are of different examples")
    for name in ("dataset", "split"):
        both = a.settings.get(name), b.settings.get(name)
        if a.task == b.task and None not in both and both[0] != both[1]:
            told.append(f"the {name} differs: the figures are of different examples")
    if a.settings.get("digest") and a.settings.get("digest") == b.settings.get("digest"):
        told.append("both are the same model, by its digest")
    sizes = [{(cell["norm"], cell["eps"]) for cell in each.numbers["cells"]} for each in (a, b)]
    for name, alone in ((a.name, sizes[0] - sizes[1]), (b.name, sizes[1] - sizes[0])):
        if alone:
            listed = ", ".join(f"{NORMS[norm]} {eps:g}" for norm, eps in sorted(alone))
            told.append(f"only {name} was measured at {listed}")
    return told


def curves(a: Side, b: Side) -> Markup:
    """The eps curves of both in one chart per norm: a colour each, a dash per column."""
    norms: tuple[Norm, ...] = ("linf", "l2")
    charts = []
    for norm in norms:
        lines = [line for look, side in enumerate((a, b)) for line in _lines(side, "AB"[look], norm, look)]
        if lines:
            charts.append(Chart(NORMS[norm], lines, f"{NORMS[norm]} eps", "accuracy", share=True))
    caption = f"A: {a.name}; B: {b.name}. Bands are 95 % Wilson intervals."
    return group(f"compare-{a.task}", charts, caption, 2)


def _lines(side: Side, letter: str, norm: Norm, look: int) -> list[Series]:
    lines = []
    for column, dash in DRAWN:
        cells = [(cell["eps"], cell[column]) for cell in side.numbers["cells"] if cell["norm"] == norm]
        kept = sorted(((eps, rate) for eps, rate in cells if rate), key=lambda each: float(each[0]))
        clean = side.numbers.get("clean" if column == "undefended" else "clean_guarded")
        if column != "certified_guarded" and clean:
            kept = [(0.0, clean), *kept]
        if kept:
            ends = [[rate[end] for _, rate in kept] for end in ("share", "low", "high")]
            at = [eps for eps, _ in kept]
            lines.append(Series(f"{letter}, {COLUMNS[column]}", at, ends[0], look, dash, ends[1], ends[2]))
    return lines


def as_data(a: Side, b: Side) -> dict[str, Any]:
    """The whole comparison as JSON holds it."""
    return {
        "a": {"name": a.name, "task": a.task, "model": a.model},
        "b": {"name": b.name, "task": b.task, "model": b.model},
        "notes": notes(a, b),
        "settings": [{"name": name, "a": first, "b": second} for name, first, second in settings_that_differ(a, b)],
        "rows": [
            {
                "what": row.what,
                "norm": row.norm or None,
                "eps": row.eps if row.norm else None,
                "a": dict(row.a),
                "b": dict(row.b),
                "difference": round(row.difference, 6),
                "low": round(row.low, 6),
                "high": round(row.high, 6),
                "differs": row.differs,
                "paired": row.paired,
            }
            for row in rows(a, b)
        ],
        "test": TEST,
    }
