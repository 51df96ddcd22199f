"""What changes cost an attacker, and what he may spend."""

from typing import Annotated

from pydantic import Field

from redoubt.bundle.base.types import Positive
from redoubt.params.settings.base import Strict


class Costs(Strict):
    """An attacker who may change what has a price, as long as an example's changes cost no more than the budget.

    Attributes:
        budget: the most that the changes of one example may cost together, in any currency.
        prices: by feature what its change by one raw unit costs, by mutable category what a switch costs; what has
            none cannot be changed by this attacker.
    """

    budget: Positive
    prices: Annotated[dict[str, Positive], Field(min_length=1)]
