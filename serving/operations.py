"""What those who run the service ask of it: whether it is ready and why not, its metrics, and moves."""

from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from serving import admin
from serving.errors import SENTENCES, Refused

if TYPE_CHECKING:
    from serving.desk import Desk


class Operations:
    """ASGI application before another one, whose readiness it tells in detail."""

    def __init__(self, rest: ASGIApp, desk: Callable[[], "Desk"], moves: ASGIApp | None) -> None:
        """Stand before an application.

        Args:
            rest: takes all other requests.
            desk: where the service answers, once there is one.
            moves: takes the requests to `admin.PATHS`; None if nobody may ask for moves.
        """
        self._rest, self._desk, self._moves = rest, desk, moves

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        path = scope.get("path") if scope["type"] == "http" else None
        if path == "/readyz" and scope["method"] == "GET":
            await self._ready(scope, receive, send)
        elif path in admin.PATHS and self._moves is not None:
            await self._moves(scope, receive, send)
        else:
            if path == "/metrics":
                self._desk().tell()
            await self._rest(scope, receive, send)

    async def _ready(self, scope: Scope, receive: Receive, send: Send) -> None:
        runtime = self._desk().runtime
        if runtime.ready:
            await JSONResponse(admin.state(runtime))(scope, receive, send)
            return
        why = admin.troubles(runtime)
        sentence = f"the service is not ready: {why}" if why else SENTENCES[HTTPStatus.SERVICE_UNAVAILABLE]
        await Refused(HTTPStatus.SERVICE_UNAVAILABLE, sentence, retry=False).answer(scope, receive, send)
