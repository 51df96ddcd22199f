"""The price of a run follows what runs take, whether alone or together."""

from hypothesis import given
from hypothesis import strategies as st

from serving.price import Price

seconds, inputs = st.floats(0.0, 10.0), st.integers(1, 8)


@given(seconds, seconds, st.floats(0.0, 1.0))
def test_a_run_of_as_many_inputs_as_it_says_is_in_time(alone: float, more: float, limit: float) -> None:
    price = Price(alone, more)
    count = price.inputs(limit, 8)
    assert 1 <= count <= 8
    assert count == 1 or price.of(count) <= limit * (1 + 1e-9)
    assert count == 8 or price.of(count + 1) >= limit * (1 - 1e-9)


@given(st.floats(0.001, 10.0), st.floats(0.0, 10.0), st.lists(inputs, min_size=1, max_size=8))
def test_what_was_wrong_is_forgotten(alone: float, more: float, sizes: list[int]) -> None:
    price, true = Price(alone, more), Price(0.004, 0.002)
    for _ in range(400):
        for size in {1, 2, *sizes}:
            price.learn(size, true.of(size))
    assert abs(price.alone - true.alone) < 1e-6
    assert abs(price.more - true.more) < 1e-4


def test_runs_that_are_alone_too_dear_grow_again() -> None:
    """Taken at a busy moment: with one price per input such runs would stay of one input for ever."""
    price, true = Price(0.013, 0.013), Price(0.003, 0.002)
    sizes = []
    for _ in range(100):
        sizes.append(price.inputs(0.012, 8))
        price.learn(sizes[-1], true.of(sizes[-1]))
    assert sizes[0] == 1
    assert sizes[-1] >= 5
