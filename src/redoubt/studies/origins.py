"""What the report says of the data behind a study."""

from redoubt.studies.contract import Text
from redoubt.studies.given import Digits, Evolutions, Types

SYNTHETIC = Text("Drawn from a formula that the study states; no data set.", "按本节给出的公式抽样生成，没有用数据集。")


def of_evolutions(given: Evolutions) -> Text:
    """The 75 evolutions, or their stand-in."""
    if given.real:
        return Text(
            "The course's 75 evolutions (OpenIntro, pokemon).", "课程所用的 75 次宝可梦进化（OpenIntro，pokemon）。"
        )
    return Text(
        "Stand-in: 75 evolutions simulated from the game's own formula, species as in the course's table; so these "
        "figures are not expected to match the course's. `make course` uses the real data where it finds them.",
        "替身数据：按游戏公式模拟的 75 次进化，物种数量与课程数据相同，因此不会得到与课程相同的数字。"
        "`make course` 会在能找到真实数据时使用它。",
    )


def of_types(given: Types) -> Text:
    """Base stats by type, or their stand-in."""
    if given.real:
        return Text(
            "The course's Pokémon: 79 Water and 61 Normal below Pokédex number 400 to learn from, 70 above to test on.",
            "课程所用的宝可梦：图鉴编号 400 以下的 79 只水系和 61 只一般系用于训练，400 及以上的 70 只用于测试。",
        )
    return Text(
        "Stand-in: base stats drawn from one Gaussian per type, counts as in the course; `make course` uses the real "
        "table where it finds it.",
        "替身数据：每个属性从一个高斯分布抽样，数量与课程相同；`make course` 会在能找到真实数据时使用它。",
    )


def of_digits(given: Digits, rows: int) -> Text:
    """Handwritten digits, or their stand-in; `rows` to learn from were used."""
    if given.real:
        return Text(f"MNIST, {rows} training images.", f"MNIST，{rows} 张训练图像。")
    return Text(
        f"Stand-in: scikit-learn's 8 x 8 digits, {rows} training images; `make course` uses MNIST where it finds it.",
        f"替身数据：scikit-learn 的 8 x 8 手写数字，{rows} 张训练图像；`make course` 会在能找到 MNIST 时使用它。",
    )
