"""What was attacked is what is served: the tensors, the exported graph and the files say the same."""

import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from redoubt.attacks.core import problem as contract
from redoubt.attacks.core.gradient import PGD
from redoubt.attacks.core.problem import ROWS, AttackProblem
from redoubt.bundle.base.errors import BundleError
from redoubt.bundle.base.io import digest_folder
from redoubt.bundle.model.guard_config import GuardConfig
from redoubt.bundle.model.guarded_model import BUNDLE_FILES, PROOF, GuardedModel, softmax
from redoubt.bundle.schema import Schema
from redoubt.core.store import read_json, write_json
from redoubt.defenses.adaptive import adaptive_outputs
from redoubt.defenses.guards.guard import calibrate, configure, export, export_proof, levels, rounded_up
from redoubt.defenses.write_bundle import write_bundle
from redoubt.models.saved import load_network
from tests.support import skewed
from tests.support.tiny import GUARDS, IMAGE, TABLE, Guarded, rows

# The first row of the first draw, as attacks number them.
SEED = [3, 0]


def answers(guarded: Guarded, seed: int | list[int] = 0) -> np.ndarray:
    return guarded.model.predict(guarded.case.test.x, np.random.default_rng(seed)).outputs


def test_the_attackers_tensors_are_the_served_graph(guarded: Guarded) -> None:
    outputs = adaptive_outputs(guarded.case.network, guarded.model.guard)
    attacked = outputs(tf.constant(guarded.case.test.x), tf.constant(SEED)).numpy()
    served = answers(guarded, SEED)
    each = np.log(softmax(served)) if guarded.case.schema.labels else served
    scale = guarded.model.guard.output_scale
    assert np.abs(attacked - each.mean(axis=1)).max() <= 1e-3 * scale


def test_the_attacker_sees_fresh_draws_and_a_gradient_through_all_of_them(guarded: Guarded) -> None:
    outputs, x = adaptive_outputs(guarded.case.network, guarded.model.guard), tf.constant(guarded.case.test.x)
    one, again, other = (outputs(x, tf.constant(seed)).numpy() for seed in (SEED, SEED, [3, ROWS]))
    assert np.array_equal(one, again)
    assert not np.allclose(one, other)
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(outputs(x, tf.constant(SEED))[:, 0])
    gradient = tape.gradient(total, x).numpy()
    assert np.isfinite(gradient).all()
    assert np.mean(np.abs(gradient).reshape(len(x), -1).max(axis=1) > 0) > 0.9


def test_the_size_of_its_batches_changes_no_attack_on_a_random_model(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, outputs = guarded.case, adaptive_outputs(guarded.case.network, guarded.model.guard)

    def attacked(batch: int) -> np.ndarray:
        monkeypatch.setattr(contract, "BATCH", batch)
        problem = AttackProblem(outputs, case.criterion, "linf", case.bounds)
        return PGD(steps=3, eot=2)(problem, case.test.x, case.test.y, eps=0.1, seed=4)

    whole, parted = attacked(256), attacked(5)
    assert np.abs(whole - parted).max() <= 1e-5 * max(1.0, float(np.abs(whole).max()))


def test_the_first_variant_is_the_unguarded_network(guarded: Guarded) -> None:
    x, network = guarded.case.test.x, guarded.model.network(guarded.case.test.x)
    scale = max(1.0, float(np.abs(network).max()))
    assert np.abs(network - guarded.case.network(x).numpy()).max() <= 1e-4 * scale
    assert np.abs(network - answers(guarded)[:, 0]).max() <= 1e-5 * scale
    assert np.array_equal(load_network(guarded.folder)(x), guarded.case.network(x))


def test_variants_are_named_in_the_order_of_the_outputs(guarded: Guarded) -> None:
    fixed = ("plain", "median", "squeezed") if guarded.case.name == IMAGE else ("plain", "squeezed")
    assert guarded.model.variants == (*fixed, "random-1", "random-2")
    outputs = answers(guarded)
    assert outputs.shape == (len(guarded.case.test), len(fixed) + 2, guarded.case.schema.outputs)
    assert outputs.dtype == np.float32


def test_randomness_comes_from_the_generator_alone(guarded: Guarded) -> None:
    one, again, other = answers(guarded, 1), answers(guarded, 1), answers(guarded, 2)
    fixed = len(guarded.model.guard.fixed_variants)
    assert np.array_equal(one, again)
    assert np.array_equal(one[:, :fixed], other[:, :fixed])
    assert not np.allclose(one[:, fixed:], other[:, fixed:])
    assert not np.allclose(one[:, fixed], one[:, fixed + 1]), "the draws of one input are all the same"


def test_the_vote_is_the_mean_opinion_and_a_flag_needs_a_score_above_the_threshold(guarded: Guarded) -> None:
    said = guarded.model.predict(guarded.case.test.x, np.random.default_rng(0))
    opinions = softmax(said.outputs) if guarded.case.schema.labels else said.outputs
    assert np.allclose(said.vote, opinions.mean(axis=1), rtol=1e-5)
    if guarded.case.schema.labels:
        assert np.allclose(said.vote.sum(axis=1), 1.0, atol=1e-5)
        assert said.score.max() <= 2.0 + 1e-5
    assert said.score.min() >= 0
    assert np.array_equal(said.flagged, said.score > guarded.model.threshold)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.4])
