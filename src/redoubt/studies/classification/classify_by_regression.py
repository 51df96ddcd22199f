"""Classes as numbers for a regression: points that are too correct drag the line, and class 2 gets between 1 and 3."""

from itertools import permutations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from redoubt.params.settings.base import Count, Strict
from redoubt.report.figures import canvas
from redoubt.studies.classification.classifiers import answers, fit_logistic, with_one
from redoubt.studies.contract import Cell, Doubles, Formula, Picture, Result, Study, Table, Text
from redoubt.studies.given import Given
from redoubt.studies.origins import SYNTHETIC

# How far to the right the points lie that are too correct, in the unit of the axes; 0 is none of them.
DISTANCES = (0, 4, 8, 12, 16)
MIDDLES = ((1.5, -1.5), (-1.5, 1.5))
CORNERS = np.array([[0.0, 2.0], [-1.8, -1.0], [1.8, -1.0]])
SPREAD = 0.75
CODES = tuple(permutations((1, 2, 3)))
# What a step of the slope is measured with.
NUDGE = 1e-6


class Sizes(Strict):
    """Sizes of the study.

    Attributes:
        rows: of each class.
        far: points of class 1 that are too correct.
        lines: random lines whose number of errors is differentiated.
    """

    rows: Count = 150
    far: Count = 40
    lines: Count = 1000


def two_classes(rng: np.random.Generator, rows: int) -> tuple[Doubles, Doubles]:
    """Two clouds on either side of the diagonal; the second array is 1 for class 1 and -1 for class 2."""
    x = np.concatenate([middle + rng.normal(size=(rows, 2)) for middle in MIDDLES])
    return x, np.repeat([1.0, -1.0], rows)


def least_squares(x: Doubles, y: Doubles) -> Doubles:
    """Weights of linear regression, the bias first; a column per target."""
    return np.asarray(np.linalg.lstsq(with_one(x), y, rcond=None)[0])


def wrong(weights: Doubles, x: Doubles, y: Doubles) -> float:
    """Share of rows on the wrong side of the line."""
    return float(np.mean(np.sign(answers(weights, x)) != y))


def turned(weights: Doubles, from_: Doubles) -> float:
    """Degrees between two lines."""
    (across, up), (across_from, up_from) = weights[1:], from_[1:]
    sine = across_from * up - up_from * across
    return float(np.degrees(np.abs(np.arctan2(sine, weights[1:] @ from_[1:]))))


def drag(x: Doubles, y: Doubles, far: Doubles) -> dict[int, dict[str, Doubles]]:
    """Both lines by how far to the lower right the far points of class 1 lie."""
    found: dict[int, dict[str, Doubles]] = {}
    for distance in DISTANCES:
        moved = far + np.array([distance, -distance / 4]) if distance else far[:0]
        rows, target = np.concatenate([x, moved]), np.concatenate([y, np.ones(len(moved))])
        found[distance] = {
            "regression": least_squares(rows, target),
            "logistic": fit_logistic(rows, (target + 1) / 2, ridge=1e-3),
        }
    return found


def share_flat(x: Doubles, y: Doubles, lines: Doubles) -> float:
    """Share of lines at which the slope of the number of errors is 0 in every direction, by differences."""
    flat = np.ones(len(lines), bool)
    for direction in np.eye(lines.shape[1]):
        up, down = (np.sign(answers(lines + sign * NUDGE * direction, x[None])) != y for sign in (1, -1))
        flat &= up.sum(axis=1) == down.sum(axis=1)
    return float(flat.mean())


def three_classes(rng: np.random.Generator, rows: int) -> tuple[Doubles, Doubles]:
    """Three clouds at the corners of a triangle: no class is between the others."""
    x = np.concatenate([corner + SPREAD * rng.normal(size=(rows, 2)) for corner in CORNERS])
    return x, np.repeat(np.arange(3.0), rows)


def by_code(weights: Doubles, x: Doubles, code: tuple[int, ...]) -> Doubles:
    """Classes 0, 1, 2 whose integers are nearest to the answers of the regression."""
    off = np.abs(answers(weights, x)[:, None] - np.array(code))
    return off.argmin(axis=1).astype(float)


def named(code: tuple[int, ...]) -> str:
    """Under which the share wrong with this code is noted."""
    return "wrong/code_" + "".join(map(str, code))


