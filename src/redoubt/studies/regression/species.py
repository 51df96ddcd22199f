"""The hidden factor: one line for all Pokémon, or a line for each species in one linear model."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from redoubt.params.settings.base import Count, Strict
from redoubt.report.figures import canvas
from redoubt.studies.contract import Cell, Doubles, Formula, Picture, Result, Study, Table, Text
from redoubt.studies.given import SPECIES, Evolutions, Given
from redoubt.studies.origins import of_evolutions
from redoubt.studies.regression.polynomial import lees_error
from redoubt.studies.worlds import collections

COLOURS = ("#1d4ed8", "#15803d", "#c2410c", "#b91c1c")
SUSPECTS = ("hp", "weight", "height", "species")
# The slide's average errors of the species model, training and test.
COURSE = (3.8, 14.3)


class Sizes(Strict):
    """Sizes of the study.

    Attributes:
        worlds: simulated tables of 75 evolutions, on which one line and four are compared again.
    """

    worlds: Count = 60


def deltas(rows: pd.DataFrame) -> Doubles:
    """A column per species: 1 in its rows, 0 in the others."""
    return (rows["species"].to_numpy(object)[:, None] == np.array(list(SPECIES), object)).astype(np.float64)


def one_line(rows: pd.DataFrame) -> Doubles:
    """Columns of b + w x."""
    return np.stack([np.ones(len(rows)), rows["cp"].to_numpy(float)], axis=1)


def shifted_lines(rows: pd.DataFrame) -> Doubles:
    """Columns of a b per species and one w for all."""
    return np.column_stack([deltas(rows), rows["cp"].to_numpy(float)])


def four_lines(rows: pd.DataFrame) -> Doubles:
    """Columns of a b and a w per species: delta(species), and delta(species) times the CP."""
    delta = deltas(rows)
    return np.hstack([delta, delta * rows["cp"].to_numpy(float)[:, None]])


MODELS: dict[str, Callable[[pd.DataFrame], Doubles]] = {
    "one_line": one_line,
    "shifted_lines": shifted_lines,
    "four_lines": four_lines,
}


def solve(design: Doubles, y: Doubles) -> Doubles:
    """Weights of least squares."""
    return np.asarray(np.linalg.lstsq(design, y, rcond=None)[0])


def separate_lines(rows: pd.DataFrame) -> Doubles:
    """Intercept of every species, then slope of every species, each from its own rows alone."""
    lines = [solve(one_line(rows[rows["species"] == name]), after(rows[rows["species"] == name])) for name in SPECIES]
    return np.stack(lines, axis=1).ravel()


def after(rows: pd.DataFrame) -> Doubles:
    """CP after evolution."""
    return rows["newcp"].to_numpy(float)


def errors(evolutions: Evolutions, model: str) -> dict[str, Doubles]:
    """Errors of a model fitted to the training rows, on those and on the test rows."""
    design = MODELS[model]
    weights = solve(design(evolutions.train), after(evolutions.train))
    parts = {"train": evolutions.train, "test": evolutions.test}
    return {name: design(part) @ weights - after(part) for name, part in parts.items()}


def groups(rows: pd.DataFrame, suspect: str) -> list[pd.DataFrame]:
    """Rows in four groups: by species, or by quarters of a number."""
    if suspect == "species":
        return [rows[rows["species"] == name] for name in SPECIES]
    quarter = rows[suspect].rank(method="first").sub(1).mul(4) // len(rows)
    return [rows[quarter == index] for index in range(4)]


def left_over(rows: pd.DataFrame, suspect: str) -> float:
    """Share of one line's squared error that stays when each group of the suspect has a line of its own."""
    residues = [one_line(part) @ solve(one_line(part), after(part)) - after(part) for part in groups(rows, suspect)]
    one = one_line(rows) @ solve(one_line(rows), after(rows)) - after(rows)
    return sum(float(np.square(residue).sum()) for residue in residues) / float(np.square(one).sum())


def run(given: Given, sizes: Sizes, seed: int) -> Result:
    """Find the factor on the training rows, fit the lines, and compare again on simulated tables."""
    evolutions = given.evolutions()
    numbers = {f"left_over/{suspect}": left_over(evolutions.train, suspect) for suspect in SUSPECTS}
    eevee = (evolutions.test["species"] == "Eevee").to_numpy()
    for model in MODELS:
        found = errors(evolutions, model)
        for part, each in found.items():
            numbers[f"{part}/{model}"] = lees_error(each)
        numbers[f"test_rmse/{model}"] = rmse(found["test"])
        numbers[f"test_rmse_without_eevee/{model}"] = rmse(found["test"][~eevee])
    weights, apart = solve(four_lines(evolutions.train), after(evolutions.train)), separate_lines(evolutions.train)
    numbers["apart_off"] = float(np.abs(weights - apart).max() / np.abs(apart).max())
    numbers |= again(np.random.default_rng([seed, 0]), sizes.worlds)
    return Result(
        origin=of_evolutions(evolutions),
        numbers=numbers,
        tables=[_models(numbers, real=evolutions.real), _lines(evolutions, weights)],
        pictures={
            "suspects": Picture(_suspects(evolutions.train), _SUSPECTS),
            "lines": Picture(_test(evolutions, weights), _TEST),
        },
        takeaway=_takeaway(numbers, sizes.worlds),
    )


