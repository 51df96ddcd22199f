"""Four points that no line separates: logistic regression fails, distances solve it, two units before it learn to."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import expit

from redoubt.params.settings.base import Count, Strict
from redoubt.report.figures import canvas
from redoubt.studies.classification.classifiers import answers, fit_logistic, with_one
from redoubt.studies.contract import Cell, Doubles, Formula, Lab, Picture, Result, Study, Table, Text
from redoubt.studies.given import Given
from redoubt.studies.origins import SYNTHETIC

# The course's points; class 1 where the two numbers differ.
POINTS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
CLASSES = np.array([0.0, 1.0, 1.0, 0.0])
# Where the hand-made features measure the distance to.
ANCHORS = np.array([[0.0, 0.0], [1.0, 1.0]])
UNITS = (1, 2, 3, 4, 8)
RATE = 4.0
# Starts that the page lets one try.
TRIED = 8
RIDGE = 1e-3


class Sizes(Strict):
    """Sizes of the study.

    Attributes:
        starts: random first weights of the cascade, for each number of units.
        steps: of gradient descent.
        lines: random lines that are tried on the four points.
        near: new points round each of the four.
    """

    starts: Count = 60
    steps: Count = 1500
    lines: Count = 20000
    near: Count = 200


@dataclass(frozen=True)
class Cascade:
    """Logistic units whose answers are the features of one more; a stack of cascades, one per start.

    Attributes:
        first: `(starts, 3, units)`, biases first.
        last: `(starts, units + 1)`, bias first.
    """

    first: Doubles
    last: Doubles

    def features(self, x: Doubles) -> Doubles:
        """What the units make of `(rows, 2)`: `(starts, rows, units)`."""
        return np.asarray(expit(with_one(x) @ self.first))

    def answer(self, x: Doubles) -> Doubles:
        """Probability of class 1, `(starts, rows)`."""
        return np.asarray(expit(answers(self.last, self.features(x))))

    def take(self, start: int) -> "Cascade":
        """The stack of one."""
        return Cascade(self.first[start : start + 1], self.last[start : start + 1])


def distances(x: Doubles) -> Doubles:
    """The course's hand-made features: distance to (0, 0) and to (1, 1)."""
    return np.asarray(np.linalg.norm(x[:, None] - ANCHORS, axis=2))


def entropy(f: Doubles, y: Doubles) -> Doubles:
    """Mean cross-entropy of answers `(..., rows)`."""
    f = np.clip(f, 1e-12, 1 - 1e-12)
    return np.asarray(-(y * np.log(f) + (1 - y) * np.log(1 - f)).mean(axis=-1))


def accuracy(f: Doubles, y: Doubles) -> Doubles:
    """Of examples whose probability is on the correct side of a half."""
    return np.asarray(((f > 0.5) == (y == 1)).mean(axis=-1))


def slopes(cascade: Cascade, x: Doubles, y: Doubles) -> Cascade:
    """Gradient of the cross-entropy by all weights: target minus answer, passed back through the units."""
    hidden = cascade.features(x)
    off = (cascade.answer(x) - y) / len(x)
    last = (off[:, None, :] @ with_one(hidden))[:, 0]
    back = off[..., None] * cascade.last[:, None, 1:] * hidden * (1 - hidden)
    return Cascade(with_one(x).T @ back, last)


def begin(rng: np.random.Generator, units: int, starts: int) -> Cascade:
    """Random first weights."""
    return Cascade(rng.normal(size=(starts, 3, units)), rng.normal(size=(starts, units + 1)))


def learn(cascade: Cascade, sizes: Sizes) -> tuple[Cascade, Doubles]:
    """Cascades after descent from their starts, and their losses by step, `(steps, starts)`."""
    losses = []
    for _ in range(sizes.steps):
        losses.append(entropy(cascade.answer(POINTS), CLASSES))
        slope = slopes(cascade, POINTS, CLASSES)
        cascade = Cascade(cascade.first - RATE * slope.first, cascade.last - RATE * slope.last)
    return cascade, np.array(losses)


