"""Backpropagation by hand: a forward pass, a reversed network, and what both cost."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.special import expit, log_softmax, softmax

from redoubt.params.settings.base import Count, Strict
from redoubt.report.figures import canvas
from redoubt.studies.contract import Cell, Doubles, Formula, Picture, Result, Study, Table, Text
from redoubt.studies.given import Given
from redoubt.studies.origins import of_digits

# Weights (out, in) and bias (out,) of each layer, from the input on.
Layers = Sequence[tuple[Doubles, Doubles]]
Labels = NDArray[np.int64]
CLASSES = 10
STEPS = np.logspace(-13, 0, 14)
DEPTHS = tuple(range(1, 11))
# The slide on matrix operation: weights, bias, input; z and its sigmoid as it prints them.
SLIDE = np.array([[1.0, -2.0], [-1.0, 1.0]]), np.array([1.0, 0.0]), np.array([[1.0, -1.0]])
COURSE = ((4, 0.98), (-2, 0.12))


class Sizes(Strict):
    """Sizes of the study.

    Attributes:
        rows: examples in the batch.
        depth: hidden layers.
        width: neurons in each.
        probes: weights whose derivative is also measured by moving the weight.
    """

    rows: Count = 50
    depth: Count = 4
    width: Count = 24
    probes: Count = 20


class Tally:
    """Multiplies matrices and counts the multiply-adds that it takes."""

    def __init__(self) -> None:
        self.count = 0

    def times(self, left: Doubles, right: Doubles) -> Doubles:
        """The product."""
        self.count += left.shape[0] * left.shape[1] * right.shape[1]
        return np.asarray(left @ right)


def new_layers(widths: Sequence[int], rng: np.random.Generator) -> Layers:
    """Random weights of Glorot's size, and small biases."""
    made = []
    for inputs, outputs in pairwise(widths):
        limit = np.sqrt(6.0 / (inputs + outputs))
        made.append((rng.uniform(-limit, limit, (outputs, inputs)), rng.normal(0.0, 0.1, outputs)))
    return made


def forward(layers: Layers, x: Doubles, tally: Tally) -> tuple[list[Doubles], Doubles]:
    """What enters each layer, which is dz/dw, and the last layer's z; hidden neurons are sigmoids."""
    entering = [x]
    z = x
    for index, (weights, bias) in enumerate(layers):
        z = tally.times(entering[-1], weights.T) + bias
        if index < len(layers) - 1:
            entering.append(expit(z))
    return entering, z


def backward(layers: Layers, entering: Sequence[Doubles], last: Doubles, tally: Tally) -> list[Doubles]:
    """dl/dz of each layer, and first of all dl/dx: a reversed network, its neurons amplifiers of fixed gain.

    Args:
        layers: of the network that is run backwards.
        entering: of the forward pass; it fixes the gains s'(z) = a (1 - a).
        last: dl/dz of the last layer, `(rows, classes)`.
        tally: counts.
    """
    signals = [last]
    for index in reversed(range(len(layers))):
        arriving = tally.times(signals[0], layers[index][0])
        a = entering[index]
        signals.insert(0, arriving * a * (1.0 - a) if index else arriving)
    return signals


def gradient(entering: Sequence[Doubles], signals: Sequence[Doubles], tally: Tally) -> list[tuple[Doubles, Doubles]]:
    """dl/dw = dz/dw times dl/dz, summed over the rows; likewise for the biases."""
    return [(tally.times(s.T, a), s.sum(axis=0)) for a, s in zip(entering, signals[1:], strict=True)]


def loss(z: Doubles, labels: Labels) -> float:
    """Cross-entropy of a softmax, summed over the rows as on the slides."""
    return float(-log_softmax(z, axis=1)[np.arange(len(labels)), labels].sum())


def by_hand(
    layers: Layers, x: Doubles, labels: Labels
) -> tuple[list[tuple[Doubles, Doubles]], list[Doubles], dict[str, int]]:
    """The gradient, dl/dx with every dl/dz, and the multiply-adds of each part."""
    tallies = {"forward": Tally(), "signals": Tally(), "products": Tally()}
    entering, z = forward(layers, x, tallies["forward"])
    last = softmax(z, axis=1) - np.eye(CLASSES)[labels]
    signals = backward(layers, entering, last, tallies["signals"])
    found = gradient(entering, signals, tallies["products"])
    return found, signals, {name: tally.count for name, tally in tallies.items()}


