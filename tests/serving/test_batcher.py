"""Requests that wait are run together, in short slices, and none of them suffers from another."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import Message

from redoubt.bundle.base.types import Floats
from serving.admission import Limits
from serving.batcher import PASSES, ROWS, Batcher
from serving.errors import Refused

LIMITS = Limits(waiting=100, backlog=1000.0)
BAD = 13.0


@dataclass(eq=False)
class Double:
    """Answers twice the input, but fails on one number; notes what it was asked together."""

    seconds: float = 0.0
    runs: list[list[float]] = field(default_factory=list)

    def answer(self, x: Floats) -> list[float]:
        self.runs.append(x.tolist())
        time.sleep(self.seconds * len(x))
        if (x == BAD).any():
            raise ZeroDivisionError
        return (2 * x).tolist()


class Client:
    """Who asks, and may leave."""

    def __init__(self, batcher: Batcher, question: Double, x: list[float]) -> None:
        self._left = asyncio.Event()
        self.task = asyncio.ensure_future(batcher.ask(question, np.array(x, dtype=np.float32), self._receive))

    def leave(self) -> None:
        self._left.set()

    async def _receive(self) -> Message:
        await self._left.wait()
        return {"type": "http.disconnect"}


def tried(
    scenario: Callable[[Batcher], Awaitable[None]], limits: Limits = LIMITS, alone: Callable[[], bool] = lambda: False
) -> None:
    """Run a scenario; afterwards nothing may wait."""

    async def run() -> None:
        batcher = Batcher(limits, alone=alone)
        await scenario(batcher)
        for _ in range(5):
            await asyncio.sleep(0)
        assert (batcher.backlog.requests, batcher.backlog.seconds) == (0, 0.0)
        assert not batcher._small

    asyncio.run(run())


def test_what_waits_together_runs_together() -> None:
    async def scenario(batcher: Batcher) -> None:
        question = Double()
        # Else a pause of the machine in the first run would be taken for its price.
        batcher.learn(question, np.zeros(1, dtype=np.float32))
        question.runs.clear()
        clients = [Client(batcher, question, [float(n)]) for n in range(12)]
        assert [await client.task for client in clients] == [[2.0 * n] for n in range(12)]
        assert [len(run) for run in question.runs] == [8, 4]

    tried(scenario)


def test_questions_are_not_mixed() -> None:
    async def scenario(batcher: Batcher) -> None:
        one, other = Double(), Double()
        clients = [Client(batcher, question, [1.0]) for question in (one, other, one, other)]
        await asyncio.gather(*(client.task for client in clients))
        assert one.runs == other.runs == [[1.0, 1.0]]

    tried(scenario)


@settings(max_examples=40, deadline=None)
@given(sizes=st.lists(st.integers(1, 30), min_size=1, max_size=15), bad=st.integers(0, 14))
def test_each_gets_its_own_answers_whoever_comes_beside(sizes: list[int], bad: int) -> None:
    async def scenario(batcher: Batcher) -> None:
        question, inputs = Double(), [[100.0 * n + k for k in range(size)] for n, size in enumerate(sizes, 1)]
        if bad < len(inputs):
            inputs[bad][-1] = BAD
        clients = [Client(batcher, question, x) for x in inputs]
        await asyncio.wait([client.task for client in clients])
        for n, (client, x) in enumerate(zip(clients, inputs, strict=True)):
            if n == bad:
                assert isinstance(client.task.exception(), ZeroDivisionError)
            else:
                assert client.task.result() == [2 * value for value in x]
        assert max(map(len, question.runs)) <= ROWS

    tried(scenario)


def test_a_small_one_does_not_wait_for_a_large_one() -> None:
    async def scenario(batcher: Batcher) -> None:
        question = Double()
        large = [Client(batcher, question, [float(n)] * 200) for n in range(3)]
        while len(question.runs) < 5:
            await asyncio.sleep(0)
        before = len(question.runs)
        small = Client(batcher, question, [99.0])
        assert await small.task == [198.0]
        assert question.runs.index([99.0]) <= before + 1
        await asyncio.gather(*(client.task for client in large))
        assert all(len(set(run)) == 1 for run in question.runs), "slices of large requests are their own"

    tried(scenario)


def test_large_ones_take_turns() -> None:
    async def scenario(batcher: Batcher) -> None:
        question = Double()
        large = [Client(batcher, question, [float(n)] * 40) for n in range(2)]
        await asyncio.gather(*(client.task for client in large))
        assert [run[0] for run in question.runs[:6]] == [0.0, 1.0] * 3

    tried(scenario)


def test_who_leaves_has_the_rest_of_the_work_dropped() -> None:
    async def scenario(batcher: Batcher) -> None:
        question = Double(seconds=0.002)
        leaver, stays = Client(batcher, question, [1.0] * 400), Client(batcher, question, [2.0] * 60)
        await asyncio.sleep(0.1)
        leaver.leave()
        with pytest.raises(Refused, match="closed before the answer"):
            await leaver.task
        await stays.task
        assert sum(len(run) for run in question.runs if run[0] == 1.0) < 200

    tried(scenario)


def test_who_is_cancelled_gives_the_place_back() -> None:
    async def scenario(batcher: Batcher) -> None:
        question = Double()
        clients = [Client(batcher, question, [1.0] * size) for size in (1, 100)]
        await asyncio.sleep(0)
        for client in clients:
            client.task.cancel()
        await asyncio.wait([client.task for client in clients])
        for _ in range(2 * PASSES):
            await asyncio.sleep(0)
        assert sum(map(len, question.runs)) <= ROWS

    tried(scenario)


def test_a_wait_has_its_end() -> None:
    async def scenario(batcher: Batcher) -> None:
        question = Double(seconds=0.05)
        batcher.learn(question, np.zeros(1, dtype=np.float32))
        first, second = Client(batcher, question, [1.0] * 8), Client(batcher, question, [2.0] * 2)
        third = Client(batcher, question, [3.0])
        with pytest.raises(Refused, match=r"its turn did not come in 0.11 s") as caught:
            await third.task
        assert (caught.value.answer.status_code, caught.value.answer.headers["retry-after"]) == (503, "5")
        with pytest.raises(Refused, match="took too long") as caught:
            await first.task
        assert caught.value.answer.status_code == 504
        await asyncio.wait([second.task])

    tried(scenario, replace(LIMITS, patience=0.11, answer=0.15))


def test_work_that_is_long_for_one_input_leaves_the_loop_to_others() -> None:
    async def scenario(batcher: Batcher) -> None:
        question, slowest = Double(seconds=0.4), 0.0
        batcher.learn(question, np.zeros(1, dtype=np.float32))
        client = Client(batcher, question, [1.0, 2.0])
        while not client.task.done():
            began = time.perf_counter()
            await asyncio.sleep(0.001)
            slowest = max(slowest, time.perf_counter() - began)
        assert client.task.result() == [2.0, 4.0]
        assert slowest < 0.3

    tried(scenario)


def test_work_is_let_in_by_its_price() -> None:
    async def scenario(batcher: Batcher) -> None:
        cheap, dear = Double(), Double(seconds=0.02)
        for question in (cheap, dear):
            batcher.learn(question, np.zeros(1, dtype=np.float32))
        clients = [Client(batcher, dear, [1.0] * 20) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Refused, match="s of work are waiting already") as caught:
            await Client(batcher, dear, [1.0] * 20).task
        assert caught.value.answer.status_code == 429
        assert await Client(batcher, cheap, [1.0] * 20).task == [2.0] * 20
        for client in clients:
            client.leave()
        await asyncio.wait([client.task for client in clients])

    tried(scenario, replace(LIMITS, backlog=1.0))


async def never() -> Message:
    raise AssertionError("nobody is waited for")


def test_a_small_one_alone_is_answered_where_it_stands() -> None:
    async def scenario(batcher: Batcher) -> None:
        question = Double()
        batcher.learn(question, np.zeros(1, dtype=np.float32))
        asking = batcher.ask(question, np.array([3.0], dtype=np.float32), never)
        with pytest.raises(StopIteration) as ended:
            asking.send(None)
        assert ended.value.value == [6.0]
        with pytest.raises(ZeroDivisionError):
            await batcher.ask(question, np.array([BAD], dtype=np.float32), never)
        before = batcher._prices[question].alone
        question.seconds = 0.004
        await batcher.ask(question, np.array([3.0], dtype=np.float32), never)
        assert batcher._prices[question].alone > before, "what it took is its price"

    tried(scenario, alone=lambda: True)


def test_one_alone_does_not_overtake_and_does_not_hold_the_loop_up() -> None:
    async def scenario(batcher: Batcher) -> None:
        quick, slow = Double(), Double(seconds=0.03)
        for question in (quick, slow):
            batcher.learn(question, np.zeros(1, dtype=np.float32))
        for question, inputs in ((quick, [1.0] * 100), (slow, [1.0])):
            before = len(question.runs)
            client = Client(batcher, question, inputs)
            await asyncio.sleep(0)
            assert len(question.runs) == before, "it waits for its turn"
            after = Client(batcher, quick, [5.0])
            await asyncio.sleep(0)
            assert [5.0] not in quick.runs, "and so does who comes after it"
            await asyncio.gather(client.task, after.task)
            quick.runs.clear()

    tried(scenario, alone=lambda: True)


def test_what_has_no_price_yet_waits_its_turn() -> None:
    async def scenario(batcher: Batcher) -> None:
        question = Double()
        client = Client(batcher, question, [1.0])
        await asyncio.sleep(0)
        assert not question.runs
        assert await client.task == [2.0]

    tried(scenario, alone=lambda: True)
