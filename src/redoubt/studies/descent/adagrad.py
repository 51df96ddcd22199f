"""Adagrad: a learning rate per parameter, why it may divide by what it has seen, and where that reasoning ends."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from redoubt.params.settings.base import Count, Strict
from redoubt.report.figures import canvas
from redoubt.studies.contract import Cell, Doubles, Formula, Picture, Result, Study, Table, Text
from redoubt.studies.descent.gradient_descent import START, UPDATES, Bowl, Gradient, demonstration, descend
from redoubt.studies.given import Given
from redoubt.studies.origins import of_evolutions

# The rates of the course's demonstration.
RATE = 1.0
PLAIN_RATE = 1e-6
# Curvatures of a gentle and of a steep parameter.
CURVATURES = np.array([1.0, 10.0])
CORRELATION = 0.9
# Rates from which each method takes its best: of the limit for plain descent, of four for Adagrad.
GRID = np.geomspace(0.03, 0.99, 30)
ARRIVED = 1e-6
# Where the walks into the valleys start; TURN is a turn by 45 degrees.
SIDE = np.array([-2.0, 1.5])
TURN = np.array([[1.0, -1.0], [1.0, 1.0]]) / np.sqrt(2)
# What keeps 0 / 0 from being computed, as small as float64 lets it be without a trace.
TINY = 1e-300


class Sizes(Strict):
    """Sizes of the study.

    Attributes:
        updates: of the course's demonstration.
        compared: updates over which three ways to compute Adagrad are compared.
        points: random points on which the rules for a step are judged.
        patience: most updates on the bowls.
    """

    updates: Count = UPDATES
    compared: Count = 200
    points: Count = 20_000
    patience: Count = 1500


def literal(gradient: Gradient, start: Doubles, rate: float, updates: int) -> Doubles:
    """The path of Adagrad as the course first writes it: rate / sqrt(t + 1) over the root mean square so far."""
    path, seen = [start], []
    for t in range(updates):
        seen.append(gradient(path[-1]))
        sigma = np.sqrt(np.mean(np.square(seen), axis=0))
        path.append(path[-1] - rate / np.sqrt(t + 1) / sigma * seen[-1])
    return np.array(path)


def adagrad(gradient: Gradient, start: Doubles, rate: float | Doubles, updates: int) -> Doubles:
    """The same path simplified, sqrt(t + 1) cancelled: rate over the root of the summed squares."""
    path, total = [start], np.full_like(start, TINY)
    for _ in range(updates):
        slope = gradient(path[-1])
        total = total + slope * slope
        path.append(path[-1] - rate * slope / np.sqrt(total))
    return np.array(path)


def by_keras(gradient: Gradient, start: Doubles, rate: float, updates: int) -> Doubles:
    """The same path by `keras.optimizers.Adagrad`, in float64."""
    import keras

    optimizer = keras.optimizers.Adagrad(rate, initial_accumulator_value=0.0, epsilon=TINY)
    variable = keras.Variable(start, dtype="float64")
    path = [start]
    for _ in range(updates):
        optimizer.apply([keras.ops.convert_to_tensor(gradient(path[-1]), "float64")], [variable])
        path.append(np.array(variable))
    return np.array(path)


def correlated(curvatures: Doubles, correlation: float) -> Bowl:
    """A bowl around 0 with those curvatures per parameter, and the same correlation between any two."""
    mixing = correlation + (1 - correlation) * np.eye(len(curvatures))
    return Bowl(mixing * np.sqrt(np.outer(curvatures, curvatures)), np.zeros(len(curvatures)))


def turned(bowl: Bowl) -> Bowl:
    """The same bowl of two parameters turned by `TURN` around 0."""
    return Bowl(TURN @ bowl.curvature @ TURN.T, TURN @ bowl.bottom)


def steps(bowl: Bowl, points: Doubles) -> dict[str, Doubles]:
    """What three rules take for the distance to the goal, per point and parameter."""
    slopes = bowl.gradient(points)
    return {
        "first": slopes,
        "ratio": slopes / np.diag(bowl.curvature),
        "newton": slopes @ np.linalg.inv(bowl.curvature),
    }


def judged(bowl: Bowl, points: Doubles) -> dict[str, float]:
    """Share of points where a rule's larger step belongs to the parameter that is farther from the goal."""
    farther = np.abs(points - bowl.bottom).argmax(axis=1)
    return {name: float((np.abs(step).argmax(axis=1) == farther).mean()) for name, step in steps(bowl, points).items()}


