"""Two classes are told apart where validation examples say, and the network itself then answers so."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logit

from redoubt.core.types import Batch
from redoubt.data.fits import UnfitError
from redoubt.data.prepare.scaling import fit as fit_scaler
from redoubt.models.networks import build
from redoubt.params.settings.networks import Linear, Mlp
from redoubt.training.threshold import balanced_cut, with_threshold
from tests.support.tiny import IMAGE, SCHEMAS, TABLE, rows

CASES = st.lists(st.tuples(st.integers(-6, 6), st.booleans()), min_size=1, max_size=30)


def _score(lead: np.ndarray, y: np.ndarray, cut: float) -> float:
    return float(np.mean([np.mean((lead > cut)[y == label] == label) for label in np.unique(y)]))


@given(CASES)
def test_no_other_cut_scores_better(cases: list[tuple[int, bool]]) -> None:
    lead, y = np.array([float(each) for each, _ in cases]), np.array([int(label) for _, label in cases])
    cut = balanced_cut(lead, y)
    # Beyond them all a constant answers.
    others = [_score(lead, y, other) for other in (*np.arange(lead.min(), lead.max(), 0.5), 0.0)]
    assert _score(lead, y, cut) >= max(others) - 1e-9 or len(set(y)) < 2
    if _score(lead, y, 0.0) >= max(others) - 1e-9:
        assert cut == 0.0


@pytest.mark.parametrize("model", [Linear(kind="linear"), Mlp(kind="mlp", units=(4,))])
def test_the_larger_logit_answers_by_the_threshold(model: Linear | Mlp) -> None:
    batch, task = rows(TABLE, 60), SCHEMAS[TABLE]
    network = build(model, task, fit_scaler(batch, task), 0)
    before = network(batch.x).numpy()
    lead = before[:, 1] - before[:, 0]
    # The classes part at a lead of the network's that is not 0.
    cut = float(np.quantile(lead, 0.8))
    batch = Batch(batch.x, (lead > cut).astype(np.int64))
    schema = with_threshold(network, batch, task, "balanced")
    assert np.array_equal(network(batch.x).numpy().argmax(axis=1), batch.y)
    assert schema.threshold is not None
    moved = network(batch.x).numpy()
    assert moved[:, 1] - moved[:, 0] == pytest.approx(lead - logit(schema.threshold), abs=1e-3)


def test_without_a_rule_nothing_changes() -> None:
    batch, task = rows(TABLE, 20), SCHEMAS[TABLE]
    network = build(Linear(kind="linear"), task, fit_scaler(batch, task), 0)
    before = [each.copy() for each in network.get_weights()]
    assert with_threshold(network, batch, task, "none") is task
    assert all(np.array_equal(*pair) for pair in zip(before, network.get_weights(), strict=True))
    assert "threshold" not in task.model_dump()


def test_more_classes_have_no_threshold() -> None:
    batch, task = rows(IMAGE, 20), SCHEMAS[IMAGE]
    network = build(Linear(kind="linear"), task, fit_scaler(batch, task), 0)
    with pytest.raises(UnfitError, match="decides between two classes"):
        with_threshold(network, batch, task, "balanced")
