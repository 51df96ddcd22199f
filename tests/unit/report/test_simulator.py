import io
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from redoubt.data.pokemon_go import simulate
from redoubt.report.simulator import figure, slopes


@pytest.fixture(scope="module")
def real() -> pd.DataFrame:
    folder = os.environ.get("REDOUBT_DATA_MIRROR")
    if not folder:
        pytest.skip("REDOUBT_DATA_MIRROR is not set: it names the directory that holds the 75 real rows")
    return pd.read_csv(Path(folder, "pokemon_cp.csv"))


@pytest.fixture(scope="module")
def simulated() -> pd.DataFrame:
    return simulate(np.random.default_rng(20), 20_000)


@pytest.mark.parametrize("name", ["Pidgey", "Weedle", "Caterpie"])
def test_slope_agrees_with_the_real_rows(name: str, simulated: pd.DataFrame, real: pd.DataFrame) -> None:
    assert slopes(simulated)[name] == pytest.approx(slopes(real)[name], rel=0.01)


def test_real_eevees_lie_within_the_simulated_outcomes(simulated: pd.DataFrame, real: pd.DataFrame) -> None:
    drawn, known = (
        table.loc[table["species"] == "Eevee", "newcp"] / table.loc[table["species"] == "Eevee", "cp"]
        for table in (simulated, real)
    )
    assert drawn.min() <= known.min()
    assert known.max() <= drawn.max()


@pytest.mark.parametrize("column", ["cp", "hp", "weight", "height", "newcp"])
@pytest.mark.parametrize("name", ["Pidgey", "Weedle"])
def test_means_agree_within_their_error(name: str, column: str, simulated: pd.DataFrame, real: pd.DataFrame) -> None:
    drawn, known = (table.loc[table["species"] == name, column] for table in (simulated, real))
    assert abs(drawn.mean() - known.mean()) < 3 * known.std() / np.sqrt(len(known))


def test_figure_has_a_panel_per_species(simulated: pd.DataFrame) -> None:
    chart = figure(simulated[:500], simulated[500:600])
    titles = [axes.get_title() for axes in chart.axes]
    assert [title.split(":")[0] for title in titles] == ["Pidgey", "Weedle", "Caterpie", "Eevee"]
    chart.savefig(io.BytesIO(), format="png")
