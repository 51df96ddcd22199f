"""Generative against discriminative by the number of training rows: the learning curves cross."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import expit
from scipy.stats import norm

from redoubt.params.settings.base import Count, Strict
from redoubt.report.figures import canvas
from redoubt.studies.classification.classifiers import answers, fit_gaussians, fit_logistic
from redoubt.studies.classification.generative import parts
from redoubt.studies.contract import Cell, Doubles, Formula, Picture, Result, Study, Table, Text
from redoubt.studies.given import STATS, Given, Types
from redoubt.studies.origins import of_types

FEATURES = 20
# Correlation of two features inside a class; the generative model takes it to be 0.
TRUTHS = {"right": 0.0, "slightly_wrong": 0.1}
# Only half of the features tell the classes apart, and not equally.
GAP = np.concatenate([np.linspace(1.4, 0.6, FEATURES // 2), np.zeros(FEATURES - FEATURES // 2)])
GAP = 2.2 * GAP / np.linalg.norm(GAP)
ROWS = (20, 40, 80, 160, 320, 640)
POKEMON_ROWS = (20, 40, 80, 140)
# The course's 13 rows of two yes-or-no features: one of class 1, twelve of class 2.
TOY = np.array([[1.0, 1.0], *[[1.0, 0.0]] * 4, *[[0.0, 1.0]] * 4, *[[0.0, 0.0]] * 4])
TOY_CLASS = np.array([1.0, *[0.0] * 12])


class Sizes(Strict):
    """Sizes of the study.

    Attributes:
        repetitions: training sets drawn for every number of rows.
        subsets: of the Pokémon drawn for every number of rows.
    """

    repetitions: Count = 60
    subsets: Count = 40


def covariance(correlation: float) -> Doubles:
    """Of features of spread 1 that all correlate alike."""
    return np.asarray(correlation + (1 - correlation) * np.eye(FEATURES))


def draw(rng: np.random.Generator, repetitions: int, rows: int, correlation: float) -> tuple[Doubles, Doubles]:
    """Training sets with as many rows of class 1 as of class 2, which are half of `GAP` either side of 0."""
    y = np.tile([1.0, 0.0], (repetitions, rows // 2))
    noise = rng.normal(size=(repetitions, rows, FEATURES)) @ np.linalg.cholesky(covariance(correlation)).T
    return noise + (y[..., None] - 0.5) * GAP, y


def independent(x: Doubles, y: Doubles) -> Doubles:
    """Weights of the generative model: per class a Gaussian of independent features, variances shared.

    Args:
        x: `(sets, rows, features)`.
        y: 1 for class 1, 0 for class 2, `(sets, rows)`.

    Returns:
        `(sets, 1 + features)`, the bias first.
    """
    means, squares, counts = [], [], []
    for label in (1, 0):
        chosen = (y == label)[..., None]
        counts.append(chosen.sum(axis=1))
        means.append((x * chosen).sum(axis=1) / counts[-1])
        squares.append((np.square(x - means[-1][:, None]) * chosen).sum(axis=1))
    variance = (squares[0] + squares[1]) / y.shape[1]
    bias = ((means[1] ** 2 - means[0] ** 2) / variance).sum(axis=1) / 2 + np.log(counts[0] / counts[1])[:, 0]
    return np.column_stack([bias, (means[0] - means[1]) / variance])


def true_error(weights: Doubles, correlation: float) -> Doubles:
    """Chance that new rows are on the wrong side, exactly: b + w x is Gaussian too."""
    bias, w = weights[:, 0], weights[:, 1:]
    spread = np.sqrt(((w @ covariance(correlation)) * w).sum(axis=1))
    half = w @ GAP / 2
    return np.asarray((norm.cdf((bias - half) / spread) + norm.cdf(-(bias + half) / spread)) / 2)


def limits(correlation: float) -> dict[str, float]:
    """Errors that more and more rows lead to: of the best line, and of the one that ignores the correlation."""
    best = np.linalg.solve(covariance(correlation), GAP)
    lines = np.column_stack([np.zeros(2), np.stack([best, GAP])])
    errors = true_error(lines, correlation)
    return {"discriminative": float(errors[0]), "generative": float(errors[1])}


def curves(rng: np.random.Generator, sizes: Sizes) -> dict[str, float]:
    """Mean errors, and the mean of the difference between both models in units of its standard error."""
    found: dict[str, float] = {}
    for truth, correlation in TRUTHS.items():
        for rows in ROWS:
            x, y = draw(rng, sizes.repetitions, rows, correlation)
            generative = true_error(independent(x, y), correlation)
            discriminative = true_error(fit_logistic(x, y), correlation)
            ahead = discriminative - generative
            found[f"error/{truth}/generative/{rows}"] = float(generative.mean())
            found[f"error/{truth}/discriminative/{rows}"] = float(discriminative.mean())
            found[f"ahead/{truth}/{rows}"] = float(ahead.mean() / (ahead.std(ddof=1) / np.sqrt(len(ahead))))
    return found


def crossing(numbers: Mapping[str, float]) -> float:
    """Rows at which the curves of the slightly wrong truth cross, between two sizes on a scale of logarithms.

    Raises:
        ValueError: they do not.
    """
    gaps = [
        numbers[f"error/slightly_wrong/discriminative/{rows}"] - numbers[f"error/slightly_wrong/generative/{rows}"]
        for rows in ROWS
    ]
    for index in range(len(ROWS) - 1):
        if gaps[index] > 0 >= gaps[index + 1]:
            share = gaps[index] / (gaps[index] - gaps[index + 1])
            return float(ROWS[index] * (ROWS[index + 1] / ROWS[index]) ** share)
    raise ValueError("the learning curves do not cross; take more repetitions")


def pokemon(types: Types, rng: np.random.Generator, subsets: int) -> dict[str, float]:
    """Mean share of Pokémon wrong, of the test half, after learning from some rows of the training half."""
    (x, y), (asked, truth) = parts(types.train, STATS), parts(types.test, STATS)
    middle, spread = x.mean(axis=0), x.std(axis=0)
    x, asked = (x - middle) / spread, (asked - middle) / spread
    found: dict[str, float] = {}
    for rows in POKEMON_ROWS:
        chosen = rng.permuted(np.tile(np.arange(len(y)), (subsets, 1)), axis=1)[:, :rows]
        shared = np.stack([fit_gaussians(x[each], y[each], "shared").line() for each in chosen])
        lines = {"generative": shared, "discriminative": fit_logistic(x[chosen], y[chosen])}
        for name, weights in lines.items():
            wrong = (answers(weights, asked[None]) > 0) != (truth == 1)
            found[f"pokemon_error/{name}/{rows}"] = float(wrong.mean())
    return found


def imagined() -> dict[str, float]:
    """P(class 1) that both models give the row (1, 1) of the course's 13, the only one of class 1."""
    priors, ones = [], []
    for label in (1, 0):
        rows = TOY[label == TOY_CLASS]
        priors.append(len(rows) / len(TOY))
        ones.append(rows.mean(axis=0).prod())
    naive = priors[0] * ones[0] / (priors[0] * ones[0] + priors[1] * ones[1])
    logistic = expit(answers(fit_logistic(TOY, TOY_CLASS, ridge=1e-3), TOY[:1]))[0]
    return {"toy/generative": float(naive), "toy/discriminative": float(logistic)}


