"""A model with everything in it, and the penalty that makes it usable."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from redoubt.bundle.base.types import Positive
from redoubt.params.settings.base import Count, Strict
from redoubt.report.figures import canvas
from redoubt.studies.contract import Cell, Doubles, Formula, Lab, Picture, Result, Study, Table, Text, beside_the_course
from redoubt.studies.given import SPECIES, Evolutions, Given
from redoubt.studies.origins import of_evolutions
from redoubt.studies.regression.polynomial import lees_error
from redoubt.studies.regression.species import after, deltas, rmse
from redoubt.studies.worlds import collections

LAMBDAS = (0.0, 1.0, 10.0, 100.0, 1e3, 1e4, 1e5)
NAMES = tuple(f"lambda_{strength:.0f}" for strength in LAMBDAS)
INPUTS = ("cp", "hp", "height", "weight")
# The slide's average errors, training and test.
COURSE = ((1.9, 102.3), (2.3, 68.7), (3.5, 25.7), (4.1, 11.1), (5.6, 12.8), (6.3, 18.7), (8.5, 26.8))
# That much is added to every CP, to see which model does not care.
SHIFT = 1000.0


class Sizes(Strict):
    """Sizes of the study.

    Attributes:
        worlds: simulated tables of 75 evolutions, on which the path is followed again.
        draws: of noise on the inputs.
        noise: its standard deviation, in those of the inputs.
    """

    worlds: Count = 40
    draws: Count = 40
    noise: Positive = 0.02


def features(rows: pd.DataFrame) -> Doubles:
    """What the penalty holds down: CP and its square per species, and HP, height, weight and their squares."""
    cp, *others = (rows[name].to_numpy(float)[:, None] for name in INPUTS)
    delta = deltas(rows)
    return np.hstack([delta * cp, delta * cp**2, *(each**power for each in others for power in (1, 2))])


def ridge(free: Doubles, held: Doubles, y: Doubles, strength: float) -> Doubles:
    """Weights of all columns that minimize the sum of squares plus strength^2 times that of the held weights.

    Least squares on stacked rows does it: strength times a held weight is one more error, whose target is 0.
    """
    count = held.shape[1]
    below = np.hstack([np.zeros((count, free.shape[1])), strength * np.eye(count)])
    stacked = np.vstack([np.hstack([free, held]), below])
    return np.asarray(np.linalg.lstsq(stacked, np.concatenate([y, np.zeros(count)]), rcond=None)[0])


def answers(weights: Doubles, rows: pd.DataFrame) -> Doubles:
    """The model's CP after evolution; the weights of the species' biases come first.

    Args:
        weights: of one lambda, or a column for each.
        rows: to answer.
    """
    return np.asarray(np.hstack([deltas(rows), features(rows)]) @ weights)


def path(rows: pd.DataFrame) -> Doubles:
    """Weights fitted to rows, a column for each lambda."""
    free, held, y = deltas(rows), features(rows), after(rows)
    return np.stack([ridge(free, held, y, strength) for strength in LAMBDAS], axis=1)


def by_sklearn(rows: pd.DataFrame, strength: float) -> Doubles:
    """Answers on the training rows of scikit-learn's Ridge, told what lambda and the free biases are in its terms.

    It knows one intercept and no free weights, so what the biases explain is taken out of both sides before; and its
    alpha is the square of the slide's lambda.
    """
    from sklearn.linear_model import Ridge

    basis = np.linalg.qr(deltas(rows))[0]
    held, y = features(rows), after(rows)
    model = Ridge(alpha=strength**2, fit_intercept=False, solver="svd")
    within = model.fit(held - basis @ (basis.T @ held), y - basis @ (basis.T @ y))
    return np.asarray(within.predict(held - basis @ (basis.T @ held)) + basis @ (basis.T @ y))


def sensitivity(weights: Doubles, rows: pd.DataFrame, sizes: Sizes, rng: np.random.Generator) -> Doubles:
    """Root mean square, for each lambda, by which noise on the inputs moves the answers."""
    same = pd.concat([rows] * sizes.draws, ignore_index=True)
    spread = sizes.noise * rows[list(INPUTS)].std(ddof=0).to_numpy()
    moved = same[list(INPUTS)] + spread * rng.normal(size=(len(same), len(INPUTS)))
    change = answers(weights, same.assign(**moved)) - answers(weights, same)
    return np.asarray(np.sqrt(np.square(change).mean(axis=0)))


def shift_off(rows: pd.DataFrame, strength: float, *, free: bool) -> float:
    """By how much at most the answers fail to follow when every CP after evolution is raised by `SHIFT`."""
    bias, held, y = deltas(rows), features(rows), after(rows)
    if not free:
        bias, held = bias[:, :0], np.hstack([bias, held])
    design = np.hstack([bias, held])
    low, high = (design @ ridge(bias, held, target, strength) for target in (y, y + SHIFT))
    return float(np.abs(high - low - SHIFT).max())


def run(given: Given, sizes: Sizes, seed: int) -> Result:
    """Follow lambda on the given rows and on simulated ones, and measure smoothness and what a penalized bias does."""
    evolutions = given.evolutions()
    train, test = evolutions.train, evolutions.test
    weights = path(train)
    errors = {part: answers(weights, rows).T - after(rows) for part, rows in (("train", train), ("test", test))}
    found = {part: [lees_error(each) for each in values] for part, values in errors.items()}
    found["weights"] = list(np.linalg.norm(weights[len(SPECIES) :], axis=0))
    found["moved"] = list(sensitivity(weights, train, sizes, np.random.default_rng([seed, 0])))
    found["simulated_test"] = list(again(np.random.default_rng([seed, 1]), sizes.worlds))
    numbers = {f"{kind}/{name}": float(v) for kind, each in found.items() for name, v in zip(NAMES, each, strict=True)}
    numbers["sklearn_off"] = max(_sklearn_off(evolutions.train, each) for each in LAMBDAS[1:])
    for name, free in (("free", True), ("penalized", False)):
        numbers[f"shift_off/bias_{name}"] = shift_off(evolutions.train, 100.0, free=free)
    return Result(
        origin=of_evolutions(evolutions),
        numbers=numbers,
        tables=[_path_table(numbers, evolutions, weights), _eevee_table(evolutions, weights)],
        pictures={
            "lambda": Picture(_errors(numbers, sizes), _ERRORS),
            "smooth": Picture(_smooth(evolutions, weights), _SMOOTH),
        },
        takeaway=_takeaway(numbers, sizes),
        lab=_lab(train, test),
    )


def _lab(train: pd.DataFrame, test: pd.DataFrame) -> Lab:
    """Ridge regression as a shrinking along singular directions, which a page can do for any lambda.

    What the free biases explain is taken out of both sides first; each direction with singular value s then gets the
    share s^2 / (s^2 + lambda^2) of what least squares would give it.
    """
    free, held, y = deltas(train), features(train), after(train)
    fitted = np.linalg.pinv(free)
    left, singular, right = np.linalg.svd(held - free @ (fitted @ held), full_matrices=False)
    parts = {
        name: {
            "fixed": (deltas(rows) @ (fitted @ y)).tolist(),
            "columns": ((features(rows) - deltas(rows) @ (fitted @ held)) @ right.T).tolist(),
            "y": after(rows).tolist(),
        }
        for name, rows in (("train", train), ("test", test))
    }
    return Lab(
        "lambda",
        {"singular": singular.tolist(), "along": (left.T @ y).tolist(), **parts},
        Text(
            "Try it: raise lambda; the training error only grows. Does the test error follow?",
            "试一试：增大 λ；训练误差只会上升。测试误差也跟着上升吗？",
        ),
    )


def again(rng: np.random.Generator, worlds: int) -> Doubles:
    """Median error per lambda on the ten test examples of simulated tables, in the course's metric."""
    tables = collections(rng, worlds)
    found = [answers(path(table.train), table.test).T - after(table.test) for table in tables]
    return np.asarray(np.median([[lees_error(each) for each in errors] for errors in found], axis=0))


