"""Choosing a model: by one split, by N folds, by a public test set, and what the private one says then."""

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from redoubt.params.settings.base import Count, Strict
from redoubt.report.figures import canvas
from redoubt.studies.contract import Cell, Doubles, Formula, Picture, Result, Study, Table, Text
from redoubt.studies.given import Given
from redoubt.studies.worlds import columns, draw, fit, truth

DEGREES = (1, 2, 3, 4, 5)
FOLDS = (3, 5, 10)
# What is sent to the leaderboard again and again: the degree that is best most often, fitted to half of the rows.
SUBMITTED = 2
ORIGIN = Text(
    "Simulated from the game's own formula in place of the course's data: only where the truth is known can it be said "
    "which model is truly best.",
    "不用课程数据，而是按游戏公式模拟：只有真值已知，才能说清哪个模型真正最好。",
)
Chosen = NDArray[np.int64]
Rows = tuple[Doubles, Doubles]


class Sizes(Strict):
    """Sizes of the study.

    Attributes:
        worlds: in each of which a model is chosen.
        rows: to learn from and to choose by.
        board: rows of the public test set, and of the private one; the course tests on as many.
        tries: submissions to the leaderboard.
    """

    worlds: Count = 400
    rows: Count = 20
    board: Count = 10
    tries: Count = 30


def losses(learned: Rows, judged: Rows, degree: int) -> Doubles:
    """Sum of squared errors in every world on rows that judge the polynomial fitted to others."""
    weights = fit(*learned, degree)
    return np.asarray(np.square((columns(judged[0], degree) @ weights[..., None])[..., 0] - judged[1]).sum(axis=1))


def true_errors(learned: Rows, degree: int) -> Doubles:
    """Root mean square error in every world over all Pokémon there can be."""
    known = truth()
    curves = fit(*learned, degree) @ columns(known.cp, degree).T
    return np.asarray(np.sqrt(np.square(curves - known.mean) @ known.share + known.share @ known.noise))


def held_out(rows: Rows, folds: int) -> Doubles:
    """Loss of every degree in every world on each of the folds, fitted without it: `(folds, degrees, worlds)`."""
    fold = np.arange(rows[0].shape[1]) % folds
    found = []
    for index in range(folds):
        rest, part = ((rows[0][:, mask], rows[1][:, mask]) for mask in (fold != index, fold == index))
        found.append([losses(rest, part, degree) for degree in DEGREES])
    return np.array(found)


def choices(rows: Rows, public: Rows) -> dict[str, Chosen]:
    """In every world the place in `DEGREES` that each way of choosing takes."""
    ways = {"training": np.array([losses(rows, rows, degree) for degree in DEGREES])}
    for folds in FOLDS:
        scores = held_out(rows, folds)
        ways[f"single_split_of_{folds}"], ways[f"all_{folds}_folds"] = scores[0], scores.sum(axis=0)
    ways["public_test_set"] = np.array([losses(rows, public, degree) for degree in DEGREES])
    return {name: scores.argmin(axis=0) for name, scores in ways.items()}


def run(given: Given, sizes: Sizes, seed: int) -> Result:
    """Choose in every world in every way; then climb a leaderboard by luck."""
    rows, public, private = (
        draw(np.random.default_rng([seed, place]), sizes.worlds, count)
        for place, count in enumerate((sizes.rows, sizes.board, sizes.board))
    )
    ways = choices(rows, public)
    climbed = climb(rows, (public, private), sizes.tries, np.random.default_rng([seed, 3]))
    numbers = _by_truth(rows, ways) | _by_boards(rows, (public, private), ways)
    for name, errors in climbed.items():
        numbers[f"first_try/{name}"], numbers[f"best_of_all/{name}"] = errors[0], errors[-1]
    return Result(
        origin=ORIGIN,
        numbers=numbers,
        tables=[_table(numbers), _boards(numbers)],
        pictures={
            "choices": Picture(_bars(numbers), _BARS),
            "leaderboard": Picture(_climb(climbed), _climb_says(sizes)),
        },
        takeaway=_takeaway(numbers, sizes),
    )


def _by_truth(rows: Rows, ways: dict[str, Chosen]) -> dict[str, float]:
    """How often each degree is truly best, how often each way picks it, and what the others cost."""
    truly = np.array([true_errors(rows, degree) for degree in DEGREES])
    best = truly.argmin(axis=0)
    numbers = {f"truly_best/degree_{degree}": float((best == place).mean()) for place, degree in enumerate(DEGREES)}
    for name, chosen in ways.items():
        numbers[f"right/{name}"] = float((chosen == best).mean())
        numbers[f"times_best_error/{name}"] = _geometric(taken(truly, chosen) / truly.min(axis=0))
    return numbers


def _by_boards(rows: Rows, boards: tuple[Rows, Rows], ways: dict[str, Chosen]) -> dict[str, float]:
    """What the private test set says of a degree that the public one chose, and of one that it did not choose."""
    scores = [np.sqrt([losses(rows, board, degree) for degree in DEGREES]) for board in boards]
    numbers = {}
    for name in ("public_test_set", "all_5_folds"):
        public, private = (taken(score, ways[name]) for score in scores)
        numbers[f"private_worse/{name}"] = float((private > public).mean())
        numbers[f"private_over_public/{name}"] = _geometric(private / public)
    return numbers


