"""Bias and variance of an estimator: of the mean, of the variance, and of shots at a target."""

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from redoubt.params.settings.base import Count, Strict
from redoubt.report.figures import canvas
from redoubt.studies.contract import Cell, Doubles, Formula, Picture, Result, Study, Table, Text
from redoubt.studies.given import Given
from redoubt.studies.origins import SYNTHETIC

ROWS = (2, 3, 5, 10, 20, 50)
# Standard errors on either side of an estimate in a 95 % interval.
INTERVAL = 1.96
COLOURS = {"normal": "#1d4ed8", "exponential": "#c2410c"}
# Of both populations; the exponential one, whose mean is its deviation by nature, is shifted to have them.
MEAN, DEVIATION = 200.0, 50.0
# Shots at a target: rows behind each, and the factor that their mean is multiplied by.
SHOTS = {
    "low bias, low variance": (60, 1.0),
    "low bias, high variance": (4, 1.0),
    "high bias, low variance": (60, 0.4),
    "high bias, high variance": (1, 0.4),
}


class Sizes(Strict):
    """Sizes of the study.

    Attributes:
        draws: of a sample, for every sample size.
        shots: in each target of the picture.
    """

    draws: Count = 20000
    shots: Count = 60


def normal(rng: np.random.Generator, shape: tuple[int, int]) -> Doubles:
    """Bell-shaped."""
    return rng.normal(MEAN, DEVIATION, shape)


def exponential(rng: np.random.Generator, shape: tuple[int, int]) -> Doubles:
    """Of the same mean and spread, and as skewed as waiting times."""
    return rng.exponential(DEVIATION, shape) + (MEAN - DEVIATION)


POPULATIONS: dict[str, Callable[[np.random.Generator, tuple[int, int]], Doubles]] = {
    "normal": normal,
    "exponential": exponential,
}


def estimates(samples: Doubles) -> tuple[Doubles, Doubles]:
    """Means m and variances s^2 of each sample `(draws, rows)`, both divided by the number of rows."""
    mean = samples.mean(axis=1)
    return mean, np.asarray(np.square(samples - mean[:, None]).mean(axis=1))


def interval(values: Doubles) -> tuple[float, float]:
    """Average, and half the width of its 95 % confidence interval."""
    return float(values.mean()), float(INTERVAL * values.std(ddof=1) / np.sqrt(len(values)))


def shots(rng: np.random.Generator, rows: int, share: float, count: int) -> Doubles:
    """Estimates `(count, 2)` of the point (1, 1) by a share of the mean of rows round it."""
    return np.asarray(share * rng.normal(1.0, 1.0, (count, rows, 2)).mean(axis=1))


def run(given: Given, sizes: Sizes, seed: int) -> Result:
    """Average both estimators over many samples of each size and set them against what they ought to be."""
    numbers: dict[str, float] = {}
    for place, (name, population) in enumerate(POPULATIONS.items()):
        for rows in ROWS:
            rng = np.random.default_rng([seed, place, rows])
            numbers |= _measured(population(rng, (sizes.draws, rows)), f"{name}_{rows}", rows)
    rng = np.random.default_rng([seed, len(POPULATIONS)])
    targets = {name: shots(rng, *behind, sizes.shots) for name, behind in SHOTS.items()}
    # Means say nothing new of the second population; the table and the picture have them all the same.
    reported = {name: value for name, value in numbers.items() if "normal" in name or "ratio" in name}
    return Result(
        origin=SYNTHETIC,
        numbers=reported,
        tables=[_table(numbers), _targets_table(targets)],
        pictures={"estimates": Picture(_curves(numbers), _CURVES), "targets": Picture(_targets(targets), _TARGETS)},
        takeaway=_takeaway(numbers, sizes.draws),
    )


def _measured(samples: Doubles, name: str, rows: int) -> dict[str, float]:
    """Both averages in units of what they estimate, with their intervals, and the spread of m by theory."""
    mean, variance = estimates(samples)
    numbers = {}
    for kind, values in (("mean", mean / MEAN), ("ratio", variance / DEVIATION**2)):
        numbers[f"{kind}/{name}"], numbers[f"{kind}_half/{name}"] = interval(values)
    numbers[f"var_of_mean/{name}"] = float(mean.var() * rows / DEVIATION**2)
    return numbers


