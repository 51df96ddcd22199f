"""One example, ten, a hundred or a thousand per update: in equal epochs, in equal updates, and in equal time."""

import time
from collections.abc import Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure
from numpy.typing import NDArray

from redoubt.core.types import Batch
from redoubt.params.settings.base import Count, Strict
from redoubt.params.settings.networks import Mlp
from redoubt.report.figures import canvas
from redoubt.studies.contract import Cell, Doubles, Formula, Picture, Result, Study, Table, Text
from redoubt.studies.deep.backprop import CLASSES, by_hand, new_layers
from redoubt.studies.digit_networks import first, new_network
from redoubt.studies.given import Given
from redoubt.studies.origins import of_digits

Order = NDArray[np.int32]
BATCHES = (1, 10, 100, 1000)
# Of plain gradient descent on a batch's mean loss; the same for every batch size.
RATE = 0.01
MARKS = 8
# Seconds per epoch of 50,000 examples on a GTX 980, and updates in one, by batch size.
COURSE = {1: (166, 50_000), 10: (17, 5_000)}
COLOURS = dict(zip(BATCHES, ("#c2410c", "#15803d", "#1d4ed8", "#1f2937"), strict=True))


class Sizes(Strict):
    """Sizes of the study.

    Attributes:
        rows: examples in an epoch, a multiple of 1000.
        test: examples to report on.
        width: hidden neurons.
        epochs: that every batch size gets.
        updates: that every batch size gets, as many as batch 10 has in those epochs or more.
        timed: also measure seconds; they differ from run to run.
    """

    rows: Count = 1000
    test: Count = 397
    width: Count = 64
    epochs: Count = 3
    updates: Count = 300
    timed: bool = False


class Learner:
    """Gradient descent on chosen rows, one compiled loop for every batch size."""

    def __init__(self, network: keras.Model, train: Batch) -> None:
        """Wrap a network.

        Args:
            network: trained in place; what it is now is what every training starts from.
            train: rows to learn from.
        """
        self.network = network
        self._x, self._y = tf.constant(train.x), tf.constant(train.y)
        self._start = network.get_weights()
        self._descend = tf.function(
            self._each, input_signature=[tf.TensorSpec([None, None], tf.int32)], autograph=False
        )

    def restart(self) -> None:
        """Back to the first weights."""
        self.network.set_weights(self._start)

    def learn(self, order: Order) -> None:
        """An update per row of `(updates, batch)` indices."""
        self._descend(tf.constant(order))

    def accuracy(self, batch: Batch) -> float:
        """Share of correct predictions."""
        return float((self.network.predict_on_batch(batch.x).argmax(axis=1) == batch.y).mean())

    def _each(self, order: tf.Tensor) -> tf.Tensor:
        def update(index: tf.Tensor) -> tuple[tf.Tensor]:
            x, y = tf.gather(self._x, order[index]), tf.gather(self._y, order[index])
            weights = [each.value for each in self.network.trainable_variables]
            with tf.GradientTape() as tape:
                outputs = self.network(x, training=True)
                loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, outputs))
            for weight, slope in zip(weights, tape.gradient(loss, weights), strict=True):
                weight.assign_sub(RATE * slope)
            return (index + 1,)

        return tf.while_loop(lambda index: index < tf.shape(order)[0], update, (tf.constant(0),))[0]