def run(given: Given, sizes: Sizes, seed: int) -> Result:
    """Lines, distances and cascades on the four points, and on new points near them."""
    rng = np.random.default_rng([seed, 0])
    near = np.repeat(POINTS, sizes.near, axis=0) + 0.12 * rng.normal(size=(4 * sizes.near, 2))
    truth = np.repeat(CLASSES, sizes.near)
    straight = fit_logistic(POINTS, CLASSES, RIDGE)
    by_hand = fit_logistic(distances(POINTS), CLASSES, RIDGE)
    begun = {units: begin(rng, units, sizes.starts) for units in UNITS}
    learned = {units: learn(cascades, sizes) for units, cascades in begun.items()}
    pair, losses = learned[2]
    best = pair.take(int(losses[-1].argmin()))
    models = {
        "logistic": (expit(answers(straight, POINTS)), expit(answers(straight, near))),
        "distances": (expit(answers(by_hand, distances(POINTS))), expit(answers(by_hand, distances(near)))),
        "cascade": (best.answer(POINTS)[0], best.answer(near)[0]),
    }
    numbers: dict[str, float] = {}
    for name, (here, there) in models.items():
        numbers[f"accuracy/{name}"] = float(accuracy(here, CLASSES))
        numbers[f"loss/{name}"] = float(entropy(here, CLASSES))
        numbers[f"accuracy_nearby/{name}"] = float(accuracy(there, truth))
    lines = expit(answers(rng.normal(size=(sizes.lines, 3)), POINTS[None]))
    numbers["accuracy/best_line"] = float(accuracy(lines, CLASSES).max())
    for units, (cascades, _) in learned.items():
        numbers[f"solved/{units}_units"] = float(np.mean(accuracy(cascades.answer(POINTS), CLASSES) == 1))
    return Result(
        origin=SYNTHETIC,
        numbers=numbers,
        tables=[_models(numbers), _points(best)],
        pictures={
            "features": Picture(_features(straight, by_hand, best), _FEATURES),
            "learning": Picture(_learning(best, losses, numbers), _LEARNING),
        },
        takeaway=_TAKEAWAY,
        lab=_lab(begun[2]),
    )


def _lab(begun: Cascade) -> Lab:
    return Lab(
        "cascade",
        {
            "points": POINTS.tolist(),
            "classes": CLASSES.tolist(),
            "rate": RATE,
            "first": begun.first[:TRIED].tolist(),
            "last": begun.last[:TRIED].tolist(),
        },
        Text(
            "Try it: let two units learn the four points from another start; some starts get stuck.",
            "试一试：换一个起点，让两个单元学习这四个点；有些起点会卡住。",
        ),
    )


def _models(numbers: dict[str, float]) -> Table:
    named = {
        "logistic": Text("logistic regression", "逻辑回归"),
        "distances": Text("logistic regression on the distances", "以距离为特征的逻辑回归"),
        "cascade": Text("two units, then one", "两个单元再接一个"),
    }
    rows: list[list[Cell | Text]] = [
        [
            text,
            f"{4 * numbers[f'accuracy/{name}']:.0f} / 4",
            f"{numbers[f'loss/{name}']:.4f}",
            f"{100 * numbers[f'accuracy_nearby/{name}']:.1f} %",
        ]
        for name, text in named.items()
    ]
    best = f"{4 * numbers['accuracy/best_line']:.0f} / 4"
    rows.append([Text("best of the random lines", "随机直线中最好的"), best, "-", "-"])
    heads = [
        Text("model", "模型"),
        Text("of the four points correct", "四个点中答对"),
        Text("cross-entropy", "交叉熵"),
        Text("accuracy on new points", "新点正确率"),
    ]
    return Table(_MODELS, heads, rows)


