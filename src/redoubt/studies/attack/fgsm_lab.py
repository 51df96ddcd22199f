"""FGSM at every eps, for the page: the sign of the gradient once, and what the network predicts at each size."""

from collections.abc import Sequence

import keras
import numpy as np

from redoubt.attacks.core.gradient import fgsm
from redoubt.core.types import Batch, Floats
from redoubt.perturbable import grey_levels
from redoubt.studies.attack.attacks_pages import accuracy, problem
from redoubt.studies.contract import Lab, Text

# Sizes that the page's slider takes, in pixel values.
LARGEST, STEPS = 0.5, 50
SHOWN = 6
SIGNS = "-0+"


def lab(network: keras.Model, batch: Batch) -> Lab:
    """Six digits that are classified correctly, each of another class, and the accuracy on all of the batch."""
    threat = problem(network)
    # One step is as long as it is allowed to be: its sign, where pixels stay in their bounds, is that of every size.
    signs = np.sign(fgsm()(threat, batch.x, batch.y, eps=LARGEST, seed=0) - batch.x)
    sizes = [LARGEST * step / STEPS for step in range(STEPS + 1)]
    logits = np.stack([threat.predict(at(batch.x, signs, eps)) for eps in sizes])
    rows = _of_each_class(logits[0].argmax(axis=1), batch.y)
    levels = grey_levels(batch.x)
    return Lab(
        "fgsm",
        {
            "largest": LARGEST,
            "levels": levels,
            "truth": batch.y[rows].tolist(),
            "images": [np.rint(batch.x[row, ..., 0] * levels).astype(int).tolist() for row in rows],
            "signs": ["".join(SIGNS[int(each) + 1] for each in signs[row].ravel()) for row in rows],
            # In thousandths: `[image][eps][digit]`.
            "chances": [np.rint(1000 * _softmax(logits[:, row])).astype(int).tolist() for row in rows],
            "accuracy": [round(accuracy(threat, at(batch.x, signs, eps), batch.y), 4) for eps in sizes],
            "count": len(batch),
        },
        _SAYS,
    )


def at(x: Floats, signs: Floats, eps: float) -> Floats:
    """FGSM's examples of one size.

    Args:
        x: pixels in [0, 1].
        signs: of the step at each pixel: -1, 0 or 1.
        eps: size of the step, in pixel values.
    """
    return np.clip(x + np.float32(eps) * signs, 0, 1).astype(np.float32)


def _of_each_class(predicted: Floats, truth: Floats) -> Sequence[int]:
    """Rows that are predicted correctly, the first of each class, as many as are shown."""
    correct = np.flatnonzero(predicted == truth)
    _, firsts = np.unique(truth[correct], return_index=True)
    return sorted(int(row) for row in correct[firsts])[:SHOWN]


def _softmax(logits: Floats) -> Floats:
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True))


_SAYS = Text(
    "Try it: raise eps. The gradient's sign stays the same; only the size of the step grows.",
    "试一试：增大 eps。梯度的符号不变，变的只是步子的大小。",
)
