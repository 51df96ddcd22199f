"""The ASGI application before BentoML's: it answers the predictions itself and passes everything else on."""

from collections.abc import Callable
from http import HTTPStatus

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.errors import Refused

# A preflight is answered here; other methods by BentoML's router.
METHODS = {"POST", "OPTIONS"}
SATURATED = "the service has had no room for more requests for a while; send them to another instance"


class Front:
    """Sends each request to who answers it."""

    def __init__(self, rest: ASGIApp, hot: ASGIApp, paths: frozenset[str], saturated: Callable[[], bool]) -> None:
        """Stand before an application.

        Args:
            rest: BentoML's.
            hot: takes the requests to `paths`.
            paths: of the predictions.
            saturated: whether this process should get no more requests.
        """
        self._rest, self._hot, self._paths, self._saturated = rest, hot, paths, saturated

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request, or the lifespan, on."""
        path = scope.get("path") if scope["type"] == "http" else None
        if path in self._paths and scope["method"] in METHODS:
            await self._hot(scope, receive, send)
        elif path == "/livez" and scope["method"] == "GET":
            # At once, however much waits: whoever asks this restarts what does not answer.
            await PlainTextResponse("\n")(scope, receive, send)
        elif path == "/readyz" and self._saturated():
            await Refused(HTTPStatus.SERVICE_UNAVAILABLE, SATURATED).answer(scope, receive, send)
        else:
            await self._rest(scope, receive, send)
