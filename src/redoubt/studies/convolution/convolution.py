"""A convolution is a dense layer with most weights left out and the others shared; pooling, and when not to pool."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from redoubt.params.settings.base import Count, Strict
from redoubt.report.figures import canvas
from redoubt.studies.contract import Cell, Doubles, Formula, Lab, Picture, Result, Study, Table, Text
from redoubt.studies.convolution.go_groups import (
    MOVES,
    Board,
    Point,
    bare,
    captures,
    draw_board,
    random_board,
)
from redoubt.studies.given import Digits, Given
from redoubt.studies.origins import of_digits

NONE = -1
# The slide's image and its first filter, which looks for a diagonal.
IMAGE = np.array([[1, 0, 0, 0, 0, 1], [0, 1, 0, 0, 1, 0], [0, 0, 1, 1, 0, 0], [1, 0, 0, 0, 1, 0], [0, 1, 0, 0, 1, 0],
                  [0, 0, 1, 0, 1, 0]], dtype=np.float64)  # fmt: skip
DIAGONAL = 2 * np.eye(3) - 1
# Input height, width and channels, filter side, filters; and the weights per filter that the course counts.
LAYERS = (
    (Text("a 6 x 6 image", "6 x 6 图像"), (6, 6, 1), 3, 1, 9),
    (Text("MNIST, first layer, 25 filters", "MNIST 第一层，25 个 filter"), (28, 28, 1), 3, 25, 9),
    (Text("second layer, 50 filters", "第二层，50 个 filter"), (13, 13, 25), 3, 50, 225),
)
EDGES = np.array([[[-1, -1, -1], [0, 0, 0], [1, 1, 1]], [[-1, 0, 1]] * 3, [[0, 1, 1], [-1, 0, 1], [-1, -1, 0]],
                  [[1, 1, 0], [1, 0, -1], [0, -1, -1]]], dtype=np.float64)  # fmt: skip
MARGIN = 2


class Sizes(Strict):
    """Sizes of the study.

    Attributes:
        train: digits that the nearest neighbours are taken from.
        test: digits to recognize.
        boards: random Go positions.
    """

    train: Count = 1000
    test: Count = 300
    boards: Count = 200


def convolve(images: Doubles, kernel: Doubles) -> Doubles:
    """Maps `(rows, h, w, filters)` of images `(rows, h, w, channels)`, without a margin."""
    windows = np.lib.stride_tricks.sliding_window_view(images, kernel.shape[:2], axis=(1, 2))
    return np.asarray(np.einsum("nyxcij,ijcf->nyxf", windows, kernel, optimize=True))


def as_dense(kernel: Doubles, shape: tuple[int, int, int]) -> tuple[Doubles, NDArray[np.int64]]:
    """The same layer as a matrix `(outputs, inputs)` of flat images, and which weight of the kernel each entry is."""
    side, _, channels, filters = kernel.shape
    high, wide = shape[0] - side + 1, shape[1] - side + 1
    which = np.full((high, wide, filters, *shape), NONE)
    numbers = np.arange(kernel.size).reshape(kernel.shape)
    for y, x, f in np.ndindex(high, wide, filters):
        which[y, x, f, y : y + side, x : x + side] = numbers[..., f]
    flat = which.reshape(high * wide * filters, shape[0] * shape[1] * channels)
    return np.where(flat == NONE, 0.0, kernel.ravel()[flat]), flat


def shared(which: NDArray[np.int64], slopes: Doubles, weights: int) -> Doubles:
    """The derivative of each shared weight: the sum of the dense matrix's over the places where it stands."""
    there = which != NONE
    return np.asarray(np.bincount(which[there], slopes[there], minlength=weights))


def by_keras(images: Doubles, kernel: Doubles, target: Doubles) -> tuple[Doubles, Doubles]:
    """A Conv2D layer's maps, and the derivative of half the squared distance to a target."""
    import keras
    import tensorflow as tf

    layer = keras.layers.Conv2D(kernel.shape[-1], kernel.shape[0], use_bias=False, dtype="float64")
    layer.build(images.shape)
    layer.set_weights([kernel])
    with tf.GradientTape() as tape:
        maps = layer(tf.constant(images))
        loss = tf.reduce_sum(tf.square(maps - target)) / 2.0
    return maps.numpy(), tape.gradient(loss, layer.trainable_variables)[0].numpy()