def _table(numbers: dict[str, float]) -> Table:
    names = {"normal": Text("normal", "正态"), "exponential": Text("exponential", "指数")}
    rows: list[list[Cell | Text]] = []
    for population, label in names.items():
        for count in ROWS:
            name = f"{population}_{count}"
            rows.append(
                [
                    label,
                    count,
                    *(_with_half(numbers, kind, name, scale) for kind, scale in (("mean", MEAN), ("ratio", 1.0))),
                    f"{(count - 1) / count:.4f}",
                    f"{numbers[f'ratio/{name}'] * count / (count - 1):.4f}",
                    f"{numbers[f'var_of_mean/{name}']:.3f}",
                ]
            )
    heads = [
        Text("population", "总体"),
        Text("N", "N"),
        Text("E[m]", "E[m]"),
        Text("E[s²] / σ²", "E[s²] / σ²"),
        Text("(N - 1) / N", "(N - 1) / N"),
        Text("divided by N - 1", "改除以 N - 1"),
        Text("N Var[m] / σ²", "N Var[m] / σ²"),
    ]
    return Table(_TABLE, heads, rows)


def _with_half(numbers: dict[str, float], kind: str, name: str, scale: float) -> str:
    value, half = (scale * numbers[f"{each}/{name}"] for each in (kind, f"{kind}_half"))
    return f"{value:.2f} ± {half:.2f}" if scale != 1.0 else f"{value:.4f} ± {half:.4f}"


def _targets_table(targets: dict[str, Doubles]) -> Table:
    said = ("低偏差、低方差", "低偏差、高方差", "高偏差、低方差", "高偏差、高方差")
    rows: list[list[Cell | Text]] = []
    for zh, (name, points) in zip(said, targets.items(), strict=True):
        count, share = SHOTS[name]
        bias, spread = off(points)
        rows.append([Text(name, zh), count, share, f"{bias:.2f}", f"{spread:.2f}", f"{np.hypot(bias, spread):.2f}"])
    heads = [
        Text("target", "靶"),
        Text("examples per estimate", "每一枪的样本数"),
        Text("shrunk by", "乘以"),
        Text("bias", "偏差"),
        Text("standard deviation", "标准差"),
        Text("root mean square error", "均方根误差"),
    ]
    return Table(_TARGET_TABLE, heads, rows)


def off(points: Doubles) -> tuple[float, float]:
    """Distance of the middle of the shots from the bull's eye at (1, 1), and their spread round that middle."""
    middle = points.mean(axis=0)
    return float(np.linalg.norm(middle - 1.0)), float(np.sqrt(np.square(points - middle).sum(axis=1).mean()))


def _curves(numbers: dict[str, float]) -> Figure:
    figure, axes = canvas(1, 2, 8.8, 3.3)
    for axis, kind in zip(axes[0], ("mean", "ratio"), strict=True):
        for shift, (population, colour) in zip((0.97, 1.03), COLOURS.items(), strict=True):
            names = [f"{population}_{rows}" for rows in ROWS]
            values, halves = ([numbers[f"{each}/{name}"] for name in names] for each in (kind, f"{kind}_half"))
            axis.errorbar(
                np.array(ROWS) * shift, values, halves, fmt="o", color=colour, ms=3, capsize=2, label=population
            )
        axis.axhline(1.0, color="#1f2937", lw=1, label="the truth")
        axis.set(xscale="log", xlabel="sample size N")
        axis.set_xticks(ROWS, [str(rows) for rows in ROWS])
        axis.minorticks_off()
    line = np.linspace(ROWS[0], ROWS[-1], 400)
    axes[0, 1].plot(line, (line - 1) / line, color="#b91c1c", lw=1, label="(N - 1) / N")
    axes[0, 0].set(ylabel="average of m / mean", ylim=(0.99, 1.01))
    axes[0, 1].set(ylabel="average of s² / variance")
    axes[0, 0].legend(fontsize=7)
    axes[0, 1].legend(fontsize=7)
    return figure


def _targets(targets: dict[str, Doubles]) -> Figure:
    figure, axes = canvas(1, 4, 8.8, 2.6)
    for axis, (name, points) in zip(axes[0], targets.items(), strict=True):
        _target(axis, points)
        axis.set_title(name, fontsize=8)
    return figure


def _target(axis: Axes, points: Doubles) -> None:
    angle = np.linspace(0, 2 * np.pi, 100)
    for radius in (0.5, 1.0, 1.5, 2.0):
        axis.plot(1 + radius * np.cos(angle), 1 + radius * np.sin(angle), color="#9ca3af", lw=0.8)
    axis.plot(*points.T, "o", color="#1d4ed8", ms=2.5, alpha=0.6)
    axis.plot(1, 1, "+", color="#b91c1c", ms=10, mew=2)
    axis.plot(*points.mean(axis=0), "D", color="#1f2937", ms=4)
    axis.set(xlim=(-1.2, 3.2), ylim=(-1.2, 3.2), aspect="equal", xticks=[], yticks=[])
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)