def by_tape(layers: Layers, x: Doubles, labels: Labels) -> tuple[list[tuple[Doubles, Doubles]], list[Doubles]]:
    """The same gradient and signals by `tf.GradientTape`, in float64."""
    import tensorflow as tf

    weights = [(tf.constant(w), tf.constant(b)) for w, b in layers]
    # What is added to z has the derivative of z.
    added = [tf.zeros((len(x), len(b)), tf.float64) for _, b in layers]
    start = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch([start, weights, added])
        a = start
        for index, ((w, b), more) in enumerate(zip(weights, added, strict=True)):
            z = tf.matmul(a, w, transpose_b=True) + b + more
            a = tf.sigmoid(z) if index < len(weights) - 1 else z
        total = tf.reduce_sum(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, a))
    slopes, at_start, at_z = tape.gradient(total, [weights, start, added])
    return [(w.numpy(), b.numpy()) for w, b in slopes], [at_start.numpy(), *(each.numpy() for each in at_z)]


def by_moving(layers: Layers, x: Doubles, labels: Labels, where: tuple[int, int, int], step: float) -> float:
    """The derivative with respect to one weight from two forward passes, with the weight moved by `step` in one."""
    index, row, column = where
    weights, bias = layers[index]
    change = np.zeros_like(weights)
    change[row, column] = step
    moved = [*layers[:index], (weights + change, bias), *layers[index + 1 :]]
    return (loss(forward(moved, x, Tally())[1], labels) - loss(forward(layers, x, Tally())[1], labels)) / step


def costs(widths: Sequence[int]) -> dict[str, float]:
    """Multiply-adds per example for the whole gradient by three ways, and of one forward pass.

    From the front means: for each neuron ask those behind it for their dl/dz, which they compute anew every time.
    """
    connections = sum(a * b for a, b in pairwise(widths))
    parameters = connections + sum(widths[1:])
    each, total = 0.0, 0.0
    for here, behind in zip(widths[-2:0:-1], widths[:1:-1], strict=True):
        each = behind * (1.0 + each)
        total += here * each
    return {
        "forward": float(connections),
        "both_passes": 3.0 * connections,
        "from_the_front": 2.0 * connections + total,
        "pass_per_weight": (parameters + 1.0) * connections,
    }


def apart(found: Sequence[Doubles], exact: Sequence[Doubles]) -> float:
    """Largest difference, in units of the largest value of each array."""
    return max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in zip(found, exact, strict=True))


def run(given: Given, sizes: Sizes, seed: int) -> Result:
    """One batch of digits through a random network, and back by hand, by tape and by moving weights."""
    digits = given.digits()
    x = digits.train.x[: sizes.rows].reshape(sizes.rows, -1).astype(np.float64)
    labels = digits.train.y[: sizes.rows]
    widths = [x.shape[1], *[sizes.width] * sizes.depth, CLASSES]
    rng = np.random.default_rng([seed, 0])
    layers = new_layers(widths, rng)
    found, signals, counted = by_hand(layers, x, labels)
    tape, tape_signals = by_tape(layers, x, labels)
    numbers = {
        "tape_off": apart([g for pair in found for g in pair], [g for pair in tape for g in pair]),
        "signals_off": apart(signals, tape_signals),
        **{f"multiply_adds/{name}": count / sizes.rows for name, count in counted.items()},
        **{f"cost/{name}": cost / costs(widths)["forward"] for name, cost in costs(widths).items()},
        **{f"signal/layer_{k}": float(np.sqrt(np.square(s).mean())) for k, s in enumerate(signals[1:], 1)},
    }
    places = _places(widths, sizes.probes, rng)
    exact = np.array([found[index][0][row, column] for index, row, column in places])
    off = [_moving_off(layers, x, labels, places, exact, step) for step in STEPS]
    numbers |= {"moving_off/best": min(off), "moving_off/best_step": float(STEPS[int(np.argmin(off))])}
    numbers |= _slide()
    return Result(
        origin=of_digits(digits, sizes.rows),
        numbers=numbers,
        tables=[_costs_table(numbers), _slide_table(numbers)],
        pictures={"backprop": Picture(_figure(numbers, sizes, off), _CAPTION)},
        takeaway=_TAKEAWAY,
    )


def _places(widths: Sequence[int], count: int, rng: np.random.Generator) -> list[tuple[int, int, int]]:
    indices = rng.integers(len(widths) - 1, size=count)
    return [(int(i), int(rng.integers(widths[i + 1])), int(rng.integers(widths[i]))) for i in indices]