def taken(errors: Doubles, chosen: Chosen) -> Doubles:
    """Error `(degrees, worlds)` of what was chosen in every world."""
    return np.asarray(np.take_along_axis(errors, chosen[None], axis=0)[0])


def _geometric(values: Doubles) -> float:
    """Geometric mean: a single wild polynomial would be all that an arithmetic one tells of."""
    return float(np.exp(np.log(values).mean()))


def climb(rows: Rows, boards: tuple[Rows, Rows], tries: int, rng: np.random.Generator) -> dict[str, list[float]]:
    """Error on both boards, after each try, of what has scored best on the public one; geometric means of worlds.

    A try is the same model fitted to a random half of the rows.
    """
    scores = []
    for _ in range(tries):
        half = np.argsort(rng.random(rows[0].shape), axis=1)[:, : rows[0].shape[1] // 2]
        learned = np.take_along_axis(rows[0], half, axis=1), np.take_along_axis(rows[1], half, axis=1)
        scores.append([np.sqrt(losses(learned, board, SUBMITTED) / board[0].shape[1]) for board in boards])
    public, private = np.array(scores).transpose(1, 0, 2)
    leaders = [public[: count + 1].argmin(axis=0) for count in range(tries)]
    return {
        name: [_geometric(taken(errors, leader)) for leader in leaders]
        for name, errors in (("public", public), ("private", private))
    }


def _table(numbers: dict[str, float]) -> Table:
    names = {"training": Text("training error", "训练误差")}
    for folds in FOLDS:
        names[f"single_split_of_{folds}"] = Text(f"one split, 1/{folds} held out", f"单次划分，留出 1/{folds}")
        names[f"all_{folds}_folds"] = Text(f"{folds} folds", f"{folds} 折")
    names["public_test_set"] = Text("public test set", "公开测试集")
    rows: list[list[Cell | Text]] = [
        [label, f"{100 * numbers[f'right/{name}']:.1f}", f"{numbers[f'times_best_error/{name}']:.3f}"]
        for name, label in names.items()
    ]
    heads = [
        Text("selected by", "选择依据"),
        Text("truly best picked, %", "选中真正最好的模型，%"),
        Text("true error, relative to the best", "真实误差（最优的倍数）"),
    ]
    return Table(_TABLE, heads, rows)


def _boards(numbers: dict[str, float]) -> Table:
    names = {
        "public_test_set": Text("public test set", "公开测试集"),
        "all_5_folds": Text("5 folds of the training examples", "训练样本的 5 折"),
    }
    rows: list[list[Cell | Text]] = [
        [
            label,
            f"{numbers[f'private_over_public/{name}']:.3f}",
            f"{100 * numbers[f'private_worse/{name}']:.1f}",
        ]
        for name, label in names.items()
    ]
    heads = [
        Text("selected by", "选择依据"),
        Text("private error over public", "私有误差 / 公开误差"),
        Text("private is worse, %", "私有更差的比例，%"),
    ]
    return Table(_BOARDS, heads, rows)


def _bars(numbers: dict[str, float]) -> Figure:
    figure, axes = canvas(1, 2, 8.8, 3.4)
    places = np.arange(len(FOLDS))
    for axis, kind, scale in zip(axes[0], ("right", "times_best_error"), (100, 1), strict=True):
        for shift, way, colour, label in (
            (-0.2, "single_split_of_{}", "#c2410c", "one split, 1/N held out"),
            (0.2, "all_{}_folds", "#1d4ed8", "N folds"),
        ):
            values = [scale * numbers[f"{kind}/{way.format(folds)}"] for folds in FOLDS]
            axis.bar(places + shift, values, 0.38, color=colour, label=label)
        for way, colour in (("training", "#1f2937"), ("public_test_set", "#15803d")):
            label = "training error" if way == "training" else "public test set"
            axis.axhline(scale * numbers[f"{kind}/{way}"], color=colour, lw=1, ls="--", label=label)
        axis.set_xticks(places, [str(folds) for folds in FOLDS])
        axis.set(xlabel="N")
    axes[0, 0].set(ylabel="truly best model picked, %", ylim=(0, 62))
    axes[0, 1].set(ylabel="true error, relative to the best", ylim=(1, None))
    axes[0, 0].legend(fontsize=7, ncols=2, loc="upper left")
    return figure


def _climb(climbed: dict[str, list[float]]) -> Figure:
    figure, axes = canvas(1, 1, 6.4, 3.2)
    axis = axes[0, 0]
    for name, colour in (("public", "#15803d"), ("private", "#b91c1c")):
        errors = climbed[name]
        axis.plot(range(1, len(errors) + 1), errors, "o-", color=colour, ms=3, label=f"{name} test set")
    axis.set(xlabel="submissions so far", ylabel="RMSE of the leader (CP)", ylim=(0, None))
    axis.legend()
    return figure


def _takeaway(numbers: dict[str, float], sizes: Sizes) -> Text:
    one, all_five = (100 * numbers[f"right/{way}"] for way in ("single_split_of_5", "all_5_folds"))
    public, private = (numbers[f"best_of_all/{part}"] for part in ("public", "private"))
    return Text(
        f"Five folds find the truly best model more often than a single split ({all_five:.0f} % against {one:.0f} % "
        f"of {sizes.worlds:,} worlds), because every example is used for validation. A test set used for selection is "
        f"optimistic: the leader after {sizes.tries} submissions of one and the same model has an error of "
        f"{public:.0f} CP on the public set and of {private:.0f} on the private one.",
        f"五折比只用其中一折更常选中真正最好的模型（在 {sizes.worlds:,} 个世界中为 {all_five:.0f}% 对 {one:.0f}%），"
        f"因为每个样本都有发言权。被用来做选择的测试集会偏乐观：同一个模型提交 {sizes.tries} 次后领先的那次，"
        f"公开集误差为 {public:.0f} CP，私有集为 {private:.0f}。",
    )


def _climb_says(sizes: Sizes) -> Text:
    return Text(
        f"Climbing a leaderboard by luck: each submission is a polynomial of degree {SUBMITTED} fitted to a random "
        f"half of the same {sizes.rows} examples, and the one with the best public score leads. Both test sets have "
        f"{sizes.board} examples; geometric mean over the worlds.",
        f"靠运气攀升的排行榜：每次提交都是用同样 {sizes.rows} 个样本的随机一半拟合的 {SUBMITTED} 次多项式，"
        f"公开分数最好的领先。两个测试集各有 {sizes.board} 个样本；取各世界的几何平均。",
    )


_TABLE = Text(
    "How often each procedure picks the degree whose polynomial, fitted to all training examples, has the smallest "
    "error over all Pokémon, and how large the error of its choice is (geometric mean).",
    "每种方式有多常选中“用全部训练样本拟合后、在所有宝可梦上误差最小”的次数，以及所选模型的误差有多大（几何平均）。",
)
_BOARDS = Text(
    "Two test sets of the same size, neither used for fitting. If neither is used for selection, each is the worse "
    "one in about half of the worlds; on the one used to select the degree, the degree looks better than it is.",
    "两个同样大小、都没有参与拟合的测试集。若都没有被看过，则各有一半的世界里它更差；用来选次数的那个看起来比实际更好。",
)
_BARS = Text(
    "Left: how often the truly best degree is picked. Right: the true error of the degree picked, relative to the "
    "best possible. All N folds beat a single split, the first of them. The public test set selects well too, since "
    "it adds examples; but it can no longer serve as an unbiased test.",
    "左：选中真正最好次数的比例。右：所选次数的真实误差，以可能达到的最小误差为单位。N 折胜过只用其中第一折的单次划分。"
    "公开测试集也选得不错，因为它是额外的样本；但选过之后它就不能再当裁判了。",
)
STUDY = Study(
    title=Text("Cross-validation", "交叉验证"),
    question=Text(
        "Bias and variance pull in opposite directions; the best model is in between and has to be selected on data. "
        "Hold out part of the training examples, fit on the rest, compare on the held-out part: a validation set. A "
        "single split may be unlucky, so N-fold cross-validation holds out each part in turn and sums the errors; the "
        "chosen degree is then refitted to all examples. Pokémon are simulated in many worlds, so that the truly best "
        "degree of each is known: how often does each procedure pick it?\n\nA competition has a public test set with "
        "a leaderboard, and a private one that counts. Anyone who selects on the public set must expect a larger "
        "error on the private one. The study measures how much larger, and climbs a leaderboard by submitting the "
        "same model again and again, each time fitted to another half of the examples.",
        "偏差和方差此消彼长，最好的模型在两者之间，必须靠数据来选。从训练样本中留出一部分，用其余的拟合，"
        "在留出的部分上比较，这就是验证集。一次划分可能运气不好，N 折交叉验证让每一份轮流被留出，再把误差加起来；"
        "选定的次数最后用全部样本重新拟合。宝可梦在许多世界里模拟产生，因此每个世界里真正最好的次数是已知的："
        "每种方式有多常选中它？\n\n"
        "竞赛有带排行榜的公开测试集，也有真正算数的私有测试集。按公开集选模型的人，要准备好私有集上的误差更大。"
        "本节测量大多少，并一再提交同一个模型（每次用另一半样本拟合）来攀登排行榜。",
    ),
    formulas=[
        Formula(
            r"d^* = \mathrm{arg\,min}_d \; \sum_{k=1}^{N} \sum_{n \in k} \left(y^n - f_d^{(-k)}(x^n)\right)^2",
            Text(
                "the degree chosen: each example is predicted by the function fitted without its fold",
                "所选的次数：每个样本由不含它那一折拟合出的函数来评判",
            ),
        ),
        Formula(
            r"E\left[\min_j \, L_{\mathrm{public}}(f_j)\right] \leq \min_j \, E\left[L_{\mathrm{public}}(f_j)\right]",
            Text("why the best public score is optimistic", "为什么最好的公开分数偏乐观"),
        ),
    ],
    sizes=Sizes,
    run=run,
)
