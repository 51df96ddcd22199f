"""The BentoML service: `bentoml serve serving.service:Redoubt`."""

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bentoml
from starlette.types import ASGIApp

from serving import cors, meters, port
from serving.admission import Limits
from serving.correlation import Correlation
from serving.errors import Envelope, is_ours
from serving.gatekeeper import Gatekeeper
from serving.pages import PAGES, STATIC, pages
from serving.schema import Certify, PredictBody, PredictRequest, UploadRequest
from serving.tracing import traced

if TYPE_CHECKING:
    from serving.desk import Desk

port.refuse_taken()

MODELS = Path(os.environ.get("REDOUBT_MODELS", Path(__file__).resolve().parent.parent / "models"))
LIMITS = Limits()
SYSTEM = {"/livez", "/readyz", "/healthz", "/metrics", "/schema.json"}


class GuardedService(bentoml.Service[Any]):
    """A BentoML service behind an application that answers predictions by itself.

    Attributes:
        desk: answers them, once there is an instance of the service.
    """

    desk: "Desk"

    def to_asgi(self, is_main: bool = True) -> ASGIApp:
        """Make the application that the server runs."""
        from serving import wire
        from serving.front import Front
        from serving.routes import Routes

        wire.install()
        routes = Routes(lambda: self.desk)
        # Before BentoML's, which forgets options that came by the environment.
        hot = traced(Gatekeeper(routes.find, LIMITS))
        # Every error answer, whoever makes it, leaves in the one envelope.
        rest = Envelope(super().to_asgi(is_main), SYSTEM | PAGES | STATIC)
        front = Front(rest, hot, routes.find, lambda: self.desk)
        return Correlation(cors.open_to(front, os.environ.get(cors.VARIABLE, "")))


@bentoml.service(
    name="redoubt",
    workers=1,
    threads=2,
    # Of what BentoML answers itself.
    traffic={"timeout": LIMITS.longest},
    service_class=GuardedService,
)
@bentoml.asgi_app(pages)
class Redoubt:
    """Answers for every promoted task with its guarded champion, guard on, and says how suspicious each input is."""

    def __init__(self) -> None:
        # Here, since BentoML's supervisor imports this module too, and needs neither NumPy nor ONNX Runtime.
        from serving import runtime
        from serving.desk import Desk

        logging.getLogger("bentoml._internal.server.http_app").addFilter(is_ours)
        self.runtime = runtime.load(MODELS)
        pages.state.schemas = [
            champion.schema.model_copy(update={"task": task}) for task, champion in self.runtime.champions.items()
        ]
        pages.state.threats = {
            task: champion.threat for task, champion in self.runtime.champions.items() if champion.threat
        }
        pages.state.examples = {
            task: champion.example for task, champion in self.runtime.champions.items() if champion.example is not None
        }
        for task in self.runtime.champions:
            meters.predictions.labels(task)
            meters.flagged.labels(task)
        Redoubt.desk = Desk(self.runtime, LIMITS)  # type: ignore[attr-defined]

    def __is_ready__(self) -> bool:
        return self.runtime.ready

    # What BentoML knows of the predictions, and how a service in the same process asks for them; over HTTP the
    # application before this one answers.
    @bentoml.api(input_spec=PredictBody)
    def predict(self, body: bytes) -> dict[str, Any]:
        """Answer images given as nested lists in [0, 1], or records in raw units; all of them or none."""
        return self.runtime.predict(PredictRequest.parse(body)).model_dump()

    @bentoml.api(input_spec=UploadRequest)
    def predict_image(self, image: bytes, task: str, certify: Certify = "budget") -> dict[str, Any]:
        """Answer one image uploaded as a PNG or JPEG file."""
        return self.runtime.predict_image(UploadRequest(image=image, task=task, certify=certify)).model_dump()
