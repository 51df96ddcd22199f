"""Photographs the report of a worked example for docs/examples.md, with a real headless Chromium.

python -m benchmarks.example_pictures TASK [...] takes, from reports/index.html of the folder it runs in, what the
report says first of each task: its card, the table of robust accuracies and the curves below it. They go to
docs/images/example-TASK.png.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, FloatRect, Locator, Page

from benchmarks.screenshots import browser

REPORT = Path("reports/index.html")
WIDTH, TALL, MARGIN = 1100, 1200, 12
# Of a picture: pages are read on slow lines too.
COLOURS, LARGEST = 128, 120_000


def photograph(chromium: Browser, task: str, path: Path) -> None:
    """Take one task's card, and below it its robust accuracies with their curves.

    Args:
        chromium: takes it.
        task: a section of the report.
        path: of the image, a PNG of few colours.
    """
    page = chromium.new_page(viewport={"width": WIDTH, "height": TALL})
    page.goto(REPORT.resolve().as_uri())
    # Alone, its card is as wide as the page.
    page.locator(f"article.task:not(:has(h2 a[href='#{task}']))").evaluate_all("all => all.forEach(e => e.remove())")
    card = _box(page.locator("article.task"))
    table, curves = (_box(page.locator(f"section#{task} {part}:visible").first) for part in ("table", ".charts"))
    parts = [(card["y"], card["height"]), (table["y"], curves["y"] + curves["height"] - table["y"])]
    with tempfile.TemporaryDirectory() as folder:
        taken = [
            _clip(page, card, top, height, Path(folder, f"{place}.png")) for place, (top, height) in enumerate(parts)
        ]
        whole = Image.new("RGB", (taken[0].width, sum(each.height for each in taken)), "white")
        below = 0
        for each in taken:
            whole.paste(each, (0, below))
            below += each.height
    whole.quantize(COLOURS).save(path, optimize=True)
    if path.stat().st_size > LARGEST:
        sys.exit(
            f"error: {path} has {path.stat().st_size:,} bytes; expected at most {LARGEST:,}: take less of the page"
        )


def _box(element: Locator) -> FloatRect:
    box = element.bounding_box()
    if box is None:
        sys.exit(f"error: {element} is not on the page; run `make repro` with the task first")
    return box


def _clip(page: Page, across: FloatRect, top: float, height: float, path: Path) -> Image.Image:
    clip = FloatRect(
        x=across["x"] - MARGIN, y=top - MARGIN, width=across["width"] + 2 * MARGIN, height=height + 2 * MARGIN
    )
    page.screenshot(path=path, full_page=True, clip=clip)
    return Image.open(path).convert("RGB")


def main() -> None:
    """Take the pictures of the tasks named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="+", metavar="TASK")
    parser.add_argument("--images", type=Path, default=Path("docs/images"), help="where the images go")
    arguments = parser.parse_args()
    if not REPORT.is_file():
        parser.error(f"{REPORT} is not here: run `make repro` first")
    arguments.images.mkdir(parents=True, exist_ok=True)
    with browser() as chromium:
        for task in arguments.tasks:
            path = arguments.images / f"example-{task}.png"
            photograph(chromium, task, path)
            print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
