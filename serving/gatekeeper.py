"""What a request must be before anyone parses it: whole, in time, of the right type, not too large, and its turn."""

from collections.abc import Mapping
from email.message import Message as Fields
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.admission import Limits, Line
from serving.errors import Refused
from serving.intake import Memory, Share, discard, read, too_large

UTF8 = {"utf-8", "utf8", "us-ascii", "ascii"}


# A preflight is answered here; other methods by the router.
METHODS = {"POST", "OPTIONS"}


class Gatekeeper:
    """ASGI middleware that lets a POST through once its body is whole and a slot is free."""

    def __init__(self, app: ASGIApp, media_types: Mapping[str, str], limits: Limits) -> None:
        """Guard an application.

        Args:
            app: the service.
            media_types: the one content type that each path takes.
            limits: of one request and of all together.
        """
        self._app, self._media_types, self._limits = app, media_types, limits
        self._line, self._memory = Line(limits), Memory(limits)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a sound request through, its body whole and in memory; answer 4xx or 503 otherwise."""
        if scope["type"] != "http" or scope["path"] not in self._media_types or scope["method"] not in METHODS:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refused = await self._admit(scope, headers, receive, send)
        if refused is None:
            return
        # Who waits for leave to send is not given it, and may go on with the body or with the next request.
        if refused.unread and ("expect" in headers or not await discard(receive, self._limits)):
            refused.answer.headers["Connection"] = "close"
        await refused.answer(scope, receive, send)

    async def _admit(self, scope: Scope, headers: Headers, receive: Receive, send: Send) -> Refused | None:
        try:
            _check_head(scope["method"], headers, self._limits)
            with Share(self._memory) as share:
                body = await read(receive, share, self._limits)
                _check_type(scope["path"], headers, body, self._media_types[scope["path"]])
                async with self._line.slot(receive):
                    await self._app(scope, _replay(body, receive), send)
        except Refused as refused:
            # The traceback would hold the body.
            return refused.with_traceback(None)
        return None


def _check_head(method: str, headers: Headers, limits: Limits) -> None:
    if method == "OPTIONS":
        raise Refused(
            HTTPStatus.METHOD_NOT_ALLOWED,
            "this path takes POST alone, and no calls from pages of another origin; call it from a server, or serve"
            " the page and this service under one origin",
            headers={"Allow": "POST"},
        )
    if sum(len(name) + len(value) for name, value in headers.raw) > limits.header:
        raise Refused(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"the headers are larger than {limits.header} bytes", close=True
        )
    if "transfer-encoding" in headers and "content-length" in headers:
        raise Refused(
            HTTPStatus.BAD_REQUEST,
            "the request has both Content-Length and Transfer-Encoding; expected one of them",
            close=True,
        )
    declared = headers.get("content-length", "")
    if declared.isdecimal() and (len(declared) > 20 or int(declared) > limits.body):
        raise too_large(limits)


def _check_type(path: str, headers: Headers, body: bytes, expected: str) -> None:
    fields = Fields()
    fields["content-type"] = headers.get("content-type", "")
    came, charset = headers.get("content-type", "").split(";")[0].strip().lower(), fields.get_param("charset")
    encoding = headers.get("content-encoding", "identity").strip().lower()
    unsupported = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    if not body:
        raise Refused(HTTPStatus.BAD_REQUEST, f"the body is empty; expected {expected}, see /docs")
    if came != expected:
        raise Refused(unsupported, f"the content type is {came or 'missing'}; {path} takes {expected}")
    if charset is not None and str(charset).lower() not in UTF8:
        raise Refused(unsupported, f"the charset is {str(charset)[:40]}; send UTF-8")
    if encoding not in {"identity", ""}:
        raise Refused(unsupported, f"the content encoding is {encoding[:40]}; send the body uncompressed")


def _replay(body: bytes, receive: Receive) -> Receive:
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay
