"""The subcommand `explain`: how far a row is from another answer, and which features an attacker would change."""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from redoubt.bundle.base.errors import InputError
from redoubt.bundle.base.io import read_typed
from redoubt.bundle.column import Column
from redoubt.bundle.model.guarded_model import GuardedModel
from redoubt.bundle.schema import Schema
from redoubt.cli.predict import Card, answers, bundle_folder
from redoubt.cli.waiting import load_tensorflow, saying
from redoubt.cli.words import AskedError
from redoubt.core.types import Batch, Bounds, Floats
from redoubt.params.settings.base import NORMS

if TYPE_CHECKING:
    from redoubt.attacks.core.criteria import Criterion
    from redoubt.cli import Parser
    from redoubt.targets.contract import Target

# Values of a feature that are tried on each side of its own; between the last that keeps the answer and the first that
# does not, as many halvings.
TRIED, HALVINGS = 64, 20
# Categories named.
SHOWN = 5
LARGEST = 4.0
EPILOG = """\
ROW.json holds one row as the endpoint takes it: {"weight": 12.5, "colour": "red"}, or {"inputs": [...]}.

For each feature of the row:
  nearest change   its value in the nearest adversarial example that was found: features an attacker would change
  alone            its nearest value that changes the answer while all others stay, searched over the training range,
                   and only upwards or downwards where an attacker may only raise or lower it
The nearest change is searched on the network alone (an ensemble of attacks, bisection over eps): an upper bound of the
minimal adversarial distance. The guarded answer there is given too.

examples:
  redoubt explain churn row.json
  redoubt explain models/evolution/certified row.json --norm l2 --tolerance 40

exit status: 0 explained; 2 could not start
"""


@dataclass(frozen=True)
class Line:
    """What is found of one feature; None where nothing is."""

    feature: str
    value: str | float
    attacked: bool
    changed_to: str | float | None
    alone: str | float | None


