"""One share of an evaluation, for a process of its own: every model, on some rows, in one norm."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from redoubt.evaluation.ledger import Ledger
from redoubt.evaluation.verdict import Robustness
from redoubt.params.stages import AttackSettings
from redoubt.progress import progress_bar
from redoubt.quiet import import_tensorflow
from redoubt.types import Batch, Bounds, Floats, Norm, Threat

if TYPE_CHECKING:
    from redoubt.evaluation.robustness import Evaluation
    from redoubt.evaluation.subject import Setting


@dataclass(frozen=True)
class Shard:
    """What one process needs.

    Attributes:
        folders: bundle per model; each model's perturbations are tried on the other ones too.
        batch: rows attacked.
        bounds: the box that holds them.
        eps: rising; the budget's is among them.
        thorough: see `Evaluation`.
        ledger: remembers finished batches.
        place: of its progress bar.
        target_mean: of the training rows (regression), as in `Setting`.
    """

    settings: AttackSettings
    folders: Mapping[str, Path]
    batch: Batch
    bounds: Bounds
    norm: Norm
    eps: tuple[float, ...]
    thorough: bool
    seed: int
    ledger: Ledger
    place: int
    target_mean: float | None = None

    @property
    def label(self) -> str:
        """Of its progress bar."""
        return f"attack@{self.settings.name} {self.norm}, {'test' if self.thorough else 'validation'}"


@dataclass(frozen=True)
class Measured:
    """What was found of one model, and the perturbations at the budget."""

    robustness: Robustness
    examples: Floats


def measure(shard: Shard) -> dict[str, Measured]:
    """Attack every model of a shard; the same figures in whichever process."""
    import_tensorflow()
    from redoubt.attacks.criteria import aim
    from redoubt.evaluation.subject import Setting
    from redoubt.training.setup import make_deterministic

    make_deterministic(shard.seed, threads=1)
    setting = Setting(
        shard.settings.attack,
        shard.settings.eps,
        aim(shard.settings),
        shard.bounds,
        shard.seed,
        shard.ledger,
        shard.target_mean,
    )
    done = {name: _evaluation(shard, folder, setting) for name, folder in shard.folders.items()}
    with progress_bar(total=len(done) * len(shard.eps), desc=shard.label, unit="threat", position=shard.place) as bar:
        for evaluation in done.values():
            for eps in shard.eps:
                evaluation.run(Threat(shard.norm, eps))
                bar.update()
        return {name: _measured(shard, done, name) for name in done}


def _evaluation(shard: Shard, folder: Path, setting: "Setting") -> "Evaluation":
    from redoubt.bundle.guarded_model import GuardedModel
    from redoubt.evaluation.robustness import Evaluation
    from redoubt.evaluation.subject import Subject
    from redoubt.models.saved import load_network

    subject = Subject(load_network(folder), GuardedModel.load(folder, threads=1), setting)
    return Evaluation(subject, shard.batch, thorough=shard.thorough)


def _measured(shard: Shard, done: "Mapping[str, Evaluation]", name: str) -> Measured:
    from redoubt.evaluation.conclusion import conclude

    budget = shard.settings.eps.threat(shard.norm)
    foreign = [other.examples[budget] for each, other in done.items() if each != name]
    gated = shard.norm == shard.settings.norm
    robustness = conclude(done[name], shard.norm, foreign, judge_parts=shard.thorough and gated)
    return Measured(robustness, done[name].examples[budget])
