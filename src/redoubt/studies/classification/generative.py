"""Water or Normal by a Gaussian per type: how many parameters it may have, and the line that it hides."""

from typing import get_args

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import expit

from redoubt.params.settings.base import Count, Strict
from redoubt.report.figures import canvas
from redoubt.studies.classification.classifiers import Covariance, Gaussians, answers, fit_gaussians, fit_logistic
from redoubt.studies.contract import Cell, Doubles, Formula, Lab, Picture, Result, Study, Table, Text
from redoubt.studies.given import STATS, Given, Types
from redoubt.studies.origins import of_types

PAIR = ("Defense", "Sp_Def")
KINDS: tuple[Covariance, ...] = get_args(Covariance)
# Defense and Sp_Def of the sea turtle that the course asks about: no row of the training half has them.
TURTLE = np.array([[103.0, 45.0]])
# Accuracies in per cent that the course reports; two of them are of seven features.
COURSE = {"2_separate": "47", "6_separate": "64; 54 (7)", "6_shared": "73 (7)", "6_logistic": "79"}
COURSE_GAUSSIANS = {
    "Water": ((75.0, 71.3), ((874.0, 327.0), (327.0, 929.0))),
    "Normal": ((55.6, 59.8), ((468.0, 198.0), (198.0, 553.0))),
}
# Below this part of the largest eigenvalue a direction does not vary.
FLAT = 1e-9


class Sizes(Strict):
    """Sizes of the study.

    Attributes:
        nearby: Gaussians near the most likely one whose likelihood is compared with its own.
    """

    nearby: Count = 300


def parts(table: pd.DataFrame, columns: tuple[str, ...]) -> tuple[Doubles, Doubles]:
    """Features, and 1 for Water, 0 for Normal."""
    return np.asarray(table[list(columns)], float), np.asarray(table["type"] == "Water", float)


def with_total(x: Doubles) -> Doubles:
    """The course's seventh feature behind the six: their sum."""
    return np.column_stack([x, x.sum(axis=1)])


def varying(x: Doubles) -> Doubles:
    """Orthonormal directions in which the rows vary, one per column."""
    spreads, directions = np.linalg.eigh(np.cov(x.T, bias=True))
    return np.asarray(directions[:, spreads > FLAT * spreads[-1]])


def log_likelihood(x: Doubles, mean: Doubles, covariance: Doubles) -> float:
    """The logarithm of the probability density that this Gaussian draws these rows."""
    off = x - mean
    far = float((off * np.linalg.solve(covariance, off.T).T).sum())
    return -(far + len(x) * (np.linalg.slogdet(covariance)[1] + x.shape[1] * np.log(2 * np.pi))) / 2


def share_less_likely(x: Doubles, count: int, rng: np.random.Generator) -> float:
    """Share of Gaussians near that of the rows' own mean and covariance which are less likely to draw the rows."""
    mean, covariance = x.mean(axis=0), np.cov(x.T, bias=True)
    best, root, size = log_likelihood(x, mean, covariance), np.linalg.cholesky(covariance), len(mean)
    less = 0
    for _ in range(count):
        bend = root @ (np.eye(size) + 0.05 * rng.normal(size=(size, size)))
        less += log_likelihood(x, mean + 0.05 * root @ rng.normal(size=size), bend @ bend.T) < best
    return less / count


def bernoulli_log_odds(train: tuple[Doubles, Doubles], x: Doubles) -> Doubles:
    """The z of naive Bayes on yes-or-no features: is the stat above the training half's median?"""
    features, y = train
    middle = np.median(features, axis=0)
    yes, asked = features > middle, x > middle
    logs = []
    for label in (1, 0):
        rows = yes[y == label]
        # One row of each kind more than were seen: none is impossible.
        chance = (rows.sum(axis=0) + 1) / (len(rows) + 2)
        logs.append(np.log(np.mean(y == label)) + np.where(asked, np.log(chance), np.log(1 - chance)).sum(axis=1))
    return np.asarray(logs[0] - logs[1])


