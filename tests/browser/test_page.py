"""The page at `/` in a real headless Chromium, over `make demo`'s server with the zoo and over tables."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, FilePayload, Page, expect

from benchmarks.screenshots import CHROMIUM, browser
from benchmarks.server import free_port, running
from tests.support.bundles import SCHEMAS, write_champion

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed: run .ci/system-packages"),
    pytest.mark.timeout(180),
]
expect.set_options(timeout=30_000)
NARROW = 390
# Foreground and background of every text that is shown: WCAG's ratio needs 4.5.
CONTRASTS = """
() => {
  const paper = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (!/, 0\\)$|transparent/.test(colour)) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const own = (node) => [...node.childNodes].some((each) => each.nodeType === 3 && each.textContent.trim());
  return [...document.querySelectorAll("body *")]
    .filter((node) => own(node) && node.getClientRects().length && !node.closest("svg, noscript, .skip, .off"))
    .map((node) => [node.textContent.trim().slice(0, 40), getComputedStyle(node).color, paper(node)]);
}
"""

# Per language what the page says of an answer that a guard with this vote gave: the guard's box, the certificate's.
SAYS_OF = """
async (vote) => {
  const [{ drawGuard, drawCertificate }, { setLanguage }] =
    await Promise.all([import("/page/readouts.js"), import("/page/text.js")]);
  const clean = {
    label: "7", probabilities: { 7: 1 }, variants: { plain: "7" },
    adversarial_score: 0.1, flagged: false, certified: { eps: 0.2 },
  };
  const result = { model: { vote, threshold: 0.5, proves: true }, clean, guard: true, truth: "7" };
  const said = {};
  for (const language of ["en", "zh"]) {
    setLanguage(language);
    said[language] = [drawGuard, drawCertificate].map((draw) => {
      const node = document.createElement("div");
      draw(node, result);
      return node.textContent;
    });
  }
  return said;
}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, project: Path) -> Iterator[str]:
    """The demo, its service serving the zoo's bundles and a table."""
    folder, port = tmp_path_factory.mktemp("demo"), free_port()
    for name in ("mnist-adversarial", "mnist-certified"):
        (folder / "models").mkdir(exist_ok=True)
        (folder / "models" / name).symlink_to(project / "zoo" / name)
    write_champion(folder / "models/evolution/champion", SCHEMAS["evolution"])
    command = [sys.executable, "-m", "pipelines.demo", "--port", str(port), "--models", str(folder / "models")]
    path = {"PYTHONPATH": f"{project}:{project / 'src'}", "BENTOML_HOME": str(folder / "bentoml")}
    with running(command, f"http://127.0.0.1:{port}/livez", folder, path) as url:
        yield url.removesuffix("/livez")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as opened:
        yield opened


@pytest.fixture
def page(chromium: Browser, server: str) -> Iterator[Page]:
    """The page, which must say nothing in the console and ask nobody else."""
    opened = chromium.new_page(viewport={"width": 1280, "height": 900}, locale="en")
    wrong: list[str] = []
    opened.on("console", lambda message: wrong.append(message.text))
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    ours = (server, "data:", "blob:")
    opened.on("request", lambda asked: None if asked.url.startswith(ours) else wrong.append(asked.url))
    start(opened, server)
    yield opened
    assert not wrong
    opened.close()


def start(page: Page, server: str) -> None:
    page.goto(server)
    page.locator("body[data-ready]").wait_for()
    settle(page)


def settle(page: Page) -> None:
    """Wait until the answer to what was chosen is there."""
    page.wait_for_timeout(250)
    page.locator("#verdict:not(.busy):not(:empty)").wait_for()


def slide(page: Page, eps: float) -> None:
    page.get_by_role("slider", name="Largest change").fill(f"{eps:.2f}")
    settle(page)


def test_an_attack_fools_the_natural_network_and_its_strength_is_a_slider(page: Page) -> None:
    verdict = page.locator("#verdict")
    expect(verdict).to_have_text(re.compile("Fooled: 7 is read as \\d"))
    slide(page, 0.0)
    expect(verdict).to_have_text(re.compile("Holds: still 7"))
    slide(page, 0.2)
    expect(verdict).to_have_class(re.compile("bad"))
    expect(page.locator("#certificate")).to_contain_text("the attack above was found")
    expect(page.locator("#zone")).to_be_hidden()
    page.get_by_role("radio", name="guard").check()
    settle(page)
    expect(page.get_by_role("table").filter(has_text="median filter").locator("tbody tr")).to_have_count(7)
    expect(page.get_by_role("img", name=re.compile("clean: score .*attacked: score"))).to_be_visible()


def test_a_certificate_is_said_plainly_and_holds_against_the_attack(page: Page) -> None:
    page.get_by_label("Model").select_option("mnist-certified")
    page.get_by_role("radio", name="guard").check()
    slide(page, 0.3)
    expect(page.locator("#zone")).to_be_visible()
    expect(page.locator("#certificate")).to_contain_text(re.compile(r"No change of up to 0\.3\d per pixel"))
    expect(page.locator("#verdict")).to_have_text("Holds, and must: up to 0.30 the answer is proven to stay 7")


@pytest.mark.parametrize(
    ("vote", "whose", "how", "chinese"),
    [
        ("all", "mean over all variants", "every variant of the guard", "所有变体的平均"),
        ("squeezed", "rounded to fewer levels", "rounding to fewer levels", "取整到较少级数的输入"),
        ("plain", "as it came", "every layer of the network", "原样的输入"),
    ],
)
def test_whose_answer_it_is_and_what_it_is_proven_through(
    page: Page, vote: str, whose: str, how: str, chinese: str
) -> None:
    said = page.evaluate(SAYS_OF, vote)
    assert whose in said["en"][0]
    assert how in said["en"][1]
    assert chinese in said["zh"][0]
    assert not re.search("[A-Za-z]{2}", said["zh"][1])


