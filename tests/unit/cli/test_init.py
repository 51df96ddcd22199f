"""`redoubt init`: from anybody's file to a task, every decision shown, nothing else in params.yaml touched."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from redoubt.cli import main
from redoubt.data import sources
from redoubt.params.load import load
from redoubt.params.settings.base import ParamsError
from redoubt.params.settings.own_rules import read_rules

ROWS = 120


def customers() -> pd.DataFrame:
    """What a table of customers looks like: an identifier, a date, gaps, a copy of the answer, words, numbers."""
    rng = np.random.default_rng(5)
    left = np.where(rng.random(ROWS) < 0.4, "yes", "no")
    table = pd.DataFrame(
        {
            "customer_id": rng.permutation(10**6)[:ROWS],
            "age": rng.integers(18, 80, ROWS),
            "spend": rng.lognormal(3, 1, ROWS).round(2),
            "plan": rng.choice(["basic", "plus", "pro"], ROWS),
            "active": rng.choice([0, 1], ROWS),
            "since": pd.date_range("2020-01-01", periods=ROWS).astype("str"),
            "comment": [f"said {n} things" for n in range(ROWS)],
            "fax": ["12"] * 20 + [""] * (ROWS - 20),
            "country": "DE",
            "churned_flag": np.where(left == "yes", "left us", "stays"),
            "left": left,
        }
    )
    table.loc[3, "spend"] = np.nan
    return table


def test_a_table_with_everything_in_it(top: Path, capsys: pytest.CaptureFixture[str]) -> None:
    customers().to_csv("churn.csv", index=False)
    before = Path("params.yaml").read_bytes()
    assert main(["init", "churn", "churn.csv", "--target", "left", "--yes"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    task = load().task("churn")
    assert (task.kind, task.target, task.source) == ("classification", "left", "data/own/churn.csv")
    assert (task.features, task.categorical, task.integer) == (("age", "spend"), ("plan", "active"), ("age",))
    for words in (
        "an identifier, by its name",
        "83% of its cells are empty",
        "it is always the same",
        "it tells the target by itself (balanced accuracy 100.0%)",
        "nearly all values differ",
        "'since' is a time and the rows are in its order: the latest rows are the test set",
        "'spend' has 1 empty cells (0.8%): they count as the median of the training rows",
        "make repro RUN=churn",
    ):
        assert words in said
    assert (task.missing, task.split.time) == ({"spend": "median"}, "since")
    assert len(sources.fetch(task, seed=0)) == ROWS
    after = Path("params.yaml").read_bytes()
    start = next(place for place, (a, b) in enumerate(zip(before, after, strict=False)) if a != b)
    added = len(after) - len(before)
    assert after[:start] + after[start + added :] == before, "every other byte stays"
    assert b"L-inf 0.3 = age " in after
    rules = {rule.arguments["column"]: rule for rule in read_rules("churn")}
    assert set(rules) == {*task.features, *task.categorical, "left"}
    assert rules["left"].arguments["value_set"] == sorted(customers()["left"].unique())
    assert "expectations/churn.json" in said


def test_rules_that_are_there_stay(top: Path, capsys: pytest.CaptureFixture[str]) -> None:
    customers().to_csv("churn.csv", index=False)
    Path("expectations").mkdir()
    Path("expectations/churn.json").write_text('{"expectations": [], "meta": {}}')
    assert main(["init", "churn", "churn.csv", "--target", "left", "--yes"]) == 0
    assert "expectations/churn.json stays as it is" in capsys.readouterr().out
    assert read_rules("churn") == ()
    Path("expectations/churn.json").write_text('{"expectations": [{"type": "column between"}]}')
    with pytest.raises(ParamsError, match=r"expectations/churn.json is no suite of Great Expectations: .*type"):
        read_rules("churn")


def test_two_tasks_keep_their_comments_apart(top: Path) -> None:
    customers().to_csv("churn.csv", index=False)
    for name in ("one", "two"):
        assert main(["init", name, "churn.csv", "--target", "left", "--yes"]) == 0
    text = Path("params.yaml").read_text(encoding="utf-8")
    one = text[text.index("  one:") : text.index("  two:")]
    assert "ranges: {name" in one
    assert text.index("\nsplit:") > text.index("  two:")


def test_line_ends_of_windows_stay(top: Path) -> None:
    path = Path("params.yaml")
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    customers().to_csv("churn.csv", index=False)
    assert main(["init", "churn", "churn.csv", "--target", "left", "--yes"]) == 0
    assert b"\n" not in path.read_bytes().replace(b"\r\n", b"")
    assert load().task("churn")


def test_nothing_is_written_unasked(top: Path, capsys: pytest.CaptureFixture[str]) -> None:
    customers().to_csv("churn.csv", index=False)
    before = Path("params.yaml").read_bytes()
    assert main(["init", "churn", "churn.csv"]) == 1
    assert "nothing was written" in capsys.readouterr().out
    assert Path("params.yaml").read_bytes() == before
    assert not Path("data").exists()


def test_a_number_is_a_regression_with_a_tolerance(top: Path) -> None:
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"rooms": rng.normal(5, 1, ROWS), "size": rng.normal(90, 20, ROWS)})
    table.assign(price=(50 * table["size"] + rng.normal(0, 300, ROWS)).round(1)).to_csv("flats.csv", index=False)
    assert main(["init", "flats", "flats.csv", "--yes"]) == 0
    task = load().task("flats")
    assert (task.kind, task.target) == ("regression", "price")
    assert task.tolerance == pytest.approx(500, rel=0.3)


def test_rare_classes_are_weighed_up_and_let_through(top: Path) -> None:
    rng = np.random.default_rng(2)
    table = pd.DataFrame({"v": rng.normal(size=2000), "w": rng.normal(size=2000)})
    table.assign(fraud=np.arange(2000) % 100 == 0).to_csv("fraud.csv", index=False)
    assert main(["init", "fraud", "fraud.csv", "--target", "fraud", "--yes"]) == 0
    task = load().task("fraud")
    assert task.train.balance == "weights"
    assert task.checks.min_class_share == 0.01


@pytest.mark.parametrize(("rows", "positives"), [(60, 30), (20_000, 10), (3000, 1)])
def test_noise_gives_no_target_away(top: Path, rows: int, positives: int) -> None:
    """However few the rows, however rare the class, and though an identifier fits what it has seen."""
    rng = np.random.default_rng(7)
    towns = rng.choice([f"town {n}" for n in range(40)], rows)
    table = pd.DataFrame({"a": rng.normal(size=rows), "b": rng.integers(0, 30, rows), "town": towns})
    table.assign(y=np.where(np.arange(rows) < positives, "yes", "no")).to_csv("noise.csv", index=False)
    assert main(["init", "noise", "noise.csv", "--target", "y", "--yes"]) == 0
    task = load().task("noise")
    assert (task.features, task.categorical) == (("a", "b"), ("town",))


def test_who_shares_an_answer_is_no_feature(top: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(8)
    device, faulty = rng.integers(0, 40, 2000), rng.integers(0, 2, 40)
    table = pd.DataFrame({"heat": rng.normal(size=2000), "device": [f"D{n:02d}" for n in device]})
    table.assign(fault=np.where(faulty[device], "yes", "no")).to_csv("sensor.csv", index=False)
    assert main(["init", "sensor", "sensor.csv", "--target", "fault", "--yes"]) == 0
    assert load().task("sensor").categorical == ()
    assert "'device' puts rows into 40 groups: a group is never split" in capsys.readouterr().out
    assert load().task("sensor").split.group == "device"


def test_what_cannot_be_split_by_is_split_at_random(top: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(8)
    days = pd.date_range("2024-01-01", periods=ROWS)
    table = pd.DataFrame({"heat": rng.normal(size=ROWS), "day": days.astype("str")})
    table.assign(fault=np.arange(ROWS) > ROWS / 2).to_csv("sensor.csv", index=False)
    assert main(["init", "sensor", "sensor.csv", "--target", "fault", "--yes"]) == 0
    assert "rows are split at random after all: split.time leaves no row of class" in capsys.readouterr().out
    assert load().task("sensor").split.by is None


def test_many_words_are_grouped(top: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(9)
    towns = [f"town {n}" for n in np.minimum(rng.geometric(0.05, 2000), 90)]
    table = pd.DataFrame({"v": rng.normal(size=2000), "town": towns, "left": rng.choice(["yes", "no"], 2000)})
    table.to_csv("own.csv", index=False)
    assert main(["init", "own", "own.csv", "--target", "left", "--yes"]) == 0
    task = load().task("own")
    assert (task.categorical, task.levels) == (("town",), {"town": 20})
    assert "the 20 most frequent ones are kept" in capsys.readouterr().out
    assert len(sources.fetch(task, seed=0).schema.columns[1].categories) == 21


def test_a_blank_makes_no_other_word(top: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = customers()
    table.loc[table["plan"] == "pro", "plan"] = "Pro "
    table.loc[::2, "left"] += "\xa0"
    table.to_csv("churn.csv", index=False)
    assert main(["init", "churn", "churn.csv", "--target", "left", "--yes"]) == 0
    said = capsys.readouterr().out
    count = int((table["plan"] == "Pro ").sum())
    assert f"note: 'plan': {count} cells are normalized (blanks: 'Pro ' is 'Pro'); so are they when the model" in said
    assert f"note: 'left': {ROWS // 2} cells are normalized" in said
    schema = sources.fetch(load().task("churn"), seed=0).schema
    assert schema.labels == ("no", "yes")
    assert next(each.categories for each in schema.columns if each.name == "plan") == ("Pro", "basic", "plus")
    assert '"Pro"' in Path("expectations/churn.json").read_text(encoding="utf-8")


def excel_like(table: pd.DataFrame, path: Path) -> None:
    table.to_csv(path, sep=";", decimal=",", index=False, encoding="cp1252")


def zipped(table: pd.DataFrame, path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../evil.csv", table.to_csv(index=False))
        archive.writestr("__MACOSX/._evil.csv", "")


def parts(table: pd.DataFrame, path: Path) -> None:
    path.mkdir()
    for part in range(2):
        table[part::2].to_parquet(path / f"part-{part}.parquet")


WRITERS: dict[str, Callable[[pd.DataFrame, Path], None]] = {
    "own.csv": excel_like,
    "own.csv.gz": lambda table, path: table.to_csv(path, index=False),
    "own.tsv": lambda table, path: table.to_csv(path, sep="\t", index=False),
    "own.parquet": lambda table, path: table.to_parquet(path),
    "own.xlsx": lambda table, path: table.to_excel(path, index=False),
    "own.feather": lambda table, path: table.to_feather(path),
    "own.jsonl": lambda table, path: table.to_json(path, orient="records", lines=True),
    "own.zip": zipped,
    "own": parts,
}


@pytest.mark.parametrize("name", WRITERS)
def test_the_kinds_of_files(top: Path, name: str) -> None:
    table = customers()[["age", "spend", "plan", "left"]].dropna()
    WRITERS[name](table, Path(name))
    assert main(["init", "own", name, "--target", "left", "--yes"]) == 0
    raw = sources.fetch(load().task("own"), seed=0)
    assert raw.table is not None
    assert sorted(raw.table["spend"]) == sorted(table["spend"])
    assert not (top.parent.parent / "evil.csv").exists()


def test_a_folder_of_images(top: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(4)
    for place, kind in enumerate(["cat", "dog"] * 10):
        Path("pets", kind).mkdir(parents=True, exist_ok=True)
        side = 20 if place == 7 else 12
        Image.fromarray(rng.integers(0, 255, (side, side, 3), dtype=np.uint8)).save(Path("pets", kind, f"{place}.png"))
    assert main(["init", "pets", "pets", "--yes"]) == 0
    assert "1 images of another size were resized (bilinear) to 12 x 12" in capsys.readouterr().out
    task = load().task("pets")
    x, y = sources.fetch(task, seed=0).images
    assert (x.shape, y.tolist().count(1), task.kind) == ((20, 12, 12, 3), 10, "image")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["churn", "nowhere.csv"], "'nowhere.csv' was not found"),
        (["churn", "params.yaml"], "ends in '.yaml'; expected .csv"),
        (["digits", "own.csv"], "a task 'digits' is there already"),
        (["a b", "own.csv"], "a name is made of"),
        (["churn", "own.csv", "--target", "lft"], "unknown column 'lft'; did you mean 'left'?"),
        (["churn", "own.csv", "--encoding", "latin-one"], "which Python does not know"),
        (["churn", "empty.csv"], "is an empty file"),
        (["churn", "void"], "is a folder without a Parquet file"),
        (["studies", "own.csv"], "'studies' is taken"),
        (["churn", "own.parquet", "--decimal", ","], "is no table of text, of which --decimal speaks"),
    ],
    ids=str,
)
def test_one_sentence_for_what_cannot_be(
    top: Path, capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    customers().to_csv("own.csv", index=False)
    customers().to_parquet("own.parquet")
    Path("empty.csv").touch()
    Path("void").mkdir()
    before = Path("params.yaml").read_bytes()
    try:
        status = main(["init", *words, "--yes"])
    except SystemExit as end:
        status = int(end.code or 0)
    assert status == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1
    assert Path("params.yaml").read_bytes() == before


def test_another_file_in_its_place_is_not_overwritten(top: Path, capsys: pytest.CaptureFixture[str]) -> None:
    customers().to_csv("churn.csv", index=False)
    Path("data/own").mkdir(parents=True)
    Path("data/own/churn.csv").write_text("something else", encoding="utf-8")
    assert main(["init", "churn", "churn.csv", "--target", "left", "--yes"]) == 2
    assert "exists and holds something else" in capsys.readouterr().err
    assert Path("data/own/churn.csv").read_text(encoding="utf-8") == "something else"


def test_what_is_skewed_is_taken_by_ranks_and_has_an_eps_of_its_own(
    top: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(4)
    earned, gain = rng.lognormal(10, 1.5, 800).round(2), np.where(rng.random(800) < 0.1, rng.lognormal(8, 1, 800), 0)
    table = pd.DataFrame({"earned": earned, "gain": gain.round(2), "age": rng.integers(18, 90, 800)})
    table["paid"] = np.where(np.log(earned) + rng.normal(0, 1, 800) > 10, "yes", "no")
    table.to_csv("loans.csv", index=False)
    assert main(["init", "loans", "loans.csv", "--target", "paid", "--yes"]) == 0
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    task = load().task("loans")
    assert task.transform == {"earned": "quantile", "gain": "quantile"}
    middle = float(np.subtract(*np.quantile(earned, [0.75, 0.25]))) / 1.349
    assert task.eps.features == {"earned": pytest.approx(0.3 * middle, rel=0.05)}, "most gains are 0"
    assert "in raw units what L-inf stands for" in said
    assert said.count("skewed (+") == 2


@pytest.mark.parametrize("name", ["spent", "plan"])
def test_only_a_feature_of_numbers_can_be_spread_out(top: Path, name: str) -> None:
    block = (
        "  churn:\n    kind: classification\n    source: data/own/churn.csv\n    target: left\n"
        f"    features: [age, spend]\n    categorical: [plan]\n    transform: {{{name}: quantile}}\n"
    )
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("tasks:\n", f"tasks:\n{block}", 1))
    with pytest.raises(ParamsError, match=f"transform: unknown feature '{name}'"):
        load()


def orders(times: list[str]) -> pd.DataFrame:
    rng = np.random.default_rng(6)
    return pd.DataFrame(
        {"ordered": times, "size": rng.normal(0, 1, len(times)), "late": rng.choice(["no", "yes"], len(times))}
    )


def test_the_parts_of_a_date_are_features_that_no_attacker_changes(
    top: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(5)
    times = [f"{day % 28 + 1:02d}.{day % 11 + 1:02d}.{2021 + day % 3}" for day in rng.permutation(300)]
    times[7] = ""
    orders(times).to_csv("orders.csv", index=False)
    assert main(["init", "orders", "orders.csv", "--target", "late", "--yes"]) == 0
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "'ordered': it looks like" not in said
    assert "'ordered' has 1 empty cells (0.3%): they count as the median of the training rows" in said
    assert "# dates cannot be perturbed" in said
    task = load().task("orders")
    assert task.dates == {"ordered": ("year", "month", "day", "weekday", "days")}
    assert set(task.missing) == set(task.parts)
    schema = sources.fetch(task, seed=0).schema
    assert [column.name for column in schema.columns if column.immutable] == list(task.parts)


def test_what_only_grows_is_no_feature_where_the_latest_rows_test(
    top: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    orders(pd.date_range("2021-01-01 05:00", periods=300, freq="31h").astype("str").tolist()).to_csv(
        "o.csv", index=False
    )
    assert main(["init", "orders", "o.csv", "--target", "late", "--yes"]) == 0
    task = load().task("orders")
    assert (task.split.time, task.dates) == ("ordered", {"ordered": ("month", "day", "weekday", "hour")})
    assert "not what only grows" in " ".join(capsys.readouterr().out.replace("│", " ").split())


NO_DATES = {
    "either-first": ([f"{n % 12 + 1}/{n % 11 + 1}/2024" for n in range(300)], "with the day or the month first"),
    "no-day": (
        ["2024-02-30", *(f"2024-{n % 12 + 1:02d}-{n % 28 + 1:02d}" for n in range(299))],
        "'2024-02-30' in row 0",
    ),
}


@pytest.mark.parametrize("case", NO_DATES)
def test_dates_that_cannot_be_read_are_left_out(top: Path, capsys: pytest.CaptureFixture[str], case: str) -> None:
    times, sentence = NO_DATES[case]
    orders(times).to_csv("orders.csv", index=False)
    assert main(["init", "orders", "orders.csv", "--target", "late", "--yes"]) == 0
    assert sentence in " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert load().task("orders").dates == {}
