import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from redoubt.data.locate import EXTERNAL, MIRROR, PublicFile, SourceError, locate

NOBODY = "http://127.0.0.1:9/table.csv"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def public(tmp_path: Path) -> Iterator[str]:
    folder = tmp_path / "public"
    folder.mkdir()
    (folder / "table.csv").write_text("from the public address")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv(MIRROR, raising=False)
    return folder


def test_a_local_file_comes_first_then_the_mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MIRROR, str(tmp_path))
    (tmp_path / "table.csv").write_text("from the mirror")
    assert locate(PublicFile("table.csv", NOBODY)).read_text() == "from the mirror"
    EXTERNAL.mkdir(parents=True)
    (EXTERNAL / "table.csv").write_text("local")
    assert locate(PublicFile("table.csv", NOBODY)).read_text() == "local"


def test_a_download_is_kept(public: str) -> None:
    path = locate(PublicFile("set/table.csv", f"{public}/table.csv"))
    assert path == EXTERNAL / "set" / "table.csv"
    assert path.read_text() == "from the public address"
    assert [p.name for p in path.parent.iterdir()] == ["table.csv"]


@pytest.mark.parametrize("reason", ["not there", "nobody answers"])
def test_the_message_lists_every_place(
    reason: str, public: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MIRROR, str(tmp_path))
    url = NOBODY if reason == "nobody answers" else f"{public}/elsewhere.csv"
    with pytest.raises(SourceError) as error:
        locate(PublicFile("table.csv", url))
    for place in (str(EXTERNAL / "table.csv"), str(tmp_path / "table.csv"), MIRROR, url):
        assert place in str(error.value)
    assert list(EXTERNAL.iterdir()) == []
