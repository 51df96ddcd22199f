"""Networks out of a stranger's files: held against limits before they are unpacked, and read without a traceback."""

import contextlib
import io
import json
import math
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import keras
import tensorflow as tf

from redoubt.bundle.base.io import LARGEST_BINARY, LARGEST_JSON
from redoubt.bundle.model.guarded_model import GuardedModel
from redoubt.core.errors import RedoubtError
from redoubt.data.limits import GROWTH, GROWTH_FROM, in_words
from redoubt.models.saved import WEIGHTS, load_network

HDF5 = b"\x89HDF"
CONFIG = "config.json"
INSTEAD = "give a function of yours that loads and calls it, package.module:function"
NOT_FOUND = re.compile("Could not locate (class|function) '([^']+)'")


class NetworkFileError(RedoubtError):
    """A file that holds no network which can be used; the message says why."""


def of_bundle(folder: Path) -> keras.Model:
    """The network of a bundle folder.

    Raises:
        NetworkError: it cannot be read, or holds more than the layers known here.
        NetworkFileError: its weights are larger than the limits.
    """
    path = folder / WEIGHTS
    with _explained(path, "as weights"):
        with path.open("rb") as stream:
            _check_weights(stream, path.stat().st_size, f"{path}")
        return load_network(folder)


def open_network(path: Path, *, unwraps: bool = False) -> keras.Model:
    """The network of a bundle folder or of a `.keras` file; Keras refuses code inside.

    Args:
        path: the folder or file.
        unwraps: the caller looks behind a last sigmoid itself; else a network that ends in one per class is refused.

    Raises:
        NetworkFileError: it cannot be read, or has other than one input and one row of outputs.
        BundleError: a folder that is no whole bundle.
    """
    if path.is_dir():
        GuardedModel.load(path)
        return of_bundle(path)
    with path.open("rb") as stream:
        start = stream.read(4)
    if start == HDF5:
        raise NetworkFileError(
            f"'{path}' is an HDF5 file of the older format; convert it:"
            " keras.models.load_model('model.h5', compile=False).save('model.keras')"
        )
    with _explained(path, "as a .keras file"):
        _check_archive(path)
        network = keras.models.load_model(path, compile=False)
    check_network(str(path), network)
    if not unwraps:
        _refuse_sigmoids(path, network)
    return network


def check_network(said: str, network: keras.Model) -> None:
    """Refuse what is no network from one array to one row of outputs each.

    Args:
        said: what messages call it.
        network: read.

    Raises:
        NetworkFileError: names what it takes and outputs.
    """
    if not getattr(network, "outputs", None):
        raise NetworkFileError(
            f"'{said}' was never built: call the model on some examples, or give it an Input, and save again"
        )
    given, answered = ([tuple(each.shape) for each in ends] for ends in (network.inputs, network.outputs))
    if len(given) != 1 or len(answered) != 1 or len(answered[0]) != 2:
        takes, gives = (ends[0] if len(ends) == 1 else ends for ends in (given, answered))
        raise NetworkFileError(
            f"'{said}' takes {takes} and outputs {gives}; expected one input and outputs of shape (batch, classes):"
            " make such a model of a part of it, keras.Model(model.inputs[0], model.outputs[0])"
        )
    if answered[0][1] is None:
        raise NetworkFileError(
            f"'{said}' outputs {answered[0]}: the number of classes is undefined; give its Input a full shape"
        )
    if network.inputs[0].dtype == "string":
        raise NetworkFileError(
            f"'{said}' takes words; expected numbers: attack the part of it behind the words' numbers"
        )


def _refuse_sigmoids(path: Path, network: keras.Model) -> None:
    activation = getattr(network.layers[-1], "activation", None)
    if activation is keras.activations.sigmoid and network.output_shape[1] > 1:
        raise NetworkFileError(
            f"'{path}' outputs an independent probability per class (a sigmoid), not logits; give the model without it"
        )