def _sklearn_off(rows: pd.DataFrame, strength: float) -> float:
    ours = answers(ridge(deltas(rows), features(rows), after(rows), strength), rows)
    return float(np.abs(by_sklearn(rows, strength) - ours).max() / np.abs(ours).max())


def _path_table(numbers: dict[str, float], evolutions: Evolutions, weights: Doubles) -> Table:
    rows: list[list[Cell | Text]] = []
    for index, (name, strength) in enumerate(zip(NAMES, LAMBDAS, strict=True)):
        errors = answers(weights[:, index], evolutions.test) - after(evolutions.test)
        rows.append(
            [
                f"{strength:,.0f}",
                *(f"{value:.1f}" for value in COURSE[index]),
                *(f"{numbers[f'{part}/{name}']:.2f}" for part in ("train", "test")),
                f"{rmse(errors):.1f}",
                f"{np.abs(errors).mean():.1f}",
                f"{numbers[f'simulated_test/{name}']:.1f}",
            ]
        )
    heads = [
        Text("lambda", "λ"),
        *beside_the_course(evolutions.real),
        Text("simulated tables, test", "模拟数据，测试"),
    ]
    return Table(_TABLE, heads, rows)


def _eevee_table(evolutions: Evolutions, weights: Doubles) -> Table:
    eevee = (evolutions.test["species"] == "Eevee").to_numpy()
    rows: list[list[Cell | Text]] = []
    for strength, each in zip(LAMBDAS, weights.T, strict=True):
        squares = np.square(answers(each, evolutions.test) - after(evolutions.test))
        rows.append(
            [
                f"{strength:,.0f}",
                f"{100 * squares[eevee].sum() / squares.sum():.1f}",
                *(f"{np.sqrt(squares[rows].mean()):.1f}" for rows in (eevee, ~eevee)),
            ]
        )
    heads = [
        Text("lambda", "λ"),
        Text("% of the squared error", "占平方误差的 %"),
        Text("RMSE, two Eevees", "RMSE，两只伊布"),
        Text("RMSE, the other eight", "RMSE，其余八只"),
    ]
    return Table(_EEVEE, heads, rows)


