"""One share of an evaluation, for a process of its own: every model, on every split, in one norm."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from redoubt.bundle.base.types import Vote
from redoubt.core.types import Batch, Bounds, Floats, Norm, Threat
from redoubt.evaluation.cache import EvaluationCache
from redoubt.evaluation.results import Robustness
from redoubt.params.settings.stages import AttackSettings
from redoubt.progress import progress_bar
from redoubt.quiet import import_tensorflow

if TYPE_CHECKING:
    from redoubt.evaluation.attack_columns import Evaluation
    from redoubt.evaluation.evaluator import EvaluationConfig, Evaluator

# Examples that are kept to be looked at.
SHOWN = 8
# The guards that are attacked beside the one that votes; one that only detects is known from the network's columns.
OTHERS: tuple[Vote, ...] = ("squeezed",)


@dataclass(frozen=True)
class Split:
    """Examples of one split, and how they are attacked.

    Attributes:
        batch: examples attacked.
        eps: rising; the budget's is among them.
        thorough: see `Evaluation`.
    """

    batch: Batch
    eps: tuple[float, ...]
    thorough: bool


@dataclass(frozen=True)
class WorkerJob:
    """What one process needs; its splits share what was compiled for a model.

    Attributes:
        folders: bundle per model; each model's perturbations are tried on the other ones too.
        splits: by name.
        bounds: the box that holds their examples.
        cache: remembers finished batches.
        place: of its progress bar.
        target_mean: of the training examples (regression), as in `EvaluationConfig`.
    """

    settings: AttackSettings
    folders: Mapping[str, Path]
    splits: Mapping[str, Split]
    bounds: Bounds
    norm: Norm
    seed: int
    cache: EvaluationCache
    place: int
    target_mean: float | None = None

    @property
    def label(self) -> str:
        """Of its progress bar."""
        return f"attack@{self.settings.name} {self.norm}"


@dataclass(frozen=True)
class ModelResult:
    """What was found of one model, the perturbations at the budget, and its network's answers to the first of them."""

    robustness: Robustness
    examples: Floats
    answers: Floats


def measure(job: WorkerJob) -> dict[str, dict[str, ModelResult]]:
    """Attack every model on every split; the same figures in whichever process.

    Returns:
        By split, then by model.
    """
    import_tensorflow()
    from redoubt.attacks.core.criteria import criterion_for
    from redoubt.evaluation.attack_columns import Evaluation
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
    evaluators = _evaluators(job.folders, config)
    done = {
        name: {
            model: Evaluation(each, split.batch, thorough=split.thorough, others=OTHERS)
            for model, each in evaluators.items()
        }
        for name, split in job.splits.items()
    }
    # A model's ablation and checks take about as long as a threat or two.
    steps = len(evaluators) * sum(len(split.eps) + 1 for split in job.splits.values())
    found: dict[str, dict[str, ModelResult]] = {name: {} for name in done}
    with progress_bar(total=steps, desc=job.label, unit="threat", position=job.place) as bar:
        for name, evaluations in done.items():
            for evaluation in evaluations.values():
                for eps in job.splits[name].eps:
                    evaluation.run(Threat(job.norm, eps))
                    bar.update()
        for name, evaluations in done.items():
            for model in evaluations:
                found[name][model] = _measured(job, evaluations, model)
                bar.update()
    return found


def _evaluators(folders: Mapping[str, Path], config: "EvaluationConfig") -> dict[str, "Evaluator"]:
    from redoubt.bundle.model.guarded_model import GuardedModel
    from redoubt.evaluation.evaluator import Evaluator
    from redoubt.evaluation.shared_network import by_architecture
    from redoubt.models.saved import load_network

    networks = [load_network(folder) for folder in folders.values()]
    return {
        name: Evaluator(network, GuardedModel.load(folder, threads=1), config, shared)
        for (name, folder), network, shared in zip(folders.items(), networks, by_architecture(networks), strict=True)
    }


def _measured(job: WorkerJob, done: "Mapping[str, Evaluation]", name: str) -> ModelResult:
    from redoubt.evaluation.summarize import summarize

    budget = job.settings.eps.threat(job.norm)
    foreign = [other.examples[budget] for each, other in done.items() if each != name]
    ablated = done[name].thorough and job.norm == job.settings.norm
    robustness = summarize(done[name], job.norm, foreign, judge_parts=ablated)
    if ablated and job.settings.costs is not None:
        from redoubt.evaluation.cost_column import within_budget

        spent = within_budget(done[name].evaluator, done[name].batch, job.settings.costs)
        robustness = robustness.model_copy(update={"cost": spent})
    examples = done[name].examples[budget]
    # By TensorFlow, whose sums are pinned: ONNX Runtime's last digits are the processor's.
    answers = done[name].evaluator.network(examples[:SHOWN], training=False)
    return ModelResult(robustness, examples, np.asarray(answers))
