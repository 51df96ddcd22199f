"""What a body must be before anyone parses it: of the right type, not empty, not too large."""

from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.errors import refusal


class Gatekeeper:
    """ASGI middleware that reads the body of a POST up to a limit and refuses what cannot be a request."""

    def __init__(self, app: ASGIApp, media_types: Mapping[str, str], limit: int) -> None:
        """Guard an application.

        Args:
            app: the service.
            media_types: the one content type that each path takes.
            limit: largest body in bytes.
        """
        self._app, self._media_types, self._limit = app, media_types, limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a sound body through, whole and in memory; answer 400, 413 or 415 otherwise."""
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] not in self._media_types:
            await self._app(scope, receive, send)
            return
        headers, expected = Headers(scope=scope), self._media_types[scope["path"]]
        declared = headers.get("content-length", "")
        huge = declared.isdecimal() and int(declared) > self._limit
        body = None if huge else await self._read(receive)
        came = headers.get("content-type", "").split(";")[0].strip().lower()
        if body is None:
            answer = refusal(413, f"the body is larger than {self._limit} bytes; send less per request")
        elif not body:
            answer = refusal(400, f"the body is empty; expected {expected}, see /docs")
        elif came != expected:
            answer = refusal(415, f"the content type is {came or 'missing'}; {scope['path']} takes {expected}")
        else:
            await self._app(scope, _replay(body, receive), send)
            return
        await answer(scope, receive, send)

    async def _read(self, receive: Receive) -> bytes | None:
        body = bytearray()
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            if len(body) > self._limit:
                return None
            more = message.get("more_body", False)
        return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay
