"""What the exported graph proves of a guarded model holds for every point of the ball, variant by variant."""

from collections.abc import Callable

import numpy as np
import pytest

from redoubt.certify.proof import certified_interval, proven
from redoubt.defenses.guarded import GuardedModel
from redoubt.tasks import Floats
from tests.tiny import IMAGE, NUMBER, Guarded, rows

DRAWS = 11


def moved(guarded: Guarded, eps: float) -> list[Floats]:
    """Corners and inner points of every row's ball."""
    case, rng = guarded.case, np.random.default_rng(2)
    points = []
    for share in (1.0, 1.0, 1.0, 0.5, 0.1):
        signs = rng.integers(0, 2, case.test.x.shape) * 2 - 1
        point = (case.test.x + share * eps * signs * case.bounds.scale).astype(np.float32)
        points.append(np.clip(point, 0.0, 1.0) if case.name == IMAGE else point)
    return points


def outputs(model: GuardedModel, x: Floats) -> Floats:
    return model.answer(x, np.random.default_rng(DRAWS)).outputs


@pytest.mark.parametrize("eps", [0.0, 0.01, 0.1])
def test_no_point_of_the_ball_leaves_what_is_proven(guarded: Guarded, eps: float) -> None:
    model, x = guarded.model, guarded.case.test.x
    proof = model.prove(x, eps, np.random.default_rng(DRAWS))
    for point in [x, *moved(guarded, eps)]:
        found = outputs(model, point)
        if guarded.case.schema.labels:
            kept = found.argmax(axis=2)[..., None] == np.arange(found.shape[2])
            assert kept[proof > 0].all()
        else:
            assert np.all(found[..., 0] >= proof[..., 0])
            assert np.all(found[..., 0] <= proof[..., 1])


def test_without_a_ball_every_sure_answer_is_proven(guarded: Guarded) -> None:
    proof = guarded.model.prove(guarded.case.test.x, 0.0, np.random.default_rng(DRAWS))
    found = outputs(guarded.model, guarded.case.test.x)
    if guarded.case.schema.labels:
        assert np.mean((proof > 0).sum(axis=2) == 1) > 0.95
        assert np.array_equal(proof.argmax(axis=2), found.argmax(axis=2))
    else:
        assert np.abs(proof - found).max() <= 1e-3 * np.abs(found).max()


def test_a_larger_ball_proves_less_and_every_row_may_have_its_own(guarded: Guarded) -> None:
    model, x = guarded.model, guarded.case.test.x
    small, large = (model.prove(x, eps, np.random.default_rng(DRAWS)) for eps in (0.01, 0.2))
    if guarded.case.schema.labels:
        assert np.all(small >= large)
    else:
        assert np.all(small[..., 0] >= large[..., 0])
        assert np.all(small[..., 1] <= large[..., 1])
    each = np.where(np.arange(len(x)) % 2, 0.2, 0.01).astype(np.float32)
    mixed = model.prove(x, each, np.random.default_rng(DRAWS))
    assert np.allclose(mixed, np.where(np.arange(len(x))[:, None, None] % 2, large, small), rtol=1e-4, atol=1e-3)


def test_what_is_proven_is_what_is_answered(guarded: Guarded) -> None:
    """Without a ball, the proven rows are the rows answered right."""
    case, tolerance = guarded.case, getattr(guarded.case.criterion, "tolerance", None)
    plain = guarded.model.prove(case.test.x, 0.0, np.random.default_rng(DRAWS))[:, 0]
    right = ~case.criterion.won(guarded.model.network(case.test.x), case.test.y)
    assert np.mean(proven(plain, case.test.y, tolerance) == right) > 0.95
    assert not (proven(plain, case.test.y, tolerance) & ~right).any()


def test_a_numbers_interval_holds_the_vote(bundles: Callable[[str], Guarded]) -> None:
    guarded = bundles(NUMBER)
    low, high = certified_interval(guarded.model, guarded.case.test.x, 0.05, DRAWS).T
    for point in moved(guarded, 0.05):
        vote = guarded.model.answer(point, np.random.default_rng(DRAWS)).vote[:, 0]
        assert np.all((low <= vote) & (vote <= high))


def test_more_rows_than_are_run_at_once_are_proven_alike(guarded: Guarded) -> None:
    x = rows(guarded.case.name, 300, seed=5).x
    whole = guarded.model.prove(x, 0.02, np.random.default_rng(DRAWS))
    assert whole.shape[0] == 300
    assert np.isfinite(whole).all()
