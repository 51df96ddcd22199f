"""`redoubt init` on images as people really have them: brought to one kind, or refused in one sentence."""

import io
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from redoubt.data import sources
from redoubt.params.load import load

Make = Callable[[Path], object]


def pets(folder: Path, mode: str = "L", ending: str = "png", **how: object) -> None:
    """Dark cats and bright dogs."""
    rng = np.random.default_rng(1)
    for number in range(20):
        pixels = rng.integers(0, 90, (10, 10, 3)) + 120 * (number % 2)
        path = folder / ("cat", "dog")[number % 2] / f"{number:02d}.{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).convert(mode).save(path, **how)  # type: ignore[arg-type]


def strays(folder: Path) -> None:
    pets(folder)
    for name in ("labels.csv", "cat/notes.txt", "cat/.DS_Store", "dog/Thumbs.db"):
        (folder / name).write_text("x", encoding="utf-8")
    (folder / "bird").mkdir()


def deep(folder: Path) -> None:
    for number in range(20):
        path = folder / ("cat", "dog")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((10, 10), 200 * 256 if number % 2 else 100 * 256, np.uint16)).save(path)


def see_through(folder: Path) -> None:
    pets(folder, "RGBA")
    Image.fromarray(np.zeros((10, 10, 4), np.uint8)).save(folder / "cat/00.png")


def animated(folder: Path) -> None:
    pets(folder, ending="gif")
    frames = [Image.new("L", (10, 10), shade) for shade in (10, 200)]
    frames[0].save(folder / "cat/00.gif", save_all=True, append_images=frames[1:])


PICTURED: dict[str, tuple[Make, list[str]]] = {
    "strays": (
        strays,
        [
            "2 files or folders that are no image of a class are left out: labels.csv, cat/notes.txt",
            "1 folders hold no image, and are no class: 'bird'",
        ],
    ),
    "sixteen-bits": (deep, ["20 images, grey, 10 x 10", "20 images have 16 bits per pixel: the upper 8 are kept"]),
    "transparent": (see_through, ["20 images may be transparent: they are laid on white"]),
    "animated": (animated, ["1 images are animated: the first frame of each is taken"]),
    "cmyk": (lambda folder: pets(folder, "CMYK", "jpg"), ["20 images, RGB", "20 images are CMYK"]),
    "palette": (lambda folder: pets(folder, "P"), ["20 images, RGB"]),
}


@pytest.mark.parametrize("case", PICTURED)
def test_what_is_done_to_images_is_said(said: Callable[..., str], case: str) -> None:
    make, says = PICTURED[case]
    found = said("pets", make)
    assert all(words in found for words in says)
    x, y = sources.fetch(load().task("own"), seed=0).images
    assert (len(x), y.tolist().count(1)) == (20, 10)
    if case == "sixteen-bits":
        assert sorted(np.unique(x)) == [100, 200]
    if case == "transparent":
        assert (x[0] == 255).all()
    if case == "animated":
        assert (x[0] == 10).all()


def broken(content: bytes) -> Make:
    def make(folder: Path) -> None:
        pets(folder)
        (folder / "dog/01.png").write_bytes(content)

    return make


def half() -> bytes:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8))
    stream = io.BytesIO()
    noise.save(stream, "PNG")
    return stream.getvalue()[: stream.tell() // 2]


def floating(folder: Path) -> None:
    pets(folder)
    Image.fromarray(np.zeros((10, 10), np.float32)).save(folder / "cat/02.tif")


def within(*names: str) -> Make:
    return lambda folder: [pets(folder / name) for name in names]


UNSEEN: dict[str, tuple[Make, str]] = {
    "no-image": (broken(b"\x89PNG\r\n\x1a\nbroken"), "'pets/dog/01.png' is not an image that can be read"),
    "no-bytes": (broken(b""), "'pets/dog/01.png' is not an image that can be read"),
    "half-an-image": (broken(half()), "'pets/dog/01.png' is a broken image"),
    "floating-point": (floating, "'pets/cat/02.tif' holds floating-point pixels, of which nobody knows which is white"),
    "train-and-test": (
        within("test", "train"),
        "two levels down, in folders of 'test', 'train': name the folder whose",
    ),
    "wrapped": (within("pets"), "such as pets/pets"),
    "one-class": (lambda folder: [pets(folder), shutil.rmtree(folder / "dog")], "holds images of one class, 'cat'"),
}


def test_arrays_of_one_class_are_refused(said: Callable[..., str]) -> None:
    def one(path: Path) -> None:
        np.savez(path, x=np.random.default_rng(0).integers(0, 255, (60, 8, 8), dtype=np.uint8), y=np.zeros(60, int))

    assert "'own.npz' holds images of one class, '0'" in said("own.npz", one, status=2)


def test_too_few_images_are_said_to_be(said: Callable[..., str]) -> None:
    assert "20 rows, but `validate` wants at least" in said("pets", pets)


@pytest.mark.parametrize("case", UNSEEN)
def test_images_that_are_none_are_refused_in_one_sentence(said: Callable[..., str], case: str) -> None:
    make, says = UNSEEN[case]
    assert says in said("pets", make, status=2)


def test_an_image_too_large_to_unpack_is_refused(said: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40)
    assert "'pets/cat/00.png' is too large an image" in said("pets", pets, status=2)
