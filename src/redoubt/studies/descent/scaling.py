"""Feature scaling: a stretched valley made round, and the updates that saves."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.preprocessing import StandardScaler

from redoubt.params.settings.base import Count, Strict
from redoubt.report.figures import canvas
from redoubt.studies.contract import Cell, Doubles, Formula, Picture, Result, Study, Table, Text
from redoubt.studies.descent.gradient_descent import Bowl, descend, squares
from redoubt.studies.given import Evolutions, Given
from redoubt.studies.origins import of_evolutions

# What is left of the excess loss where descent has arrived.
ARRIVED = 1e-6
INPUTS = ["cp", "hp", "weight", "height"]
# How inputs are prepared: as they are, divided by their standard deviation, also centred, also decorrelated.
WAYS = ("raw", "divided", "standardized", "whitened")
# How much larger than the first the second input is, in the course's example.
TIMES = 100.0
# In the picture the ellipse must fit the page, and the walk be told apart from a line.
DRAWN_TIMES = 5.0
DRAWN_UPDATES = 15


class Sizes(Strict):
    """Sizes of the study.

    Attributes:
        rows: of the course's example with two inputs.
    """

    rows: Count = 200


def prepared(x: Doubles, way: str) -> Doubles:
    """Inputs prepared in one of `WAYS`."""
    if way == "raw":
        return x
    if way == "whitened":
        centred = x - x.mean(axis=0)
        spread, axes = np.linalg.eigh(np.cov(centred, rowvar=False, bias=True))
        return np.asarray(centred @ axes / np.sqrt(spread))
    return np.asarray(StandardScaler(with_mean=way == "standardized").fit_transform(x), np.float64)


def bowl_of(x: Doubles, y: Doubles) -> Bowl:
    """The mean squared error of a linear model as a function of its bias and weights."""
    whole = squares(np.column_stack([np.ones(len(x)), x]), y)
    return Bowl(whole.curvature / len(y), whole.bottom, whole.floor / len(y))


def condition(bowl: Bowl) -> float:
    """Largest over smallest curvature: how stretched the bowl is, 1 being round."""
    return float(bowl.spectrum[-1] / bowl.spectrum[0])


def best_rate(bowl: Bowl) -> float:
    """The constant rate that shrinks the flattest and the steepest axis equally, the fastest there is."""
    return float(2 / (bowl.spectrum[0] + bowl.spectrum[-1]))


def updates(bowl: Bowl, start: Doubles) -> int:
    """Updates at the best rate until `ARRIVED` of the excess loss is left, without walking them: raw inputs need 1e9.

    The excess loss only falls, so the count is found by halving an interval.
    """

    def arrived(count: int) -> bool:
        end = bowl.after(start, best_rate(bowl), np.array([float(count)]))[0]
        return bool(bowl.excess(end) <= ARRIVED * bowl.excess(start))

    high = 1
    while not arrived(high):
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if arrived(middle) else (middle, high)
    return high


def askew(bowl: Bowl, start: Doubles) -> float:
    """Degrees between the way downhill and the way to the goal."""
    down, goal = -bowl.gradient(start), bowl.bottom - start
    cosine = down @ goal / (np.linalg.norm(down) * np.linalg.norm(goal))
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def example(rows: int, rng: np.random.Generator, times: float = TIMES) -> tuple[Doubles, Doubles]:
    """The course's example: y = b + w1 x1 + w2 x2, where ratio of the input scales, x2 to x1; both count equally."""
    x = rng.normal(size=(rows, 2))
    return x * [1.0, times], 1 + 2 * x[:, 0] + 2 * x[:, 1] + 0.1 * rng.normal(size=rows)


def real_inputs(evolutions: Evolutions) -> tuple[Doubles, Doubles]:
    """CP, HP, weight and height of the training rows, and CP after evolution."""
    train = evolutions.train
    return train[INPUTS].to_numpy(float), train["newcp"].to_numpy(float)