def _errors(numbers: dict[str, float], sizes: Sizes) -> Figure:
    figure, axes = canvas(1, 2, 8.8, 3.4)
    places = range(len(LAMBDAS))
    left, right = axes[0]
    lines = {
        "train": ("#1f2937", "o-", "training"),
        "test": ("#b91c1c", "o-", "ten test examples"),
        "simulated_test": ("#c2410c", "s--", f"median of {sizes.worlds} simulated tables"),
    }
    for kind, (colour, style, label) in lines.items():
        left.plot(places, [numbers[f"{kind}/{name}"] for name in NAMES], style, color=colour, ms=4, label=label)
    left.set(ylabel="average error (course's metric)", yscale="log")
    left.legend(fontsize=7)
    right.plot(places, [numbers[f"moved/{name}"] for name in NAMES], "o-", color="#1d4ed8", ms=4)
    right.set(ylabel=f"change of predictions (CP), {100 * sizes.noise:g} % input noise", ylim=(0, None))
    right.yaxis.label.set_color("#1d4ed8")
    size = right.twinx()
    size.plot(places, [numbers[f"weights/{name}"] for name in NAMES], "s--", color="#15803d", ms=4)
    size.set(ylabel="length of the weights", yscale="log")
    size.yaxis.label.set_color("#15803d")
    size.grid(visible=False)
    for axis in axes[0]:
        axis.set_xticks(places, ["0", "1", "10", "100", "1e3", "1e4", "1e5"])
        axis.set(xlabel="lambda")
    return figure


def _smooth(evolutions: Evolutions, weights: Doubles) -> Figure:
    figure, axes = canvas(1, 3, 8.8, 3.2)
    species = evolutions.table["species"]
    for axis, strength in zip(axes[0], (0.0, 100.0, 1e5), strict=True):
        for name, colour in (("Pidgey", "#1d4ed8"), ("Eevee", "#b91c1c")):
            train, test = (part[part["species"] == name] for part in (evolutions.train, evolutions.test))
            kind = evolutions.table[species == name]
            line = pd.DataFrame({"cp": np.linspace(kind["cp"].min(), kind["cp"].max(), 80), "species": name})
            line = line.assign(**{other: train[other].mean() for other in INPUTS[1:]})
            axis.plot(line["cp"], answers(weights[:, LAMBDAS.index(strength)], line), color=colour, lw=1)
            axis.plot(train["cp"], train["newcp"], "o", color=colour, ms=3, label=f"{name}, training")
            axis.plot(test["cp"], test["newcp"], "x", color=colour, ms=5, label=f"{name}, test")
        axis.set(xlabel="CP before", title=f"lambda {strength:,.0f}", ylim=(-300, 2600))
    axes[0, 0].set(ylabel="CP after")
    axes[0, 0].legend(fontsize=7)
    return figure


def _takeaway(numbers: dict[str, float], sizes: Sizes) -> Text:
    best = LAMBDAS[int(np.argmin([numbers[f"simulated_test/{name}"] for name in NAMES]))]
    rough, calm = (numbers[f"moved/lambda_{strength}"] for strength in (0, 100))
    off = numbers["shift_off/bias_penalized"]
    return Text(
        "A penalty on the weights makes the function smoother (noise on the inputs moves its predictions by "
        f"{rough:.1f} CP without one, by {calm:.1f} at lambda 100), and the test error is smallest for an "
        f"intermediate penalty: at lambda {best:g} in the median of {sizes.worlds} simulated tables. The bias is not "
        "penalized, since it shifts the function without bending it; with the biases penalized at lambda 100 the "
        f"predictions fall short of a rise of all CP by {SHIFT:g} by up to {off:.0f}.",
        f"对权重加惩罚会让函数更平滑（输入噪声使输出移动的幅度从无惩罚时的 {rough:.1f} CP 降到 λ = 100 时的 "
        f"{calm:.1f} CP），测试误差在“不罚”和“罚过头”之间最小：在 {sizes.worlds} 份模拟数据的中位数上是 "
        f"λ = {best:g}。偏置不参与惩罚，因为它只平移函数而不使其弯曲；若在 λ = 100 时也惩罚偏置，"
        f"所有 CP 整体提高 {SHIFT:g} 时，输出最多会差 {off:.0f}。",
    )


