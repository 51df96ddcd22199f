"""Charts as inline SVG with their numbers beside them, for the small script of the page to show and to save."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

NORMS = {"linf": "L-inf", "l2": "L2"}
WIDTH, HEIGHT = 400, 250
LEFT, RIGHT, TOP, BOTTOM = 56, 10, 24, 40
# Up to so many points of a line are drawn as dots, too.
DOTS = 16
# Between the dots of two series at one name, where names are 1 apart.
APART = 0.2


@dataclass(frozen=True)
class Series:
    """One line or cloud of a chart.

    Attributes:
        name: as the legend calls it; the charts of a group share a legend.
        x: places along the axis, ascending for a line; a value that is not finite is left out.
        y: values, one per place.
        look: which of the page's colours, from 0.
        dash: of the line, as SVG's stroke-dasharray; empty for an unbroken one.
        low: lower end of each value's interval, where it has one.
        high: its upper end.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    look: int
    dash: str = ""
    low: Sequence[float] = ()
    high: Sequence[float] = ()


@dataclass(frozen=True)
class Chart:
    """What is drawn between two axes.

    Attributes:
        title: a few words above it.
        series: at least one.
        x: what the horizontal axis counts.
        y: what the vertical one does.
        share: the vertical axis runs from 0 to 100 %.
        log: the vertical axis is logarithmic; values that are not positive are left out.
        mark: a place on the horizontal axis with a line through it.
        cloud: points without lines between them.
        diagonal: a line where both axes have the same value.
        names: of the places 0, 1 and so on along the horizontal axis, where it has names for numbers: each series is
            dots side by side, with their intervals.
    """

    title: str
    series: Sequence[Series]
    x: str
    y: str
    share: bool = False
    log: bool = False
    mark: float | None = None
    cloud: bool = False
    diagonal: bool = False
    names: Sequence[str] = ()


@dataclass(frozen=True)
class Scale:
    """From values to places in the picture."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The place of a value."""
        low, high, at = (math.log10(each) if self.log else each for each in (self.low, self.high, value))
        return self.start + (at - low) / (high - low) * (self.end - self.start)


def group(name: str, charts: Sequence[Chart], caption: str, columns: int = 3) -> Markup:
    """Some charts side by side with one legend for all.

    Args:
        name: of the file that the numbers are saved as, without its ending.
        charts: at least one.
        caption: what they show.
        columns: charts beside each other where there is room.

    Returns:
        A figure of the page.
    """
    entries = {each.name: each for chart in charts for each in chart.series}
    legend = Markup("").join(_entry(each) for each in entries.values()) if len(entries) > 1 else Markup("")
    return Markup(
        '<figure class="charts" data-name="{}"><div class="legend">{}</div>'
        '<div class="row" style="--columns:{}">{}</div>'
        "<figcaption>{}</figcaption></figure>"
    ).format(name, legend, columns, Markup("").join(draw(chart) for chart in charts), caption)


