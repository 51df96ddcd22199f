"""The BentoML service: `bentoml serve serving.service:Redoubt`."""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bentoml
from bentoml.exceptions import BentoMLException
from prometheus_client import Counter
from starlette.types import ASGIApp

from serving import port
from serving.admission import Limits
from serving.errors import Envelope, is_ours, refusal
from serving.gatekeeper import Gatekeeper
from serving.pages import PAGES, STATIC, pages
from serving.schema import PredictBody, PredictRequest, PredictResponse, UploadRequest

port.refuse_taken()

MODELS = Path(os.environ.get("REDOUBT_MODELS", Path(__file__).resolve().parent.parent / "models"))
LIMITS = Limits()
MEDIA_TYPES = {"/predict": "application/json", "/predict_image": "multipart/form-data"}
SYSTEM = {"/livez", "/readyz", "/healthz", "/metrics", "/schema.json"}

predictions = Counter("redoubt_predictions", "Inputs predicted.", ["task"])
flagged = Counter("redoubt_flagged", "Inputs predicted and flagged as adversarial.", ["task"])


class GuardedService(bentoml.Service[Any]):
    """A BentoML service whose every error answer, whoever makes it, leaves in the one envelope."""

    def to_asgi(self, is_main: bool = True) -> ASGIApp:
        """Make the application that the server runs."""
        from serving import malformed

        malformed.install()
        return Envelope(super().to_asgi(is_main), SYSTEM | set(MEDIA_TYPES) | PAGES | STATIC)


@bentoml.service(
    name="redoubt",
    workers=1,
    threads=2,
    # The gatekeeper admits. BentoML's own limit refuses at once, and takes a slot before the body is there; its timeout
    # is the last resort.
    traffic={"timeout": LIMITS.longest},
    service_class=GuardedService,
)
@bentoml.asgi_app(pages)
class Redoubt:
    """Answers for every promoted task with its guarded champion, guard on, and says how suspicious each input is."""

    def __init__(self) -> None:
        # Here, since BentoML's supervisor imports this module too, and needs neither NumPy nor ONNX Runtime.
        from serving import runtime

        logging.getLogger("bentoml._internal.server.http_app").addFilter(is_ours)
        self.runtime = runtime.load(MODELS)
        pages.state.schemas = [
            champion.schema.model_copy(update={"task": task}) for task, champion in self.runtime.champions.items()
        ]
        pages.state.threats = {
            task: champion.threat for task, champion in self.runtime.champions.items() if champion.threat
        }
        for task in self.runtime.champions:
            predictions.labels(task)
            flagged.labels(task)

    def __is_ready__(self) -> bool:
        return self.runtime.ready

    @bentoml.api(input_spec=PredictBody)
    def predict(self, body: bytes) -> dict[str, Any]:
        """Answer images given as nested lists in [0, 1], or records in raw units; all of them or none."""
        return _answered(lambda: self.runtime.predict(PredictRequest.parse(body)))

    @bentoml.api(input_spec=UploadRequest)
    def predict_image(self, image: bytes, task: str) -> dict[str, Any]:
        """Answer one image uploaded as a PNG or JPEG file."""
        return _answered(lambda: self.runtime.predict_image(UploadRequest(image=image, task=task)))


Redoubt.add_asgi_middleware(Gatekeeper, media_types=MEDIA_TYPES, limits=LIMITS)  # type: ignore[attr-defined]


def _answered(work: Callable[[], PredictResponse]) -> Any:
    # A mistake is answered, not raised: an exception that leaves a worker thread is caught in a reference cycle
    # with all that the request held, and hostile requests would fill the memory faster than it is collected.
    try:
        answer = work()
    except BentoMLException as error:
        return refusal(error.error_code, str(error))
    predictions.labels(answer.task).inc(len(answer.predictions))
    flagged.labels(answer.task).inc(sum(prediction.flagged for prediction in answer.predictions))
    # As a mapping: BentoML's client would decode a PredictResponse by the first of its two forms alone.
    return answer.model_dump()
