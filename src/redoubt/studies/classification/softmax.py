"""Many classes: softmax and its gradient, a column per class against an integer for each."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import expit, log_softmax
from scipy.special import softmax as probabilities

from redoubt.core.types import Batch
from redoubt.params.settings.base import Count, Strict
from redoubt.report.figures import canvas
from redoubt.studies.classification.classifiers import with_one
from redoubt.studies.contract import Cell, Doubles, Formula, Picture, Result, Study, Table, Text
from redoubt.studies.given import Given
from redoubt.studies.origins import of_digits

CLASSES = 10
# The course's example: z, and what softmax makes of it.
COURSE_Z, COURSE_Y = (3.0, 1.0, -3.0), ("0.88", "0.12", "0")
# Weight of the squares in the regressions: some pixels never change.
RIDGE = 1.0


class Sizes(Strict):
    """Sizes of the study.

    Attributes:
        rows: of digits to learn from.
        test: of digits to report on.
        steps: of gradient descent.
        numberings: of the ten digits, drawn at random.
    """

    rows: Count = 1000
    test: Count = 400
    steps: Count = 200
    numberings: Count = 300


def cross_entropy(weights: Doubles, columns: Doubles, target: Doubles) -> float:
    """Mean of -sum of target ln y over the rows; `weights` are `(columns, classes)`, `target` is one-hot."""
    return float(-(target * log_softmax(columns @ weights, axis=1)).sum(axis=1).mean())


def gradient(weights: Doubles, columns: Doubles, target: Doubles) -> Doubles:
    """-(target - y) x on average."""
    y = probabilities(columns @ weights, axis=1)
    return np.asarray(-columns.T @ (target - y) / len(columns))


def differences(weights: Doubles, columns: Doubles, target: Doubles) -> Doubles:
    """The same gradient by central differences of the loss."""
    found, step = np.zeros_like(weights), 1e-5
    for place in np.ndindex(weights.shape):
        for sign in (1, -1):
            moved = weights.copy()
            moved[place] += sign * step
            found[place] += sign * cross_entropy(moved, columns, target) / (2 * step)
    return found


def descend(columns: Doubles, target: Doubles, steps: int) -> Doubles:
    """Weights after gradient descent from 0, at the largest rate that cannot overshoot."""
    # The curvature of softmax is at most half of that of the squared columns.
    rate = 2.0 * len(columns) / float(np.linalg.eigvalsh(columns.T @ columns)[-1])
    weights = np.zeros((columns.shape[1], target.shape[1]))
    for _ in range(steps):
        weights -= rate * gradient(weights, columns, target)
    return weights


def ridge(columns: Doubles, targets: Doubles) -> Doubles:
    """Linear regression on each column of targets with a little weight on the squares, bias left out."""
    penalty = RIDGE * np.eye(columns.shape[1])
    penalty[0, 0] = 0.0
    return np.asarray(np.linalg.solve(columns.T @ columns + penalty, columns.T @ targets))


def by_integer(scores: Doubles, numbering: Doubles) -> Doubles:
    """Classes whose numbers are nearest to the regression on the numbers.

    Args:
        scores: answers of the regression on one column per class, `(rows, classes)`. Regression is linear in its
            targets, so the regression on the numbers answers with these columns weighted by the numbers.
        numbering: the number of each class.
    """
    answer = scores @ numbering
    return np.asarray(np.abs(answer[:, None] - numbering).argmin(axis=1))


def flat(batch: Batch, rows: int) -> tuple[Doubles, Doubles]:
    """The pixels of the first rows, and their classes."""
    x = batch.x[:rows]
    return x.reshape(len(x), -1).astype(np.float64), batch.y[:rows].astype(np.float64)


def run(given: Given, sizes: Sizes, seed: int) -> Result:
    """Check the gradient; then digits by integers, by a column per class, and by softmax."""
    rng = np.random.default_rng([seed, 0])
    digits = given.digits()
    x, classes = flat(digits.train, sizes.rows)
    asked, truth = flat(digits.test, sizes.test)
    # Descent is slow where every pixel has the same sign.
    columns, asked = with_one(x - x.mean(axis=0)), with_one(asked - x.mean(axis=0))
    target = np.eye(CLASSES)[classes.astype(int)]
    numbers = checks(rng)
    scores = asked @ ridge(columns, target)
    logits = asked @ descend(columns, target, sizes.steps)
    answers = {
        "integers": by_integer(scores, np.arange(float(CLASSES))),
        "one_hot": scores.argmax(axis=1),
        "softmax": logits.argmax(axis=1),
    }
    for name, answer in answers.items():
        numbers[f"accuracy/{name}"] = float(np.mean(answer == truth))
        off = np.abs(answer - truth)[answer != truth]
        numbers[f"neighbours/{name}"] = float(np.mean(off == 1)) if len(off) else 0.0
    orders = [rng.permutation(np.arange(float(CLASSES))) for _ in range(sizes.numberings)]
    shares = [np.mean(by_integer(scores, order) == truth) for order in orders]
    numbers |= {"accuracy/numbering_worst": float(min(shares)), "accuracy/numbering_best": float(max(shares))}
    return Result(
        origin=of_digits(digits, len(columns)),
        numbers=numbers,
        tables=[_digits_table(numbers), _example()],
        pictures={
            "numberings": Picture(_numberings(np.array(shares), numbers), _NUMBERINGS),
            "confusions": Picture(_confusions(answers, truth), _CONFUSIONS),
        },
        takeaway=_takeaway(numbers),
    )


def checks(rng: np.random.Generator) -> dict[str, float]:
    """How far the gradient is from differences, and softmax from what is claimed of it."""
    columns, weights = with_one(rng.normal(size=(12, 3))), rng.normal(size=(4, 3))
    target = np.eye(3)[rng.integers(0, 3, 12)]
    z = rng.normal(size=(50, 3)) * 5
    two = probabilities(z[:, :2], axis=1)[:, 0] - expit(z[:, 0] - z[:, 1])
    moved = probabilities(z + 100, axis=1) - probabilities(z, axis=1)
    off = gradient(weights, columns, target) - differences(weights, columns, target)
    y = probabilities(np.array(COURSE_Z))
    return {
        "gradient_off": float(np.abs(off).max()),
        "two_classes_off_sigmoid": float(np.abs(two).max()),
        "constant_off": float(np.abs(moved).max()),
        **{f"example/y_{index}": float(value) for index, value in enumerate(y, start=1)},
    }


def _digits_table(numbers: dict[str, float]) -> Table:
    named = {
        "integers": Text("regression on the integers 0-9", "对整数 0-9 做回归"),
        "one_hot": Text("regression on one-hot targets", "对每类一列（one-hot）做回归"),
        "softmax": Text("softmax with cross-entropy", "softmax 加交叉熵"),
    }
    rows: list[list[Cell | Text]] = [
        [text, f"{100 * numbers[f'accuracy/{name}']:.1f} %", f"{100 * numbers[f'neighbours/{name}']:.0f} %"]
        for name, text in named.items()
    ]
    for name, text in (
        ("worst", Text("integers, worst numbering drawn", "整数，抽到的最差编号")),
        ("best", Text("integers, best numbering drawn", "整数，抽到的最好编号")),
    ):
        rows.append([text, f"{100 * numbers[f'accuracy/numbering_{name}']:.1f} %", "-"])
    heads = [
        Text("model", "模型"),
        Text("test accuracy", "测试正确率"),
        Text("errors off by one", "错误中答成相邻数字的比例"),
    ]
    return Table(_DIGITS, heads, rows)


def _example() -> Table:
    y = probabilities(np.array(COURSE_Z))
    rows: list[list[Cell | Text]] = [
        [f"{z:g}", f"{np.exp(z):.2f}", course, f"{value:.3f}"]
        for z, course, value in zip(COURSE_Z, COURSE_Y, y, strict=True)
    ]
    heads = [Text("z", "z"), Text("exp(z)", "exp(z)"), Text("course, y", "课程，y"), Text("here, y", "本次，y")]
    return Table(_EXAMPLE, heads, rows)


def _numberings(shares: Doubles, numbers: dict[str, float]) -> Figure:
    figure, axes = canvas(1, 1, 7.2, 2.7)
    axis = axes[0, 0]
    axis.hist(shares, bins=20, color="#c2410c", alpha=0.6, label="integers, numberings at random")
    for name, colour, label in (
        ("integers", "#1f2937", "integers 0-9"),
        ("one_hot", "#15803d", "one-hot targets"),
        ("softmax", "#1d4ed8", "softmax"),
    ):
        axis.axvline(numbers[f"accuracy/{name}"], color=colour, lw=2, label=label)
    axis.set(xlim=(0, 1), xlabel="test accuracy", ylabel="numberings")
    axis.legend(fontsize=8, loc="upper center")
    return figure


def _confusions(answers: dict[str, Doubles], truth: Doubles) -> Figure:
    figure, axes = canvas(1, 2, 7.6, 3.5)
    for axis, name in zip(axes[0], ("integers", "softmax"), strict=True):
        counts = np.zeros((CLASSES, CLASSES))
        np.add.at(counts, (truth.astype(int), answers[name].astype(int)), 1)
        _heat(axis, counts / np.maximum(1, counts.sum(axis=1, keepdims=True)), name)
    return figure


def _heat(axis: Axes, shares: Doubles, name: str) -> None:
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), share in np.ndenumerate(shares):
        if share >= 0.05:
            colour = "white" if share > 0.6 else "#1f2937"
            axis.text(column, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=7, color=colour)
    axis.grid(visible=False)
    axis.set_title({"integers": "integers 0-9"}.get(name, name), fontsize=9)
    axis.set(xticks=range(CLASSES), yticks=range(CLASSES), xlabel="predicted", ylabel="true digit")


def _takeaway(numbers: dict[str, float]) -> Text:
    worst, best, softmax = (
        f"{100 * numbers[f'accuracy/{name}']:.0f}" for name in ("numbering_worst", "numbering_best", "softmax")
    )
    return Text(
        "Softmax with cross-entropy has the gradient of both earlier regressions, the difference between target and "
        "output times x, for any number of classes. With an integer per class the prediction depends on the "
        f"numbering, here between {worst} and {best} % accuracy where softmax reaches {softmax} %, since digits with "
        "adjacent numbers do not look alike.",
        "softmax 加交叉熵的梯度与前面两种回归相同，都是目标与输出之差乘以 x，类别多少都行。"
        f"给每个类别一个整数会让结果取决于怎么编号，这里正确率在 {worst}% 到 {best}% 之间，而 softmax 为 {softmax}%，"
        "因为数字相邻并不代表形状相近。",
    )


_DIGITS = Text(
    "Ten digits from their pixels, by three linear models. The regression on integers is also repeated with other "
    "numberings of the ten digits.",
    "由像素识别十个数字，三个模型都是像素的线性函数。对整数的回归还换用了十个数字的其他编号。",
)
_EXAMPLE = Text(
    "The course's example of softmax: the exponential amplifies differences, so the largest z takes nearly all the "
    "probability.",
    "课程中 softmax 的例子：指数把差距拉大，最大的 z 几乎占去全部。",
)
_NUMBERINGS = Text(
    "Accuracy of the regression on integers for random numberings of the digits, and of the models that assume no "
    "order.",
    "随机给数字编号时整数回归的正确率，以及不含顺序的模型的正确率。",
)
_CONFUSIONS = Text(
    "Predictions in per cent of each true digit. Those of the regression on integers cluster around the diagonal and "
    "in the middle: undecided between 0 and 8, it predicts 4.",
    "各数字得到的答案（百分比）。整数回归的答案聚在对角线附近和中间：在 0 与 8 之间犹豫时，回归会答 4。",
)
STUDY = Study(
    title=Text("Many classes: softmax", "多分类：softmax"),
    question=Text(
        "With more than two classes each has its own w and b, and softmax turns all the z into probabilities. "
        "Cross-entropy with a one-hot target is the loss. The course derives its gradient for three classes by hand; "
        "here it is compared with finite differences of the loss at random weights. With two classes softmax is the "
        "sigmoid of the difference of both z, and a constant added to every z changes nothing; both are "
        "checked.\n\nWhy one-hot, and not simply the class's number? Ten handwritten digits seem to suggest it. A "
        "linear regression on the integers, rounded to the nearest, is compared with one on one-hot targets and with "
        "softmax, and then the digits are renumbered at random.",
        "类别多于两个时，每类有自己的 w 和 b，softmax 把所有的 z 变成概率，损失是与 one-hot 目标之间的交叉熵。"
        "课程对三个类别手工推导了梯度；这里在随机权重处与损失的差分比较。"
        "只有两类时 softmax 就是两个 z 之差的 sigmoid，所有 z 加同一个常数结果不变，两者都得到验证。\n\n"
        "为什么用 one-hot，而不直接用类别的编号？十个手写数字看上去正适合用整数。"
        "这里把对整数的线性回归（取最近的整数）与每类一列的回归、softmax 相比，然后随机打乱编号再试。",
    ),
    formulas=[
        Formula(
            r"y_i = \frac{e^{z_i}}{\sum_j e^{z_j}}, \qquad z_i = w_i \cdot x + b_i",
            Text("softmax of the z of all classes", "所有类别的 z 的 softmax"),
        ),
        Formula(
            r"L = -\sum_i \hat{y}_i \ln y_i, \qquad \frac{\partial L}{\partial w_i} = -\left(\hat{y}_i - y_i\right) x",
            Text(
                "cross-entropy, and its gradient with respect to the weights of class i",
                "交叉熵，以及它对第 i 类权重的梯度",
            ),
        ),
    ],
    sizes=Sizes,
    run=run,
)