def draw(chart: Chart) -> Markup:
    """One chart as SVG and its numbers as JSON."""
    across, up = _scales(chart)
    parts = [_grid(chart, across, up)]
    if chart.mark is not None:
        parts.append(f'<path class="mark" d="M{across(chart.mark):.1f} {TOP}V{HEIGHT - BOTTOM}"/>')
    if chart.diagonal:
        low, high = max(across.low, up.low), min(across.high, up.high)
        parts.append(f'<path class="mark" d="M{across(low):.1f} {up(low):.1f}L{across(high):.1f} {up(high):.1f}"/>')
    drawn = Markup("".join(parts))  # noqa: S704 - numbers and constants of this module alone
    drawing = _dots if chart.names else _series
    lines = Markup("").join(drawing(each, chart, across, up) for each in chart.series)
    words = Markup(
        '<text class="title" x="{}" y="13">{}</text><text x="{}" y="{}" text-anchor="middle">{}</text>'
    ).format(2, chart.title, (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, chart.x)
    side = Markup('<text transform="translate(10 {}) rotate(-90)" text-anchor="middle">{}</text>').format(
        (TOP + HEIGHT - BOTTOM) / 2, chart.y
    )
    return Markup(
        '<div class="chart"><svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}{}{}{}</svg>'
        '<script type="application/json">{}</script></div>'
    ).format(
        WIDTH,
        HEIGHT,
        f"{chart.title}: {chart.y} {'of ' + ', '.join(chart.names) if chart.names else 'against ' + chart.x}",
        drawn,
        lines,
        words,
        side,
        _numbers(chart, across, up),
    )


def _entry(series: Series) -> Markup:
    dash = Markup(' stroke-dasharray="{}"').format(series.dash) if series.dash else ""
    return Markup(
        '<button type="button" aria-pressed="true" data-series="{}"><svg viewBox="0 0 22 8" aria-hidden="true">'
        '<path class="line c{}"{} d="M0 4H22"/></svg>{}</button>'
    ).format(series.name, series.look, dash, series.name)


def _points(series: Series, chart: Chart) -> list[int]:
    """The indices of what can be drawn."""
    fine = [math.isfinite(x) and math.isfinite(y) for x, y in zip(series.x, series.y, strict=True)]
    return [index for index, ok in enumerate(fine) if ok and (not chart.log or series.y[index] > 0)]


def _scales(chart: Chart) -> tuple[Scale, Scale]:
    """Axes as long as what is drawn."""
    places = [(each.x[index], each.y[index]) for each in chart.series for index in _points(each, chart)]
    across, up = ([float(place[axis]) for place in places] or [0.0, 1.0] for axis in (0, 1))
    if chart.mark is not None:
        across.append(chart.mark)
    low, high = (0.0, 1.0) if chart.share else (min(up), max(up))
    if chart.log:
        low, high = (0.1, 1.0) if not places else (10 ** math.floor(math.log10(low)), 10 ** math.ceil(math.log10(high)))
    elif not chart.share:
        low, high = _widened(low, high)
    if chart.log and low == high:
        high = 10 * low
    first, last = _widened(min(across), max(across)) if chart.cloud else (min(across), max(across))
    if chart.names:
        first, last = -0.5, len(chart.names) - 0.5
    if first == last:
        first, last = first - 0.5, last + 0.5
    return Scale(first, last, LEFT, WIDTH - RIGHT), Scale(low, high, HEIGHT - BOTTOM, TOP, chart.log)


def _widened(low: float, high: float) -> tuple[float, float]:
    """A little beyond both ends, so that no dot is cut."""
    more = 0.04 * (high - low) or 0.5
    return low - more, high + more


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers between two ends: 1, 2 or 5 times a power of ten apart, at most `most` of them."""
    raw = (high - low) / most
    power = 10 ** math.floor(math.log10(raw))
    step = next(power * times for times in (1, 2, 5, 10) if power * times >= raw)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(count * step, 12) for count in range(first, last + 1)]


def _grid(chart: Chart, across: Scale, up: Scale) -> str:
    """Lines at round numbers, and the numbers."""
    bottom, parts = HEIGHT - BOTTOM, []
    values = [10.0**p for p in range(round(math.log10(up.low)), round(math.log10(up.high)) + 1)] if chart.log else None
    for value in values if values is not None else ticks(up.low, up.high, 5):
        told = f"{100 * value:.0f} %" if chart.share else f"{value:.6g}"
        parts.append(f'<path class="grid" d="M{LEFT} {up(value):.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 5}" y="{up(value) + 3.5:.1f}" text-anchor="end">{told}</text>')
    if chart.names:
        return "".join(parts) + "".join(_name(across(place), name) for place, name in enumerate(chart.names))
    for value in ticks(across.low, across.high):
        parts.append(f'<path class="grid" d="M{across(value):.1f} {TOP}V{bottom}"/>')
        parts.append(f'<text x="{across(value):.1f}" y="{bottom + 14}" text-anchor="middle">{value:.6g}</text>')
    return "".join(parts)


def _name(place: float, name: str) -> Markup:
    """A name below the axis, aslant since several stand side by side."""
    return Markup('<text transform="translate({:.1f} {}) rotate(-20)" text-anchor="end">{}</text>').format(
        place + 6, HEIGHT - BOTTOM + 12, name
    )


def _dots(series: Series, chart: Chart, across: Scale, up: Scale) -> Markup:
    """A dot and its interval at each name, beside those of the other series."""
    shift = APART * (chart.series.index(series) - (len(chart.series) - 1) / 2)
    parts = []
    for index in _points(series, chart):
        place = f"M{across(series.x[index] + shift):.1f} "
        if len(series.low):
            parts.append(f'<path class="whisker" d="{place}{up(series.low[index]):.1f}V{up(series.high[index]):.1f}"/>')
        parts.append(f'<path class="dots" d="{place}{up(series.y[index]):.1f}h0"/>')
    inside = Markup("".join(parts))  # noqa: S704 - numbers alone
    return Markup('<g class="c{}" data-series="{}">{}</g>').format(series.look, series.name, inside)


def _series(series: Series, chart: Chart, across: Scale, up: Scale) -> Markup:
    """The band of the intervals, the line, the dots."""
    kept = _points(series, chart)
    at = [f"{across(series.x[index]):.1f} {up(series.y[index]):.1f}" for index in kept]
    parts = []
    if len(series.low) and len(kept) > 1:
        upper = [f"{across(series.x[index]):.1f} {up(series.high[index]):.1f}" for index in kept]
        lower = [f"{across(series.x[index]):.1f} {up(series.low[index]):.1f}" for index in reversed(kept)]
        parts.append(f'<path class="band" d="M{"L".join([*upper, *lower])}Z"/>')
    if at and not chart.cloud:
        dash = f' stroke-dasharray="{series.dash}"' if series.dash else ""
        parts.append(f'<path class="line"{dash} d="M{"L".join(at)}"/>')
    if at and (chart.cloud or len(at) <= DOTS):
        # A dot is a line of no length with round ends: a few bytes each.
        parts.append(f'<path class="dots" d="{"".join(f"M{place}h0" for place in at)}"/>')
    inside = Markup("".join(parts))  # noqa: S704 - numbers alone, and a dash of our own
    return Markup('<g class="c{}" data-series="{}">{}</g>').format(series.look, series.name, inside)


def _numbers(chart: Chart, across: Scale, up: Scale) -> Markup:
    """What the script needs to show values under the pointer and to save them."""
    found: dict[str, Any] = {
        "title": chart.title,
        "x": chart.x,
        "y": chart.y,
        "share": chart.share,
        "cloud": chart.cloud,
        "across": [_short(across.low), _short(across.high), across.start, across.end],
        "up": [_short(up.low), _short(up.high), up.start, up.end],
        "log": chart.log,
        **({"names": list(chart.names)} if chart.names else {}),
        "series": [
            {
                "name": each.name,
                "look": each.look,
                "x": [_short(value) for value in each.x],
                "y": [_short(value) for value in each.y],
                **({"low": list(map(_short, each.low)), "high": list(map(_short, each.high))} if len(each.low) else {}),
            }
            for each in chart.series
        ],
    }
    return htmlsafe_json_dumps(found, sort_keys=True, separators=(",", ":"))


def _short(value: float) -> float | None:
    """Six digits are more than a picture shows; JSON has no word for what is not finite."""
    return float(f"{value:.6g}") if math.isfinite(value) else None