def _points(best: Cascade) -> Table:
    hand, units, answer = distances(POINTS), best.features(POINTS)[0], best.answer(POINTS)[0]
    rows: list[list[Cell | Text]] = [
        [
            f"({x[0]:.0f}, {x[1]:.0f})",
            1 if CLASSES[row] else 2,
            f"({hand[row, 0]:.2f}, {hand[row, 1]:.2f})",
            f"({units[row, 0]:.2f}, {units[row, 1]:.2f})",
            f"{answer[row]:.3f}",
        ]
        for row, x in enumerate(POINTS)
    ]
    heads = [
        Text("point", "点"),
        Text("class", "类别"),
        Text("distances", "距离"),
        Text("learned features", "学到的特征"),
        Text("P(class 1), cascade", "P(类别 1)，级联"),
    ]
    return Table(_POINTS, heads, rows)


def _features(straight: Doubles, by_hand: Doubles, best: Cascade) -> Figure:
    figure, axes = canvas(1, 3, 8.8, 3.1)
    panels = (
        ("as given", POINTS, straight, (-0.25, 1.25)),
        ("hand-made distances", distances(POINTS), by_hand, (-0.3, 1.7)),
        ("features learned by two units", best.features(POINTS)[0], best.last[0], (-0.15, 1.15)),
    )
    for index, (title, points, weights, span) in enumerate(panels):
        axis = axes[0, index]
        side = np.linspace(*span, 120)
        across, up = np.meshgrid(side, side)
        answer = expit(answers(weights, np.column_stack([across.ravel(), up.ravel()]))).reshape(across.shape)
        axis.contourf(across, up, answer, np.linspace(0, 1, 11), cmap="RdBu", alpha=0.5)
        if index:
            axis.contour(across, up, answer, [0.5], colors="#1f2937", linewidths=1.5)
        prime = "'" if index else ""
        axis.set(xlabel=f"$x_1{prime}$", ylabel=f"$x_2{prime}$", xlim=span, ylim=span)
        axis.set(xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
        _mark(axis, points)
        axis.set_title(title, fontsize=9)
    return figure


def _mark(axis: Axes, points: Doubles) -> None:
    across, up = points.T
    axis.scatter(across, up, c=["#1d4ed8" if label else "#b91c1c" for label in CLASSES], s=70, ec="white", zorder=3)
    close = np.linalg.norm(points[:, None] - points, axis=2) < 0.1
    for row, point in enumerate(points):
        # Points that fall together share one label, beside the first of them.
        if close[row].argmax() == row:
            names = "\n".join(f"({x[0]:.0f}, {x[1]:.0f})" for x in POINTS[close[row]])
            low, high = axis.get_xlim()
            side = "right" if point[0] > (low + high) / 2 else "left"
            shift = (-7 if side == "right" else 7, 5)
            axis.annotate(names, point, shift, textcoords="offset points", fontsize=8, ha=side)


def _learning(best: Cascade, losses: Doubles, numbers: dict[str, float]) -> Figure:
    figure, axes = canvas(1, 3, 8.8, 2.9)
    across, up = np.meshgrid(np.linspace(-0.4, 1.4, 120), np.linspace(-0.4, 1.4, 120))
    grid = np.column_stack([across.ravel(), up.ravel()])
    region, curves, bars = axes[0]
    region.contourf(
        across, up, best.answer(grid)[0].reshape(across.shape), np.linspace(0, 1, 11), cmap="RdBu", alpha=0.5
    )
    _mark(region, POINTS)
    region.set_title("output of the cascade", fontsize=9)
    region.set(xlabel="$x_1$", ylabel="$x_2$")
    curves.plot(losses, color="#1d4ed8", lw=0.7, alpha=0.5)
    curves.axhline(np.log(2), color="#b91c1c", lw=1.2, ls="--")
    curves.set_title("two units: all initializations", fontsize=9)
    curves.set(xlabel="update", ylabel="cross-entropy", yscale="log")
    shares = [numbers[f"solved/{units}_units"] for units in UNITS]
    bars.bar([str(units) for units in UNITS], shares, color="#15803d", alpha=0.8)
    bars.set_title("share of successful initializations", fontsize=9)
    bars.set(xlabel="hidden units", ylim=(0, 1.03))
    return figure


_MODELS = Text(
    "The four points, and new points scattered around them. Logistic regression ends at w = 0 and outputs 0.5 "
    "everywhere, with the cross-entropy ln 2 = 0.6931.",
    "四个点，以及散布在它们周围的新点。逻辑回归停在 w = 0、处处输出 0.5，交叉熵为 ln 2 = 0.6931。",
)
_POINTS = Text(
    "The transformed points. In terms of the distances two of them coincide; in the learned features, class 1 and "
    "class 2 lie on opposite sides of a line.",
    "这些点变成了什么。以距离为特征时有两个点重合；在两个单元学到的特征里，类别 1 与类别 2 位于一条直线的两侧。",
)
_FEATURES = Text(
    "Left: no line has the blue points on one side and the red on the other, and logistic regression outputs 0.5 "
    "everywhere. Middle and right: after the feature transformation a line separates them.",
    "左：没有直线能把蓝点和红点分在两侧，逻辑回归处处输出 0.5。中、右：变换特征之后，一条直线就够了。",
)
_LEARNING = Text(
    "Left: the outputs of the best cascade of two units, in the original plane. Middle: from most initializations the "
    "loss goes to 0, some get stuck; dashed is a constant output. Right: with more units nearly every initialization "
    "succeeds.",
    "左：两个单元的最好级联在原平面上的输出。中：多数起点的损失降到 0，有些卡住；虚线是处处输出 0.5 时的损失。"
    "右：单元更多时，几乎每个起点都能成功。",
)
_TAKEAWAY = Text(
    "A single logistic regression has a linear boundary and cannot classify more than three of these four points "
    "correctly; after the right feature transformation one line is enough. Logistic units can learn that "
    "transformation themselves, and such a cascade is a neural network.",
    "单个逻辑回归只能画一条直线，四个点最多答对三个；换成合适的特征之后，一条直线就够了。"
    "这种特征变换可以由逻辑回归单元自己学出来，这样的级联就是神经网络。",
)
STUDY = Study(
    title=Text("The limit of logistic regression, and a cascade", "逻辑回归的局限与级联"),
    question=Text(
        "Four points: (0, 0) and (1, 1) belong to class 2, (0, 1) and (1, 0) to class 1. The boundary of logistic "
        "regression is a line, and no line separates them, as many random lines confirm.\n\nThe course's solution is "
        "a feature transformation: distance to (0, 0) and distance to (1, 1) instead of the two coordinates. But who "
        "finds such features? Two logistic regressions can be put in front of the last one, with their outputs as its "
        "features, and all three are trained jointly by gradient descent on the cross-entropy. From some random "
        "initializations that gets stuck, so it is repeated from many, and with more than two units in front.",
        "四个点：(0, 0) 和 (1, 1) 属于类别 2，(0, 1) 和 (1, 0) 属于类别 1。逻辑回归的边界是一条直线，"
        "而没有直线能把它们分开；这里也试了许多随机直线。\n\n"
        "课程的办法是变换特征：用到 (0, 0) 的距离和到 (1, 1) 的距离代替两个坐标。但这样的特征由谁来找？"
        "可以在最后一个逻辑回归之前再放两个，它们的输出就是它的特征，三者一起沿交叉熵的梯度训练。"
        "有些随机起点会卡住，所以从许多起点出发，并且也试更多的前置单元。",
    ),
    formulas=[
        Formula(
            r"x_1' = \left\| x - (0, 0) \right\|, \qquad x_2' = \left\| x - (1, 1) \right\|",
            Text("hand-made features", "手工设计的特征"),
        ),
        Formula(
            r"x_i' = \sigma(w_i \cdot x + b_i), \qquad P(C_1|x) = \sigma(w \cdot x' + b)",
            Text("learned features: a cascade of logistic regressions", "学出来的特征：级联的逻辑回归"),
        ),
    ],
    sizes=Sizes,
    run=run,
)
