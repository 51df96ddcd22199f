"""What `make demo` adds to the service under one origin: gradients, the network without its guard, test images."""

import asyncio
import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import orjson
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from redoubt.bundle.base.types import Floats
from redoubt.bundle.certificates import certified_eps
from redoubt.bundle.model.guarded_model import GuardedModel, softmax
from redoubt.core.errors import RedoubtError
from redoubt.data.arrays import read_npz
from redoubt.quiet import import_tensorflow
from serving.about import of_model
from serving.errors import envelope
from serving.guarded import Asked, Certify, largest_eps

if TYPE_CHECKING:
    from redoubt.evaluation.live import LiveAttacks

PREFIX = "/demo/"
LARGEST_BODY = 8 * 2**20
MOST = 64
Pixels = list[list[Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]]]


class PredictBody(BaseModel):
    """Images for one model, behind its guard or without it."""

    model_config = ConfigDict(extra="forbid")

    model: str
    guard: bool
    inputs: Annotated[list[Pixels], Field(min_length=1, max_length=MOST)]
    certify: Certify = "none"


class AttackBody(BaseModel):
    """An image to be perturbed within L-inf eps, away from a class; `guard`: the attacker differentiates it too."""

    model_config = ConfigDict(extra="forbid")

    model: str
    guard: bool
    attack: Literal["fgsm", "pgd"]
    eps: Annotated[float, Field(ge=0.0, le=1.0)]
    label: Annotated[int, Field(ge=0)]
    input: Pixels


class Alone:
    """The network without its guard, which has one variant; see `certificates.Proves`."""

    def __init__(self, model: GuardedModel) -> None:
        self._model, self.proves = model, model.proves

    def prove(self, x: Floats, eps: float | Floats, _: np.random.Generator) -> Floats:
        """See `GuardedModel.prove`."""
        each = np.broadcast_to(np.asarray(eps), len(x))
        rows = [self._model.prove_network(x[i : i + 1], float(each[i])) for i in range(len(x))]
        return np.concatenate(rows)[:, None]


class Demo:
    """ASGI application before the service: it answers below `/demo/`, and passes everything else on."""

    def __init__(self, service: ASGIApp, folders: Mapping[str, Path], examples: Path) -> None:
        """Stand before the service; TensorFlow is imported beside it, so that the page is there at once.

        Args:
            service: takes all other requests.
            folders: of the bundles that are attacked and asked without a guard, by name.
            examples: `x` uint8 `(examples, height, width)` and `y`, as of `zoo/mnist-examples.npz`.
        """
        stored = read_npz(examples, ("x", "y"))
        self._service = service
        self._models = {name: GuardedModel.load(folder, threads=1) for name, folder in folders.items()}
        self._live = ThreadPoolExecutor(1).submit(_live, dict(folders))
        self._images: NDArray[np.uint8] = stored["x"]
        self.labels = [int(label) for label in stored["y"]]
        self._lock = Lock()
        self._own = Starlette(
            routes=[
                Route(f"{PREFIX}examples", self._examples),
                Route(f"{PREFIX}predict", self._predict, methods=["POST"]),
                Route(f"{PREFIX}attack", self._attack, methods=["POST"]),
            ]
        )

    def told(self) -> dict[str, Any]:
        """What the page is told of the demo: its models, and the labels of the test images."""
        models = [of_model(name, model) for name, model in self._models.items()]
        return {"models": models, "labels": self.labels, "shape": list(self._images.shape[1:])}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        own = scope["type"] == "http" and scope["path"].startswith(PREFIX)
        await (self._own if own else self._service)(scope, receive, send)

    async def _examples(self, _: Request) -> Response:
        return Response(self._images.tobytes(), media_type="application/octet-stream")

    async def _predict(self, request: Request) -> Response:
        return await self._answered(request, PredictBody, self._say)

    async def _attack(self, request: Request) -> Response:
        return await self._answered(request, AttackBody, self._perturb)

    async def _answered(self, request: Request, form: type[Any], answer: Callable[[Any], Any]) -> Response:
        # A page of another origin cannot send this type unasked.
        if request.headers.get("content-type", "").split(";")[0] != "application/json":
            return envelope(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "expected the content type application/json")
        body = await request.body()
        if len(body) > LARGEST_BODY:
            return envelope(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is larger than {LARGEST_BODY} bytes")
        try:
            asked = form.model_validate(json.loads(body))
            if asked.model not in self._models:
                raise ValueError(f"unknown model; expected one of {', '.join(self._models)}")
            said = await asyncio.to_thread(answer, asked)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            return envelope(HTTPStatus.BAD_REQUEST, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
        except (ValueError, RedoubtError) as error:
            return envelope(HTTPStatus.BAD_REQUEST, str(error))
        return Response(orjson.dumps(said, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json")

    def _say(self, asked: PredictBody) -> dict[str, Any]:
        model = self._models[asked.model]
        x = _images(asked.inputs, model)
        if asked.guard:
            eps = largest_eps(model.schema)
            rows = Asked(model, eps, asked.certify).answer(x, model.guard.draw(np.random.default_rng(), len(x)))
            return {"predictions": rows}
        labels, share = model.schema.labels, softmax(model.network(x))
        chosen = share.argmax(axis=1)
        proven: list[Any] = [None] * len(x)
        if asked.certify != "none":
            sizes = certified_eps(Alone(model), x, chosen, 0, largest_eps(model.schema))
            proven = [{"norm": "linf", "eps": size} for size in sizes]
        return {
            "predictions": [
                {"label": labels[place], "probabilities": dict(zip(labels, row, strict=True)), "certified": ball}
                for place, row, ball in zip(chosen, share, proven, strict=True)
            ]
        }

    def _perturb(self, asked: AttackBody) -> dict[str, Any]:
        model = self._models[asked.model]
        x = _images([asked.input], model)
        # One at a time: TensorFlow takes all cores for each.
        with self._lock:
            x_adv = self._live.result().attack(asked.attack, (asked.model, asked.guard), x, asked.label, asked.eps)
        return {"x_adv": x_adv[0, :, :, 0]}


def _live(folders: Mapping[str, Path]) -> "LiveAttacks":
    import_tensorflow()
    from redoubt.evaluation.live import LiveAttacks

    return LiveAttacks(folders)


def _images(inputs: list[Pixels], model: GuardedModel) -> Floats:
    """Grey images `(images, height, width, 1)`.

    Raises:
        ValueError: they are of another size.
    """
    x = np.asarray(inputs, np.float32)[..., None]
    if x.shape[1:] != model.schema.shape:
        raise ValueError(f"the images have shape {x.shape[1:]}; expected {model.schema.shape}")
    return x
