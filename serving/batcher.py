"""Runs the inputs that wait, together where they can be, in slices so short that the event loop stays quick.

All in the event loop's own thread: a hand-over to another one costs more than most answers, and on busy cores it waits.
Only work that is long even for one input goes to a thread. A small request that comes alone runs without a queue.
"""

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Set
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from time import perf_counter
from typing import Any, Protocol

import numpy as np
from starlette.types import Receive

from redoubt.bundle.base.types import Floats
from serving.account import current
from serving.admission import Backlog, Limits
from serving.errors import Refused
from serving.price import Price

# Below BentoML's logger, whose handlers and format the server sets up.
log = logging.getLogger("bentoml.redoubt")

# Inputs of one run: more are no faster a piece, and hold the loop for longer.
ROWS = 8
# Seconds that one run may hold the loop; what takes twice as long even for one input runs in a thread.
SLICE = 0.012
# For so many seconds after a small request large ones go on by one input at a time, so that they keep half of the time.
CALM = 0.05
# Of a large request's, while no small one came for CALM: longer runs take less time in all, and hold one up at most.
LONG = 0.02
# The price of what has none yet.
FREE = Price(0.0, 0.0)
# Passes of the event loop that a large request lets go by after each slice: a request that has just arrived needs three
# before it can be run, and would otherwise wait for as many slices.
PASSES = 3
# Seconds after which a small request is worth a task that watches whether its client is still there.
WATCH = 0.05


class Question(Protocol):
    """What is asked of some inputs. Equal questions can be answered in one run."""

    def __hash__(self) -> int:
        """Of what makes them equal."""
        ...

    def answer(self, x: Floats) -> list[Any]:
        """The answer to each input `(inputs, ...)`, independent of the others."""
        ...


@dataclass(eq=False, slots=True)
class Job:
    """One request's inputs on their way.

    Attributes:
        question: asked of the inputs.
        x: the inputs.
        cost: seconds that it was let in at.
        large: whether it takes more than one slice.
        done: the answers, or why there are none.
        rows: the answers so far.
        begun: when the first of its inputs was run, by `perf_counter`.
    """

    question: Question
    x: Floats
    cost: float
    large: bool
    done: asyncio.Future[list[Any]]
    rows: list[Any] = field(default_factory=list)
    begun: float = 0.0

    @property
    def left(self) -> int:
        """Inputs without an answer."""
        return len(self.x) - len(self.rows)

    def fail(self, error: BaseException) -> None:
        """End it, unless it has ended."""
        if not self.done.done():
            self.done.set_exception(error)


# A request and how many of its inputs are run now.
Taken = tuple[Job, int]