def parameters(features: int, kind: Covariance) -> int:
    """Numbers in the two Gaussians, priors left out."""
    full = features * (features + 1) // 2
    return 2 * features + {"separate": 2 * full, "shared": full, "naive": 2 * features}[kind]


def run(given: Given, sizes: Sizes, seed: int) -> Result:
    """Fit on the early Pokémon, count correct predictions on the later ones."""
    types = given.types()
    numbers: dict[str, float] = {}
    for columns in (PAIR, STATS):
        numbers |= gaussians_accuracy(types, columns)
    numbers |= others_accuracy(types) | singular(types) | line_off(types)
    x, y = parts(types.train, PAIR)
    separate = fit_gaussians(x, y, "separate")
    numbers["turtle/water"] = float(expit(separate.log_odds(TURTLE))[0])
    numbers["less_likely_nearby"] = share_less_likely(x[y == 1], sizes.nearby, np.random.default_rng([seed, 0]))
    numbers["mean_correlation"] = mean_correlation(types)
    return Result(
        origin=of_types(types),
        numbers=numbers,
        tables=[_accuracies(numbers, real=types.real), _means(separate, real=types.real)],
        pictures={
            "gaussians": Picture(_boundaries(types), _BOUNDARIES),
            "hidden_line": Picture(_sigmoid(types), _SIGMOID),
        },
        takeaway=_takeaway(numbers),
        lab=_lab(types),
    )


def _lab(types: Types) -> Lab:
    """The two stats of every Pokémon and whether it is Water; the page fits the Gaussians itself."""
    halves = {"train": parts(types.train, PAIR), "test": parts(types.test, PAIR)}
    return Lab(
        "gaussians",
        {name: np.column_stack([x, y]).tolist() for name, (x, y) in halves.items()} | {"names": PAIR},
        Text(
            "Try it: blend each covariance into the shared one; the curve becomes a line.",
            "试一试：把两个协方差逐渐换成共用的一个，曲线就变成直线。",
        ),
    )


def accuracy(z: Doubles, y: Doubles) -> float:
    """Of rows answered Water where z is above 0."""
    return float(np.mean((z > 0) == (y == 1)))


def gaussians_accuracy(types: Types, columns: tuple[str, ...]) -> dict[str, float]:
    """Accuracy on both halves, for each kind of covariance."""
    train, test = parts(types.train, columns), parts(types.test, columns)
    found = {}
    for kind in KINDS:
        model = fit_gaussians(*train, kind)
        for half, (x, y) in {"train": train, "test": test}.items():
            found[f"{half}/{len(columns)}_{kind}"] = accuracy(model.log_odds(x), y)
    return found


def logistic_log_odds(train: tuple[Doubles, Doubles], x: Doubles) -> Doubles:
    """The z of logistic regression, fitted to rows of unit spread."""
    middle, spread = train[0].mean(axis=0), train[0].std(axis=0)
    return answers(fit_logistic((train[0] - middle) / spread, train[1]), (x - middle) / spread)


def others_accuracy(types: Types) -> dict[str, float]:
    """Accuracy of what is not a Gaussian: logistic regression, binary features, constant prediction."""
    train = parts(types.train, STATS)
    found = {}
    for half, table in {"train": types.train, "test": types.test}.items():
        x, y = parts(table, STATS)
        found[f"{half}/6_logistic"] = accuracy(logistic_log_odds(train, x), y)
        found[f"{half}/6_bernoulli"] = accuracy(bernoulli_log_odds(train, x), y)
        found[f"{half}/majority"] = float(max(y.mean(), 1 - y.mean()))
    return found


def singular(types: Types) -> dict[str, float]:
    """Rank of the covariance of seven features, and their answers in the directions that vary."""
    (x, y), (asked, truth) = parts(types.train, STATS), parts(types.test, STATS)
    seven = with_total(x)
    directions = varying(seven)
    found = {"rank/7_features": float(directions.shape[1])}
    for kind in ("separate", "shared"):
        model = fit_gaussians(seven @ directions, y, kind)
        found[f"test/7_{kind}"] = accuracy(model.log_odds(with_total(asked) @ directions), truth)
    return found