def measured(x: Doubles, y: Doubles) -> dict[str, dict[str, float]]:
    """Per way of preparing: condition, updates from 0, degrees off the goal, predictions' distance from the raw's."""
    found, answers = {}, {}
    for way in WAYS:
        inputs = prepared(x, way)
        bowl = bowl_of(inputs, y)
        start = np.zeros(len(bowl.bottom))
        answers[way] = bowl.bottom[0] + inputs @ bowl.bottom[1:]
        found[way] = {
            "condition": condition(bowl),
            "updates": float(updates(bowl, start)),
            "askew": askew(bowl, start),
            "answers_off": float(np.abs(answers[way] - answers["raw"]).max() / np.abs(y).max()),
        }
    return found


def by_ratio(rows: int, rng: np.random.Generator, ratios: Doubles, way: str) -> Doubles:
    """Updates for the course's example, x2 larger by each ratio."""
    x, y = example(rows, rng, 1.0)
    return np.array([updates(bowl_of(prepared(x * [1.0, ratio], way), y), np.zeros(3)) for ratio in ratios])


def run(given: Given, sizes: Sizes, seed: int) -> Result:
    """Measure every way of preparing on the course's example and on the Pokémon."""
    evolutions = given.evolutions()
    made = example(sizes.rows, np.random.default_rng([seed, 0]))
    found = {"example": measured(*made), "pokemon": measured(*real_inputs(evolutions))}
    numbers = {
        f"{what}_{data}/{way}": value
        for data, per_way in found.items()
        for way, values in per_way.items()
        for what, value in values.items()
        if what != "answers_off"
    }
    offs = [values["answers_off"] for per_way in found.values() for values in per_way.values()]
    numbers["answers_off"] = max(offs)
    ratios = np.geomspace(1, 1000, 13)
    counts = {
        way: by_ratio(sizes.rows, np.random.default_rng([seed, 0]), ratios, way) for way in ("raw", "standardized")
    }
    # The exponent with which updates grow with the ratio of the inputs, over its upper half.
    numbers["exponent"] = float(np.polyfit(np.log(ratios[6:]), np.log(counts["raw"][6:]), 1)[0])
    return Result(
        origin=of_evolutions(evolutions),
        numbers=numbers,
        tables=[_table(numbers)],
        pictures={
            "contours": Picture(_contours(sizes.rows, np.random.default_rng([seed, 0])), _CONTOURS_CAPTION),
            "ratio": Picture(_ratio(ratios, counts), _ratio_caption(numbers)),
        },
        takeaway=_takeaway(numbers),
    )


def _table(numbers: Mapping[str, float]) -> Table:
    rows: list[list[Cell | Text]] = [
        [
            _SAYS[way],
            *(
                cell
                for data in ("example", "pokemon")
                for cell in (
                    f"{numbers[f'condition_{data}/{way}']:,.4g}",
                    f"{numbers[f'updates_{data}/{way}']:,.0f}",
                    f"{numbers[f'askew_{data}/{way}']:.0f}°",
                )
            ),
        ]
        for way in WAYS
    ]
    heads = [
        Text("inputs", "输入"),
        *(
            Text(f"{data.en}, {what.en}", f"{data.zh}，{what.zh}")
            for data in (Text("example", "例子"), Text("Pokémon", "宝可梦"))
            for what in (Text("stretch", "拉长倍数"), Text("updates", "更新次数"), Text("angle", "偏离角度"))
        ),
    ]
    return Table(_TABLE, heads, rows)


def _contours(rows: int, rng: np.random.Generator) -> Figure:
    figure, axes = canvas(1, 2, 8.8, 3.4)
    x, y = example(rows, rng, DRAWN_TIMES)
    for axis, way in zip(axes[0], ("raw", "standardized"), strict=True):
        inputs = prepared(x, way)
        # The bias is left at its best, so that two weights remain to be drawn.
        whole = squares(inputs - inputs.mean(axis=0), y - y.mean())
        _walk(axis, Bowl(whole.curvature / len(y), whole.bottom), "as they are" if way == "raw" else "scaled")
    axes[0, 0].set_ylabel("w2")
    return figure