def add_to(commands: "argparse._SubParsersAction[Parser]") -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "explain",
        help="how far one row is from another answer, and which features an attacker would change",
        description="The nearest change of a single answer of a table's model, in raw units.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument("model", metavar="NAME", help="a task whose champion is asked, or a bundle's folder")
    parser.add_argument("file", type=Path, metavar="ROW.json", help="the row")
    parser.add_argument("--row", type=int, default=0, metavar="I", help="which, if the file holds several (default: 0)")
    parser.add_argument("--norm", choices=tuple(NORMS), default="linf", help="of the distance (default: linf)")
    parser.add_argument(
        "--largest", type=float, default=LARGEST, metavar="EPS", help=f"search up to this eps (default: {LARGEST:g})"
    )
    parser.add_argument(
        "--tolerance", type=float, metavar="ERROR", help="regression: a change of the prediction above this counts"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the attacks and the guard's draws (default: 0)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Explain the row.

    Raises:
        AskedError: no such model, a model of images, or a file that holds no such row.
        BundleError: a bundle that cannot be used.
    """
    if not 0 < args.largest < np.inf:
        raise AskedError(f"--largest is {args.largest:g}; expected an eps above 0")
    folder = bundle_folder(args.model)
    model = GuardedModel.load(folder)
    if model.schema.kind == "image":
        raise AskedError(f"{folder} is a model of images: use `redoubt attack minimal {folder}`")
    found = _explained(model, folder, _record(args.file, args.row), args)
    print(json.dumps(found, indent=1, default=str) if args.json else _said(found))
    return 0


def _record(file: Path, place: int) -> dict[str, Any]:
    """The row of a file: an object of its own, one of a list, or one of a request's."""
    try:
        text = file.read_text(encoding="utf-8-sig")
        said = json.loads(text)
    except (OSError, ValueError) as error:
        raise AskedError(f"'{file}' cannot be read as JSON: {error}") from None
    if isinstance(said, dict) and isinstance(said.get("inputs"), list):
        said = said["inputs"]
    rows = said if isinstance(said, list) else [said]
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise AskedError(f"'{file}' holds no row; expected {{\"feature\": value, ...}} or a list of such")
    if not 0 <= place < len(rows):
        raise AskedError(f"--row is {place}; '{file}' holds rows 0 to {len(rows) - 1}")
    row: dict[str, Any] = rows[place]
    return row


def _explained(model: GuardedModel, folder: Path, record: dict[str, Any], args: argparse.Namespace) -> dict[str, Any]:
    load_tensorflow()
    from redoubt.attacks.core.problem import AttackProblem
    from redoubt.cli.threat import bounds_for, criterion_of
    from redoubt.scenarios.nearest_change import nearest_change
    from redoubt.targets.bundle_folder import open_bundle
    from redoubt.targets.contract import Opening
    from redoubt.training.determinism import make_deterministic

    schema = model.schema
    try:
        record = dict(schema.with_parts(record))
        x = schema.encode([record])
    except InputError as error:
        raise AskedError(f"'{args.file}': {str(error).removeprefix('input 0: ')}") from None
    make_deterministic(args.seed)
    target = open_bundle(str(folder), Opening())
    criterion, bounds = criterion_of(target, args.tolerance), bounds_for(target, x)
    outputs = model.network(x)
    if not np.isfinite(outputs).all():
        raise AskedError(f"'{args.file}': the model has no finite answer so far outside its training range")
    y = outputs.argmax(axis=1) if schema.is_classification else outputs[:, 0]
    problem = AttackProblem(target.outputs, criterion, args.norm, bounds, "network")
    asked = Asked(model, criterion, bounds, record, x, y)
    with saying("searching for the nearest change"):
        change = nearest_change(problem, Batch(x, y), asked.singles(), largest=args.largest, seed=args.seed)
    eps = read_typed(folder / "card.json", Card).eps if (folder / "card.json").is_file() and model.proves else None
    declared = " or declared units" if any(column.unit for column in schema.columns) else ""
    lines = [asked.line(column, None if change is None else change.x_adv) for column in schema.columns]
    return {
        "task": schema.task,
        "norm": args.norm,
        "largest": args.largest,
        "unit": f"standard deviations{declared} of each feature",
        "answer": _answer(model, x, args.seed, eps),
        "network": _named(schema, outputs),
        "eps": None if change is None else change.eps,
        "answer_there": None if change is None else _answer(model, change.x_adv[None], args.seed, None),
        "network_there": None if change is None else _named(schema, model.network(change.x_adv[None])),
        "features": [vars(line) for line in sorted(lines, key=lambda line: _size(line, target, schema), reverse=True)],
    }


def _answer(model: GuardedModel, x: Floats, seed: int, eps: float | None) -> dict[str, Any]:
    frame, _ = answers(model, x, eps, seed)
    found: dict[str, Any] = {str(name): frame[name].iloc[0] for name in frame}
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in found.items()}


def _named(schema: Schema, outputs: Floats) -> str | float:
    return schema.labels[int(outputs[0].argmax())] if schema.is_classification else float(outputs[0, 0])


def _size(line: Line, target: "Target", schema: Schema) -> float:
    """By how many standard deviations the nearest change moves a feature."""
    if line.changed_to is None or isinstance(line.value, str) or isinstance(line.changed_to, str):
        return 0.0
    return abs(line.changed_to - line.value) / float(target.bounds.scale[schema.input_names.index(line.feature)])