def test_a_digit_is_drawn_by_mouse_and_by_keyboard(page: Page) -> None:
    page.get_by_role("radio", name="none").check()
    pad = page.locator("#pad")
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 230, steps=4)
    page.mouse.up()
    settle(page)
    expect(page.locator("#verdict")).to_contain_text("Answer: 1")
    pad.press("Delete")
    expect(page.locator("#verdict")).to_have_text("Draw a digit, or pick a test image")
    expect(page.locator("#trio")).to_be_hidden()
    for _ in range(12):
        pad.press("ArrowUp")
    pad.press(" ")
    for _ in range(24):
        pad.press("ArrowDown")
    settle(page)
    expect(page.locator("#verdict")).to_contain_text("Answer: 1")


def test_a_share_is_whole_only_where_it_is(page: Page) -> None:
    said = page.evaluate(
        "import('/page/text.js').then(({ percent }) => [0, 0.004, 0.5, 0.996, 0.9995, 1].map(percent))"
    )
    assert [each.replace("\u00a0", " ") for each in said] == ["0.0 %", "0.4 %", "50 %", "99.6 %", "> 99.9 %", "100 %"]


def test_eps_is_told_in_the_grey_levels_that_the_images_have(page: Page) -> None:
    said = page.evaluate(
        "import('/page/text.js').then(({ ofLevels }) =>"
        " [16, 255].map((levels) => ofLevels({ levels }, 0.15, Math.round)))"
    )
    assert said == [{"levels": 16, "share": 2.4}, {"levels": 255, "share": 38}]


def test_a_picture_of_ink_on_paper_is_opened_and_inverted(page: Page, project: Path, tmp_path: Path) -> None:
    with np.load(project / "zoo/mnist-examples.npz") as stored:
        two = stored["x"][1]
    Image.fromarray(255 - np.kron(two, np.ones((5, 5), np.uint8))).save(tmp_path / "two.png")
    page.get_by_role("radio", name="none").check()
    data = FilePayload(name="two.png", mimeType="image/png", buffer=(tmp_path / "two.png").read_bytes())
    page.locator("#file").set_input_files(data)
    settle(page)
    expect(page.locator("#verdict")).to_contain_text("Answer: 2")


def test_a_test_image_is_picked_and_everything_is_reached_by_keyboard(page: Page) -> None:
    page.get_by_role("button", name="Test image 2, a 2").press("Enter")
    settle(page)
    expect(page.locator("#verdict")).to_contain_text("2 is read as")
    seen = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.id || document.activeElement.name"))
    assert {"model", "defense", "attack", "eps", "start"} <= seen


def test_square_by_queries_alone_finds_what_is_there_and_nothing_where_it_is_proven(page: Page) -> None:
    begin, end = (page.get_by_role("button", name=name) for name in ("Start", "Stop"))
    without, guarded = (page.locator(".board .note").nth(place) for place in (0, 1))
    slide(page, 0.3)
    begin.click()
    expect(without).to_have_text(re.compile(r"([3-9]|1\d) of 16 fooled"))
    expect(page.locator("#live-setting")).to_have_text(re.compile(r"\d{2,} queries sent"))
    end.click()
    expect(page.locator("#live-status")).to_have_text(re.compile(r"Stopped after \d+ queries"))
    assert len(page.locator("polyline.bare").get_attribute("points").split()) > 4  # type: ignore[union-attr]
    page.get_by_label("Model").select_option("mnist-certified")
    slide(page, 0.1)
    begin.click()
    expect(page.locator("#live-setting")).to_have_text(re.compile(r"[4-9]\d{2} queries sent"))
    end.click()
    expect(without).to_have_text("0 of 16 fooled")
    expect(guarded).to_have_text(re.compile("0 of 16 fooled"))


def test_a_table_is_answered_and_says_what_moves_the_answer(page: Page) -> None:
    form = page.get_by_role("region", name="evolution")
    first = form.locator(".verdict").inner_text()
    expect(form.get_by_text("10 to 900 in training")).to_be_visible()
    form.get_by_role("spinbutton", name="cp").fill("800")
    expect(form.locator(".verdict")).not_to_have_text(first)
    assert {row.inner_text().split("\t")[0] for row in form.locator(".moves tbody th").all()} == {"cp", "hp"}
    form.get_by_role("spinbutton", name="cp").fill("1e6")
    expect(form.get_by_text("Outside what training saw: cp")).to_be_visible()


def test_a_click_changes_the_language(page: Page) -> None:
    page.get_by_role("button", name="中文").click()
    expect(page.get_by_role("heading", name="亲手攻击")).to_be_visible()
    assert page.evaluate("document.documentElement.lang") == "zh-Hans"
    rest = page.evaluate("[...document.querySelectorAll('[data-t]')].map(node => node.textContent)")
    assert all(rest)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_and_a_phone_needs_no_sideways_scrolling(
    chromium: Browser, server: str, scheme: Literal["light", "dark"]
) -> None:
    opened = chromium.new_page(viewport={"width": NARROW, "height": 800}, color_scheme=scheme, locale="en")
    start(opened, server)
    opened.get_by_role("radio", name="guard").check()
    settle(opened)
    assert opened.evaluate("document.documentElement.scrollWidth") <= NARROW
    faint = {text: colours for text, *colours in opened.evaluate(CONTRASTS) if ratio(*colours) < 4.5}
    assert not faint, json.dumps(faint)
    opened.close()


def ratio(one: str, other: str) -> float:
    """Contrast of two colours `rgb(...)`, by WCAG."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))