@contextlib.contextmanager
def _explained(path: Path, how: str) -> Iterator[None]:
    """One sentence for what broken and forged files make Keras, HDF5 and TensorFlow raise."""
    try:
        yield
    except RedoubtError:
        raise
    except (
        ValueError,
        TypeError,
        OSError,
        KeyError,
        AttributeError,
        ImportError,
        EOFError,
        RuntimeError,
        MemoryError,
        zipfile.BadZipFile,
        zlib.error,
        tf.errors.OpError,
    ) as error:
        missing = _missing(error)
        if missing:
            raise NetworkFileError(f"'{path}' holds {missing} of its own: {INSTEAD}") from None
        said = str(error).strip().splitlines() or [""]
        raise NetworkFileError(f"'{path}' cannot be read {how} ({type(error).__name__}: {said[0]})") from None


def _check_archive(path: Path) -> None:
    """Refuse a `.keras` file that would take more than the limits once it is unpacked."""
    if not zipfile.is_zipfile(path):
        return  # Keras says what is wrong.
    with zipfile.ZipFile(path) as archive:
        parts = archive.infolist()
        config = sum(each.file_size for each in parts if each.filename == CONFIG)
        if config > LARGEST_JSON:
            raise NetworkFileError(
                f"'{path}' describes its layers in {in_words(config)}; at most {in_words(LARGEST_JSON)} are read"
            )
        if config:
            _refuse_code(path, archive.read(CONFIG))
        stored = sum(each.compress_size for each in parts)
        _check_growth(sum(each.file_size for each in parts), stored, f"'{path}'")
        if WEIGHTS in archive.namelist():
            _check_weights(io.BytesIO(archive.read(WEIGHTS)), stored, f"'{path}'")


def _refuse_code(path: Path, config: bytes) -> None:
    """Say which class or function is missing: its code is not in the file, or is, and would run."""
    try:
        described = json.loads(config)
    except ValueError:
        return  # Keras says what is wrong.
    for kind, name in _kinds(described):
        foreign = name is not None and ">" in name and keras.saving.get_registered_object(name) is None
        if foreign or kind == "__lambda__":
            what = f"'{kind}', a class of its own" if foreign else "a Lambda layer, whose code would run"
            raise NetworkFileError(f"'{path}' holds {what}: {INSTEAD}")


def _missing(error: BaseException) -> str | None:
    """The class or function that Keras looked for in vain, of which it tells in the innermost of its errors alone."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    found = NOT_FOUND.search(str(error))
    return f"'{found[2]}', a {found[1]}" if found else None


def _kinds(part: Any) -> Iterator[tuple[str, str | None]]:
    """Every class and function that a description names, with the name that it was registered by."""
    if isinstance(part, dict):
        if isinstance(part.get("class_name"), str):
            yield part["class_name"], part.get("registered_name")
        part = list(part.values())
    if isinstance(part, list):
        for each in part:
            yield from _kinds(each)


def _check_weights(stream: BinaryIO, stored: int, what: str) -> None:
    """Refuse weights that are described larger than they are stored: HDF5 fills in what is not there."""
    with h5py.File(stream, "r") as file:
        sizes: list[int] = []

        def add(name: str, each: h5py.Group | h5py.Dataset) -> None:
            if isinstance(each, h5py.Dataset):
                sizes.append(math.prod(each.shape or ()) * each.dtype.itemsize)

        file.visititems(add)
    _check_growth(sum(sizes), stored, what)


def _check_growth(size: int, stored: int, what: str) -> None:
    if size > LARGEST_BINARY:
        raise NetworkFileError(f"{what} takes {in_words(size)} unpacked; at most {in_words(LARGEST_BINARY)} are taken")
    if size > GROWTH_FROM and size > GROWTH * max(stored, 1):
        raise NetworkFileError(
            f"{what} grows {size // max(stored, 1):,}-fold to {in_words(size)} when unpacked, at most {GROWTH}-fold is"
            f" taken from {in_words(GROWTH_FROM)} on, since so does a bomb"
        )