def rmse(values: Doubles) -> float:
    """Root of the mean square."""
    return float(np.sqrt(np.square(values).mean()))


def again(rng: np.random.Generator, worlds: int) -> dict[str, float]:
    """Median test error over simulated tables, and how often four lines have the smaller one."""
    tables = collections(rng, worlds)
    one, four = (
        np.array([lees_error(errors(table, model)["test"]) for table in tables]) for model in ("one_line", "four_lines")
    )
    return {
        "simulated_test/one_line": float(np.median(one)),
        "simulated_test/four_lines": float(np.median(four)),
        "four_lines_better": float((four < one).mean()),
    }


def _models(numbers: dict[str, float], *, real: bool) -> Table:
    names = {
        "one_line": Text("one line for all", "所有物种共用一条直线"),
        "shifted_lines": Text("four parallel lines", "四条平行直线"),
        "four_lines": Text("a line per species", "每个物种一条直线"),
    }
    rows: list[list[Cell | Text]] = [
        [
            name,
            *(f"{value:.1f}" if model == "four_lines" else "-" for value in COURSE),
            *(f"{numbers[f'{part}/{model}']:.2f}" for part in ("train", "test")),
            *(f"{numbers[f'{kind}/{model}']:.1f}" for kind in ("test_rmse", "test_rmse_without_eevee")),
        ]
        for model, name in names.items()
    ]
    here = Text("here", "本次") if real else Text("stand-in", "替身数据")
    heads = [
        Text("model", "模型"),
        Text("course, training", "课程，训练"),
        Text("course, test", "课程，测试"),
        Text(f"{here.en}, training", f"{here.zh}，训练"),
        Text(f"{here.en}, test", f"{here.zh}，测试"),
        Text("test RMSE", "测试 RMSE"),
        Text("without Eevee", "不含伊布"),
    ]
    return Table(_MODELS, heads, rows)


def _lines(evolutions: Evolutions, weights: Doubles) -> Table:
    counts = evolutions.train["species"].value_counts()
    rows: list[list[Cell | Text]] = [
        [name, int(counts[name]), f"{weights[index]:.3f}", f"{weights[index + len(SPECIES)]:.3f}"]
        for index, name in enumerate(SPECIES)
    ]
    return Table(
        _LINES, [Text("species", "物种"), Text("training examples", "训练样本"), Text("b", "b"), Text("w", "w")], rows
    )


def _suspects(rows: pd.DataFrame) -> Figure:
    figure, axes = canvas(2, 3, 8.8, 5.2)
    first, *others = axes.ravel()[:5]
    _group(first, rows, "#1f2937", "one line for all")
    first.set_title("no factor", fontsize=9)
    for axis, suspect in zip(others, SUSPECTS, strict=True):
        names = tuple(SPECIES) if suspect == "species" else ("lowest quarter", "second", "third", "highest")
        for part, colour, name in zip(groups(rows, suspect), COLOURS, names, strict=True):
            _group(axis, part, colour, name)
        axis.set_title(f"coloured by {suspect}", fontsize=9)
    shares = axes[1, 2]
    left = [100 * left_over(rows, suspect) for suspect in SUSPECTS]
    shares.bar_label(shares.barh(range(4), left, color="#1d4ed8"), fmt=" %.2g", fontsize=7)
    shares.set_yticks(range(4), SUSPECTS)
    shares.invert_yaxis()
    shares.set(xlim=(0, 110), xlabel="% of one line's squared error left")
    for axis in axes.ravel()[:5]:
        axis.set(xlabel="CP before", ylabel="CP after")
        axis.legend(fontsize=7)
    return figure


def _group(axis: Axes, rows: pd.DataFrame, colour: str, label: str) -> None:
    ends = rows.iloc[[int(rows["cp"].argmin()), int(rows["cp"].argmax())]]
    axis.plot(rows["cp"], rows["newcp"], "o", color=colour, ms=3, label=label)
    axis.plot(ends["cp"], one_line(ends) @ solve(one_line(rows), after(rows)), color=colour, lw=1)


