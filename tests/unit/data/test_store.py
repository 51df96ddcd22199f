import errno
import json
import os
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redoubt.bundle.base.io import digest_folder
from redoubt.core import store


def put(path: Path, text: str) -> None:
    (path / "part" if path.is_dir() else path).write_text(text, encoding="utf-8")


def text(path: Path) -> str:
    return (path / "part" if path.is_dir() else path).read_text(encoding="utf-8")


WHOLE = {"file": store.whole_file, "folder": store.whole_folder}


@pytest.fixture(params=WHOLE)
def whole(request: pytest.FixtureRequest) -> Callable[[Path], AbstractContextManager[Path]]:
    return WHOLE[request.param]


def test_a_block_that_succeeds_replaces_the_old(
    whole: Callable[[Path], AbstractContextManager[Path]], tmp_path: Path
) -> None:
    target = tmp_path / "new" / "result.json"
    for content in ("first", "second"):
        with whole(target) as temporary:
            put(temporary, content)
            assert not target.exists() or text(target) == "first"
        assert text(target) == content
    assert os.listdir(target.parent) == ["result.json"]


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077, 0o002], ids=oct)
def test_permissions_are_those_the_umask_leaves(
    whole: Callable[[Path], AbstractContextManager[Path]], umask: int, tmp_path: Path
) -> None:
    before = os.umask(umask)
    try:
        with whole(tmp_path / "result.json") as temporary:
            put(temporary, "new")
    finally:
        os.umask(before)
    made = tmp_path / "result.json"
    assert stat.S_IMODE(made.stat().st_mode) == (0o777 if made.is_dir() else 0o666) & ~umask


def test_what_is_not_finished_has_no_name_that_anybody_looks_for(
    whole: Callable[[Path], AbstractContextManager[Path]], tmp_path: Path
) -> None:
    for name in ("a.json", "a.npz", "a.csv", "a.html", "champion"):
        with whole(tmp_path / name):
            assert not list(tmp_path.glob(f"*{Path(name).suffix or 'champion'}"))
            assert [path.suffix for path in tmp_path.glob(".*")] == [".part"]


