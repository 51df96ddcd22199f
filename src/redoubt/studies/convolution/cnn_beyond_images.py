"""Convolution where the input is no photograph: Go boards, spectrograms and sentences, each with its own reason."""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
from matplotlib.figure import Figure

from redoubt.core.types import Batch, Floats
from redoubt.params.settings.base import Count, Strict
from redoubt.report.figures import canvas
from redoubt.studies.contract import Cell, Doubles, Formula, Picture, Result, Study, Table, Text
from redoubt.studies.convolution import go_boards
from redoubt.studies.given import Given
from redoubt.studies.origins import SYNTHETIC
from redoubt.training.fit import Plan, compile_network, fit, on_rows

Sets = dict[str, Batch]
BATCH = 50
SIDE = 9
# Spectrograms: bins of logarithmic frequency, frames, words, and by how many bins low and high voices are shifted.
BINS, FRAMES, WORDS = 40, 16, 6
VOICES = {"low": (0, 5), "high": (10, 15)}
NOISE = 0.15
# Sentences: words in one, and the vocabulary by kind.
LENGTH = 12
FILLERS = ("we", "saw", "the", "film", "on", "a", "rainy", "day", "with", "friends", "and", "talked", "about", "actors")
GOOD, BAD = ("good", "great", "moving", "funny", "clever", "warm"), ("bad", "awful", "dull", "silly", "slow", "cold")
VOCABULARY = (*FILLERS, "not", *GOOD, *BAD)
EMBEDDED = 8
HALVES = {"early": (0, LENGTH // 2 - 1), "late": (LENGTH // 2, LENGTH - 1)}


class Sizes(Strict):
    """Sizes of the study.

    Attributes:
        boards: of Go to learn from; a third as many again to report on.
        rows: spectrograms and sentences to learn from, and as many to report on.
        filters: per convolution layer.
        board_epochs: of training on boards.
        epochs: of training on spectrograms and sentences.
    """

    boards: Count = 1500
    rows: Count = 1000
    filters: Count = 16
    board_epochs: Count = 8
    epochs: Count = 8


class Seeded:
    """Layers whose first weights are drawn one after another from a seed."""

    def __init__(self, seed: int) -> None:
        self._seeds = iter(np.random.SeedSequence(seed).generate_state(16).tolist())

    def _kernel(self) -> keras.initializers.Initializer:
        return keras.initializers.HeNormal(seed=next(self._seeds))

    def dense(self, units: int, activation: str | None = None) -> keras.layers.Layer:
        """A dense layer."""
        return keras.layers.Dense(units, activation=activation, kernel_initializer=self._kernel())

    def square(self, filters: int, side: int, activation: str | None = "relu") -> keras.layers.Layer:
        """Filters that move over a plane and keep its size."""
        kernel = self._kernel()
        return keras.layers.Conv2D(filters, side, padding="same", activation=activation, kernel_initializer=kernel)

    def line(self, filters: int, length: int) -> keras.layers.Layer:
        """Filters that move along the first axis and span the second."""
        return keras.layers.Conv1D(filters, length, activation="relu", kernel_initializer=self._kernel())

    def embedding(self) -> keras.layers.Layer:
        """A vector per word."""
        first = keras.initializers.RandomUniform(-0.5, 0.5, seed=next(self._seeds))
        return keras.layers.Embedding(len(VOCABULARY), EMBEDDED, embeddings_initializer=first)


def capture_problems(rng: np.random.Generator, count: int) -> Batch:
    """Boards as planes, and the number of the point that captures."""
    found = [go_boards.problem(rng, SIDE) for _ in range(count)]
    moves = np.array([row * SIDE + column for _, (row, column) in found], np.int64)
    return Batch(np.stack([go_boards.planes(board) for board, _ in found]), moves)


def spoken(rng: np.random.Generator, rows: int, shifts: tuple[int, int], words: Doubles) -> Batch:
    """Spectrograms `(rows, bins, frames)` of words said by voices whose whole pattern is shifted up in frequency.

    Args:
        rng: of words, voices, loudness and noise.
        rows: how many.
        shifts: lowest and highest shift in bins.
        words: their formants' bins by word, formant and frame.
    """
    y = rng.integers(len(words), size=rows)
    centre = words[y] + rng.integers(shifts[0], shifts[1] + 1, size=rows)[:, None, None]
    away = np.arange(BINS)[:, None] - centre[:, :, None]
    loud = rng.uniform(0.7, 1.3, (rows, 1, 1))
    energy = loud * np.exp(-np.square(away) / 2).sum(axis=1) + NOISE * rng.standard_normal((rows, BINS, FRAMES))
    return Batch(energy.astype(np.float32), y)


def formants(rng: np.random.Generator) -> Doubles:
    """Two gliding formants per word, in bins of a voice without shift, `(words, 2, frames)`."""
    ends = rng.uniform([[4], [13]], [[11], [22]], (WORDS, 2, 2))
    glide = np.linspace(0, 1, FRAMES)
    return np.asarray(ends[..., :1] * (1 - glide) + ends[..., 1:] * glide)


def sentences(rng: np.random.Generator, rows: int, places: tuple[int, int]) -> Batch:
    """Word numbers `(rows, words)`, and whether what is said of the film is kind.

    Every sentence holds one judging word, between the given places, and one "not", in half of them right before it
    and turning it round, in the others elsewhere. So the words alone, without their order, say nothing.
    """
    x = rng.integers(len(FILLERS), size=(rows, LENGTH))
    good, negated = rng.random((2, rows)) < 0.5
    place = rng.integers(max(1, places[0]), places[1] + 1, size=rows)
    word = len(FILLERS) + 1 + rng.integers(len(GOOD), size=rows) + np.where(good, 0, len(GOOD))
    index = np.arange(rows)
    elsewhere = (place + rng.integers(1, LENGTH - 1, size=rows)) % LENGTH
    x[index, np.where(negated, place - 1, elsewhere)] = len(FILLERS)
    x[index, place] = word
    return Batch(x.astype(np.float32), (good != negated).astype(np.int64))


def board_networks(filters: int, seed: int) -> dict[str, keras.Sequential]:
    """An answer per point from filters alone, the same with its plane pooled after the first layer, and a dense one."""

    def sliding(*between: keras.layers.Layer, after: tuple[keras.layers.Layer, ...] = ()) -> keras.Sequential:
        new = Seeded(seed)
        first, second, third = (new.square(filters, 3) for _ in range(3))
        return keras.Sequential(
            [*_board(), first, *between, second, third, *after, new.square(1, 1, None), keras.layers.Flatten()]
        )

    new = Seeded(seed)
    hidden = [new.dense(128, "relu"), new.dense(128, "relu")]
    return {
        "convolution": sliding(),
        "pooled": sliding(keras.layers.MaxPooling2D(3), after=(keras.layers.UpSampling2D(3),)),
        "dense": keras.Sequential([*_board(), keras.layers.Flatten(), *hidden, new.dense(SIDE * SIDE)]),
    }


def _board() -> list[Any]:
    return [keras.Input((SIDE, SIDE, 3))]


def voice_networks(filters: int, seed: int) -> dict[str, keras.Sequential]:
    """Filters that span all frames and move along frequency, those that span all bins and move along time, neither."""

    def with_head(make: Callable[[Seeded], list[Any]]) -> keras.Sequential:
        new = Seeded(seed)
        return keras.Sequential([keras.Input((BINS, FRAMES)), *make(new), new.dense(WORDS)])

    pool, turn = keras.layers.GlobalMaxPooling1D, keras.layers.Permute
    return {
        "frequency": with_head(lambda new: [new.line(filters, 9), pool()]),
        "time": with_head(lambda new: [turn((2, 1)), new.line(filters, 5), pool()]),
        "dense": with_head(lambda new: [keras.layers.Flatten(), new.dense(filters, "relu")]),
    }


def sentence_networks(filters: int, seed: int) -> dict[str, keras.Sequential]:
    """Filters over two words in a row, those over two numbers in a row of all vectors, and words out of order."""

    def with_head(make: Callable[[Seeded], list[Any]]) -> keras.Sequential:
        new = Seeded(seed)
        return keras.Sequential([keras.Input((LENGTH,)), new.embedding(), *make(new), new.dense(2)])

    pool, turn = keras.layers.GlobalMaxPooling1D, keras.layers.Permute
    return {
        "time": with_head(lambda new: [new.line(filters, 2), pool()]),
        "embedding": with_head(lambda new: [turn((2, 1)), new.line(filters, 2), pool()]),
        "bag": with_head(lambda new: [keras.layers.GlobalAveragePooling1D(), new.dense(filters, "relu")]),
    }


def train(networks: Mapping[str, keras.Sequential], sets: Sets, epochs: int, rate: float) -> dict[str, float]:
    """Train each network on `sets["train"]`, a fifth of which chooses the epoch, and ask it all other sets.

    Returns:
        Accuracy by `network/set`, and `network/parameters`.
    """
    rows = sets["train"]
    kept = len(rows) - len(rows) // 5
    learn, held_out = rows.take(np.arange(kept)), rows.take(np.arange(kept, len(rows)))
    plan = Plan(epochs=epochs, batch_size=BATCH, learning_rate=rate)
    numbers = {}
    for name, network in networks.items():
        compile_network(network, plan, len(learn), network.output_shape[-1])
        fit(network, network, learn, on_rows(network, held_out), plan)
        for part, batch in sets.items():
            numbers[f"{name}/{part}"] = on_rows(network, batch)()["accuracy"]
        numbers[f"{name}/parameters"] = float(network.count_params())
    return numbers


def run(given: Given, sizes: Sizes, seed: int) -> Result:
    """Three kinds of input, three networks each."""
    rng = np.random.default_rng([seed, 1])
    boards = {part: capture_problems(rng, count) for part, count in _counts(sizes).items()}
    words = formants(rng)
    voices = {"train": spoken(rng, sizes.rows, VOICES["low"], words)}
    voices |= {part: spoken(rng, sizes.rows, shifts, words) for part, shifts in VOICES.items()}
    texts = {"train": sentences(rng, sizes.rows, HALVES["early"])}
    texts |= {part: sentences(rng, sizes.rows, places) for part, places in HALVES.items()}
    players = board_networks(sizes.filters, seed)
    found = {
        "go": train(players, boards, sizes.board_epochs, 0.005),
        "speech": train(voice_networks(sizes.filters, seed), voices, sizes.epochs, 0.01),
        "text": train(sentence_networks(sizes.filters, seed), texts, sizes.epochs, 0.01),
    }
    numbers = {f"{kind}/{key}": value for kind, each in found.items() for key, value in each.items()}
    return Result(
        origin=SYNTHETIC,
        numbers=numbers,
        tables=[_table(numbers)],
        pictures={
            "inputs": Picture(_inputs(boards["test"], players, voices), _INPUTS),
            "accuracies": Picture(_bars(numbers), _BARS),
        },
        takeaway=_TAKEAWAY,
    )


def _counts(sizes: Sizes) -> dict[str, int]:
    return {"train": sizes.boards, "test": sizes.boards // 3}


def _table(numbers: Mapping[str, float]) -> Table:
    rows: list[list[Cell | Text]] = [
        [
            _KINDS[kind],
            says,
            f"{numbers[f'{kind}/{name}/parameters']:.0f}",
            *(f"{numbers[f'{kind}/{name}/{part}']:.1%}" if part else "" for part in _SETS[kind]),
        ]
        for kind, networks in _NETWORKS.items()
        for name, says in networks.items()
    ]
    heads = [
        Text("input", "输入"),
        Text("network", "网络"),
        Text("parameters", "参数"),
        Text("training", "训练"),
        Text("test", "与训练同分布"),
        Text("shifted", "平移之后"),
    ]
    return Table(_TABLE, heads, rows)


def _bars(numbers: Mapping[str, float]) -> Figure:
    figure, axes = canvas(1, 3, 8.8, 2.9)
    chance = {"go": 1 / SIDE**2, "speech": 1 / WORDS, "text": 0.5}
    for axis, (kind, networks) in zip(axes[0], _NETWORKS.items(), strict=True):
        parts = [part for part in _SETS[kind] if part]
        for index, (part, colour) in enumerate(zip(parts, ("#9ca3af", "#1d4ed8", "#b91c1c"), strict=False)):
            heights = [numbers[f"{kind}/{name}/{part}"] for name in networks]
            axis.bar(np.arange(3) + 0.27 * (index - 1), heights, 0.25, color=colour, label=part)
        axis.set_axisbelow(True)
        axis.axhline(chance[kind], color="#1f2937", lw=0.8, ls="--", label="chance")
        axis.set_xticks(range(3), _LABELS[kind], fontsize=8)
        axis.set(ylim=(0, 1.02), title=kind, ylabel="accuracy" if kind == "go" else "")
        axis.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)
    return figure


def _inputs(boards: Batch, players: Mapping[str, keras.Sequential], voices: Mapping[str, Batch]) -> Figure:
    figure, axes = canvas(1, 4, 8.8, 2.6)
    for axis, name in zip(axes[0], ("convolution", "pooled"), strict=False):
        logits = np.asarray(players[name](boards.x[:1])).reshape(SIDE, SIDE)
        share = np.exp(logits - logits.max())
        axis.imshow(share / share.sum(), cmap="Greens", vmin=0, vmax=0.6)
        _stones(axis, boards.x[0], int(boards.y[0]))
        axis.set(title=name, xlim=(-0.6, SIDE - 0.4), ylim=(SIDE - 0.4, -0.6))
    word = int(voices["low"].y[0])
    for axis, name in zip(axes[0, 2:], VOICES, strict=True):
        image = voices[name].x[np.flatnonzero(voices[name].y == word)[0]]
        axis.imshow(image, cmap="gray_r", origin="lower", aspect="auto", vmin=0, vmax=1)
        axis.set(title=f"word {word}, {name} voice", xlabel="frame", ylabel="frequency bin")
        axis.grid(visible=False)
    return figure


def _stones(axis: Any, planes: Floats, answer: int) -> None:
    axis.set(xticks=range(SIDE), yticks=range(SIDE))
    axis.tick_params(labelbottom=False, labelleft=False, length=0)
    for plane, face in ((0, "#1f2937"), (1, "white")):
        rows, columns = np.nonzero(planes[..., plane])
        axis.scatter(columns, rows, s=70, c=face, edgecolors="#1f2937", linewidths=0.8, zorder=3)
    axis.plot(answer % SIDE, answer // SIDE, "x", color="#b91c1c", ms=7, mew=2, zorder=4)


_KINDS = {"go": Text("Go board", "围棋棋盘"), "speech": Text("spectrogram", "声谱图"), "text": Text("sentence", "句子")}
_SETS = {"go": ("train", "test", ""), "speech": ("train", "low", "high"), "text": ("train", "early", "late")}
_NETWORKS = {
    "go": {
        "convolution": Text("convolution, no pooling", "卷积，不池化"),
        "pooled": Text("the same with 3 x 3 max pooling", "同样的卷积，加 3 x 3 最大池化"),
        "dense": Text("dense", "全连接"),
    },
    "speech": {
        "frequency": Text("filters along frequency", "滤波器沿频率移动"),
        "time": Text("filters along time", "滤波器沿时间移动"),
        "dense": Text("dense", "全连接"),
    },
    "text": {
        "time": Text("filters along time", "滤波器沿时间移动"),
        "embedding": Text("filters along the embedding", "滤波器沿词向量维度移动"),
        "bag": Text("bag of words", "词袋"),
    },
}
_LABELS = {
    "go": ("no pooling", "pooled", "dense"),
    "speech": ("along\nfrequency", "along\ntime", "dense"),
    "text": ("along\ntime", "along\nembedding", "bag of\nwords"),
}
_TABLE = Text(
    "Accuracy. Trained on low voices and on sentences with the sentiment word in the first half; “shifted” are high "
    f"voices and sentences with it in the second half. Chance level is {1 / SIDE**2:.1%} for boards, {1 / WORDS:.1%} "
    "for words and 50% for sentences.",
    "正确率。训练用低音和评价词在前半句的样本；“平移之后”指高音和评价词在后半句的样本。"
    f"随机猜的正确率：棋盘 {1 / SIDE**2:.1%}，单词 {1 / WORDS:.1%}，句子 50%。",
)
_INPUTS = Text(
    "Left: a board of the test set; the red cross is the only move that captures white stones, green is the "
    "probability each network assigns to a point, which after pooling is the same for all nine points of a block. "
    "Right: one word from a low and from a high voice, the same pattern at another frequency.",
    "左：测试集中的一个棋盘，红叉是唯一能提掉白子的一手，绿色深浅是网络给每个点的概率，池化之后同一块里的九个点只能得到同一个概率。"
    "右：同一个词的低音和高音，图案相同，只是高度不同。",
)
_BARS = Text(
    "Accuracy on the training examples, on new examples of the same distribution, and on shifted ones.",
    "在训练样本、同分布的新样本和平移之后的样本上的正确率。",
)
_TAKEAWAY = Text(
    "A convolution is appropriate where a small pattern means the same wherever it occurs along an axis: anywhere on "
    "the board, anywhere in frequency, anywhere in time. Move filters only along such an axis, and pool only if the "
    "exact position does not matter, which on a Go board it does.",
    "如果一个小图案沿某条轴出现在哪里都是同样的含义，就适合用卷积：棋盘上任何一处、任何频率、任何时刻。"
    "滤波器只应沿这样的轴移动；只有确切位置无关紧要时才可以池化，而围棋棋盘上位置恰恰要紧。",
)
STUDY = Study(
    title=Text("CNN beyond images: Go, speech, text", "图像之外的 CNN：围棋、语音、文本"),
    question=Text(
        "A CNN rests on three properties of images: patterns are smaller than the image, the same patterns appear in "
        "different places, and subsampling changes nothing. The course asks of three other inputs which of them hold. "
        "On a Go board the first two do and the third does not, so AlphaGo has no pooling. Here a position is drawn "
        "at random under the rules, with exactly one move that captures, namely the last liberty of a group in atari. "
        "A convolutional network has to find it, then the same network with its feature maps pooled and upsampled "
        "again, then a dense one.\n\nIn a spectrogram, filters should move along frequency: high and low voices say "
        "the same word as the same pattern at another frequency, while the temporal structure is left to later "
        "layers. Here words are two gliding formants, and networks are trained on low voices and tested on high "
        "ones.\n\nA sentence is a sequence of word vectors, and filters should move along the words, since "
        "neighbouring entries of a vector are unrelated. Here each sentence contains one sentiment word and one "
        "“not”, which precedes it in half of them and is elsewhere in the others: only word order is informative. "
        "Networks are trained on sentences with the sentiment word in the first half and tested on ones with it in "
        "the second.",
        "CNN 依赖图像的三个性质：图案比整幅图小，同样的图案会出现在不同位置，下采样不改变内容。课程对另外三种输入"
        "逐一追问哪些性质成立。围棋棋盘满足前两个，不满足第三个，所以 AlphaGo 没有池化。这里按规则随机生成局面，"
        "使得恰好只有一手能提子，即下在被打吃的棋块的最后一口气上；先让全卷积网络来找这一手，再把同一网络中间的平面"
        "池化后放大还原，最后换成全连接网络。\n\n"
        "在声谱图上，滤波器应当沿频率移动：高音和低音说同一个词，图案相同，只是高度不同；时间上的变化留给后面的层。"
        "这里每个词是两条滑动的共振峰，网络用低音学习，再听高音。\n\n"
        "句子是一排词向量，滤波器应当沿着词移动，因为同一个词向量里相邻的分量彼此没有关系。这里每句话有一个评价词和一个"
        "“not”，一半句子里它就在评价词前面，另一半里在别处：只有词序能说明问题。网络用评价靠前的句子学习，"
        "再读评价靠后的句子。",
    ),
    formulas=[
        Formula(
            r"a_{f} = \mathrm{ReLU}\left(b + \sum_{\tau=0}^{8} \sum_{t} w_{\tau t}\, x_{f+\tau,\,t}\right)",
            Text("a filter that spans all frames t and moves along frequency f", "跨越所有帧 t、沿频率 f 移动的滤波器"),
        ),
        Formula(
            r"a_{t} = \mathrm{ReLU}\left(b + \sum_{\tau=0}^{1} \sum_{d} w_{\tau d}\, e_{t+\tau,\,d}\right)",
            Text("a filter over two words, all of their embedding's dimensions d", "跨越两个词的全部维度 d 的滤波器"),
        ),
        Formula(
            r"\max_f\, a_{f+s} = \max_f\, a_f",
            Text("why a shift s along that axis leaves the output unchanged", "为什么沿该轴平移 s 不改变结果"),
        ),
    ],
    sizes=Sizes,
    run=run,
)