def _walk(axis: Axes, bowl: Bowl, name: str) -> None:
    """Contours of a bowl of two weights on equal axes, and a few updates from (0, 0) at the best constant rate."""
    path = descend(bowl.gradient, np.zeros(2), [best_rate(bowl)] * DRAWN_UPDATES)
    grid = np.stack(np.meshgrid(np.linspace(-1.2, 5.2, 150), bowl.bottom[1] + np.linspace(-2.5, 2.5, 150)), axis=-1)
    axis.contour(grid[..., 0], grid[..., 1], np.sqrt(bowl.excess(grid)), levels=10, cmap="Blues_r", linewidths=0.7)
    left = float(bowl.excess(path[-1]) / bowl.excess(path[0]))
    says = f"{left:.1g}" if left > 1e-12 else "nothing"
    axis.plot(path[:, 0], path[:, 1], ".-", color="#c2410c", ms=4, lw=0.9)
    axis.plot(0, 0, "o", color="#1f2937", ms=5)
    axis.plot(*bowl.bottom, "x", color="#b91c1c", ms=8, mew=2)
    axis.set_title(f"{name}: after {DRAWN_UPDATES} updates {says} left", fontsize=8)
    axis.set(xlabel="w1", aspect="equal")


def _ratio(ratios: Doubles, counts: Mapping[str, Doubles]) -> Figure:
    figure, axes = canvas(1, 1, 5.6, 3.2)
    axis: Axes = axes[0, 0]
    axis.plot(ratios, counts["raw"], "o-", color="#1d4ed8", ms=4, lw=1.4, label="as they are")
    axis.plot(ratios, counts["standardized"], "s--", color="#15803d", ms=3, lw=1.2, label="scaled")
    axis.set(xscale="log", yscale="log", xlabel="ratio of the input scales, x2 to x1", ylabel="updates to convergence")
    axis.legend()
    return figure


def _ratio_caption(numbers: Mapping[str, float]) -> Text:
    return Text(
        "Updates at the best constant rate against the ratio of the input scales: they grow as its power "
        f"{numbers['exponent']:.2f}, since curvature grows with the square of an input. After scaling, the ratio does "
        "not matter.",
        f"在最好的固定学习率下，更新次数随两个输入之比的变化：按其 {numbers['exponent']:.2f} 次方增长，"
        "因为曲率是输入的平方。缩放之后，比值不再有影响。",
    )


def _takeaway(numbers: Mapping[str, float]) -> Text:
    raw, scaled = (numbers[f"updates_pokemon/{way}"] for way in ("raw", "standardized"))
    return Text(
        "Subtracting the mean and dividing by the standard deviation leaves the optimal function unchanged and "
        f"reduces the Pokémon's updates from {raw:,.0f} to {scaled:,.0f}, because the negative gradient then points "
        "more nearly at the minimum. It equalizes scales, not correlations, so the contours become rounder, but not "
        "circular.",
        f"减去均值再除以标准差，最好的函数不变，而宝可梦数据所需的更新次数从 {raw:,.0f} 降到 {scaled:,.0f}，"
        "因为下坡方向更接近目标方向。它拉平的是大小而不是相关性，所以山谷变圆了，但还不是一个圆。",
    )


