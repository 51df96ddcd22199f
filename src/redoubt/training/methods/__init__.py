"""Every training method, by the word for it in a recipe: a new one is a file in this folder and a line here."""

from collections.abc import Mapping
from typing import Any

from redoubt.training.methods import fast, free, ibp, noise, pgd, trades
from redoubt.training.methods.base import Method

METHODS: Mapping[str, Method[Any]] = {
    "pgd": pgd.METHOD,
    "fast": fast.METHOD,
    "free": free.METHOD,
    "trades": trades.METHOD,
    "ibp": ibp.METHOD,
    "gaussian": noise.GAUSSIAN,
    "smoothadv": noise.SMOOTHADV,
}