_TABLE = Text(
    "Average error in CP, the course's metric, with RMSE and mean absolute error (MAE) on the test examples. The "
    "slide's lambda enters squared, on the sum of squares with unscaled inputs; its figures are not reproduced "
    "otherwise. Lambda was selected on these ten test examples, so the smallest test error is optimistic; the last "
    "column is a median over simulated tables, each with its own test examples.",
    "以 CP 为单位的平均误差（课程的度量），旁边是测试集的 RMSE 和平均绝对误差。幻灯片上的 λ 以平方的形式出现，"
    "惩罚加在平方和上，且输入不缩放，否则得不到那些数字。λ 是在这十个测试样本上选出的，所以最小值偏乐观；"
    "最后一列是多份模拟数据的中位数，每份都有自己的测试样本。",
)
_EEVEE = Text(
    "Where the test error comes from: two of the ten examples are Eevees, of which the model has seen only four "
    "training examples.",
    "测试误差来自哪里：十个样本中有两只伊布，而模型只见过四只用于训练的伊布。",
)
_ERRORS = Text(
    "Left: the error against lambda, on the training examples, on the ten test examples and on simulated tables. "
    "Right: how far the predictions move when the inputs are jittered, and the norm of the weights. The movement does "
    "not decrease at every step: with unscaled inputs the penalty removes the linear weights first, and the quadratic "
    "terms take over, which are steep where a Pokémon is strong.",
    "左：误差随 λ 的变化，分别在训练样本、十个测试样本和模拟数据上。右：给输入加噪声时输出移动多少，以及权重的长度。"
    "移动幅度并非每一步都下降：输入没有缩放，惩罚首先压掉一次项的权重，由平方项接替，而平方项在强的宝可梦处很陡。",
)
_SMOOTH = Text(
    "The fitted curves of two species against CP, the other inputs at their mean over the species' training examples. "
    "Without a penalty Eevee's curve is determined by four examples; with a large one even Pidgey's nearly straight "
    "line is bent, because the squares of large inputs need the smallest weights.",
    "两个物种的拟合曲线（其余输入取该物种训练样本的均值）。没有惩罚时，伊布的曲线任由四个样本摆布；惩罚很大时，"
    "连波波近乎笔直的线也被压弯，因为大数值的平方只需要最小的权重。",
)
STUDY = Study(
    title=Text("Regularization", "正则化"),
    question=Text(
        "If the species helped, why not put in everything: a quadratic per species, HP, height and weight, and their "
        "squares? The training error falls and the test error explodes. Instead of removing features again, "
        "regularization penalizes large weights; lambda sets how strongly.\n\nSmall weights mean a smooth function, "
        "one whose prediction changes little when an input does, so that noise in the inputs does little harm; this "
        "is measured here by adding noise. The bias is not penalized: it does not affect smoothness. A model with a "
        "free bias follows when every target is raised by the same amount, which the study verifies. scikit-learn's "
        "Ridge gives the same predictions once lambda is squared.",
        "既然物种有用，为什么不把一切都放进来：每个物种一个二次函数，再加上 HP、身高、体重及其平方？训练误差下降，"
        "测试误差却爆炸了。正则化不去掉特征，而是要求权重要小，λ 决定要求有多强。\n\n"
        "权重小意味着函数平滑：输入变一点，输出也只变一点，输入里的噪声就难以造成伤害，本节通过加噪声来测量这一点。"
        "偏置不参与惩罚，因为它不会让函数更平滑或更崎岖。偏置自由的模型会跟随所有目标值的整体平移，本节就平移它们来看。"
        "把 λ 平方之后，scikit-learn 的 Ridge 给出相同的答案。",
    ),
    formulas=[
        Formula(
            r"L = \sum_n \left(y^n - \left(b + \sum_i w_i x_i^n\right)\right)^2 + \lambda^2 \sum_i w_i^2",
            Text(
                "the loss, with lambda as the slide's figures require: squared, and without b in the penalty",
                "损失函数；要得到幻灯片上的数字，λ 需取平方，且惩罚中没有 b",
            ),
        ),
        Formula(
            r"\hat{y}(x + \Delta x) - \hat{y}(x) = \sum_i w_i\, \Delta x_i",
            Text("why small weights mean a smooth function; b does not appear", "为什么权重小就平滑：式中没有 b"),
        ),
    ],
    sizes=Sizes,
    run=run,
)
