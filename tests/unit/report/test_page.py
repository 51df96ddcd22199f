import pytest
from jinja2 import UndefinedError
from markupsafe import Markup

from redoubt.evaluation.metrics import Rate
from redoubt.report.page import _percent, render

RATE = Rate(share=0.5, low=0.25, high=0.751, n=8)
ROW = {
    "task": "<script>alert(1)</script>",
    "champion": "natural",
    "clean": 'accuracy "100" %',
    "threat": "L-inf 0.1 & more",
    **{column: RATE.model_dump() for column in ("undefended", "oblivious", "adaptive", "certified")},
    "trusted": True,
    "notes": ["a constant gets <b>50 %</b>"],
}


def test_text_is_escaped_and_sections_are_not() -> None:
    page = render("index.html", seed=20, rows=[ROW], sections=[Markup("<section>own</section>"), "<b>theirs</b>"])
    assert "<script>alert" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 4
    assert "a constant gets &lt;b&gt;50 %&lt;/b&gt;" in page
    assert "accuracy &#34;100&#34; %" in page
    assert "L-inf 0.1 &amp; more" in page
    assert "<section>own</section>" in page
    assert "&lt;b&gt;theirs&lt;/b&gt;" in page


def test_the_page_loads_nothing_from_elsewhere() -> None:
    page = render("index.html", seed=20, rows=[ROW], sections=[])
    assert "http" not in page.replace("http-equiv", "")
    assert "src=" in page.replace('src="timings.js"', "") or page.count("src=") == 1


@pytest.mark.parametrize("trusted", [True, False])
def test_a_figure_that_is_not_trusted_is_stamped(trusted: bool) -> None:
    page = render("index.html", seed=20, rows=[{**ROW, "trusted": trusted}], sections=[])
    assert ("not trusted" in page) != trusted


def test_a_task_without_a_champion_has_a_line() -> None:
    page = render(
        "index.html", seed=20, rows=[{"task": "own", "champion": None, "notes": ["natural: weak"]}], sections=[]
    )
    assert "no model cleared the gates" in page
    assert "own: natural: weak" in page


def test_a_name_that_is_not_given_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="seed"):
        render("index.html", rows=[], sections=[])


def test_a_share_shows_its_interval_and_its_rows() -> None:
    expected = '<span title="8 examples, 95 % Wilson interval">50.0 % <small>25.0–75.1</small></span>'
    assert _percent(RATE) == _percent(RATE.model_dump()) == expected