def max_pool(maps: Doubles, size: int) -> Doubles:
    """The largest of each size x size block of `(rows, h, w, filters)`; what does not fill a block is left out."""
    rows, high, wide, filters = maps.shape
    blocks = maps[:, : high - high % size, : wide - wide % size].reshape(
        rows, high // size, size, wide // size, size, filters
    )
    return np.asarray(blocks.max(axis=(2, 4)))


def weights_of(shape: tuple[int, int, int], side: int, filters: int) -> tuple[int, int, int]:
    """Weights of a dense layer to as many outputs, of one that sees side x side pixels, and of the convolution."""
    outputs = (shape[0] - side + 1) * (shape[1] - side + 1) * filters
    per_filter = side * side * shape[2]
    return outputs * int(np.prod(shape)), outputs * per_filter, per_filter * filters


def run(given: Given, sizes: Sizes, seed: int) -> Result:
    """The layer three ways, its weights counted; digits made smaller and moved; Go boards made smaller."""
    digits = given.digits()
    rng = np.random.default_rng([seed, 0])
    numbers = {**_three_ways(digits, rng), **_slide()}
    for _, shape, side, filters, _ in LAYERS:
        names = ("dense", "local", "shared")
        label = "x".join(map(str, shape))
        numbers |= {f"weights/{label}_{n}": w for n, w in zip(names, weights_of(shape, side, filters), strict=True)}
    numbers |= _smaller_digits(digits, sizes)
    boards = [random_board(rng) for _ in range(sizes.boards)]
    numbers |= _smaller_boards(boards)
    return Result(
        origin=of_digits(digits, min(sizes.train, len(digits.train))),
        numbers=numbers,
        tables=[_weights_table(), _digits_table(numbers), _boards_table(numbers)],
        pictures={
            "convolution": Picture(_layer_figure(), _LAYER),
            "pooling": Picture(_pooling_figure(digits, boards), _POOLING),
        },
        takeaway=_TAKEAWAY,
        lab=LAB,
    )


def _three_ways(digits: Digits, rng: np.random.Generator) -> dict[str, float]:
    images = digits.train.x[:8].astype(np.float64)
    kernel = rng.normal(size=(3, 3, 1, 2))
    dense, which = as_dense(kernel, images.shape[1:])
    flat = images.reshape(len(images), -1)
    maps = flat @ dense.T
    target = rng.normal(size=convolve(images, kernel).shape)
    slopes = (maps - target.reshape(len(images), -1)).T @ flat
    keras_maps, keras_slopes = by_keras(images, kernel, target)
    tied = shared(which, slopes, kernel.size)
    return {
        "dense_off": float(np.abs(maps - keras_maps.reshape(maps.shape)).max()),
        "windows_off": float(np.abs(convolve(images, kernel) - keras_maps).max()),
        "shared_slope_off": float(np.abs(tied - keras_slopes.ravel()).max() / np.abs(keras_slopes).max()),
    }


def _slide() -> dict[str, float]:
    maps = convolve(IMAGE[None, ..., None], DIAGONAL[..., None, None])[0, ..., 0]
    return {
        "slide/first": maps[0, 0],
        "slide/second": maps[0, 1],
        "slide/lower_left": maps[-1, 0],
        "slide/largest": maps.max(),
    }


def features(images: Doubles, reduce: str) -> Doubles:
    """Rectified maps of four edge filters, flat, made smaller: `all`, `every_second`, `max_2` or `max_4`."""
    maps = np.maximum(convolve(images, np.moveaxis(EDGES, 0, -1)[:, :, None]), 0.0)
    if reduce == "every_second":
        maps = maps[:, ::2, ::2]
    elif reduce != "all":
        maps = max_pool(maps, int(reduce.removeprefix("max_")))
    return maps.reshape(len(maps), -1)


def moved(images: Doubles, by: Point) -> Doubles:
    """Images moved by some pixels; the margin makes room."""
    return np.roll(images, by, axis=(1, 2))


