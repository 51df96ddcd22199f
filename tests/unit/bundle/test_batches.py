import numpy as np
import pytest

from redoubt.bundle.batches import slices


@pytest.mark.parametrize(("rows", "size", "lengths"), [(0, 4, []), (3, 4, [3]), (4, 4, [4]), (9, 4, [4, 4, 1])])
def test_every_row_is_in_one_batch_in_order(rows: int, size: int, lengths: list[int]) -> None:
    x = np.arange(rows)
    parts = slices(rows, size)
    assert [part.stop - part.start for part in parts] == [len(x[part]) for part in parts] == lengths
    assert [value for part in parts for value in x[part]] == list(range(rows))
