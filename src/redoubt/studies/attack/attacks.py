"""The attack chapter page by page, on one small network for digits."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from redoubt.core.types import Floats, Norm
from redoubt.params.settings.base import Count, Strict
from redoubt.report.figures import canvas
from redoubt.studies.attack import attacks_pages as pages
from redoubt.studies.attack.attacks_pages import AT_EPS, EPS, GRID, Victims, problem
from redoubt.studies.attack.fgsm_lab import lab
from redoubt.studies.contract import Cell, Formula, Picture, Result, Study, Table, Text
from redoubt.studies.digit_networks import CNN, MLP, first, learn, new_network
from redoubt.studies.given import Given
from redoubt.studies.origins import of_digits

NORMS: tuple[Norm, Norm] = ("linf", "l2")
SHOWN = 8
# Unlabelled pictures that whoever copies the network starts from.
START = 40


class Sizes(Strict):
    """Sizes of the study.

    Attributes:
        train: rows to learn from.
        attacked: rows of the test part.
        epochs: of training.
        queries: that the copied network is asked.
        steps: of reprogramming.
    """

    train: Count = 1400
    attacked: Count = 200
    epochs: Count = 20
    queries: Count = 400
    steps: Count = 200


def run(given: Given, sizes: Sizes, seed: int) -> Result:
    """Train a network and the attacker's proxy, and go through the pages."""
    digits = given.digits()
    train, batch = first(digits, sizes.train, min(sizes.attacked, len(digits.test) - START))
    network = learn(new_network(CNN, train.x, seed), train, sizes.epochs, 64, seed)
    proxy = learn(new_network(MLP, train.x, seed + 1), train, sizes.epochs, 64, seed + 1)
    victims = Victims(network, proxy, train, batch)
    curves = {norm: pages.by_size(network, batch, norm) for norm in NORMS}
    changed, of_lengths = pages.lengths(network, batch)
    distances, margins = pages.directions(network, batch, seed)
    x_adv, of_all = pages.for_all(victims, seed)
    numbers = pages.course_loss(network, batch) | pages.one_step(network, batch) | _at_eps(curves, distances, margins)
    numbers |= (
        of_lengths
        | _misled(victims)
        | pages.by_open_interface(victims, digits.test.x[-START:], sizes.queries, seed + 2)
    )
    numbers |= of_all | pages.reprogram(network, sizes.steps, seed) | pages.before_a_camera(network, batch, seed)
    shown = batch.take(np.arange(SHOWN))
    pictures = pages.examples(network, shown) | {"universal": x_adv[:SHOWN]}
    pictures |= {f"L2 {name}": x[:SHOWN] for name, x in changed.items()}
    answers = {name: problem(network).predict(x).argmax(axis=1).tolist() for name, x in pictures.items()}
    return Result(
        origin=of_digits(digits, len(train)),
        numbers=numbers,
        tables=[_white(numbers), _black(numbers), _others(numbers)],
        pictures={
            "attacked": Picture(_gallery(pictures, answers, shown.y.tolist()), _GALLERY),
            "directions": Picture(_curves(curves["linf"], distances, margins), _CURVES),
        },
        takeaway=_TAKEAWAY,
        lab=lab(network, batch),
    )


def _at_eps(
    curves: Mapping[Norm, Mapping[str, list[float]]], distances: Floats, margins: Mapping[str, Floats]
) -> dict[str, float]:
    found = {f"accuracy_{name}/{norm}": row[AT_EPS] for norm, each in curves.items() for name, row in each.items()}
    place = int(np.argmin(np.abs(distances - EPS["l2"])))
    return found | {f"success_at_eps/{name}": float(np.mean(rows[:, place] > 0)) for name, rows in margins.items()}


def _misled(victims: Victims) -> dict[str, float]:
    made, noisy = pages.by_proxy(victims)
    found = {f"success/{maker}_on_{target}": share for maker, row in made.items() for target, share in row.items()}
    return found | {"success/noise_on_CNN": noisy["CNN"]["CNN"]}


def _percent(share: float) -> str:
    return f"{share:.1%}"


def _white(numbers: Mapping[str, float]) -> Table:
    kinds = {
        "accuracy_noise": Text("random noise of the same size", "同样大小的随机噪声"),
        "accuracy_fgsm": Text("FGSM: one step to a corner", "FGSM：一步走到顶点"),
        "accuracy_iterated": Text("iterated FGSM, ten steps", "迭代 FGSM，十步"),
        "descent_accuracy": Text(
            "gradient descent on the course's loss, away from the truth", "课程的梯度下降，远离真类"
        ),
        "toward_accuracy": Text("the same, and toward the next digit", "同上，并且靠近“下一个数字”"),
    }
    rows: list[list[Cell | Text]] = [[Text("clean", "原图"), *[_percent(numbers["clean"])] * 2]]
    rows += [[said, *(_percent(numbers[f"{name}/{norm}"]) for norm in NORMS)] for name, said in kinds.items()]
    heads = [
        Text("attack", "攻击"),
        Text(f"robust accuracy, L-inf {EPS['linf']:g}", f"鲁棒准确率，L-inf {EPS['linf']:g}"),
        Text(f"robust accuracy, L2 {EPS['l2']:g}", f"鲁棒准确率，L2 {EPS['l2']:g}"),
    ]
    return Table(_WHITE, heads, rows)


