"""One share of an evaluation, for a process of its own: every model, on some examples, in one norm."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from redoubt.evaluation.cache import EvaluationCache
from redoubt.evaluation.results import Robustness
from redoubt.params.stages import AttackSettings
from redoubt.progress import progress_bar
from redoubt.quiet import import_tensorflow
from redoubt.types import Batch, Bounds, Floats, Norm, Threat

if TYPE_CHECKING:
    from redoubt.evaluation.attack_columns import Evaluation
    from redoubt.evaluation.evaluator import EvaluationConfig


@dataclass(frozen=True)
class WorkerJob:
    """What one process needs.

    Attributes:
        folders: bundle per model; each model's perturbations are tried on the other ones too.
        batch: examples attacked.
        bounds: the box that holds them.
        eps: rising; the budget's is among them.
        thorough: see `Evaluation`.
        cache: remembers finished batches.
        place: of its progress bar.
        target_mean: of the training examples (regression), as in `EvaluationConfig`.
    """

    settings: AttackSettings
    folders: Mapping[str, Path]
    batch: Batch
    bounds: Bounds
    norm: Norm
    eps: tuple[float, ...]
    thorough: bool
    seed: int
    cache: EvaluationCache
    place: int
    target_mean: float | None = None

    @property
    def label(self) -> str:
        """Of its progress bar."""
        return f"attack@{self.settings.name} {self.norm}, {'test' if self.thorough else 'validation'}"


@dataclass(frozen=True)
class ModelResult:
    """What was found of one model, and the perturbations at the budget."""

    robustness: Robustness
    examples: Floats


def measure(job: WorkerJob) -> dict[str, ModelResult]:
    """Attack every model of a shard; the same figures in whichever process."""
    import_tensorflow()
    from redoubt.attacks.criteria import criterion_for
    from redoubt.evaluation.evaluator import EvaluationConfig
    from redoubt.training.determinism import make_deterministic

    make_deterministic(job.seed, threads=1)
    config = EvaluationConfig(
        job.settings.attack,
        job.settings.eps,
        criterion_for(job.settings),
        job.bounds,
        job.seed,
        job.cache,
        job.target_mean,
    )
    done = {name: _evaluation(job, folder, config) for name, folder in job.folders.items()}
    with progress_bar(total=len(done) * len(job.eps), desc=job.label, unit="threat", position=job.place) as bar:
        for evaluation in done.values():
            for eps in job.eps:
                evaluation.run(Threat(job.norm, eps))
                bar.update()
        return {name: _measured(job, done, name) for name in done}


def _evaluation(job: WorkerJob, folder: Path, config: "EvaluationConfig") -> "Evaluation":
    from redoubt.bundle.guarded_model import GuardedModel
    from redoubt.evaluation.attack_columns import Evaluation
    from redoubt.evaluation.evaluator import Evaluator
    from redoubt.models.saved import load_network

    evaluator = Evaluator(load_network(folder), GuardedModel.load(folder, threads=1), config)
    return Evaluation(evaluator, job.batch, thorough=job.thorough)


def _measured(job: WorkerJob, done: "Mapping[str, Evaluation]", name: str) -> ModelResult:
    from redoubt.evaluation.summarize import summarize

    budget = job.settings.eps.threat(job.norm)
    foreign = [other.examples[budget] for each, other in done.items() if each != name]
    gated = job.norm == job.settings.norm
    robustness = summarize(done[name], job.norm, foreign, judge_parts=job.thorough and gated)
    return ModelResult(robustness, done[name].examples[budget])
