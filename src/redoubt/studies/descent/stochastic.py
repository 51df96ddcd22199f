"""One example at a time against all of them, counted per update and per pass over the data."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.preprocessing import scale

from redoubt.core.types import Ints
from redoubt.data import pokemon_go
from redoubt.params.settings.base import Count, Strict
from redoubt.report.figures import canvas
from redoubt.studies.contract import Cell, Doubles, Formula, Picture, Result, Study, Table, Text
from redoubt.studies.descent.gradient_descent import Bowl, descend, squares
from redoubt.studies.given import Given
from redoubt.studies.origins import of_evolutions

# Rates from which each method takes its best, in units of the largest that cannot diverge.
GRID = np.geomspace(0.01, 0.97, 20)
START = np.zeros(2)
# Numbers of simulated examples; and passes within which the full batch has done what one pass does.
MORE = (20, 200, 2000)
MOST_PASSES = 200
# Of the limit: below a half of it the full batch does not bounce.
SMOOTH = 0.4
METHODS = ("full", "one_example", "one_parameter")
COLOURS = {"full": "#1d4ed8", "one_example": "#c2410c", "one_parameter": "#15803d"}
LABELS = {"full": "all examples", "one_example": "one example", "one_parameter": "one example, one parameter"}


class Sizes(Strict):
    """Sizes of the study.

    Attributes:
        passes: over the data, after which each method's rate is chosen.
        settling: passes of the constant and decaying rates, of which the last third is averaged.
        runs: orders of the examples that are averaged.
    """

    passes: Count = 5
    settling: Count = 200
    runs: Count = 30


@dataclass(frozen=True)
class Examples:
    """A linear model's examples.

    Attributes:
        x: a row of scaled inputs each.
        y: what is to be predicted, scaled.
    """

    x: Doubles
    y: Doubles

    @property
    def bowl(self) -> Bowl:
        """The mean of the squared errors."""
        whole = squares(self.x, self.y)
        return Bowl(whole.curvature / len(self.y), whole.bottom, whole.floor / len(self.y))

    @property
    def limit(self) -> float:
        """The rate at which the update for the longest example reflects; below it none can diverge."""
        return float(1 / np.square(self.x).sum(axis=1).max())


def examples(table: pd.DataFrame) -> Examples:
    """CP after evolution from CP and HP before, all with mean 0 and variance 1: two parameters, no bias."""
    return Examples(scale(table[["cp", "hp"]].to_numpy(float)), scale(table["newcp"].to_numpy(float)))


def orders(count: int, passes: int, runs: int, rng: np.random.Generator) -> Ints:
    """Every example once per pass, each pass in a new order, `(passes * count, runs)`."""
    return np.concatenate([rng.permuted(np.tile(np.arange(count), (runs, 1)), axis=1).T for _ in range(passes)])


def one_gradient(points: Doubles, x: Doubles, y: Doubles) -> Doubles:
    """The gradient of one example's squared error at each point, of the examples given."""
    error = (points * x).sum(axis=-1) - y
    return np.asarray(2 * error[..., None] * x)


def stochastic(data: Examples, order: Ints, rates: Doubles, *, single: bool = False) -> Doubles:
    """Paths from 0 that take one example per update.

    Args:
        data: the examples.
        order: which example every update sees, `(updates, runs)`.
        rates: one per update and walk, `(updates, walks)`.
        single: change only one parameter per update, in turn.

    Returns:
        weights, `(updates + 1, walks, runs, parameters)`.
    """
    parameters = data.x.shape[1]
    path = np.zeros((len(order) + 1, rates.shape[1], order.shape[1], parameters))
    for t, (seen, rate) in enumerate(zip(order, rates, strict=True)):
        step = rate[:, None, None] * one_gradient(path[t], data.x[seen], data.y[seen])
        if single:
            step *= np.arange(parameters) == t % parameters
        path[t + 1] = path[t] - step
    return path


def walks(data: Examples, method: str, order: Ints) -> tuple[float, Doubles]:
    """The best rate of the grid after these examples have been seen, and the excess loss after every update.

    The full batch makes as many updates as the others, and its rate is judged after as many passes.
    """
    bowl, updates = data.bowl, len(order)
    if method == "full":
        path = descend(bowl.gradient, np.tile(START, (len(GRID), 1)), [GRID[:, None] * bowl.limit] * updates)
        excess, rates, judged = bowl.excess(path), GRID * bowl.limit, updates // len(data.y)
    else:
        rates = GRID * data.limit
        each = stochastic(data, order, np.tile(rates, (updates, 1)), single=method == "one_parameter")
        excess, judged = bowl.excess(each).mean(axis=-1), updates
    chosen = int(excess[judged].argmin())
    return float(rates[chosen]), excess[:, chosen] / bowl.excess(START)


