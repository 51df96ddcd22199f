"""The one place that names data sets: bundled, simulated, public, and the user's own files."""

import difflib
import gzip
import os
import tarfile
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import ValidationError

from redoubt.bundle.base.io import first_mistake
from redoubt.bundle.schema import Schema
from redoubt.core.types import Ints
from redoubt.data import pokemon_go, quarantine
from redoubt.data.arrays import class_words, named_classes, pixels, read_npz
from redoubt.data.layouts import read_images
from redoubt.data.locate import EXTERNAL, TEXT, PublicFile, SourceError, at_hand, ending, locate
from redoubt.data.readers import Noted, read_csv, read_parquet
from redoubt.data.shared import survey
from redoubt.data.shared.dataset import Raw, digest_arrays, digest_table
from redoubt.data.shared.words import renamed
from redoubt.data.tables import Origin, build, misfits, numbers
from redoubt.params.settings.data_params import DataParams

SIMULATED_ROWS = 1200

_KERAS = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
MNIST = PublicFile("mnist.npz", _KERAS + "mnist.npz")
FASHION = tuple(
    PublicFile(f"fashion_mnist/{name}", _KERAS + name)
    for name in (
        "train-images-idx3-ubyte.gz",
        "train-labels-idx1-ubyte.gz",
        "t10k-images-idx3-ubyte.gz",
        "t10k-labels-idx1-ubyte.gz",
    )
)
# The binary version: the Python one is pickles, which run code when opened.
CIFAR = PublicFile("cifar-10-binary.tar.gz", "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz")
POKEMON_CP = PublicFile("pokemon_cp.csv", "https://www.openintro.org/data/csv/pokemon.csv")
POKEMON_STATS = PublicFile(
    "pokemon_stats.csv",
    "https://raw.githubusercontent.com/KeithGalli/pandas/5d4b09be833647e0c9a67935f1d3b3c8e277a95e/pokemon_data.csv",
)

# SHA-256 of canonical content where copies differ in their bytes (zip dates, column names, further columns, row order):
# arrays as name, type, shape and bytes; tables as our columns, sorted, numbers in their shortest form.
CONTENT = {
    MNIST.name: "8fc8fc4f0343f34ece1fcfdfb65f0801fac48030ce7c70e62bbb62f64ee2e65b",
    POKEMON_CP.name: "81b4019169120d2c25a9e41730de33ef5b0ff773046f263909c59df4d379967a",
    POKEMON_STATS.name: "daa341e4aad0dccdb1410a89c7b50246eaa231d1b8761cc33554d4977d58f8f7",
}
# SHA-256 of the files themselves, as published; the authors' MD5s of the same files are in data/README.md.
FILES = {
    FASHION[0].name: "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    FASHION[1].name: "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    FASHION[2].name: "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    FASHION[3].name: "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    CIFAR.name: "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
}

DIGITS = tuple("0123456789")
ARTICLES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
OBJECTS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def fetch(task: DataParams, seed: int) -> Raw:
    """Fetch or simulate a task's data.

    Args:
        task: its `source` is a name of `SIMULATED` or `NAMED`, or a path to a file of the user's.
        seed: of the simulator.

    Raises:
        SourceError: unknown or not to be found, wrong checksum, or content that does not fit the task.
    """
    try:
        return _fetch(task, seed)
    except ValidationError as error:
        raise SourceError(f"task '{task.name}': '{task.source}' cannot be used: {first_mistake(error)}") from None