def _moving_off(
    layers: Layers, x: Doubles, labels: Labels, places: list[tuple[int, int, int]], exact: Doubles, step: float
) -> float:
    moved = np.array([by_moving(layers, x, labels, where, step) for where in places])
    return apart([moved], [exact])


def _slide() -> dict[str, float]:
    weights, bias, x = SLIDE
    z = x @ weights.T + bias
    names = {"z": z[0], "a": expit(z[0]), "gain": expit(z[0]) * expit(-z[0])}
    return {f"slide/{name}_{k + 1}": float(values[k]) for name, values in names.items() for k in range(2)}


def _costs_table(numbers: dict[str, float]) -> Table:
    forward_pass = numbers["multiply_adds/forward"]
    signals, products = numbers["multiply_adds/signals"], numbers["multiply_adds/products"]
    parts: list[tuple[Text, float, Text | str]] = [
        (Text("forward pass", "前向传播"), forward_pass, "1"),
        (
            Text("backward pass, every dl/dz and dl/dx", "反向传播：所有 dl/dz 和 dl/dx"),
            signals,
            Text("as much as forward", "与前向相同"),
        ),
        (Text("their products, dl/dw", "两者相乘：dl/dw"), products, ""),
        (Text("the gradient by both passes", "两次传播得到整个梯度"), numbers["cost/both_passes"] * forward_pass, ""),
        (
            Text("the gradient, each dl/dz recomputed from the front", "从前往后逐个重复计算每个 dl/dz"),
            numbers["cost/from_the_front"] * forward_pass,
            Text("not efficient", "没有效率"),
        ),
        (
            Text("the gradient, one forward pass per parameter", "每个参数做一次前向传播"),
            numbers["cost/pass_per_weight"] * forward_pass,
            "",
        ),
    ]
    rows: list[list[Cell | Text]] = [
        [what, f"{count:,.0f}", f"{count / forward_pass:,.0f}", course] for what, count, course in parts
    ]
    heads = [
        Text("what", "内容"),
        Text("multiply-adds per example", "每个样本的乘加次数"),
        Text("in forward passes", "折合前向传播次数"),
        Text("the course says", "课程的说法"),
    ]
    return Table(_COSTS, heads, rows)


def _slide_table(numbers: dict[str, float]) -> Table:
    rows: list[list[Cell | Text]] = [
        [
            k,
            z,
            f"{numbers[f'slide/z_{k}']:.0f}",
            f"{a:.2f}",
            f"{numbers[f'slide/a_{k}']:.2f}",
            f"{numbers[f'slide/gain_{k}']:.3f}",
        ]
        for k, (z, a) in enumerate(COURSE, 1)
    ]
    heads = [
        Text("neuron", "神经元"),
        Text("course, z", "课程，z"),
        Text("here, z", "本次，z"),
        Text("course, a", "课程，a"),
        Text("here, a", "本次，a"),
        Text("gain on the way back", "反向时的放大系数"),
    ]
    return Table(_SLIDE, heads, rows)


def _figure(numbers: dict[str, float], sizes: Sizes, off: Sequence[float]) -> Figure:
    figure, axes = canvas(1, 3, 10.0, 3.3)
    left, middle, right = axes[0]
    _draw_costs(left, sizes.width)
    middle.loglog(STEPS, off, "o-", color="#c2410c", ms=3, label="finite difference")
    middle.axhline(numbers["tape_off"], color="#1d4ed8", label="backward pass by hand")
    middle.set(xlabel="finite-difference step", ylabel="relative error of dl/dw")
    middle.legend(fontsize=7)
    layers = range(1, sizes.depth + 2)
    right.semilogy(layers, [numbers[f"signal/layer_{k}"] for k in layers], "o-", color="#15803d", ms=4)
    right.set(xlabel="layer, the output on the right", ylabel="size of dl/dz (root mean square)", xticks=list(layers))
    return figure


def _draw_costs(axis: Axes, width: int) -> None:
    drawn = {"pass_per_weight": "#c2410c", "from_the_front": "#b91c1c", "both_passes": "#1d4ed8", "forward": "#1f2937"}
    found = [costs([width] * (depth + 2)) for depth in DEPTHS]
    for name, colour in drawn.items():
        axis.semilogy(DEPTHS, [each[name] for each in found], "o-", color=colour, ms=3, label=name.replace("_", " "))
    axis.set(xlabel=f"hidden layers, {width} neurons each", ylabel="multiply-adds per example", ylim=(100, 1e19))
    axis.legend(fontsize=7, loc="upper left")


