"""The next steps of machine learning, as the course lists them: a small experiment for each."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from redoubt.core.types import Floats
from redoubt.params.settings.base import Count, Strict
from redoubt.report.figures import canvas
from redoubt.studies.beyond.grid import reinforcement
from redoubt.studies.beyond.small import BITS, EPS, PRUNED, compression
from redoubt.studies.beyond.tasks import REPLAYED, SHOTS, few_shot, lifelong, meta_learning
from redoubt.studies.beyond.trust import ANGLE, KNOWN, WAYS, anomaly, clever_hans, explanations, mismatch
from redoubt.studies.contract import Cell, Doubles, Formula, Picture, Result, Study, Table, Text
from redoubt.studies.digit_networks import MLP, first, learn, new_network
from redoubt.studies.given import Given
from redoubt.studies.origins import of_digits

INK, RED, BLUE, GREEN, ORANGE = "#1f2937", "#b91c1c", "#1d4ed8", "#15803d", "#c2410c"


class Sizes(Strict):
    """Sizes of the study.

    Attributes:
        train: rows to learn from.
        test: rows to report on.
        epochs: of training.
        rounds: of meta-learning, a task each.
        episodes: walks over the grid.
        runs: learners on the grid.
    """

    train: Count = 1400
    test: Count = 300
    epochs: Count = 15
    rounds: Count = 4000
    episodes: Count = 400
    runs: Count = 5


def run(given: Given, sizes: Sizes, seed: int) -> Result:
    """One experiment after another, two networks for digits shared by most."""
    digits = given.digits()
    train, test = first(digits, sizes.train, sizes.test)
    network = learn(new_network(MLP, train.x, seed), train, sizes.epochs, 64, seed)
    some = train.take(np.flatnonzero(train.y < KNOWN))
    partial = learn(new_network(MLP, train.x, seed, KNOWN), some, sizes.epochs, 64, seed)
    known, confidence = anomaly(partial, test, seed)
    why, curves, maps = explanations(network, test, seed)
    waves, shown = meta_learning(sizes.rounds, seed)
    grid, returns = reinforcement(sizes.episodes, sizes.runs, seed)
    numbers = known | why | clever_hans(train, test, sizes.epochs, seed)
    numbers |= mismatch(network, train, test, sizes.epochs, seed) | compression(network, test)
    numbers |= lifelong(train, test, sizes.epochs, seed) | few_shot(partial, train, test, seed) | waves | grid
    return Result(
        origin=of_digits(digits, len(train)),
        numbers=numbers,
        tables=[_questions(numbers), _compressed(numbers)],
        pictures={
            "trust": Picture(_trust(numbers, confidence, curves, (test.x[0, ..., 0], maps[0])), _TRUST),
            "tasks": Picture(_tasks(numbers, shown, returns), _TASKS),
        },
        takeaway=_TAKEAWAY,
    )


# Question, what is measured, its number, what it stands beside, that number.
_QUESTIONS: tuple[tuple[Text, Text, str, Text, str], ...] = (
    (
        Text("Does it know that it does not know?", "机器知道自己不知道吗？"),
        Text("unseen against known digits by confidence, AUROC", "用信心区分没见过的数字，AUROC"),
        "auroc/unseen",
        Text("unseen digits with confidence above 0.9", "没见过的数字却以 0.9 以上的信心回答"),
        "sure/unseen",
    ),
    (
        Text("Why does it say so?", "为什么这样回答？"),
        Text("probability left, pixels deleted by occlusion map", "按遮挡图删除像素后的平均概率"),
        "deletion/occlusion",
        Text("deleted at random", "随机删除"),
        "deletion/random",
    ),
    (
        Text("Is it a Clever Hans?", "是汉斯马吗？"),
        Text("accuracy with a mark that gives the digit away", "有泄露答案的记号时的正确率"),
        "hans/marked",
        Text("accuracy without the mark", "没有记号时的正确率"),
        "hans/unmarked",
    ),
    (
        Text("Distribution shift", "训练与测试不同"),
        Text(f"accuracy on digits rotated by {ANGLE:g} degrees", f"旋转 {ANGLE:g} 度后的正确率"),
        "mismatch/rotated",
        Text("the same, with rotated ones in training", "也学过旋转图像之后"),
        "mismatch/rotated_learned",
    ),
    (
        Text("Lifelong learning: forgetting", "终身学习：遗忘"),
        Text("accuracy on the first task after the second", "学完第二个任务后，第一个任务的正确率"),
        "lifelong_first/alone",
        Text(f"with {REPLAYED} old images per digit replayed", f"每个数字重放 {REPLAYED} 张旧图"),
        "lifelong_first/replay",
    ),
    (
        Text("Few-shot: three unseen digits", "小样本：三个没见过的数字"),
        Text("accuracy by nearest prototype, one example", "每类一个样本的最近原型，正确率"),
        "few_shot_features/1",
        Text("of five examples", "每类五个样本"),
        "few_shot_features/5",
    ),
    (
        Text("Meta-learning: a new sine wave from ten points", "元学习：十个点学一条新曲线"),
        Text("squared error from meta-learned initial weights", "从元学习的初始参数出发，平方误差"),
        "wave_error/reptile",
        Text("from random initial weights", "从随机初始参数出发"),
        "wave_error/random",
    ),
    (
        Text("Does reinforcement really work?", "增强式学习真的能用吗？"),
        Text("return of the learned policy", "试错学到的回报"),
        "grid/learned",
        Text("moves tried in training", "为此必须尝试的步数"),
        "grid/moves_tried",
    ),
)


def _questions(numbers: Mapping[str, float]) -> Table:
    rows: list[list[Cell | Text]] = [
        [asked, measured, round(numbers[name], 3), beside, round(numbers[other], 3)]
        for asked, measured, name, beside, other in _QUESTIONS
    ]
    heads = [
        Text("question", "问题"),
        Text("measured", "测量"),
        Text("value", "数值"),
        Text("beside it", "对照"),
        Text("value", "数值"),
    ]
    return Table(_TABLE, heads, rows)


def _variants() -> list[str]:
    return ["full", *(f"pruned_{100 * share:.0f}" for share in PRUNED), *(f"int{bits}" for bits in BITS)]


def _compressed(numbers: Mapping[str, float]) -> Table:
    said = {"full": Text("32-bit weights, unpruned", "32 位，全部权重")}
    said |= {
        f"pruned_{100 * share:.0f}": Text(
            f"smallest {share:.0%} of the weights removed", f"删去最小的 {share:.0%} 权重"
        )
        for share in PRUNED
    }
    said |= {f"int{bits}": Text(f"weights as {bits}-bit integers", f"{bits} 位整数权重") for bits in BITS}
    rows: list[list[Cell | Text]] = [
        [said[name], *(f"{numbers[f'small_{kind}/{name}']:.1%}" for kind in ("accuracy", "robust"))]
        for name in _variants()
    ]
    heads = [
        Text("network", "网络"),
        Text("accuracy", "正确率"),
        Text(f"robust accuracy, PGD, L-inf {EPS:g}", f"PGD 攻击下的鲁棒准确率，L-inf {EPS:g}"),
    ]
    return Table(_SMALL, heads, rows)


def _trust(
    numbers: Mapping[str, float],
    confidence: Mapping[str, Floats],
    curves: Mapping[str, Doubles],
    explained: tuple[Floats, Floats],
) -> Figure:
    figure, axes = canvas(2, 2, 8.4, 6.0)
    for name, colour in (("known", GREEN), ("unseen", RED), ("shuffled", ORANGE), ("noise", BLUE)):
        heights, edges = np.histogram(confidence[name], bins=20, range=(0, 1))
        axes[0, 0].stairs(heights / heights.sum(), edges, color=colour, label=name, lw=1.5)
    axes[0, 0].set(title="does it know that it does not know?", xlabel="confidence", ylabel="share of images")
    axes[0, 0].legend()
    for name, colour in zip(WAYS, (RED, ORANGE, INK), strict=True):
        curve = curves[name]
        axes[0, 1].plot(np.linspace(0, 1, len(curve)), curve, color=colour, label=name)
    axes[0, 1].set(title="deletion: most important first", xlabel="share of pixels deleted", ylabel="probability")
    axes[0, 1].legend()
    _explained(axes[1, 0], *explained)
    names = _variants()
    for kind, colour, label in (("accuracy", GREEN, "clean"), ("robust", RED, "robust")):
        axes[1, 1].plot(names, [numbers[f"small_{kind}/{name}"] for name in names], "o", color=colour, label=label)
    axes[1, 1].set(title="compression", ylabel="accuracy", ylim=(0, 1.05))
    axes[1, 1].tick_params(axis="x", rotation=45)
    axes[1, 1].legend()
    return figure


def _explained(axis: Axes, picture: Floats, importance: Floats) -> None:
    """A digit, and beside it what its answer rests on: red where hiding it hurts."""
    span = float(np.abs(importance).max()) or 1.0
    gap = np.full((len(picture), 1), np.nan)
    axis.imshow(np.hstack([2 * picture - 1, gap, np.full_like(importance, np.nan)]), cmap="gray", vmin=-1, vmax=1)
    blank = np.full_like(picture, np.nan)
    axis.imshow(np.hstack([blank, gap, importance / span]), cmap="coolwarm", vmin=-1, vmax=1)
    axis.grid(visible=False)
    axis.set(xticks=[], yticks=[], title="a digit, and loss by occlusion (red)")


def _tasks(numbers: Mapping[str, float], shown: Mapping[str, Doubles], returns: Doubles) -> Figure:
    figure, axes = canvas(2, 2, 8.4, 6.0)
    memory = {"first": ("before", "alone", "replay"), "second": ("alone", "replay")}
    for task, colour, shift in (("first", RED, -0.2), ("second", BLUE, 0.2)):
        places = [("before", "alone", "replay").index(name) + shift for name in memory[task]]
        heights = [numbers[f"lifelong_{task}/{name}"] for name in memory[task]]
        drawn = axes[0, 0].bar(places, heights, 0.38, color=colour, label=f"{task} task")
        axes[0, 0].bar_label(drawn, [f"{height:.0%}" for height in heights], fontsize=8)
    axes[0, 0].set_xticks(range(3), ["first learned", "then second", "with replay"])
    axes[0, 0].set(title="lifelong learning", ylabel="accuracy", ylim=(0, 1.3))
    axes[0, 0].legend(ncols=2, loc="upper center")
    for space, colour, shift in (("features", GREEN, -0.2), ("pixels", INK, 0.2)):
        heights = [numbers[f"few_shot_{space}/{shots}"] for shots in SHOTS]
        drawn = axes[0, 1].bar(np.arange(len(SHOTS)) + shift, heights, 0.38, color=colour, label=space)
        axes[0, 1].bar_label(drawn, [f"{height:.0%}" for height in heights], fontsize=8)
    axes[0, 1].axhline(1 / 3, color=RED, lw=1, ls="--", label="chance")
    axes[0, 1].set_xticks(range(len(SHOTS)), [f"{shots} per digit" for shots in SHOTS])
    axes[0, 1].set(title="few-shot: nearest prototype", ylabel="accuracy", ylim=(0, 1.3))
    axes[0, 1].legend(ncols=3, loc="upper center", fontsize=8)
    axes[1, 0].plot(shown["x"], shown["truth"], color=INK, lw=1, ls="--", label="new sine wave")
    axes[1, 0].plot(shown["points_x"], shown["points_y"], "o", color=INK, ms=4)
    for name, colour in (("random", BLUE), ("all_tasks", ORANGE), ("reptile", RED)):
        axes[1, 0].plot(shown["x"], shown[name], color=colour, label=name.replace("_", " "))
    axes[1, 0].set(title="meta-learning: after a few steps on ten points", xlabel="x")
    axes[1, 0].legend(fontsize=8)
    axes[1, 1].plot(np.arange(1, len(returns) + 1), returns, color=BLUE, label="Q-learning")
    axes[1, 1].axhline(numbers["grid/best"], color=GREEN, ls="--", label="optimum")
    axes[1, 1].set(title="reinforcement: grid with a pit", xlabel="episodes", ylabel="mean return", xscale="log")
    axes[1, 1].legend()
    return figure


_TABLE = Text(
    "The course's questions, an experiment each; accuracies and AUROC lie between 0 and 1 (chance: AUROC 0.5, "
    "few-shot one in three).",
    "课程提出的问题，每个一个小实验；比例和 AUROC 都在 0 到 1 之间（AUROC 0.5 等于猜），"
    "小样本一项猜对的概率是三分之一。",
)
_SMALL = Text(
    "Network compression without fine-tuning: accuracy, and robust accuracy when the compressed network itself is "
    "attacked.",
    "不重新训练的网络压缩：答对的比例，以及直接攻击压缩后的网络时仍答对的比例。",
)
_TRUST = Text(
    f"Confidence of a network that learned digits 0 to {KNOWN - 1}: on those, on unseen digits, on shuffled pixels "
    "and on noise; some out-of-distribution inputs get the same confidence. Explanations, evaluated by deletion; and "
    "the accuracy left after pruning and quantization.",
    f"只学过 0 到 {KNOWN - 1} 的网络的信心：对学过的数字、没见过的数字、打乱的像素和噪声；"
    "有些陌生图像也得到同样高的信心。回答依据哪些像素，用删除来检验；以及剪枝和取整之后还剩多少。",
)
_TASKS = Text(
    "Two tasks in sequence with and without replay; unseen digits by nearest prototype, in the network's features and "
    "in pixels; a new sine wave after eight steps from three initializations; the mean return of Q-learning compared "
    "with the optimum.",
    "先后学习两个任务，有无重放；用最近原型识别没见过的数字，分别在网络特征和像素空间；"
    "从三种起点出发走八步之后的新曲线；Q-learning 的平均回报与最优值。",
)
_TAKEAWAY = Text(
    "A network that does its one task well still predicts on inputs it cannot know, takes whatever shortcut the data "
    "offer, and forgets the first task when it learns the second. For each there is a simple first remedy: use its "
    "confidence, inspect what a prediction depends on, train on the expected shift, and replay a few old examples.",
    "一个把单一任务做得很好的网络，仍会回答它不可能知道的问题，会走数据提供的任何捷径，学了第二个任务就忘掉第一个。"
    "每个问题都有简单的第一步补救：听它的信心，看回答依据什么，用将来会遇到的数据训练，并保留少量旧样本。",
)
STUDY = Study(
    title=Text("The next steps of machine learning", "机器学习的下一步"),
    question=Text(
        "The course ends its overview with a list of open questions: can a machine know that it does not know "
        "(anomaly detection), say why it knows (explanation, to expose a Clever Hans: the horse that read its "
        "master's face, not the sum), learn continually without forgetting, learn to learn, learn from few examples, "
        "learn by trial and error, be compressed, and generalize when the test distribution differs from "
        "training?\n\nEach is asked here in a few lines on small networks, most of them on the same digits: "
        "confidence against classes left out of training, occlusion and gradient maps judged by deletion, a mark that "
        "gives the label away, pruning and quantization under attack, other lighting and rotated images, two tasks in "
        "sequence, nearest prototypes, Reptile on sine waves and Q-learning on a grid.",
        "课程在概览的最后列出了一串问题：机器能不能知道自己不知道（异常检测），能不能说出为什么知道"
        "（可解释性，避免汉斯马：那匹马看的是主人的表情，而不是算式），能不能终身学习而不遗忘，能不能学会学习，"
        "能不能从很少的样本学习，增强式学习能不能用，网络能不能变小（压缩），训练和测试资料不一样时又会怎样？\n\n"
        "这里在小网络上用几行代码逐一回答，多数用同一批数字：用训练中去掉的类别检验信心，用删除检验遮挡图和梯度图，"
        "用泄露答案的记号检验捷径，攻击剪枝和取整后的网络，改变亮度和角度，先后学习两个任务，最近原型，"
        "在正弦曲线上做 Reptile，在格子世界里做 Q-learning。",
    ),
    formulas=[
        Formula(
            r"\mathrm{confidence}(x) = \max_c\, p(c \mid x)",
            Text("ideally low where the network does not know", "网络不知道时，希望它低"),
        ),
        Formula(
            r"\hat{c}(x) = \arg\min_c \left\| f(x) - \frac{1}{K} \sum_{k=1}^{K} f(x^{c,k}) \right\|",
            Text("nearest prototype of K examples", "K 个样本的最近原型"),
        ),
        Formula(
            r"\theta \leftarrow \theta + \epsilon\, (\theta_{task} - \theta)",
            Text(
                "Reptile: toward the weights after a few steps on one task", "Reptile：向某个任务上走几步之后的参数靠近"
            ),
        ),
        Formula(
            r"Q(s, a) \leftarrow Q(s, a) + \alpha \left(r + \max_{a'} Q(s', a') - Q(s, a)\right)",
            Text("Q-learning", "Q-learning：从一次尝试学习"),
        ),
    ],
    sizes=Sizes,
    run=run,
)
