"""Why gradient descent steps against the gradient, how far it may, and where it stops short of the goal."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from redoubt.params.settings.base import Count, Strict
from redoubt.report.figures import canvas
from redoubt.studies.contract import Cell, Doubles, Formula, Picture, Result, Study, Table, Text
from redoubt.studies.descent.gradient_descent import descend
from redoubt.studies.given import Given
from redoubt.studies.origins import SYNTHETIC

# Three Gaussian wells: two equal shallow ones side by side, and a deep one further down.
CENTRES = np.array([[-1.5, 0.0], [1.5, 0.0], [0.0, -3.5]])
DEPTHS = np.array([1.0, 1.0, 2.0])
WIDTHS = np.array([1.0, 1.0, 1.2])
# The window in which pictures are drawn and points are taken, as (low, high) corners.
WINDOW = np.array([[-5.0, -6.5], [5.0, 5.0]])
# Where the plane is laid on, (a, b) in the course.
AT = np.array([0.5, 0.8])
STARTS = {
    "global": np.array([1.0, -2.5]),
    "local": np.array([2.6, 1.4]),
    "saddle": np.array([0.0, 1.5]),
    "nudged": np.array([-1e-3, 1.5]),
    "plateau": np.array([4.0, 4.0]),
}
COLOURS = dict(zip(STARTS, ("#15803d", "#1d4ed8", "#b91c1c", "#c2410c", "#1f2937"), strict=True))
# Rates in units of the limit, two over the largest curvature.
SHARES = (0.5, 1.0, 1.5, 3.0)


class Sizes(Strict):
    """Sizes of the study.

    Attributes:
        updates: of every walk over the landscape.
        points: from which a step is tried.
    """

    updates: Count = 1000
    points: Count = 20_000


def _wells(points: Doubles) -> tuple[Doubles, Doubles]:
    """Offsets from each centre, and each well's pull, its depth over squared width and fading with distance."""
    off = points[..., None, :] - CENTRES
    return off, DEPTHS / WIDTHS**2 * np.exp(-np.square(off).sum(axis=-1) / (2 * WIDTHS**2))


def loss(points: Doubles) -> Doubles:
    """The landscape, of one point or of points along the last axis."""
    return np.asarray(-(_wells(points)[1] * WIDTHS**2).sum(axis=-1))


def gradient(points: Doubles) -> Doubles:
    """Likewise its derivatives."""
    off, pull = _wells(points)
    return np.asarray((pull[..., None] * off).sum(axis=-2))


def hessian(points: Doubles) -> Doubles:
    """Likewise its second derivatives."""
    off, pull = _wells(points)
    outer = off[..., :, None] * off[..., None, :] / np.square(WIDTHS)[:, None, None]
    return np.asarray((pull[..., None, None] * (np.eye(2) - outer)).sum(axis=-3))


def grid(count: int) -> Doubles:
    """Points all over the window, `(count, count, 2)`."""
    return np.stack(np.meshgrid(*(np.linspace(low, high, count) for low, high in WINDOW.T)), axis=-1)


def largest_curvature() -> float:
    """The largest second derivative in any direction, on a fine grid."""
    return float(np.linalg.eigvalsh(hessian(grid(200)))[..., -1].max())


def circle(radius: float, count: int = 3600) -> Doubles:
    """Points around `AT`."""
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return AT + radius * np.column_stack([np.cos(angles), np.sin(angles)])


def plane(points: Doubles) -> Doubles:
    """The first-order approximation of the loss around `AT`."""
    return np.asarray(loss(AT) + (points - AT) @ gradient(AT))


def error(radius: float) -> float:
    """The plane's largest error on the circle."""
    ring = circle(radius)
    return float(np.abs(loss(ring) - plane(ring)).max())


def between(points: Doubles, values: Doubles) -> float:
    """Degrees between the way from `AT` to the lowest value and the way against the gradient."""
    way, down = points[values.argmin()] - AT, -gradient(AT)
    cosine = way @ down / (np.linalg.norm(way) * np.linalg.norm(down))
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def along(radii: Doubles) -> Doubles:
    """The loss at distances from `AT` against the gradient."""
    slope = gradient(AT)
    return loss(AT - radii[:, None] * slope / np.linalg.norm(slope))


def raised(points: Doubles, rate: float) -> float:
    """Share of points from which one step raises the loss."""
    return float((loss(points - rate * gradient(points)) > loss(points)).mean())


def sine(x: Doubles, order: int) -> Doubles:
    """The Taylor series of sin around pi / 4, up to that order."""
    off, root = x - np.pi / 4, np.sqrt(0.5)
    terms = (np.ones_like(x), off, -(off**2) / 2, -(off**3) / 6)
    return np.asarray(root * np.sum(terms[: order + 1], axis=0))