def parallel_steps(bowl: Bowl, start: Doubles, count: int) -> Doubles:
    """Distances from the goal when every parameter goes its own |first derivative| / second derivative at once."""
    path = descend(bowl.gradient, start, [1 / np.diag(bowl.curvature)] * count)
    return np.asarray(np.linalg.norm(path - bowl.bottom, axis=1))


def stand_in(curvatures: Doubles, points: Doubles) -> Doubles:
    """Root mean square of first derivatives at points around the goal, what Adagrad takes for each curvature."""
    return np.asarray(np.sqrt(np.square(points * curvatures).mean(axis=0)))


def best(bowl: Bowl, start: Doubles, method: str, patience: int) -> tuple[int, Doubles]:
    """Fewest updates until `ARRIVED` of the excess loss is left, and that path, over the rates of the grid."""
    start = np.tile(start, (len(GRID), 1))
    if method == "plain":
        paths = descend(bowl.gradient, start, [GRID[:, None] * bowl.limit] * patience)
    else:
        paths = adagrad(bowl.gradient, start, 4 * GRID[:, None], patience)
    left = bowl.excess(paths)
    there = left <= ARRIVED * left[0]
    first = np.where(there.any(axis=0), there.argmax(axis=0), patience)
    chosen = int(first.argmin())
    return int(first[chosen]), paths[: first[chosen] + 1, chosen]


def run(given: Given, sizes: Sizes, seed: int) -> Result:
    """Compare three computations, repeat the demonstration, and judge the argument on bowls."""
    evolutions = given.evolutions()
    bowl = demonstration(evolutions)
    path = adagrad(bowl.gradient, START, RATE, sizes.updates)
    plain = bowl.after(START, PLAIN_RATE, np.arange(sizes.updates + 1.0))
    ways = {name: way(bowl.gradient, START, RATE, sizes.compared) for name, way in _WAYS.items()}
    numbers = {f"off/{name}": float(np.abs(each - path[: sizes.compared + 1]).max()) for name, each in ways.items()}
    for name, each in (("adagrad", path), ("plain", plain)):
        numbers |= {f"b/{name}": float(each[-1, 0]), f"w/{name}": float(each[-1, 1])}
    numbers |= {"b/best": float(bowl.bottom[0]), "w/best": float(bowl.bottom[1])}
    numbers |= argument(sizes.points, np.random.default_rng([seed, 0]))
    flat = Bowl(np.diag([1.0, 100.0]), np.zeros(2))
    bowls = {"straight": flat, "turned": turned(flat)}
    starts = {"straight": SIDE, "turned": TURN @ SIDE}
    walks = {(s, m): best(bowls[s], starts[s], m, sizes.patience) for s in bowls for m in ("plain", "adagrad")}
    numbers |= {f"updates_{method}/{shape}": float(count) for (shape, method), (count, _) in walks.items()}
    paths = {key: walk for key, (_, walk) in walks.items()}
    return Result(
        origin=of_evolutions(evolutions),
        numbers=numbers,
        tables=[_demo_table(numbers, sizes), _rules_table(numbers), _bowls_table(numbers)],
        pictures={
            "demonstration": Picture(_demo(bowl, {"adagrad": path, "plain": plain}), _DEMO_CAPTION),
            "derivatives": Picture(_derivatives(bowls, paths), _DERIVATIVES_CAPTION),
        },
        takeaway=_TAKEAWAY,
    )


def argument(count: int, rng: np.random.Generator) -> dict[str, float]:
    """Numbers on the second derivative: the rules judged, Adagrad's stand-in for it, and three parameters at once."""
    points = rng.normal(size=(count, 2))
    numbers = {}
    for shape, correlation in (("uncorrelated", 0.0), ("correlated", CORRELATION)):
        for rule, share in judged(correlated(CURVATURES, correlation), points).items():
            numbers[f"right_{rule}/{shape}"] = share
    roots = stand_in(CURVATURES, points)
    numbers["stand_in/curvature_ratio"] = float(CURVATURES[1] / CURVATURES[0])
    numbers["stand_in/gradient_ratio"] = float(roots[1] / roots[0])
    for shape, correlation in (("uncorrelated", 0.0), ("correlated", CORRELATION)):
        distances = parallel_steps(correlated(np.ones(3), correlation), np.ones(3), 5)
        numbers[f"three_at_once/{shape}"] = float(distances[-1] / distances[0])
    return numbers


