"""Cross-entropy against square error on a sigmoid: the surfaces, the plain far from the goal, the rule of updates."""

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import expit

from redoubt.params.settings.base import Count, Strict
from redoubt.report.figures import canvas
from redoubt.studies.classification.classifiers import answers, fit_logistic, with_one
from redoubt.studies.contract import Cell, Doubles, Formula, Picture, Result, Study, Table, Text
from redoubt.studies.given import Given
from redoubt.studies.origins import SYNTHETIC

# Starts of (b, w) ever farther from the goal, on the wrong side of it.
STARTS = {"near": (0.0, 0.0), "far": (6.0, -4.0), "very far": (12.0, -8.0)}
# Of single answers f to a row whose target is 1.
ANSWERS = (0.999, 0.9, 0.5, 0.1, 0.001)
RATE = 1.0
RIGHT = 0.93
SPAN = 16.0


class Sizes(Strict):
    """Sizes of the study.

    Attributes:
        rows: of both classes together.
        steps: of gradient descent at most.
        grid: points of the surfaces along each side.
    """

    rows: Count = 200
    steps: Count = 2500
    grid: Count = 61


def cross_entropy(weights: Doubles, x: Doubles, y: Doubles) -> Doubles:
    """Mean cross-entropy of the sigmoid of b + w x, for one pair of weights or a stack of them."""
    z = answers(weights, x)
    return np.asarray((np.logaddexp(0, z) - y * z).mean(axis=-1))


def square_error(weights: Doubles, x: Doubles, y: Doubles) -> Doubles:
    """Mean square error of the sigmoid of b + w x."""
    return np.asarray(np.square(expit(answers(weights, x)) - y).mean(axis=-1))


def half_square_of_line(weights: Doubles, x: Doubles, y: Doubles) -> Doubles:
    """Half the mean square error of b + w x itself: linear regression."""
    return np.asarray(np.square(answers(weights, x) - y).mean(axis=-1) / 2)


def rule(x: Doubles, y: Doubles, f: Doubles) -> Doubles:
    """The gradient of both regressions, -(target - answer) x on average, whatever made the answer f."""
    return np.asarray(-(y - f) @ with_one(x) / len(x))


def slope_cross_entropy(weights: Doubles, x: Doubles, y: Doubles) -> Doubles:
    """Gradient of the cross-entropy: the rule."""
    return rule(x, y, expit(answers(weights, x)))


def slope_square_error(weights: Doubles, x: Doubles, y: Doubles) -> Doubles:
    """Gradient of the square error: each row's share is damped by f (1 - f)."""
    f = expit(answers(weights, x))
    return np.asarray((2 * (f - y) * f * (1 - f)) @ with_one(x) / len(x))


LOSSES: dict[str, tuple[Callable[..., Doubles], Callable[..., Doubles]]] = {
    "cross_entropy": (cross_entropy, slope_cross_entropy),
    "square_error": (square_error, slope_square_error),
}


def differences(loss: Callable[..., Doubles], weights: Doubles, x: Doubles, y: Doubles) -> Doubles:
    """Gradient by central differences."""
    step = 1e-5
    ends = [loss(weights + sign * step * np.eye(len(weights)), x[None], y) for sign in (1, -1)]
    return np.asarray((ends[0] - ends[1]) / (2 * step))


