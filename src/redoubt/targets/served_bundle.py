"""A bundle behind this project's own service as a target: its schema is known, its answers are all that is seen."""

from pathlib import Path

from redoubt.attacks.query import Oracle
from redoubt.bundle.guarded_model import GuardedModel
from redoubt.scenarios.endpoint import Endpoint
from redoubt.targets.bundle_folder import bounds_of
from redoubt.targets.contract import Target, check_fits
from redoubt.types import Batch


def open_served(said: str, folder: Path, sample: Batch | None) -> Target:
    """Open a service of which the bundle that it serves is at hand: records, classes and bounds come from there.

    Args:
        said: the URL.
        folder: of the bundle.
        sample: a few of the examples.

    Raises:
        BundleError: the folder is no whole bundle.
        EndpointError: not a URL.
        TargetError: the examples have another shape.
    """
    guarded = GuardedModel.load(folder)
    schema = guarded.schema
    if sample is not None:
        check_fits(said, schema.shape, sample.x.shape[1:])
    endpoint = Endpoint(said, schema)
    return Target(
        said=said,
        kind="http",
        predict=Oracle(endpoint),
        width=schema.outputs,
        access="scores",
        shape=schema.shape,
        labels=schema.labels,
        schema=schema,
        folder=folder,
        bounds=bounds_of(guarded),
        close=endpoint.__exit__,
    )
