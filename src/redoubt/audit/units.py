"""The same examples in other units: what a caller may have done to the inputs of a model, or forgotten to do."""

from collections.abc import Iterator

import numpy as np

from redoubt.core.types import Floats

# Usual ranges of values that all lie in them, the narrowest first: lower end and width.
RANGES = {"0..1": (0, 1), "-1..1": (-1, 2), "0..255": (0, 255)}
# Of ImageNet in red, green and blue, as the models trained on it take them: on 0..1, and in bytes.
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
SPREAD = np.array([0.229, 0.224, 0.225], np.float32)
BYTES = np.array([123.68, 116.779, 103.939], np.float32)


def units(x: Floats) -> Iterator[tuple[str, Floats]]:
    """Every usual unit that the examples may be brought to, in words and as arrays.

    Args:
        x: `(examples, ...)`, as they were given.
    """
    low, high = float(x.min()), float(x.max())
    own = next((name for name, (lower, width) in RANGES.items() if lower <= low and high <= lower + width), None)
    share = None if own is None else (x - np.float32(RANGES[own][0])) / np.float32(RANGES[own][1])
    if share is not None:
        for name, (lower, width) in RANGES.items():
            if name != own:
                yield f"x brought from {own} to {name}", lower + width * share
            yield f"x inverted, in {name}", lower + width * (1 - share)
    if x.ndim == 4 and x.shape[-1] == len(MEAN):
        yield from _of_channels(x, share)
    axes = tuple(range(x.ndim - 1)) if x.ndim > 2 else (0,)
    spread, across = x.std(axis=axes), np.ptp(x, axis=axes)
    yield "(x - mean) / standard deviation", (x - x.mean(axis=axes)) / np.where(spread > 0, spread, 1)
    yield "(x - min) / (max - min)", (x - x.min(axis=axes)) / np.where(across > 0, across, 1)


def _of_channels(x: Floats, share: Floats | None) -> Iterator[tuple[str, Floats]]:
    """Three channels: in the other order, and as models trained on ImageNet take them."""
    yield "channels in the other order", x[..., ::-1]
    if share is not None:
        yield "(x - mean) / standard deviation of ImageNet", (share - MEAN) / SPREAD
        yield "blue, green, red less their means in ImageNet", (np.float32(255) * share - BYTES)[..., ::-1]