def settling(data: Examples, passes: int, runs: int, rng: np.random.Generator) -> dict[str, float]:
    """Where one example at a time ends up, excess loss over that of the start, for three schedules."""
    order = orders(len(data.y), passes, runs, rng)
    top = np.full(len(order), 0.6 * data.limit)
    done = np.arange(len(order)) // len(data.y)
    schedules = {"constant": top, "quarter": top / 4, "decaying": top / np.sqrt(done + 1)}
    path = stochastic(data, order, np.column_stack(list(schedules.values())))
    excess = data.bowl.excess(path[2 * len(order) // 3 :]).mean(axis=(0, 2)) / data.bowl.excess(START)
    return dict(zip(schedules, excess.tolist(), strict=True))


def speedup(data: Examples, runs: int, rng: np.random.Generator) -> float:
    """How many passes of the full batch, at its best rate for that many, do what one pass one by one does."""
    order = orders(len(data.y), 1, runs, rng)
    reached = walks(data, "one_example", order)[1][-1]
    bowl = data.bowl
    path = descend(bowl.gradient, np.tile(START, (len(GRID), 1)), [GRID[:, None] * bowl.limit] * MOST_PASSES)
    lowest = bowl.excess(path).min(axis=1) / bowl.excess(START)
    return float((lowest <= reached).argmax())


def run(given: Given, sizes: Sizes, seed: int) -> Result:
    """Walk all three ways, then ask where constant and decaying rates settle, and what more examples bring."""
    evolutions = given.evolutions()
    data = examples(evolutions.train)
    count = len(data.y)
    order = orders(count, sizes.passes, sizes.runs, np.random.default_rng([seed, 0]))
    walked = {method: walks(data, method, order) for method in METHODS}
    numbers = {"examples": float(count)}
    for method, (rate, left) in walked.items():
        numbers[f"rate/{method}"] = rate
        # The full batch makes one update per pass.
        first, last = (1, sizes.passes) if method == "full" else (count, count * sizes.passes)
        numbers |= {f"after_one_pass/{method}": left[first], f"after_all_passes/{method}": left[last]}
        numbers[f"after_equal_updates/{method}"] = left[count]
    gradients = one_gradient(START, data.x, data.y)
    numbers["gradient_off"] = float(np.abs(gradients.mean(axis=0) - data.bowl.gradient(START)).max())
    settled = settling(data, sizes.settling, sizes.runs, np.random.default_rng([seed, 1]))
    numbers |= {f"settles/{name}": left for name, left in settled.items()}
    for size in MORE:
        drawn = pokemon_go.simulate(np.random.default_rng([seed, 2, size]), size)
        numbers[f"speedup/{size}"] = speedup(examples(drawn), 10, np.random.default_rng([seed, 3, size]))
    return Result(
        origin=of_evolutions(evolutions),
        numbers=numbers,
        tables=[_ways_table(numbers, sizes), _settling_table(numbers, sizes), _speedup_table(numbers)],
        pictures={
            "losses": Picture(_losses(walked, count, sizes.passes), _LOSSES_CAPTION),
            "paths": Picture(_paths(data, walked, order), _PATHS_CAPTION),
        },
        takeaway=_takeaway(numbers),
    )


def _ways_table(numbers: Mapping[str, float], sizes: Sizes) -> Table:
    rows: list[list[Cell | Text]] = [
        [
            _SAYS[method],
            *(f"{numbers[f'{when}/{method}']:.2g}" for when in ("after_equal_updates", "after_one_pass")),
            f"{numbers[f'after_all_passes/{method}']:.2g}",
        ]
        for method in METHODS
    ]
    count = int(numbers["examples"])
    heads = [
        Text("an update sees", "一次更新看到"),
        Text(f"after {count} updates", f"{count} 次更新后"),
        Text("after 1 pass", "看完 1 遍后"),
        Text(f"after {sizes.passes} passes", f"看完 {sizes.passes} 遍后"),
    ]
    caption = Text(
        f"Remaining excess loss (start = 1), mean over {sizes.runs} orders of the examples. {count} updates are "
        f"{count} passes for the full batch and one pass for single examples. Each method uses its best rate after "
        f"{sizes.passes} passes.",
        f"超出最小损失的部分还剩多少（起点为 1），取 {sizes.runs} 种样本顺序的平均。{count} 次更新，"
        f"对全体样本意味着看 {count} 遍，对逐个样本则是看 1 遍。每种方法用看完 {sizes.passes} 遍后最好的学习率。",
    )
    return Table(caption, heads, rows)


def _settling_table(numbers: Mapping[str, float], sizes: Sizes) -> Table:
    says = {
        "constant": Text("constant", "固定"),
        "quarter": Text("a quarter of it, constant", "固定，四分之一"),
        "decaying": Text("decaying with the passes", "随遍数衰减"),
    }
    rows: list[list[Cell | Text]] = [[text, f"{numbers[f'settles/{name}']:.2g}"] for name, text in says.items()]
    caption = Text(
        f"One example at a time for {sizes.settling} passes: the excess loss around which it fluctuates in the last "
        "third.",
        f"逐个样本更新 {sizes.settling} 遍：最后三分之一时间里，超出最小损失的部分在什么水平徘徊。",
    )
    return Table(caption, [Text("rate", "学习率"), Text("excess loss", "剩余")], rows)


def _speedup_table(numbers: Mapping[str, float]) -> Table:
    rows: list[list[Cell | Text]] = [[size, int(numbers[f"speedup/{size}"])] for size in MORE]
    heads = [Text("examples", "样本数"), Text("passes of the full batch", "全批量所需遍数")]
    return Table(_SPEEDUP_TABLE, heads, rows)


def _losses(walked: Mapping[str, tuple[float, Doubles]], count: int, passes: int) -> Figure:
    figure, axes = canvas(1, 2, 8.8, 3.3)
    by_update, by_pass = axes[0]
    for method, (_, left) in walked.items():
        by_update.plot(left[: count + 1], color=COLOURS[method], lw=1.4, label=LABELS[method])
        if method == "full":
            by_pass.plot(range(passes + 1), left[: passes + 1], "o-", color=COLOURS[method], lw=1.4, ms=4)
        else:
            by_pass.plot(np.arange(len(left)) / count, left, color=COLOURS[method], lw=1.4)
    by_update.set(yscale="log", ylim=(1e-4, 1.5), xlabel="updates", ylabel="excess loss, start = 1")
    by_pass.set(yscale="log", xlabel="passes over the data")
    by_update.legend(fontsize=7)
    return figure


def _paths(data: Examples, walked: Mapping[str, tuple[float, Doubles]], order: Ints) -> Figure:
    figure, axes = canvas(1, 2, 8.8, 3.6)
    bowl, count = data.bowl, len(data.y)
    one = np.full((count, 1), walked["one_example"][0])
    paths = {
        "full": descend(bowl.gradient, START, [SMOOTH * bowl.limit] * count),
        "one_example": stochastic(data, order[:count, :1], one)[:, 0, 0],
    }
    reach = np.abs(np.concatenate([*paths.values(), [bowl.bottom]])).max() * 1.1
    grid = np.stack(np.meshgrid(np.linspace(-0.6, reach, 120), np.linspace(-0.8, 0.8, 120)), axis=-1)
    for axis, (method, path) in zip(axes[0], paths.items(), strict=True):
        axis.contour(grid[..., 0], grid[..., 1], np.sqrt(bowl.excess(grid)), levels=12, cmap="Blues_r", linewidths=0.6)
        axis.plot(path[:, 0], path[:, 1], ".-", color=COLOURS[method], ms=4, lw=0.9)
        axis.plot(*START, "o", color="#1f2937", ms=5)
        axis.plot(*bowl.bottom, "x", color="#b91c1c", ms=8, mew=2)
        label = f"{LABELS[method]}: {count} updates, {count if method == 'full' else 1} pass"
        axis.set_title(label + ("es" if method == "full" else ""), fontsize=8)
        axis.set(xlabel="weight of CP", ylabel="weight of HP")
    return figure


def _takeaway(numbers: Mapping[str, float]) -> Text:
    full, one = (numbers[f"after_one_pass/{method}"] for method in ("full", "one_example"))
    return Text(
        f"After one pass over the data, single-example updates leave {one:.1%} of the excess loss and the full batch "
        f"{full:.1%}: each step is worse, but there are {numbers['examples']:.0f} of them for the price of one. A "
        "constant rate then keeps the loss fluctuating above the minimum, so the rate must decay, or the full batch "
        "catches up.",
        f"每个样本看过一遍之后，逐个更新只剩下 {one:.1%} 的超额损失，全批量还剩 {full:.1%}：单独一步更差，"
        f"但同样的代价可以走 {numbers['examples']:.0f} 步。此后固定的学习率会让它一直在目标上方徘徊，"
        "所以学习率必须变小，否则全批量会追上来。",
    )


_SAYS = {
    "full": Text("all examples", "全体样本"),
    "one_example": Text("one example", "一个样本"),
    "one_parameter": Text("one example, for one parameter", "一个样本，只改一个参数"),
}
_SPEEDUP_TABLE = Text(
    "How many passes the full batch needs, at its best rate, to match one pass over single examples; examples drawn "
    "from the game's formula. The course says 20 times faster for 20 examples: that is the ratio of the numbers of "
    "updates; the gain in loss is smaller.",
    "逐个样本看一遍所达到的损失，全批量在最好的学习率下需要看几遍；样本按游戏公式模拟。课程说 20 个样本就快 20 倍："
    "那是更新次数之比，损失上的收益要小一些。",
)
_LOSSES_CAPTION = Text(
    "The same runs shown twice. Left, per update: the full batch is better. Right, per pass over the data: single "
    "examples are better at first.",
    "同样的过程画两次。左，按更新次数：看全体样本更好。右，按看数据的遍数：开始时逐个样本更好。",
)
_PATHS_CAPTION = Text(
    "Both paths from the start (dot) over the contours of the whole loss. The full batch, here at a rate too small to "
    "oscillate, descends smoothly and passes over the data 60 times; single examples zigzag, and pass over it once.",
    "从起点（圆点）出发的两条路径，背景是全体损失的等高线。看全体样本的（这里学习率小到不会来回跳）平稳下坡，"
    "数据看了 60 遍；逐个样本的摇摇晃晃，数据只看了一遍。",
)
STUDY = Study(
    title=Text("Stochastic gradient descent", "随机梯度下降"),
    question=Text(
        "Must every update look at all examples? Stochastic gradient descent takes one example, computes its loss "
        "alone and updates at once: with 20 examples, says the course, it makes 20 updates while gradient descent "
        "makes one. We run both on the 60 training Pokémon (CP after evolution from CP and HP, scaled) and compare "
        "per update and per pass over the data.\n\nStudents' notes add that only one parameter is changed per update. "
        "The course's formula changes all of them, and the third row of the table shows what the restriction costs. "
        "Averaged over the examples, the single-example gradient equals the full gradient, which is checked to "
        "rounding.",
        "每次更新都要看全体样本吗？随机梯度下降只取一个样本，只算它的损失，立刻更新。课程说：有 20 个样本时，"
        "梯度下降走一步，它已经走了 20 步。我们在 60 只训练宝可梦上（用缩放后的 CP 和 HP 预测进化后的 "
        "CP）两种方法都走一遍，并用两种方式计数：按更新次数，以及按看数据的遍数。\n\n"
        "有的笔记还说每次只更新一个参数。课程的公式其实更新所有参数，第三条线显示了这一限制的代价。"
        "单个样本的梯度在所有样本上平均就是全体梯度，这里验证到舍入误差。",
    ),
    formulas=[
        Formula(
            r"L = \frac{1}{N} \sum_n \left(\hat{y}^n - \sum_i w_i x_i^n\right)^2, "
            r"\qquad w \leftarrow w - \eta\, \nabla L(w)",
            Text("all examples: one update per pass", "全体样本：看一遍更新一次"),
        ),
        Formula(
            r"L^n = \left(\hat{y}^n - \sum_i w_i x_i^n\right)^2, \qquad w \leftarrow w - \eta\, \nabla L^n(w)",
            Text("one example: N updates per pass", "一个样本：看一遍更新 N 次"),
        ),
        Formula(
            r"\frac{1}{N} \sum_n \nabla L^n(w) = \nabla L(w)",
            Text("unbiased: right on average", "平均起来是对的"),
        ),
    ],
    sizes=Sizes,
    run=run,
)