class Batcher:
    """Answers whatever waits: small requests together and first, large ones a slice at a time in between."""

    def __init__(
        self,
        limits: Limits,
        observe: Callable[[Any, int, float], None] = lambda *_: None,
        alone: Callable[[], bool] = lambda: False,
    ) -> None:
        """Nothing waits.

        Args:
            limits: of what may wait.
            observe: is told the question, the inputs and the seconds of every run.
            alone: whether the request that asks is the only one that this process has begun with, so that there is
                nothing to wait for that could be run together with it.
        """
        self._limits, self._observe, self._is_alone = limits, observe, alone
        self.backlog = Backlog(limits)
        self._prices: dict[Question, Price] = {}
        self._small: OrderedDict[Question, deque[Job]] = OrderedDict()
        self._large: deque[Job] = deque()
        self._scheduled = self._threaded = False
        self._passes, self._small_came = 0, 0.0

    async def ask(self, question: Question, x: Floats, receive: Receive) -> list[Any]:
        """Answer one request's inputs.

        Args:
            question: about them.
            x: the inputs, at least one.
            receive: of a request whose body has been read; what comes now is that its client left.

        Raises:
            Refused: 429, too much waits; 503, its turn did not come in time; 504, the answer took too long; 408, the
                client left.
        """
        if self._is_alone() and self._is_free_for(question, len(x)):
            return self._at_once(question, x)
        job = self._admit(question, x)
        watch = asyncio.get_running_loop().call_later(0 if job.large else WATCH, self._watch, job, receive)
        try:
            rows = await job.done
            account = current()
            account.mark("wait", job.begun)
            account.mark("run")
            return rows
        finally:
            watch.cancel()
            job.done.cancel()
            self.backlog.remove(job.cost)

    def learn(self, question: Question, x: Floats) -> None:
        """Run a question once for practice and once for its price: of one input, and of a whole run if it is short.

        Args:
            question: about the inputs.
            x: one input.
        """
        alone = _second(question, x)
        self._prices[question] = Price(alone, alone)
        if ROWS * alone <= 4 * SLICE:
            several = _second(question, np.repeat(x, ROWS, axis=0))
            self._prices[question].more = max(0.0, several - alone) / (ROWS - 1)

    def suppose(self, question: Question, other: Question, times: int) -> None:
        """Take a question that was never asked to cost so many times what another one does."""
        price = self._prices.get(other, FREE)
        self._prices.setdefault(question, Price(times * price.alone, times * price.more))

    def forget_all_but(self, questions: Set[Question]) -> None:
        """Forget the prices of all other questions, unless somebody waits for their answers."""
        waiting = {*self._small, *(job.question for job in self._large)}
        if not self._threaded:
            self._prices = {each: price for each, price in self._prices.items() if each in questions | waiting}

    def _is_free_for(self, question: Question, inputs: int) -> bool:
        """Whether nothing else waits or is run, and one slice is enough for so many inputs."""
        price = self._prices.get(question)
        is_busy = self._small or self._large or self._threaded
        return not is_busy and price is not None and not _is_large(price, inputs)

    def _at_once(self, question: Question, x: Floats) -> list[Any]:
        account = current()
        account.mark("wait")
        answers, seconds = _attempt(question, x)
        if isinstance(answers, Exception):
            raise answers
        self._learn(question, len(x), seconds)
        account.mark("run")
        return answers

    def _learn(self, question: Question, inputs: int, seconds: float) -> None:
        each = seconds / inputs
        self._prices.setdefault(question, Price(each, each)).learn(inputs, seconds)
        self._observe(question, inputs, seconds)

    def _admit(self, question: Question, x: Floats) -> Job:
        price = self._prices.get(question, FREE)
        rows = price.inputs(SLICE, ROWS)
        cost = price.of(rows) * len(x) / rows
        self.backlog.add(cost)
        large = _is_large(price, len(x))
        job = Job(question, x, cost, large, asyncio.get_running_loop().create_future())
        if large:
            self._large.append(job)
        else:
            self._small.setdefault(question, deque()).append(job)
            self._small_came = perf_counter()
        self._wake()
        return job

    def _rows(self, question: Question, seconds: float = SLICE) -> int:
        """How many inputs make a run of the right length."""
        return self._prices.get(question, FREE).inputs(seconds, ROWS)

    def _wake(self) -> None:
        if not self._scheduled and not self._threaded and (self._small or self._large):
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        """One run, or one pass of waiting; then the event loop has its turn."""
        self._scheduled = False
        if self._small:
            self._run(self._take_small())
        elif self._passes:
            self._passes -= 1
        elif self._large:
            self._run(self._take_large())
            self._passes = PASSES
        self._wake()

    def _take_small(self) -> list[Taken]:
        question, line = next(iter(self._small.items()))
        room, taken = self._rows(question), list[Taken]()
        # The first one in any case: its price may have risen since it was let in.
        while line and (not taken or line[0].left <= room):
            job = line.popleft()
            if not job.done.done():
                taken.append((job, job.left))
                room -= job.left
        if line:
            self._small.move_to_end(question)
        else:
            del self._small[question]
        return taken

    def _take_large(self) -> list[Taken]:
        job = self._large.popleft()
        if job.done.done():
            return []
        calm = perf_counter() - self._small_came > CALM
        rows = min(job.left, self._rows(job.question, LONG) if calm else 1)
        if job.left > rows:
            self._large.append(job)
        return [(job, rows)]

    def _run(self, taken: list[Taken]) -> None:
        if not taken:
            return
        question, now = taken[0][0].question, perf_counter()
        for job, _ in taken:
            job.begun = job.begun or now
        parts = [job.x[len(job.rows) : len(job.rows) + rows] for job, rows in taken]
        x = parts[0] if len(parts) == 1 else np.concatenate(parts)
        if self._prices.get(question, FREE).of(len(x)) > 2 * SLICE:
            self._threaded = True
            thread = asyncio.get_running_loop().run_in_executor(None, _attempt, question, x)
            thread.add_done_callback(partial(self._from_thread, taken))
        else:
            self._deliver(taken, *_attempt(question, x))

    def _from_thread(self, taken: list[Taken], thread: "asyncio.Future[Any]") -> None:
        self._threaded = False
        if not thread.cancelled():
            self._deliver(taken, *thread.result())
        self._wake()

    def _deliver(self, taken: list[Taken], answers: list[Any] | Exception, seconds: float) -> None:
        if isinstance(answers, Exception):
            self._alone(taken, answers)
            return
        self._learn(taken[0][0].question, len(answers), seconds)
        start = 0
        for job, rows in taken:
            job.rows += answers[start : start + rows]
            start += rows
            if not job.left and not job.done.done():
                job.done.set_result(job.rows)

    def _alone(self, taken: list[Taken], error: Exception) -> None:
        """After a run that failed, run each request by itself: it may be another one's fault."""
        if len(taken) == 1:
            taken[0][0].fail(error)
            return
        for each in taken:
            self._run([each])

    def _watch(self, job: Job, receive: Receive) -> None:
        task = asyncio.ensure_future(self._end_in_time(job, receive))
        job.done.add_done_callback(lambda _: task.cancel())

    async def _end_in_time(self, job: Job, receive: Receive) -> None:
        limits = self._limits
        gone = asyncio.ensure_future(_disconnect(receive))
        try:
            await asyncio.wait({gone}, timeout=limits.patience - WATCH)
            if not gone.done() and job.rows:
                await asyncio.wait({gone}, timeout=limits.answer)
            job.fail(_ended(gone.done(), bool(job.rows), limits))
        finally:
            gone.cancel()


