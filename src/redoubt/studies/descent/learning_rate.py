"""Learning rates that are too small, right, too large and diverging, in the course's own demonstration."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from redoubt.params.settings.base import Count, Strict
from redoubt.report.figures import canvas
from redoubt.studies.contract import Cell, Doubles, Formula, Lab, Picture, Result, Study, Table, Text
from redoubt.studies.descent.gradient_descent import START, UPDATES, Bowl, demonstration, descend
from redoubt.studies.given import Given
from redoubt.studies.origins import of_evolutions

# The rates that the course's demonstration tries one after another.
COURSE = {"1e-7": 1e-7, "1e-6": 1e-6, "1e-5": 1e-5}
# In units of the limit.
SHARES = {"too_small": 0.003, "right": 0.3, "large": 1.0, "diverging": 1.1, "far_too_large": 3.0}
COLOURS = dict(zip(SHARES, ("#1d4ed8", "#15803d", "#c2410c", "#b91c1c", "#1f2937"), strict=True))
# A diverging walk leaves every picture within these updates, and float64 after some hundred.
FEW = 5


class Sizes(Strict):
    """Sizes of the study.

    Attributes:
        updates: of the course's demonstration.
        short: updates over which learning rates are compared.
    """

    updates: Count = UPDATES
    short: Count = 60


def decaying(rate: float, updates: int) -> Doubles:
    """The course's schedule, rate / sqrt(t + 1)."""
    return np.asarray(rate / np.sqrt(np.arange(updates) + 1.0))


def shares_left(bowl: Bowl, shares: Doubles, updates: int, *, decay: bool) -> Doubles:
    """Excess loss before and after every update, `(updates + 1, rates)`, in units of the first.

    Args:
        bowl: the loss.
        shares: learning rates in units of the limit.
        updates: how many, from the course's start.
        decay: whether the rates follow the schedule.
    """
    rates = decaying(1.0, updates) if decay else np.ones(updates)
    start = np.tile(START, (len(shares), 1))
    excess = bowl.excess(descend(bowl.gradient, start, [rate * bowl.limit * shares[:, None] for rate in rates]))
    return np.asarray(excess / excess[0])


def curves(bowl: Bowl, updates: int) -> dict[str, dict[str, Doubles]]:
    """What is left of the excess loss after each update, per schedule and rate."""
    left = {
        name: shares_left(bowl, np.array(list(SHARES.values())), updates, decay=name == "decaying")
        for name in ("constant", "decaying")
    }
    return {name: dict(zip(SHARES, lines.T, strict=True)) for name, lines in left.items()}


def demo(bowl: Bowl, updates: int) -> dict[str, Doubles]:
    """The path of (b, w) at each of the course's rates; one that diverges is left after a few updates."""
    lengths = {name: updates if rate < bowl.limit else FEW for name, rate in COURSE.items()}
    return {name: descend(bowl.gradient, START, [rate] * lengths[name]) for name, rate in COURSE.items()}


def updates_to(bowl: Bowl, rate: float, gap: float) -> float:
    """After how many updates b is as near as `gap`, by the flat axis alone, which is nearly that of b."""
    slow = bowl.spectrum[0]
    return float(np.log(gap / abs(START[0] - bowl.bottom[0])) / np.log1p(-rate * slow))


def run(given: Given, sizes: Sizes, seed: int) -> Result:
    """Compare rates over a few updates, and repeat the demonstration."""
    evolutions = given.evolutions()
    bowl = demonstration(evolutions)
    left, paths = curves(bowl, sizes.short), demo(bowl, sizes.updates)
    numbers = {"limit": bowl.limit, "b/best": float(bowl.bottom[0]), "w/best": float(bowl.bottom[1])}
    for schedule, per_rate in left.items():
        numbers |= {f"left_{schedule}/{name}": float(each[-1]) for name, each in per_rate.items()}
    for name, path in paths.items():
        numbers |= {f"b/rate_{name}": float(path[-1, 0]), f"w/rate_{name}": float(path[-1, 1])}
        numbers[f"loss/rate_{name}"] = float(bowl.loss(path[-1]))
    numbers["loss/best"] = bowl.floor
    numbers["condition"] = float(bowl.spectrum[-1] / bowl.spectrum[0])
    numbers["updates_to_within_1"] = updates_to(bowl, COURSE["1e-6"], 1.0)
    return Result(
        origin=of_evolutions(evolutions),
        numbers=numbers,
        tables=[_rates_table(numbers, sizes.short), _demo_table(numbers, paths)],
        pictures={
            "rates": Picture(_rates(bowl, left, sizes.short), _RATES_CAPTION),
            "demonstration": Picture(_paths(bowl, paths), _DEMO_CAPTION),
        },
        takeaway=_takeaway(numbers),
        lab=_lab(bowl),
    )


def _lab(bowl: Bowl) -> Lab:
    (left, right), w = _reach(bowl)
    return Lab(
        "descent",
        {
            "curvature": bowl.curvature.tolist(),
            "bottom": bowl.bottom.tolist(),
            "start": START.tolist(),
            "limit": bowl.limit,
            "b": [left, right],
            "w": [*w],
        },
        Text("Try it: move the learning rate across the limit.", "试一试：把学习率拉过极限。"),
    )


