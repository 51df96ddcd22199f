"""What a convolutional network looks for: images that excite its units most, pixels that its answer hangs on."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from redoubt.attacks.core.criteria import Untargeted
from redoubt.attacks.core.gradient import PGD
from redoubt.attacks.core.problem import AttackProblem, of_network
from redoubt.bundle.base.types import Positive
from redoubt.core.types import PIXELS, Batch, Floats
from redoubt.params.recipes import Pgd
from redoubt.params.settings.base import Count, Strict
from redoubt.params.settings.networks import Cnn
from redoubt.params.settings.sections import Eps
from redoubt.report.figures import canvas
from redoubt.studies.contract import Cell, Doubles, Formula, Picture, Result, Study, Table, Text
from redoubt.studies.convolution.dreams import CLASSES, dream, flipped, toward
from redoubt.studies.convolution.maximized import (
    activations,
    correlations,
    favourites,
    likeness,
    maximize,
    repetition,
    saliency,
    up_to,
)
from redoubt.studies.digit_networks import new_network
from redoubt.studies.given import Given
from redoubt.studies.hardened_digits import harden
from redoubt.studies.origins import of_digits
from redoubt.training.fit import Plan, compile_network, fit, on_rows
from redoubt.training.recipes import plan_for

MODEL = Cnn(kind="cnn", filters=(16, 32), units=(64,))
BATCH, RATE = 64, 0.003
NETWORKS = ("natural", "hardened")
PENALTIES = ("none", "l1", "l2")
STARTS = ("noise", "average")
# Layers slide over images of any size: on 8 x 8 pixels a texture would have no room to repeat.
SIDE = 28
ATTACK_STEPS = 4
# Activation below which a unit is dead.
ALIVE = 1e-3
SHOWN = 10


class Sizes(Strict):
    """Sizes of the study.

    Attributes:
        rows: training images.
        test: images to report on.
        epochs: of the natural training.
        hardened_epochs: of the adversarial one.
        eps: largest change of a pixel that the hardened network was trained to bear.
        steps: of gradient ascent to an image.
        starts: random ones per class.
    """

    rows: Count = 1400
    test: Count = 300
    epochs: Count = 10
    hardened_epochs: Count = 12
    eps: Positive = 0.15
    steps: Count = 60
    starts: Count = 5


@dataclass(frozen=True)
class Shown:
    """What one network gave to be looked at.

    Attributes:
        filters: images that excite its second layer's filters most.
        neurons: likewise of the dense layer.
        outputs: images of the ten outputs, by start and penalty.
        saliency: of the first test images.
        dream: those images after the dream.
    """

    filters: Floats
    neurons: Floats
    outputs: Mapping[str, Floats]
    saliency: Doubles
    dream: Floats


def run(given: Given, sizes: Sizes, seed: int) -> Result:
    """Train both networks and look into them."""
    digits = given.digits()
    train, test = (
        batch.take(np.arange(min(rows, len(batch))))
        for batch, rows in ((digits.train, sizes.rows), (digits.test, sizes.test))
    )
    numbers: dict[str, float] = {}
    shown = {}
    for name, network in trained(train, sizes, seed).items():
        found, shown[name] = look_into(network, train, test, sizes, seed)
        numbers |= {f"{name}/{key}": value for key, value in found.items()}
    return Result(
        origin=of_digits(digits, len(train)),
        numbers=numbers,
        tables=[_outputs_table(numbers), _networks_table(numbers)],
        pictures={
            "favourites": Picture(_favourites(shown), _FAVOURITES),
            "saliency": Picture(_saliency(test, shown), _SALIENCY),
        },
        takeaway=_TAKEAWAY,
    )


def trained(train: Batch, sizes: Sizes, seed: int) -> dict[str, keras.Sequential]:
    """One network from the same weights twice, trained on images and on attacked ones; a seventh chooses the epoch."""
    kept = len(train) - len(train) // 7
    learn, validation = train.take(np.arange(kept)), train.take(np.arange(kept, len(train)))
    natural, hardened = (new_network(MODEL, learn.x, seed) for _ in NETWORKS)
    plan = Plan(epochs=sizes.epochs, batch_size=BATCH, learning_rate=RATE, decay=True, seed=seed)
    compile_network(natural, plan, len(learn), len(CLASSES))
    fit(natural, natural, learn, on_rows(natural, validation), plan)
    recipe = Pgd(method="pgd", steps=ATTACK_STEPS, epochs=sizes.hardened_epochs)
    robust_plan, eps = plan_for(recipe, BATCH, RATE, seed), Eps(linf=sizes.eps, l2=sizes.eps)
    return {
        "natural": natural,
        "hardened": harden(hardened, recipe, robust_plan, eps, learn, validation),
    }


def look_into(
    network: keras.Sequential, train: Batch, test: Batch, sizes: Sizes, seed: int
) -> tuple[dict[str, float], Shown]:
    """Everything that is measured of one network, and what there is to be seen."""
    rng = np.random.default_rng([seed, 1])
    problem = AttackProblem(of_network(network), Untargeted(), "linf", PIXELS)
    attacked = PGD(steps=20)(problem, test.x, test.y, eps=sizes.eps, seed=seed)
    gradients = saliency(network, test)
    filters, of_filters = units(network, "convolution_1", train, sizes.steps, rng)
    neurons, of_neurons = units(network, "hidden_0", train, sizes.steps, rng)
    outputs, of_outputs = classes(network, train, float(gradients.mean()), sizes, rng)
    dreamt, energy = dream(network, test.take(np.arange(SHOWN)))
    numbers = {
        "accuracy": accuracy(network, test.x, test.y),
        "under_attack": accuracy(network, attacked, test.y),
        **{f"filter/{key}": value for key, value in of_filters.items()},
        **{f"neuron/{key}": value for key, value in of_neurons.items()},
        **of_outputs,
        **pointed_at(network, test, gradients, rng),
        "dream_energy": energy,
    }
    return numbers, Shown(filters, neurons, outputs, gradients[:SHOWN], dreamt)


def accuracy(network: keras.Sequential, x: Floats, y: Doubles) -> float:
    """Share of correct predictions."""
    return float((np.asarray(network(tf.constant(x), training=False)).argmax(axis=1) == y).mean())


def units(
    network: keras.Sequential, layer: str, train: Batch, steps: int, rng: np.random.Generator
) -> tuple[Floats, dict[str, float]]:
    """Images that excite the units of a layer most, and how they compare with digits and with the noise they came from.

    A unit that neither its image nor any digit excites is dead, and left out.
    """
    part = up_to(network, layer)
    best = np.asarray(activations(part)(tf.constant(train.x)), np.float64).max(axis=0)
    if layer.startswith("convolution"):
        part = up_to(network, layer, SIDE)
    start = rng.random((1, *part.input_shape[1:])).astype(np.float32)
    images, values = favourites(part, start, steps)
    alive = np.minimum(values, best) > ALIVE
    images = images[alive][:SHOWN]
    return images, {
        "over_best_digit": float(values[alive].mean() / best[alive].mean()),
        "repeats": float(np.mean([repetition(image[..., 0]) for image in images])),
        "noise_repeats": repetition(start[0, ..., 0]),
    }


def classes(
    network: keras.Sequential, train: Batch, unit: float, sizes: Sizes, rng: np.random.Generator
) -> tuple[dict[str, Floats], dict[str, float]]:
    """Images that raise the outputs most, from both starts and under every penalty, all climbing in one batch.

    Args:
        network: asked.
        train: rows that likeness is judged by.
        unit: the network's mean |dy/dx|, which the penalties' weights are multiples of.
        sizes: of the study.
        rng: of the starts.
    """
    shape = train.x.shape[1:]
    grid = (len(STARTS), sizes.starts, len(PENALTIES), len(CLASSES))
    noise = rng.random((sizes.starts, *shape))
    average = train.x.mean(axis=0) + rng.uniform(-0.05, 0.05, noise.shape)
    start = np.stack([noise, np.clip(average, 0, 1)])[:, :, None, None]
    start = np.broadcast_to(start, (*grid, *shape)).reshape(-1, *shape).astype(np.float32)
    _, _, penalty, digit = (each.ravel() for each in np.indices(grid))
    weights = [np.where(penalty == PENALTIES.index(name), unit, 0).astype(np.float32) for name in PENALTIES[1:]]
    index = np.stack([np.arange(len(digit)), digit], axis=1)
    images = maximize(lambda x: tf.gather_nd(network(x), index), start, sizes.steps, *weights)
    sure = np.asarray(tf.gather_nd(tf.nn.softmax(network(tf.constant(images))), index))
    alike, named = likeness(images, digit, train)
    numbers = {}
    seen = images.reshape(*grid, *shape)
    for third, name in enumerate(PENALTIES):
        for key, values in (("alike", alike), ("named", named), ("probability", sure)):
            numbers[f"output/{name}/{key}"] = float(values.reshape(grid)[0, :, third].mean())
        numbers[f"output/{name}/toward"] = toward(seen[1, :, third], train)
    return {"outputs": seen[0, 0, 0], "outputs, L1": seen[0, 0, 1], "outputs,\nfrom average": seen[1, 0, 0]}, numbers


def pointed_at(
    network: keras.Sequential, test: Batch, gradients: Doubles, rng: np.random.Generator
) -> dict[str, float]:
    """Whether saliency follows the ink, and whether flipping the pixels it names costs more than flipping others."""
    ink = [np.corrcoef(each.ravel(), image.ravel())[0, 1] for each, image in zip(gradients, test.x, strict=True)]
    present = np.unique(test.y)
    together = [np.stack([x[test.y == digit].mean(axis=0) for digit in present]) for x in (gradients, test.x)]
    return {
        "saliency/with_ink": float(np.mean(ink)),
        "saliency/classes": float(np.diag(correlations(*together)).mean()),
        "flipped/salient": accuracy(network, flipped(test.x, gradients), test.y),
        "flipped/random": accuracy(network, flipped(test.x, rng.random(gradients.shape)), test.y),
    }


def _outputs_table(numbers: Mapping[str, float]) -> Table:
    names = {"none": Text("none", "无"), "l1": Text("L1", "L1"), "l2": Text("L2", "L2")}
    columns = {
        "alike": Text("similarity", "相似度"),
        "named": Text("most similar to its own digit", "最像本类"),
        "probability": Text("probability", "概率"),
        "toward": Text("direction", "方向"),
    }
    rows: list[list[Cell | Text]] = [
        [
            _SAID[name],
            names[penalty],
            *(f"{numbers[f'{name}/output/{penalty}/{key}']:.2f}" for key in columns),
        ]
        for name in NETWORKS
        for penalty in PENALTIES
    ]
    return Table(_OUTPUTS, [Text("network", "网络"), Text("penalty", "正则项"), *columns.values()], rows)


def _networks_table(numbers: Mapping[str, float]) -> Table:
    lines = {
        "accuracy": Text("accuracy", "正确率"),
        "under_attack": Text("robust accuracy under PGD", "PGD 攻击下的正确率"),
        "filter/over_best_digit": Text(
            "filter activation: its image / the best digit", "滤波器：最大化图像与最强数字之比"
        ),
        "neuron/over_best_digit": Text(
            "neuron activation: its image / the best digit", "神经元：最大化图像与最强数字之比"
        ),
        "filter/repeats": Text("filter images: repetition", "滤波器图像：重复程度"),
        "neuron/repeats": Text("neuron images: repetition", "神经元图像：重复程度"),
        "saliency/with_ink": Text("saliency: correlation with the image", "显著图与图像的相关系数"),
        "saliency/classes": Text("mean saliency of a class: with its mean image", "每类平均显著图与平均图像的相关系数"),
        "flipped/random": Text("accuracy, 5% random pixels flipped", "随机翻转 5% 像素后的正确率"),
        "flipped/salient": Text("accuracy, the 5% most salient flipped", "翻转最显著的 5% 像素后的正确率"),
        "dream_energy": Text("deep dream: growth of activation energy, factor", "Deep Dream：激活能量的倍数"),
    }
    rows: list[list[Cell | Text]] = [
        [says, *(f"{numbers[f'{name}/{key}']:.2f}" for name in NETWORKS)] for key, says in lines.items()
    ]
    noise = [numbers[f"natural/{kind}/noise_repeats"] for kind in ("filter", "neuron")]
    caption = Text(
        "Both networks. A filter's activation is its mean over positions, so that images of any size are comparable. "
        "Repetition is the highest correlation of an image with itself shifted by 2 pixels or more; the noise that "
        f"filter images start from has {noise[0]:.2f}, that for the neurons {noise[1]:.2f}.",
        "两个网络。滤波器的激活取各位置的平均值，因此不同大小的图像可以比较。"
        f"重复程度：图像与自身平移 2 个像素以上之后的最大相关系数；滤波器图像的噪声起点为 {noise[0]:.2f}，"
        f"神经元图像的为 {noise[1]:.2f}。",
    )
    return Table(caption, [Text("measure", "指标"), *_SAID.values()], rows)


def _favourites(shown: Mapping[str, Shown]) -> Figure:
    figure, axes = canvas(10, SHOWN, 8.0, 8.2)
    for block, name in enumerate(NETWORKS):
        each = shown[name]
        rows = {"filters": each.filters, "neurons": each.neurons, **each.outputs}
        for line, (says, images) in zip(axes[5 * block : 5 * block + 5], rows.items(), strict=True):
            colour = "#c2410c" if name == "natural" else "#1d4ed8"
            _row(line, images[..., 0], f"{_SAID[name].en}\n{says}", colour)
    return figure


def _saliency(test: Batch, shown: Mapping[str, Shown]) -> Figure:
    figure, axes = canvas(5, SHOWN, 8.0, 4.2)
    _row(axes[0], test.x[:SHOWN, ..., 0], "digit", "#1f2937")
    for index, (name, colour) in enumerate((("natural", "#c2410c"), ("hardened", "#1d4ed8"))):
        maps = shown[name].saliency
        _row(axes[1 + index], maps / maps.max(axis=(1, 2), keepdims=True), f"{_SAID[name].en}\n|dy/dx|", colour)
        _row(axes[3 + index], shown[name].dream[..., 0], f"{_SAID[name].en}\ndream", colour)
    return figure


def _row(line: Sequence[Axes], images: Floats | Doubles, label: str, colour: str) -> None:
    for axis, image in itertools.zip_longest(line, images):
        axis.set(xticks=[], yticks=[])
        axis.grid(visible=False)
        if image is not None:
            axis.imshow(image, cmap="gray", vmin=0, vmax=1)
    line[0].set_ylabel(label, fontsize=7.5, color=colour, rotation=0, ha="right", va="center")


_SAID = {"natural": Text("natural", "自然"), "hardened": Text("adversarial", "对抗训练")}
_OUTPUTS = Text(
    "Images that maximize the ten outputs, without a penalty, with lambda sum |x| (L1) and with lambda sum x^2 (L2); "
    "lambda is the network's mean |dy/dx|, so that the penalty has equal weight in both. From noise: similarity, the "
    "correlation with the most similar training image of that digit; the share for which no image of another digit is "
    "more similar; and the network's probability. From the average of all digits: direction, the correlation of the "
    "change with the difference between that digit's mean and the average.",
    "使十个输出最大的图像：不加正则、减去 lambda sum |x|（L1）和 lambda sum x^2（L2）。lambda 取该网络 |dy/dx| 的均值，"
    "使正则项对两个网络同样重。从噪声出发：相似度，即与该数字最相似的训练图像的相关系数；"
    "没有别的数字的图像更像它的比例；网络给出的概率。从所有数字的平均图像出发：方向，即图像的变化与"
    "“从平均图像指向该数字均值”这一方向的相关系数。",
)
_FAVOURITES = Text(
    "Per network: images that maximize filters of the second convolution layer, neurons of the dense layer, and the "
    "outputs 0 to 9 from noise, from noise with the L1 penalty, and from the average digit without. Filters respond "
    "to textures, neurons and outputs to patterns as large as the image, and what the natural network confidently "
    "classifies as a digit does not look like one to us.",
    "每个网络依次为：使第二个卷积层的滤波器、全连接层的神经元最大化的图像；使输出 0 到 9 最大化的图像，"
    "依次为从噪声出发、从噪声出发加 L1 正则、从平均图像出发。滤波器喜欢纹理，神经元和输出喜欢占满整幅图的图案；"
    "自然网络确信是数字的图像，在我们看来并不是。",
)
_SALIENCY = Text(
    "Test digits, the saliency |dy/dx| of both networks (white is its largest value in the image), and the digits "
    "after ten steps of deep dream, which exaggerates whatever the second layer detects.",
    "测试数字、两个网络的显著图 |dy/dx|（白色为该图中的最大值），以及经过十步 Deep Dream 之后的数字："
    "它夸大第二层看到的一切。",
)
_TAKEAWAY = Text(
    "An image that maximizes an output need not look like the digit to us, and yet the network is confident: this is "
    "what adversarial attacks exploit. Penalizing ink brings the image closer to real digits, and adversarial "
    "training moves saliency back to the strokes.",
    "使某个输出最大的图像在我们看来不一定像数字，而网络却深信不疑：攻击正是从这扇门进来的。"
    "惩罚笔墨会让图像更接近真实数字，而对抗训练会让答案所依赖的像素回到笔画上。",
)
STUDY = Study(
    title=Text("What does a CNN learn?", "CNN 学到了什么？"),
    question=Text(
        "A trained network is a black box, yet one can visualize what it responds to: fix the weights, start from "
        "noise and change the pixels by gradient ascent. The course does so for a filter, whose degree of activation "
        "is the sum of its outputs over all positions, for a neuron of the dense layer and for an output. The image "
        "for an output is the surprise: one expects a digit, and sees noise. Subtracting the sum of |x|, since most "
        "pixels of a digit are empty, makes it look more like a digit.\n\nHere this is done with two networks of the "
        "same architecture and initialization, one trained naturally and one adversarially by PGD. Filters are shown "
        "on 28 x 28 pixels whatever the size of the digits, as a convolution applies to images of any size. "
        "Similarity is measured, not only judged by eye.\n\nTwo neighbours of the idea follow. Saliency (Simonyan) "
        "shows on which pixels of an image the prediction depends, by |dy/dx|; deep dream amplifies whatever a layer "
        "detects in a given image.",
        "训练好的网络像黑箱，但可以问它喜欢什么：固定权重，从噪声出发，用梯度上升去改像素。课程对三种对象这样做："
        "滤波器（激活程度是它在所有位置上的输出之和）、全连接层的神经元、以及输出。输出的结果最令人意外：本以为会看到数字，"
        "看到的却是噪声。数字图像的大部分像素没有笔墨，所以减去 |x| 之和之后，图像会更像数字。\n\n"
        "这里用两个结构和初始权重都相同的网络来做，一个用数字训练，一个用受 PGD 攻击的数字训练。"
        "卷积可以在任意大小的图像上滑动，所以滤波器一律用 28 x 28 的图像展示。像不像数字，不只靠看，还要测量。\n\n"
        "然后是这个想法的两个近邻。显著图（Simonyan）对一幅给定的图像，用 |dy/dx| 问答案取决于哪些像素；"
        "Deep Dream 则从给定的图像出发，让某一层看到的一切变得更多。",
    ),
    formulas=[
        Formula(
            r"a^k = \sum_{i,j} a^k_{ij}, \qquad x^* = \arg\max_x\, a^k",
            Text("the image that maximizes filter k", "使第 k 个滤波器最激活的图像"),
        ),
        Formula(
            r"x^* = \arg\max_x \left( y_i - \lambda \sum_{m,n} |x_{mn}| \right)",
            Text("the image for output i, with an L1 penalty on ink", "输出 i 的图像，笔墨尽量少"),
        ),
        Formula(
            r"s_{mn} = \left| \frac{\partial y_k}{\partial x_{mn}} \right|",
            Text("saliency of a pixel for class k", "像素对类别 k 的显著程度"),
        ),
    ],
    sizes=Sizes,
    run=run,
)