def line_off(types: Types) -> dict[str, float]:
    """Largest distance between P(Water|x) by Bayes and the sigmoid of w x + b, over all rows and six features."""
    model = fit_gaussians(*parts(types.train, STATS), "shared")
    x = np.concatenate([parts(table, STATS)[0] for table in (types.train, types.test)])
    off = expit(model.log_odds(x)) - expit(answers(model.line(), x))
    return {"line_off": float(np.abs(off).max())}


def mean_correlation(types: Types) -> float:
    """Average correlation of two stats inside a type, which naive Bayes takes to be 0."""
    x, y = parts(types.train, STATS)
    pairs = np.triu_indices(len(STATS), 1)
    return float(np.mean([np.corrcoef(x[y == label].T)[pairs].mean() for label in (1, 0)]))


def _takeaway(numbers: dict[str, float]) -> Text:
    each, shared = (f"{100 * numbers[f'test/6_{kind}']:.1f}" for kind in ("separate", "shared"))
    return Text(
        "Sharing one covariance drops 21 of 54 parameters and makes the boundary linear, a sigmoid of w x + b; here "
        f"the test accuracy is then {shared} %, against {each} % with one covariance per class. If only w and b are "
        "wanted, they can be optimized directly, which is logistic regression.",
        f"共用一个协方差把 54 个参数减少了 21 个，边界变成直线，即 w x + b 的 sigmoid；"
        f"这里测试正确率为 {shared}%，各用各的协方差时为 {each}%。"
        "既然要的只是 w 和 b，就可以直接去找它们，这就是逻辑回归。",
    )


def _accuracies(numbers: dict[str, float], *, real: bool) -> Table:
    named = {"separate": Text("Gaussians, one covariance per class", "高斯，各自的协方差")}
    named["shared"] = Text("Gaussians, shared covariance", "高斯，共用协方差")
    named["naive"] = Text("naive Bayes, Gaussian", "朴素贝叶斯（高斯）")
    rows: list[list[Cell | Text]] = [
        _row(f"{count}_{kind}", count, named[kind], parameters(count, kind), numbers)
        for count in (2, 6)
        for kind in KINDS
    ]
    rows.append(_row("6_bernoulli", 6, Text("naive Bayes, Bernoulli", "朴素贝叶斯（伯努利）"), 12, numbers))
    rows.append(_row("6_logistic", 6, Text("logistic regression", "逻辑回归"), 7, numbers))
    rows.append(_row("majority", 0, Text("constant", "永远同一个答案"), 0, numbers))
    here = Text("here", "本次") if real else Text("stand-in", "替身数据")
    heads = [
        Text("features", "特征数"),
        Text("model", "模型"),
        Text("parameters", "参数"),
        Text("course, test", "课程，测试"),
        Text(f"{here.en}, test", f"{here.zh}，测试"),
        Text(f"{here.en}, training", f"{here.zh}，训练"),
    ]
    return Table(_ACCURACIES, heads, rows)


def _row(name: str, features: int, model: Text, count: int, numbers: dict[str, float]) -> list[Cell | Text]:
    shares = [f"{100 * numbers[f'{half}/{name}']:.1f} %" for half in ("test", "train")]
    return [features, model, count, COURSE.get(name, "-"), *shares]


def _means(model: Gaussians, *, real: bool) -> Table:
    def matrix(values: Doubles, digits: int) -> str:
        return "[" + ", ".join(f"{value:.{digits}f}" for value in values) + "]"

    rows: list[list[Cell | Text]] = []
    for index, (name, (mean, covariance)) in enumerate(COURSE_GAUSSIANS.items()):
        course = f"{matrix(np.array(mean), 1)}; {', '.join(matrix(np.array(row), 0) for row in covariance)}"
        ours = f"{matrix(model.means[index], 1)}; {', '.join(matrix(row, 0) for row in model.covariances[index])}"
        rows.append([name, course, ours])
    here = Text("here", "本次") if real else Text("stand-in", "替身数据")
    return Table(_MEANS, [Text("type", "属性"), Text("course", "课程"), here], rows)


