"""A line in the log for a request: of a flood a few a second, and how many more there were."""

import logging
from time import monotonic

from starlette.types import Scope

from serving.account import Account

# Lines a second. Writing each would take longer than many an answer.
ANSWERED, REFUSED = 10, 20


class AccessLog:
    """Writes the first lines of every second."""

    def __init__(self) -> None:
        """Nothing is written yet."""
        self._log = logging.getLogger("bentoml.access")
        self._second, self._left, self._unwritten = 0, dict[bool, int](), 0

    def write(self, scope: Scope, status: int, account: Account, reason: str = "") -> None:
        """Tell of one request, if there is room in this second.

        Args:
            scope: the request.
            status: of its answer.
            account: what became of it.
            reason: why it was refused; empty if it was not.
        """
        second = int(monotonic())
        if second != self._second:
            if self._unwritten:
                self._log.info(
                    "%d more requests like these", self._unwritten, extra={"fields": {"more": self._unwritten}}
                )
            self._second, self._unwritten = second, 0
            self._left = {True: ANSWERED, False: REFUSED}
        good = status < 400
        if not self._left[good]:
            self._unwritten += 1
            return
        self._left[good] -= 1
        host, port = scope.get("client") or ("_", 0)
        took = round(1000 * account.seconds, 3)
        fields = {
            "request_id": account.id,
            "trace": account.trace,
            "client": host,
            "method": scope["method"],
            "path": scope["path"],
            "status": int(status),
            "ms": took,
            "task": account.task,
            "digest": account.digest,
            "inputs": account.inputs,
            "flagged": account.flagged,
            "reason": reason,
        }
        what = reason or f"{account.task} {account.digest[:12]} inputs={account.inputs} flagged={account.flagged}"
        words = (
            host,
            port,
            scope.get("scheme", "http"),
            scope["method"],
            scope["path"],
            status,
            took,
            what,
            account.id,
        )
        line = "%s:%s (scheme=%s,method=%s,path=%s) (status=%d) %.3fms (%s) id=%s"
        self._log.info(line, *words, extra={"fields": {name: said for name, said in fields.items() if said != ""}})
