"""What the methods of `redoubt certify` prove, each by itself on what the cheaper ones left open."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from redoubt.certify.verifier import METHODS, Decision

WORDS = {"crown": "CROWN", "alpha": "alpha-CROWN", "complete": "branch and bound"}


@dataclass(eq=False)
class Found:
    """What is known of the examples of a batch within one eps.

    Attributes:
        certified: by method, weakest first, each with all that is proven so far, `(examples,)`.
        adversarial: examples that are misclassified, at themselves or at a point that was found, `(examples,)`.
        undecided: neither, `(examples,)`.
        seconds: by method, of each example that it decided.
    """

    certified: dict[str, NDArray[np.bool_]]
    adversarial: NDArray[np.bool_]
    undecided: NDArray[np.bool_]
    seconds: dict[str, list[float]] = field(default_factory=dict)

    @property
    def proven(self) -> NDArray[np.bool_]:
        """By any method."""
        return list(self.certified.values())[-1]


def joined(intervals: NDArray[np.bool_], asked: NDArray[np.intp], decisions: list[Decision], method: str) -> Found:
    """Put decisions beside what interval bounds prove.

    Args:
        intervals: proven by interval bounds, `(examples,)`.
        asked: the examples that were decided, the rest in short.
        decisions: one for each of them.
        method: the strongest that was tried.
    """
    certified, so_far = {"interval": intervals}, intervals
    seconds: dict[str, list[float]] = {}
    for name in METHODS[: METHODS.index(method) + 1]:
        so_far = so_far.copy()
        by = [(place, each) for place, each in zip(asked, decisions, strict=True) if each.method == name]
        so_far[[place for place, each in by if each.verdict == "proven"]] = True
        certified[WORDS[name]], seconds[WORDS[name]] = so_far, [each.seconds for _, each in by]
    verdicts = np.full(len(intervals), "proven", dtype=object)
    verdicts[asked] = [each.verdict for each in decisions]
    return Found(certified, verdicts == "adversarial", verdicts == "undecided", seconds)


def said(found: dict[str, Found]) -> list[str]:
    """What a table of shares leaves open, a line for each eps: how many are refuted, how many undecided, the time."""
    lines = []
    for name, each in found.items():
        times = [f"{word} {np.median(spent):.2g} s" for word, spent in each.seconds.items() if spent]
        refuted = f"{each.adversarial.sum()} misclassified or refuted by an adversarial example"
        text = f"{name}: {refuted}, {each.undecided.sum()} undecided"
        lines.append(f"{text}; median time of an example that got that far: {', '.join(times)}" if times else text)
    return lines


def record(found: dict[str, Found]) -> dict[str, Any]:
    """For the record: shares by method, and how many are refuted or undecided; no times."""
    from redoubt.evaluation.metrics import rate

    return {
        name: {
            "certified": {method: rate(proven).model_dump() for method, proven in each.certified.items()},
            "adversarial": int(each.adversarial.sum()),
            "undecided": int(each.undecided.sum()),
        }
        for name, each in found.items()
    }
