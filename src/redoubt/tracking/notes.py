"""Descriptions of runs and experiments: what was found, in words."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from redoubt.core.store import read_json
from redoubt.runs import RunRecord

NAMES = {"linf": "L-inf", "l2": "L2"}
# A description that ends so is ours to change; whoever edits it takes this line out, and keeps what is theirs.
OURS = "\n\n*Kept up to date by `make ui`, as long as this line stands here.*"
COLUMNS = ("undefended", "oblivious", "adaptive")
CERTIFIED = {"linf": "of the network", "l2": "under randomized smoothing"}
STUDIES = Path("reports", "studies")


def run_note(root: Path, record: RunRecord) -> str:
    """What a run found, in a few sentences; empty for a run that has nothing to say, such as a fold.

    Args:
        root: the project's top folder.
        record: of the run, all its stages' records merged.
    """
    study = root / STUDIES / record.run / "result.json"
    if record.stage == "study" and study.is_file():
        found = read_json(study)
        return f"{found['takeaway']['en']}\n\n{found['question']['en']}"
    if record.stage == "validate":
        return _validated(record)
    if record.stage == "sweep" and record.children:
        return _swept(record)
    if record.stage == "promote":
        return _promoted(record)
    return " ".join(_model(record))


def experiment_note(root: Path, task: str, records: Iterable[RunRecord]) -> str:
    """What was found of a task: the report's sentence where there is one, and its models in a table."""
    section = root / "reports" / "sections" / f"{task}.json"
    said = [str(read_json(section).get("verdict", ""))] if section.is_file() else []
    models = [record for record in records if _norms(record)]
    tables = [_table(models, norm) for norm in NAMES if any(norm in _norms(record) for record in models)]
    if not any(said):
        said = [_most_robust(models)]
    return "\n\n".join(part for part in (*said, *tables) if part) + OURS


def _most_robust(models: Sequence[RunRecord]) -> str:
    """The sentence of a task whose models nothing was chosen from yet."""
    if not models:
        return "What each run found is in its description."
    norm = _norms(models[0])[0]
    best = max(models, key=lambda each: _robust(each, norm))
    share = _share(_robust(best, norm))
    return f"The {best.run} model is the most robust within {_threat(best, norm)}: {share} against adaptive attackers."


def _validated(record: RunRecord) -> str:
    failed = int(record.metrics.get("rules_failed", 0))
    rules = f"{failed} {'rule is' if failed == 1 else 'rules are'} broken" if failed else "every rule holds"
    return f"{int(record.metrics.get('rows', 0)):,} rows; {rules}. The page of the data is among the artifacts."


def _swept(record: RunRecord) -> str:
    given = record.params
    return (
        f"{given.get('points')} settings, each on {given.get('folds')} folds. The least validation loss, "
        f"{record.metrics.get('val_loss', float('nan')):.4g}: {given.get('model')}, batch {given.get('batch_size')}, "
        f"learning rate {given.get('learning_rate')}."
    )


def _promoted(record: RunRecord) -> str:
    champion = record.params.get("champion")
    gates = [
        f"{name.removeprefix('gate/').replace('_', ' ')} {value}"
        for name, value in record.params.items()
        if name.startswith("gate/")
    ]
    asked = f" The gates: {', '.join(gates)}." if gates else ""
    if champion == "None":
        return f"No model is promoted: none cleared the gates.{asked}"
    guard = f" ({record.params['guard']})" if "guard" in record.params else ""
    return (
        f"The {champion} model is promoted{guard}.{asked} The metrics are lower ends of intervals, on validation rows."
    )


def _model(record: RunRecord) -> Iterator[str]:
    """Sentences on one model: clean, then under attack in each norm."""
    clean = _clean(record.metrics)
    if clean:
        guarded = _clean(
            {name.replace("guarded_", ""): value for name, value in record.metrics.items() if "guard" in name}
        )
        yield f"Clean: {clean}" + (f"; behind its guard {guarded}." if guarded else ".")
    for norm in _norms(record):
        metrics = {name: record.metrics.get(f"robust/{norm}/{name}") for name in COLUMNS}
        yield (
            f"Within {_threat(record, norm)}, robust accuracy is {_share(metrics['adaptive'])} against attackers who "
            f"know the guard, {_share(metrics['oblivious'])} against those who do not, and "
            f"{_share(metrics['undefended'])} without it."
        )
        served = record.metrics.get(f"served/{norm}/adaptive")
        if served is not None and "guard" in record.params:
            yield f"Behind the guard it would be served with, which {record.params['guard']}, it is {_share(served)}."
        proven = _certified(record, norm)
        if proven is not None:
            yield f"Certified accuracy {CERTIFIED[norm]}: {_share(proven)}."
        if failed := record.metrics.get(f"robust/{norm}/failed_checks"):
            yield f"**{failed:.0f} of the checks for gradient masking failed**: robust accuracy may be too high."


def _table(models: Sequence[RunRecord], norm: str) -> str:
    budget = _threat(next(record for record in models if norm in _norms(record)), norm)
    names = {column: f"robust/{norm}/{column}" for column in COLUMNS}
    if any(f"served/{norm}/adaptive" in record.metrics for record in models):
        names["as served"] = f"served/{norm}/adaptive"
    heads = ["model", "clean", *names, f"certified {CERTIFIED[norm]}"]
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for record in sorted(models, key=lambda each: -_robust(each, norm)):
        shares = [record.metrics.get(name) for name in names.values()]
        cells = [_clean(record.metrics), *map(_share, (*shares, _certified(record, norm)))]
        lines.append(f"| {' | '.join([record.run, *cells])} |")
    return f"Robust accuracy within {budget}:\n\n" + "\n".join(lines)


def _robust(record: RunRecord, norm: str) -> float:
    """Against who knows the guard: the one it would be served with, once that is chosen."""
    attacked = record.metrics.get(f"robust/{norm}/adaptive", 0.0)
    return record.metrics.get(f"served/{norm}/adaptive", attacked)


def _norms(record: RunRecord) -> list[str]:
    return [norm for norm in NAMES if f"robust/{norm}/adaptive" in record.metrics]


def _threat(record: RunRecord, norm: str) -> str:
    eps = record.params.get(f"eps/{norm}")
    return f"{NAMES[norm]} {eps:g}" if isinstance(eps, int | float) else NAMES[norm]


def _certified(record: RunRecord, norm: str) -> float | None:
    """The strongest certificate at the budget: bounds in L-inf, smoothing in L2."""
    if norm == "linf":
        return max(
            (share for name, share in record.metrics.items() if name.startswith("certified/linf/")), default=None
        )
    eps = record.params.get(f"eps/{norm}")
    return dict(record.curves.get("radius_l2/certified", [])).get(round(1000 * float(eps))) if eps else None


def _clean(metrics: Mapping[str, float]) -> str:
    if "test/accuracy" in metrics:
        return _share(metrics["test/accuracy"])
    return f"MAE {metrics['test/mae']:.4g}, R² {metrics['test/r2']:.3f}" if "test/mae" in metrics else ""


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"
