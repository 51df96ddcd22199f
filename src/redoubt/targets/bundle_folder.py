"""A bundle of this project as a target: gradients, bounds and its guard; judged by the exported graph."""

from functools import partial
from pathlib import Path

import numpy as np

from redoubt.attacks.core.problem import of_network
from redoubt.bundle.model.guarded_model import GuardedModel
from redoubt.certify.interval import is_bounded
from redoubt.certify.worst_case import certifier
from redoubt.core.types import PIXELS, Bounds
from redoubt.targets.contract import Opening, Target, check_fits
from redoubt.targets.network_file import of_bundle


def open_bundle(said: str, opening: Opening) -> Target:
    """Open a folder.

    Raises:
        BundleError: it is no whole bundle.
        TargetError: the examples have another shape.
    """
    folder = Path(said)
    guarded, network = GuardedModel.load(folder), of_bundle(folder)
    schema = guarded.schema
    if opening.sample is not None:
        check_fits(said, schema.shape, opening.sample.x.shape[1:])
    return Target(
        said=said,
        kind="bundle",
        predict=guarded.network,
        width=schema.outputs,
        access="gradients and bounds" if is_bounded(network) else "gradients",
        shape=schema.shape,
        labels=schema.labels,
        digest=guarded.digest,
        gradients=of_network(network),
        network=network,
        certifier=partial(certifier, network) if is_bounded(network) else None,
        guarded=guarded,
        schema=schema,
        folder=folder,
        bounds=bounds_of(guarded),
    )


def bounds_of(guarded: GuardedModel) -> Bounds:
    """The guard of a table holds the box and the standard deviations of its training set."""
    guard = guarded.guard
    if guard.kind == "image":
        return PIXELS
    lower, upper, scale = (np.array(side, np.float32) for side in (guard.lower, guard.upper, guard.scale))
    schema = guarded.schema
    ways = {**schema.directions, "integer": schema.integer}
    return Bounds(lower, upper, scale, relations=schema.related, switches=schema.switching, **ways)
