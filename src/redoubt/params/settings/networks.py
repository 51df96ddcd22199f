"""The networks that a sweep or a recipe can name."""

from typing import Annotated, Literal

from pydantic import Field

from redoubt.params.settings.base import Range, Strict, Width

DEEPEST = 16
MOST_RAMPS = 8


class Linear(Strict):
    """Least squares, logistic or softmax regression, by the kind of task."""

    kind: Literal["linear"]


class Mlp(Strict):
    """Fully connected ReLU layers.

    Attributes:
        normalize: batch normalization before each ReLU.
    """

    kind: Literal["mlp"]
    units: Annotated[tuple[Width, ...], Field(min_length=1, max_length=DEEPEST)]
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    normalize: bool = False


class Cnn(Strict):
    """Convolution and pooling stages, then fully connected ReLU layers.

    Attributes:
        normalize: batch normalization before each ReLU.
        contrast: pixels up to the first value are taken for black and from the second on for white, linear in between;
            a perturbation of a pixel that stays on its side changes nothing. Of several such ramps each is a channel.
    """

    kind: Literal["cnn"]
    filters: Annotated[tuple[Width, ...], Field(min_length=1, max_length=DEEPEST)]
    units: Annotated[tuple[Width, ...], Field(max_length=DEEPEST)] = ()
    kernel: Annotated[int, Field(ge=1, le=64)] = 3
    pooling: Literal["max", "stride"] = "max"
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    normalize: bool = False
    contrast: Annotated[tuple[Range, ...], Field(min_length=1, max_length=MOST_RAMPS)] | None = None


ModelParams = Annotated[Linear | Mlp | Cnn, Field(discriminator="kind")]