def ordered(rows: int, batch: int, updates: int, rng: np.random.Generator) -> Order:
    """Indices of the rows of each update: every epoch has every row once, in an order of its own."""
    epochs = -(-updates * batch // rows)
    flat = np.concatenate([rng.permutation(rows) for _ in range(epochs)])
    return flat[: updates * batch].reshape(updates, batch).astype(np.int32)


def curve(learner: Learner, order: Order, test: Batch, marks: Sequence[int]) -> dict[int, float]:
    """Accuracy after so many updates, from the first weights on."""
    learner.restart()
    found, done = {}, 0
    for mark in marks:
        learner.learn(order[done:mark])
        found[mark] = learner.accuracy(test)
        done = mark
    return found


def seconds_per_epoch(learner: Learner, rows: int, batch: int) -> float:
    """Wall-clock time of one epoch, the compiled loop already warm."""
    order = ordered(rows, batch, rows // batch, np.random.default_rng(0))
    learner.restart()
    learner.learn(order[:1])
    started = time.perf_counter()
    learner.learn(order)
    return time.perf_counter() - started


def multiply_adds_per_number(batch: int, inputs: int, outputs: int) -> float:
    """Arithmetic per number that a layer's product has to move: weights once per batch, inputs and outputs per row."""
    return batch * inputs * outputs / (inputs * outputs + batch * (inputs + outputs))


def one_by_one_off(x: Doubles, labels: NDArray[np.int64], seed: int) -> float:
    """How far the sum of single gradients is from the gradient of the whole batch, in units of its largest."""
    layers = new_layers([x.shape[1], 16, CLASSES], np.random.default_rng([seed, 1]))
    whole = by_hand(layers, x, labels)[0]
    single = [by_hand(layers, x[n : n + 1], labels[n : n + 1])[0] for n in range(len(x))]
    off = [
        np.abs(sum(each[index][part] for each in single) - gradient).max() / np.abs(gradient).max()
        for index, pair in enumerate(whole)
        for part, gradient in enumerate(pair)
    ]
    return float(max(off))


def run(given: Given, sizes: Sizes, seed: int) -> Result:
    """A training per batch size, long enough for both comparisons; the clock only if asked."""
    digits = given.digits()
    train, test = first(digits, sizes.rows, sizes.test)
    learner = Learner(new_network(Mlp(kind="mlp", units=(sizes.width,)), train.x, seed), train)
    curves = {}
    for batch in BATCHES:
        marks = _marks(len(train), batch, sizes)
        order = ordered(len(train), batch, marks[-1], np.random.default_rng([seed, batch]))
        curves[batch] = curve(learner, order, test, marks)
    numbers = _compared(curves, len(train), sizes, train.x[0].size)
    flat = train.x[:100].reshape(100, -1).astype(np.float64)
    numbers["one_by_one_off"] = one_by_one_off(flat, train.y[:100], seed)
    if sizes.timed:
        numbers |= _timed(learner, len(train), test, seed)
    return Result(
        origin=of_digits(digits, len(train)),
        numbers=numbers,
        tables=[_table(numbers, sizes), _course_table()],
        pictures={"minibatch": Picture(_figure(curves, len(train), numbers), _CAPTION)},
        takeaway=_TAKEAWAY,
    )


def _marks(rows: int, batch: int, sizes: Sizes) -> list[int]:
    """After which updates to look: the ends of both comparisons, and some on a logarithmic scale before."""
    equal = sizes.epochs * rows // batch
    last = max(equal, sizes.updates)
    return sorted({equal, sizes.updates, *np.geomspace(1, last, MARKS).astype(int).tolist()})


def _compared(curves: Mapping[int, Mapping[int, float]], rows: int, sizes: Sizes, inputs: int) -> dict[str, float]:
    numbers: dict[str, float] = {}
    for batch, points in curves.items():
        numbers |= {
            f"updates_per_epoch/batch_{batch}": float(rows // batch),
            f"accuracy_equal_epochs/batch_{batch}": points[sizes.epochs * rows // batch],
            f"accuracy_equal_updates/batch_{batch}": points[sizes.updates],
            f"examples_equal_updates/batch_{batch}": float(sizes.updates * batch),
            f"multiply_adds_per_number/batch_{batch}": multiply_adds_per_number(batch, inputs, sizes.width),
        }
    return numbers


def _timed(learner: Learner, rows: int, test: Batch, seed: int) -> dict[str, float]:
    """Seconds per epoch, and the accuracy in the time that batch 1 takes for one epoch."""
    seconds = {batch: seconds_per_epoch(learner, rows, batch) for batch in BATCHES}
    numbers: dict[str, float] = {}
    for batch, each in seconds.items():
        updates = max(1, int(seconds[1] / each * (rows // batch)))
        order = ordered(rows, batch, updates, np.random.default_rng([seed, batch]))
        numbers |= {
            f"seconds_per_epoch/batch_{batch}": each,
            f"accuracy_equal_time/batch_{batch}": curve(learner, order, test, [updates])[updates],
        }
    return numbers


def _table(numbers: Mapping[str, float], sizes: Sizes) -> Table:
    heads = [
        Text("batch", "批大小"),
        Text("updates per epoch", "每个 epoch 的更新次数"),
        Text(f"accuracy after {sizes.epochs} epochs, %", f"{sizes.epochs} 个 epoch 后正确，%"),
        Text(f"accuracy after {sizes.updates} updates, %", f"{sizes.updates} 次更新后正确，%"),
        Text("examples seen by then", "其间看过的样本数"),
        Text("multiply-adds per number fetched", "每搬运一个数做的乘加次数"),
    ]
    if sizes.timed:
        heads += [
            Text("seconds per epoch", "每个 epoch 的秒数"),
            Text("course, seconds per epoch", "课程，每个 epoch 的秒数"),
            Text("accuracy in the time of one epoch of batch 1, %", "用批大小 1 跑一个 epoch 的时间，正确，%"),
        ]
    rows: list[list[Cell | Text]] = []
    for batch in BATCHES:
        row: list[Cell | Text] = [
            batch,
            f"{numbers[f'updates_per_epoch/batch_{batch}']:,.0f}",
            f"{100 * numbers[f'accuracy_equal_epochs/batch_{batch}']:.1f}",
            f"{100 * numbers[f'accuracy_equal_updates/batch_{batch}']:.1f}",
            f"{numbers[f'examples_equal_updates/batch_{batch}']:,.0f}",
            f"{numbers[f'multiply_adds_per_number/batch_{batch}']:.1f}",
        ]
        if sizes.timed:
            row += [
                f"{numbers[f'seconds_per_epoch/batch_{batch}']:.2f}",
                COURSE[batch][0] if batch in COURSE else "",
                f"{100 * numbers[f'accuracy_equal_time/batch_{batch}']:.1f}",
            ]
        rows.append(row)
    return Table(_TABLE, heads, rows)


def _course_table() -> Table:
    rows: list[list[Cell | Text]] = [
        [batch, f"{updates:,}", seconds, f"{1000 * seconds / updates:.1f}"]
        for batch, (seconds, updates) in COURSE.items()
    ]
    heads = [
        Text("batch", "批大小"),
        Text("updates per epoch", "每个 epoch 的更新次数"),
        Text("course, seconds per epoch", "课程，每个 epoch 的秒数"),
        Text("so milliseconds per update", "即每次更新的毫秒数"),
    ]
    return Table(_COURSE, heads, rows)


def _figure(curves: Mapping[int, Mapping[int, float]], rows: int, numbers: Mapping[str, float]) -> Figure:
    figure, axes = canvas(1, 3, 9.8, 3.2)
    by_epochs, by_updates, moved = axes[0]
    for batch, points in curves.items():
        updates = np.array(list(points))
        style = {"color": COLOURS[batch], "ms": 3, "label": f"batch {batch}"}
        by_epochs.semilogx(updates * batch / rows, list(points.values()), "o-", **style)
        by_updates.semilogx(updates, list(points.values()), "o-", **style)
    by_epochs.set(xlabel="epochs: equal arithmetic", ylabel="test accuracy", ylim=(0, 1))
    by_updates.set(xlabel="updates", ylim=(0, 1))
    by_updates.legend(fontsize=7, loc="lower right")
    values = [numbers[f"multiply_adds_per_number/batch_{batch}"] for batch in BATCHES]
    moved.bar([str(batch) for batch in BATCHES], values, color=[COLOURS[batch] for batch in BATCHES])
    moved.set_axisbelow(True)
    moved.set(xlabel="batch", ylabel="multiply-adds per number fetched")
    return figure


_TABLE = Text(
    "Digits, one hidden layer, plain gradient descent at one learning rate. Equal epochs mean equal arithmetic; equal "
    "updates do not: batch 1000 costs a thousand times as much as batch 1. The last column, for the first layer's "
    "forward pass, is how often a number is used once it has been fetched.",
    "手写数字，一个隐藏层，普通梯度下降，学习率相同。epoch 相同，运算量就相同；更新次数相同则不然："
    "批大小 1000 的运算量是批大小 1 的一千倍。"
    "“每搬运一个数做的乘加次数”按第一层的前向传播计算，说明一个数取来之后能用多少次。",
)
_COURSE = Text(
    "The course's clock, a GTX 980 and 50,000 examples: an update takes as long with ten examples as with one, so ten "
    "epochs of batch 10 fit into the time of one epoch of batch 1, with as many updates.",
    "课程的计时（GTX 980，50,000 个样本）：十个样本的一次更新和一个样本的一样快，"
    "所以批大小 10 跑十个 epoch 的时间，批大小 1 只能跑一个 epoch，而更新次数相同。",
)
_CAPTION = Text(
    "Left: for the same arithmetic, small batches get further, because they update more often. Middle: for the same "
    "number of updates, one example at a time is the noisiest. Right: why hardware favours batches all the same: a "
    "weight that has been fetched is used for every example.",
    "左：运算量相同时，小批更新次数更多，走得更远。中：更新次数相同时，每次只看一个样本噪声最大。"
    "右：硬件为什么仍然偏爱大批：取来的权重可以用于批里的每一行。",
)
_TAKEAWAY = Text(
    "At equal epochs the smallest batches learn most, but an update with one example takes about as long as one with "
    "ten, because a matrix product uses each weight for all examples at once. So a mini-batch gets the same number of "
    "less noisy updates in the same time, while a batch that is too large updates too rarely.",
    "epoch 相同时，小批学得最多；但一个样本的更新和十个样本的更新花的时间差不多，因为矩阵乘法把每个权重一次用于所有行。"
    "所以在相同时间内，mini-batch 能做同样多次、而且更稳定的更新，批太大则更新太少。",
)
STUDY = Study(
    title=Text("Mini-batches: why not one example at a time?", "Mini-batch：为什么不用一次一个样本？"),
    question=Text(
        "Gradient descent may use all examples per update, one, or a mini-batch in between. An epoch is one pass over "
        "all of them, whatever the batch size: the same number of multiply-adds, but many more updates with small "
        "batches. Then why not one example at a time? The course answers with a clock.\n\nThe same network is trained "
        "here with batches of 1, 10, 100 and 1000, for equal epochs, which is equal arithmetic, and for equal "
        "updates. Wall-clock time differs from machine to machine and from run to run, so the quick form counts the "
        "arithmetic per number fetched from memory instead; the full form also measures seconds, and compares at "
        "equal time.\n\nThat examples can be processed jointly is checked as well: the gradient of a batch is the sum "
        "of its examples' gradients, computed one by one or in one matrix product.",
        "梯度下降可以看完所有样本再走一步，也可以看一个就走一步，或者取中间的一批。把全部样本看一遍叫一个 epoch，"
        "不管批多大，乘加次数都一样，但批越小更新越多。那么应该一次只看一个样本才对。课程问为什么没有人这样做，"
        "答案在计时里。\n\n这里让同一个网络分别用 1、10、100、1000 的批学习，"
        "比较 epoch 相同（即运算量相同）和更新次数相同两种情况。时间因机器而异，每次运行也不同，"
        "所以快速版本改为统计每取来一个数能做多少次运算；完整版本还会计时，并比较时间相同的情况。"
        "\n\n各行能放在一起计算，也在这里验证：一批的梯度等于各行梯度之和，逐个计算和一次矩阵乘法的结果相同。",
    ),
    formulas=[
        Formula(
            r"w \leftarrow w - \eta\, \frac{1}{B} \sum_{n \in \mathrm{batch}} \nabla l^n(w)",
            Text("an update from a batch of B examples", "用 B 个样本的一批做一次更新"),
        ),
        Formula(
            r"Z = X W^T, \qquad \frac{B\, n\, m}{n\, m + B\, (n + m)}",
            Text(
                "all examples in one product, and its multiply-adds per number fetched",
                "所有行一次相乘，以及每搬运一个数所做的乘加次数",
            ),
        ),
    ],
    sizes=Sizes,
    run=run,
)
