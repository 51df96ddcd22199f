"""The decision threshold of two classes: chosen on validation examples, then folded into the network's last bias."""

import math

import keras
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from redoubt.bundle.batches import slices
from redoubt.bundle.schema import Schema
from redoubt.core.types import Batch
from redoubt.data.fits import check_threshold
from redoubt.params.settings.base import ThresholdRule

ROWS_AT_ONCE = 2048


def with_threshold(network: keras.Model, validation: Batch, schema: Schema, rule: ThresholdRule) -> Schema:
    """Move a trained network's last bias so that the larger of two logits answers by the rule.

    The network stays one function from inputs to logits: what is attacked, certified, exported and served needs to know
    nothing of a threshold. By the logits as they were, the second class is the answer above probability t; with
    log((1 - t) / t) added to its lead over the first it is above probability 0.5.

    Args:
        network: of two logits; its last bias is changed in place.
        validation: examples that the threshold is chosen on.
        schema: of the task.
        rule: `balanced` for the best balanced accuracy, `none` to leave the network as it is.

    Returns:
        The schema with the threshold noted, or the same one where there is no rule.
    """
    if rule == "none":
        return schema
    check_threshold(rule, schema)
    parts = slices(len(validation), ROWS_AT_ONCE)
    outputs = np.concatenate([network(validation.x[part], training=False).numpy() for part in parts]).astype(np.float64)
    cut = balanced_cut(outputs[:, 1] - outputs[:, 0], validation.y)
    _move(network, cut)
    return schema.model_copy(update={"threshold": round(float(expit(cut)), 6)})


def balanced_cut(lead: NDArray[np.float64], y: NDArray[np.int64]) -> float:
    """The lead of the second class above which it should be the answer, for the best balanced accuracy.

    Args:
        lead: of the second logit over the first `(examples,)`.
        y: 0 or 1 `(examples,)`.

    Returns:
        Of all cuts that score best the middle of the longest run of leads between them; 0, the network's own, where it
        is among them, or where one of the classes has no example.
    """
    order = np.argsort(lead, kind="stable")
    values, ones = lead[order], y[order] == 1
    if ones.all() or not ones.any():
        return 0.0
    # With the cut behind example k the first k + 1 are answered by the first class.
    found = np.cumsum(~ones) / np.count_nonzero(~ones) + 1.0 - np.cumsum(ones) / np.count_nonzero(ones)
    place = int(np.count_nonzero(values <= 0.0)) - 1
    usable = np.append(values[1:] > values[:-1], False)
    own = found[place] if place >= 0 else 1.0
    best = found[usable].max(initial=own)
    if own >= best - 1e-12:
        return 0.0
    ends = [index for index in np.flatnonzero(usable) if found[index] >= best - 1e-12]
    widest = max(ends, key=lambda index: (values[index + 1] - values[index], -index))
    return float(0.5 * (values[widest] + values[widest + 1]))


def _move(network: keras.Model, cut: float) -> None:
    """Take a cut off the second logit's lead."""
    if not math.isfinite(cut) or cut == 0.0:
        return
    last = next(layer for layer in reversed(network.layers) if getattr(layer, "use_bias", False))
    bias = last.bias.numpy()
    # Logistic regression has one z, which its last layer takes to (-z/2, z/2).
    bias += np.array([-cut] if len(bias) == 1 else [0.5 * cut, -0.5 * cut], bias.dtype)
    last.bias.assign(bias)
