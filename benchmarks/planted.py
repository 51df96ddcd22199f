"""Models with a known lie inside: what `redoubt audit` says of each, and what ART 1.20 says; asserts nothing.

The models are those of `tests/planted`: pictures whose class is how bright they are, so that robust accuracy is known
exactly. Prints a table in Markdown; `--write` puts it into docs/audit.md. Run from the project's top folder.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from warnings import catch_warnings, simplefilter

import keras
import numpy as np

import pipelines._quiet  # noqa: F401
from redoubt.audit.budget import Budget
from redoubt.audit.frame import frame_of
from redoubt.audit.run import Settings, audit
from redoubt.core.errors import RedoubtError
from redoubt.core.types import Batch, Floats
from redoubt.targets.contract import Opening
from redoubt.targets.keras_file import of_model
from tests.support.brightness import CENTRES, SHARP, SIDE, examples, model, nearest

with catch_warnings():
    simplefilter("ignore")  # PyTorch is not here, and need not be.
    from art.attacks.evasion import AutoProjectedGradientDescent, ProjectedGradientDescent, SquareAttack
    from art.estimators.classification import TensorFlowV2Classifier

L, K = keras.layers, keras.ops
EPS, LABELS = 0.15, ("dark", "grey", "bright")
POINTS, STEPS, QUERIES = 100, 40, 300
# By its own 0.8 its first square is as wide as these small pictures, where it raises ValueError.
P_INIT = 0.5
PAGE, BEGIN, END = Path("docs/audit.md"), "<!-- planted: begin -->\n", "<!-- planted: end -->\n"
HEAD = "| lie | true robust accuracy | ART: PGD | APGD | Square | `redoubt audit` |\n|---|---|---|---|---|---|\n"


@dataclass(frozen=True, eq=False)
class Lie:
    """One model as it is given.

    Attributes:
        name: of the lie.
        network: with the lie inside.
        batch: the examples as they are given.
        eps: as it is given.
        logits: whether its maker tells ART that the outputs are logits.
        meant: what the model says of pictures in 0..1, before the lie.
        largest: input that there may be.
    """

    name: str
    network: keras.Model
    batch: Batch
    eps: float = EPS
    logits: bool = True
    meant: Callable[[Floats], Any] = field(default_factory=model)
    largest: float = 1.0


def before(change: Callable[[Any], Any]) -> keras.Model:
    """The honest model behind a change of its inputs."""
    x = inputs = L.Input((SIDE, SIDE, 1))
    for layer in (change, *nearest()):
        x = layer(x)
    return keras.Model(inputs, x)


def of_brightness(quantize: Callable[[Any], Any]) -> keras.Model:
    """The class whose centre is nearest to the brightness, once that is quantized."""
    inputs, dense = L.Input((SIDE, SIDE, 1)), L.Dense(3)
    outputs = dense(quantize(K.mean(L.Flatten()(inputs), axis=1, keepdims=True)))
    dense.set_weights([2 * SHARP * CENTRES[None], -SHARP * CENTRES**2])
    return keras.Model(inputs, outputs)


def saturated(z: Any) -> Any:
    """Scores whose gradient is 0 in float32."""
    return 10 * K.tanh(z - K.max(z, axis=1, keepdims=True) + 20)


def signs(mean: Any) -> Any:
    """Brightness in five steps, by a sum of signs."""
    return 0.5 + sum(K.sign(mean - (level + 0.5) / 5) for level in range(5)) / 10


def lies() -> Iterator[Lie]:
    """All of them, the honest model first."""
    batch = examples(POINTS)
    in_bytes = Batch(np.round(255 * batch.x), batch.y)
    middle, width = float(batch.x.mean()), float(batch.x.std())
    yield Lie("none", model(), batch)
    yield Lie("a softmax that saturates", model(activation="softmax", sharp=6000.0), batch, logits=False)
    yield Lie("the same, told to be logits", model(activation="softmax", sharp=6000.0), batch)
    yield Lie("a layer that saturates", model(sharp=3000.0, after=saturated), batch)
    for name, network in {
        "inputs rounded, as images are": before(lambda x: K.round(4 * x) / 4),
        "activations rounded, as in a quantized model": of_brightness(lambda m: K.round(5 * m) / 5),
        "activations of one bit": of_brightness(signs),
        "rounding with a gradient that leads away": before(lambda x: K.round(16 * x) / 16 - 1e-4 * x),
        "a cast that shatters the gradient": before(lambda x: K.cast(K.cast(64 * x, "int32"), "float32") / 64),
    }.items():
        yield Lie(name, network, batch, meant=network)
    yield Lie("labels in another order", model(), Batch(batch.x, (batch.y + 1) % 3))
    yield Lie("normalization left to the caller, who forgot it", before(lambda x: width * x + middle), batch)
    yield Lie("bytes for a model of 0..1", model(), in_bytes, eps=255 * EPS, largest=255.0)
    yield Lie("eps in shares of a model that takes bytes", model(L.Rescaling(1 / 255)), in_bytes, largest=255.0)


def truth(lie: Lie) -> float:
    """Robust accuracy of what was meant: brightness alone decides, so that nothing is worse than some common shift."""
    batch = examples(POINTS)
    right = np.ones(len(batch), np.bool_)
    for shift in np.linspace(-EPS, EPS, 161, dtype=np.float32):
        right &= np.asarray(lie.meant(np.clip(batch.x + shift, 0, 1))).argmax(axis=1) == batch.y
    return float(right.mean())


def by_art(lie: Lie) -> list[str]:
    """Robust accuracy under each of three of its attacks, or what it raises."""
    found = TensorFlowV2Classifier(
        lie.network,
        nb_classes=3,
        input_shape=(SIDE, SIDE, 1),
        loss_object=keras.losses.SparseCategoricalCrossentropy(from_logits=lie.logits),
        clip_values=(0.0, lie.largest),
    )

    attacks: list[Callable[[], Any]] = [
        lambda: ProjectedGradientDescent(
            found, eps=lie.eps, eps_step=lie.eps / 10, max_iter=STEPS, num_random_init=1, verbose=False
        ),
        lambda: AutoProjectedGradientDescent(
            found, eps=lie.eps, eps_step=lie.eps / 5, max_iter=STEPS, loss_type="cross_entropy", verbose=False
        ),
        lambda: SquareAttack(found, eps=lie.eps, max_iter=QUERIES, p_init=P_INIT, verbose=False),
    ]
    said: list[str] = []
    for attack in attacks:
        try:
            x_adv = attack().generate(lie.batch.x, np.eye(3, dtype=np.float32)[lie.batch.y])
            right = found.predict(x_adv).argmax(axis=1) == lie.batch.y
            said.append(f"{100 * right.mean():.0f} %")
        except Exception as error:
            said.append(f"raises {type(error).__name__}")
    return said


def by_audit(lie: Lie) -> str:
    """Its verdict in short: refused, stamped or a figure, with what it says of the model."""
    batch = lie.batch
    try:
        target = of_model(lie.network, "the model", Opening(batch.take(np.arange(8)), LABELS))
        found = audit(target, batch, frame_of(batch.x, None), Settings(eps=(lie.eps,), budget=Budget(60.0))).audit
    except RedoubtError as error:
        return f"refused: {error}"
    figure = f"at most {100 * found.worst.share:.0f} %"
    stamps = [f"**not trusted**: {check.found}" for check in found.failed[:1]]
    warned = [row.warning for row in found.rows if row.warning]
    notes = [note for note in found.notes if not note.startswith("a network that learned")]
    return "; ".join([figure, *stamps, *warned, *notes])


def table() -> str:
    """One line per lie."""
    lines = []
    for lie in lies():
        cells = [lie.name, f"{100 * truth(lie):.0f} %", *by_art(lie), by_audit(lie)]
        lines.append(f"| {' | '.join(cells)} |\n")
        print(lines[-1], end="", flush=True)
    return HEAD + "".join(lines)


def main() -> None:
    """Print the table, and write it where that is asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE}")
    args = parser.parse_args()
    found = table()
    if args.write:
        start, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
        PAGE.write_text(start + BEGIN + found + END + rest.split(END)[1], encoding="utf-8")


if __name__ == "__main__":
    main()
