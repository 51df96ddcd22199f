"""Simulated evolutions beside the real ones: does the simulator tell the truth?"""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from redoubt.data.pokemon_go import SPECIES


def slopes(table: pd.DataFrame) -> dict[str, float]:
    """Least-squares slope of CP after against CP before, with an intercept, per species.

    Args:
        table: columns species, cp, newcp; at least two different cp per species.
    """
    return {str(name): float(np.polyfit(rows["cp"], rows["newcp"], 1)[0]) for name, rows in table.groupby("species")}


def figure(simulated: pd.DataFrame, real: pd.DataFrame) -> Figure:
    """CP after against CP before, a panel per species, simulated rows under real ones.

    Args:
        simulated: columns species, cp, newcp.
        real: likewise.
    """
    drawn, known = slopes(simulated), slopes(real)
    chart = Figure(figsize=(9.0, 7.0), layout="constrained")
    for axes, name in zip(chart.subplots(2, 2).flat, SPECIES, strict=True):
        for table, style in ((simulated, {"s": 8, "color": "#9bb8d3"}), (real, {"s": 22, "color": "#c0262d"})):
            rows = table[table["species"] == name]
            label = f"{'real' if table is real else 'simulated'}, {len(rows)} evolutions"
            axes.scatter(rows["cp"], rows["newcp"], label=label, linewidths=0, **style)
        axes.set_title(_title(name, drawn, known))
        axes.set_xlabel("CP before evolution")
        axes.set_ylabel("CP after evolution")
        axes.legend(frameon=False, loc="upper left")
    return chart


def _title(name: str, drawn: dict[str, float], known: dict[str, float]) -> str:
    if len(SPECIES[name].evolved) > 1:
        return f"{name}: {len(SPECIES[name].evolved)} outcomes at random"
    return f"{name}: slope {drawn[name]:.3f} simulated, {known[name]:.3f} real"
