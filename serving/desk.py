"""From a request's body to its answer's, in the event loop: read, let in, run with whatever else waits, written."""

import asyncio
import gc
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any, TypeVar

from bentoml.exceptions import BentoMLException, InvalidArgument, ServiceUnavailable
from starlette.requests import Request
from starlette.types import Message, Receive, Scope

from redoubt.bundle.base.types import Floats
from serving import meters, strict_json
from serving.account import current
from serving.admission import Limits
from serving.answers import Ask, Champion, check, reply
from serving.batcher import Batcher, has_left, left
from serving.errors import SENTENCES, Refused
from serving.gatekeeper import Answer
from serving.images import is_quick
from serving.openapi import example
from serving.runtime import Runtime
from serving.schema import CERTIFY, PredictRequest, UploadRequest
from serving.shadow import Shadow

# Bodies at once that are read by more than the quick way: a hostile one swells in memory.
READERS = 2
# Large bodies that may wait to be read.
LARGE_WAITING = 64

T = TypeVar("T")


class Desk:
    """Answers the requests of one process.

    Attributes:
        runtime: the champions that answer from now on.
        shadows: challengers, by task.
    """

    def __init__(
        self,
        runtime: Runtime,
        limits: Limits,
        describe: Callable[[Runtime], None] = lambda _: None,
        alone: Callable[[], bool] = lambda: False,
    ) -> None:
        """Learn what each champion's answers cost.

        Args:
            runtime: the champions.
            limits: of what may wait.
            describe: is told of the champions whenever they change.
            alone: as of `Batcher`.
        """
        self._describe = describe
        self.shadows: dict[str, Shadow] = {}
        self.serve(runtime)
        self.batcher = Batcher(limits, self._ran, alone)
        self._large, self._typed = asyncio.Lock(), asyncio.Semaphore(READERS)
        self._reading = 0
        for champion in runtime.champions.values():
            self.learn(champion)
        # What is here now stays: a collection that looks through all of it holds every answer up.
        gc.collect()
        gc.freeze()

    def learn(self, champion: Champion) -> None:
        """Learn what a champion's answers cost."""
        for certify in CERTIFY:
            self.batcher.learn(Ask(champion, certify), champion.read([example(champion.schema)]))

    def serve(self, runtime: Runtime) -> None:
        """Answer whatever is read from now on with other champions."""
        self.runtime = runtime
        self._names = {champion: task for task, champion in runtime.champions.items()}
        self._describe(runtime)

    def tell(self) -> None:
        """Tell the metrics all that they were not told yet."""
        meters.queued(self.batcher.backlog.requests, self.batcher.backlog.seconds)
        meters.tick()

    def tidy(self) -> None:
        """Forget champions that are served no longer and asked nothing any more."""
        self.batcher.forget_all_but(
            {Ask(each, certify) for each in self.runtime.champions.values() for certify in CERTIFY}
        )

    async def predict(self, _: Scope, body: bytes, receive: Receive) -> Answer:
        """Answer JSON; see `schema.PredictRequest`.

        Raises:
            Refused: what came does not fit, or too much waits.
        """
        if len(body) > strict_json.LARGE:
            found = await self._read_large(body, receive)
        else:
            found = await strict_json.read(body, self.runtime.champions)
        if found is None:
            async with self._typed:
                found = _or_raise(await asyncio.to_thread(_attempt, partial(self._read, body)))
        del body
        return await self._reply(*found, receive)

    async def _read_large(self, body: bytes, receive: Receive) -> strict_json.Read | None:
        self._check_reading()
        self._reading += 1
        try:
            # One at a time: their pieces would else hold the loop up as often as there are such bodies.
            async with self._large:
                if await has_left(receive):
                    raise left()
                return await strict_json.read(body, self.runtime.champions)
        finally:
            self._reading -= 1

    def _check_reading(self) -> None:
        if self._reading >= LARGE_WAITING:
            raise Refused(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"{self._reading} large requests are waiting already; send less per request, or try again after the"
                " seconds in Retry-After",
                reason="readers_busy",
            )

    async def read(self, size: int, read: Callable[[], T]) -> T:
        """Read a body of another protocol: a small one at once, a large one in a thread, few of them at a time.

        Args:
            size: of the body, in bytes.
            read: makes what is needed of it; raises BentoMLException.

        Raises:
            Refused: what came does not fit, or too many large ones wait.
        """
        if size <= strict_json.LARGE:
            return _or_raise(_attempt(read))
        self._check_reading()
        self._reading += 1
        try:
            async with self._typed:
                return _or_raise(await asyncio.to_thread(_attempt, read))
        finally:
            self._reading -= 1

    def champion(self, task: str) -> Champion:
        """The champion of a task.

        Raises:
            Refused: 404, there is none; 503, its bundle was refused.
        """
        try:
            return self.runtime.champion(task)
        except InvalidArgument as error:
            raise Refused(HTTPStatus.NOT_FOUND, str(error)) from None
        except BentoMLException as error:
            raise _refused(error) from None

    async def predict_image(self, scope: Scope, body: bytes, receive: Receive) -> Answer:
        """Answer a form with one image; see `schema.UploadRequest`; raises as `predict` does."""
        try:
            request = await UploadRequest.from_http_request(Request(scope, _whole(body)), None)
        except BentoMLException as error:
            raise _refused(error) from None
        del body
        read = partial(self._read_image, request)
        if is_quick(request.image):
            return await self._reply(*_or_raise(_attempt(read)), receive)
        async with self._typed:
            found = _or_raise(await asyncio.to_thread(_attempt, read))
        return await self._reply(*found, receive)

    async def _reply(self, task: str, ask: Ask, x: Floats, receive: Receive) -> Answer:
        return Answer(reply(task, ask, await self.answer(task, ask, x, receive)))

    async def answer(self, task: str, ask: Ask, x: Floats, receive: Receive) -> list[Any]:
        """Have inputs answered with whatever else waits.

        Args:
            task: that the answers are counted for.
            ask: what is asked of its champion.
            x: inputs `(inputs, *schema.shape)`.
            receive: of a request whose body has been read.

        Returns:
            As `Ask.answer`, all of them finite.

        Raises:
            Refused: too much waits, its turn did not come in time, or an input has no finite answer.
        """
        account, model = current(), ask.champion.model
        account.task, account.digest, account.inputs = task, model.digest, len(x)
        account.mark("read")
        if ask.sizes:
            self.batcher.suppose(ask, ask.usual, 1 + len(ask.sizes))
        rows = await self.batcher.ask(ask, x, receive)
        try:
            check(rows)
        except BentoMLException as error:
            raise _refused(error) from None
        if shadow := self.shadows.get(task):
            shadow.offer(ask.champion, x, rows)
        account.flagged = meters.of(task, model.digest).answered(rows, model.threshold, ask.champion.eps)
        return rows

    def _ran(self, ask: Ask, rows: int, took: float) -> None:
        champion = ask.champion
        series = meters.of(self._names.get(champion, champion.schema.task), champion.model.digest)
        series.batch.add(rows)
        series.busy.add(took)

    def _read(self, body: bytes) -> strict_json.Read:
        request = PredictRequest.parse(body)
        return (request.task, *self.runtime.read(request))

    def _read_image(self, request: UploadRequest) -> strict_json.Read:
        return (request.task, *self.runtime.read_image(request))


# Mistakes are returned, not raised: an exception that leaves a worker thread is caught in a reference cycle with all
# that the request held, and hostile requests would fill the memory faster than it is collected.
def _attempt(read: Callable[[], T]) -> T | Refused:
    try:
        return read()
    except BentoMLException as error:
        return _refused(error)


def _or_raise(found: T | Refused) -> T:
    if isinstance(found, Refused):
        raise found
    return found


def _refused(error: BentoMLException) -> Refused:
    if isinstance(error, ServiceUnavailable):
        return Refused(HTTPStatus.SERVICE_UNAVAILABLE, SENTENCES[503], retry=False, reason="not_served")
    return Refused(error.error_code, str(error))


def _whole(body: bytes) -> Receive:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