def _boundaries(types: Types) -> Figure:
    figure, axes = canvas(1, 3, 8.8, 3.2)
    x, y = parts(types.train, PAIR)
    across, up = np.meshgrid(np.linspace(0, 190, 150), np.linspace(0, 170, 150))
    grid = np.column_stack([across.ravel(), up.ravel()])
    titles = {
        "separate": "covariance per class: a curve",
        "shared": "shared covariance: a line",
        "naive": "naive Bayes",
    }
    for axis, kind in zip(axes[0], KINDS, strict=True):
        water = expit(fit_gaussians(x, y, kind).log_odds(grid)).reshape(across.shape)
        axis.contourf(across, up, water, np.linspace(0, 1, 11), cmap="RdBu", alpha=0.55)
        axis.contour(across, up, water, [0.5], colors="#1f2937", linewidths=1.6)
        for label, colour, name in ((1, "#1d4ed8", "Water"), (0, "#b91c1c", "Normal")):
            axis.plot(*x[y == label].T, "o", color=colour, ms=3, mec="white", mew=0.3, label=name)
        axis.plot(*TURTLE[0], "*", color="#15803d", ms=11, mec="white", label="turtle")
        axis.set_title(titles[kind], fontsize=9)
        axis.set(xlim=(0, 190), ylim=(0, 170), xlabel="Defense", ylabel="Sp_Def" if kind == "separate" else "")
    axes[0, 0].legend(fontsize=7, loc="upper right", frameon=True)
    return figure


def _sigmoid(types: Types) -> Figure:
    figure, axes = canvas(1, 2, 8.8, 2.9)
    train = parts(types.train, STATS)
    x, y = parts(types.test, STATS)
    line = np.linspace(-6, 6, 200)
    for axis, kind in zip(axes[0], (KINDS[1], KINDS[0]), strict=True):
        model = fit_gaussians(*train, kind)
        straight = answers(fit_gaussians(*train, "shared").line(), x)
        axis.plot(line, expit(line), color="#6b7280", lw=1.2, label="sigmoid")
        _dots(axis, straight, expit(model.log_odds(x)), y)
        axis.set_title({"shared": "shared covariance", "separate": "one covariance per class"}[kind], fontsize=9)
        axis.set(xlim=(-6, 6), xlabel="w x + b of the shared covariance", ylabel="P(Water | x) by Bayes")
    axes[0, 0].legend(fontsize=7)
    return figure


def _dots(axis: Axes, across: Doubles, up: Doubles, y: Doubles) -> None:
    for label, colour, name in ((1, "#1d4ed8", "Water, test"), (0, "#b91c1c", "Normal, test")):
        axis.plot(across[y == label], up[y == label], "o", color=colour, ms=3.5, alpha=0.7, label=name)