@pytest.mark.parametrize("count", [7, 50, 300])
def test_calibration_keeps_its_promise_and_wastes_little(guarded: Guarded, share: float, count: int) -> None:
    x = rows(guarded.case.name, count, seed=5).x
    config = guarded.model.guard.model_copy(update={"false_positives": share, "threshold": 0.0})
    graph = (guarded.folder / "model.onnx").read_bytes()
    calibrated = calibrate(GuardedModel(graph, guarded.case.schema, config), x)
    assert calibrated == config.model_copy(update={"threshold": calibrated.threshold})
    flagged = GuardedModel(graph, guarded.case.schema, calibrated).predict(x, np.random.default_rng(9)).flagged
    scores = GuardedModel(graph, guarded.case.schema, calibrated).predict(x, np.random.default_rng(9)).score
    assert flagged.sum() <= share * count
    if len(np.unique(scores)) == count:
        rounded_away = (scores <= calibrated.threshold) & (scores > calibrated.threshold / 1.001)
        assert flagged.sum() >= np.floor(share * count) - rounded_away.sum()


@pytest.mark.parametrize(
    ("number", "rounded"),
    [
        (0.03637924790382385, 0.03638),
        (1.6704835891723633, 1.671),
        (0.1, 0.1),
        (0.10000001, 0.1001),
        (2.0, 2.0),
        (0.0, 0.0),
    ],
)
def test_a_threshold_has_four_digits(number: float, rounded: float) -> None:
    assert rounded_up(number) == rounded


@given(st.floats(1e-30, 1e30))
def test_a_threshold_is_never_rounded_down(number: float) -> None:
    assert number <= rounded_up(number) <= number * 1.001
    assert rounded_up(rounded_up(number)) == rounded_up(number)
    assert rounded_up(np.inf) == np.inf


def test_the_bundle_on_disk_is_calibrated(guarded: Guarded) -> None:
    stored = read_json(guarded.folder / "guard.json")
    assert np.isfinite(stored["threshold"])
    clean = rows(guarded.case.name, 300, seed=2).x
    assert guarded.model.predict(clean, np.random.default_rng(0)).flagged.mean() <= stored["false_positives"]


@pytest.fixture
def copied(guarded: Guarded, tmp_path: Path) -> Path:
    return Path(shutil.copytree(guarded.folder, tmp_path / "bundle"))


def test_a_bundle_holds_its_files_and_its_digest_covers_them(guarded: Guarded, copied: Path) -> None:
    assert sorted(path.name for path in copied.iterdir()) == sorted(BUNDLE_FILES)
    assert guarded.model.digest == digest_folder(guarded.folder, BUNDLE_FILES) == GuardedModel.load(copied).digest


@pytest.mark.parametrize("name", BUNDLE_FILES)
def test_any_changed_file_changes_the_digest(guarded: Guarded, copied: Path, name: str) -> None:
    if name in ("model.onnx", PROOF):
        made = export if name == "model.onnx" else export_proof
        (copied / name).write_bytes(made(guarded.case.network, guarded.model.guard.model_copy(update={"bits": 2})))
    else:
        # White space, which changes no meaning in JSON; HDF5 and ONNX Runtime are not asked here.
        (copied / name).write_bytes((copied / name).read_bytes() + b"\n")
    assert GuardedModel.load(copied).digest != guarded.model.digest


@pytest.mark.parametrize("name", BUNDLE_FILES)
def test_a_missing_file_is_named(copied: Path, name: str) -> None:
    (copied / name).unlink()
    says = "bundles of earlier versions have" if name == PROOF else "run `dvc repro` again"
    with pytest.raises(BundleError, match=f"bundle is no whole bundle: {name} missing; {says}"):
        GuardedModel.load(copied)


@pytest.mark.parametrize("name", ["guard.json", "schema.json", "model.onnx", PROOF])
@pytest.mark.parametrize("content", [b"", b"{", b'{"kind": "image"}', b"\xff\xfe" * 40], ids=range(4))
def test_an_unreadable_file_is_a_bundle_error(copied: Path, name: str, content: bytes) -> None:
    (copied / name).write_bytes(content)
    with pytest.raises(BundleError, match="bundle cannot be read"):
        GuardedModel.load(copied)


@pytest.mark.parametrize("name", ["model.onnx", PROOF])
def test_a_truncated_graph_is_a_bundle_error(copied: Path, name: str) -> None:
    whole = (copied / name).read_bytes()
    (copied / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BundleError, match="bundle cannot be read"):
        GuardedModel.load(copied)