def _reach(bowl: Bowl) -> tuple[tuple[float, float], tuple[float, float]]:
    """What a picture of the demonstration shows of b and w."""
    reach = 1.35 * (bowl.bottom[0] - START[0])
    low, high = np.sort([START[0] - 0.5 * reach, START[0] + reach])
    return (float(low), float(high)), (-6.0, 10.0)


def _rates_table(numbers: Mapping[str, float], updates: int) -> Table:
    says = {
        "too_small": Text("too small", "太小"),
        "right": Text("right", "合适"),
        "large": Text("large: oscillates for ever", "偏大：永远来回跳"),
        "diverging": Text("too large: diverges", "太大：发散"),
        "far_too_large": Text("far too large", "大得离谱"),
    }
    rows: list[list[Cell | Text]] = [
        [
            says[name],
            f"{share:g}",
            f"{share * numbers['limit']:.2g}",
            *(f"{numbers[f'left_{schedule}/{name}']:.2g}" for schedule in ("constant", "decaying")),
        ]
        for name, share in SHARES.items()
    ]
    heads = [
        Text("", ""),
        Text("rate / limit", "学习率 / 极限"),
        Text("rate", "学习率"),
        Text("excess loss, constant", "剩余，固定"),
        Text("excess loss, decaying", "剩余，衰减"),
    ]
    caption = Text(
        f"Remaining excess loss (above the minimum) after {updates} updates, relative to the start; constant rate, "
        "and the same rate divided by the root of t + 1.",
        f"{updates} 次更新之后，超出最小损失的部分还剩多少（起点为 1）；学习率固定，或同一学习率除以 t + 1 的平方根。",
    )
    return Table(caption, heads, rows)


def _demo_table(numbers: Mapping[str, float], paths: Mapping[str, Doubles]) -> Table:
    rows: list[list[Cell | Text]] = [
        [name, len(path) - 1, *(f"{numbers[f'{what}/rate_{name}']:.4g}" for what in ("b", "w", "loss"))]
        for name, path in paths.items()
    ]
    best = [f"{numbers[f'{what}/best']:.4g}" for what in ("b", "w", "loss")]
    rows.append([Text("best", "最优"), "", *best])
    rows.append([Text("the course's slide", "课程幻灯片"), "", "-188.4", "2.7", ""])
    heads = [Text("rate", "学习率"), Text("updates", "更新次数"), *(Text(x, x) for x in ("b", "w"))]
    return Table(_DEMO_TABLE, [*heads, Text("loss", "损失")], rows)


def _rates(bowl: Bowl, left: Mapping[str, Mapping[str, Doubles]], updates: int) -> Figure:
    figure, axes = canvas(1, 2, 8.8, 3.5)
    curve, sweep = axes[0]
    for name, line in left["constant"].items():
        label = f"{SHARES[name]:g} x limit: {name.replace('_', ' ')}"
        curve.plot(line, color=COLOURS[name], lw=1.4, label=label)
    decayed = left["decaying"]["far_too_large"]
    curve.plot(decayed, "--", color=COLOURS["far_too_large"], lw=1.2, label="3 x limit / sqrt(t + 1)")
    curve.set(yscale="log", ylim=(1e-5, 1e5), xlabel="updates", ylabel="excess loss, start = 1")
    curve.legend(fontsize=7, loc="upper right")
    shares = np.geomspace(1e-3, 5, 120)
    for label, style in (("constant", "-"), ("/ sqrt(t + 1)", "--")):
        ends = shares_left(bowl, shares, updates, decay=style == "--")[-1]
        sweep.plot(shares, ends, style, color="#1f2937", lw=1.4, label=label)
    sweep.axvline(1, color="#b91c1c", lw=0.9)
    sweep.text(0.93, 2e-5, "limit", color="#b91c1c", ha="right", fontsize=8)
    sweep.set(xscale="log", yscale="log", ylim=(1e-5, 1e5), xlabel="rate / limit", ylabel=f"after {updates} updates")
    sweep.legend(fontsize=7, loc="upper left")
    return figure


def _paths(bowl: Bowl, paths: Mapping[str, Doubles]) -> Figure:
    figure, axes = canvas(1, len(paths), 8.8, 3.2)
    b, w = _reach(bowl)
    grid = np.stack(np.meshgrid(np.linspace(b[0], b[1], 120), np.linspace(w[0], w[1], 120)), axis=-1)
    levels = np.geomspace(bowl.floor * 1.01, bowl.loss(grid).max(), 14)
    for axis, (name, path) in zip(axes[0], paths.items(), strict=True):
        axis.contour(grid[..., 0], grid[..., 1], bowl.loss(grid), levels=levels, cmap="Blues_r", linewidths=0.7)
        few = path[np.unique(np.geomspace(1, len(path), 400).astype(int)) - 1]
        axis.plot(few[:, 0], few[:, 1], ".-", color="#c2410c", ms=3, lw=0.9)
        axis.plot(*START, "o", color="#1f2937", ms=5)
        axis.plot(*bowl.bottom, "x", color="#b91c1c", ms=8, mew=2)
        axis.set(title=f"rate {name}, {len(path) - 1:,} updates", xlabel="b", xlim=b, ylim=w)
        axis.title.set_fontsize(8)
    axes[0, 0].set_ylabel("w")
    return figure


