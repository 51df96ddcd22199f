"""Images and classes as people store them in NPZ files, brought to one layout; what was done is said."""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from redoubt.data.arrays import read_npz
from redoubt.data.locate import SourceError

# Names of the arrays, images first, as they are looked for: training and test set, else one set.
PARTED = (
    (("x_train", "y_train"), ("x_test", "y_test")),
    (("X_train", "y_train"), ("X_test", "y_test")),
    (("train_images", "train_labels"), ("test_images", "test_labels")),
)
_WHOLE = (("x", "y"), ("X", "y"), ("images", "labels"), ("data", "target"), ("arr_0", "arr_1"), ("X", "Y"))
# A training set alone may be all that there is.
NAMES = (*_WHOLE, *(training for training, _ in PARTED))
CHANNELS = (1, 3, 4)
WHITE, BRIGHT = 255, 128
DIMENSIONS = 4


@dataclass(frozen=True, eq=False)
class Stored:
    """What an NPZ file holds.

    Attributes:
        x: images `(rows, height, width)` or with channels last; uint8, or floating point.
        y: classes `(rows,)`, numbers or words.
        test_from: rows from here on are a test set of the file's own.
        said: sentences on what was done to bring them there.
    """

    x: NDArray[Any]
    y: NDArray[Any]
    test_from: int | None
    said: tuple[str, ...]


def read_images(path: Path) -> Stored:
    """Read images and classes by any of their usual names, in any of their usual layouts.

    Raises:
        SourceError: see `read_npz`; arrays of one part that do not fit those of the other.
    """
    held, said = _held(path), []
    parted = next((each for each in PARTED if {*each[0], *each[1]} <= held), None)
    names = [next((each for each in NAMES if set(each) <= held), NAMES[0])] if parted is None else list(parted)
    arrays = read_npz(path, tuple(name for pair in names for name in pair))
    if names != [NAMES[0]]:
        read = " and ".join(f"'{x}', '{y}'" for x, y in names)
        said.append(f"images and classes are read from {read}" + ("; the latter are the test set" if parted else ""))
    others = sorted(held - set(arrays))
    said += [f"the arrays {', '.join(others[:5])} are not used"] if others else []
    parts = [(_flat_classes(arrays[y], said), arrays[x]) for x, y in names]
    if len({(x.dtype, x.shape[1:]) for _, x in parts}) > 1:
        kinds = " and ".join(f"{x.dtype} {x.shape[1:]}" for _, x in parts)
        raise SourceError(f"'{path}': training and test images are of {kinds}; expected both alike")
    test_from = len(parts[0][1]) if parted else None
    y, x = (np.concatenate(each) if len(each) > 1 else each[0] for each in zip(*parts, strict=True))
    return Stored(_bytes(_channels_last(x, said), said), y, test_from, tuple(dict.fromkeys(said)))


def _held(path: Path) -> set[str]:
    """Names of the arrays; of what is no archive, `read_npz` says so."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {name.removesuffix(".npy") for name in archive.namelist()}
    except (OSError, ValueError, zipfile.BadZipFile):
        return set()


def _channels_last(x: NDArray[Any], said: list[str]) -> NDArray[Any]:
    first = x.ndim == DIMENSIONS and x.shape[1] in CHANNELS and x.shape[-1] > max(CHANNELS)
    if not first or not x.shape[2] > max(CHANNELS):
        return x
    said.append(f"images of shape {x.shape[1:]} have their channels first; they were put last")
    return np.ascontiguousarray(np.moveaxis(x, 1, -1))


def _bytes(x: NDArray[Any], said: list[str]) -> NDArray[Any]:
    """Values from 0 to 255 of any type as uint8 where they are whole, else as shares of 255."""
    integers = np.issubdtype(x.dtype, np.integer) and x.dtype != np.uint8
    if not x.size or not (integers or np.issubdtype(x.dtype, np.floating)) or x.min() < 0:
        return x
    # A smaller largest value is of another scale, such as 16 levels of grey.
    if not BRIGHT <= x.max() <= WHITE:
        return x
    whole = integers or bool((x % 1 == 0).all())
    said.append(f"pixels of type {x.dtype} from {x.min():g} to {x.max():g} are taken as 0 to {WHITE}")
    return x.astype(np.uint8) if whole else (x / WHITE).astype(np.float32)


def _flat_classes(y: NDArray[Any], said: list[str]) -> NDArray[Any]:
    """One class per row, of a column or of one-hot rows."""
    if y.ndim == 2 and y.shape[1] == 1:
        said.append(f"classes of shape {y.shape} are taken as one per image")
        return y[:, 0]
    numbers = np.issubdtype(y.dtype, np.number) or y.dtype == np.bool_
    if y.ndim == 2 and y.shape[1] > 1 and numbers and len(y):
        one_hot = bool(((y == 0) | (y == 1)).all() and (y.sum(axis=1) == 1).all())
        if one_hot:
            said.append(
                f"one-hot classes of shape {y.shape} are taken as 0 to {y.shape[1] - 1}, the places of their ones"
            )
            return y.argmax(axis=1)
    return y