def test_the_disk_has_it_before_it_takes_its_name(
    whole: Callable[[Path], AbstractContextManager[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    did: list[str] = []
    sync, replace = os.fsync, os.replace

    def noted_sync(descriptor: int) -> None:
        did.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name.split(".")[-1])
        sync(descriptor)

    def noted_replace(old: Path, new: Path) -> None:
        did.append("replace")
        replace(old, new)

    with whole(tmp_path / "result") as temporary:
        put(temporary, "new")
        kind = ["part", "part"] if temporary.is_dir() else ["part"]
        monkeypatch.setattr(os, "fsync", noted_sync)
        monkeypatch.setattr(os, "replace", noted_replace)
    assert did == [*kind, "replace", tmp_path.name]


@pytest.mark.parametrize("second", [KeyboardInterrupt, OSError(errno.EIO, "Input/output error")], ids=str)
def test_an_exchange_that_fails_puts_the_old_folder_back(
    second: type[BaseException] | BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, replace = tmp_path / "bundle", os.replace
    with store.whole_folder(target) as temporary:
        put(temporary, "old")

    def fails(old: Path, new: Path) -> None:
        if new == target and text(old) == "new":
            raise second
        replace(old, new)

    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises((KeyboardInterrupt, store.StoreError)), store.whole_folder(target) as temporary:
        put(temporary, "new")
    assert text(target) == "old"
    assert os.listdir(tmp_path) == ["bundle"]


def test_a_full_disk_is_one_sentence(whole: Callable[[Path], AbstractContextManager[Path]], tmp_path: Path) -> None:
    target = tmp_path / "result.json"
    with whole(target) as temporary:
        put(temporary, "old")
    with pytest.raises(store.StoreError) as error, whole(target) as temporary:
        put(temporary, "half")
        with open("/dev/full", "w") as full:
            full.write("no room for it")
    assert str(error.value) == f"{target} could not be written: No space left on device; free some space there, " + (
        "then run it again"
    )
    assert text(target) == "old"
    assert os.listdir(tmp_path) == ["result.json"]


def test_a_limit_on_the_size_of_files_is_one_sentence_too(tmp_path: Path) -> None:
    code = (
        "import resource, sys; from pathlib import Path; from redoubt.core.store import StoreError, whole_folder\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try:\n"
        "    with whole_folder(Path('bundle')) as new: (new / 'weights').write_bytes(bytes(10_000))\n"
        "except StoreError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "bundle could not be written: File too large; raise the limit on the size of files " + (
        "(`ulimit -f`)\n"
    )
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("place", ["/proc/none/result.json", "{}/file/result.json"])
def test_a_folder_that_cannot_be_made_is_one_sentence(
    whole: Callable[[Path], AbstractContextManager[Path]], place: str, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    path = Path(place.format(tmp_path))
    with pytest.raises(store.StoreError, match="could not be written: .*; name a folder that can be made"), whole(path):
        raise AssertionError("it began")


def test_a_file_in_a_folder_is_called_by_its_later_name(tmp_path: Path) -> None:
    with (
        pytest.raises(store.StoreError, match="bundle/card.json could not be written"),
        store.whole_folder(tmp_path / "bundle") as folder,
        store.whole_file(folder / "card.json"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_errors_about_other_files_are_not_called_errors_of_writing(
    whole: Callable[[Path], AbstractContextManager[Path]], tmp_path: Path
) -> None:
    for error in (FileNotFoundError(errno.ENOENT, "none", "x"), PermissionError(errno.EACCES, "closed", "x")):
        with pytest.raises(type(error)), whole(tmp_path / "result.json"):
            raise error


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_block_that_fails_leaves_the_old(
    whole: Callable[[Path], AbstractContextManager[Path]], error: type[BaseException], tmp_path: Path
) -> None:
    target = tmp_path / "result.json"
    with whole(target) as temporary:
        put(temporary, "old")
    with pytest.raises(error), whole(target) as temporary:
        put(temporary, "half")
        raise error
    assert text(target) == "old"
    assert os.listdir(tmp_path) == ["result.json"]


def test_a_first_block_that_fails_leaves_nothing(
    whole: Callable[[Path], AbstractContextManager[Path]], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="boom"), whole(tmp_path / "result") as temporary:
        put(temporary, "half")
        raise ValueError("boom")
    assert os.listdir(tmp_path) == []


def test_nothing_takes_the_place_of_a_pipe(tmp_path: Path) -> None:
    """Nor of a device: as root, writing to /dev/stdout would leave a file there for everybody."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with store.whole_file(pipe) as temporary:
        put(temporary, "answers")
    assert os.read(reader, 100) == b"answers"
    os.close(reader)
    assert pipe.is_fifo()
    assert os.listdir(tmp_path) == ["pipe"]


def test_where_a_descriptor_is_named_what_it_leads_to_is_written(tmp_path: Path) -> None:
    with (
        (tmp_path / "out").open("wb") as stream,
        store.whole_file(Path(f"/proc/self/fd/{stream.fileno()}")) as temporary,
    ):
        put(temporary, "answers")
    assert text(tmp_path / "out") == "answers"


def test_a_device_that_takes_nothing_is_one_sentence(tmp_path: Path) -> None:
    full = tmp_path / "full"
    try:
        os.mknod(full, 0o666 | stat.S_IFCHR, os.stat("/dev/full").st_rdev)
        full.open("wb").close()
    except PermissionError:
        pytest.skip("only root makes devices, and not everywhere")
    with (
        pytest.raises(store.StoreError, match="full could not be written: No space left"),
        store.whole_file(full) as temporary,
    ):
        put(temporary, "answers")
    assert full.is_char_device()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(json_values)
def test_json_survives_whole_and_sorted(value: Any) -> None:
    written = store.dumps(value)
    assert json.loads(written) == value
    assert store.dumps(json.loads(written)) == written


def test_json_depends_on_content_alone(tmp_path: Path) -> None:
    first = {"b": np.float32(0.1), "a": {"y": (1, np.int64(2)), "x": np.array([[True], [False]])}, 3: "é"}
    again = {3: "é", "a": {"x": [[True], [False]], "y": [1, 2]}, "b": float(np.float32(0.1))}
    for name, value in (("first", first), ("again", again)):
        store.write_json(tmp_path / name, value)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "again").read_bytes()
    assert store.read_json(tmp_path / "first")["a"] == {"x": [[True], [False]], "y": [1, 2]}


@pytest.mark.parametrize("value", [float("nan"), [np.float32("inf")], {"a": np.array([1.0, -np.inf])}])
def test_json_refuses_what_no_reader_agrees_on(value: Any, tmp_path: Path) -> None:
    store.write_json(tmp_path / "result.json", {"old": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        store.write_json(tmp_path / "result.json", value)
    assert store.read_json(tmp_path / "result.json") == {"old": 1}


def test_arrays_depend_on_content_alone(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = {"x": rng.random((5, 2), dtype=np.float32), "y": np.arange(5), "name": np.array("text"), "no": np.zeros(0)}
    for name in ("first.npz", "again.npz"):
        store.write_arrays(tmp_path / name, arrays)
        os.utime(tmp_path / name, (0, 0))
    assert (tmp_path / "first.npz").read_bytes() == (tmp_path / "again.npz").read_bytes()
    with zipfile.ZipFile(tmp_path / "first.npz") as archive:
        assert {entry.compress_type for entry in archive.infolist()} <= {zipfile.ZIP_STORED}, "zlib's builds differ"
        assert {entry.date_time[0] for entry in archive.infolist()} <= {1980}
    back = store.read_arrays(tmp_path / "first.npz")
    assert list(back) == list(arrays)
    for name, array in arrays.items():
        assert back[name].dtype == array.dtype
        assert np.array_equal(back[name], array)


def test_pickles_are_neither_written_nor_read(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="allow_pickle"):
        store.write_arrays(tmp_path / "own.npz", {"x": np.array([{}])})
    assert os.listdir(tmp_path) == []
    np.savez(tmp_path / "theirs.npz", x=np.array([{}]))
    with pytest.raises(ValueError, match="allow_pickle"):
        store.read_arrays(tmp_path / "theirs.npz")


def test_a_folders_digest_tells_names_and_contents_apart(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    (tmp_path / "b").write_text("2")
    names = ["a", "b"]
    first = digest_folder(tmp_path, names)
    assert first == digest_folder(tmp_path, names[::-1])
    (tmp_path / "ignored").write_text("3")
    assert first == digest_folder(tmp_path, names)
    (tmp_path / "a").write_text("2")
    (tmp_path / "b").write_text("1")
    assert first != digest_folder(tmp_path, names)