def two_classes(rng: np.random.Generator, rows: int) -> tuple[Doubles, Doubles]:
    """One feature, around 2 for class 1 and around -2 for class 2; a few lie on the wrong side."""
    y = np.repeat([1.0, 0.0], [rows - rows // 2, rows // 2])
    return (np.where(y == 1, 2.0, -2.0) + rng.normal(size=rows))[:, None], y


def descend(loss: str, start: tuple[float, float], x: Doubles, y: Doubles, steps: int) -> Doubles:
    """The path of (b, w) down the gradient until enough examples are classified correctly, `(updates + 1, 2)`."""
    slope = LOSSES[loss][1]
    path = [np.array(start)]
    while len(path) <= steps and accuracy(path[-1], x, y) < RIGHT:
        path.append(path[-1] - RATE * slope(path[-1], x, y))
    return np.array(path)


def accuracy(weights: Doubles, x: Doubles, y: Doubles) -> float:
    """Of rows answered class 1 where b + w x is above 0."""
    return float(np.mean((answers(weights, x) > 0) == (y == 1)))


def share_not_convex(loss: str, grid: Doubles, x: Doubles, y: Doubles) -> float:
    """Share of the weights in the grid at which the surface bends down in some direction."""
    f = expit(answers(grid, x[None]))
    bend = f * (1 - f)
    if loss == "square_error":
        bend = 2 * bend * (bend + (f - y) * (1 - 2 * f))
    columns = with_one(x)
    products = (columns[:, :, None] * columns[:, None, :]).reshape(len(x), -1)
    curvature = (bend @ products / len(x)).reshape(len(grid), columns.shape[1], -1)
    # Where everything is flat rounding alone has a sign.
    return float(np.mean(np.linalg.eigvalsh(curvature)[:, 0] < -1e-12))


def surface(size: int) -> Doubles:
    """Points (b, w) of a square round the origin, row by row."""
    side = np.linspace(-SPAN, SPAN, size)
    return np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)


def run(given: Given, sizes: Sizes, seed: int) -> Result:
    """Both losses on the same rows: slopes, surfaces and descents from three starts."""
    rng = np.random.default_rng([seed, 0])
    x, y = two_classes(rng, sizes.rows)
    paths = {(loss, name): descend(loss, start, x, y, sizes.steps) for loss in LOSSES for name, start in STARTS.items()}
    numbers: dict[str, float] = {}
    for (loss, name), path in paths.items():
        numbers[f"slope/{loss}/{name}"] = float(np.linalg.norm(LOSSES[loss][1](path[0], x, y)))
        numbers[f"updates/{loss}/{name}"] = len(path) - 1
        numbers[f"accuracy/{loss}/{name}"] = accuracy(path[-1], x, y)
    grid = surface(sizes.grid)
    for loss in LOSSES:
        numbers[f"not_convex/{loss}"] = share_not_convex(loss, grid, x, y)
    numbers |= same_rule(x, y, rng) | likelihood(x, y)
    pictures = {
        "surfaces": Picture(_surfaces(x, y, grid, paths, sizes), _SURFACES),
        "slopes": Picture(_slopes(x, y), _SLOPES),
    }
    return Result(
        origin=SYNTHETIC,
        numbers=numbers,
        tables=[_descents(numbers, sizes.steps), _single_answers()],
        pictures=pictures,
        takeaway=_TAKEAWAY,
    )


def same_rule(x: Doubles, y: Doubles, rng: np.random.Generator) -> dict[str, float]:
    """Largest distance of the one rule from the slopes of the two losses, measured by differences at random weights."""
    found = {"rule_off/linear": 0.0, "rule_off/logistic": 0.0}
    for weights in rng.normal(size=(20, 2)):
        linear = rule(x, y, answers(weights, x)) - differences(half_square_of_line, weights, x, y)
        logistic = rule(x, y, expit(answers(weights, x))) - differences(cross_entropy, weights, x, y)
        for name, off in (("linear", linear), ("logistic", logistic)):
            found[f"rule_off/{name}"] = max(found[f"rule_off/{name}"], float(np.abs(off).max()))
    return found


def likelihood(x: Doubles, y: Doubles) -> dict[str, float]:
    """The product of the probabilities of the rows' classes against exp of minus the summed cross-entropy."""
    best = fit_logistic(x, y)
    f = expit(answers(best, x))
    product = np.prod(np.where(y == 1, f, 1 - f))
    from_entropy = np.exp(-len(x) * cross_entropy(best, x, y))
    return {
        "likelihood_off": float(abs(product / from_entropy - 1)),
        "best_cross_entropy": float(cross_entropy(best, x, y)),
    }


def _descents(numbers: dict[str, float], steps: int) -> Table:
    rows: list[list[Cell | Text]] = []
    for name, start in STARTS.items():
        row: list[Cell | Text] = [f"({start[0]:g}, {start[1]:g})"]
        for loss in LOSSES:
            updates = int(numbers[f"updates/{loss}/{name}"])
            row.append(f"{numbers[f'slope/{loss}/{name}']:.2g}")
            arrived = numbers[f"accuracy/{loss}/{name}"] >= RIGHT
            row.append(updates if arrived else Text(f"not in {steps}", f"{steps} 次内未到"))
        rows.append(row)
    heads = [
        Text("start (b, w)", "起点 (b, w)"),
        Text("cross-entropy, slope", "交叉熵，斜率"),
        Text("cross-entropy, updates", "交叉熵，更新次数"),
        Text("squared error, slope", "平方误差，斜率"),
        Text("squared error, updates", "平方误差，更新次数"),
    ]
    return Table(_DESCENTS, heads, rows)


def _single_answers() -> Table:
    rows: list[list[Cell | Text]] = [
        [f"{f:g}", f"{-np.log(f):.3f}", f"{f - 1:.3f}", f"{(1 - f) ** 2:.3f}", f"{2 * (f - 1) * f * (1 - f):.3g}"]
        for f in ANSWERS
    ]
    heads = [
        Text("output f", "输出 f"),
        Text("cross-entropy", "交叉熵"),
        Text("its slope in z", "它对 z 的斜率"),
        Text("squared error", "平方误差"),
        Text("its slope in z", "它对 z 的斜率"),
    ]
    return Table(_SINGLE, heads, rows)


def _surfaces(x: Doubles, y: Doubles, grid: Doubles, paths: dict[Any, Doubles], sizes: Sizes) -> Figure:
    figure, axes = canvas(1, 2, 8.8, 3.7)
    shape = (sizes.grid, sizes.grid)
    across, up = grid.T.reshape(2, *shape)
    for axis, (loss, (function, _)) in zip(axes[0], LOSSES.items(), strict=True):
        values = function(grid, x[None], y).reshape(shape)
        filled = axis.contourf(across, up, values, 24, cmap="Greys", vmax=1.5 * values.max())
        figure.colorbar(filled, ax=axis, shrink=0.9)
        for name, colour in zip(STARTS, ("#15803d", "#1d4ed8", "#b91c1c"), strict=True):
            path = paths[loss, name]
            axis.plot(*path.T, "-", color=colour, lw=1.8, label=f"{name}, updates: {len(path) - 1}")
            axis.plot(*path[0], "o", color=colour, ms=5)
        axis.set_title(loss.replace("_", " ").replace("cross ", "cross-").replace("square ", "squared "), fontsize=9)
        axis.set(xlabel="b", ylabel="w")
        axis.legend(fontsize=7, loc="lower left", frameon=True)
        axis.grid(visible=False)
    return figure


def _slopes(x: Doubles, y: Doubles) -> Figure:
    figure, axes = canvas(1, 2, 8.8, 2.9)
    z = np.linspace(-10, 10, 200)
    f = expit(z)
    curves = {"cross-entropy": (-np.log(f), f - 1), "squared error": ((f - 1) ** 2, 2 * (f - 1) * f * (1 - f))}
    for (name, (loss, slope)), colour in zip(curves.items(), ("#1f2937", "#b91c1c"), strict=True):
        for axis, values in zip(axes[0], (loss, -slope), strict=True):
            axis.plot(z, values, color=colour, label=name)
    for axis, label in zip(axes[0], ("loss of an example of class 1", "negative slope in z"), strict=True):
        _goal(axis, label)
    axes[0, 0].legend(fontsize=8)
    return figure


def _goal(axis: Axes, label: str) -> None:
    axis.axvspan(-10, -5, color="#fee2e2", alpha=0.6, lw=0)
    axis.set(xlabel="z (left: far from the target)", ylabel=label, xlim=(-10, 10))


_DESCENTS = Text(
    f"Gradient descent with rate {RATE:g} from three starting points until the accuracy is {100 * RIGHT:.0f} %. "
    "Slope: norm of the gradient at the start.",
    f"从三个起点以学习率 {RATE:g} 做梯度下降，直到 {100 * RIGHT:.0f}% 的样本正确。斜率：起点处梯度的长度。",
)
_SINGLE = Text(
    "One example with target 1, by its output f. Near the target both slopes vanish as they should; far from it only "
    "that of the squared error does.",
    "目标为 1 的一个样本，按它得到的输出 f 排列。接近目标时两个斜率都趋于 0，这是应该的；"
    "远离目标时只有平方误差的斜率消失。",
)
_SURFACES = Text(
    "The two losses over b and w, darker is higher, with the paths from the three starts. Cross-entropy is a bowl "
    "that is steeper farther out; the squared error is a plateau with a hole, on which descent from afar barely moves.",
    "两种损失在 b、w 上的曲面，颜色越深值越大，并画出从三个起点出发的路径。交叉熵像一只越往外越陡的碗；"
    "平方误差是一片高原中间凹下去一块，从远处出发几乎走不动。",
)
_SLOPES = Text(
    "A single example of class 1, by z. Where the output is confidently wrong (shaded), the gradient of cross-entropy "
    "is largest, that of the squared error vanishes.",
    "类别 1 的一个样本，横轴为 z。在“确信地答错”的地方（阴影），交叉熵用足力气推，平方误差几乎不推。",
)
_TAKEAWAY = Text(
    "With a sigmoid the squared error is flat where the output is right and also where it is entirely wrong, so "
    "descent cannot tell far from near; cross-entropy is steep exactly where it should be. Its gradient has the form "
    "of linear regression's, the difference between target and output times x.",
    "在 sigmoid 上，平方误差在答对处是平的，在错得最离谱处也是平的，梯度下降分不清远近；交叉熵恰好在该陡的地方陡。"
    "它的梯度就是线性回归的更新式：目标与输出之差乘以 x。",
)
STUDY = Study(
    title=Text("Logistic regression: why cross-entropy?", "逻辑回归：为什么用交叉熵？"),
    question=Text(
        "Logistic regression outputs the probability of class 1, the sigmoid of w x + b. The best w and b are those "
        "that maximize the likelihood of the observed classes; the negative log-likelihood is the sum of the "
        "cross-entropies between target and output, which is checked on the examples. Its gradient is the same as "
        "that of linear regression (with half the square as loss): one function computes both here, and differences "
        "of both losses confirm it.\n\nWhy not the squared error, as in linear regression? The course draws both "
        "losses over the parameters. Here that is done for one feature, so that b and w are the whole surface, and "
        "descent starts from three points: near the minimum, far, and very far.",
        "逻辑回归输出类别 1 的概率，即 w x + b 的 sigmoid。最好的 w 和 b 让样本的类别出现的可能性最大；"
        "似然取对数再取负号，就是目标与输出之间交叉熵的总和（这里在样本上验证）。"
        "它的梯度与线性回归（损失取平方的一半）完全一样：这里用同一个函数计算两者，再用两个损失的差分来确认。\n\n"
        "为什么不像线性回归那样用平方误差？课程把两种损失画成参数的曲面。这里只用一个特征，b 和 w 就是整个曲面，"
        "并从三个地方开始下降：近处、远处和很远处。",
    ),
    formulas=[
        Formula(
            r"f(x) = \sigma(w \cdot x + b), \qquad "
            r"L = \sum_n -\left[\hat{y}^n \ln f(x^n) + (1 - \hat{y}^n) \ln(1 - f(x^n))\right]",
            Text("output and cross-entropy", "输出与交叉熵"),
        ),
        Formula(
            r"\frac{\partial L}{\partial w_i} = \sum_n -\left(\hat{y}^n - f(x^n)\right) x_i^n",
            Text("the update rule, the same as for linear regression", "更新式，与线性回归相同"),
        ),
        Formula(
            r"\frac{\partial}{\partial w_i}\left(f(x) - \hat{y}\right)^2 = "
            r"2\left(f(x) - \hat{y}\right) f(x)\left(1 - f(x)\right) x_i",
            Text(
                "that of the squared error: 0 at f = 0 and at f = 1, whatever the target",
                "平方误差的梯度：f = 0 或 f = 1 时都是 0，不管目标是什么",
            ),
        ),
    ],
    sizes=Sizes,
    run=run,
)
