"""MNIST, and the two networks that benchmarks attack: the pipeline's own where they exist, else quick ones."""

from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import keras
import numpy as np

from redoubt.attacks.core.criteria import Untargeted
from redoubt.attacks.core.problem import AttackProblem, of_network
from redoubt.core.store import whole_folder
from redoubt.core.types import PIXELS, Batch, Norm
from redoubt.data.locate import SourceError
from redoubt.data.prepare.scaling import fit as fit_scaler
from redoubt.data.shared.dataset import Raw
from redoubt.data.sources import fetch
from redoubt.models.networks import build
from redoubt.models.saved import load_network, save_network
from redoubt.params.load import load
from redoubt.params.recipes import Pgd
from redoubt.params.settings.networks import Cnn
from redoubt.studies.hardened_digits import harden
from redoubt.training.fit import Plan, compile_network, fit, on_rows
from redoubt.training.recipes import plan_for

PIPELINE, CACHE = Path("models/mnist"), Path(".redoubt/benchmarks")
NATURAL, ADVERSARIAL = "natural", "adversarial"
# What each is attacked with in L-inf; at Madry's 0.3 alone nothing of a natural network would stand to be compared.
EPS = {NATURAL: (0.1, 0.3), ADVERSARIAL: (0.3,)}
MODELS = {
    NATURAL: Cnn(kind="cnn", filters=(16, 32), units=(128,), dropout=0.4),
    ADVERSARIAL: Cnn(kind="cnn", filters=(16, 32), units=(100,), kernel=4, pooling="stride"),
}
EPOCHS = {NATURAL: 4, ADVERSARIAL: 10}
RECIPE = Pgd(method="pgd", train_eps=EPS[ADVERSARIAL][0], steps=5, epochs=EPOCHS[ADVERSARIAL])
TRAINED_ON, VALIDATED_ON, BATCH_SIZE, LEARNING_RATE = 20_000, 1_000, 100, 0.002


@dataclass(frozen=True, eq=False)
class Victim:
    """A network, where it came from, and the eps in L-inf that it is attacked with, pixels from 0 to 1."""

    name: str
    network: keras.Model
    origin: str
    eps: float

    @property
    def label(self) -> str:
        """What is attacked, and how far."""
        return f"{self.name}, {self.eps:g}"

    def problem(self, norm: Norm) -> AttackProblem:
        """Any wrong class, in a norm."""
        return AttackProblem(of_network(self.network), Untargeted(), norm, PIXELS)


def images() -> Raw:
    """MNIST from `data/external/`, the mirror or its public URL; ends the program where it is in none of them."""
    params = load()
    try:
        return fetch(params.task("mnist"), params.seed)
    except SourceError as error:
        raise SystemExit(f"error: {error}") from None


def test_rows(raw: Raw, count: int, seed: int) -> Batch:
    """So many test images, drawn by the seed; their first half is known to be the easier one."""
    _, test = _cut(raw)
    return _batch(raw, test[np.random.default_rng(seed).permutation(len(test))[:count]])


def victims(raw: Raw, seed: int) -> list[Victim]:
    """A natural and an adversarially trained network, at each eps."""
    return [replace(each, eps=eps) for each in (victim(name, raw, seed) for name in EPS) for eps in EPS[each.name]]


def victim(name: str, raw: Raw, seed: int) -> Victim:
    """One of them, at its first eps: the pipeline's, else the cached one, else a new one for the cache."""
    ours, eps = PIPELINE / name, EPS[name][0]
    if ours.is_dir():
        return Victim(name, load_network(ours), f"the pipeline's own, {ours}", eps)
    setting = f"{MODELS[name]!r} {EPOCHS[name]} {TRAINED_ON} {RECIPE!r} {eps} {seed}"
    folder = CACHE / f"{name}-{sha256(setting.encode()).hexdigest()[:8]}"
    if not folder.is_dir():
        print(f"training the {name} network, {EPOCHS[name]} epochs of {TRAINED_ON:,} images; it is kept in {folder}")
        network = _train(name, raw, seed)
        with whole_folder(folder) as temporary:
            save_network(network, temporary)
    origin = f"{EPOCHS[name]} epochs of {TRAINED_ON:,} images, {folder}; `make mnist` makes the full one"
    return Victim(name, load_network(folder), origin, eps)


def _train(name: str, raw: Raw, seed: int) -> keras.Model:
    learnable, _ = _cut(raw)
    rows = np.random.default_rng(seed).permutation(learnable)
    train, validation = _batch(raw, rows[:TRAINED_ON]), _batch(raw, rows[-VALIDATED_ON:])
    network = build(MODELS[name], raw.schema, fit_scaler(train, raw.schema), seed)
    if name == ADVERSARIAL:
        robust_plan = plan_for(RECIPE, BATCH_SIZE, LEARNING_RATE, seed)
        return harden(network, RECIPE, robust_plan, load().task("mnist").eps, train, validation)
    plan = Plan(epochs=EPOCHS[name], batch_size=BATCH_SIZE, learning_rate=LEARNING_RATE, decay=True, seed=seed)
    compile_network(network, plan, len(train), raw.schema.outputs)
    fit(network, network, train, on_rows(network, validation), plan)
    return network


def _cut(raw: Raw) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(raw.test_from or 0), np.arange(raw.test_from or 0, len(raw))


def _batch(raw: Raw, rows: np.ndarray) -> Batch:
    x, y = raw.images
    return Batch((x[rows] / raw.levels).astype(np.float32), y[rows])