def run(given: Given, sizes: Sizes, seed: int) -> Result:
    """Drag the line with far points; then give three classes every integer code."""
    rng = np.random.default_rng([seed, 0])
    x, y = two_classes(rng, sizes.rows)
    far = np.array(MIDDLES[0]) + 0.7 * rng.normal(size=(sizes.far, 2))
    lines = drag(x, y, far)
    numbers: dict[str, float] = {}
    for distance, pair in lines.items():
        for name, weights in pair.items():
            numbers[f"wrong/{name}/far_{distance}"] = wrong(weights, x, y)
            numbers[f"turned/{name}/far_{distance}"] = turned(weights, lines[0][name])
    random = rng.normal(size=(sizes.lines, 3))
    numbers["flat_share/number_of_errors"] = share_flat(x, y, random)
    points, classes = three_classes(rng, sizes.rows)
    numbers |= codes(points, classes)
    picture = _picture(x, y, far + np.array([DISTANCES[-1], -DISTANCES[-1] / 4]), lines)
    return Result(
        origin=SYNTHETIC,
        numbers=numbers,
        tables=[_drag_table(numbers), _code_table(numbers)],
        pictures={
            "too_correct": Picture(picture, _DRAG_CAPTION),
            "integer_code": Picture(_regions(points, classes), _CODE_CAPTION),
        },
        takeaway=_TAKEAWAY,
    )


def codes(x: Doubles, classes: Doubles) -> dict[str, float]:
    """Share wrong by the integers that the three classes are given, and with a column per class."""
    found = {}
    for code in CODES:
        weights = least_squares(x, np.array(code, float)[classes.astype(int)])
        found[named(code)] = float(np.mean(by_code(weights, x, code) != classes))
    columns = with_one(x) @ least_squares(x, np.eye(3)[classes.astype(int)])
    found["wrong/one_hot"] = float(np.mean(columns.argmax(axis=1) != classes))
    return found


def _drag_table(numbers: dict[str, float]) -> Table:
    rows: list[list[Cell | Text]] = [
        [
            distance or Text("none", "没有"),
            f"{100 * numbers[f'wrong/regression/far_{distance}']:.1f} %",
            f"{numbers[f'turned/regression/far_{distance}']:.1f}°",
            f"{100 * numbers[f'wrong/logistic/far_{distance}']:.1f} %",
            f"{numbers[f'turned/logistic/far_{distance}']:.1f}°",
        ]
        for distance in DISTANCES
    ]
    heads = [
        Text("distance of the far points", "远处点的距离"),
        Text("regression, error", "回归，错误率"),
        Text("regression, rotation", "回归，直线转过"),
        Text("logistic, error", "逻辑回归，错误率"),
        Text("logistic, rotation", "逻辑回归，直线转过"),
    ]
    return Table(_DRAG_TABLE, heads, rows)


def _code_table(numbers: dict[str, float]) -> Table:
    rows: list[list[Cell | Text]] = [
        [
            ", ".join(f"{letter} = {number}" for letter, number in zip("ABC", code, strict=True)),
            "ABC"[code.index(2)],
            f"{100 * numbers[named(code)]:.1f} %",
        ]
        for code in CODES
    ]
    rows.append(
        [
            Text("one-hot", "每类一列（one-hot）"),
            Text("none", "没有"),
            f"{100 * numbers['wrong/one_hot']:.1f} %",
        ]
    )
    heads = [Text("code", "编码"), Text("in the middle", "被放在中间"), Text("error rate", "错误率")]
    return Table(_CODE_TABLE, heads, rows)


def _picture(x: Doubles, y: Doubles, far: Doubles, lines: dict[int, dict[str, Doubles]]) -> Figure:
    figure, axes = canvas(1, 2, 8.8, 3.6)
    for axis, distance in zip(axes[0], (DISTANCES[0], DISTANCES[-1]), strict=True):
        for sign, colour, label in ((1, "#1d4ed8", "class 1, target 1"), (-1, "#b91c1c", "class 2, target -1")):
            axis.plot(*x[y == sign].T, "o", color=colour, ms=3, alpha=0.5, label=label)
        if distance:
            axis.plot(*far.T, "o", color="#1d4ed8", ms=3, mfc="none", label="class 1, too correct")
        for name, colour, style in (("regression", "#7c3aed", "-"), ("logistic", "#15803d", "--")):
            _line(axis, lines[distance][name], colour, style, name)
        axis.set(xlim=(-6, 21 if distance else 6), ylim=(-9, 6), xlabel="$x_1$", ylabel="$x_2$")
        axis.legend(fontsize=7, loc="lower left")
    return figure


def _line(axis: Axes, weights: Doubles, colour: str, style: str, label: str) -> None:
    bias, first, second = weights
    span = np.array([-6.0, 21.0])
    axis.plot(span, -(bias + first * span) / second, style, color=colour, lw=1.8, label=label)


def _regions(x: Doubles, classes: Doubles) -> Figure:
    figure, axes = canvas(1, 3, 8.8, 3.0)
    across, down = np.meshgrid(np.linspace(-4.5, 4.5, 200), np.linspace(-4, 5, 200))
    grid = np.column_stack([across.ravel(), down.ravel()])
    colours = ("#1d4ed8", "#b91c1c", "#15803d")
    target = classes.astype(int)
    one_hot = (with_one(grid) @ least_squares(x, np.eye(3)[target])).argmax(axis=1).astype(float)
    answered = {"A = 1, B = 2, C = 3": (1, 2, 3), "A = 2, B = 1, C = 3": (2, 1, 3), "one-hot": None}
    for axis, (title, code) in zip(axes[0], answered.items(), strict=True):
        values = one_hot if code is None else by_code(least_squares(x, np.array(code, float)[target]), grid, code)
        axis.contourf(across, down, values.reshape(across.shape), [-0.5, 0.5, 1.5, 2.5], colors=colours, alpha=0.18)
        for index, colour in enumerate(colours):
            axis.plot(*x[classes == index].T, "o", color=colour, ms=2, alpha=0.6)
            axis.text(*CORNERS[index], "ABC"[index], fontsize=13, fontweight="bold", ha="center", va="center")
        axis.set_title(title, fontsize=9)
        axis.grid(visible=False)
        axis.set(xticks=[], yticks=[])
    return figure


