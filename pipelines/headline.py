"""A task's line in the table of champions, for the page and for the terminal."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from redoubt.bundle.base.types import Vote
from redoubt.core.store import read_json
from redoubt.evaluation.guards import GUARDS
from redoubt.params.settings.stages import SectionSettings
from redoubt.perturbable import Immovable

COLUMNS = ("undefended", "oblivious", "adaptive")
# Classes so uneven that accuracy and balanced accuracy part by more tell different stories.
UNEVEN = 0.02
# What a guard that was not chosen would have done.
INSTEAD: dict[Vote, str] = {"all": "its variants voted", "squeezed": "it squeezed", "plain": "it only detected"}


def headline(settings: SectionSettings) -> dict[str, Any]:
    """A task's line in the table of champions, and what must be known to read it."""
    name = settings.name
    reports = Path("reports", name)
    promotion = read_json(reports / "promotion.json")
    row: dict[str, Any] = {"task": name, "champion": promotion["champion"], "notes": []}
    path = Path("models", name, "champion", "card.json")
    if row["champion"] is None or not path.is_file():
        better = [each for each in promotion["candidates"] if promotion["guards"][each["name"]] == each["vote"]]
        refused = [f"{each['name']}: {'; '.join(each['failed'])}" for each in better]
        told = "No model is promoted: none cleared the gates."
        return {**row, "verdict": told, "notes": [*refused, f"what to do: {promotion['next_step']}"]}
    card = read_json(path)
    norm, eps = promotion["threat"]["norm"], promotion["threat"]["eps"]
    cell = next(each for each in card["numbers"]["cells"] if each["norm"] == norm and each["eps"] == eps)
    within = "" if settings.tolerance is None else f", within ±{settings.tolerance:g}"
    served, proven = card["numbers"]["clean_guarded"], cell["certified_guarded"]
    failed = [check for check in card["numbers"]["checks"][norm] if not check["passed"]]
    uneven = _uneven(card["clean"]["guarded"], promotion["baselines"]["constant"]["test"])
    return {
        **row,
        "guard": GUARDS[card["vote"]],
        "verdict": _verdict(card, served, cell, settings.tolerance),
        "served": served,
        "clean": _clean(card["clean"]["guarded"], uneven=uneven),
        "threat": f"{'L-inf' if norm == 'linf' else 'L2'} {eps:g}{within}",
        **{column: cell[column] for column in COLUMNS},
        "certified": proven,
        "certified_network": cell["certified"],
        "trusted": not failed,
        "notes": [
            *(f"not trusted on the test split: {check['name']}: {check['found']}" for check in failed),
            _constant(settings.tolerance, promotion),
            *_other_guards(promotion),
            *_unchangeable(cell),
            *(_balanced(cell, read_json(path.with_name("labels.json"))) if uneven else ()),
        ],
    }


def _verdict(card: dict[str, Any], served: dict[str, Any], cell: dict[str, Any], tolerance: float | None) -> str:
    """What was found of the model that is served, in one sentence."""
    right = "correct" if tolerance is None else f"within ±{tolerance:g}"
    norm, proven = "L-inf" if cell["norm"] == "linf" else "L2", cell["certified_guarded"]
    bound = "nothing is proven" if proven is None else f"{100 * proven['share']:.1f} % are proven to stay so"
    if proven is not None and cell["certified"]["share"] > proven["share"]:
        bound += f" ({100 * cell['certified']['share']:.1f} % of the network without its guard)"
    knows = "know its weights (the guard only detects)," if card["vote"] == "plain" else "know its guard,"
    return (
        f"The {card['model']} model as served is {right} on {100 * served['share']:.1f} % of {served['n']} test "
        "examples; "
        f"{100 * cell['adaptive']['share']:.1f} % withstand every attack that was tried within {norm} {cell['eps']:g}, "
        f"by attackers who {knows} and {bound}."
    )


def _clean(clean: dict[str, float], *, uneven: bool) -> str:
    if "accuracy" not in clean:
        return f"MAE {clean['mae']:.1f}, R² {clean['r2']:.3f}"
    balanced = f", balanced {100 * clean['balanced_accuracy']:.1f} %" if uneven else ""
    return f"accuracy {100 * clean['accuracy']:.1f} %{balanced}"


def _uneven(clean: dict[str, float], constant: dict[str, float]) -> bool:
    """Whether accuracy alone misleads: it is far from the balanced one, or no better than what a constant has."""
    if "accuracy" not in clean:
        return False
    apart = abs(clean["accuracy"] - clean["balanced_accuracy"])
    return apart > UNEVEN or clean["accuracy"] < constant["accuracy"] + UNEVEN


def _constant(tolerance: float | None, promotion: dict[str, Any]) -> str:
    """What a constant predictor scores, clean and under any attack."""
    useless = promotion["baselines"]["constant"]
    figures = useless["test"]
    if tolerance is None:
        got = f"accuracy {100 * figures['accuracy']:.1f} %, balanced {100 * figures['balanced_accuracy']:.1f} %"
    else:
        got = f"R² 0, {100 * figures['within_tolerance']:.1f} % within ±{tolerance:g}"
    return f"a constant predictor ({useless['about']}) scores {got}, clean and under any attack"


def _other_guards(promotion: dict[str, Any]) -> Iterator[str]:
    """What the guards that were not chosen would have cost the champion, where the choice was free."""
    each_guard = {each["vote"]: each for each in promotion["candidates"] if each["name"] == promotion["champion"]}
    chosen = each_guard.pop(promotion["vote"], None)
    for vote, other in each_guard.items() if chosen else ():
        changes = [
            f"{word} {_points(other[key]['value'] - chosen[key]['value'])}"
            for key, word in (("clean", "clean"), ("robust", "adaptive"), ("certified", "certified"))
            if chosen[key] and other[key]
        ]
        told = ", ".join(changes)
        yield f"the guard {GUARDS[promotion['vote']]}; if {INSTEAD[vote]}: {told} points, on validation examples"


def _points(change: float) -> str:
    """A difference of two shares, in points; one that rounds to 0 has no sign."""
    said = f"{100 * change:+.1f}"
    return said.replace("-", "\N{MINUS SIGN}") if float(said) else "0.0"


def _unchangeable(cell: dict[str, Any]) -> Iterator[str]:
    """What the threat leaves alone: robustness by it alone is no merit of the model."""
    if cell["immovable"]:
        yield Immovable.model_validate(cell["immovable"]).says(cell["norm"], cell["eps"])


def _balanced(cell: dict[str, Any], labels: list[str]) -> Iterator[str]:
    """Where classes are uneven, the figures again with every class weighing alike, and the class that fares worst."""
    scores = cell["scores"]
    if not scores:
        return
    columns = {name: name for name in COLUMNS} | {"certified_guarded": "certified"}
    told = [f"{word} {100 * scores[name]['value']:.1f} %" for name, word in columns.items() if name in scores]
    yield f"balanced accuracy: {', '.join(told)}"
    known = [(each, label) for each, label in zip(scores["adaptive"]["per_class"], labels, strict=True) if each]
    worst, label = min(known, key=lambda each: float(each[0]["share"]))
    yield f"class '{label}': adaptive {100 * worst['share']:.1f} % on {worst['n']} examples, the lowest of all classes"
