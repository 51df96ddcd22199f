"""Records twenty seconds of the page of `make demo` as an animated WebP, with a real headless Chromium."""

import argparse
import io
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page

from benchmarks.screenshots import browser
from benchmarks.server import free_port, running

WIDTH, HEIGHT, SHOWN = 1240, 900, 960
# Frames per second, and the least and most seconds that the recording may last.
RATE, LONGEST = 5, 21.0
LARGEST = 2 * 2**20
# Where the digit is drawn, as shares of the pad: a 3.
STROKE = (
    (0.32, 0.22),
    (0.5, 0.15),
    (0.66, 0.24),
    (0.62, 0.4),
    (0.46, 0.48),
    (0.64, 0.55),
    (0.69, 0.7),
    (0.54, 0.84),
    (0.33, 0.8),
)


class Film:
    """Frames of a page, each with the moment of the film at which it is shown."""

    def __init__(self, page: Page) -> None:
        """Film a page."""
        self._page, self._seconds = page, 0.0
        self._frames: list[tuple[float, Image.Image]] = []

    def watch(self, seconds: float, speed: float = 1.0) -> None:
        """Film for a while, to be shown at so many times the speed."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            began = time.monotonic()
            shot = Image.open(io.BytesIO(self._page.screenshot(type="png")))
            size = (SHOWN, round(SHOWN * HEIGHT / WIDTH))
            self._frames.append((self._seconds, shot.convert("RGB").resize(size, Image.Resampling.LANCZOS)))
            self._page.wait_for_timeout(max(1.0, 1000 * (speed / RATE - (time.monotonic() - began))))
            self._seconds += (time.monotonic() - began) / speed

    def save(self, path: Path) -> None:
        """Write the frames; one that equals the last only lengthens it."""
        kept: list[tuple[float, Image.Image]] = []
        for at, frame in self._frames:
            if not kept or frame.tobytes() != kept[-1][1].tobytes():
                kept.append((at, frame))
        ends = [*(at for at, _ in kept[1:]), self._seconds + 2.0]
        # However slow the machine was, the film is not.
        pace = min(1.0, LONGEST / ends[-1])
        lasts = [max(40, round(1000 * pace * (end - at))) for (at, _), end in zip(kept, ends, strict=True)]
        first, *rest = (frame for _, frame in kept)
        for quality in (70, 55, 40, 25):
            first.save(path, save_all=True, append_images=rest, duration=lasts, loop=0, quality=quality, method=4)
            if path.stat().st_size <= LARGEST:
                break
        print(f"{path}: {len(kept)} frames, {sum(lasts) / 1000:.1f} s, {path.stat().st_size / 1024:.0f} kB")


def tour(page: Page, film: Film) -> None:
    """Attack the natural network, turn the guard on, draw a digit for the certified one, and let Square loose."""

    def slide(eps: float) -> None:
        page.locator("#eps").fill(f"{eps:.2f}")

    film.watch(1.4)
    for eps in (0.0, 0.05, 0.1, 0.15):
        slide(eps)
        film.watch(0.8)
    page.get_by_role("radio", name="guard").check()
    film.watch(2.0)
    page.get_by_label("Model").select_option("mnist-certified")
    film.watch(0.8)
    _draw(page, film)
    for eps in (0.25, 0.3):
        slide(eps)
        film.watch(1.0)
    page.get_by_label("Model").select_option("mnist-natural")
    slide(0.2)
    page.locator("#live").evaluate("node => node.scrollIntoView({block: 'start', behavior: 'instant'})")
    film.watch(0.6)
    page.locator("#start").click()
    film.watch(24.0, speed=4.0)


def _draw(page: Page, film: Film) -> None:
    page.locator("#clear").click()
    box = page.locator("#pad").bounding_box()
    if box is None:
        sys.exit("error: there is no drawing pad on the page")
    points = [(box["x"] + box["width"] * x, box["y"] + box["height"] * y) for x, y in STROKE]
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*point, steps=3)
        film.watch(0.1)
    page.mouse.up()
    film.watch(1.6)


@contextmanager
def demo() -> Iterator[str]:
    """The server of `make demo`, on a free port; run from the project's top folder."""
    port, root = free_port(), Path.cwd()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "pipelines.demo", "--port", str(port)]
    with tempfile.TemporaryDirectory() as folder:
        variables = {"PYTHONPATH": f"{root}:{root / 'src'}", "BENTOML_HOME": folder, "BENTOML_DO_NOT_TRACK": "True"}
        with running(command, f"{url}/livez", Path(folder), variables):
            yield url


def main() -> None:
    """Record the page, or the page of a server that runs already."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recording", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/images/demo.webp"), help="where the recording goes")
    out: Path = parser.parse_args().out
    out.parent.mkdir(parents=True, exist_ok=True)
    with demo() as url, browser() as chromium:
        page = chromium.new_page(viewport={"width": WIDTH, "height": HEIGHT}, locale="en", color_scheme="light")
        page.goto(url)
        verdict = page.locator("#verdict:not(.busy):not(:empty)")
        page.locator("body[data-ready]").wait_for()
        verdict.wait_for()
        # What is compiled once is compiled before the film begins.
        page.get_by_role("radio", name="guard").check()
        verdict.wait_for()
        for model in ("mnist-certified", "mnist-natural"):
            page.get_by_label("Model").select_option(model)
            page.wait_for_timeout(500)
            verdict.wait_for()
        page.get_by_role("radio", name="off").check()
        page.wait_for_timeout(500)
        film = Film(page)
        tour(page, film)
        film.save(out)


if __name__ == "__main__":
    main()