_COSTS = Text(
    "Counted while the study runs, one multiply-add per connection; per-neuron work (sigmoid, gain) is not counted. "
    "The backward pass is carried on to the input, whose gradient is what an attack follows.",
    "运行时实际计数，每条连线一次乘加；每个神经元只做一次的运算（sigmoid、乘放大系数）不计入。"
    "反向传播一直进行到输入，对输入的导数正是攻击所用的方向。",
)
_SLIDE = Text(
    "The course's example of a layer as a matrix operation, and the factor by which each of its neurons multiplies "
    "the backward signal.",
    "课程里用矩阵运算表示一层网络的例子，以及每个神经元在反向时所乘的系数。",
)
_CAPTION = Text(
    "Left: the cost of the full gradient, by depth. Middle: finite differences are not only expensive but inexact: a "
    "large step is biased, a small one is lost in rounding. Right: each sigmoid multiplies the backward signal by at "
    "most 1/4, so early layers receive smaller gradients; one reason why, in 1986, more than three hidden layers did "
    "not help.",
    "左：整个梯度的代价随深度的变化。中：逐个改变权重不仅代价高，而且不准确：步长大了不是导数，步长小了被舍入误差淹没。"
    "右：每个 sigmoid 最多把传回来的信号乘以 1/4，所以靠前的层收到的信号更弱，"
    "这是 1986 年超过三个隐藏层就没有帮助的原因之一。",
)
_TAKEAWAY = Text(
    "The gradient with respect to every weight is the input to the weight times the backward signal of the reversed "
    "network, and the hand-written version equals automatic differentiation. Both passes together cost three forward "
    "passes whatever the number of weights, whereas finite differences cost one forward pass per weight.",
    "对每个权重的梯度，等于前向时进入这个权重的值乘以沿反向网络传回来的值，手写的结果与自动求导一致。"
    "无论有多少权重，两次传播一共只相当于三次前向传播，而逐个改变权重则每个权重都要一次前向传播。",
)
STUDY = Study(
    title=Text("Backpropagation by hand", "手写反向传播"),
    question=Text(
        "Gradient descent needs the derivative of the loss with respect to every weight, and a network may have a "
        "million. Backpropagation is not a different way to train but an efficient way to compute them all.\n\nThe "
        "chain rule splits each into two factors. The input to the weight is known from the forward pass. How the "
        "loss depends on the neuron's z is computed from the output backwards, by a second network with the same "
        "weights in the reverse direction, whose neurons are linear: they multiply their input by a number that the "
        "forward pass has fixed.\n\nBoth passes are written out here in NumPy for a batch of digits and a random "
        "network of sigmoids, compared with tf.GradientTape, and counted in multiply-adds against two inefficient "
        "alternatives.",
        "梯度下降需要损失对每个权重的导数，而一个网络可能有上百万个权重。反向传播并不是另一种训练方法，"
        "只是一次算出全部导数的高效做法。\n\n"
        "链式法则把每个导数拆成两个因子。进入这个权重的值，前向传播时就已知道；损失对神经元的 z 的导数，"
        "则从输出端往回算："
        "好比另建一个方向相反、权重相同的网络，它的神经元不做非线性变换，只乘上一个在前向传播时已经确定的常数。\n\n"
        "这里用 NumPy 写出这两次传播，输入一批手写数字和一个随机的 sigmoid 网络，与 tf.GradientTape 的结果比较，"
        "并统计乘加次数，与两种低效的做法对照。",
    ),
    formulas=[
        Formula(
            r"\frac{\partial l}{\partial w} = \frac{\partial z}{\partial w}\,\frac{\partial l}{\partial z}, "
            r"\qquad \frac{\partial z}{\partial w} = a",
            Text("the forward pass gives the first factor", "前向传播给出第一个因子"),
        ),
        Formula(
            r"\frac{\partial l}{\partial z} = \sigma^{\prime}(z)\,\sum_k w_k\,\frac{\partial l}{\partial z_k}",
            Text("a neuron of the reversed network, with fixed gain", "反向网络里的一个神经元，放大系数是固定的"),
        ),
        Formula(
            r"\frac{\partial l}{\partial z^{L}} = \mathrm{softmax}(z^{L}) - \hat{y}",
            Text("where the reversed network starts", "反向网络的起点"),
        ),
    ],
    sizes=Sizes,
    run=run,
)