_ACCURACIES = Text(
    "Accuracy; (7) marks figures that the course reports for seven features. The seventh, Total, is the sum of the "
    "six: the covariance is singular, so the result depends on the routine and its rounding. In the directions that "
    "do vary, seven features give exactly the predictions of six. With 70 test examples one standard deviation is 5 "
    "to 6 points.",
    "正确率；(7) 表示课程用七个特征得到的数字。第七个特征 Total 是另外六个之和：协方差矩阵不可逆，"
    "得到什么结果取决于求逆程序和舍入误差。只看有变化的方向时，七个特征的答案与六个特征完全相同。"
    "测试集只有 70 只，一个标准差约为 5 到 6 个百分点。",
)
_MEANS = Text(
    "Mean and covariance of Defense and Sp_Def on the training half, divided by N (maximum likelihood).",
    "训练集上 Defense 与 Sp_Def 的均值和协方差；最大似然解除以 N。",
)
_BOUNDARIES = Text(
    "P(Water | Defense, Sp_Def), blue where Water is more likely; the dark line is the decision boundary. The star is "
    "the course's turtle.",
    "P(水系 | Defense, Sp_Def)，蓝色处更可能是水系；深色线上两者同样可能。星号是课程中的海龟。",
)
_SIGMOID = Text(
    "The 70 test examples with six features. With one covariance every probability that Bayes gives lies on the "
    "sigmoid of w x + b; with one covariance per class it does not, since z is then quadratic in x.",
    "用六个特征看 70 个测试样本。共用协方差时，贝叶斯给出的每个概率都落在 w x + b 的 sigmoid 上；"
    "各用各的协方差时则不然，因为此时 z 是 x 的二次函数。",
)
STUDY = Study(
    title=Text("Generative models: a Gaussian per class", "生成模型：每类一个高斯分布"),
    question=Text(
        "Is a Pokémon Water or Normal, given its base stats? Suppose that the stats of each type are drawn from a "
        "Gaussian. The maximum-likelihood mean and covariance are those of the examples themselves, which is checked "
        "against nearby Gaussians, and Bayes' rule then turns densities into the probability of Water, also for the "
        "course's turtle, which is not in the training set.\n\nThe course learns from the 140 Pokémon below number "
        "400 and reports the accuracy on those above, first for Defense and Sp_Def, then for all stats; once with a "
        "covariance per type and once with a shared one, the average of both weighted by the number of examples. "
        "Naive Bayes goes further and assumes that the stats are independent; for binary features (here: above the "
        "median) a Bernoulli distribution replaces the Gaussian.\n\nWith a shared covariance the quadratic terms "
        "cancel and z is linear in x. The w and b that follow are computed, and their sigmoid is compared with Bayes' "
        "rule on every example.",
        "给出种族值，一只宝可梦是水系还是一般系？假设每个属性的种族值都来自一个高斯分布。"
        "最大似然的均值和协方差就是样本自己的均值和协方差（这里与附近的高斯分布比较验证），"
        "再由贝叶斯公式把密度变成水系的概率，对课程里那只谁也没见过的海龟也一样。\n\n"
        "课程用编号 400 以下的 140 只训练，报告 400 及以上的正确率：先只用 Defense 和 Sp_Def，再用全部种族值；"
        "一次每个属性各有协方差，一次共用按样本数加权平均的协方差。朴素贝叶斯更进一步，假设各项种族值相互独立；"
        "对只有是或否的特征（这里：是否高于中位数），用伯努利分布代替高斯分布。\n\n"
        "共用协方差时二次项相消，z 是 x 的线性函数。这里算出对应的 w 和 b，"
        "在每个样本上把它的 sigmoid 与贝叶斯公式比较。",
    ),
    formulas=[
        Formula(
            r"\mu^* = \frac{1}{N}\sum_n x^n, \qquad \Sigma^* = \frac{1}{N}\sum_n (x^n - \mu^*)(x^n - \mu^*)^T",
            Text("the maximum-likelihood Gaussian of a class", "一个类别的最大似然高斯分布"),
        ),
        Formula(
            r"P(C_1|x) = \sigma(z), \qquad z = \ln \frac{P(x|C_1)\,P(C_1)}{P(x|C_2)\,P(C_2)}",
            Text("Bayes' rule is a sigmoid", "贝叶斯公式就是 sigmoid"),
        ),
        Formula(
            r"\Sigma = \frac{N_1}{N}\Sigma^1 + \frac{N_2}{N}\Sigma^2, \qquad w = \Sigma^{-1}(\mu^1 - \mu^2)",
            Text("the shared covariance and its w", "共用的协方差和由它得到的 w"),
        ),
        Formula(
            r"b = -\frac{1}{2}\mu^{1T}\Sigma^{-1}\mu^1 + \frac{1}{2}\mu^{2T}\Sigma^{-1}\mu^2 + \ln\frac{N_1}{N_2}",
            Text("its bias", "由它得到的 b"),
        ),
    ],
    sizes=Sizes,
    run=run,
)
