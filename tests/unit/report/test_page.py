import re

import pytest
from jinja2 import UndefinedError

from redoubt.evaluation.metrics import Rate
from redoubt.report.page import _attack_name, _percent, render, report_page
from tests.support import report

RATE = Rate(share=0.5, low=0.25, high=0.751, n=8)


@pytest.fixture(scope="module")
def page() -> str:
    return report.page("bars", "stripes")


@pytest.mark.parametrize(
    ("name", "told"),
    [("apgd-ce", "APGD-CE"), ("pgd-margin", "PGD-margin"), ("pgd restart", "PGD restart"), ("square", "Square")],
)
def test_attacks_are_written_as_in_the_heads_of_the_tables(name: str, told: str) -> None:
    assert _attack_name(name) == told


def test_text_is_escaped_and_sections_are_not() -> None:
    row = {**report.row("bars"), "task": "<script>alert(1)</script>", "verdict": "L-inf 0.1 & more"}
    row |= {"notes": ["a constant gets <b>50 %</b>"], "clean": 'accuracy "100" %'}
    page = report_page("a & b", 20, [row], ["<section>own</section>"])
    assert "<script>alert" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") > 3
    assert "a constant gets &lt;b&gt;50 %&lt;/b&gt;" in page
    assert "accuracy &#34;100&#34; %" in page
    assert "L-inf 0.1 &amp; more" in page
    assert "<title>a &amp; b" in page
    assert "<section>own</section>" in page


def test_points_of_the_sweep_that_were_stopped_are_counted(page: str) -> None:
    assert "All 2 points of the sweep" in page
    assert "Stopped before their last fold, and below all others: 1;" in page


def test_the_page_needs_nothing_from_elsewhere(page: str) -> None:
    assert set(re.findall(r"https?://[^\s\"']+", page)) == {"http://www.w3.org/2000/svg"}
    assert {source for source in re.findall(r'src="([^"]*)"', page) if not source.startswith("data:")} == {"timings.js"}


def test_every_link_leads_to_a_place_on_the_page(page: str) -> None:
    places = set(re.findall(r'id="([^"]*)"', page))
    links = re.findall(r'href="([^"]*)"', page)
    assert links
    assert [link for link in links if link[:1] != "#" or link[1:] not in places] == []


def test_a_place_has_one_name(page: str) -> None:
    places = re.findall(r'\bid="([^"]*)"', page)
    assert len(places) == len(set(places))


def test_the_contents_name_every_heading(page: str) -> None:
    contents = page[: page.index("</nav>")]
    assert re.findall(r'<h3 id="([^"]*)"', page) == re.findall(r'href="#([^"]*-[^"]*)"', contents)


def test_other_eps_are_folded_away(page: str) -> None:
    section = page[page.index('<section id="bars"') :]
    shown = section[: section.index("At other eps")]
    folded = section[section.index("At other eps") : section.index("How it was measured")]
    assert re.findall(r'data-head="threat">([^<]+)', shown) == ["L-inf 0.1", "L2 0.5"] * 3
    assert re.findall(r'data-head="threat">([^<]+)', folded) == ["L-inf 0.05", "L2 0.25"] * 3
    assert "certified (network)" in shown
    assert "certified (defended)" in shown


def test_only_what_is_decided_to_the_last_example_is_exact(page: str) -> None:
    assert "38 misclassified or refuted by an adversarial example, 2 undecided.</p>" in page
    assert "0 undecided. The certified accuracy of this network is its exact robust accuracy.</p>" in page


def test_the_same_results_give_the_same_bytes(page: str) -> None:
    assert report.page("bars", "stripes") == page


@pytest.mark.parametrize("trusted", [True, False])
def test_a_figure_that_is_not_trusted_is_stamped(trusted: bool) -> None:
    page = report_page("one", 20, [{**report.row("bars"), "trusted": trusted}], [""])
    assert ("not trusted" in page) != trusted


def test_a_task_without_a_champion_has_a_card() -> None:
    row = {"task": "own", "champion": None, "verdict": "No model is promoted.", "notes": ["natural: weak"]}
    page = report_page("one", 20, [row], [""])
    assert "No model is promoted." in page
    assert "<li>natural: weak" in page


def test_a_name_that_is_not_given_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="title"):
        render("index.html", rows=[], sections=[])


def test_a_share_shows_its_interval_and_its_rows() -> None:
    expected = '<span title="8 examples, 95 % Wilson interval">50.0 % <small>25.0–75.1</small></span>'
    assert _percent(RATE) == _percent(RATE.model_dump()) == expected
