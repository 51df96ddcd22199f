"""What the Open Inference Protocol tells of a service and its models, and its errors' own form."""

from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving import signature
from serving.errors import SENTENCES, Refused
from serving.oip import find, model_of

if TYPE_CHECKING:
    from serving.desk import Desk

SERVER = {"name": "redoubt", "version": "1", "extensions": ["binary_tensor_data"]}
PLATFORM = "onnx_onnxv1"


class Pages:
    """ASGI application of all that is asked for by GET under /v2."""

    def __init__(self, desk: "Callable[[], Desk]", ready: ASGIApp) -> None:
        """Tell of the models at a desk.

        Args:
            desk: asked for with every request, since there is none before the service has started.
            ready: answers as /readyz does.
        """
        self._desk, self._ready = desk, ready

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        try:
            answer = Response(orjson.dumps(await self._answer(scope, receive)), media_type="application/json")
        except Refused as refused:
            answer = refused.answer
        await answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> dict[str, Any]:
        steps = scope["path"].split("/")[2:]
        page = self._page(steps)
        if page is None:
            raise Refused(HTTPStatus.NOT_FOUND, SENTENCES[404])
        if scope["method"] not in ("GET", "HEAD"):
            raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, SENTENCES[405], headers={"Allow": "GET"})
        if steps == ["health", "ready"]:
            await self._check_ready(scope, receive)
        return page(*model_of(scope["path"])) if steps[:1] == ["models"] else page()

    def _page(self, steps: list[str]) -> Callable[..., dict[str, Any]] | None:
        match steps:
            case []:
                return lambda: SERVER
            case ["health", "live"]:
                return lambda: {"live": True}
            case ["health", "ready"]:
                return lambda: {"ready": True}
            case ["models", name] | ["models", name, "versions", _] if name:
                return self._metadata
            case ["models", name, "ready"] | ["models", name, "versions", _, "ready"] if name:
                return self._model_ready
        return None

    def _metadata(self, name: str, version: str | None) -> dict[str, Any]:
        champion = find(self._desk(), name, version)
        return {
            "name": name,
            "versions": [champion.model.digest],
            "platform": PLATFORM,
            "inputs": [spec.describe() for spec in signature.inputs(champion.schema)],
            "outputs": [spec.describe() for spec in signature.outputs(champion)],
        }

    def _model_ready(self, name: str, version: str | None) -> dict[str, Any]:
        find(self._desk(), name, version)
        return {"name": name, "ready": True}

    async def _check_ready(self, scope: Scope, receive: Receive) -> None:
        """Ask as GET /readyz asks.

        Raises:
            Refused: it is not.
        """
        said = dict[str, Any]()

        async def note(message: Message) -> None:
            said.update(message)

        await self._ready({**scope, "method": "GET"}, receive, note)
        if said["status"] != HTTPStatus.OK:
            raise Refused(said["status"], orjson.loads(said["body"])["error"]["message"])


def plain(send: Send) -> Send:
    """Send answers on, an error's envelope as the protocol wants it: `{"error": "one sentence"}`."""
    start: Message | None = None

    async def pass_on(message: Message) -> None:
        nonlocal start
        if message["type"] == "http.response.start" and message["status"] >= HTTPStatus.BAD_REQUEST:
            start = message
        elif start is None:
            await send(message)
        else:
            body = orjson.dumps({"error": orjson.loads(message["body"])["error"]["message"]})
            length = (b"content-length", b"%d" % len(body))
            headers = [pair for pair in start["headers"] if pair[0] != length[0]]
            await send({**start, "headers": [*headers, length]})
            await send({**message, "body": body})

    return pass_on
