"""A task's line in the table of champions, for the page and for the terminal."""

from pathlib import Path
from typing import Any

from redoubt.data.store import read_json
from redoubt.params import Params


def headline(params: Params, name: str) -> dict[str, Any]:
    """A task's line in the table of champions."""
    reports, task = Path("reports", name), params.task(name)
    promotion = read_json(reports / "promotion.json")
    row: dict[str, Any] = {"task": name, "champion": promotion["champion"]}
    path = Path("models", name, "champion", "card.json")
    if row["champion"] is None or not path.is_file():
        return row
    card = read_json(path)
    norm, eps = promotion["threat"]["norm"], promotion["threat"]["eps"]
    cell = next(each for each in card["numbers"]["cells"] if each["norm"] == norm and each["eps"] == eps)
    clean = card["clean"]["guarded"]
    label = (
        f"accuracy {100 * clean['accuracy']:.1f} %"
        if "accuracy" in clean
        else f"MAE {clean['mae']:.1f}, R² {clean['r2']:.3f}"
    )
    within = "" if task.tolerance is None else f", within ±{task.tolerance:g}"
    return {
        **row,
        "clean": label,
        "threat": f"{'L-inf' if norm == 'linf' else 'L2'} {eps:g}{within}",
        **{column: cell[column] for column in ("undefended", "oblivious", "adaptive")},
        "certified": cell["certified_guarded"],
        "trusted": all(check["passed"] for check in card["numbers"]["lint"][norm]),
    }