def _smaller_digits(digits: Digits, sizes: Sizes) -> dict[str, float]:
    from sklearn.neighbors import KNeighborsClassifier

    room = ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0))
    train, test = (
        np.pad(part.x[:rows].astype(np.float64), room)
        for part, rows in ((digits.train, sizes.train), (digits.test, sizes.test))
    )
    labels, truth = digits.train.y[: sizes.train], digits.test.y[: sizes.test]
    numbers: dict[str, float] = {}
    for reduce in _REDUCTIONS:
        neighbours = KNeighborsClassifier(3).fit(features(train, reduce), labels)
        still = features(test, reduce)
        right, change = [], []
        for by in MOVES:
            now = features(moved(test, by), reduce)
            right.append((neighbours.predict(now) == truth).mean())
            change.append((np.linalg.norm(now - still, axis=1) / np.linalg.norm(still, axis=1)).mean())
        numbers |= {
            f"accuracy/{reduce}": float((neighbours.predict(still) == truth).mean()),
            f"accuracy_moved/{reduce}": float(np.mean(right)),
            f"change_moved/{reduce}": float(np.mean(change)),
        }
    kernel = np.moveaxis(EDGES, 0, -1)[:, :, None]
    first = convolve(moved(test, (0, 1)), kernel)[:, :, 1:], convolve(test, kernel)[:, :, :-1]
    return numbers | {"moves_along_off": float(np.abs(first[0] - first[1]).max())}


def _smaller_boards(boards: Sequence[Board]) -> dict[str, float]:
    true = [captures(board) for board in boards]
    small = [{(2 * y, 2 * x) for y, x in captures(board[::2, ::2])} for board in boards]
    left = [{(y, x) for y, x in points if y % 2 == x % 2 == 0} for points in true]
    kept = sum(len(a & b) for a, b in zip(left, small, strict=True))
    said = sum(map(len, small))
    return {
        "go/captures": float(sum(map(len, true))),
        "go/left": sum(map(len, left)) / sum(map(len, true)),
        "go/still": kept / sum(map(len, left)),
        "go/false": (said - kept) / said,
    }


def _weights_table() -> Table:
    rows: list[list[Cell | Text]] = [
        [what, *(f"{weights:,}" for weights in weights_of(shape, side, filters)), course, side * side * shape[2]]
        for what, shape, side, filters, course in LAYERS
    ]
    heads = [
        Text("layer", "层"),
        Text("dense", "全连接"),
        Text("only 3 x 3 pixels seen", "只看 3 x 3 像素"),
        Text("and shared weights", "再共享权重"),
        Text("course, per filter", "课程，每个 filter"),
        Text("here, per filter", "本次，每个 filter"),
    ]
    return Table(_WEIGHTS, heads, rows)


def _digits_table(numbers: dict[str, float]) -> Table:
    rows: list[list[Cell | Text]] = [
        [
            words,
            f"{100 * numbers[f'accuracy/{reduce}']:.1f}",
            f"{100 * numbers[f'accuracy_moved/{reduce}']:.1f}",
            f"{100 * numbers[f'change_moved/{reduce}']:.0f}",
        ]
        for reduce, words in _REDUCTIONS.items()
    ]
    heads = [
        Text("subsampling of the maps", "特征图保留的部分"),
        Text("accuracy, %", "识别正确，%"),
        Text("accuracy when shifted by a pixel, %", "平移一个像素后正确，%"),
        Text("change of the maps, %", "特征图的变化，%"),
    ]
    return Table(_DIGITS, heads, rows)


def _boards_table(numbers: dict[str, float]) -> Table:
    rows: list[list[Cell | Text]] = [
        [Text("points where Black can capture", "黑棋可以提子的点"), f"{numbers['go/captures']:.0f}"],
        [Text("of these, kept on the smaller board, %", "其中还在小棋盘上的，%"), f"{100 * numbers['go/left']:.0f}"],
        [Text("of those, still a capture there, %", "其中仍然可以提子的，%"), f"{100 * numbers['go/still']:.0f}"],
        [
            Text("captures on the smaller board that are spurious, %", "小棋盘上的提子实际并不成立的，%"),
            f"{100 * numbers['go/false']:.0f}",
        ],
    ]
    return Table(_BOARDS, [Text("what", "内容"), Text("value", "数值")], rows)


