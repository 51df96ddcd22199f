"""A model behind a URL as a target: every query counted, tried again where that helps, and kept for another run."""

import hashlib
import json
import os
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from redoubt.attacks.query import OracleError
from redoubt.bundle.batches import slices
from redoubt.core.types import Floats
from redoubt.http import client
from redoubt.targets.contract import Opening, Target, TargetError
from redoubt.targets.pace import paced
from redoubt.targets.reading import SAYS, asking, read_answers
from redoubt.targets.wire import Wire, find_wire

# An environment variable with a header, such as `Authorization: Bearer TOKEN`; a value alone is of Authorization.
HEADER = "REDOUBT_AUDIT_HEADER"
ROWS_AT_ONCE, SECONDS = 128, 30.0
TRIES, FIRST_PAUSE, LONGEST_PAUSE = 4, 0.5, 30.0
# Of a service that fails now and then, too; one that always does costs a few seconds.
AGAIN = {429, 500, 502, 503, 504}


class UrlError(OracleError):
    """The service cannot be reached or refuses; what it has answered is kept."""


def open_url(said: str, opening: Opening) -> Target:
    """Open a service.

    Raises:
        UrlError: it cannot be reached, or refuses.
        TargetError: it speaks no protocol that is known, or answers neither scores nor labels.
    """
    try:
        url = httpx.URL(said)
        host = f"{url.scheme}://{url.netloc.decode()}"
        http = client(said, base_url=host, timeout=SECONDS, headers=_header(), event_hooks=paced(opening.rate))
    except httpx.InvalidURL as error:
        raise TargetError(f"'{said}' is not a URL ({error}); expected such as http://HOST:3000") from None
    return of_client(http, said, opening)


def of_client(http: httpx.Client, said: str, opening: Opening) -> Target:
    """A service as a target, by a client whose base URL it is.

    Raises:
        UrlError: it cannot be reached, or refuses.
        TargetError: it speaks no protocol that is known, or answers neither scores nor labels.
    """
    with ExitStack() as closes:
        closes.callback(http.close)
        wire = find_wire(http, httpx.URL(said), opening)
        asked = Questions(http, wire, said, opening.log)
        closes.callback(asked.close)
        reading = read_answers(asked, opening, said)
        # Nothing is closed yet if all went well.
        closes.pop_all()
    notes = [f"asked by the protocol {wire.name}", *([SAYS[reading.form]] if SAYS[reading.form] else [])]
    return Target(
        said=said,
        kind="http",
        predict=asking(asked, reading),
        width=reading.width,
        access="labels" if reading.form == "labels" else "scores",
        labels=opening.labels,
        notes=tuple(notes),
        close=asked.close,
    )


class Questions:
    """Asks a service, and keeps what it answers: an input's first answer, its second one, and so on.

    A run that is repeated asks the same again in the same order, so that it is answered out of the log; a service that
    answers by chance is found out, since the same input is really asked twice.

    Attributes:
        sent: inputs that were sent; those answered out of the log are not among them.
    """

    def __init__(self, http: httpx.Client, wire: Wire, said: str, log: Path | None) -> None:
        """Take up the log of an earlier run against the same service, if there is one."""
        self.sent = 0
        self._times: Counter[str] = Counter()
        self._http, self._wire, self._said, self._path = http, wire, said, log
        self._known: dict[str, Any] = _read_log(log, said) if log is not None else {}
        self._log = None
        if log is not None:
            log.parent.mkdir(parents=True, exist_ok=True)
            self._log = log.open("a", encoding="utf-8")
            if not self._known:
                self._log.write(json.dumps({"service": said}) + "\n")

    def __call__(self, x: Floats) -> Any:
        """Answers, one for each input.

        Raises:
            UrlError: no answer, or a refusal.
        """
        keys = [self._key(row) for row in x]
        new = [place for place, key in enumerate(keys) if key not in self._known]
        for part in slices(len(new), ROWS_AT_ONCE):
            places = new[part]
            answers = self._ask(x[places])
            for place, answer in zip(places, answers, strict=True):
                self._remember(keys[place], answer)
        return np.array([self._known[key] for key in keys])

    def close(self) -> None:
        """Let go of the connection and the log."""
        self._http.close()
        if self._log is not None:
            self._log.close()

    def _key(self, row: Floats) -> str:
        """Of an input, and how often it was asked before."""
        key = hashlib.sha256(np.ascontiguousarray(row).tobytes()).hexdigest()[:32]
        self._times[key] += 1
        return f"{key}-{self._times[key]}"

    def _remember(self, key: str, answer: Any) -> None:
        self._known[key] = answer
        if self._log is not None:
            self._log.write(json.dumps({"key": key, "answer": answer}) + "\n")
            self._log.flush()

    def _ask(self, x: Floats) -> list[Any]:
        answer = self._post(self._wire.body(x))
        self.sent += len(x)
        try:
            found = self._wire.read(answer.json())
            rows: list[Any] = np.asarray(found).tolist()
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise UrlError(
                f"{self._said} answers something else than {self._wire.name} says ({type(error).__name__}: {error}):"
                f" {answer.text[:200]}"
            ) from None
        if not isinstance(rows, list) or len(rows) != len(x):
            raise UrlError(f"{self._said} answers {np.shape(found)} to {len(x)} inputs; expected one answer each")
        return rows

    def _post(self, body: dict[str, Any]) -> httpx.Response:
        why, asked = "", 0.0
        for attempt in range(TRIES):
            if attempt:
                time.sleep(min(max(asked, FIRST_PAUSE * 2.0 ** (attempt - 1)), LONGEST_PAUSE))
            try:
                answer = self._http.post(self._wire.path, json=body)
            except httpx.HTTPError as error:
                why = f"cannot be reached ({type(error).__name__}: {error})"
                continue
            if answer.status_code == httpx.codes.OK:
                return answer
            why = f"refuses with status {answer.status_code}: {answer.text[:200]}"
            if answer.status_code not in AGAIN:
                break
            later = answer.headers.get("retry-after", "")
            asked = float(later) if later.isdecimal() else 0.0
        kept = ""
        if self._path is not None and self._known:
            kept = f"; {len(self._known)} answers are kept in {self._path}: run the same command again to go on"
        raise UrlError(f"{self._said} {why}{kept}")


def _header() -> dict[str, str]:
    value = os.environ.get(HEADER, "")
    name, colon, rest = value.partition(":")
    if not value:
        return {}
    return {name.strip(): rest.strip()} if colon else {"Authorization": value}


def _read_log(path: Path, said: str) -> dict[str, Any]:
    """What was answered before; a line that was cut off is passed over."""
    if not path.is_file():
        return {}
    known: dict[str, Any] = {}
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if entry.get("service", said) != said:
                raise TargetError(f"{path} keeps the answers of {entry['service']}; remove it, or name another --out")
            if "key" in entry:
                known[entry["key"]] = entry["answer"]
    return known