_SAYS = {
    "raw": Text("as they are", "原样"),
    "divided": Text("divided by the standard deviation", "除以标准差"),
    "standardized": Text("mean subtracted too (the course's)", "再减去均值（课程的做法）"),
    "whitened": Text("decorrelated too", "再去掉相关性"),
}
_TABLE = Text(
    "How stretched the loss is (largest over smallest curvature, 1 is round), updates from 0 at the best constant "
    f"rate until {ARRIVED:g} of the excess loss remains, and the angle between the negative gradient and the "
    f"direction of the minimum. Example: the course's two inputs, the second {TIMES:g} times the first. Pokémon: CP "
    "after evolution from CP, HP, weight and height.",
    "损失被拉长的倍数（最大曲率除以最小曲率，1 为圆形）；在最好的固定学习率下，从 0 出发到超出最小损失的部分只剩 "
    f"{ARRIVED:g} 所需的更新次数；下坡方向与目标方向的夹角。例子：课程的两个输入，第二个是第一个的 {TIMES:g} 倍。"
    "宝可梦：用 CP、HP、体重、身高预测进化后的 CP。",
)
_CONTOURS_CAPTION = Text(
    f"Contours of the loss over w1 and w2 with {DRAWN_UPDATES} updates from the dot, each at its best constant rate; "
    f"here x2 is only {DRAWN_TIMES:g} times x1, so that the ellipses fit. Left: descent oscillates across the valley "
    "and creeps along it. Right: it goes straight to the minimum.",
    f"损失关于 w1 和 w2 的等高线，以及从圆点出发的 {DRAWN_UPDATES} 次更新，各用最好的固定学习率；为了画得下椭圆，"
    f"这里 x2 只是 x1 的 {DRAWN_TIMES:g} 倍。左：横穿山谷来回跳，沿着山谷慢慢爬。右：直奔叉号。",
)
STUDY = Study(
    title=Text("Feature scaling", "特征缩放"),
    question=Text(
        "What if one input is a hundred times larger than another? The course: a change of its weight then changes "
        "the loss far more, the contours become long ellipses, and the negative gradient no longer points at the "
        "minimum. Scaling each input to mean 0 and variance 1 makes them round.\n\nWe take the course's example and "
        "the Pokémon with four inputs, preprocess them in four ways, and count the updates that gradient descent "
        "needs at the best constant rate for each. Raw inputs need too many updates to run; on a quadratic loss the "
        "state after any number of updates has a closed form, which gives the count. Tests compare it with actual "
        "runs.",
        "如果一个输入比另一个大一百倍会怎样？课程说：它的权重稍有变化，损失就变化很大，等高线变成细长的椭圆，"
        "下坡方向不再指向目标。把每个输入缩放到均值 0、方差 1，等高线就变圆了。\n\n"
        "我们用课程的例子和四个输入的宝可梦，以四种方式预处理，统计梯度下降在各自最好的固定学习率下需要的更新次数。"
        "原始输入需要的次数太多，走不完；二次损失在任意多次更新之后的状态有闭式解，由此算出次数。"
        "测试会用真正的迭代来核对。",
    ),
    formulas=[
        Formula(
            r"x_i^r \leftarrow \frac{x_i^r - m_i}{\sigma_i}",
            Text(
                "input i of example r: mean subtracted, divided by the standard deviation",
                "样本 r 的第 i 个输入：减去均值，除以标准差",
            ),
        ),
        Formula(
            r"\frac{\partial^2 L}{\partial w_i^2} = \frac{2}{N} \sum_r (x_i^r)^2",
            Text("a large input makes the loss steep in its weight", "输入大，对应的权重就陡"),
        ),
        Formula(
            r"\eta = \frac{2}{\lambda_{min} + \lambda_{max}}: \qquad \left\|\theta^t - \theta^*\right\| \leq "
            r"\left(\frac{\kappa - 1}{\kappa + 1}\right)^t \left\|\theta^0 - \theta^*\right\|, \qquad "
            r"\kappa = \frac{\lambda_{max}}{\lambda_{min}}",
            Text("updates grow with the stretch of the valley", "更新次数随山谷的拉长倍数增长"),
        ),
    ],
    sizes=Sizes,
    run=run,
)
