"""A bundle behind this project's own service as a target: its schema is known, its answers are all that is seen."""

from pathlib import Path

import httpx

from redoubt.attacks.query import Oracle
from redoubt.bundle.model.guarded_model import GuardedModel
from redoubt.http import client
from redoubt.scenarios.endpoint import SECONDS, Endpoint, EndpointError
from redoubt.targets.bundle_folder import bounds_of
from redoubt.targets.contract import Opening, Target, check_fits
from redoubt.targets.pace import paced


def open_served(said: str, folder: Path, opening: Opening) -> Target:
    """Open a service of which the bundle that it serves is at hand: records, classes and bounds come from there.

    Args:
        said: the URL.
        folder: of the bundle.
        opening: see `Opening`.

    Raises:
        BundleError: the folder is no whole bundle.
        EndpointError: not a URL.
        TargetError: the examples have another shape.
    """
    guarded = GuardedModel.load(folder)
    schema = guarded.schema
    if opening.sample is not None:
        check_fits(said, schema.shape, opening.sample.x.shape[1:])
    try:
        http = client(said, base_url=said, timeout=SECONDS, event_hooks=paced(opening.rate))
    except httpx.InvalidURL as error:
        raise EndpointError(f"{said!r} is not a URL ({error}); expected such as http://HOST:3000") from None
    return Target(
        said=said,
        kind="http",
        predict=Oracle(Endpoint(http, schema)),
        width=schema.outputs,
        access="scores",
        shape=schema.shape,
        labels=schema.labels,
        schema=schema,
        folder=folder,
        bounds=bounds_of(guarded),
        close=http.close,
    )