def _is_large(price: Price, inputs: int) -> bool:
    return inputs > price.inputs(SLICE, ROWS) or price.alone > SLICE


def _ended(gone: bool, begun: bool, limits: Limits) -> Refused:
    if gone:
        return left()
    if begun:
        return Refused(HTTPStatus.GATEWAY_TIMEOUT, "the answer took too long; send fewer inputs", reason="ran_too_long")
    return Refused(
        HTTPStatus.SERVICE_UNAVAILABLE,
        f"the service is busy: its turn did not come in {limits.patience:g} s;"
        " try again after the seconds in Retry-After",
        reason="waited_too_long",
    )


def _second(question: Question, x: Floats) -> float:
    """Seconds of the second of two runs."""
    question.answer(x)
    began = perf_counter()
    question.answer(x)
    return perf_counter() - began


def _attempt(question: Question, x: Floats) -> tuple[list[Any] | Exception, float]:
    began = perf_counter()
    try:
        return question.answer(x), perf_counter() - began
    except Exception as error:
        log.exception("a run of %d inputs failed", len(x))
        # The traceback would hold the inputs.
        return error.with_traceback(None), 0.0


def left() -> Refused:
    """What the client who left is told, if it still hears."""
    return Refused(HTTPStatus.REQUEST_TIMEOUT, "the connection was closed before the answer", reason="client_left")


async def has_left(receive: Receive) -> bool:
    """Whether the client of a request whose body has been read is gone already."""
    gone = asyncio.ensure_future(_disconnect(receive))
    await asyncio.sleep(0)
    return not gone.cancel()


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
