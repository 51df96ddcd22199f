"""Files that would take more memory than they look: each refused in one sentence, before the memory is spent."""

import io
import resource
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from redoubt.data import limits
from redoubt.data.arrays import read_npz
from redoubt.data.locate import SourceError
from redoubt.data.readers import read_csv, read_parquet

MIB = 2**20


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def header(shape: tuple[int, ...], dtype: str = "|u1") -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": dtype, "fortran_order": False, "shape": shape})
    return stream.getvalue()


def put_npz(members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> None:
    with zipfile.ZipFile("own.npz", "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def bomb(shape: tuple[int, ...], dtype: str) -> None:
    """Zeros, which pack to a few hundredths of a percent."""
    with zipfile.ZipFile("own.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("x.npy", "w", force_zip64=True) as member:
            member.write(header(shape, dtype))
            for _ in range(int(np.prod(shape)) * np.dtype(dtype).itemsize // MIB):
                member.write(bytes(MIB))
        archive.writestr("y.npy", header((1,)) + b"\0")


def bomb_of_bytes() -> None:
    bomb((2**16, 128, 128), "|u1")


def bomb_of_floats() -> None:
    bomb((2**12, 128, 128), "<f4")


def forged() -> None:
    put_npz({"x.npy": header((2**20, 2**20, 3), "<f8") + b"\0" * 64, "y.npy": header((1,)) + b"\0"})


def forged_within_the_limits() -> None:
    put_npz({"x.npy": header((1000, 64, 64)) + b"\0" * 64, "y.npy": header((1,)) + b"\0"})


def negative() -> None:
    put_npz({"x.npy": header((-1, -64, 1)) + b"\0" * 64, "y.npy": header((1,)) + b"\0"})


def wide_words() -> None:
    put_npz({"x.npy": header((1, 1, 1)) + b"\0", "y.npy": header((2**20,), "<U1048576") + b"\0"})


def objects() -> None:
    np.savez("own.npz", x=np.array([object()]), y=np.zeros(1))


def long_header() -> None:
    put_npz({"x.npy": b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**31) + b" " * 99, "y.npy": header((1,)) + b"\0"})


def later_format() -> None:
    put_npz({"x.npy": b"\x93NUMPY\x09\x00" + b" " * 99, "y.npy": header((1,)) + b"\0"})


def broken_deflate() -> None:
    put_npz({"x.npy": header((1000, 8, 8)) + np.arange(64_000, dtype=np.uint8).tobytes(), "y.npy": header((0,))})
    whole = bytearray(Path("own.npz").read_bytes())
    whole[400:420] = bytes(20)
    Path("own.npz").write_bytes(bytes(whole))


def keras_model() -> None:
    put_npz({"metadata.json": b"{}", "config.json": b"{}", "model.weights.h5": b"HDF"})


def one_array() -> None:
    np.save("own.npy", np.zeros(3))
    Path("own.npy").rename("own.npz")


ARRAYS: dict[Callable[[], None], list[str]] = {
    bomb_of_bytes: ["array 'x' is too large: 1,073,741,824 came, at most 268,435,456 are taken", "part of its rows"],
    bomb_of_floats: ["-fold to 256 MiB when unpacked, at most 200-fold", "from 64 MiB on", "without compression"],
    forged: ["header of array 'x' says (1048576, 1048576, 3)", "but 64 are stored", "forged"],
    forged_within_the_limits: ["says (1000, 64, 64) of uint8, 4,096,000 bytes, but 64 are stored"],
    negative: ["says (-1, -64, 1)"],
    wide_words: ["header of array 'y'", "forged"],
    objects: ["array 'x' holds Python objects", "expected plain numbers or words"],
    long_header: ["is not an NPZ file of plain arrays"],
    later_format: ["is of format (9, 0), expected 1.0 or 2.0"],
    broken_deflate: ["is not an NPZ file of plain arrays"],
    keras_model: ["is a Keras model, no data; expected an NPZ file with x, y"],
    one_array: ["it is one array (NPY); save it by np.savez('rows.npz', x=x, y=y)"],
}


@pytest.mark.parametrize("make", ARRAYS, ids=lambda make: make.__name__)
def test_arrays_that_are_not_unpacked(make: Callable[[], None]) -> None:
    make()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(SourceError) as error:
        read_npz(Path("own.npz"), ("x", "y"))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    said = str(error.value)
    assert "\n" not in said
    for words in ["own.npz", *ARRAYS[make]]:
        assert words in said
    assert grown * 1024 < 64 * MIB, "the memory was spent before the refusal"


def test_an_array_that_is_not_asked_for_is_not_unpacked() -> None:
    put_npz({"x.npy": header((2,)) + b"\1\2", "y.npy": header((1,)) + b"\0", "z.npy": header((2**60,), "<f8")})
    assert read_npz(Path("own.npz"), ("x", "y"))["x"].tolist() == [1, 2]


def test_pictures_that_pack_well_are_taken() -> None:
    np.savez_compressed("own.npz", x=np.zeros((3000, 64, 64), np.uint8), y=np.zeros(3000))
    assert read_npz(Path("own.npz"), ("x", "y"))["x"].shape == (3000, 64, 64)


def wide_header() -> str:
    return ",".join(f"c{i}" for i in range(200_000)) + "\n" + ",".join(["1"] * 200_000) + "\n"


TABLES: dict[str, tuple[Callable[[], str | bytes], list[str]]] = {
    "wide": (wide_header, ["too many columns: 200,000 came, at most 10,000 are taken", "keep those"]),
    "cell-of-one-line": (lambda: "a,b\n" + "x" * (200 * MIB) + ",1\n", ["line 2 is longer than 8 MiB"]),
    "cell-of-many-lines": (
        lambda: 'a,b\n"' + "x\n" * (2 * MIB) + '",1\n',
        ["not a CSV", "field larger than field limit"],
    ),
    "one-quote": (lambda: 'a,b\n1,"2\n' + "3,4\n" * MIB, ["field larger than field limit (1048576)"]),
    "nul": (lambda: b"a,b\n1,2\n1,\0\n", ["line 3 holds a NUL byte"]),
    "utf-16": (lambda: "a,b\n1,2\n".encode("utf-16"), ["it is UTF-16 text", "export it as CSV in UTF-8"]),
    "latin-1": (lambda: "a,b\n1,2\nö,2\n".encode("latin-1"), ["line 3 holds the byte 0xf6", "iconv"]),
    "xlsx": (lambda: b"PK\x03\x04....", ["a ZIP archive, as Excel's .xlsx is"]),
    "gzip": (lambda: b"\x1f\x8b.......", ["it is a gzip file"]),
    "parquet": (lambda: b"PAR1......", ["it is a Parquet file"]),
    "nothing": (lambda: "", ["an empty file of 0 bytes"]),
    "blank": (lambda: "\n  \n", ["it has no header"]),
    "semicolons": (lambda: "a;b\n1,5;2\n", ["separator looks like ';', expected ','"]),
    "tabs": (lambda: "a\tb\n1\t2\n", ["separator looks like '\\t', expected ','"]),
    "long-row": (lambda: "a,b\n1,2\n3,4,5\n", ["line 3 has 3 cells, more cells than the header's 2"]),
}


@pytest.mark.parametrize("case", TABLES)
def test_csv_files_that_are_not_read(case: str) -> None:
    make, says = TABLES[case]
    content = make()
    Path("own.csv").write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(SourceError) as error:
        read_csv(Path("own.csv"))
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400
    for words in says:
        assert words in str(error.value)


PEAK = """
import resource, sys
from pathlib import Path
from redoubt.data.locate import SourceError
from redoubt.data.readers import read_csv
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    read_csv(Path(sys.argv[1]))
except SourceError as error:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_cell_of_200_mb_takes_no_memory(project: Path) -> None:
    Path("own.csv").write_bytes(b"a,b\n" + b"x" * (200 * MIB) + b",1\n")
    done = subprocess.run(
        [sys.executable, "-c", PEAK, "own.csv"],
        env={"PYTHONPATH": str(project / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) < 64 * 1024, "KiB"


@pytest.mark.parametrize("limit", ["FILE_BYTES", "VALUES"])
def test_large_tables(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, limit, 100)
    table = pd.DataFrame({"a": range(60), "b": range(60)})
    table.to_csv("own.csv", index=False)
    table.to_parquet("own.parquet")
    for read in (lambda: read_csv(Path("own.csv")), lambda: read_parquet(Path("own.parquet"), ())):
        with pytest.raises(SourceError, match="came, at most 100 .*are taken; take a part of its rows"):
            read()


def parquet_of_one_long_word() -> None:
    """Stored once, it stands in 1,000 rows."""
    pd.DataFrame({"a": ["x" * 2**16] * 1000}).to_parquet("own.parquet")


def parquet_with_a_forged_footer() -> None:
    pd.DataFrame({"a": [1]}).to_parquet("own.parquet")
    whole = Path("own.parquet").read_bytes()
    Path("own.parquet").write_bytes(whole[:-8] + struct.pack("<I", 2**31 - 1) + b"PAR1")


def parquet_with_a_broken_footer() -> None:
    pd.DataFrame({"a": [1]}).to_parquet("own.parquet")
    whole = bytearray(Path("own.parquet").read_bytes())
    whole[-200:-100] = bytes(100)
    Path("own.parquet").write_bytes(bytes(whole))


def parquet_wide() -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({f"c{i}": [1] for i in range(10_001)}), "own.parquet")


def parquet_cut_off() -> None:
    pd.DataFrame({"a": [1]}).to_parquet("own.parquet")
    Path("own.parquet").write_bytes(Path("own.parquet").read_bytes()[:-3])


def parquet_folder() -> None:
    Path("own.parquet").mkdir()


PARQUETS: dict[Callable[[], None], str] = {
    parquet_of_one_long_word: "is too large unpacked: 32 MiB came, at most 20 MiB are taken",
    parquet_with_a_forged_footer: "its footer is too large: 2 GiB came, at most 16 MiB",
    parquet_with_a_broken_footer: "is not a Parquet file",
    parquet_wide: "too many columns: 10,001 came, at most 10,000",
    parquet_cut_off: "does not end as one; export it again",
    parquet_folder: "is a folder; expected one Parquet file",
}


@pytest.mark.parametrize("make", PARQUETS, ids=lambda make: make.__name__)
def test_parquet_files_that_are_not_read(make: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ARRAY_BYTES", 20 * MIB)
    make()
    with pytest.raises(SourceError, match=PARQUETS[make]) as error:
        read_parquet(Path("own.parquet"), ())
    assert "\n" not in str(error.value)


def test_twice_the_same_name() -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    Path("own.csv").write_text("age,price,spend,price\n1,2,3,2\n")
    with pytest.raises(SourceError, match=r"names column 'price' twice \(columns 2 and 4\); rename or remove one"):
        read_csv(Path("own.csv"))
    Path("own.csv").write_text("\ufeffage,price, price \n1,2,3\n", encoding="utf-8")
    with pytest.raises(SourceError, match="names column 'price' twice"):
        read_csv(Path("own.csv"))
    pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["age", "age"]), "own.parquet")
    with pytest.raises(SourceError, match="names column 'age' twice"):
        read_parquet(Path("own.parquet"), ())


def test_honest_names_are_kept() -> None:
    Path("own.csv").write_text("price,price.1,Price,7\n1,2,3,4\n")
    table, notes = read_csv(Path("own.csv"))
    assert table.columns.tolist() == ["price", "price.1", "Price", "7"]
    assert notes == ("columns 'price', 'Price' differ only in upper and lower case",)
    pd.DataFrame({0: [1.5], 1: [2]}).to_parquet("own.parquet")
    assert read_parquet(Path("own.parquet"), ())[0].columns.tolist() == ["0", "1"]


NOTES = {
    "blanks": ("age, work\n1, a b\n", ["age", "work"], ["1", "a b"], "a blank follows the commas"),
    "blanks-in-rows": ("age,work\n1, a\n", ["age", "work"], ["1", "a"], "a blank follows the commas"),
    "trailing": ("age ,work\n1,a \n", ["age", "work"], ["1", "a "], "'age ' is 'age'"),
    "short": ("age,work\n1,a\n2\n", ["age", "work"], ["1", "a"], "1 rows have fewer cells"),
    "headless": ("5.1,3.5,setosa\n4.9,3.0,setosa\n", ["5.1", "3.5", "setosa"], ["4.9", "3.0", "setosa"], "is it data"),
}


@pytest.mark.parametrize("case", NOTES)
def test_what_is_unusual_is_said(case: str) -> None:
    text, names, first, says = NOTES[case]
    Path("own.csv").write_text(text)
    table, notes = read_csv(Path("own.csv"))
    assert (table.columns.tolist(), table.iloc[0].tolist()) == (names, first)
    assert any(says in note for note in notes)


def test_years_are_names() -> None:
    Path("own.csv").write_text("2019,2020,2021,country\n4.9,3.0,1,Peru\n")
    assert read_csv(Path("own.csv"))[1] == ()
