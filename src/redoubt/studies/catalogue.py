"""The studies in the course's order."""

import difflib
import importlib
from collections.abc import Mapping

from redoubt.studies.contract import Study, StudyError, Text

CHAPTERS: Mapping[str, tuple[Text, tuple[str, ...]]] = {
    "regression": (Text("Regression", "回归"), ("polynomial", "species", "regularization")),
    "descent": (
        Text("Gradient descent", "梯度下降"),
        ("learning_rate", "adagrad", "stochastic", "scaling", "taylor"),
    ),
    "error": (
        Text("Where the error comes from", "误差从哪里来"),
        ("estimators", "universes", "cross_validation"),
    ),
    "classification": (
        Text("Classification", "分类"),
        ("classify_by_regression", "generative", "logistic", "discriminative", "softmax", "cascade"),
    ),
    "deep": (Text("Deep learning", "深度学习"), ("backprop", "minibatch", "depth")),
    "convolution": (
        Text("Convolutional networks", "卷积神经网络"),
        ("convolution", "cnn_beyond_images", "what_cnn_learns"),
    ),
    "attack": (Text("Attack and defense", "攻击与防御"), ("attacks", "defenses")),
    "beyond": (Text("Beyond", "更远处"), ("beyond",)),
}
NAMES = tuple(name for _, names in CHAPTERS.values() for name in names)


def chapter_of(name: str) -> str:
    """The chapter that a study belongs to."""
    return next(chapter for chapter, (_, names) in CHAPTERS.items() if name in names)


def check_known(name: str) -> None:
    """Refuse a name that no study has.

    Raises:
        StudyError: the message lists those there are.
    """
    if name not in NAMES:
        near = difflib.get_close_matches(name, NAMES, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise StudyError(f"no study '{name[:80]}'; {hint}there are: {', '.join(NAMES)}")


def find(name: str) -> Study:
    """The study of that name, imported now: some need TensorFlow, which is slow to start.

    Raises:
        StudyError: there is none; the message lists those there are.
    """
    check_known(name)
    study: Study = importlib.import_module(f"redoubt.studies.{chapter_of(name)}.{name}").STUDY
    return study