def _takeaway(numbers: Mapping[str, float]) -> Text:
    need = f"{numbers['updates_to_within_1']:,.0f}"
    return Text(
        "The loss curve shows whether the learning rate is right: below the limit every update lowers the loss, at "
        f"the limit ({numbers['limit']:.3g} here) it oscillates for ever, above it the loss diverges. The steepest "
        f"direction sets the limit and the flattest sets the pace, so with one rate for both, 1e-6, b needs {need} "
        "updates to come within 1 of its optimum, which is why the course goes on to Adagrad and to scaling.",
        f"损失曲线能告诉我们学习率是否合适：低于极限时每次更新都使损失下降，在极限（这里约为 {numbers['limit']:.3g}）"
        "处永远来回跳，超过极限就爆炸。最陡的方向决定极限，最平的方向决定快慢；两个方向共用一个学习率 1e-6，"
        f"b 要更新 {need} 次才离目标不到 1，所以课程接着讲 Adagrad 和特征缩放。",
    )


_DEMO_TABLE = Text(
    "The course's demonstration from b = -120, w = -4, on the sum of squares; with the rate 1e-5 the iterate has left "
    f"the plotted region after {FEW} updates. The slide's b and w are those of its straight line.",
    f"课程的演示：从 b = -120、w = -4 出发，损失为平方和；学习率 1e-5 在 {FEW} 次更新后早已离开画面。"
    "幻灯片的 b 和 w 取自其直线模型。",
)
_RATES_CAPTION = Text(
    "Left: the loss after each update. Right: the remaining excess loss at the end, for every rate; a constant rate "
    "fails beyond the limit, a decaying one soon drops below it and recovers. The plateau of the good curves is due "
    "to b, which has hardly moved yet.",
    "左：每次更新之后的损失。右：各种学习率最后剩下的损失；固定学习率一过极限就失败，衰减的学习率很快降到极限以下，"
    "于是恢复。好的曲线停在一个平台上，因为 b 还几乎没有动。",
)
_DEMO_CAPTION = Text(
    "Contours of the loss and the path from the start (dot); the cross is the minimum. Small rate: b creeps. Just "
    "below the limit: w oscillates at first, b moves ten times faster. Above the limit: immediate divergence.",
    "损失的等高线和从起点（圆点）出发的路径，叉号是最小点。学习率小：b 慢慢爬。略低于极限：w 先来回跳，"
    "b 爬得快十倍。超过极限：立刻飞走。",
)
STUDY = Study(
    title=Text("The learning rate", "学习率"),
    question=Text(
        "How large should a step be? The course draws four loss curves: a small learning rate is slow, a large one "
        "decreases the loss quickly and then stays above the minimum, a very large one diverges, and one is just "
        "right. It advises to always plot that curve, and to decay the rate, since after some steps we should be near "
        "the minimum.\n\nThe loss here is that of the course's demonstration: a straight line through ten Pokémon, "
        "two parameters b and w, cp as it is. It is quadratic, so the limit can be computed: two over the largest "
        "curvature. Rates are compared in units of it; then the course's own three rates are run from the course's "
        "starting point.",
        "一步该走多远？课程画了四条损失曲线：学习率太小则很慢；偏大则下降很快，然后卡在谷底上方；太大则爆炸；"
        "只有一种刚刚好。课程要求我们总要看这条曲线，并让学习率逐渐变小，因为走了一些步之后应当离目标不远了。\n\n"
        "这里的损失是课程演示所用的：十只宝可梦上的直线，b 和 w 两个参数，cp 不缩放。它是一个二次函数，所以极限可以"
        "算出来：最大曲率分之二。我们以它为单位比较学习率，再用课程自己的三个学习率从课程的起点走一遍。",
    ),
    formulas=[
        Formula(
            r"\frac{\partial L}{\partial w} = 2 \sum_n \left(\hat{y}^n - (b + w\,x_{cp}^n)\right)(-x_{cp}^n), \qquad "
            r"\frac{\partial L}{\partial b} = 2 \sum_n \left(\hat{y}^n - (b + w\,x_{cp}^n)\right)(-1)",
            Text("the gradient of the demonstration", "演示中的梯度"),
        ),
        Formula(
            r"\theta^t - \theta^* = (I - \eta H)^t\, (\theta^0 - \theta^*), \qquad \eta < \frac{2}{\lambda_{max}(H)}",
            Text(
                "on a quadratic every axis shrinks by its own factor; H holds the second derivatives",
                "在二次函数上，每个轴按自己的倍数缩小；H 是二阶导数",
            ),
        ),
        Formula(r"\eta^t = \frac{\eta}{\sqrt{t + 1}}", Text("the decaying rate", "衰减的学习率")),
    ],
    sizes=Sizes,
    run=run,
)