@dataclass(frozen=True, eq=False)
class Asked:
    """The row whose answer is explained, and how an answer is judged to be another one."""

    model: GuardedModel
    criterion: "Criterion"
    bounds: Bounds
    record: dict[str, Any]
    x: Floats
    y: NDArray[Any]

    def differs(self, rows: Floats) -> NDArray[np.bool_]:
        """Which of some rows `(rows, features)` get another answer of the network."""
        return self.criterion.is_adversarial(self.model.network(rows), np.repeat(self.y, len(rows), axis=0))

    def singles(self) -> Floats:
        """The row with each feature that can be attacked moved, alone, to where the answer is another."""
        found = [np.empty((0, *self.x.shape[1:]), np.float32)]
        for place in map(int, np.flatnonzero(self.model.schema.mutable & (self.bounds.scale > 0))):
            if (alone := self._alone(place)) is not None:
                found.append(self._with(place, np.array([alone], np.float32)))
        return np.concatenate(found)

    def line(self, column: Column, x_adv: Floats | None) -> Line:
        """What is found of a feature; `x_adv` is the nearest change, if there is one."""
        if column.kind == "category":
            return self._category(column, x_adv)
        place = self.model.schema.input_names.index(column.name)
        value = float(self.x[0, place])
        moved = None if x_adv is None or x_adv[place] == value else float(x_adv[place])
        attacked = bool(self.model.schema.mutable[place] and self.bounds.scale[place] > 0)
        return Line(column.name, value, attacked, moved, self._alone(place))

    def _category(self, column: Column, x_adv: Floats | None) -> Line:
        # As the network was given it, which an empty or unknown one may only count as.
        start = self.model.schema.input_names.index(f"{column.name}={column.categories[0]}")
        mine = slice(start, start + column.inputs)
        value = column.categories[int(self.x[0, mine].argmax())]
        there = value if x_adv is None else column.categories[int(x_adv[mine].argmax())]
        others = [each for each in column.categories if each != value]
        rows = self.model.schema.encode([{**self.record, column.name: each} for each in others])
        differ = [each for each, differs in zip(others, self.differs(rows), strict=True) if differs] if others else []
        alone = " or ".join(differ[:SHOWN]) or None
        return Line(column.name, value, column.mutable, None if there == value else there, alone)

    def _alone(self, place: int) -> float | None:
        """Within the range, and the way that an attacker may go, the nearest value from which the answer is another."""
        ways = (self.bounds.falls, self.bounds.lower), (self.bounds.rises, self.bounds.upper)
        ends = [end[place] for allowed, end in ways if np.broadcast_to(allowed, end.shape)[place]]
        found = [side for side in (self._towards(place, float(end)) for end in ends) if side is not None]
        return min(found, key=lambda side: abs(side - float(self.x[0, place])), default=None)

    def _towards(self, place: int, end: float) -> float | None:
        values = np.linspace(float(self.x[0, place]), end, TRIED + 1, dtype=np.float32)
        found = np.flatnonzero(self.differs(self._with(place, values)))
        if not len(found) or found[0] == 0:
            return None
        same, other = float(values[found[0] - 1]), float(values[found[0]])
        for _ in range(HALVINGS):
            middle = (same + other) / 2
            if self.differs(self._with(place, np.array([middle], np.float32)))[0]:
                other = middle
            else:
                same = middle
        return float(self._with(place, np.array([other], np.float32))[0, place])

    def _with(self, place: int, values: Floats) -> Floats:
        rows = np.repeat(self.x, len(values), axis=0)
        rows[:, place] = np.round(values) if self.model.schema.integer[place] else values
        return rows


def _said(found: dict[str, Any]) -> str:
    """The findings as text."""
    unit = found["unit"]
    lines = [f"{found['task']}: {_worded(found['answer'])}"]
    if (certified := found["answer"].get("certified_eps")) is not None:
        within = f"no change within L-inf {certified:g} {unit} changes the guarded answer"
        lines.append(f"certified: {within}" if certified else "certified: not at the card's eps")
    if found["answer"].get("label", found["network"]) != found["network"]:
        lines.append(f"the network alone answers {found['network']}; what follows is about that answer")
    norm = NORMS[found["norm"]]
    if found["eps"] is None:
        lines.append(f"nearest change: none found up to {norm} {found['largest']:g} {unit}")
    else:
        there = f"the network answers {_short(found['network_there'])}; guarded: {_worded(found['answer_there'])}"
        lines.append(f"nearest change found: {norm} {found['eps']:.3g} {unit}; there {there}")
    heads = ("feature", "value", "nearest change", "alone, another answer from")
    rows = [
        (each["feature"], _short(each["value"]), _short(each["changed_to"]) + _kept(each), _short(each["alone"]))
        for each in found["features"]
    ]
    widths = [max(len(row[place]) for row in (heads, *rows)) for place in range(len(heads))]
    lines += [
        "",
        *("  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip() for row in (heads, *rows)),
    ]
    return "\n".join(lines)


def _worded(answer: dict[str, Any]) -> str:
    said = (
        f"{answer['label']}, probability {answer['probability']:.3f}" if "label" in answer else f"{answer['value']:.6g}"
    )
    return said + (", flagged" if answer["flagged"] else ", not flagged")


def _short(value: str | float | None) -> str:
    return "-" if value is None else value if isinstance(value, str) else f"{value:.6g}"


def _kept(line: dict[str, Any]) -> str:
    return "" if line["attacked"] else " (not attacked)"
