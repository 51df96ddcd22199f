"""The ASGI application before BentoML's: it answers the predictions itself and passes everything else on."""

from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.errors import Refused
from serving.gatekeeper import Route
from serving.oip_pages import Pages, plain

if TYPE_CHECKING:
    from serving.desk import Desk

# MLflow's servers are asked at the second one.
READY = {"/readyz", "/ping"}
SATURATED = "the service has had no room for more requests for a while; send them to another instance"


class Front:
    """Sends each request to who answers it."""

    def __init__(
        self, rest: ASGIApp, hot: ASGIApp, find: Callable[[str], Route | None], desk: "Callable[[], Desk]"
    ) -> None:
        """Stand before an application.

        Args:
            rest: BentoML's.
            hot: takes the requests to the paths that have a route.
            find: the route of a path.
            desk: whose models are told of, and whose backlog says whether this process should get no more requests.
        """
        self._rest, self._hot, self._find, self._desk = rest, hot, find, desk
        self._pages = Pages(desk, self._ready)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request, or the lifespan, on."""
        if scope["type"] != "http":
            await self._rest(scope, receive, send)
            return
        path = scope["path"]
        protocol = path == "/v2" or path.startswith("/v2/")
        if protocol:
            send = plain(send)
        if self._find(path) is not None:
            await self._hot(scope, receive, send)
        elif protocol:
            await self._pages(scope, receive, send)
        elif path == "/livez" and scope["method"] == "GET":
            # At once, however much waits: whoever asks this restarts what does not answer.
            await PlainTextResponse("\n")(scope, receive, send)
        elif path in READY:
            await self._ready(scope, receive, send)
        else:
            await self._rest(scope, receive, send)

    async def _ready(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._desk().batcher.backlog.saturated:
            await Refused(HTTPStatus.SERVICE_UNAVAILABLE, SATURATED).answer(scope, receive, send)
        else:
            await self._rest({**scope, "path": "/readyz", "raw_path": b"/readyz"}, receive, send)
