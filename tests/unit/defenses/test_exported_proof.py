"""What the exported graph proves of a guarded model holds for every point of the ball, variant by variant."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import onnx
import pytest

from redoubt.bundle.base.errors import BundleError
from redoubt.bundle.certificates import certified_eps, certified_interval, proven
from redoubt.bundle.model.guarded_model import PROOF, GuardedModel
from redoubt.certify.refute import RefutedError
from redoubt.core.types import PIXELS, Floats
from redoubt.defenses import write_bundle as bundle
from redoubt.defenses.guards.guard import configure, export_proof
from redoubt.defenses.write_bundle import write_bundle
from tests.support.tiny import GUARDS, IMAGE, NUMBER, SCHEMAS, Guarded, rows

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
    return model.predict(x, np.random.default_rng(DRAWS)).outputs


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
    right = ~case.criterion.is_adversarial(guarded.model.network(case.test.x), case.test.y)
    assert np.mean(proven(plain, case.test.y, tolerance) == right) > 0.95
    assert not (proven(plain, case.test.y, tolerance) & ~right).any()


def test_a_numbers_interval_holds_the_vote(bundles: Callable[[str], Guarded]) -> None:
    guarded = bundles(NUMBER)
    low, high = certified_interval(guarded.model, guarded.case.test.x, 0.05, DRAWS).T
    for point in moved(guarded, 0.05):
        vote = guarded.model.predict(point, np.random.default_rng(DRAWS)).vote[:, 0]
        assert np.all((low <= vote) & (vote <= high))


def test_what_answers_computes_no_proof(guarded: Guarded) -> None:
    """ONNX Runtime runs every node of a graph: a proof beside the answer would be computed for nobody."""
    graph, proof = (onnx.load(guarded.folder / name).graph for name in ("model.onnx", PROOF))
    assert [output.name for output in graph.output] == ["variants"]
    assert "eps" not in [given.name for given in graph.input]
    assert [output.name for output in proof.output] == ["proof"]
    # Absolute weights are taken from the one stored constant.
    assert len(proof.node) > len(graph.node)
    assert (guarded.folder / PROOF).stat().st_size < 2.5 * (guarded.folder / "model.onnx").stat().st_size


def test_a_network_without_bounds_says_so_and_its_bundle_is_whole(tmp_path: Path) -> None:
    schema = SCHEMAS[IMAGE]
    layers = [keras.layers.Conv2D(4, 2, groups=2), keras.layers.Flatten(), keras.layers.Dense(3)]
    network = keras.Sequential([keras.Input(schema.shape), keras.layers.Conv2D(2, 2), *layers])
    config = configure(GUARDS[IMAGE], schema, PIXELS, 1.0)
    write_bundle(tmp_path / "bundle", network, schema, config, rows(IMAGE, 40).x)
    model = GuardedModel.load(tmp_path / "bundle")
    assert not model.proves
    assert certified_eps(model, rows(IMAGE, 2).x, np.array([0, 1]), 3, 0.5).tolist() == [0.0, 0.0]
    with pytest.raises(BundleError, match="a layer of the network has no interval bounds"):
        model.prove(rows(IMAGE, 2).x, 0.1, np.random.default_rng(0))


def test_a_proof_of_another_network_is_not_written(
    bundles: Callable[[str], Guarded], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guarded = bundles(IMAGE)
    other = keras.models.clone_model(guarded.case.network)
    other.set_weights([-value if value.ndim == 2 else value for value in guarded.case.network.get_weights()])
    monkeypatch.setattr(bundle, "export_proof", lambda network, config: export_proof(other, config))
    with pytest.raises(RefutedError, match="^the exported proof, eps 0: example "):
        write_bundle(
            tmp_path / "bundle", guarded.case.network, guarded.case.schema, guarded.model.guard, guarded.case.test.x
        )
    assert list(tmp_path.iterdir()) == []


def test_more_rows_than_are_run_at_once_are_proven_alike(guarded: Guarded) -> None:
    x = rows(guarded.case.name, 300, seed=5).x
    whole = guarded.model.prove(x, 0.02, np.random.default_rng(DRAWS))
    assert whole.shape[0] == 300
    assert np.isfinite(whole).all()
