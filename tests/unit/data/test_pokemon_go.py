import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redoubt.data.pokemon_go import COLUMNS, SPECIES, combat_power, hit_points, multiplier, simulate

# Published maxima of September 2016: level 40, every IV 15.
STRONGEST = {"Pidgey": (679, 1223), "Weedle": (449, 485), "Caterpie": (443, 477), "Eevee": (1077, 2816)}


@pytest.mark.parametrize("name", STRONGEST)
def test_strongest_individuals_match_the_published_maxima(name: str) -> None:
    cpm = multiplier(np.array([40.0]))
    before, after = (
        np.array([[s.stamina + 15.0, s.attack + 15.0, s.defense + 15.0]])
        for s in (SPECIES[name].base, SPECIES[name].evolved[0])
    )
    assert (combat_power(before, cpm)[0], combat_power(after, cpm)[0]) == STRONGEST[name]


def test_half_levels_lie_between_their_neighbours_in_the_square() -> None:
    low, half, high = multiplier(np.array([9.0, 9.5, 10.0]))
    assert half**2 == pytest.approx((low**2 + high**2) / 2)


def test_nobody_falls_below_ten() -> None:
    weakest = np.array([[80.0, 68.0, 64.0]])
    assert combat_power(weakest, multiplier(np.array([1.0])))[0] == 10
    assert hit_points(weakest, multiplier(np.array([1.0])))[0] == 10


@given(seed=st.integers(0, 2**31), rows=st.integers(0, 50))
def test_rows_are_plausible_and_repeatable(seed: int, rows: int) -> None:
    table = simulate(np.random.default_rng(seed), rows)
    assert table.columns.tolist() == list(COLUMNS)
    assert len(table) == rows
    assert set(table["species"]) <= set(SPECIES)
    assert (table["newcp"] >= table["cp"]).all()
    assert (table[["weight", "height"]] > 0).all(axis=None)
    assert table["weight"].round(2).equals(table["weight"])
    pd.testing.assert_frame_equal(table, simulate(np.random.default_rng(seed), rows))


def test_species_come_in_the_shares_of_the_real_rows() -> None:
    shares = simulate(np.random.default_rng(1), 30_000)["species"].value_counts(normalize=True)
    for name, species in SPECIES.items():
        assert shares[name] == pytest.approx(species.share, abs=0.01)