def _fetch(task: DataParams, seed: int) -> Raw:
    file, suffix = task.split.test_file, ending(Path(task.source))
    named = task.source in SIMULATED or task.source in NAMED
    if file and (named or suffix not in READERS or ending(Path(file)) != suffix):
        must = "a source that is a file too" if named or suffix not in READERS else f"one that ends in '{suffix}'"
        raise SourceError(f"task '{task.name}': split.test is '{file}'; expected {must}, written as '{task.source}' is")
    if task.source in SIMULATED:
        return SIMULATED[task.source](task, seed)
    if task.source in NAMED:
        return NAMED[task.source](task)
    if suffix in READERS:
        return READERS[suffix](task, Path(task.source))
    if Path(task.source).is_dir():
        raise SourceError(
            f"task '{task.name}': source '{task.source}' is a folder; expected a file that ends in "
            f"{', '.join(READERS)}: images as arrays x (rows, height, width, channels) and y, "
            "by np.savez('own.npz', x=x, y=y)"
        )
    names = [*SIMULATED, *NAMED]
    near = difflib.get_close_matches(task.source, names, n=1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    raise SourceError(
        f"task '{task.name}': unknown source '{task.source}'; {hint}"
        f"known: {', '.join(names)}, or a path that ends in {', '.join(READERS)}"
    )


def _pokemon_go(task: DataParams, seed: int) -> Raw:
    table = pokemon_go.simulate(np.random.default_rng(seed), SIMULATED_ROWS)
    return build(table, task, Origin(f"simulated, seed {seed}"))


def _breast_cancer(task: DataParams) -> Raw:
    from sklearn.datasets import load_breast_cancer

    bundle = load_breast_cancer(as_frame=True)
    table = bundle.data.assign(diagnosis=bundle.target_names[bundle.target])
    return build(table, task, Origin("scikit-learn, load_breast_cancer"))


def _digits(task: DataParams) -> Raw:
    from sklearn.datasets import load_digits

    bundle = load_digits()
    return _images(task, bundle.images.astype(np.uint8), bundle.target, DIGITS, "scikit-learn, load_digits", levels=16)


def mnist() -> dict[str, NDArray[Any]]:
    """MNIST's own arrays: x_train, y_train, x_test, y_test, uint8.

    Raises:
        SourceError: not to be found, or other content.
    """
    path = locate(MNIST)
    arrays = read_npz(path, ("x_train", "y_train", "x_test", "y_test"))
    _accept(MNIST.name, digest_arrays(arrays), CONTENT[MNIST.name], path)
    return arrays


def test_images(source: str) -> tuple[NDArray[np.uint8], Ints] | None:
    """The test images of a public set, with their classes, where its file lies on this machine.

    Args:
        source: its name.

    Returns:
        Images `(rows, height, width)` and classes `(rows,)`; None if the set would have to be downloaded first.

    Raises:
        SourceError: other content than the public one.
    """
    if source != "mnist" or at_hand(MNIST) is None:
        return None
    arrays = mnist()
    return arrays["x_test"], arrays["y_test"].astype(np.int64)


def pokemon_cp() -> pd.DataFrame:
    """The 75 evolutions in the course's order: species, cp, hp, weight, height, newcp.

    Raises:
        SourceError: not to be found, or other content.
    """
    path = locate(POKEMON_CP)
    table = read_csv(path)[0].rename(columns={"cp_new": "newcp"})
    return _public_table(POKEMON_CP, path, table, "species", ("cp", "hp", "weight", "height", "newcp"))


def pokemon_stats() -> pd.DataFrame:
    """800 Pokémon in the order of the Pokédex: Type_1, #, HP, Attack, Defense, Sp_Atk, Sp_Def, Speed.

    Raises:
        SourceError: not to be found, or other content.
    """
    path = locate(POKEMON_STATS)
    stats = ("HP", "Attack", "Defense", "Sp_Atk", "Sp_Def", "Speed")
    table = read_csv(path)[0].rename(columns=lambda name: name.replace(". ", "_").replace(" ", "_"))
    return _public_table(POKEMON_STATS, path, table, "Type_1", ("#", *stats)).sort_values("#", kind="stable")


def _mnist(task: DataParams) -> Raw:
    arrays = mnist()
    x = np.concatenate([arrays["x_train"], arrays["x_test"]])
    y = np.concatenate([arrays["y_train"], arrays["y_test"]])
    return _images(task, x, y, DIGITS, MNIST.url, test_from=len(arrays["x_train"]))


def _fashion_mnist(task: DataParams) -> Raw:
    x_train, y_train, x_test, y_test = (_idx(_archive(file)) for file in FASHION)
    x, y = np.concatenate([x_train, x_test]), np.concatenate([y_train, y_test])
    return _images(task, x, y, ARTICLES, FASHION[0].url, test_from=len(x_train))


def _cifar10(task: DataParams) -> Raw:
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    with tarfile.open(_archive(CIFAR)) as archive:
        members = [archive.extractfile(f"cifar-10-batches-bin/{name}.bin") for name in names]
        records = b"".join(member.read() for member in members if member)
    rows = np.frombuffer(records, np.uint8).reshape(-1, 1 + 3 * 32 * 32)
    x = rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return _images(task, np.ascontiguousarray(x), rows[:, 0], OBJECTS, CIFAR.url, test_from=50_000)


def _pokemon_cp(task: DataParams) -> Raw:
    return build(pokemon_cp(), task, Origin(POKEMON_CP.url))


def _pokemon_types(task: DataParams) -> Raw:
    table = pokemon_stats()
    table = table[table["Type_1"].isin(["Water", "Normal"])]
    # The course trains on the first generations and asks about the later ones.
    test_from = int((table["#"] < 400).sum())
    return build(table.drop(columns="#").rename(columns={"Type_1": "type"}), task, Origin(POKEMON_STATS.url, test_from))


SIMULATED: dict[str, Callable[[DataParams, int], Raw]] = {"pokemon_go": _pokemon_go}
NAMED: dict[str, Callable[[DataParams], Raw]] = {
    "breast_cancer": _breast_cancer,
    "digits": _digits,
    "mnist": _mnist,
    "fashion_mnist": _fashion_mnist,
    "cifar10": _cifar10,
    "pokemon_cp": _pokemon_cp,
    "pokemon_types": _pokemon_types,
}


def is_own_table(task: DataParams) -> bool:
    """Whether a task's source is a file of the user's that holds a table."""
    named = task.source in SIMULATED or task.source in NAMED
    return not named and READERS.get(ending(Path(task.source))) is _table


def own_table(task: DataParams) -> tuple[pd.DataFrame, Origin]:
    """The rows of a user's table that are used, as they were read, those of a file of test rows below the others.

    Raises:
        SourceError: files that cannot be used.
    """
    path, own = Path(task.source), task.split.test_file
    _must_exist(task, path)
    table, notes = _read(task, path)
    test_from = None
    if own is not None:
        _must_exist(task, Path(own), "split.test")
        test, more = _read(task, Path(own))
        gone = [str(name) for name in table.columns if name not in test]
        if gone:
            raise SourceError(
                f"'{own}' has no column {survey.listed(map(repr, gone))}; expected test rows with the columns of "
                f"'{path}'"
            )
        notes, test_from = (*notes, *more, f"the {len(test):,} rows of '{own}' are the test set"), len(table)
        table = pd.concat([table, test[list(table.columns)]], ignore_index=True)
    found = quarantine.apart(table, task.name) if task.checks.quarantine else None
    if found is not None:
        test_from = None if test_from is None else int((~found[0][:test_from]).sum())
        table, notes = table[~found[0]].reset_index(drop=True), (*notes, found[1])
    return table, Origin(task.source, test_from=test_from, notes=notes)


def _read(task: DataParams, path: Path) -> Noted:
    if ending(path) != ".parquet":
        return read_csv(path, task.read)
    return read_parquet(path, (*task.features, *task.categorical, task.target, *filter(None, [task.split.by])))


def _table(task: DataParams, _: Path) -> Raw:
    table, origin = own_table(task)
    try:
        return build(table, task, origin)
    except SourceError as error:
        if not (task.checks.quarantine and misfits(table, task)):
            raise
        raise SourceError(f"{error}; or move such rows aside: redoubt quarantine {task.name}") from None


def _npz(task: DataParams, path: Path) -> Raw:
    _must_exist(task, path)
    stored = read_images(path)
    x, y, test_from = stored.x, stored.y, stored.test_from
    if task.split.test_file is not None:
        own = Path(task.split.test_file)
        _must_exist(task, own, "split.test")
        more, test_from = read_images(own), len(x)
        if x.shape[1:] != more.x.shape[1:] or x.dtype != more.x.dtype:
            kinds = [f"{each.dtype} {each.shape[1:]}" for each in (more.x, x)]
            raise SourceError(f"'{own}': x holds images of {kinds[0]}; expected {kinds[1]}, as in '{path}'")
        x, y = np.concatenate([x, more.x]), np.concatenate([y, more.y])
    x, levels = pixels(x, path)
    labels, y = named_classes(y, path)
    raw = _images(task, x, y, labels, task.source, levels=levels, test_from=test_from)
    told = renamed(np.unique(class_words(stored.y)).astype(str).tolist())
    notes = (*stored.said, *([told] if told else []), *raw.survey.notes)
    return replace(raw, survey=replace(raw.survey, notes=notes))


READERS: dict[str, Callable[[DataParams, Path], Raw]] = {
    **dict.fromkeys((*TEXT, ".parquet"), _table),
    ".npz": _npz,
}


def _must_exist(task: DataParams, path: Path, key: str = "source") -> None:
    if not path.exists():
        project = os.environ.get("DVC_ROOT")
        if project and Path(project, path).exists():
            raise SourceError(
                f"task '{task.name}': {key} '{path}' is not in the copy of the project that this experiment runs in, "
                f"which holds what git tracks alone: give `dvc exp run` the option `--copy-paths {path}` too"
            )
        raise SourceError(
            f"task '{task.name}': {key} '{path}' was not found; looked at {path} "
            f"relative to the project's top folder; correct '{key}' in params.yaml"
        )


def _images(
    task: DataParams,
    x: NDArray[Any],
    y: NDArray[Any],
    labels: tuple[str, ...],
    origin: str,
    levels: int = 255,
    test_from: int | None = None,
) -> Raw:
    if task.kind != "image":
        raise SourceError(
            f"task '{task.name}' is of kind {task.kind}, but '{task.source}' holds images; use kind: image"
        )
    _check_shapes(x, y, task)
    x = x[..., None] if x.ndim == 3 else x
    schema = Schema(task=task.name, kind="image", target=task.target, shape=x.shape[1:], labels=labels)
    classes: Ints = y.astype(np.int64)
    found = survey.of_images(x, classes, schema, levels, task.checks.min_class_share)
    return Raw(schema, task.source, origin, x=x, y=classes, levels=levels, test_from=test_from, survey=found)


def _check_shapes(x: NDArray[Any], y: NDArray[Any], task: DataParams) -> None:
    sized = x.ndim in (3, 4) and min(x.shape) > 0
    if not sized or (x.ndim == 4 and x.shape[-1] > 4):
        first = sized and x.shape[1] <= 4
        hint = "; are the channels first? np.moveaxis(x, 1, -1) puts them last" if first else ""
        raise SourceError(
            f"'{task.source}': x has shape {x.shape}; expected (rows, height, width) or (rows, height, width, "
            f"channels) with at most 4 channels{hint}"
        )
    if y.shape != (len(x),):
        hint = "; of one-hot rows take y.argmax(axis=1)" if y.ndim == 2 and y.shape[1] > 1 else ""
        hint = "; take y.ravel()" if y.shape == (len(x), 1) else hint
        raise SourceError(f"'{task.source}': y has shape {y.shape}; expected ({len(x)},), one class per image{hint}")


def _public_table(
    file: PublicFile, path: Path, table: pd.DataFrame, word: str, figures: tuple[str, ...]
) -> pd.DataFrame:
    """Our columns of a public table, accepted only with the right content; rows in the file's order."""
    missing = [name for name in (word, *figures) if name not in table]
    if missing:
        raise SourceError(f"'{path}' has no column '{missing[0]}'; {_again(path)}")
    ours = pd.DataFrame({word: table[word]} | {name: numbers(table[name], name, str(path)) for name in figures})
    _accept(file.name, digest_table(ours.sort_values(list(ours.columns))), CONTENT[file.name], path)
    return ours


def _archive(file: PublicFile) -> Path:
    path = locate(file)
    _accept(file.name, sha256(path.read_bytes()).hexdigest(), FILES[file.name], path)
    return path


def _idx(path: Path) -> NDArray[np.uint8]:
    """Unsigned bytes in the IDX format: two zeros, type, rank, each length in four bytes, content."""
    data = gzip.decompress(path.read_bytes())
    rank = data[3]
    shape = np.frombuffer(data, ">u4", count=rank, offset=4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(tuple(int(n) for n in shape))


def _accept(name: str, came: str, expected: str, path: Path) -> None:
    if came != expected:
        raise SourceError(f"'{path}' is not {name}: its SHA-256 is {came}, expected {expected}; {_again(path)}")


def _again(path: Path) -> str:
    ours = EXTERNAL in path.parents
    return "delete it to have it fetched again" if ours else "replace it with the file that data/README.md names"
