"""Draws are made ahead, as they would be made at once, and given out once."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from redoubt.bundle.model.entropy import Entropy
from redoubt.bundle.model.guard_config import Draws, GuardConfig
from serving.runtime import Runtime
from serving.stock import MADE, MOST, Stock
from tests.support.bundles import SCHEMAS


def noises(taken: list[Draws]) -> set[bytes]:
    """The noise of each input: real numbers, of which no two are alike by chance."""
    return {row.tobytes() for draws in taken for row in draws["noise"]}


@pytest.fixture
def guard(loaded: Runtime) -> GuardConfig:
    """A table's."""
    return loaded.champions["evolution"].model.guard


@pytest.mark.parametrize("task", SCHEMAS)
@pytest.mark.parametrize("inputs", [1, 5, MOST, MOST + 1])
def test_they_are_of_the_form_that_the_guard_makes(task: str, inputs: int, loaded: Runtime) -> None:
    guard = loaded.champions[task].model.guard
    expected, stock = guard.draw(Entropy(), inputs), Stock(guard)
    for taken in [stock.take(inputs) for _ in range(3)]:
        assert {name: (each.shape, each.dtype) for name, each in taken.items()} == {
            name: (each.shape, each.dtype) for name, each in expected.items()
        }
        assert all(each.flags.c_contiguous for each in taken.values())


def test_nobody_is_given_what_another_was_given(guard: GuardConfig) -> None:
    stock = Stock(guard)
    sizes = [1, 3, MOST, 2, MOST + 1] * MADE
    with ThreadPoolExecutor(8) as threads:
        taken = list(threads.map(stock.take, sizes))
    assert [len(draws["noise"]) for draws in taken] == sizes
    assert len(noises(taken)) == sum(sizes)


def test_two_stocks_of_one_guard_differ(guard: GuardConfig) -> None:
    first, second = (Stock(guard).take(MOST) for _ in range(2))
    assert noises([first]).isdisjoint(noises([second]))
