"""Polynomials of degree 1 to 5 on ten Pokémon: fitting better is not predicting better."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from redoubt.params.settings.base import Count, Strict
from redoubt.report.figures import canvas
from redoubt.studies.contract import Cell, Doubles, Formula, Lab, Picture, Result, Study, Table, Text, beside_the_course
from redoubt.studies.given import Evolutions, Given
from redoubt.studies.origins import of_evolutions
from redoubt.studies.worlds import collections

# In an orthonormal basis it halves the distance with every step.
RATE = 0.25
DEGREES = (1, 2, 3, 4, 5)
# The slides' average errors, training and test, by degree.
COURSE = {1: (31.93, 35.02), 2: (15.45, 18.38), 3: (15.30, 18.07), 4: (14.88, 28.80), 5: (12.82, 232.12)}


class Sizes(Strict):
    """Sizes of the study.

    Attributes:
        steps: of gradient descent.
        worlds: simulated tables of 75 evolutions, to which every degree is fitted again.
    """

    steps: Count = 60
    worlds: Count = 400


def design(x: Doubles, degree: int) -> Doubles:
    """Columns 1, x, ..., x^degree of x in thousands, without which degree 5 drowns in rounding."""
    return np.asarray(np.vander(x / 1000, degree + 1, increasing=True), np.float64)


def scaled(columns: Doubles) -> Doubles:
    """An orthonormal basis of the same columns: what gradient descent needs to arrive at all at degree 5."""
    return np.asarray(np.linalg.qr(columns)[0])


def closed_form(columns: Doubles, y: Doubles) -> Doubles:
    """The solution of the normal equations, (X'X)^-1 X'y."""
    return np.asarray(np.linalg.solve(columns.T @ columns, columns.T @ y))


def descend(columns: Doubles, y: Doubles, steps: int, rate: float = RATE) -> Doubles:
    """Weights after `steps` of gradient descent on the sum of squares, from 0."""
    weights = np.zeros(columns.shape[1])
    for _ in range(steps):
        weights -= rate * 2.0 * columns.T @ (columns @ weights - y)
    return weights


def lees_error(errors: Doubles) -> float:
    """The course's average error: the root of the summed squares over the number of rows, not of the mean square."""
    return float(np.sqrt(np.square(errors).sum()) / len(errors))


def fit(evolutions: Evolutions, degree: int) -> tuple[Doubles, dict[str, Doubles]]:
    """Weights of the polynomial fitted to ten rows, and its errors on those and on the ten test rows."""
    parts = {"train": evolutions.few, "test": evolutions.test}
    x, y = (
        {n: p["cp"].to_numpy(float) for n, p in parts.items()},
        {n: p["newcp"].to_numpy(float) for n, p in parts.items()},
    )
    weights = np.asarray(np.linalg.lstsq(design(x["train"], degree), y["train"], rcond=None)[0])
    return weights, {name: design(x[name], degree) @ weights - y[name] for name in parts}


def run(given: Given, sizes: Sizes, seed: int) -> Result:
    """Fit every degree; the first one also by gradient descent and by Keras."""
    evolutions = given.evolutions()
    fits = {degree: fit(evolutions, degree) for degree in DEGREES}
    numbers: dict[str, float] = {}
    for degree, (_, errors) in fits.items():
        for part, each in errors.items():
            numbers[f"{part}/degree_{degree}"] = lees_error(each)
            numbers[f"{part}_rmse/degree_{degree}"] = float(np.sqrt(np.square(each).mean()))
            numbers[f"{part}_mae/degree_{degree}"] = float(np.abs(each).mean())
    median = again(np.random.default_rng([seed, 0]), sizes.worlds)
    numbers |= {f"simulated_test/degree_{degree}": each for degree, each in median.items()}
    numbers |= three_ways(evolutions, sizes.steps)
    return Result(
        origin=of_evolutions(evolutions),
        numbers=numbers,
        tables=[_table(numbers, sizes.worlds, real=evolutions.real)],
        pictures={"fits": Picture(_curves(evolutions, [fits[degree][0] for degree in DEGREES], median), _CAPTION)},
        takeaway=_TAKEAWAY,
        lab=_lab(evolutions),
    )


def _lab(evolutions: Evolutions) -> Lab:
    parts = {"train": evolutions.few, "test": evolutions.test}
    return Lab(
        "polynomial",
        {name: part[["cp", "newcp"]].to_numpy(float).tolist() for name, part in parts.items()},
        Text(
            "Try it: raise the degree; with nine, ten points are met exactly.",
            "试一试：提高次数；九次时十个点全部穿过。",
        ),
    )


def again(rng: np.random.Generator, worlds: int) -> dict[int, float]:
    """Median error of each degree on the ten test examples of simulated tables, in the course's metric."""
    tables = collections(rng, worlds)
    errors = {degree: [lees_error(fit(table, degree)[1]["test"]) for table in tables] for degree in DEGREES}
    return {degree: float(np.median(each)) for degree, each in errors.items()}


def three_ways(evolutions: Evolutions, steps: int) -> dict[str, float]:
    """Largest distance of gradient descent's and Keras's answers from the closed form's, in units of its largest."""
    x, y = evolutions.few["cp"].to_numpy(float), evolutions.few["newcp"].to_numpy(float)
    found = {"descent_off": 0.0, "keras_off": 0.0}
    for degree in DEGREES:
        columns = scaled(design(x, degree))
        exact = columns @ closed_form(columns, y)
        ways = {"descent_off": descend(columns, y, steps), "keras_off": by_keras(columns, y, steps)}
        for name, weights in ways.items():
            off = np.abs(columns @ weights - exact).max() / np.abs(exact).max()
            found[name] = max(found[name], float(off))
    return found


def by_keras(columns: Doubles, y: Doubles, steps: int) -> Doubles:
    """Weights of a Dense layer without bias, trained in float64 by `keras.optimizers.SGD` on all rows at once."""
    import keras
    import tensorflow as tf

    layer = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros", dtype="float64")
    optimizer = keras.optimizers.SGD(RATE)
    x, target = tf.constant(columns), tf.constant(y[:, None])
    layer.build(x.shape)
    optimizer.build(layer.trainable_variables)

    for _ in range(steps):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(layer(x) - target))
        optimizer.apply(tape.gradient(loss, layer.trainable_variables))
    return np.asarray(layer.kernel)[:, 0]