def run(given: Given, sizes: Sizes, seed: int) -> Result:
    """Learning curves on two simulated truths and on the Pokémon, and the course's 13 rows."""
    rng = np.random.default_rng([seed, 0])
    types = given.types()
    numbers = curves(rng, sizes)
    for truth, correlation in TRUTHS.items():
        numbers |= {f"limit/{truth}/{name}": error for name, error in limits(correlation).items()}
    numbers["crossing"] = crossing(numbers)
    numbers |= pokemon(types, rng, sizes.subsets) | imagined()
    pokemon_origin = of_types(types)
    return Result(
        origin=Text(
            f"Drawn from the Gaussians below; the Pokémon of the last curve: {pokemon_origin.en}",
            f"按下述高斯分布抽样；最后一组曲线所用的宝可梦：{pokemon_origin.zh}",
        ),
        numbers=numbers,
        tables=[_errors(numbers), _toy(numbers)],
        pictures={"learning_curves": Picture(_figure(numbers), _CAPTION)},
        takeaway=_takeaway(numbers),
    )


def _errors(numbers: dict[str, float]) -> Table:
    def cells(name: str) -> list[Cell | Text]:
        return [
            f"{100 * numbers[f'{kind}/{truth}/{model}{name}']:.1f} %"
            for kind, truth, model in (
                ("error" if name else "limit", truth, model)
                for truth in TRUTHS
                for model in ("generative", "discriminative")
            )
        ]

    rows: list[list[Cell | Text]] = [[count, *cells(f"/{count}")] for count in ROWS]
    rows.append([Text("infinite", "无穷多"), *cells("")])
    heads = [
        Text("training examples", "训练样本数"),
        Text("independent, generative", "独立，生成模型"),
        Text("independent, logistic", "独立，逻辑回归"),
        Text("correlated, generative", "相关，生成模型"),
        Text("correlated, logistic", "相关，逻辑回归"),
    ]
    return Table(_ERRORS, heads, rows)