def _demo_table(numbers: Mapping[str, float], sizes: Sizes) -> Table:
    heads = [Text("method", "方法"), Text("b", "b"), Text("w", "w")]
    says = {
        "plain": Text("one rate 1e-6", "同一个学习率 1e-6"),
        "adagrad": Text(f"Adagrad, rate {RATE:g}", f"Adagrad，学习率 {RATE:g}"),
        "best": Text("best", "最优"),
    }
    rows: list[list[Cell | Text]] = [
        [text, *(f"{numbers[f'{what}/{name}']:.2f}" for what in ("b", "w"))] for name, text in says.items()
    ]
    rows.append([Text("the course's slide", "课程幻灯片"), "-188.4", "2.7"])
    off = max(numbers["off/literal"], numbers["off/keras"])
    caption = Text(
        f"The course's demonstration from b = -120, w = -4 after {sizes.updates:,} updates. Over the first "
        f"{sizes.compared} updates the course's two ways of writing Adagrad and Keras's agree to {off:.1g}.",
        f"课程的演示，从 b = -120、w = -4 出发，{sizes.updates:,} 次更新之后。在最初的 {sizes.compared} 次更新中，"
        f"课程的两种写法与 Keras 的 Adagrad 相差不超过 {off:.1g}。",
    )
    return Table(caption, heads, rows)


def _rules_table(numbers: Mapping[str, float]) -> Table:
    says = {
        "first": Text("|first derivative|", "|一阶导数|"),
        "ratio": Text("|first derivative| / second derivative", "|一阶导数| / 二阶导数"),
        "newton": Text("all second derivatives (Newton)", "所有二阶导数（牛顿法）"),
    }
    rows: list[list[Cell | Text]] = [
        [text, *(f"{numbers[f'right_{rule}/{shape}']:.1%}" for shape in ("uncorrelated", "correlated"))]
        for rule, text in says.items()
    ]
    heads = [
        Text("distance judged by", "谁大谁就离目标远，按"),
        Text("uncorrelated", "参数互不相关"),
        Text(f"correlation {CORRELATION:g}", f"相关系数 {CORRELATION:g}"),
    ]
    gradients, away = numbers["stand_in/gradient_ratio"], numbers["three_at_once/correlated"]
    caption = Text(
        f"Two parameters with second derivatives {CURVATURES[0]:g} and {CURVATURES[1]:g}, random points around the "
        "goal: how often the parameter that a rule judges farther from its optimum is indeed the farther one. The "
        f"root mean square of the gradients is {gradients:.1f} times larger for the steeper one. Three parameters of "
        f"curvature 1 and that correlation, each stepping to its own optimum at once, are {away:.1f} times farther "
        "away after five steps.",
        f"两个参数，二阶导数分别为 {CURVATURES[0]:g} 和 {CURVATURES[1]:g}，在目标周围随机取点："
        "按每条规则判断“哪个参数离目标更远”，判断正确的比例。"
        f"较陡的参数，其梯度均方根是另一个的 {gradients:.1f} 倍。三个参数曲率为 1、相关系数同上，"
        f"若同时各自走向自己的目标，五步之后距离是原来的 {away:.1f} 倍。",
    )
    return Table(caption, heads, rows)


def _bowls_table(numbers: Mapping[str, float]) -> Table:
    rows: list[list[Cell | Text]] = [
        [text, *(int(numbers[f"updates_{method}/{shape}"]) for method in ("plain", "adagrad"))]
        for shape, text in (
            ("straight", Text("along the axes", "与坐标轴平行")),
            ("turned", Text("rotated by 45°", "转 45°")),
        )
    ]
    heads = [Text("valley", "山谷"), Text("one rate", "同一个学习率"), Text("Adagrad", "Adagrad")]
    return Table(_BOWLS_TABLE, heads, rows)