def _test(evolutions: Evolutions, weights: Doubles) -> Figure:
    figure, axes = canvas(1, 2, 8.8, 3.3)
    for axis, part, mark in zip(axes[0], (evolutions.train, evolutions.test), ("o", "x"), strict=True):
        for index, (name, colour) in enumerate(zip(SPECIES, COLOURS, strict=True)):
            rows = part[part["species"] == name]
            ends = np.array([0.0, 650.0 if name == "Eevee" else 400.0])
            axis.plot(rows["cp"], rows["newcp"], mark, color=colour, ms=5, label=name)
            axis.plot(ends, weights[index] + weights[index + len(SPECIES)] * ends, color=colour, lw=1)
        axis.set(xlabel="CP before", ylim=(-100, 1.1 * float(evolutions.table["newcp"].max())))
        axis.legend(fontsize=7)
    axes[0, 0].set(ylabel="CP after", title="60 training examples")
    axes[0, 1].set(title="10 test examples")
    return figure


def _takeaway(numbers: dict[str, float], worlds: int) -> Text:
    share, won = 100 * numbers["left_over/species"], 100 * numbers["four_lines_better"]
    return Text(
        "No function of the CP alone could have helped, because the missing factor is another input: one line per "
        f"species leaves {share:.2g} % of a single line's squared error on the training examples. Two Eevees dominate "
        f"the error on the ten test examples; over {worlds} simulated tables four lines beat one in {won:.0f} %.",
        f"再高次的 CP 多项式也无济于事，因为缺的是另一个输入：每个物种一条直线后，训练集上只剩下单条直线平方误差的 "
        f"{share:.2g}%。十个测试样本中起决定作用的是两只伊布，即便如此，在 {worlds} 份模拟数据里四条直线仍有 "
        f"{won:.0f}% 的次数胜过一条。",
    )


_MODELS = Text(
    "Average error in CP, the course's metric (root of the summed squared errors divided by the number of examples), "
    "and RMSE. The course reports the last model only.",
    "以 CP 为单位的平均误差，采用课程的度量（误差平方和开根号再除以样本数），以及 RMSE。课程只给出最后一个模型的数字。",
)
_LINES = Text(
    "The four fitted lines. Eevee's is fitted to four examples only, and Eevee evolves at random into one of three "
    "very different Pokémon, so its slope carries little information.",
    "四条直线。伊布那条只靠四个样本，而伊布会随机进化成三种差别很大的宝可梦之一，所以它的斜率不足为信。",
)
_SUSPECTS = Text(
    "CP before and after evolution of the 60 training examples, coloured by one candidate factor after another, with "
    "a line fitted to each colour. Only the species separates the points into lines; the bars give the squared error "
    "left by each colouring, relative to a single line.",
    "60 个训练样本进化前后的 CP，依次按不同的“嫌疑因素”着色，每种颜色拟合一条直线。只有物种能把点分到各自的直线上；"
    "条形图给出每种分组之后还剩下多少单条直线的平方误差。",
)
_TEST = Text(
    "The species model on its training examples (left) and on the ten held-out examples (right). The lines of Weedle "
    "and Caterpie nearly coincide.",
    "物种模型与拟合它的样本（左）以及没见过的十个样本（右）。独角虫和绿毛虫几乎共用一条直线。",
)
STUDY = Study(
    title=Text("The hidden factor: species", "隐藏因素：物种"),
    question=Text(
        "With 60 examples instead of ten the plot shows that no single curve fits: the points lie on several lines. "
        "What distinguishes the lines? The points are coloured by each of the other attributes in turn, and a line is "
        "fitted to each colour; the hidden factor is the attribute whose lines leave the smallest error.\n\nFour "
        "lines look like four models with an “if” between them. They are one linear model: multiply b and w of a "
        "species by delta, which is 1 for that species and 0 otherwise. The study fits both, the four lines "
        "separately and the single model jointly, and compares the weights.",
        "把数据从十个样本增加到六十个之后，散点图显示：没有哪条曲线能穿过所有点，它们落在几条不同的直线上。是什么把这些"
        "直线区分开？我们依次用宝可梦的其他已知属性给点着色，每种颜色各拟合一条直线；剩余误差最小的那个就是隐藏因素。\n\n"
        "四条直线看上去是四个用“如果”连接的模型，其实是一个线性模型：把某物种的 b 和 w 乘上 δ，属于该物种时 δ 为 1，"
        "否则为 0。本节分别拟合四条直线，又一次性拟合整个模型，并比较两者的参数。",
    ),
    formulas=[
        Formula(
            r"\hat{y} = \sum_{s} b_s\,\delta(x_s = s) + \sum_{s} w_s\,\delta(x_s = s)\,x_{cp}",
            Text("four lines as one linear model", "把四条直线写成一个线性模型"),
        ),
        Formula(
            r"\delta(x_s = s) = 1 \;\mathrm{if}\; x_s = s, \quad 0 \;\mathrm{otherwise}",
            Text("a feature like any other", "δ 与其他特征没有区别"),
        ),
    ],
    sizes=Sizes,
    run=run,
)
