"""The BentoML service: `bentoml serve serving.service:Redoubt`."""

import asyncio
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bentoml
from starlette.types import ASGIApp

from serving import cors, instance, logs, port
from serving.about import about
from serving.admin import TOKEN, Admin, token
from serving.admission import Limits
from serving.correlation import Correlation
from serving.errors import Envelope, is_ours
from serving.gatekeeper import Gatekeeper
from serving.operations import Operations
from serving.pages import PAGES, STATIC, pages
from serving.schema import Certify, PredictBody, PredictRequest, UploadRequest
from serving.tracing import traced

if TYPE_CHECKING:
    from serving.desk import Desk
    from serving.runtime import Runtime

port.refuse_taken()
instance.claim()
logs.configure()

MODELS = Path(os.environ.get("REDOUBT_MODELS", Path(__file__).resolve().parent.parent / "models"))
LIMITS = Limits()
SYSTEM = {"/livez", "/readyz", "/healthz", "/metrics", "/schema.json"}


class GuardedService(bentoml.Service[Any]):
    """A BentoML service behind an application that answers predictions by itself.

    Attributes:
        desk: answers them, once there is an instance of the service.
        moves: takes the requests for other champions; None if there is no token for them.
    """

    desk: "Desk"
    moves: Admin | None = None

    def to_asgi(self, is_main: bool = True) -> ASGIApp:
        """Make the application that the server runs."""
        from serving import wire
        from serving.front import Front
        from serving.routes import Routes

        wire.install()
        expected = token(os.environ.get(TOKEN, ""))
        self.moves = Admin(expected) if expected else None
        routes = Routes(lambda: self.desk)
        # Before BentoML's, which forgets options that came by the environment.
        hot = traced(Gatekeeper(routes.find, LIMITS))
        # Every error answer, whoever makes it, leaves in the one envelope.
        enveloped = Envelope(super().to_asgi(is_main), SYSTEM | PAGES | STATIC)
        rest = Operations(enveloped, lambda: self.desk, self.moves)
        front = Front(rest, hot, routes.find, lambda: self.desk)
        return Correlation(cors.open_to(front, os.environ.get(cors.VARIABLE, "")))


def describe(runtime: "Runtime") -> None:
    """Have the pages tell of the champions that are served."""
    champions = runtime.champions.items()
    pages.state.about = about(runtime.champions)
    pages.state.schemas = [champion.schema.model_copy(update={"task": task}) for task, champion in champions]
    pages.state.threats = {task: champion.threat for task, champion in champions if champion.threat}
    pages.state.examples = {task: champion.example for task, champion in champions if champion.example is not None}


@bentoml.service(
    name="redoubt",
    workers=int(os.environ.get("REDOUBT_WORKERS", "1")),
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
        from serving import wire
        from serving.aliases import of_environment
        from serving.desk import Desk
        from serving.kept import Kept
        from serving.moves import Follower
        from serving.watch import Watch, give_back

        logging.getLogger("bentoml._internal.server.http_app").addFilter(is_ours)
        follower = Follower(MODELS, Kept(instance.folder()), of_environment(instance.folder() / "aliases"))
        desk = Desk(follower.runtime, LIMITS, describe, wire.alone)
        self._watch = Watch(desk, follower, MODELS)
        give_back()
        Redoubt.desk = desk  # type: ignore[attr-defined]
        if Redoubt.moves is not None:  # type: ignore[attr-defined]
            Redoubt.moves.watch = self._watch  # type: ignore[attr-defined]

    @property
    def runtime(self) -> "Runtime":
        """What is served now."""
        runtime: Runtime = Redoubt.desk.runtime  # type: ignore[attr-defined]
        return runtime

    @bentoml.on_startup
    async def follow(self) -> None:
        """Follow the models folder from now on."""
        self._following = asyncio.create_task(self._watch.run())

    @bentoml.on_shutdown
    async def stay(self) -> None:
        """Follow it no longer."""
        self._following.cancel()

    def __is_ready__(self) -> bool:
        return self.runtime.ready

    # What BentoML knows of the predictions, and how a service in the same process asks for them; over HTTP the
    # application before this one answers.
    @bentoml.api(input_spec=PredictBody)
    def predict(self, body: bytes) -> dict[str, Any]:
        """Answer images given as nested lists in [0, 1], or records in raw units; all of them or none."""
        return self.runtime.predict(PredictRequest.parse(body)).model_dump(exclude_unset=True)

    @bentoml.api(input_spec=UploadRequest)
    def predict_image(self, image: bytes, task: str, certify: Certify = "budget", eps: str = "") -> dict[str, Any]:
        """Answer one image uploaded as a PNG or JPEG file."""
        request = UploadRequest(image=image, task=task, certify=certify, eps=eps)
        return self.runtime.predict_image(request).model_dump(exclude_unset=True)
