"""By which a request is found again: its id and its trace, taken from the caller and sent back with every answer."""

import re
import secrets

from starlette.types import ASGIApp, Message, Receive, Scope, Send

ID, TRACE = b"x-request-id", b"traceparent"
# What can stand in a log's line; another id is not taken, but a new one made.
GOOD_ID = re.compile(rb"[A-Za-z0-9._~:/+=@-]{1,128}")
# https://www.w3.org/TR/trace-context: version, trace, parent and flags; of zeros none is valid, nor is version ff.
GOOD_TRACE = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


class Correlation:
    """ASGI wrapper round everything: answers carry `X-Request-ID`, and `traceparent` if the request had one."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, and what it is found by in `scope`: `request_id`, and `traceparent` or an empty one."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        came = dict(scope["headers"])
        request = came.get(ID, b"")
        if not GOOD_ID.fullmatch(request):
            request = secrets.token_hex(16).encode()
        scope["request_id"] = request.decode()
        trace = came.get(TRACE, b"")
        if not GOOD_TRACE.fullmatch(trace):
            trace = b""
        scope["traceparent"] = trace.decode()
        told = [(ID, request), (TRACE, trace)] if trace else [(ID, request)]

        async def pass_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message["headers"])
                names = {name for name, _ in headers}
                # A span of ours has told of itself already.
                message["headers"] = headers + [pair for pair in told if pair[0] not in names]
            await send(message)

        await self._app(scope, receive, pass_on)
