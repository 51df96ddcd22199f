"""Renders the HTML of the report from templates beside this file."""

import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape

from redoubt.evaluation.metrics import Rate


def _percent(rate: Rate | dict[str, Any] | None) -> Markup:
    if rate is None:
        return Markup('<span class="no">not measured</span>')
    values = rate.model_dump() if isinstance(rate, Rate) else rate
    title = f"{values['n']} examples, 95 % Wilson interval"
    share, low, high = (100 * values[key] for key in ("share", "low", "high"))
    return Markup('<span title="{}">{:.1f} % <small>{:.1f}–{:.1f}</small></span>').format(title, share, low, high)


def _code(text: str) -> Markup:
    """Words between backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704


def render(template: str, **values: Any) -> str:
    """Fill a template; an unknown name in it is an error, and text is escaped."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=StrictUndefined,
        autoescape=select_autoescape(default=True, default_for_string=True),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": _percent, "code": _code}
    return environment.get_template(template).render(**values)
