"""The page at `/`: what it is made of, what it is told, and that gradients are nowhere in the plain service."""

import fnmatch
import re
from pathlib import Path

import httpx
import pytest
import yaml

from serving.pages import FILES, HERE, PAGES

DEMO = ["/demo/examples", "/demo/predict", "/demo/attack"]
# A namespace's name, which nobody fetches.
SVG = "http://www.w3.org/2000/svg"


def test_it_is_small_and_needs_nothing_from_elsewhere(client: httpx.Client) -> None:
    page = client.get("/")
    texts = [page.text, *(client.get(path).text for path in FILES)]
    assert sum(len(text.encode()) for text in texts) < 150_000
    assert not [found for text in texts for found in re.findall(r"https?://[^\s\"')]+", text) if found != SVG]
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'self'; ")
    assert "unsafe" not in policy
    assert all(f'"page/{name}"' in page.text for name in ("page.css", "app.js"))


def test_its_files_have_their_types(client: httpx.Client) -> None:
    types = {client.get(path).headers["content-type"].partition(";")[0] for path in FILES}
    assert types == {"text/css", "text/javascript"}


def test_it_is_told_of_every_task(client: httpx.Client) -> None:
    told = {task["task"]: task for task in client.get("/page.json").json()["tasks"]}
    assert set(told) == {"digits", "colours", "evolution"}
    cp, _, species = told["evolution"]["columns"]
    assert cp == {"name": "cp", "kind": "number", "optional": False, "low": 10.0, "high": 900.0, "scale": 200.0}
    assert species["categories"] == ["Caterpie", "Eevee"]
    assert (told["digits"]["threat"], told["digits"]["levels"]) == ("L-inf 0.1 = 25.5 of 255", 255)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", DEMO)
def test_the_plain_service_gives_no_gradients(path: str, method: str, client: httpx.Client) -> None:
    assert client.request(method, path, json={}).status_code == 404
    assert client.get("/page.json").json()["demo"] is None
    assert not [known for known in PAGES if known.startswith("/demo")]


def test_a_bento_and_the_image_hold_it(project: Path) -> None:
    included = yaml.safe_load((project / "bentofile.yaml").read_text())["include"]
    copied = (project / "serving/Dockerfile").read_text()
    for path in [*FILES.values(), HERE / "page/index.html"]:
        assert any(fnmatch.fnmatch(str(path.relative_to(project)), pattern) for pattern in included)
    assert "COPY serving/page/ serving/page/\n" in copied
