"""Transfer where there are no gradients: few queries, and what a network of the audit's own finds with them."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.svm import SVC

from redoubt.audit.arrays import audit_arrays
from redoubt.audit.proxy import MORE

DIGITS = load_digits()
X, Y = (DIGITS.data / 16).astype(np.float32), DIGITS.target
MODEL = SVC(gamma=0.05).fit(X[:1000], Y[:1000])


@pytest.mark.parametrize("answers", ["labels", "scores"])
def test_few_queries_are_spent_on_transfer(answers: str) -> None:
    """Where Square and HopSkipJump have a handful of queries for each example, most of what is found is transfer."""
    function = MODEL.predict if answers == "labels" else MODEL.decision_function
    x, y = X[1000:1100], Y[1000:1100]
    found = audit_arrays(function, x, y, eps=(0.2,), bounds=(0.0, 1.0), budget="2500q").audit
    assert found.access == answers
    assert found.queries <= 2500
    by = {name: count for name, count in found.headline.broken if name.startswith("transfer")}
    (name,) = by
    spent = int(name.split()[-2])
    assert 100 < spent <= 100 + MORE
    assert by[name] > 20
    assert f"learned from {spent} of its answers" in found.notes[-1]
    assert not any("trained on the model's answers" in each for each in found.not_tried)


def test_without_a_limit_it_learns_from_a_thousand_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("redoubt.audit.plan.MANY", 20)
    monkeypatch.setattr("redoubt.audit.plan.FEW", 10)
    found = audit_arrays(MODEL.predict, X[1000:1032], Y[1000:1032], eps=(0.2,), bounds=(0.0, 1.0)).audit
    assert f"transfer from a network trained on {32 + MORE} answers" in {each["attack"] for each in found.tried}
    assert found.stopped is None