def test_the_same_network_is_written_as_the_same_bytes(guarded: Guarded, tmp_path: Path) -> None:
    config = guarded.model.guard.model_copy(update={"threshold": 0.0})
    write_bundle(
        tmp_path / "again", guarded.case.network, guarded.case.schema, config, rows(guarded.case.name, 300, seed=2).x
    )
    assert digest_folder(tmp_path / "again", BUNDLE_FILES) == guarded.model.digest


def test_a_network_that_the_graph_does_not_match_is_not_written(
    guarded: Guarded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = keras.models.clone_model(guarded.case.network)
    other.set_weights([value + 0.5 for value in guarded.case.network.get_weights()])
    monkeypatch.setattr("redoubt.defenses.write_bundle.export", lambda network, config: export(other, config))
    with pytest.raises(BundleError, match="the exported graph answers otherwise than the network: a difference of"):
        write_bundle(
            tmp_path / "bundle", guarded.case.network, guarded.case.schema, guarded.model.guard, guarded.case.test.x
        )
    assert list(tmp_path.iterdir()) == []


def test_configuring_takes_ranges_and_units_from_the_training_rows(guarded: Guarded) -> None:
    case, params = guarded.case, GUARDS[guarded.case.name]
    config = configure(params, case.schema, case.scaler.bounds(case.schema), 60.0)
    assert {key: getattr(config, key) for key in type(params).model_fields} == params.model_dump()
    if case.name == IMAGE:
        assert (config.kind, config.output_scale, config.scale) == ("image", 1.0, ())
        return
    assert (config.kind, config.output_scale) == ("table", 60.0)
    assert np.allclose(config.scale, np.where(case.schema.numeric, case.scaler.std, 0.0))
    assert np.allclose(config.lower, case.scaler.lower)
    assert np.allclose(config.upper, case.scaler.upper)


def test_a_skewed_feature_is_not_squeezed_into_one_level(tmp_path: Path) -> None:
    """By levels of equal width nearly all of its values would be one, which the network takes apart by their ranks."""
    given = skewed.scaler()
    curves = [curve is not None for curve in given.curves]
    config = configure(GUARDS[TABLE], skewed.SCHEMA, given.bounds(skewed.SCHEMA), 1.0, curves)
    low, high = levels(config)
    assert (high > low).tolist() == [False] * 4 + [True] + [False] * 2
    write_bundle(tmp_path / "bundle", skewed.network(), skewed.SCHEMA, config, skewed.X[:100])
    plain, squeezed = (
        GuardedModel.load(tmp_path / "bundle").predict(skewed.X, np.random.default_rng(0)).outputs[:, :2].swapaxes(0, 1)
    )
    assert (plain.argmax(axis=1) == squeezed.argmax(axis=1)).mean() > 0.9
    whole = config.model_copy(update={"squeezed": ()})
    assert "squeezed" not in whole.model_dump()


BOX = GuardConfig(
    kind="table", shape=(3,), bits=4, draws=1, false_positives=0.1, lower=(0, -2, 5), upper=(10, 2, 5), scale=(1, 0, 1)
)


@given(x=st.lists(st.floats(-(2.0**60), 2.0**60, width=32, allow_subnormal=False), min_size=3, max_size=3))
def test_how_far_an_input_lies_outside_is_said_in_widths_of_the_box(x: list[float]) -> None:
    (beyond,) = BOX.beyond(np.float32([x]))
    for value, found, low, high in zip(x, beyond, BOX.lower, BOX.upper, strict=True):
        assert (found == 0) == (low <= value <= high)
        if found and high > low:
            assert np.isclose(found, max(low - value, value - high) / (high - low))
        elif found:
            assert found == np.inf


def test_an_input_far_outside_is_flagged_whatever_its_score(guarded: Guarded) -> None:
    """Immutable columns too: their ranges are kept, though nothing of them is squeezed."""
    model, x = guarded.model, guarded.case.test.x[:4].copy()
    if guarded.case.name == IMAGE:
        assert model.outside(x).shape == (4, 0)
        return
    x = np.clip(x, model.guard.lower, model.guard.upper).astype(np.float32)
    width = np.float32(model.guard.upper[0]) - np.float32(model.guard.lower[0])
    x[1, 0], x[2, 0] = model.guard.upper[0] + 0.5 * width, model.guard.lower[0] - 1.5 * width
    calm = GuardedModel(
        (guarded.folder / "model.onnx").read_bytes(), model.schema, model.guard.model_copy(update={"threshold": np.inf})
    )
    assert (model.outside(x) > 0).any(axis=1).tolist() == [False, True, True, False]
    assert calm.predict(x, np.random.default_rng(0)).flagged.tolist() == [False, False, True, False]


def test_a_schema_of_other_labels_is_another_model(guarded: Guarded, copied: Path) -> None:
    schema: Schema = guarded.case.schema.model_copy(update={"target": "other"})
    write_json(copied / "schema.json", schema.model_dump())
    assert GuardedModel.load(copied).digest != guarded.model.digest
