"""What is no HTTP at all never reaches an application; what uvicorn says of it leaves in the envelope all the same."""

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from serving.errors import envelope

SENTENCE = "the request is not HTTP: its first line, a header or a length is malformed"


def install() -> None:
    """Take the place of uvicorn's plain-text answer; BentoML lets nobody choose uvicorn's protocol class."""
    H11Protocol.send_400_response = _refuse  # type: ignore[method-assign]


def _refuse(self: H11Protocol, msg: str) -> None:
    answer = envelope(400, SENTENCE)
    events = [
        h11.Response(status_code=400, headers=[*answer.raw_headers, (b"connection", b"close")], reason=b"Bad Request"),
        h11.Data(data=bytes(answer.body)),
        h11.EndOfMessage(),
    ]
    if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
        for event in events:
            self.transport.write(self.conn.send(event) or b"")
    self.transport.close()
