"""Moves that whoever runs the service asks for by HTTP, by a token; where none is set there is nothing there."""

import hmac
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from serving.errors import Refused

if TYPE_CHECKING:
    from serving.runtime import Runtime
    from serving.watch import Watch

log = logging.getLogger("bentoml.redoubt")

TOKEN = "REDOUBT_ADMIN_TOKEN"  # noqa: S105
SHORTEST = 16
RELOAD, ROLLBACK = "/admin/reload", "/admin/rollback"
PATHS = frozenset({RELOAD, ROLLBACK})


def token(value: str) -> str:
    """The token, or nothing where there is none or one that can be guessed, which is logged."""
    if value and len(value) < SHORTEST:
        log.error("%s has %d characters, expected %d: there are no admin endpoints", TOKEN, len(value), SHORTEST)
        return ""
    return value


class Admin:
    """ASGI application for `PATHS`.

    Attributes:
        watch: makes the moves, once there is an instance of the service.
    """

    watch: "Watch"

    def __init__(self, expected: str) -> None:
        """Let in who knows a token."""
        self._expected = expected.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request: 401 without the token, 409 for a move that cannot be made, else what is served now."""
        try:
            answer: Response = await self._answer(Request(scope, receive))
        except Refused as refused:
            answer = refused.answer
        await answer(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        from serving.moves import MoveError

        scheme, _, said = request.headers.get("authorization", "").partition(" ")
        came = said.strip().encode("latin-1", "replace")
        # The scheme's letters may be large or small, as of RFC 9110.
        if not hmac.compare_digest(came, self._expected) or scheme.lower() != "bearer":
            raise Refused(
                HTTPStatus.UNAUTHORIZED,
                f"expected the header Authorization: Bearer TOKEN with the service's {TOKEN}",
                headers={"WWW-Authenticate": "Bearer"},
            )
        if request.method != "POST":
            raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, "this path takes POST alone", headers={"Allow": "POST"})
        if request.url.path == RELOAD:
            runtime = await self.watch.reload()
            if runtime.pending or runtime.problems:
                raise Refused(HTTPStatus.CONFLICT, troubles(runtime))
        else:
            try:
                runtime = await self.watch.roll_back(request.query_params.get("task", ""))
            except MoveError as error:
                raise Refused(HTTPStatus.CONFLICT, str(error)) from None
        return JSONResponse(state(runtime))


def state(runtime: "Runtime") -> dict[str, object]:
    """What is served, as `Served`."""
    from serving.schema import Served

    tasks = {task: champion.model.digest for task, champion in runtime.champions.items()}
    return Served(ready=runtime.ready, tasks=tasks, not_served={**runtime.pending, **runtime.problems}).model_dump()


def troubles(runtime: "Runtime") -> str:
    """Why anything that lies in the folder is not served, in one sentence; empty where all of it is."""
    return "; ".join(f"task '{task}': {why}" for task, why in {**runtime.pending, **runtime.problems}.items())
