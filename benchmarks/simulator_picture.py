"""Draws docs/images/simulator.png: simulated evolutions beside the 75 real ones (from the table in data/README.md)."""

from pathlib import Path

import numpy as np

from redoubt.data.pokemon_go import simulate
from redoubt.data.sources import fetch
from redoubt.params.load import load
from redoubt.report.simulator import figure, slopes


def main() -> None:
    """Draw the picture and print the slopes it shows."""
    params = load()
    real = fetch(params.task("pokemon_cp"), params.seed).table
    simulated = simulate(np.random.default_rng(params.seed), 1200)
    if real is None:
        raise SystemExit("pokemon_cp is a table")
    figure(simulated, real).savefig(Path("docs/images/simulator.png"), dpi=90)
    known = slopes(real)
    for species, slope in slopes(simulated).items():
        print(f"{species:10s} simulated {slope:.3f}  real {known[species]:.3f}")


if __name__ == "__main__":
    main()
