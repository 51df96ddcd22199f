"""What a request must be before anyone parses it: whole, in time, of the right type and not too large."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from email.message import Message as Fields
from email.utils import collapse_rfc2231_value
from http import HTTPStatus
from typing import NamedTuple

from starlette.types import Receive, Scope, Send

from serving.access import AccessLog
from serving.account import current, opened
from serving.admission import Limits
from serving.errors import SENTENCES, Refused
from serving.intake import WHOLE, Memory, Share, discard, read, too_large

NO_PAGES = (
    "this path takes POST alone, and no calls from pages of another origin; call it from a server, serve the page and"
    " this service under one origin, or name the page's origin in REDOUBT_CORS_ORIGINS"
)
UTF8 = {"utf-8", "utf8", "us-ascii", "ascii"}
log = logging.getLogger("bentoml.redoubt")


class Answer(NamedTuple):
    """A good answer: its body, the body's type, and further headers."""

    body: bytes
    media_type: bytes = b"application/json"
    headers: tuple[tuple[bytes, bytes], ...] = ()


Headers = Mapping[bytes, bytes]


@dataclass(frozen=True)
class Route:
    """What answers at a path.

    Attributes:
        path: by which its requests are counted; of several paths their common form.
        media_types: the content types that it takes, the usual one first; an empty one stands for none.
        answer: from the scope, the whole body and what comes after it, the answer; raises Refused.
    """

    path: str
    media_types: tuple[str, ...]
    answer: Callable[[Scope, bytes, Receive], Awaitable[Answer]]


class Gatekeeper:
    """ASGI application that has each POST answered once its body is whole, and every refusal leave in the envelope."""

    def __init__(self, find: Callable[[str], Route | None], limits: Limits) -> None:
        """Guard some routes.

        Args:
            find: the route of a path.
            limits: of one request and of all together.
        """
        self._find, self._limits = find, limits
        self._memory, self._access = Memory(limits), AccessLog()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; 4xx or 5xx says why not."""
        route = self._find(scope["path"])
        if route is None:
            raise LookupError(scope["path"])
        account = opened(scope)
        reason = ""
        try:
            answer = await self._answer(route, scope, receive)
        except Refused as refused:
            # The traceback would hold the body.
            status, reason = await self._refuse(refused.with_traceback(None), scope, receive, send), refused.reason
        except Exception:
            log.exception("a request to %s failed", scope["path"])
            status, reason = await self._refuse(Refused(500, SENTENCES[500]), scope, receive, send), "failure"
        else:
            status = HTTPStatus.OK
            length = (b"content-length", b"%d" % len(answer.body))
            headers = [(b"content-type", answer.media_type), length, *answer.headers]
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": answer.body})
        account.close(route.path, status, reason)
        self._access.write(scope, status, account, reason)

    async def _answer(self, route: Route, scope: Scope, receive: Receive) -> Answer:
        # Of a header that came twice the first counts.
        headers = dict(reversed(scope["headers"]))
        _check_head(scope, headers, self._limits)
        with Share(self._memory) as share:
            body = await read(receive, share, self._limits, WHOLE in scope)
            current().mark("receive")
            _check_type(route, headers, body)
            answered = route.answer(scope, body, receive)
            # Whoever answers lets go of it as soon as it is parsed.
            del body
            return await answered

    async def _refuse(self, refused: Refused, scope: Scope, receive: Receive, send: Send) -> int:
        # Who waits for leave to send is not given it, and may go on with the body or with the next request.
        expects = any(name == b"expect" for name, _ in scope["headers"])
        if refused.unread and (expects or not await discard(receive, self._limits)):
            refused.answer.headers["Connection"] = "close"
        await refused.answer(scope, receive, send)
        return refused.answer.status_code


def _check_head(scope: Scope, headers: Headers, limits: Limits) -> None:
    if scope["method"] != "POST":
        sentence = NO_PAGES if scope["method"] == "OPTIONS" else SENTENCES[405]
        raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, sentence, headers={"Allow": "POST"})
    if sum(len(name) + len(value) for name, value in scope["headers"]) > limits.header:
        raise Refused(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"the headers are larger than {limits.header} bytes", close=True
        )
    if b"host" not in headers and scope["http_version"] == "1.1":
        raise Refused(HTTPStatus.BAD_REQUEST, "the request is not HTTP: it names no host", close=True)
    if b"transfer-encoding" in headers and b"content-length" in headers:
        raise Refused(
            HTTPStatus.BAD_REQUEST,
            "the request has both Content-Length and Transfer-Encoding; expected one of them",
            close=True,
        )
    declared = headers.get(b"content-length", b"")
    if declared.isdigit() and (len(declared) > 20 or int(declared) > limits.body):
        raise too_large(limits)


def _check_type(route: Route, headers: Headers, body: bytes) -> None:
    expected = route.media_types[0]
    said, unsupported = headers.get(b"content-type", b"").decode("latin-1"), HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    came = said.split(";")[0].strip().lower()
    encoding = headers.get(b"content-encoding", b"").decode("latin-1").strip().lower()
    if not body:
        raise Refused(HTTPStatus.BAD_REQUEST, f"the body is empty; expected {expected}, see /docs")
    if came not in route.media_types:
        raise Refused(unsupported, f"the content type is {came or 'missing'}; {route.path} takes {expected}")
    # Read by the rules only if there is one: that takes longer than all else here.
    charset = _charset(said) if "charset" in said.lower() else None
    if charset is not None and charset.lower() not in UTF8:
        raise Refused(unsupported, f"the charset is {charset[:40] or 'empty'}; send UTF-8")
    if encoding not in {"identity", ""}:
        raise Refused(unsupported, f"the content encoding is {encoding[:40]}; send the body uncompressed")


def _charset(content_type: str) -> str | None:
    fields = Fields()
    fields["content-type"] = content_type
    charset = fields.get_param("charset")
    return None if charset is None else collapse_rfc2231_value(charset)