def sine_error(order: int, distance: float) -> float:
    """Largest error of the series within a distance of pi / 4."""
    x = np.pi / 4 + np.linspace(-distance, distance, 201)
    return float(np.abs(np.sin(x) - sine(x, order)).max())


def run(given: Given, sizes: Sizes, seed: int) -> Result:
    """Measure the approximation, the radius within which descent is certain, and where walks end."""
    top = largest_curvature()
    numbers = {"curvature/largest": top, "limit": 2 / top}
    for distance in (0.1, 1.0):
        numbers |= {f"sine_error_{distance:g}/order_{k}": sine_error(k, distance) for k in (0, 1, 2)}
    radii = np.geomspace(0.01, 3, 40)
    errors = np.array([error(radius) for radius in radii])
    # With the square of the radius, while it is small.
    numbers["error_exponent"] = float(np.polyfit(np.log(radii[:15]), np.log(errors[:15]), 1)[0])
    numbers |= directions() | radius_of_descent(top)
    points = np.random.default_rng([seed, 0]).uniform(WINDOW[0], WINDOW[1], size=(sizes.points, 2))
    numbers |= {f"raised/{share:g}_of_limit": raised(points, share * 2 / top) for share in SHARES}
    paths = {name: descend(gradient, start, [1 / top] * sizes.updates) for name, start in STARTS.items()}
    for name, path in paths.items():
        numbers |= {f"loss/{name}": float(loss(path[-1])), f"slope/{name}": float(np.linalg.norm(gradient(path[-1])))}
        low, high = np.linalg.eigvalsh(hessian(path[-1]))
        numbers |= {f"curvature_low/{name}": float(low), f"curvature_high/{name}": float(high)}
    return Result(
        origin=SYNTHETIC,
        numbers=numbers,
        tables=[_sine_table(numbers), _steps_table(numbers), _ends_table(numbers, sizes.updates)],
        pictures={
            "approximation": Picture(_approximation(radii, errors, numbers), _approximation_caption(numbers)),
            "landscape": Picture(_landscape(paths, points, top), _LANDSCAPE_CAPTION),
        },
        takeaway=_takeaway(numbers, sizes.updates),
    )


def directions() -> dict[str, float]:
    """Degrees between against the gradient and the lowest point of a circle: of the plane's, and of the loss's."""
    found = {}
    for radius in (0.1, 1.0):
        ring = circle(radius)
        found[f"plane_off_{radius:g}"] = between(ring, plane(ring))
        found[f"loss_off_{radius:g}"] = between(ring, loss(ring))
    return found


def radius_of_descent(top: float) -> dict[str, float]:
    """How far against the gradient the loss is certain to be below that of `AT`, and how far it is."""
    radii = np.linspace(0.001, 10, 10_000)
    rises = along(radii) >= loss(AT)
    return {
        "radius/guaranteed": float(2 * np.linalg.norm(gradient(AT)) / top),
        "radius/found": float(radii[rises.argmax()]),
    }


def _sine_table(numbers: Mapping[str, float]) -> Table:
    rows: list[list[Cell | Text]] = [
        [order, *(f"{numbers[f'sine_error_{distance}/order_{order}']:.2g}" for distance in ("0.1", "1"))]
        for order in (0, 1, 2)
    ]
    heads = [Text("order", "阶数"), Text("within 0.1", "0.1 以内"), Text("within 1", "1 以内")]
    return Table(_SINE_TABLE, heads, rows)


def _steps_table(numbers: Mapping[str, float]) -> Table:
    rows: list[list[Cell | Text]] = [
        [f"{share:g}", f"{share * numbers['limit']:.3g}", f"{numbers[f'raised/{share:g}_of_limit']:.2%}"]
        for share in SHARES
    ]
    heads = [Text("rate / limit", "学习率 / 极限"), Text("rate", "学习率"), Text("raise the loss", "损失反而上升")]
    return Table(_STEPS_TABLE, heads, rows)


def _ends_table(numbers: Mapping[str, float], updates: int) -> Table:
    rows: list[list[Cell | Text]] = [
        [
            _SAYS[name],
            f"{numbers[f'loss/{name}']:.3f}",
            f"{numbers[f'slope/{name}']:.1g}",
            *(f"{numbers[f'curvature_{end}/{name}']:.2g}" for end in ("low", "high")),
        ]
        for name in STARTS
    ]
    heads = [
        Text("ends at", "停在"),
        Text("loss", "损失"),
        Text("slope", "梯度大小"),
        Text("least curvature", "最小曲率"),
        Text("largest curvature", "最大曲率"),
    ]
    caption = Text(
        f"After {updates:,} updates at half the limit: where each run has ended. A small gradient does not "
        "distinguish the global minimum from a local one, a saddle point or a plateau; the two curvatures reveal the "
        "saddle point.",
        f"以极限的一半为学习率更新 {updates:,} 次之后，每条路径停在哪里。梯度很小并不能区分目标、局部最小点、"
        "鞍点和平原；两个曲率能认出鞍点。",
    )
    return Table(caption, heads, rows)


def _approximation(radii: Doubles, errors: Doubles, numbers: Mapping[str, float]) -> Figure:
    figure, axes = canvas(1, 3, 8.8, 3.1)
    series, ring, line = axes[0]
    x = np.linspace(-1.5, 3.2, 200)
    series.plot(x, np.sin(x), color="#1f2937", lw=1.6, label="sin")
    for order, colour in ((0, "#15803d"), (1, "#b91c1c"), (2, "#1d4ed8")):
        series.plot(x, sine(x, order), "--", color=colour, lw=1.1, label=f"order {order}")
    series.plot(np.pi / 4, np.sqrt(0.5), "o", color="#1f2937", ms=4)
    series.set(ylim=(-1.3, 1.9), xlabel="x")
    series.legend(fontsize=7, ncols=2)
    ring.plot(radii, errors, color="#b91c1c", lw=1.4, label="error of the plane")
    ring.plot(radii, radii * np.linalg.norm(gradient(AT)), color="#1d4ed8", lw=1.4, label="predicted descent")
    ring.set(xscale="log", yscale="log", xlabel="radius of the circle")
    ring.legend(fontsize=7)
    ahead = np.linspace(0, 4, 200)
    line.plot(ahead, along(ahead), color="#1f2937", lw=1.4, label="loss")
    line.plot(ahead, loss(AT) - ahead * np.linalg.norm(gradient(AT)), "--", color="#b91c1c", lw=1.1, label="plane")
    line.axhline(loss(AT), color="#6b7280", lw=0.8)
    line.axvspan(0, numbers["radius/guaranteed"], color="#15803d", alpha=0.15, label="descent guaranteed")
    line.set(ylim=(-1.6, 0.1), xlabel="distance along the negative gradient")
    line.legend(fontsize=7)
    return figure


def _approximation_caption(numbers: Mapping[str, float]) -> Text:
    near, far = (f"{numbers[f'loss_off_{radius}']:.0f}" for radius in ("0.1", "1"))
    return Text(
        "Left: the series of sin around π/4. Middle: on a circle around a point of the landscape, the plane's error "
        "grows with the square of the radius and the descent it predicts only with the radius, so in a small circle "
        f"the prediction holds. The loss itself is lowest {near}° away from the negative gradient on a circle of "
        f"radius 0.1, and {far}° away at radius 1. Right: the loss along the negative gradient, and the distance "
        "within which it is guaranteed to be lower than at the start.",
        "左：sin 在 π/4 处的展开。中：在地形上一点周围的圆上，平面近似的误差按半径的平方增长，"
        "它许诺的下降只按半径增长，所以在小圆内许诺能兑现。"
        f"损失本身的最低点与负梯度方向的夹角，在半径 0.1 的圆上是 {near}°，在半径 1 的圆上是 {far}°。右："
        "沿负梯度方向的损失，以及损失必定低于起点的距离。",
    )


def _landscape(paths: Mapping[str, Doubles], points: Doubles, top: float) -> Figure:
    figure, axes = canvas(1, 2, 8.8, 3.8)
    land: Axes = axes[0, 0]
    shares: Axes = axes[0, 1]
    window = grid(200)
    land.contour(window[..., 0], window[..., 1], loss(window), levels=16, cmap="Blues_r", linewidths=0.7)
    for name, path in paths.items():
        land.plot(path[:, 0], path[:, 1], color=COLOURS[name], lw=4 if name == "saddle" else 1.6)
        land.plot(*path[0], "o", color=COLOURS[name], ms=4)
        land.plot(*path[-1], "x", color=COLOURS[name], ms=7, mew=2, label=name)
    land.set(xlabel="first parameter", ylabel="second parameter")
    land.legend(fontsize=7, loc="lower right")
    ratios = np.linspace(0.05, 5, 60)
    shares.plot(ratios, [raised(points, ratio * 2 / top) for ratio in ratios], color="#b91c1c", lw=1.4)
    shares.axvspan(0, 1, color="#15803d", alpha=0.15)
    shares.text(0.08, 0.03, "descent guaranteed", color="#15803d", fontsize=8, rotation=90)
    shares.set(xlabel="rate / limit", ylabel="share of steps that raise the loss", xlim=(0, 5))
    return figure


