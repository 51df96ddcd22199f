"""Settings that fit some data and not others: refused as soon as the data are known, before anything is trained."""

from redoubt.bundle.schema import Schema
from redoubt.core.errors import RedoubtError
from redoubt.params.settings.base import ThresholdRule

BINARY = 2


class UnfitError(RedoubtError):
    """A setting that the task's data cannot be trained with; the message names it and the fix."""


def check_threshold(rule: ThresholdRule, schema: Schema) -> None:
    """Refuse a rule for two classes where there are more.

    Raises:
        UnfitError: a rule for other than two classes.
    """
    if rule != "none" and schema.outputs != BINARY:
        raise UnfitError(
            f"train.threshold is '{rule}', which decides between two classes; '{schema.target}' has {schema.outputs}: "
            "leave it out, or say `train: {balance: weights}` if a class is rare"
        )


def check_halvings(times: int, schema: Schema) -> None:
    """Refuse networks that leave nothing of an image.

    Args:
        times: how often the deepest network halves it by max pooling.
        schema: of the task.

    Raises:
        UnfitError: more often than its smaller side can be halved.
    """
    if schema.kind != "image":
        return
    height, width = schema.shape[:2]
    most = min(height, width).bit_length() - 1
    if times > most:
        raise UnfitError(
            f"sweep.models or harden: a cnn of {times} filters halves an image {times} times by max pooling, and "
            f"{height} x {width} pixels only {most} times: name at most {most} filters, or say pooling: stride"
        )
