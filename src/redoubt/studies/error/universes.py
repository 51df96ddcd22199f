"""Parallel universes: the same model learned again from other Pokémon, and the two parts of its error."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from redoubt.params.settings.base import Count, Strict
from redoubt.report.figures import canvas
from redoubt.studies.contract import Cell, Doubles, Formula, Picture, Result, Study, Table, Text
from redoubt.studies.given import Given
from redoubt.studies.worlds import TOP_CP, columns, draw, fit, truth

Rows = tuple[Doubles, Doubles]
DEGREES = (1, 3, 5)
# Ridge penalties on the weights of degree 5.
PENALTIES = (0.0, 0.01, 0.1, 1.0, 3.0)
ORIGIN = Text(
    "Simulated from the game's own formula in place of the course's data: only there can Pokémon be caught again, and "
    "only there is the true function known.",
    "不用课程数据，而是按游戏公式模拟：只有这样才能反复捕捉宝可梦，也只有这样才知道真实的函数。",
)


class Sizes(Strict):
    """Sizes of the study.

    Attributes:
        universes: in each of which the model is learned again.
        rows: Pokémon caught in each.
        more: rows in each when the effect of more data is measured.
        few: rows in each in the upper row of the picture, as many as the course's polynomials have.
        fresh: rows on which the error is measured, none of which any universe has seen.
    """

    universes: Count = 100
    rows: Count = 150
    more: Count = 600
    few: Count = 10
    fresh: Count = 20000


@dataclass(frozen=True)
class Parts:
    """What the expected squared error is made of, in CP squared, on average over all Pokémon.

    Attributes:
        bias: square of the distance of the universes' mean curve from the truth.
        variance: of the universes' curves round that mean curve.
        noise: what no function of the CP could answer.
        training: squared error on the training examples, averaged over the universes.
        error: squared error measured on fresh examples, averaged over the universes.
        half: half of its 95 % confidence interval.
    """

    bias: float
    variance: float
    noise: float
    training: float
    error: float
    half: float

    @property
    def total(self) -> float:
        """What the error has to be."""
        return self.bias + self.variance + self.noise


def decompose(caught: Rows, fresh: Rows, degree: int, penalty: float = 0.0) -> Parts:
    """Learn in every universe; bias and variance by the known truth, and the error on fresh examples.

    Args:
        caught: CP before and after evolution, each `(universes, rows)`.
        fresh: likewise, `(1, rows)`.
        degree: of the polynomials.
        penalty: on their squared weights.
    """
    known, weights = truth(), fit(*caught, degree, penalty)
    curves = weights @ columns(known.cp, degree).T
    middle = curves.mean(axis=0)
    squares = np.square(weights @ columns(fresh[0][0], degree).T - fresh[1]).mean(axis=0)
    residues = (columns(caught[0], degree) @ weights[..., None])[..., 0] - caught[1]
    return Parts(
        bias=float(known.share @ np.square(middle - known.mean)),
        variance=float(known.share @ curves.var(axis=0)),
        noise=float(known.share @ known.noise),
        training=float(np.square(residues).mean()),
        error=float(squares.mean()),
        half=float(1.96 * squares.std(ddof=1) / np.sqrt(len(squares))),
    )


def run(given: Given, sizes: Sizes, seed: int) -> Result:
    """Learn three degrees in every universe, from two amounts of data, and degree 5 under penalties."""
    caught = {
        rows: draw(np.random.default_rng([seed, place]), sizes.universes, rows)
        for place, rows in enumerate((sizes.rows, sizes.more, sizes.few))
    }
    fresh = draw(np.random.default_rng([seed, 3]), 1, sizes.fresh)
    parts = {
        f"degree_{degree}/{kind}": decompose(caught[rows], fresh, degree)
        for kind, rows in (("rows", sizes.rows), ("more", sizes.more))
        for degree in DEGREES
    }
    penalized = {penalty: decompose(caught[sizes.rows], fresh, DEGREES[-1], penalty) for penalty in PENALTIES}
    numbers = _numbers(parts, penalized)
    return Result(
        origin=ORIGIN,
        numbers=numbers,
        tables=[_table(parts, sizes), _penalties(penalized)],
        pictures={
            "universes": Picture(_spaghetti(caught, sizes), _curves_caption(sizes)),
            "decomposition": Picture(_bars(parts, penalized, sizes), _bars_caption(sizes)),
        },
        takeaway=_takeaway(parts, sizes),
    )


def _numbers(parts: dict[str, Parts], penalized: dict[float, Parts]) -> dict[str, float]:
    numbers = {"noise": float(np.sqrt(next(iter(parts.values())).noise))}
    for name, each in parts.items():
        numbers[f"bias/{name}"], numbers[f"spread/{name}"] = float(np.sqrt(each.bias)), float(np.sqrt(each.variance))
        numbers[f"error/{name}"], numbers[f"training/{name}"] = (
            float(np.sqrt(each.error)),
            float(np.sqrt(each.training)),
        )
        numbers[f"off_in_halves/{name}"] = abs(each.error - each.total) / each.half
    for penalty, each in penalized.items():
        name = f"penalty_{penalty:g}"
        numbers[f"bias/{name}"], numbers[f"spread/{name}"] = float(np.sqrt(each.bias)), float(np.sqrt(each.variance))
    return numbers


def _table(parts: dict[str, Parts], sizes: Sizes) -> Table:
    rows: list[list[Cell | Text]] = [
        [degree, count, *_cells(parts[f"degree_{degree}/{kind}"])]
        for kind, count in (("rows", sizes.rows), ("more", sizes.more))
        for degree in DEGREES
    ]
    return Table(_TABLE, [Text("degree", "次数"), Text("examples", "样本数"), *_HEADS], rows)


def _penalties(penalized: dict[float, Parts]) -> Table:
    rows: list[list[Cell | Text]] = [[f"{penalty:g}", *_cells(each)] for penalty, each in penalized.items()]
    return Table(_PENALTIES, [Text("penalty", "惩罚系数"), *_HEADS], rows)


def _cells(parts: Parts) -> list[str]:
    squares = (parts.bias, parts.variance, parts.noise, parts.total)
    measured = (f"{parts.training:,.0f}", f"{parts.error:,.0f} ± {parts.half:,.0f}")
    return [*(f"{value:,.0f}" for value in squares), *measured]


def _spaghetti(caught: dict[int, Rows], sizes: Sizes) -> Figure:
    figure, axes = canvas(2, len(DEGREES), 8.8, 5.2)
    line = np.linspace(10.0, TOP_CP - 40, 200)
    for row, rows in zip(axes, (sizes.few, sizes.rows), strict=True):
        for axis, degree in zip(row, DEGREES, strict=True):
            curves = fit(*caught[rows], degree) @ columns(line, degree).T
            axis.plot(line, curves[:100].T, color="#b91c1c", lw=0.5, alpha=0.25)
            axis.plot(truth().cp, truth().mean, color="#1f2937", lw=1.2, label="truth")
            axis.plot(line, curves.mean(axis=0), color="#1d4ed8", lw=1.8, label="mean of universes")
            axis.plot([], [], color="#b91c1c", lw=1, label="one universe")
            axis.set(ylim=(-400, 2200), title=f"degree {degree}, {rows} examples")
        row[0].set(ylabel="CP after")
    for axis in axes[1]:
        axis.set(xlabel="CP before")
    axes[0, 0].legend(fontsize=7, loc="upper left")
    return figure


def _bars(parts: dict[str, Parts], penalized: dict[float, Parts], sizes: Sizes) -> Figure:
    figure, axes = canvas(1, 3, 8.8, 3.3)
    for axis, (kind, rows) in zip(axes[0], (("rows", sizes.rows), ("more", sizes.more)), strict=False):
        _stack(axis, [f"degree {degree}" for degree in DEGREES], [parts[f"degree_{d}/{kind}"] for d in DEGREES])
        axis.set(title=f"{rows} examples")
    _stack(axes[0, 2], [f"{penalty:g}" for penalty in penalized], list(penalized.values()))
    axes[0, 2].set(title=f"degree {DEGREES[-1]}, {sizes.rows} examples", xlabel="penalty on the weights")
    axes[0, 0].set(ylabel="squared error (CP squared)")
    top = 1.25 * max(each.total for name, each in parts.items() if name != f"degree_{DEGREES[-1]}/rows")
    for axis in axes[0]:
        axis.set(ylim=(0, top))
    axes[0, 2].legend(fontsize=7, loc="upper left")
    return figure


def _stack(axis: Axes, names: list[str], parts: list[Parts]) -> None:
    below = np.zeros(len(parts))
    for kind, colour in (("noise", "#9ca3af"), ("bias", "#1d4ed8"), ("variance", "#b91c1c")):
        heights = np.array([getattr(each, kind) for each in parts])
        axis.bar(
            names, heights, bottom=below, color=colour, width=0.6, label="bias squared" if kind == "bias" else kind
        )
        below += heights
    errors, halves = [each.error for each in parts], [each.half for each in parts]
    axis.errorbar(names, errors, halves, fmt="o", color="#1f2937", ms=4, capsize=3, label="measured on fresh examples")


def _takeaway(parts: dict[str, Parts], sizes: Sizes) -> Text:
    low, high = parts["degree_1/rows"], parts["degree_5/rows"]
    (low_bias, low_spread), (high_bias, high_spread) = (np.sqrt([each.bias, each.variance]) for each in (low, high))
    more = np.sqrt(parts["degree_5/more"].variance)
    return Text(
        f"A simple model misses the truth in every universe in the same way (degree 1: bias {low_bias:.0f} CP, "
        f"standard deviation {low_spread:.0f}), a complex one scatters around it (degree 5: {high_bias:.0f} and "
        f"{high_spread:.0f}). More data or a penalty reduces the variance ({sizes.more} examples instead of "
        f"{sizes.rows}: standard deviation {more:.0f}) but not the bias, which needs another model.",
        f"简单模型在每个宇宙里都以同样的方式偏离真值（1 次：偏差 {low_bias:.0f} CP，离散 {low_spread:.0f}），"
        f"复杂模型围绕真值但十分分散（5 次：{high_bias:.0f} 和 {high_spread:.0f}）。"
        f"更多数据或正则化能治分散（样本从 {sizes.rows} 增至 {sizes.more}：{more:.0f}），治不了偏差，偏差需要换模型。",
    )


def _curves_caption(sizes: Sizes) -> Text:
    return Text(
        "Red: the curve of each universe (100 at most are drawn), blue: their mean, black: the truth, the mean CP "
        "after evolution at each CP before. It rises in steps, since strong and weak Pokémon belong to different "
        f"species. Top, {sizes.few} examples in each universe: with degree 5 even the mean is distorted by a few "
        f"extreme curves. Bottom, {sizes.rows} examples.",
        f"红：每个宇宙的曲线（最多画 100 条）；蓝：其平均；黑：真值，即给定进化前 CP 时进化后 CP 的均值，呈阶梯上升，"
        f"因为强的和弱的属于不同物种。上排每个宇宙 {sizes.few} 个样本：5 次时连平均曲线也会被少数离谱的曲线带偏。"
        f"下排 {sizes.rows} 个样本。",
    )


def _bars_caption(sizes: Sizes) -> Text:
    return Text(
        "Decomposition of the error: noise, squared bias and variance stacked; the dots are the error measured on "
        f"{sizes.fresh:,} fresh examples and should lie at the top of the bars. Left and middle: more data reduces "
        "the variance and leaves the bias. Right: a penalty reduces the variance and adds bias.",
        f"误差的组成：噪声、偏差平方、方差叠放；圆点是在 {sizes.fresh:,} 个新样本上测得的误差，应当正好落在柱顶。"
        f"左、中：更多数据减少方差，偏差不变。右：惩罚减少方差，增加偏差。",
    )


_HEADS = [
    Text("bias²", "偏差²"),
    Text("variance", "方差"),
    Text("noise", "噪声"),
    Text("sum", "三者之和"),
    Text("training error", "训练误差"),
    Text("error on fresh examples", "新样本误差"),
]
_TABLE = Text(
    "Decomposition of the expected squared error, in CP squared, and the errors measured on training examples and on "
    "fresh ones, the latter with a 95 % confidence interval. Bias, variance and noise are exact for these universes: "
    "the truth is enumerated, not sampled.",
    "期望平方误差的组成（CP 的平方），以及在训练样本和新样本上测得的误差（后者附 95% 置信区间）。"
    "对这些宇宙而言，偏差、方差和噪声是精确值：真值由穷举得到，而不是抽样。",
)
_PENALTIES = Text(
    "Degree 5 with a penalty on the sum of its squared weights, the bias excluded; features are scaled.",
    "对 5 次多项式的权重平方和（常数项除外）加惩罚；各列已缩放。",
)
STUDY = Study(
    title=Text("Parallel universes: bias and variance of a model", "平行宇宙：模型的偏差与方差"),
    question=Text(
        "In every universe another you catches different Pokémon and fits the same polynomial to them. How much do "
        "the curves differ, and what do they have in common? The game's formula generates the universes: Pokémon are "
        "drawn with species, level and individual values, and because all combinations can be counted, the true mean "
        "CP after evolution at each CP, and the noise around it, are known exactly.\n\nThe expected squared error of "
        "a model then decomposes into three parts: how far the mean curve is from the truth (bias), how far the "
        "curves are from their mean (variance), and noise, which no model can remove. The study computes the parts "
        "and checks that they add up to the error measured on fresh Pokémon, with more data and with regularization "
        "too. The diagnosis of the course follows: a model that fits its training examples badly has a large bias, "
        "one that fits them well and new examples badly has a large variance.",
        "在每个宇宙里，另一个你捕捉到不同的宝可梦，并用同样的多项式去拟合。这些曲线差别有多大，又有什么共同点？"
        "宇宙由游戏公式生成：随机抽取物种、等级和个体值；由于所有组合可以穷举，每个 CP 处的真实均值和围绕它的噪声"
        "都是精确已知的。\n\n"
        "于是模型的期望平方误差分成三部分：平均曲线离真值多远（偏差），各条曲线离平均曲线多远（方差），以及任何模型都无法消除的"
        "噪声。本节计算这三部分，并验证它们之和等于在新宝可梦上测得的误差，同时观察更多数据和正则化的作用。"
        "课程的诊断方法由此而来：连训练样本都拟合不好的模型偏差大，训练样本拟合得好而其他样本差的模型方差大。",
    ),
    formulas=[
        Formula(
            r"E\left[(y - f^*(x))^2\right] = (\bar{f}(x) - \hat{f}(x))^2 "
            r"+ E\left[(f^*(x) - \bar{f}(x))^2\right] + \sigma^2(x)",
            Text(
                "bias squared, variance and noise; f* is learned, f-bar is its mean over universes, f-hat the truth",
                "偏差平方、方差与噪声之和；f* 是学到的函数，f̄ 是它在各宇宙上的平均，f̂ 是真值",
            ),
        ),
        Formula(r"\bar{f} = E[f^*]", Text("the mean curve", "平均曲线")),
    ],
    sizes=Sizes,
    run=run,
)