def _takeaway(numbers: Mapping[str, float], updates: int) -> Text:
    share = f"{numbers['raised/3_of_limit']:.0%}"
    return Text(
        f"The linear approximation holds only in a small circle: with rates up to the limit of {numbers['limit']:.2f} "
        f"no step raised the loss, at three times the limit {share} of them did. Where the gradient nearly vanishes, "
        f"descent stops or crawls; after {updates:,} updates that was the global minimum in one run and a plateau, a "
        "saddle point or a local minimum in the others.",
        f"平面近似只在小圆内成立：学习率不超过极限 {numbers['limit']:.2f} 时，没有一步使损失上升；在极限的三倍处，"
        f"{share} 的步子使损失上升。而梯度几乎为零的地方，下降就停住或只是爬行：{updates:,} 次更新之后，"
        "一条路径停在目标，"
        "其余的停在平原、鞍点或局部最小点。",
    )


_SAYS = {
    "global": Text("the global minimum", "全局最小点"),
    "local": Text("a local minimum", "局部最小点"),
    "saddle": Text("a saddle point", "鞍点"),
    "nudged": Text("beside it at first, then a local minimum", "起初在鞍点旁，后到局部最小点"),
    "plateau": Text("the plateau", "平原"),
}
_SINE_TABLE = Text(
    "Largest error of the Taylor series of sin around π/4.",
    "sin 在 π/4 处的泰勒展开的最大误差。",
)
_STEPS_TABLE = Text(
    "One step from random points of the landscape: how often it raises the loss. The limit is two over the largest "
    "curvature.",
    "从地形上的随机点各走一步：有多少反而上升。极限是最大曲率分之二。",
)
_LANDSCAPE_CAPTION = Text(
    "Left: five runs from their dots to their crosses; only one finds the deepest well, the one on the ridge stops at "
    "the saddle point, and another, a thousandth off the ridge, does not. Right: share of steps that raise the loss, "
    "by learning rate.",
    "左：五条从圆点走到叉号的路径；只有一条找到最深的谷，在山脊上的一条停在鞍点，而离山脊千分之一处的另一条没有停。"
    "右：不同学习率下使损失上升的步子所占的比例。",
)
STUDY = Study(
    title=Text("Why gradient descent works, and when it does not", "为什么有效，何时无效"),
    question=Text(
        "Does every update lower the loss? The course says no, and derives gradient descent to see when: near a point "
        "the loss is almost a plane, its Taylor series of first order; within a circle around the point, the plane is "
        "lowest on the rim, in the direction of the negative gradient; and the learning rate sets the radius of that "
        "circle. So the rate has to be small enough for the linear approximation to hold.\n\nHow small is known: if "
        "no curvature exceeds M, every step with a rate below 2/M lowers the loss. We measure this on a landscape of "
        "three Gaussian wells, whose largest curvature is known, and run gradient descent from five starting points "
        "to see where it stops: the course's plateau, saddle point and local minimum all occur.",
        "每次更新都会使损失下降吗？课程说不一定，并通过推导梯度下降来说明什么时候会：在一点附近，损失近似为一个平面，"
        "即一阶泰勒展开；在该点周围的圆内，平面的最低处在圆周上，正对负梯度方向；学习率决定这个圆的半径。"
        "所以学习率要足够小，平面近似才成立。\n\n"
        "多小才够是可以算出来的：如果曲率都不超过 M，学习率低于 2/M 的每一步都会下降。"
        "我们在由三个高斯谷组成的地形上测量，它的最大曲率是已知的；再从五个地方出发，看下降停在哪里：课程说的平原、"
        "鞍点、局部最小点都在其中。",
    ),
    formulas=[
        Formula(
            r"h(x) \approx h(x_0) + h'(x_0)(x - x_0)",
            Text("the Taylor series of first order", "一阶泰勒展开"),
        ),
        Formula(
            r"L(\theta) \approx L(a, b) + u\,(\theta_1 - a) + v\,(\theta_2 - b), \quad "
            r"u = \frac{\partial L(a, b)}{\partial \theta_1}, \quad v = \frac{\partial L(a, b)}{\partial \theta_2}",
            Text("of two parameters: a plane", "两个参数时是一个平面"),
        ),
        Formula(
            r"(\theta_1 - a)^2 + (\theta_2 - b)^2 \leq d^2: \qquad (\theta_1, \theta_2) = (a, b) - \eta\,(u, v), \quad "
            r"\eta = \frac{d}{\sqrt{u^2 + v^2}}",
            Text("its minimum within the circle: one step of gradient descent", "圆内的最低点：正是梯度下降的一步"),
        ),
        Formula(
            r"L(\theta - \eta \nabla L) \leq L(\theta) - \eta \left(1 - \frac{\eta M}{2}\right) \|\nabla L\|^2",
            Text(
                "no curvature above M: descent is guaranteed for rates below 2/M",
                "曲率不超过 M：学习率低于 2/M 时必定下降",
            ),
        ),
    ],
    sizes=Sizes,
    run=run,
)
