"""What seems to hold between the numbers of every row, for the table's owner to take or to leave."""

import itertools
import keyword
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from redoubt.bundle.relations.relation import parse

# Rows that are looked at first, columns at most, and lines that are proposed.
SAMPLE, COLUMNS, LINES = 2_000, 40, 5
FEWEST = 100
# Of the rows that would break `a <= b` if the two had nothing to do with each other; below it says little.
BY_CHANCE = 0.1
# Different values of a column that is said to follow from two others.
VARIED = 10
# Decimals that a column may be rounded to.
DECIMALS = 6

# Of two numbers that are the same but for rounding in the last bits, as a share.
EXACT = 1e-9
# Rows that rule most of them out.
FIRST = 20
# Values of a column that is said to take no others, and the rows that hold each at least, as a share: a value that
# fewer hold may be the end of a tail, and the next one after it a chance of more rows.
VALUES, HELD = 6, 0.05
# Of a column's cells; one that is emptier is not looked at.
EMPTY = 0.2

Doubles = NDArray[np.float64]
SIGNS: dict[str, Callable[[Doubles, Doubles], Doubles]] = {
    "+": np.add,
    "*": np.multiply,
    "/": lambda a, b: np.divide(a, b, out=np.full_like(a, np.inf), where=b != 0),
}


def related(table: pd.DataFrame) -> tuple[str, ...]:
    """Relations that all rows keep and chance would not, the telling ones first, in the language of `relations`.

    Args:
        table: features that are numbers, float64; a row with an empty cell says nothing of its column.
    """
    some = table.sample(min(SAMPLE, len(table)), random_state=0)
    usable = [str(name) for name in table if "`" not in str(name) and some[name].isna().mean() <= EMPTY]
    names = [name for name in usable if some[name].nunique() > 2][:COLUMNS]
    sample = some[names].dropna().to_numpy(np.float64)
    found = [line for line in _listed(some[usable[:COLUMNS]]) if _is_kept(line, table)][:LINES]
    if len(sample) < FEWEST or len(names) < 2:
        return tuple(found)
    known: list[set[str]] = []
    for line in itertools.chain(_computed(table, names, sample), _ordered(names, sample)):
        columns = set(parse(line)[0].columns)
        # An order that follows from a sum or a product is none of its own.
        if not any(columns <= each for each in known) and _is_kept(line, table):
            found.append(line)
            known += [columns] if len(columns) > 2 else []
        if len(found) >= LINES:
            break
    return tuple(found)


def giving_away(table: pd.DataFrame, target: str = "") -> tuple[str, ...]:
    """Relations of `related` by which two features make the target.

    Args:
        table: features that are numbers, and the target.
        target: a column of it; none of classes.
    """
    found = related(table[[target, *(name for name in table if name != target)]]) if target else ()
    made = ((line, parse(line)[0].columns) for line in found)
    return tuple(line for line, columns in made if target in columns and len(columns) > 2)


def _is_kept(line: str, table: pd.DataFrame) -> bool:
    """By every row, as `ingest` would ask."""
    for relation in parse(line):
        rows = table[list(relation.columns)].dropna()
        if not relation.holds({name: rows[name].to_numpy(np.float64) for name in relation.columns}).all():
            return False
    return True


def _listed(some: pd.DataFrame) -> Iterator[str]:
    """Columns of few values, each held by many rows, with room between them that no row uses: 36 and 60 months."""
    for name in some:
        cells = some[name].dropna().to_numpy(np.float64)
        values, counts = np.unique(cells, return_counts=True)
        if len(cells) < FEWEST or not 2 <= len(values) <= VALUES or counts.min() < HELD * len(cells):
            continue
        if np.diff(values).max() > 1.5 * _step(values):
            yield f"{_quoted(str(name))} in [{', '.join(f'{value:.10g}' for value in values)}]"


def _computed(table: pd.DataFrame, names: list[str], sample: Doubles) -> Iterator[str]:
    """Columns that are a sum, a product or a quotient of two others, exactly or up to their own rounding."""
    varied = [place for place in range(len(names)) if len(np.unique(sample[:, place])) >= VARIED]
    results, steps = sample[:, varied], np.array([_step(sample[:, place]) for place in varied])
    for one, two in itertools.combinations(range(len(names)), 2):
        for left, sign, right in ((one, "+", two), (one, "*", two), (one, "/", two), (two, "/", one)):
            values = SIGNS[sign](sample[:, left], sample[:, right])[:, None]
            room = steps / 2 + EXACT * np.abs(values)
            near = np.abs(results[:FIRST] - values[:FIRST]) <= room[:FIRST]
            for found in np.flatnonzero(near.all(axis=0)).tolist():
                result, step = varied[found], steps[found]
                if result in (one, two) or not (np.abs(results[:, [found]] - values) <= room[:, [found]]).all():
                    continue
                how = f"{_quoted(names[left])} {sign} {_quoted(names[right])}"
                exact = f"{_quoted(names[result])} == {how}"
                yield exact if _is_kept(exact, table) else _within(names[result], how, step / 2)


def _within(name: str, how: str, off: float) -> str:
    return f"{how} - {off:g} <= {_quoted(name)} <= {how} + {off:g}"


def _step(values: Doubles) -> float:
    """The last decimal that a column is written with; 0 of one that is not rounded."""
    for decimals in range(DECIMALS + 1):
        if np.allclose(values, np.round(values, decimals), rtol=1e-12, atol=1e-9):
            return float(10.0**-decimals)
    return 0.0


def _ordered(names: list[str], sample: Doubles) -> Iterator[str]:
    """Pairs of which the first is never the larger, though by their ranges it could well be."""
    shuffled = sample[np.random.default_rng(0).permutation(len(sample))]
    order = np.zeros((len(names), len(names)), dtype=bool)
    chance = np.zeros_like(order, dtype=np.float64)
    for place in range(len(names)):
        order[place] = (sample[:, [place]] <= sample).all(axis=0)
        chance[place] = (shuffled[:, [place]] > sample).mean(axis=0)
    np.fill_diagonal(order, val=False)
    order &= ~order.T & (chance >= BY_CHANCE)
    # Of a <= b <= c the outer two are not said.
    implied = (order.astype(int) @ order.astype(int)) > 0
    pairs = np.argwhere(order & ~implied)
    for one, two in sorted(pairs.tolist(), key=lambda pair: -chance[pair[0], pair[1]]):
        yield f"{_quoted(names[one])} <= {_quoted(names[two])}"


def _quoted(name: str) -> str:
    plain = name.isidentifier() and not keyword.iskeyword(name) and name not in ("abs", "min", "max", "sqrt")
    return name if plain else f"`{name}`"
