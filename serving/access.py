"""A line in the log for a request, as BentoML's access log has them; of a flood a few, and how many more there were."""

import logging
from time import monotonic

from starlette.types import Scope

# Lines a second. Writing each would take longer than many an answer.
ANSWERED, REFUSED = 10, 20


class AccessLog:
    """Writes the first lines of every second."""

    def __init__(self) -> None:
        """Nothing is written yet."""
        self._log = logging.getLogger("bentoml.access")
        self._second, self._left, self._unwritten = 0, dict[bool, int](), 0

    def write(self, scope: Scope, status: int, seconds: float) -> None:
        """Tell of one request, if there is room in this second."""
        second = int(monotonic())
        if second != self._second:
            if self._unwritten:
                self._log.info("%d more requests like these", self._unwritten)
            self._second, self._unwritten = second, 0
            self._left = {True: ANSWERED, False: REFUSED}
        good = status < 400
        if not self._left[good]:
            self._unwritten += 1
            return
        self._left[good] -= 1
        host, port = scope.get("client") or ("_", 0)
        words = (host, port, scope.get("scheme", "http"), scope["method"], scope["path"], status, 1000 * seconds)
        self._log.info("%s:%s (scheme=%s,method=%s,path=%s) (status=%d) %.3fms", *words)