def _demo(bowl: Bowl, paths: Mapping[str, Doubles]) -> Figure:
    figure, axes = canvas(1, 2, 8.8, 3.4)
    plane, curve = axes[0]
    reach = 1.35 * (bowl.bottom[0] - START[0])
    b = np.linspace(START[0] - 0.35 * reach, START[0] + reach, 120)
    grid = np.stack(np.meshgrid(b, np.linspace(-5, 9, 120)), axis=-1)
    loss = bowl.loss(grid)
    levels = np.geomspace(bowl.floor * 1.01, loss.max(), 14)
    plane.contour(grid[..., 0], grid[..., 1], loss, levels=levels, cmap="Blues_r", linewidths=0.6)
    for name, path in paths.items():
        few = path[np.unique(np.geomspace(1, len(path), 300).astype(int)) - 1]
        label = "Adagrad" if name == "adagrad" else "one rate 1e-6"
        plane.plot(few[:, 0], few[:, 1], ".-", ms=3, lw=1, color=_COLOURS[name], label=label)
        times = np.unique(np.geomspace(1, len(path), 300).astype(int))
        curve.plot(times, bowl.excess(path[times - 1]), color=_COLOURS[name], lw=1.4, label=label)
    plane.plot(*START, "o", color="#1f2937", ms=5)
    plane.plot(*bowl.bottom, "x", color="#b91c1c", ms=8, mew=2)
    plane.set(xlabel="b", ylabel="w")
    curve.set(xscale="log", yscale="log", xlabel="updates", ylabel="excess loss")
    curve.legend(fontsize=8)
    return figure


def _derivatives(bowls: Mapping[str, Bowl], paths: Mapping[tuple[str, str], Doubles]) -> Figure:
    figure, axes = canvas(1, 3, 8.8, 3.0)
    slices: Axes = axes[0, 0]
    line = np.linspace(-2.2, 2.2, 200)
    marks = zip(CURVATURES, (-2.0, 0.5), ("#1d4ed8", "#c2410c"), "ac", ((-2.1, 3.0), (1.05, 3.0)), strict=True)
    for curvature, at, colour, name, words in marks:
        slices.plot(line, curvature * line**2 / 2, color=colour, lw=1.4, label=f"second derivative {curvature:g}")
        slices.plot(at, curvature * at**2 / 2, "o", color=colour, ms=5)
        slices.text(*words, f"{name}: slope {abs(curvature * at):g},\n{abs(at):g} away", color=colour, fontsize=7)
    slices.set(ylim=(-0.2, 8), xlabel="parameter", ylabel="loss")
    slices.legend(fontsize=7, loc="upper center", frameon=True)
    grid = np.stack(np.meshgrid(np.linspace(-2.9, 2.9, 120), np.linspace(-2.9, 2.9, 120)), axis=-1)
    for axis, (shape, bowl) in zip(axes[0, 1:], bowls.items(), strict=True):
        axis.contour(grid[..., 0], grid[..., 1], np.sqrt(bowl.loss(grid)), levels=8, cmap="Blues_r", linewidths=0.6)
        for method in ("plain", "adagrad"):
            path = paths[shape, method]
            label = f"{'Adagrad' if method == 'adagrad' else 'one rate'}, {len(path) - 1} updates"
            axis.plot(path[:, 0], path[:, 1], ".-", ms=3, lw=0.9, color=_COLOURS[method], label=label)
        axis.plot(0, 0, "x", color="#b91c1c", ms=7, mew=2)
        axis.set(xlim=(-2.9, 2.9), ylim=(-2.9, 2.9), xlabel=f"{SHAPES[shape]} valley")
        axis.legend(fontsize=7, loc="upper right", frameon=True)
    return figure