_DRAG_TABLE = Text(
    "The same two classes, to which points of class 1 are added ever farther on the correct side of the line. Error: "
    "share of the original points that are misclassified. Rotation: angle to the line fitted without the far points.",
    "同样的两类点，在分界线正确的一侧、越来越远处加入类别 1 的点。错误率：原来的点中被分错的比例；"
    "转过：与没有远处点时的直线的夹角。",
)
_CODE_TABLE = Text(
    "Three classes at the corners of a triangle, no two closer than the others. Regression on the integers rounds its "
    "output; which class has the integer 2 determines the error rate.",
    "三个类别位于三角形的三个角，两两之间同样接近。对整数做回归再取最近的整数；错多少取决于哪一类被编号为 2。",
)
_DRAG_CAPTION = Text(
    "Left: two classes; regression and logistic regression find nearly the same line. Right: on the points of class 1 "
    "at the far right the good line gives outputs far above their target 1; regression counts that as an error and "
    "rotates the line, logistic regression does not.",
    "左：两类点，回归与逻辑回归给出几乎相同的直线。右：最右侧的类别 1 的点在好直线上的输出远大于目标 1，"
    "回归把这当成误差而把直线拉歪，逻辑回归不会。",
)
_CODE_CAPTION = Text(
    "Decision regions. With integers the class that happens to be 2 gets a strip between the others, wherever its "
    "points lie; with a one-hot code each class gets its corner.",
    "每个位置得到的答案。用整数编码时，恰好编号为 2 的类得到夹在另外两类之间的一条带子，不管它的点在哪里；"
    "每类一列时，各类得到自己的一角。",
)
_TAKEAWAY = Text(
    "Regression penalizes points for being too correct, so distant points of the correct class drag the line until "
    "others are misclassified, while logistic regression leaves it where it was. Integers for classes impose an order "
    "that does not exist, and renaming the classes changes the predictions.",
    "回归会惩罚“过于正确”的点，远处的正确点把直线拉歪，使别的点被分错，逻辑回归的直线则留在原处。"
    "用整数表示类别等于声称了不存在的顺序，改一改编号答案就变了。",
)
STUDY = Study(
    title=Text("Classification by regression", "用回归做分类"),
    question=Text(
        "Can classes simply be numbers, 1 for class 1 and -1 for class 2, and a linear regression do the rest? An "
        "output above 0 would mean class 1. The course's objection: a point far on the correct side gets an output "
        "far above 1, which the squared error counts as a mistake. Here such points are moved farther and farther "
        "away, and the effect on the boundary between the other points is measured.\n\nWhat one would like to "
        "minimize is the number of errors. It is piecewise constant: its gradient is 0 at almost every line, so "
        "gradient descent has nothing to follow, which is checked at random lines.\n\nWith three classes the numbers "
        "1, 2, 3 claim that class 2 lies between the others. Three equidistant classes are given every code in turn, "
        "and a one-hot code for comparison.",
        "能不能把类别直接当作数字，类别 1 记为 1，类别 2 记为 -1，然后做线性回归，输出大于 0 就判为类别 1？"
        "课程的反驳是：远在正确一侧的点输出会远大于 1，平方误差却把它算作错误。"
        "这里把这样的点越移越远，测量其余点之间的分界线发生了什么。\n\n"
        "真正想最小化的是答错的个数。但它是阶梯状的：几乎在每条直线上斜率都为 0，没有梯度可以下降，"
        "这一点在随机直线上得到验证。\n\n"
        "有三个类别时，数字 1、2、3 等于声称类别 2 在另外两类之间。这里让彼此同样远的三个类别轮流使用每一种编码，"
        "并与每类一列（one-hot）比较。",
    ),
    formulas=[
        Formula(
            r"L(w, b) = \sum_n \left(\hat{y}^n - (w \cdot x^n + b)\right)^2, \qquad \hat{y}^n \in \{1, -1\}",
            Text("regression on the class", "对类别做回归"),
        ),
        Formula(
            r"L(f) = \sum_n \delta\left(f(x^n) \neq \hat{y}^n\right)",
            Text(
                "the number of errors: the actual objective, without a useful gradient",
                "答错的个数：真正想要的，却没有可用的斜率",
            ),
        ),
    ],
    sizes=Sizes,
    run=run,
)
