"""Thin and deep against fat and shallow, at equal parameters, on a function built of modules."""

from collections.abc import Mapping

import keras
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from redoubt.bundle.column import Column
from redoubt.bundle.schema import Schema
from redoubt.core.types import Batch
from redoubt.data.prepare import scaling
from redoubt.models.networks import build
from redoubt.params.settings.base import Count, Strict
from redoubt.params.settings.networks import Mlp
from redoubt.report.figures import canvas
from redoubt.studies.contract import Cell, Doubles, Formula, Picture, Result, Study, Table, Text
from redoubt.studies.given import Given
from redoubt.studies.origins import SYNTHETIC
from redoubt.training.fit import Plan, compile_network, fit, on_rows

Units = tuple[int, ...]
# The first two have as many parameters, to within one; the last has four times as many.
DEEP: Units = (24, 24, 24)
FAT: Units = (133,)
FATTER: Units = (533,)
# Of Adam, at the start. The fat network has a choice, made on held-out points, so that it does not lose for a bad one.
RATES: Mapping[Units, tuple[float, ...]] = {FAT: (0.03, 0.1), DEEP: (0.03,)}
INPUTS = 8
# The median of the function, so that as many points are above as below.
MIDDLE = 0.7034
FEWER = 5
PLACES = tuple(range(1, 9))
# The slide's word error rates in percent (Seide, Li and Yu 2011), layers x size; the right pair has as many parameters.
COURSE = (
    ("1 x 2k", 24.2, "", ""),
    ("2 x 2k", 20.4, "", ""),
    ("3 x 2k", 18.4, "", ""),
    ("4 x 2k", 17.8, "", ""),
    ("5 x 2k", 17.2, "1 x 3772", 22.5),
    ("7 x 2k", 17.1, "1 x 4634", 22.6),
    ("", "", "1 x 16k", 22.1),
)
SCHEMA = Schema(
    task="modules",
    kind="classification",
    target="side",
    columns=tuple(Column(name=f"x{k}", kind="number") for k in range(INPUTS)),
    shape=(INPUTS,),
    labels=("below", "above"),
)


class Sizes(Strict):
    """Sizes of the study.

    Attributes:
        rows: points to learn from; a fifth of them in the second comparison.
        held_out: points to choose epoch and learning rate by, and as many to report on.
        epochs: over all rows; fewer rows are repeated, so that every training has as many updates.
        batch: points per update.
    """

    rows: Count = 4000
    held_out: Count = 2000
    epochs: Count = 30
    batch: Count = 100


def fold(u: Doubles) -> Doubles:
    """The unit interval folded in the middle and stretched to its length again."""
    return np.asarray(1.0 - np.abs(1.0 - 2.0 * u))


def modular(points: Doubles) -> Doubles:
    """A tree of one small function: neighbours are averaged and folded, until one number is left."""
    while points.shape[1] > 1:
        points = fold((points[:, ::2] + points[:, 1::2]) / 2.0)
    return points[:, 0]


def drawn(count: int, rng: np.random.Generator) -> Batch:
    """Random points, and on which side of its middle the function is there."""
    points = rng.random((count, INPUTS))
    return Batch(points.astype(np.float32), (modular(points) > MIDDLE).astype(np.int64))


def folding_network(u: Doubles, folds: int) -> Doubles:
    """A ReLU network of one layer of two neurons per fold, its weights set by hand: 6 folds + 1 parameters."""
    for _ in range(folds):
        u = 2.0 * np.maximum(u, 0.0) - 4.0 * np.maximum(u - 0.5, 0.0)
    return u


def straight_pieces(values: Doubles) -> int:
    """How many linear pieces a curve has, from its values on a regular grid."""
    return 1 + int((np.abs(np.diff(values, 2)) > 1e-9).sum())


def fat_network(u: Doubles, neurons: int, rng: np.random.Generator) -> Doubles:
    """One hidden layer of ReLUs whose kinks lie at different points of the grid u: all the pieces that it can have."""
    kinks = rng.choice(u[1:-1], size=neurons, replace=False)
    signs = rng.choice([-1.0, 1.0], size=neurons)
    return np.asarray(np.maximum(u[:, None] - kinks, 0.0) @ signs)


def name_of(units: Units) -> str:
    """Layers and size, as the slide writes it."""
    return f"{len(units)}x{units[0]}"


def trained(units: Units, train: Batch, watched: Batch, sizes: Sizes, rate: float, seed: int) -> keras.Model:
    """A network of that shape."""
    network = build(Mlp(kind="mlp", units=units), SCHEMA, scaling.fit(train, SCHEMA), seed)
    plan = Plan(epochs=sizes.epochs, batch_size=sizes.batch, learning_rate=rate, decay=True, seed=seed)
    compile_network(network, plan, len(train), SCHEMA.outputs)
    fit(network, network, train, on_rows(network, watched), plan)
    return network


def accuracy(network: keras.Model, batch: Batch) -> float:
    """Share of correct predictions."""
    return on_rows(network, batch)()["accuracy"]