_WAYS = {"literal": literal, "keras": by_keras}
# How a bowl's valley lies, in words.
SHAPES = {"straight": "axis-aligned", "turned": "rotated"}
_COLOURS = {"plain": "#1d4ed8", "adagrad": "#c2410c"}
_BOWLS_TABLE = Text(
    f"Updates until {ARRIVED:g} of the excess loss remains in a valley with curvatures 1 and 100, at the best of "
    "thirty rates for each method.",
    f"在曲率为 1 和 100 的山谷里，超出最小损失的部分降到起点的 {ARRIVED:g} 所需的更新次数，"
    "每种方法取三十个学习率中最好的。",
)
_DEMO_CAPTION = Text(
    "Left: after the same number of updates Adagrad has reached the minimum (cross), plain gradient descent is still "
    "far from it, since b's gradient is tiny compared with w's. Right: the excess loss along both paths.",
    "左：更新次数相同，Adagrad 已经到达叉号，普通梯度下降还差得远，因为 b 的梯度比 w 的小得多。"
    "右：两条路径上超出最小损失的部分。",
)
_DERIVATIVES_CAPTION = Text(
    "Left: the steeper point c is nearer to its minimum; only the ratio of slope to second derivative gives both "
    "distances. Middle: Adagrad removes the stretch along the parameter axes. Right: rotated by 45 degrees, both "
    "parameters have the same second derivative, and Adagrad has nothing to remove.",
    "左：斜率更大的 c 点离目标更近；只有斜率除以二阶导数才能给出两者的距离。中：Adagrad 消除了沿坐标轴的拉长。"
    "右：转了 45 度之后，两个参数的二阶导数相同，Adagrad 没有东西可以消除。",
)
_TAKEAWAY = Text(
    "Dividing by the root of the summed squares gives each parameter a rate of its own, and stands in for dividing by "
    "its second derivative without computing it. Both treat each parameter in isolation, so when parameters interact "
    "neither points at the minimum, and simultaneous steps can even lead away from it.",
    "除以梯度平方和的根号，使每个参数有自己的学习率，相当于不必计算就除以了二阶导数。两者都只看单个参数，"
    "所以当参数相互牵连时都不再指向目标，同时迈出的步子甚至会越走越远。",
)
STUDY = Study(
    title=Text("Adagrad: a rate per parameter", "Adagrad：每个参数各有学习率"),
    question=Text(
        "Can every parameter have a learning rate of its own? Adagrad divides it by the root mean square of all the "
        "parameter's gradients so far. With the decaying rate, the root of t + 1 cancels. We compute both forms and "
        "Keras's optimizer, and repeat the course's demonstration, in which a single rate for both parameters "
        "failed.\n\nA larger gradient should mean a larger step, and yet Adagrad divides by gradients. The course's "
        "answer: on a parabola the best step is |first derivative| / second derivative, and the root of summed "
        "squares grows with the second derivative, at no further cost. We check this on random points. With several "
        "parameters the argument needs more than the course says: one second derivative per parameter is enough only "
        "where the parameters do not interact.",
        "能不能让每个参数有自己的学习率？Adagrad 把学习率除以该参数迄今所有梯度的均方根。配上逐渐衰减的学习率，"
        "t + 1 的根号正好约掉。我们计算两种写法和 Keras 的优化器，并重做课程的演示，"
        "在那里同一个学习率对两个参数行不通。\n\n"
        "梯度越大，步子应当越大，而 Adagrad 却除以梯度，这不矛盾吗？课程的回答是：在抛物线上，最好的一步是"
        "|一阶导数| / 二阶导数，而梯度平方和的根号随二阶导数增大，又不需要额外计算。我们用随机点来检验。"
        "参数有好几个时，"
        "这个论证还不够：只有参数互不牵连时，每个参数各用自己的二阶导数才是对的。",
    ),
    formulas=[
        Formula(
            r"w^{t+1} = w^t - \frac{\eta^t}{\sigma^t} g^t, \quad \eta^t = \frac{\eta}{\sqrt{t+1}}, \quad "
            r"\sigma^t = \sqrt{\frac{1}{t+1} \sum_{i=0}^{t} (g^i)^2}",
            Text("Adagrad as the course writes it first", "课程最初的写法"),
        ),
        Formula(
            r"w^{t+1} = w^t - \frac{\eta}{\sqrt{\sum_{i=0}^{t} (g^i)^2}}\, g^t",
            Text("the same, simplified", "化简之后"),
        ),
        Formula(
            r"y = a x^2 + b x + c: \qquad \left|x_0 + \frac{b}{2a}\right| = \frac{|2 a x_0 + b|}{2a}",
            Text(
                "the distance to the minimum is |first derivative| / second derivative",
                "到目标的距离是 |一阶导数| / 二阶导数",
            ),
        ),
        Formula(
            r"\theta - \theta^* = H^{-1} \nabla L(\theta)",
            Text("with several parameters, all second derivatives H are needed", "参数有好几个时，需要所有二阶导数 H"),
        ),
    ],
    sizes=Sizes,
    run=run,
)
