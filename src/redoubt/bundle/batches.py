"""The one way in which examples are taken a batch at a time."""


def slices(rows: int, size: int) -> list[slice]:
    """The places of batch after batch, in order; none of no examples.

    Args:
        rows: how many there are, >= 0.
        size: of a batch, >= 1; the last one may be smaller.
    """
    return [slice(start, min(start + size, rows)) for start in range(0, rows, size)]