def run(given: Given, sizes: Sizes, seed: int) -> Result:
    """Train the shapes on all rows, the two of equal size also on a fifth; and count what folding is worth."""
    del given
    rng = np.random.default_rng([seed, 0])
    train, watched, test = drawn(sizes.rows, rng), drawn(sizes.held_out, rng), drawn(sizes.held_out, rng)
    few = train.take(np.arange(len(train)) % (len(train) // FEWER))
    numbers: dict[str, float] = {}
    for units, rates in RATES.items():
        tries = {rate: trained(units, train, watched, sizes, rate, seed) for rate in rates}
        rate = max(rates, key=lambda each: accuracy(tries[each], watched))
        name = name_of(units)
        numbers |= {
            f"parameters/{name}": float(tries[rate].count_params() - _scaler_weights(tries[rate])),
            f"rate/{name}": rate,
            f"accuracy/{name}": accuracy(tries[rate], test),
            f"accuracy_few/{name}": accuracy(trained(units, few, watched, sizes, rate, seed), test),
        }
    wide = trained(FATTER, train, watched, sizes, numbers[f"rate/{name_of(FAT)}"], seed)
    numbers[f"parameters/{name_of(FATTER)}"] = float(wide.count_params() - _scaler_weights(wide))
    numbers[f"accuracy/{name_of(FATTER)}"] = accuracy(wide, test)
    numbers |= counted(rng)
    return Result(
        origin=SYNTHETIC,
        numbers=numbers,
        tables=[_table(numbers, sizes), _course_table()],
        pictures={"depth": Picture(_figure(numbers), _CAPTION)},
        takeaway=_TAKEAWAY,
    )


def _scaler_weights(network: keras.Model) -> int:
    return sum(int(np.prod(each.shape)) for each in network.non_trainable_variables)


def counted(rng: np.random.Generator) -> dict[str, float]:
    """Straight pieces of the folding network, and of one hidden layer with as many neurons and parameters."""
    # Fine enough to hold every kink of the most folded one.
    grid = np.linspace(0.0, 1.0, 2 ** (PLACES[-1] + 2) + 1)
    numbers: dict[str, float] = {}
    for folds in PLACES:
        numbers[f"pieces_deep/folds_{folds}"] = float(straight_pieces(folding_network(grid, folds)))
        numbers[f"pieces_fat/folds_{folds}"] = float(straight_pieces(fat_network(grid, 2 * folds, rng)))
    return numbers


def _table(numbers: Mapping[str, float], sizes: Sizes) -> Table:
    rows: list[list[Cell | Text]] = []
    for units in (FAT, DEEP, FATTER):
        name = name_of(units)
        few = numbers.get(f"accuracy_few/{name}")
        rows.append(
            [
                name.replace("x", " x "),
                f"{numbers[f'parameters/{name}']:,.0f}",
                f"{100 * numbers[f'accuracy/{name}']:.1f}",
                "" if few is None else f"{100 * few:.1f}",
            ]
        )
    heads = [
        Text("layers x size", "层数 x 每层神经元"),
        Text("parameters", "参数"),
        Text(f"{sizes.rows:,} points, accuracy, %", f"{sizes.rows:,} 个点，正确，%"),
        Text(f"{sizes.rows // FEWER:,} points, accuracy, %", f"{sizes.rows // FEWER:,} 个点，正确，%"),
    ]
    return Table(_TABLE, heads, rows)


def _course_table() -> Table:
    heads = [
        Text("course, layers x size", "课程，层数 x 大小"),
        Text("word error rate, %", "词错误率，%"),
        Text("one layer with as many parameters", "参数同样多的单层"),
        Text("word error rate, %", "词错误率，%"),
    ]
    return Table(_COURSE, heads, [list(row) for row in COURSE])


def _figure(numbers: Mapping[str, float]) -> Figure:
    figure, axes = canvas(1, 3, 9.8, 3.0)
    tree, bars, pieces = axes[0]
    _draw_tree(tree)
    shapes = {FAT: "#c2410c", FATTER: "#e7a27c", DEEP: "#1d4ed8"}
    names = [name_of(units) for units in shapes]
    bars.bar(
        [name.replace("x", " x ") for name in names],
        [100 * numbers[f"accuracy/{name}"] for name in names],
        color=list(shapes.values()),
    )
    bars.set_axisbelow(True)
    bars.set(ylim=(50, 100), ylabel="accuracy, % (chance: 50)", xlabel="layers x size")
    for kind, colour, label in (("deep", "#1d4ed8", "deep, 2 per layer"), ("fat", "#c2410c", "one layer")):
        values = [numbers[f"pieces_{kind}/folds_{folds}"] for folds in PLACES]
        pieces.semilogy([2 * folds for folds in PLACES], values, "o-", ms=3, color=colour, label=label)
    pieces.set(xlabel="hidden neurons", ylabel="linear pieces")
    pieces.legend(fontsize=7)
    return figure


def _draw_tree(axis: Axes) -> None:
    places = np.arange(INPUTS, dtype=np.float64)
    for level in range(4):
        if level:
            above = (places[::2] + places[1::2]) / 2
            axis.plot(
                [places, np.repeat(above, 2)], [[level - 1] * len(places), [level] * len(places)], color="#9ca3af"
            )
            places = above
        axis.plot(places, [level] * len(places), "o", color="#15803d" if level else "#1f2937", ms=7 if level else 4)
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)
    axis.set(xticks=[], yticks=range(4), yticklabels=["8 inputs", "t", "t", "t"])


_TABLE = Text(
    "Accuracy on new points; the function is above its median at half of them. The first two networks have equally "
    "many parameters, the third four times as many. The fat network uses the better of two learning rates, the deep "
    "one a fixed rate.",
    "新点上的正确率，函数值大于中值的点占一半。前两行参数同样多，第三行是四倍。胖网络取两个学习率中较好的一个，"
    "深网络只用一个。",
)
_COURSE = Text(
    "What the course shows of speech recognition: five layers of 2,000 neurons against one layer with as many "
    "parameters. A single layer of 16,000 neurons is hardly better than one of 3,772.",
    "课程给出的语音识别结果：五层、每层 2000 个神经元，对比参数同样多的单层。单层加宽到 16,000 个神经元，"
    "比 3772 个也好不了多少。",
)
_CAPTION = Text(
    "Left: the function, one small function t used seven times. Middle: accuracy of each network. Right: a network "
    "with hand-set weights, one layer of two neurons per fold, against one hidden layer with as many neurons and "
    "parameters: one more fold doubles the number of linear pieces, one more neuron in the single layer adds one.",
    "左：要学的函数，由同一个小函数 t 用七次搭成。中：各网络的正确率。右：手工设定权重的网络，"
    "每折一次用一层两个神经元，对比神经元和参数都同样多的单隐藏层：多折一次，直线段数翻倍；单层里多一个神经元，"
    "只多一段。",
)
_TAKEAWAY = Text(
    "One hidden layer can represent any function, but where a function is modular each layer can reuse what the "
    "previous one has computed, and the same number of parameters goes further when stacked. The modules have to be "
    "learned from data: with a fifth of the points both architectures do clearly worse, so depth is no substitute for "
    "data.",
    "一个隐藏层可以表示任何函数，但如果函数由模块搭成，每一层就能重复利用前一层的结果，同样多的参数叠起来用，效果更好。"
    "模块要从数据里找出来：只用五分之一的点，两种形状都明显变差，所以深度不能代替数据。",
)
STUDY = Study(
    title=Text("Why deep? Thin and deep against fat and shallow", "为什么要深？高瘦对矮胖"),
    question=Text(
        "Since 1989 it has been known that one hidden layer is enough: with enough neurons it approximates any "
        "continuous function arbitrarily well. Deeper networks have more parameters, so it is no surprise that they "
        "fit better. The fair comparison is at equal parameters: a thin and deep network against a fat and shallow "
        "one.\n\nThe course's answer is modularization: sub-functions that are written once and reused, as in a "
        "program, and as in paper cutting, where one fold turns a cut into two. The function to learn here is of that "
        "kind. Eight numbers are averaged in pairs and folded, the results again, and once more; is the last one "
        "above its median?\n\nThe benefit of folding can also be counted without any training, in the linear pieces "
        "of a curve.",
        "1989 年起人们就知道一个隐藏层已经够用：神经元足够多，就能任意逼近任何连续函数。更深的网络参数更多，"
        "拟合得更好并不奇怪。公平的比较是参数同样多：高瘦的网络对矮胖的网络。\n\n"
        "课程的答案是模块化：子函数写一次，反复使用，就像写程序；也像剪纸，折一次，一刀就变成两刀。"
        "这里要学的函数正是这样的：八个数两两平均再折叠，得到的数再两两平均、折叠，再来一次，问最后的数是否大于中值。"
        "\n\n折叠的价值也可以不训练就数出来：看一条曲线有多少段直线。",
    ),
    formulas=[
        Formula(
            r"t(u) = 1 - |1 - 2u| = 2\,\mathrm{relu}(u) - 4\,\mathrm{relu}(u - 1/2)",
            Text("on [0, 1] a fold is one layer of two neurons", "在 [0, 1] 上，折一次就是一层两个神经元"),
        ),
        Formula(
            r"h(a, b) = t((a + b)/2), \qquad "
            r"f(x) = h(h(h(x_1, x_2), h(x_3, x_4)),\; h(h(x_5, x_6), h(x_7, x_8)))",
            Text("the function to learn", "要学的函数"),
        ),
        Formula(
            r"\mathrm{deep}:\; 2^{k}, \qquad \mathrm{one\ layer}:\; 2k + 1",
            Text("linear pieces from 6k + 1 parameters", "6k + 1 个参数能得到的直线段数"),
        ),
    ],
    sizes=Sizes,
    run=run,
)