def _table(numbers: dict[str, float], worlds: int, *, real: bool) -> Table:
    rows: list[list[Cell | Text]] = [
        [
            degree,
            *(f"{COURSE[degree][index]:.2f}" for index in range(2)),
            *(f"{numbers[f'{part}/degree_{degree}']:.2f}" for part in ("train", "test")),
            *(f"{numbers[f'test_{kind}/degree_{degree}']:.0f}" for kind in ("rmse", "mae")),
            f"{numbers[f'simulated_test/degree_{degree}']:.2f}",
        ]
        for degree in DEGREES
    ]
    many = Text(f"test, median of {worlds} simulated tables", f"测试，{worlds} 份模拟数据的中位数")
    heads = [Text("degree", "次数"), *beside_the_course(real), many]
    return Table(_TABLE, heads, rows)


def _curves(evolutions: Evolutions, weights: Sequence[Doubles], median: Mapping[int, float]) -> Figure:
    figure, axes = canvas(1, 2, 8.8, 3.4)
    few, test = evolutions.few, evolutions.test
    line = np.linspace(0, max(few["cp"].max(), test["cp"].max()) * 1.05, 300)
    top = 1.3 * max(few["newcp"].max(), test["newcp"].max())
    left, right = axes[0]
    for degree, each in zip(DEGREES, weights, strict=True):
        left.plot(line, np.clip(design(line, degree) @ each, -top, 2 * top), lw=1.2, label=f"degree {degree}")
    left.plot(few["cp"], few["newcp"], "o", color="#1f2937", ms=4, label="training")
    left.plot(test["cp"], test["newcp"], "x", color="#b91c1c", ms=5, label="test")
    left.set(ylim=(-0.2 * top, top), xlabel="CP before", ylabel="CP after")
    left.legend(fontsize=7)
    errors = {part: [lees_error(fit(evolutions, degree)[1][part]) for degree in DEGREES] for part in ("train", "test")}
    for part, colour in (("train", "#1f2937"), ("test", "#b91c1c")):
        right.plot(DEGREES, errors[part], "o-", color=colour, ms=4, label="training" if part == "train" else part)
    right.plot(DEGREES, list(median.values()), "s--", color="#7c3aed", ms=4, label="test, median of simulations")
    right.set(xlabel="degree", ylabel="average error", yscale="log", xticks=DEGREES)
    right.legend(fontsize=7)
    return figure


