"""One envelope for every error: `{"error": {"code": "...", "message": "one sentence"}}`."""

import json
import logging
from collections.abc import Collection, Mapping
from http import HTTPStatus
from typing import Any

from bentoml.exceptions import BentoMLException
from pydantic import BaseModel
from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LONGEST = 500
# Long enough for a full line to get shorter, short enough not to leave slots empty.
RETRY_AFTER = "5"

# Said by the servers below us as bare words, or as a traceback's first line: these say what to do instead.
SENTENCES = {
    404: "there is nothing at this path; GET /docs lists what there is",
    405: "this path does not take that method; the Allow header names those it takes",
    500: "the service failed on this request; its log says why",
    503: "the service is not ready; its log says why",
    504: "the answer took too long; send fewer inputs",
}


log = logging.getLogger("bentoml.redoubt")


class ErrorDetail(BaseModel):
    """What went wrong.

    Attributes:
        code: the status in words, such as `bad_request`, for programs.
        message: one sentence for people.
    """

    code: str
    message: str


class ErrorBody(BaseModel):
    """The body of every answer with a status of 400 or above."""

    error: ErrorDetail


def envelope(status: int, message: str) -> JSONResponse:
    """An error answer.

    Args:
        status: 400 to 599.
        message: one sentence; white space is folded and an overlong one is cut.
    """
    sentence = " ".join(message.split())
    if len(sentence) > LONGEST:
        sentence = sentence[: LONGEST - 1] + "…"
    body = ErrorBody(error=ErrorDetail(code=HTTPStatus(status).name.lower(), message=sentence))
    return JSONResponse(body.model_dump(), status_code=status)


class Refused(Exception):  # noqa: N818
    """A request that is turned away before any work; an error in nobody's program.

    Attributes:
        answer: what its client is told. It says when to try again if that may help.
        unread: whether some of its body may still come.
        reason: why, in a word, for the metrics and the log.
    """

    def __init__(
        self,
        status: int,
        sentence: str,
        *,
        close: bool = False,
        unread: bool = False,
        retry: bool = True,
        headers: Mapping[str, str] | None = None,
        reason: str = "",
    ) -> None:
        """Turn a request away.

        Args:
            status: 400 to 599.
            sentence: what came, what was expected, what to do.
            close: end the connection, since the rest of what comes cannot be understood.
            unread: some of its body may still come.
            retry: whether a 429 or 503 may pass by itself, so that it says when to try again.
            headers: of the answer.
            reason: why, in a word; by default the status in words.
        """
        super().__init__(sentence)
        self.reason = reason or HTTPStatus(status).name.lower()
        self.unread, self.answer = unread, envelope(status, sentence)
        self.answer.headers.update(headers or {})
        if retry and status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
            self.answer.headers["Retry-After"] = RETRY_AFTER
        if close:
            self.answer.headers["Connection"] = "close"


def is_ours(record: logging.LogRecord) -> bool:
    """Whether a logged exception is the service's fault: a client's mistake has its line in the access log already."""
    error = record.exc_info[1] if record.exc_info else None
    return not (isinstance(error, BentoMLException) and error.error_code < HTTPStatus.INTERNAL_SERVER_ERROR)


class Envelope:
    """ASGI wrapper round the whole service: whoever made an error answer, it leaves in the one envelope."""

    def __init__(self, app: ASGIApp, paths: Collection[str]) -> None:
        """Wrap an application.

        Args:
            app: the service.
            paths: all it serves. Any other is answered here, since BentoML's metrics would keep a series for each.
        """
        self._app = app
        self._paths = frozenset(paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass good answers through; hold back error answers until their body is known."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["path"] not in self._paths:
            await envelope(404, SENTENCES[404])(scope, receive, send)
        else:
            rewriter = _Rewriter(scope, receive, send)
            try:
                await self._app(scope, receive, rewriter)
            except Exception:
                # Else uvicorn would say so in words of its own.
                log.exception("a request to %s failed", scope["path"])
                if not rewriter.begun:
                    await envelope(500, SENTENCES[500])(scope, receive, send)


class _Rewriter:
    """Sends an answer's messages on, an error answer's as an envelope.

    Attributes:
        begun: whether some of it is sent.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._start: Message | None = None
        self._body = bytearray()
        self.begun = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] >= 400:
            self._start = message
        elif self._start is None:
            self.begun = True
            await self._send(message)
        else:
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._finish(self._start)

    async def _finish(self, start: Message) -> None:
        self.begun = True
        answer = envelope(start["status"], _sentence(start["status"], bytes(self._body)))
        for name, value in MutableHeaders(raw=start["headers"]).items():
            if name not in ("content-type", "content-length"):
                answer.headers[name] = value
        await answer(self._scope, self._receive, self._send)


def _sentence(status: int, body: bytes) -> str:
    try:
        said: Any = json.loads(body)
    except ValueError:
        said = {"error": body.decode("utf-8", "replace")}
    # BentoML wraps the message of its own exceptions in an array of one.
    error = (said[0] if isinstance(said, list) else said)["error"]
    if isinstance(error, dict):
        return str(error["message"])
    return SENTENCES.get(status, SENTENCES[500]) if status in SENTENCES or status >= 500 else str(error)