def _black(numbers: Mapping[str, float]) -> Table:
    asked = int(numbers["copy_queries"])
    kinds = {
        "success/noise_on_CNN": Text("nothing: random noise", "什么都不知道：随机噪声"),
        "success/MLP_on_CNN": Text(
            "the training data: a proxy of another kind", "训练数据：自己训练一个不同结构的代理"
        ),
        "copy_success": Text(
            f"an open interface: a copy trained on {asked} outputs, and FGSM",
            f"开放接口：用 {asked} 次回答训练出的替身，再用 FGSM",
        ),
        "success/CNN_on_CNN": Text("the network itself (white box)", "网络本身（白盒）"),
    }
    rows: list[list[Cell | Text]] = [[said, _percent(numbers[name])] for name, said in kinds.items()]
    return Table(_BLACK, [Text("what the attacker has", "攻击者拥有"), Text("success rate", "攻击成功率")], rows)


def _others(numbers: Mapping[str, float]) -> Table:
    kinds = {
        "universal_fooled": (
            Text("universal: one perturbation for all, fooling rate", "通用扰动：同一个扰动，答案改变的比例"),
            "universal_fooled/random",
            Text("a random one", "随机扰动"),
        ),
        "universal_fooled/other_network": (
            Text("the same perturbation on another network", "同一扰动用在另一个网络上"),
            "universal_fooled/random",
            Text("a random one", "随机扰动"),
        ),
        "reprogrammed": (
            Text("reprogramming: white squares counted correctly", "重编程：数对白格的比例"),
            "reprogrammed/chance",
            Text("chance", "随机猜测"),
        ),
        "photo_success/plain": (
            Text("real world: photographed, attack made for the file", "真实世界：拍照后，攻击只针对文件"),
            "photo_success/untouched",
            Text("photographed, clean", "拍照后，未攻击"),
        ),
        "photo_success/expecting": (
            Text("real world: photographed, attack made for many photographs (EOT)", "真实世界：拍照后，EOT 攻击"),
            "photo_success/untouched",
            Text("photographed, clean", "拍照后，未攻击"),
        ),
    }
    rows: list[list[Cell | Text]] = [
        [said, _percent(numbers[name]), baseline, _percent(numbers[against])]
        for name, (said, against, baseline) in kinds.items()
    ]
    heads = [Text("page", "内容"), Text("share", "比例"), Text("against", "对照"), Text("share", "比例")]
    return Table(_OTHERS, heads, rows)


def _gallery(pictures: Mapping[str, Floats], answers: Mapping[str, list[int]], truth: list[int]) -> Figure:
    figure, axes = canvas(len(pictures), SHOWN, 7.0, 0.95 * len(pictures))
    for row, (name, x) in zip(axes, pictures.items(), strict=True):
        for axis, picture, answer, right in zip(row, x, answers[name], truth, strict=True):
            axis.imshow(picture[..., 0], cmap="gray", vmin=0, vmax=1)
            axis.set_title(str(answer), fontsize=9, pad=2, color="#15803d" if answer == right else "#b91c1c")
            axis.grid(visible=False)
            axis.set(xticks=[], yticks=[])
        row[0].set_ylabel(name, fontsize=8, rotation=0, ha="right", va="center")
    return figure


def _curves(shares: Mapping[str, list[float]], distances: Floats, margins: Mapping[str, Floats]) -> Figure:
    figure, axes = canvas(1, 2, 8.8, 3.3)
    left, right = axes[0]
    styles = {
        "noise": ("#15803d", "random corner"),
        "fgsm": ("#c2410c", "FGSM"),
        "iterated": ("#b91c1c", "iterated"),
    }
    for name, (colour, said) in styles.items():
        left.plot([EPS["linf"] * size for size in GRID], shares[name], "o-", color=colour, ms=4, label=said)
    left.set(xlabel="L-inf eps", ylabel="accuracy", ylim=(-0.02, 1.02))
    left.legend()
    for name, colour in (("random", "#15803d"), ("adversarial", "#b91c1c")):
        low, middle, high = np.quantile(margins[name], [0.25, 0.5, 0.75], axis=0)
        right.fill_between(distances, low, high, color=colour, alpha=0.2, lw=0)
        right.plot(distances, middle, color=colour, label=f"{name} direction")
    right.axhline(0, color="#1f2937", lw=0.8)
    right.set(xlabel="L2 distance", ylabel="best wrong logit - true logit")
    right.legend()
    return figure