def _toy(numbers: dict[str, float]) -> Table:
    heads = [Text("model", "模型"), Text("P(class 1) of the example (1, 1)", "样本 (1, 1) 属于类别 1 的概率")]
    rows: list[list[Cell | Text]] = [
        [Text("naive Bayes", "朴素贝叶斯"), f"{numbers['toy/generative']:.3f}"],
        [Text("logistic regression", "逻辑回归"), f"{numbers['toy/discriminative']:.3f}"],
    ]
    return Table(_TOY, heads, rows)


def _figure(numbers: dict[str, float]) -> Figure:
    figure, axes = canvas(1, 3, 9.4, 3.2)
    panels = {
        "independent features: assumption correct": ("error/right", ROWS),
        "correlation 0.1: slightly wrong": ("error/slightly_wrong", ROWS),
        "Pokémon, six stats": ("pokemon_error", POKEMON_ROWS),
    }
    for axis, (title, (name, rows)) in zip(axes[0], panels.items(), strict=True):
        for model, colour in (("generative", "#c2410c"), ("discriminative", "#1d4ed8")):
            errors = [numbers[f"{name}/{model}/{count}"] for count in rows]
            axis.plot(rows, errors, "o-", color=colour, ms=4, label=model)
            if name != "pokemon_error":
                axis.axhline(numbers[f"{name.replace('error', 'limit')}/{model}"], color=colour, lw=0.9, ls=":")
        _scale(axis, rows)
        axis.set_title(title, fontsize=9)
    for axis in axes[0, :2]:
        axis.set_ylim(0.12, 0.34)
    axes[0, 1].axvline(numbers["crossing"], color="#6b7280", lw=0.8)
    axes[0, 0].set_ylabel("error rate on new examples")
    axes[0, 0].legend()
    return figure


def _scale(axis: Axes, rows: tuple[int, ...]) -> None:
    axis.set(xscale="log", xlabel="training examples")
    axis.set_xticks(rows, [str(count) for count in rows])
    axis.minorticks_off()


def _takeaway(numbers: dict[str, float]) -> Text:
    rows = f"{numbers['crossing']:.0f}"
    return Text(
        "An assumption compensates for missing data: with few examples the generative model is better even though its "
        f"assumption is slightly wrong, here up to about {rows} examples. With many examples the assumption only "
        "leaves a bias, and the discriminative model, which assumes less, is better.",
        f"假设可以代替没有的数据：样本少时，即使假设略有错误，生成模型也更好，这里大约到 {rows} 个样本为止。"
        "样本多时，假设只是一个去不掉的误差，假设更少的判别模型更好。",
    )