_TABLE = Text(
    "Average error in CP. The course's “average error” is the root of the summed squared errors divided by the number "
    "of examples, that is, RMSE divided by the root of that number; RMSE and mean absolute error (MAE) on our test "
    "examples are given beside it.",
    "以 CP 为单位的平均误差。课程的“平均误差”是误差平方和开根号再除以样本数，即 RMSE 除以样本数的平方根；"
    "旁边给出我们测试集上的 RMSE 和平均绝对误差。",
)
_CAPTION = Text(
    "Left: the five polynomials, the ten examples they were fitted to and the ten held-out ones. Right: the training "
    "error decreases monotonically with the degree, while the test error rises again. On ten test examples chance "
    "decides where; the median over simulated tables (dashed) shows what to expect.",
    "左：五个多项式、用来拟合的十个样本和没有见过的十个样本。右：训练误差随次数单调下降，测试误差却会回升。"
    "只有十个测试样本时，何时回升全凭运气；许多份模拟数据的中位数（虚线）才是应当预期的结果。",
)
_TAKEAWAY = Text(
    "The polynomials of a higher degree include those of every lower one, so the training error can only decrease; on "
    "new examples the error soon increases, which is overfitting. Select the model on examples that it was not fitted "
    "to.",
    "高次多项式包含低次多项式，所以训练误差只会更小；但在新样本上很快变差，这就是过拟合。"
    "应当用没有参与拟合的样本来选择模型。",
)
STUDY = Study(
    title=Text("Polynomials: which degree?", "多项式：该用几次？"),
    question=Text(
        "How strong will a Pokémon be after it evolves? The course takes ten of them, describes each by its combat "
        "power (CP) and asks which polynomial predicts the CP after evolution. A model is a set of functions, the "
        "loss measures how bad a function is, and the best one is found in closed form or by gradient descent. Both "
        "reach the same function, which is checked here for every degree to 1e-6, on scaled features.",
        "一只宝可梦进化之后会有多强？课程取十只宝可梦，用战斗力（CP）描述它们，问哪个多项式能预测进化后的 CP。"
        "模型是一组函数，损失函数衡量一个函数有多坏，组里最好的函数可以用闭式解得到，也可以沿梯度一步步走到："
        "殊途同归，这里对每个次数（在缩放后的列上）验证到 1e-6。",
    ),
    formulas=[
        Formula(r"\hat{y} = b + \sum_{k=1}^{d} w_k\, x_{cp}^{\,k}", Text("the model of degree d", "d 次模型")),
        Formula(
            r"L(w) = \sum_n \left(y^n - \hat{y}^n\right)^2, \qquad w^* = (X^T X)^{-1} X^T y",
            Text("the loss, and where it is smallest", "损失函数及其最小点"),
        ),
        Formula(r"w \leftarrow w - \eta\, \nabla L(w)", Text("gradient descent", "梯度下降")),
    ],
    sizes=Sizes,
    run=run,
)