_WHITE = Text(
    "Robust accuracy against a white-box attacker. Every adversarial example stays within eps: "
    "what steps outside is projected to the nearest point of the ball.",
    "白盒攻击下的鲁棒准确率。所有对抗样本都不超过 eps：越界的点会被投影到球内最近的一点。",
)
_BLACK = Text(
    f"Black box, L-inf {EPS['linf']:g}: attack success rate on the images classified correctly, by what the attacker "
    f"has.",
    f"黑盒，L-inf {EPS['linf']:g}：在原本分类正确的图像上的攻击成功率，按攻击者掌握的信息区分。",
)
_OTHERS = Text(
    f"The chapter's other attacks, each beside its baseline, L-inf {EPS['linf']:g}. Photographs are simulated: "
    "rotated by up to 8 degrees, resized by up to 10 %, lighter or darker by up to 10 %.",
    f"本章其余内容，每项旁边是它必须超过的对照，L-inf {EPS['linf']:g}。拍照是模拟的：旋转至多 8 度，缩放至多 10 %，"
    "明暗变化至多 10 %。",
)
_GALLERY = Text(
    "Eight digits with the network's predictions, green where correct. From the top: clean, random noise, FGSM, "
    f"iterated, toward the next digit and one universal perturbation (all L-inf {EPS['linf']:g}); then one L2 length "
    f"({EPS['l2']:g}) spread over all pixels and concentrated in a corner: equal in L2, but the corner is far more "
    "visible.",
    f"八个数字和网络的回答，绿色为正确。自上而下：原图、随机噪声、FGSM、迭代、引向下一个数字、通用扰动"
    f"（都是 L-inf {EPS['linf']:g}）；最后两行是同样的 L2 长度（{EPS['l2']:g}），分别摊到所有像素和集中在角落："
    "L2 相同，但眼睛先看到的是角落。",
)
_CURVES = Text(
    "Left: accuracy as the perturbation grows, for noise and for gradients. Right: the margin along a straight line, "
    "median image and middle half of all: in a random direction the true digit keeps the largest logit for long, in "
    "the gradient's direction it soon loses it (line at 0).",
    "左：扰动变大时的准确率，随机噪声与梯度方向对比。右：沿直线走时答案的变化（中位数与中间一半）："
    "随机方向上真类长期领先，梯度方向上很快被超过（0 线）。",
)
_TAKEAWAY = Text(
    "An attack is gradient descent on the input with the network held fixed, and a step back whenever it has gone too "
    "far; a random change of the same size does next to nothing. Hiding the parameters is no protection, because "
    "perturbations crafted on a proxy or on a copy trained on the network's outputs fool the hidden network too.",
    "攻击就是固定网络、对输入做梯度下降，走远了就拉回来；同样大小的随机改动几乎没有作用。"
    "隐藏参数并不安全，因为在代理网络或由回答训练出的替身上做出的扰动，同样会误导被隐藏的网络。",
)
STUDY = Study(
    title=Text("How to attack a network", "如何攻击一个网络"),
    question=Text(
        "Training changes the parameters to lower the loss of fixed images. An attack fixes the parameters and "
        "changes the image x' to raise the loss of the true class and, if targeted, to lower that of a false one; the "
        "perturbation must stay imperceptible. The course descends on this loss and projects x' back whenever d(x0, "
        "x') exceeds eps; FGSM is one step so large that the projection ends in a corner of the box.\n\nThe pages "
        "follow in the course's order, on one small convolutional network: the loss with both norms, why the eye "
        "measures by L-inf, what happens in random and in adversarial directions, FGSM and its iteration, the black "
        "box by proxy and by open interface, one perturbation for all images, reprogramming the network to another "
        "task, and attacks that must survive a camera.",
        "训练是移动参数，让固定图像的损失变小。攻击则固定参数、移动图像 x'，让真类的损失变大；"
        "如果想要某个特定的错误，就同时让那个假类的损失变小。改动必须小到人看不出来。课程在这个损失上做梯度下降，"
        "一旦 d(x0, x') 超过 eps 就把 x' 拉回来；FGSM 只走一步，但步子大到拉回后必定落在盒子的顶点。\n\n"
        "下面按课程的顺序，在同一个小卷积网络上逐页进行：两种范数下的损失，为什么 L-inf 更接近人眼，"
        "随机方向与对抗方向上发生了什么，FGSM 与迭代，用代理和开放接口的黑盒攻击，一个扰动对付所有图像，"
        "把网络重编程去做别的任务，以及必须经得起拍照的攻击。",
    ),
    formulas=[
        Formula(
            r"x^* = \arg\min_{d(x^0, x') \leq \varepsilon} L(x'), \qquad L(x') = -C(y', y^{true}) + C(y', y^{false})",
            Text(
                "what the attacker solves; without a false class the last term is left out",
                "攻击者求解的问题；没有假类时去掉最后一项",
            ),
        ),
        Formula(
            r"d_2 = \sqrt{\sum_i (x'_i - x^0_i)^2}, \qquad d_\infty = \max_i |x'_i - x^0_i|",
            Text("two measures of the change", "衡量改动的两种方式"),
        ),
        Formula(
            r"x^* = x^0 - \varepsilon\, \mathrm{sign}(\nabla_x L(x^0))",
            Text("FGSM: one step to a corner", "FGSM：一步走到顶点"),
        ),
    ],
    sizes=Sizes,
    run=run,
)
