"""A report on a small image task, made of figures that nobody measured."""

from typing import Any

import numpy as np
import pandas as pd

from redoubt.bundle.schema import Schema
from redoubt.core.types import Norm
from redoubt.params.settings.sections import CANDIDATES, AttackParams, CertifyParams
from redoubt.report import section_charts
from redoubt.report.adversarial import Attacked, images
from redoubt.report.page import render, report_page

LABELS = ("zero", "one")
SIZES: dict[Norm, float] = {"linf": 0.1, "l2": 0.5}


def rate(share: float, n: int = 100) -> dict[str, Any]:
    """A share with an interval around it."""
    return {"share": share, "low": max(0.0, share - 0.1), "high": min(1.0, share + 0.1), "n": n}


def cell(norm: Norm, eps: float) -> dict[str, Any]:
    """What is measured at one eps."""
    columns = ("noise", "fgsm", "pgd", "square", "query", "undefended", "oblivious", "adaptive")
    proven = rate(0.2) if norm == "linf" else None
    return {
        "norm": norm,
        "eps": eps,
        **{column: rate(0.9 - eps) for column in (*columns, "flagged_oblivious", "flagged_adaptive")},
        "certified": proven,
        "certified_guarded": proven,
        "broken": [["fgsm", 10], ["pgd", 3]],
    }


def measured() -> dict[str, Any]:
    """A model's results on the test split."""
    names = ("detector", "all")
    return {
        "clean": rate(0.98),
        "clean_guarded": rate(0.96),
        "false_positives": rate(0.05),
        "cells": [cell(norm, eps) for norm, own in SIZES.items() for eps in (own / 2, own)],
        "components": [
            {"component": name, **{key: rate(0.7) for key in ("clean", "oblivious", "adaptive")}} for name in names
        ],
        "checks": {norm: [{"name": "gradients", "found": "none is zero", "passed": True}] for norm in SIZES},
    }


def section(task: str) -> str:
    """The section of an image task."""
    models = {name: measured() for name in CANDIDATES}
    figures = {
        "eps": section_charts.eps_curves(task, models, SIZES),
        "ablation": section_charts.ablation(task, models, {"norm": "linf", "eps": SIZES["linf"]}),
        "certified": section_charts.certified(task, {name: _certificates() for name in CANDIDATES}),
        "learning": section_charts.learning_curves(task, {"natural": _history()}),
        "predictions": None,
        "simulator": None,
    }
    shown = {
        name: {
            **each,
            "cells": [
                {
                    **one,
                    "norm": section_charts.NORMS[one["norm"]],
                    "budget": one["eps"] == SIZES[one["norm"]],
                    "trusted": True,
                    "targeted": rate(0.3),
                    "growth": "",
                }
                for one in each["cells"]
            ],
        }
        for name, each in models.items()
    }
    return render("section.html", task=task, models=shown, figures=figures, images=_images(), **_words())


def page(*tasks: str) -> str:
    """The report on some tasks."""
    return report_page("Redoubt report", 20, [row(task) for task in tasks], [section(task) for task in tasks])


def row(task: str) -> dict[str, Any]:
    """A task's card."""
    return {
        "task": task,
        "champion": "certified",
        "guard": "votes",
        "verdict": "Half of the examples withstand every attack that was tried.",
        "clean": "accuracy 97.0 %",
        "threat": "L-inf 0.1",
        "trusted": True,
        "notes": ["a constant gets 50 %"],
        "chart": section_charts.card(task, "certified", measured(), {"norm": "linf", "eps": 0.1}),
        **{key: rate(0.5) for key in ("served", "undefended", "oblivious", "adaptive", "certified")},
        "certified_network": rate(0.6),
    }


def _words() -> dict[str, Any]:
    """What the section tells beside figures and pictures."""
    constant = {"about": "always zero", "test": {"score": {"constant": 0.5}, "accuracy": 0.5}}
    columns = [{"name": "a", "holds": "2 values", "shows": "1, 2", "used": "input", "why": "a number"}]
    return {
        "kind": "image",
        "source": "own",
        "origin": "a file with a name that_is_long_and_has_no_place_to_be_broken_at.npz",
        "sha256": "0" * 64,
        "rows": {"train": 10, "validation": 10, "test": 10, "folds": 2},
        "columns": {"shown": columns, "all": 1, "notes": []},
        "champion": "certified",
        "shown": "certified",
        "digest": "1" * 64,
        "candidates": [],
        "guard_says": "votes",
        "guard_choice": [
            {"model": "certified", "guard": told, "figures": ["80 %"] * 3, "chosen": told == "votes"}
            for told in ("votes", "only detects")
        ],
        "baselines": {"constant": constant},
        "next_step": None,
        "gates": ["robust (adaptive) at least 40 %"],
        "kept": False,
        "norm": "L-inf",
        "eps": 0.1,
        "points": 100,
        "right": "",
        "targeted": True,
        "unit": "pixels in [0, 1]",
        "threats": {"says": ["L-inf 0.1 = 25.5 of 255"], "rows": [], "heads": []},
        "immovable": [],
        "costs": [],
        "trained_elsewhere": (),
        "guard": "bits 3",
        "attack": AttackParams(points=9, steps=9, restarts=1, queries=9, eot=1, linf=(0.1,), l2=(0.5,)),
        "certify": CertifyParams(sigma=0.1, draws=9, selection_draws=9, alpha=0.1, points=9, radii=(0.1,)),
        "certificates": {
            "heads": ["L-inf 0.1"],
            "models": {"natural": [rate(0.1)]},
            "complete": {name: _decided(undecided) for name, undecided in (("adversarial", 2), ("certified", 0))},
        },
        "selected": {"model": "cnn", "batch_size": 32, "learning_rate": 0.1},
        "sweep": [_point([0.0, 100.0], None), _point([50.0], 1)],
        "labels": LABELS,
        "confusion": section_charts.confusion([[5, 1], [0, 6]]),
        "examples": None,
        "clean": {
            "metrics": ["accuracy"],
            "rows": [["natural, undefended", "98.0 %"]],
            "judgment": "As good as `linear`.",
        },
        "weighed": [{"model": "natural", "what": "balanced accuracy", "n": "", "figures": ["1 %"] * 4}],
        "card": None,
    }


def _images() -> dict[str, Any]:
    x = np.random.default_rng(0).random((2, 6, 6, 1), dtype=np.float32)
    attacked = Attacked(np.eye(2, dtype=np.float32), np.clip(x + np.float32(0.1), 0, 1), np.eye(2, dtype=np.float32))
    schema = Schema(task="bars", kind="image", target="digit", labels=LABELS, shape=(6, 6, 1))
    return images(x, [0, 1], dict.fromkeys(CANDIDATES, attacked), schema)


def _point(folds: list[float], stopped: int | None) -> dict[str, Any]:
    settings = {"model": "cnn", "batch_size": 32, "learning_rate": "0.1"}
    return {**settings, "mean": 0.5, "folds": folds, "stopped": stopped}


def _decided(undecided: int) -> dict[str, Any]:
    found = {"eps": 0.1, "certified": rate(0.6), "interval": rate(0.5)}
    return {**found, "adversarial": 40 - undecided, "undecided": undecided}


def _certificates() -> dict[str, Any]:
    rows = [{"eps": size, "radius": size, "certified": rate(0.5)} for size in (0.0, 0.1)]
    return {"interval": rows, "smoothing": {"radii": rows}}


def _history() -> pd.DataFrame:
    columns = ("loss", "accuracy", "val_loss", "val_accuracy")
    return pd.DataFrame({"epoch": [1, 2], **{column: [0.9, 0.5] for column in columns}})
