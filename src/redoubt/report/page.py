"""Renders the HTML of the report from templates beside this file."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape

from redoubt.evaluation.metrics import Rate

_ACRONYM = re.compile(r"\b(fgsm|apgd-ce|apgd-t|apgd|pgd)\b")
_HEADING = re.compile(r'<h3 id="([^"]*)">([^<]*)<')


def _percent(rate: Rate | dict[str, Any] | None) -> Markup:
    if rate is None:
        return Markup('<span class="no">not measured</span>')
    values = rate.model_dump() if isinstance(rate, Rate) else rate
    title = f"{values['n']} examples, 95 % Wilson interval"
    share, low, high = (100 * values[key] for key in ("share", "low", "high"))
    return Markup('<span title="{}">{:.1f} % <small>{:.1f}–{:.1f}</small></span>').format(title, share, low, high)


def _rate_or_dash(rate: Rate | dict[str, Any] | None) -> Markup:
    """A rate, or a dash where nothing of the kind can be measured."""
    return Markup("&ndash;") if rate is None else _percent(rate)


def _code(text: str) -> Markup:
    """Words between backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704


def _attack_name(name: str) -> str:
    """An attack as the literature writes it: its acronym in capitals."""
    return _ACRONYM.sub(lambda found: found[0].upper(), name).replace("square", "Square")


def contents(task: str, section: str) -> dict[str, Any]:
    """A task's entry in the contents: its headings, in the order of its section."""
    headings = [(key, Markup(title)) for key, title in _HEADING.findall(section)]  # noqa: S704 - escaped already
    return {"task": task, "headings": headings}


def report_page(title: str, seed: int, rows: Sequence[Mapping[str, Any]], sections: Sequence[str]) -> str:
    """The report on some tasks as one page that needs nothing beside it.

    Args:
        title: of the page.
        seed: of all that is random in the figures.
        rows: a card per task, as `section` writes it, the largest images first.
        sections: the HTML of each, in the order of the rows.
    """
    shown = [Markup(section) for section in sections]  # noqa: S704 - rendered by this module
    listed = [contents(row["task"], section) for row, section in zip(rows, sections, strict=True)]
    return render("index.html", title=title, seed=seed, rows=rows, sections=shown, contents=listed)


def render(template: str, **values: Any) -> str:
    """Fill a template; an unknown name in it is an error, and text is escaped."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=StrictUndefined,
        autoescape=select_autoescape(default=True, default_for_string=True),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": _percent,
        "rate_or_dash": _rate_or_dash,
        "code": _code,
        "attack_name": _attack_name,
    }
    return environment.get_template(template).render(**values)
