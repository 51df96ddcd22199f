"""What the application before BentoML's answers by POST, and by which path."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.types import Receive, Scope

from serving.gatekeeper import Answer, Route
from serving.invocations import CSV, Invocations
from serving.oip import Inference

if TYPE_CHECKING:
    from serving.desk import Desk

INFER = re.compile(r"/v2/models/[^/]+(?:/versions/[^/]+)?/infer")


class Routes:
    """The route of each path."""

    def __init__(self, desk: "Callable[[], Desk]") -> None:
        """Lead to a desk, asked for with every request: there is none before the service has started."""

        async def predict(scope: Scope, body: bytes, receive: Receive) -> Answer:
            return await desk().predict(scope, body, receive)

        async def predict_image(scope: Scope, body: bytes, receive: Receive) -> Answer:
            return await desk().predict_image(scope, body, receive)

        self._fixed = {
            route.path: route
            for route in (
                Route("/predict", ("application/json",), predict),
                Route("/predict_image", ("multipart/form-data",), predict_image),
                Route("/invocations", ("application/json", CSV), Invocations(desk)),
            )
        }
        # Triton's own client names no type at all.
        types = ("application/json", "application/octet-stream", "")
        self._infer = Route("/v2/models/MODEL/infer", types, Inference(desk))

    def find(self, path: str) -> Route | None:
        """The route of a path; None if somebody else answers there."""
        return self._fixed.get(path) or (self._infer if INFER.fullmatch(path) else None)
