"""Transferability: the target and the attacker's proxies, each attacked with what was crafted on every other."""

from collections.abc import Mapping

import keras
import numpy as np
from tqdm import tqdm

from redoubt.attacks.core.gradient import PGD
from redoubt.attacks.core.problem import OfCallable, Outputs, of_network
from redoubt.bundle.column import Column
from redoubt.bundle.schema import Schema
from redoubt.cli.attack.findings import Findings
from redoubt.cli.attack.job import Job, halves
from redoubt.cli.words import AskedError
from redoubt.core.types import Batch
from redoubt.data.prepare import scaling
from redoubt.models.networks import build
from redoubt.params.settings.networks import Cnn, Linear, Mlp
from redoubt.report import attack_figures
from redoubt.scenarios.transfer import transfer_matrix
from redoubt.training.fit import Plan, compile_network, fit, on_rows

TRAINING = Plan(epochs=60, batch_size=32, learning_rate=0.005, decay=True)
# Two poolings halve a side twice.
SMALLEST = 4


def matrix(job: Job) -> Findings:
    """PGD on each network, tried on all; without proxies some are trained on half of the examples.

    Raises:
        AskedError: a proxy that is the target itself, or too few examples to train on.
    """
    if job.target.said in job.proxies:
        raise AskedError(f"{job.target.said} is the target, so it is in the matrix already: leave it out of --proxy")
    learn, test = (Batch(job.batch.x[:0], job.batch.y[:0]), job.batch) if job.proxies else halves(job.batch)
    architectures = {} if job.proxies else _architectures(job)
    makers = len(job.proxies) + len(architectures) + (not isinstance(job.outputs, OfCallable))
    with tqdm(total=len(architectures) + makers, desc=job.entry.name, unit="network") as bar:
        networks: dict[str, Outputs] = {job.target.said: job.outputs, **job.proxies}
        for name, architecture in architectures.items():
            networks[name] = of_network(_trained(job, learn, architecture))
            bar.update()
        problems = {name: job.problem(outputs=outputs) for name, outputs in networks.items()}
        attack = PGD(steps=job.options["steps"])
        table = transfer_matrix(problems, attack, test.x, test.y, eps=job.eps, seed=job.seed, bar=bar)
    found = {
        "examples": {"trained_on": len(learn), "measured_on": len(test), "correct_on_all": table.rows},
        "clean_accuracy": table.clean,
        "success_rate": table.success_rate,
    }
    arrays = {
        name: np.array([list(row.values()) for row in shares.values()])
        for name, shares in (("success_rate", table.success_rate), ("accuracy", table.accuracy))
    }
    return Findings(found, attack_figures.transfer(table.success_rate), arrays)


def _architectures(job: Job) -> Mapping[str, Linear | Mlp | Cnn]:
    """Unlike each other: what misleads one of a kind misleads the next of it anyway."""
    linear = {"logistic" if job.target.is_classification else "linear": Linear(kind="linear")}
    mlp = {"mlp": Mlp(kind="mlp", units=(128,))}
    sides = job.batch.x.shape[1:-1]
    if len(sides) != 2 or min(sides) < SMALLEST:
        return {**linear, **mlp, "deep mlp": Mlp(kind="mlp", units=(64, 64, 64))}
    return {
        **linear,
        **mlp,
        "cnn": Cnn(kind="cnn", filters=(16, 32), units=(64,)),
        "wide cnn": Cnn(kind="cnn", filters=(32,), kernel=5, pooling="stride", units=(128,)),
    }


def _trained(job: Job, rows: Batch, architecture: Linear | Mlp | Cnn) -> keras.Model:
    """A network that knows the examples and the classes, and nothing else of the target."""
    schema = _schema(job)
    network = build(architecture, schema, scaling.fit(rows, schema), seed=job.seed)
    compile_network(network, TRAINING, len(rows), schema.outputs)
    fit(network, network, rows, on_rows(network, rows), TRAINING)
    return network


def _schema(job: Job) -> Schema:
    """Of inputs about which nothing is known but their shape."""
    shape, labels = job.batch.x.shape[1:], job.target.labels
    if len(shape) > 1:
        return Schema(task="own", kind="image", target="answer", shape=shape, labels=labels)
    columns = tuple(Column(name=f"input {place}", kind="number") for place in range(shape[0]))
    kind = "classification" if job.target.is_classification else "regression"
    return Schema(task="own", kind=kind, target="answer", columns=columns, shape=shape, labels=labels)