_ERRORS = Text(
    "Error rate on new examples, mean over the training sets, computed exactly from the boundary. The last row is the "
    "limit of infinitely many examples.",
    "新样本的错误率，对多个训练集取平均，由直线精确算出。最后一行是样本越来越多时的极限。",
)
_TOY = Text(
    "The course's 13 examples: (1, 1) once in class 1; (1, 0), (0, 1), (0, 0) four times each in class 2. Naive Bayes "
    "imagines examples (1, 1) in class 2 that were never seen, because it assumes independent features.",
    "课程的 13 个样本：类别 1 中有一个 (1, 1)；类别 2 中 (1, 0)、(0, 1)、(0, 0) 各四个。"
    "朴素贝叶斯假设特征相互独立，于是“脑补”出类别 2 中从未见过的 (1, 1)。",
)
_CAPTION = Text(
    "Learning curves; dotted: their limits. Left: the assumption holds, and the generative model is better "
    "throughout. Middle: the features correlate a little, and the curves cross at the grey line. Right: the Pokémon, "
    "trained on part of the training half, shared covariance against logistic regression; the difference is smaller "
    "than the standard deviation with 70 test examples, 5 to 6 points.",
    "学习曲线，点线为极限。左：假设成立，生成模型始终领先。中：特征略有相关，两条曲线在灰线处相交。"
    "右：宝可梦，用训练集的一部分学习，共用协方差的高斯模型对逻辑回归；"
    "两者之差小于 70 个测试样本的标准差（5 到 6 个百分点）。",
)
STUDY = Study(
    title=Text("Generative or discriminative?", "生成模型还是判别模型？"),
    question=Text(
        "Gaussians with one covariance and logistic regression choose from the same function set, sigmoids of w x + "
        "b, and still find different ones: the first via means and variances, the second directly. On the Pokémon the "
        "course reports 73 % for the generative model and 79 % for the discriminative one, and says that with little "
        f"data it can be the other way round.\n\nHere that is simulated. Two classes have {FEATURES} features, half "
        "of which are informative. The generative model assumes that the features are independent within a class. In "
        "one setting they are; in the other any two of them have correlation 0.1, so that the assumption is slightly "
        "wrong. For every number of examples many training sets are drawn, both models are fitted to each, and their "
        "error probability on new examples is computed exactly.\n\nThe course's name for an assumption that fills "
        "gaps in the data is imagination. Its toy data set of 13 examples is computed as well.",
        "共用协方差的高斯模型与逻辑回归从同一组函数（w x + b 的 sigmoid）中挑选，却找到不同的答案："
        "前者绕道均值和方差，后者直接去找。课程在宝可梦上报告生成模型 73%、判别模型 79%，并说数据少时可能反过来。\n\n"
        f"这里用模拟来验证。两个类别有 {FEATURES} 个特征，其中一半能区分它们。生成模型假设特征在类别内相互独立。"
        "在第一种真相里确实独立；在第二种里任意两个特征的相关系数为 0.1，假设略有错误。"
        "对每个样本数抽取许多训练集，两个模型各自拟合，并精确计算它们在新样本上的错误率。\n\n"
        "课程把用假设填补数据空白叫作“脑补”，这里也计算了它的 13 个样本的例子。",
    ),
    formulas=[
        Formula(
            r"P(C_1|x) = \sigma(w \cdot x + b)",
            Text("the function set of both models", "两种模型共同的函数集"),
        ),
        Formula(
            r"w_i = \frac{\mu_i^1 - \mu_i^2}{\sigma_i^2}, \qquad "
            r"b = \sum_i \frac{(\mu_i^2)^2 - (\mu_i^1)^2}{2\sigma_i^2} + \ln\frac{N_1}{N_2}",
            Text("generative: via Gaussians with independent features", "生成模型：经由独立特征的高斯分布"),
        ),
        Formula(
            r"w, b = \mathrm{arg\,min} \sum_n -\left[\hat{y}^n \ln f(x^n) + (1 - \hat{y}^n) \ln(1 - f(x^n))\right]",
            Text("discriminative: directly", "判别模型：直接去找"),
        ),
    ],
    sizes=Sizes,
    run=run,
)
