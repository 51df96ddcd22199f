"""Passive and proactive defense on one small network for digits, and what each is worth to who knows it."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from redoubt.params.settings.base import Count, Strict
from redoubt.report.figures import canvas
from redoubt.studies.attack.defenses_passive import KNOWN, PARTS, guarded, resist
from redoubt.studies.attack.defenses_proactive import ATTACKED, EPS, TRAINED, cross, train_all
from redoubt.studies.contract import Cell, Formula, Picture, Result, Study, Table, Text
from redoubt.studies.digit_networks import enlarged, first, parts
from redoubt.studies.given import Given
from redoubt.studies.origins import of_digits


class Sizes(Strict):
    """Sizes of the study.

    Attributes:
        train: rows to learn from.
        attacked: rows of the test part.
        epochs: of training; twice as many by bounds.
        steps: of the attack on each training batch.
        queries: of the attack that sees answers only, per picture.
    """

    train: Count = 1400
    attacked: Count = 200
    epochs: Count = 10
    steps: Count = 4
    queries: Count = 200


def run(given: Given, sizes: Sizes, seed: int) -> Result:
    """Train the natural and the hardened networks, guard the natural one, attack all."""
    digits = given.digits()
    train, batch = (enlarged(part) for part in first(digits, sizes.train, sizes.attacked))
    networks = train_all(train, sizes.epochs, sizes.steps, seed)
    natural = networks["natural"]
    passive = resist(natural, guarded(natural, parts(train)[1].x), batch, EPS, seed)
    table = cross(networks, batch, sizes.queries)
    numbers = {f"passive/{name}": share for name, share in passive.items()}
    numbers |= {f"{trained}/{attack}": share for trained, row in table.items() for attack, share in row.items()}
    return Result(
        origin=of_digits(digits, len(train)),
        numbers=numbers,
        tables=[_passive(numbers), _proactive(table)],
        pictures={
            "guards": Picture(_bars(numbers), _BARS),
            "cross_table": Picture(_heat(table), _HEAT),
        },
        takeaway=_TAKEAWAY,
    )


def _percent(share: float) -> str:
    return f"{share:.1%}"


def _passive(numbers: Mapping[str, float]) -> Table:
    said = {
        "none": Text("no guard", "无防护"),
        "median": Text("median filter, 3 x 3", "3 x 3 中值滤波"),
        "squeezing": Text("squeezing: one bit per pixel", "特征压缩：每像素一位"),
        "randomization": Text("randomization: eight random sizes and places", "随机化：八种随机大小与位置"),
        "detector": Text(
            "detector: refuses where median or squeezing changes the prediction",
            "检测：滤波前后差别太大就拒绝",
        ),
    }
    rows: list[list[Cell | Text]] = [
        [said[part], *(_percent(numbers[f"passive/{part}/{known}"]) for known in KNOWN)] for part in PARTS
    ]
    heads = [
        Text("guard", "防护"),
        Text("clean", "未攻击"),
        Text("oblivious attacker", "不知防护的攻击者"),
        Text("adaptive attacker", "自适应攻击者"),
    ]
    flags = [_percent(numbers[f"passive/flagged/{known}"]) for known in KNOWN]
    rows.append(
        [
            Text("flagged by the detector: clean / adversarial images", "检测器报警：未攻击的 / 攻击成功的"),
            *flags,
        ]
    )
    return Table(_PASSIVE, heads, rows)


def _proactive(table: Mapping[str, Mapping[str, float]]) -> Table:
    trained = {
        "natural": Text("clean images", "原图"),
        "FGSM": Text("FGSM from a random start", "随机起点的 FGSM"),
        "PGD L-inf": Text("PGD, L-inf", "PGD，L-inf"),
        "PGD L2": Text("PGD, L2", "PGD，L2"),
        "PGD both": Text("PGD, L-inf and L2 in turn", "PGD，L-inf 与 L2 轮流"),
        "bounds": Text("interval bounds, L-inf", "区间界，L-inf"),
    }
    attacked = {
        "none": Text("none", "无"),
        "noise": Text("noise", "噪声"),
        "certified": Text("certified, L-inf", "可验证，L-inf"),
    }
    heads = [Text("trained on", "训练用"), *(attacked.get(name, Text(name, name)) for name in ATTACKED)]
    rows: list[list[Cell | Text]] = [
        [trained[name], *(_percent(table[name][attack]) for attack in ATTACKED)] for name in TRAINED
    ]
    return Table(_PROACTIVE, heads, rows)


def _bars(numbers: Mapping[str, float]) -> Figure:
    figure, axes = canvas(1, 1, 8.0, 3.2)
    axis = axes[0, 0]
    styles = (("#15803d", "clean"), ("#1d4ed8", "oblivious attacker"), ("#b91c1c", "adaptive attacker"))
    for index, (known, (colour, label)) in enumerate(zip(KNOWN, styles, strict=True)):
        heights = [numbers[f"passive/{part}/{known}"] for part in PARTS]
        drawn = axis.bar(np.arange(len(PARTS)) + 0.27 * (index - 1), heights, 0.25, color=colour, label=label)
        axis.bar_label(drawn, [f"{height:.0%}" for height in heights], fontsize=8)
    axis.set_xticks(range(len(PARTS)), ["no guard", *PARTS[1:]])
    axis.set(ylabel="robust accuracy", ylim=(0, 1.1))
    axis.grid(visible=False)
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def _heat(table: Mapping[str, Mapping[str, float]]) -> Figure:
    values = np.array([[table[trained][attack] for attack in ATTACKED] for trained in TRAINED])
    figure, axes = canvas(1, 1, 7.6, 3.6)
    axis = axes[0, 0]
    axis.imshow(values, cmap="RdYlGn", vmin=0, vmax=1, aspect="auto")
    axis.grid(visible=False)
    for (row, column), share in np.ndenumerate(values):
        axis.text(
            column,
            row,
            f"{share:.0%}",
            ha="center",
            va="center",
            fontsize=9,
            color="#1f2937" if 0.15 < share < 0.85 else "white",
        )
    axis.axvline(len(ATTACKED) - 1.5, color="white", lw=4)
    axis.set_xticks(range(len(ATTACKED)), ["clean", *ATTACKED[1:-1], "certified L-inf"])
    axis.set_yticks(range(len(TRAINED)), list(TRAINED))
    axis.set(xlabel="attack: robust accuracy", ylabel="trained on")
    return figure


_PASSIVE = Text(
    f"Passive defense, L-inf {EPS:g}: robust accuracy, correct or, under attack, rejected. The adaptive attacker "
    "differentiates through the guard: rounding is passed as if it were none (BPDA), random draws are averaged (EOT), "
    "the detection score is lowered together with the loss.",
    f"消极防御，L-inf {EPS:g}：鲁棒准确率，即预测正确，或受攻击时被拒绝。自适应攻击者会穿过防护求梯度："
    "把取整当作恒等（BPDA），对随机性取平均（EOT），并且在改变答案的同时压低检测器的分数。",
)
_PROACTIVE = Text(
    f"Proactive defense: robust accuracy, a row per network, a column per attack. L-inf is {EPS:g}, L2 five eighths "
    "of the way to a corner of that box; Square sees outputs only. The last column is certified: it holds for every "
    "attack in L-inf, known or not.",
    f"积极防御：鲁棒准确率，每行一个网络，每列一种攻击。L-inf 为 {EPS:g}，L2 为到盒子顶点距离的八分之五；"
    "Square 只看回答。最后一列是可验证准确率，对 L-inf 内的任何攻击都成立。",
)
_BARS = Text(
    "Robust accuracy with each guard: blue against an oblivious attacker, red against an adaptive one, who knows the "
    f"guard. One bit per pixel loses least, because a change of {EPS:g} cannot carry a pixel that is nearly black or "
    "nearly white to the other side.",
    "每种防护能守住多少。蓝色是看上去的价值，红色是真正的价值：同一防护面对知道它的攻击者。"
    f"每像素一位损失最小，因为 {EPS:g} 的改动无法把接近全黑或全白的像素推到另一侧。",
)
_HEAT = Text(
    "Green is robust, red is not. A network trained in one norm is weaker in the other than one trained there, and "
    "one trained on a single step is weaker against many steps; only the last column is certified.",
    "绿色安全，红色敞开。在一种范数下训练的网络，在另一种范数下不如专门训练的；只见过一步攻击的网络，"
    "遇到多步攻击就变弱；只有最后一列是证明。",
)
_TAKEAWAY = Text(
    "A filter around the network is worth less once the attacker knows it, while training on adversarial examples is "
    "judged by attackers who know everything, and still holds. But training closes the holes it was shown and leaves "
    "another attack more open, and only a proof speaks of attacks that nobody has thought of yet.",
    "网络外面的过滤器，一旦被攻击者知道就会贬值；用对抗样本训练，面对什么都知道的攻击者仍然有效。"
    "但训练只补上它看到过的漏洞，给另一种攻击留下更大的口子，只有证明才能覆盖还没有人想到的攻击。",
)
STUDY = Study(
    title=Text("How to defend a network", "如何防御"),
    question=Text(
        "The course knows two kinds of defense. Passive: leave the network alone and put a guard in front, such as a "
        "filter that smooths the image, a detector that compares the predictions with and without filters (feature "
        "squeezing), or random resizing and padding at inference. Each is judged twice here, by an attacker who "
        "attacks the bare network and by one who knows the guard, as the course warns: once the filter is known, it "
        "is only the network's first layer. (The 8 x 8 stand-in has its pixels doubled, so that a window is small "
        "beside a stroke.)\n\nProactive: find the holes while training and patch them. In every batch each image is "
        "attacked afresh on the network as it is now, and the network learns from the result with the true label. "
        "Which attack should that be? Six networks of one kind, each trained in another way, face every attack; the "
        "last column is a bound that holds for all perturbations at once.",
        "课程讲了两种防御。消极防御：不动网络，在外面加一层防护罩，例如用滤波器平滑图像，比较滤波前后的回答来检测攻击"
        "（特征压缩），或者在推理时随机缩放和填充。这里每种都评判两次：攻击者只攻击裸网络，或者知道防护罩。"
        "正如课程提醒的，一旦滤波器被知道，它就只是网络的第一层。（8 x 8 的替身数据把每个像素加倍，"
        "使滤波窗口小于笔画。）\n\n积极防御：在训练中找出漏洞并补上。每个批次都在当前网络上重新攻击每张图像，"
        "再带着真实标签去学习。应该用哪一种攻击来训练？六个同样结构的网络，各用一种方式训练，再面对每一种攻击；"
        "最后由一个同时覆盖所有扰动的界来下结论。",
    ),
    formulas=[
        Formula(
            r"s(x) = \max_k \| p(x) - p(f_k(x)) \|_1 > \tau \;\Rightarrow\; \mathrm{refuse}",
            Text("detection: the prediction moves under a filter", "检测：滤波后回答变化太大"),
        ),
        Formula(
            r"\nabla_x\, E_{r}[C(p(f_r(x)), y)] \approx \frac{1}{R} \sum_{r=1}^{R} \nabla_x\, C(p(f_r(x)), y)",
            Text("how randomization is attacked: average over its draws", "如何攻击随机化：对随机性取平均"),
        ),
        Formula(
            r"\min_\theta \sum_n \max_{d(x^n, x') \leq \varepsilon} C\left(f_\theta(x'), y^n\right)",
            Text(
                "adversarial training: learn from the worst image in the eps-ball",
                "对抗训练：从 eps 球内最坏的图像学习",
            ),
        ),
    ],
    sizes=Sizes,
    run=run,
)