def _layer_figure() -> Figure:
    figure, axes = canvas(1, 3, 9.4, 3.1)
    image, layer, maps = axes[0]
    image.imshow(IMAGE, cmap="Greys", vmax=1.6)
    for top in (0, 3):
        image.add_patch(Rectangle((-0.5, top - 0.5), 3, 3, fill=False, edgecolor="#b91c1c", lw=2, clip_on=False))
    bare(image, "image 6 x 6; where the filter fits")
    _, which = as_dense(DIAGONAL[..., None, None], (6, 6, 1))
    layer.imshow(np.ma.masked_equal(which, NONE), cmap="tab10", vmin=0, vmax=9, aspect="auto", interpolation="none")
    bare(layer, "as a dense layer: 36 inputs, 16 neurons")
    found = convolve(IMAGE[None, ..., None], DIAGONAL[..., None, None])[0, ..., 0]
    pooled = max_pool(found[None, ..., None], 2)[0, ..., 0]
    maps.imshow(found, cmap="Blues", vmin=-3, vmax=12)
    for (y, x), value in np.ndenumerate(found):
        kept = value == pooled[y // 2, x // 2]
        style = {"color": "#b91c1c", "weight": "bold"} if kept else {"color": "#1f2937"}
        maps.text(x, y, f"{value:.0f}", ha="center", va="center", fontsize=11, **style)
    maps.axhline(1.5, color="#1f2937", lw=1)
    maps.axvline(1.5, color="#1f2937", lw=1)
    bare(maps, "map 4 x 4; red survives pooling")
    return figure


def _pooling_figure(digits: Digits, boards: Sequence[Board]) -> Figure:
    figure, axes = canvas(1, 4, 9.4, 2.6)
    digit = digits.train.x[:1].astype(np.float64)
    pixels = {"digit": digit[0, ..., 0], "every second row and column": digit[0, ::2, ::2, 0]}
    for axis, (title, picture) in zip(axes[0, :2], pixels.items(), strict=True):
        axis.imshow(picture, cmap="Greys")
        bare(axis, title)
    # Most to see.
    board = max(boards, key=lambda each: len(captures(each)))
    for axis, each in zip(axes[0, 2:], (board, board[::2, ::2]), strict=True):
        draw_board(axis, each)
    axes[0, 2].set_title("9 x 9 board", fontsize=9)
    axes[0, 3].set_title("every second row and column", fontsize=9)
    return figure


_REDUCTIONS = {
    "all": Text("everything", "全部"),
    "every_second": Text("every second row and column", "隔行隔列"),
    "max_2": Text("the largest of each 2 x 2", "每 2 x 2 的最大值"),
    "max_4": Text("the largest of each 4 x 4", "每 4 x 4 的最大值"),
}
_WEIGHTS = Text(
    "Weights, without biases, of a layer with as many outputs as the convolution. The course counts 9 and 225 per "
    "filter; it begins with a 100 x 100 colour image, for which 1000 dense neurons would need 30,000 x 1000 weights.",
    "输出个数相同的一层所需要的权重数（不计 bias）。课程给出每个 filter 有 9 个和 225 个权重；"
    "课程开头的例子是 100 x 100 的彩色图像，1000 个全连接神经元就需要 30,000 x 1000 个权重。",
)
_DIGITS = Text(
    "Digits classified by their three nearest neighbours in the maps of four fixed edge filters; shifted means by one "
    "pixel, averaged over four directions, with unshifted neighbours.",
    "用四个固定边缘 filter 的特征图，取三个最近邻来识别手写数字；“平移”是指只把测试图像移动一个像素，"
    "取四个方向的平均。",
)
_BOARDS = Text(
    "Random 9 x 9 positions: where can Black capture, before and after every second row and column is left out?",
    "随机生成的 9 x 9 局面：去掉隔行隔列之前和之后，黑棋能在哪里提子？",
)
_LAYER = Text(
    "Left: the course's image. Middle: the convolution as a matrix, a row per neuron, a colour per weight: nine "
    "weights occupy 144 of 576 entries, the others are 0. Right: its feature map; the same filter detects the "
    "diagonal at the upper and the lower left, and both survive max pooling.",
    "左：课程里的图像。中：把卷积写成矩阵，每行一个神经元，每种颜色一个权重：9 个权重占据 576 个位置中的 144 个，"
    "其余为 0。右：得到的特征图，左上和左下的对角线由同一个 filter 找到，并且都在 max pooling 之后保留下来。",
)
_POOLING = Text(
    "A digit is still the same digit with a quarter of its pixels. A Go position is not: crosses mark where Black can "
    "capture, and the smaller board has other chains, other liberties and other captures.",
    "手写数字只剩四分之一的像素，仍是同一个数字；围棋局面却不是：叉号是黑棋可以提子的点，"
    "缩小后的棋盘上，棋块、气和可以提子的点都变了。",
)
LAB = Lab(
    "convolution",
    {"image": IMAGE.tolist(), "filters": [DIAGONAL.tolist(), *EDGES.tolist()]},
    Text(
        "Try it: choose a filter, or write your own; where does the map respond?",
        "试一试：选一个 filter，或自己填数；特征图在哪里有反应？",
    ),
)
_TAKEAWAY = Text(
    "A convolution is a dense layer whose weights are mostly zero and otherwise shared, so it needs a tiny fraction "
    "of the weights and detects a pattern wherever it occurs. Max pooling is appropriate where a smaller image means "
    "the same, and inappropriate where every point counts, as on a Go board.",
    "卷积层就是大部分权重为零、其余权重共享的全连接层，因此只需要极少的权重，而且图案出现在哪里都能找到。"
    "如果缩小图像不改变含义，就可以用 max pooling；如果每个点都重要，比如围棋，就不能用。",
)
STUDY = Study(
    title=Text("A convolution is a dense layer with weights left out", "卷积就是去掉一些权重的全连接层"),
    question=Text(
        "The course derives convolutional networks from three observations about images: some patterns are much "
        "smaller than the whole image, the same patterns appear in different regions, and subsampling pixels does not "
        "change the object. The first two lead to convolution, the third to max pooling.\n\nIs a convolution "
        "something different from a dense layer? Its matrix is written out here, most entries 0 and the others "
        "shared, and gives the outputs of Keras's Conv2D; the derivative of a shared weight is the sum over the "
        "positions where it occurs. The course takes their mean, which differs only by a constant factor.\n\nDoes "
        "pooling keep what matters? Digits are classified from their edge maps, subsampled and shifted by a pixel. Go "
        "positions are subsampled too, and the rules determine what can be captured before and after.",
        "课程用关于图像的三个观察引出卷积网络：有些图案比整张图小得多；同样的图案会出现在不同区域；"
        "去掉一部分像素不会改变图中的物体。前两个对应卷积，第三个对应 max pooling。\n\n"
        "卷积和全连接层是两回事吗？这里把卷积的矩阵完整写出来，大部分是 0，其余是共享的权重，输出与 Keras 的 Conv2D "
        "相同；"
        "一个共享权重的导数，是它出现的所有位置上导数之和（课程取平均，只差一个常数倍）。\n\n"
        "Pooling 会不会丢掉重要的东西？我们用边缘特征图识别手写数字，缩小特征图，并把图像平移一个像素；"
        "再把围棋局面也缩小，按规则比较缩小前后黑棋能提哪些子。",
    ),
    formulas=[
        Formula(
            r"z_{y,x,f} = \sum_{i,j,c} k_{i,j,c,f}\; a_{y+i,\,x+j,\,c}",
            Text("a convolution: the same filter everywhere", "卷积：处处使用同一个 filter"),
        ),
        Formula(
            r"z = W a, \qquad W_{m,n} \in \{0\} \cup \{k\}, \qquad "
            r"\frac{\partial l}{\partial k} = \sum_{(m,n):\, W_{m,n} = k} \frac{\partial l}{\partial W_{m,n}}",
            Text("the same as a dense layer, and how a shared weight learns", "写成全连接层，以及共享权重的导数"),
        ),
        Formula(
            r"p_{y,x,f} = \max_{0 \leq i,j < s}\; z_{sy+i,\, sx+j,\, f}",
            Text("max pooling", "max pooling：每块取最大值"),
        ),
    ],
    sizes=Sizes,
    run=run,
)