def _takeaway(numbers: dict[str, float], draws: int) -> Text:
    two, fifty = (numbers[f"ratio/normal_{rows}"] for rows in (2, 50))
    return Text(
        "The sample mean is right on average whatever the sample size, and more examples only reduce its variance: it "
        f"is unbiased. The variance around that mean is on average too small, {two:.3f} of the true one with 2 "
        f"examples and {fifty:.3f} with 50 ({draws:,} samples each), because the mean was fitted to the same examples.",
        f"样本均值无论样本大小，平均而言都是对的，样本更多只会让它更集中，所以它是无偏的。"
        f"围绕样本均值算出的方差平均偏小，两个样本时只有真实值的 {two:.3f}，五十个样本时为 {fifty:.3f}"
        f"（各抽 {draws:,} 次），因为均值正是用同一批样本拟合的。",
    )


_TABLE = Text(
    f"Averages over all samples with 95 % confidence intervals; the populations have mean {MEAN:g} and standard "
    f"deviation {DEVIATION:g}. Divided by N - 1 instead of N the variance is unbiased; the last column is 1 in theory.",
    f"所有样本上的平均值及 95% 置信区间；总体的均值为 {MEAN:g}，标准差为 {DEVIATION:g}。把除以 N 改为除以 N - 1，"
    "方差的估计就对了；最后一列的理论值为 1。",
)
_TARGET_TABLE = Text(
    "Four estimators of the point (1, 1) from examples with standard deviation 1 around it: the mean of few or of "
    "many examples, as it is or shrunk towards 0. The squared error is the squared bias plus the variance.",
    "用围绕点 (1, 1)、标准差为 1 的样本估计该点的四种方法：少量或大量样本的均值，原样使用或向 0 收缩。"
    "平方误差等于偏差的平方加方差。",
)
_CURVES = Text(
    "Left: the average of m is the mean for every N. Right: the average of s² falls short by (N - 1) / N, for a "
    "skewed population as for a normal one; error bars are 95 % confidence intervals.",
    "左：对任何 N，m 的平均都等于总体均值。右：s² 的平均偏小，比例正是 (N - 1) / N，偏斜的总体与正态总体都如此；"
    "误差棒为 95% 置信区间。",
)
_TARGETS = Text(
    "The course's targets with real estimators. A dot is the estimate from one sample, the diamond their mean, the "
    "red cross the truth: bias is how far the mean is off, variance how widely the dots scatter.",
    "课程中的靶子，由真实的估计量来射击。每个点是一份样本得到的估计，菱形是它们的中心，红十字是真值："
    "偏差是中心偏离多远，方差是点散得多开。",
)
STUDY = Study(
    title=Text("Bias and variance of an estimator", "估计量的偏差与方差"),
    question=Text(
        "Nobody knows the true mean and variance of a population; a sample gives m and s². Are they right on average? "
        "Here the truth is known, samples are drawn thousands of times, and the averages of m and s² are compared "
        "with it, with confidence intervals, for a normal and for a skewed population.\n\nThe same two words, bias "
        "and variance, will later describe a whole model: the function that is learned is an estimate of the true "
        "one, a shot at a target. The second figure shows four estimators of a point.",
        "没有人知道总体的真实均值和方差，样本只给出 m 和 s²。它们平均而言对吗？这里真值已知，我们抽样成千上万次，"
        "把 m 和 s² 的平均值连同置信区间与真值对照，总体分别取正态的和偏斜的。\n\n"
        "偏差和方差这两个词之后也会用来描述整个模型：学到的函数是对真实函数的估计，就像朝靶子开的一枪。"
        "第二张图用四种估计量朝一个点射击。",
    ),
    formulas=[
        Formula(
            r"m = \frac{1}{N}\sum_n x^n, \qquad E[m] = \mu, \qquad \mathrm{Var}[m] = \frac{\sigma^2}{N}",
            Text("the mean: unbiased, with a variance that falls with N", "均值：无偏，样本越多越好"),
        ),
        Formula(
            r"s^2 = \frac{1}{N}\sum_n (x^n - m)^2, \qquad E[s^2] = \frac{N-1}{N}\,\sigma^2 \neq \sigma^2",
            Text("the variance: biased, and too small", "方差：有偏，而且偏小"),
        ),
    ],
    sizes=Sizes,
    run=run,
)
